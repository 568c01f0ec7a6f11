//! A standby, by the real program: it follows a primary over HTTP or in a folder, serves reads, and
//! takes over; and the old primary never writes again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::daemon::{ADMIN, Answer, Client, DASH, PATIENCE};
use crate::storage::support::until_within;

/// A process on a home, found by the file that it leaves there.
struct Process {
    child: Child,
    home: PathBuf,
    address: String,
}

fn program(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echopilot"));
    command
        .args(words)
        .arg("--home")
        .arg(home)
        .env("DASHBOARD_KEY", DASH)
        .env("ADMIN_TOKEN", ADMIN)
        .env("ECHOPILOT_KEY", ADMIN)
        .env_remove("CREDENTIALS_DIRECTORY")
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::null());
    command
}

impl Process {
    fn start(home: &Path, words: &[&str]) -> Self {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.with_extension("log"))
            .unwrap();
        let child = program(home, words)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Self {
            child,
            home: home.to_owned(),
            address: String::new(),
        };
        until_within(PATIENCE, "it listens", || process.find());
        process
    }

    fn serve(home: &Path) -> Self {
        Self::start(home, &["serve", "--listen", "127.0.0.1:0"])
    }

    fn follow(home: &Path, from: &str) -> Self {
        Self::start(
            home,
            &["standby", "--listen", "127.0.0.1:0", "--from", from],
        )
    }

    fn find(&mut self) -> bool {
        if let Some(code) = self.child.try_wait().unwrap() {
            panic!("it ended with {code}: {}", self.said());
        }
        let file = fs::read(self.home.join(".echopilot/daemon.json")).unwrap_or_default();
        let file: Value = serde_json::from_slice(&file).unwrap_or_default();
        let ours = file["pid"] == self.child.id();
        if ours {
            file["address"]
                .as_str()
                .unwrap()
                .clone_into(&mut self.address);
        }
        ours
    }

    fn said(&self) -> String {
        fs::read_to_string(self.home.with_extension("log")).unwrap_or_default()
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {ADMIN}");
        let headers = [("Authorization", bearer.as_str())];
        // A process that is being replaced closes what it had accepted.
        for _try in 0..50 {
            let mut client = Client::connect(&self.address, None).unwrap();
            if let Ok(answer) = client.call(method, path, &headers, body.as_bytes()) {
                return answer;
            }
        }
        panic!("no answer from {}: {}", self.address, self.said());
    }

    fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "")
    }

    /// Logs one event; gives the status and the code.
    fn log(&self, id: &str) -> (u16, String) {
        let body = json!({
            "event": "signup", "user": id, "exp": "pricing_v2", "variant": "A", "id": id,
        });
        let answer = self.call("POST", "/api/exp/log", &body.to_string());
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = told["error"].as_str().unwrap_or_default().to_owned();
        (answer.status, code)
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until everything that `primary` has now is here, and it knows who follows.
    fn has_all_of(&self, primary: &Path) {
        until_within(PATIENCE, "everything was shipped", || {
            journal(primary, "experiments") == journal(&self.home, "experiments")
        });
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The bytes of a journal, all its files in order.
fn journal(home: &Path, name: &str) -> Vec<u8> {
    let mut files: Vec<_> = logs(home)
        .into_iter()
        .filter(|(file, _)| file.starts_with(&format!("{name}.")) && !file.contains("aside"))
        .collect();
    // `NAME.ndjson` sorts after `NAME.0…`.
    files.sort();
    files.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

/// Every file of every journal.
fn logs(home: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(home.join("logs")).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_file() && name.contains(".ndjson") {
            found.insert(name, fs::read(&path).unwrap_or_default());
        }
    }
    found
}

fn count(home: &Path, id: &str) -> usize {
    let text = String::from_utf8(journal(home, "experiments")).unwrap();
    text.matches(&format!("\"id\":\"{id}\"")).count()
}

fn promote(standby: &mut Process) {
    let out = program(&standby.home, &["promote"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}\n{}", standby.said());
    until_within(PATIENCE, "it serves", || standby.find());
}

fn verifies(home: &Path) {
    let out = program(home, &["verify"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}");
}

struct Pair {
    _folder: tempfile::TempDir,
    first: PathBuf,
    second: PathBuf,
}

fn pair() -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let homes = ["first", "second"].map(|name| {
        let home = folder.path().join(name);
        fs::create_dir_all(&home).unwrap();
        home
    });
    let [first, second] = homes;
    Pair {
        first,
        second,
        _folder: folder,
    }
}

/// Takes over from a primary that was killed under writes; gives the ids it had acknowledged.
fn take_over(pair: &Pair, from: impl Fn(&Process) -> String) -> (Process, Vec<String>) {
    let primary = Process::serve(&pair.first);
    let mut standby = Process::follow(&pair.second, &from(&primary));
    let mut acked = Vec::new();
    for number in 0..50 {
        let id = format!("event-{number}");
        assert_eq!(primary.log(&id).0, 200, "{}", primary.said());
        acked.push(id);
    }
    standby.has_all_of(&pair.first);
    let refused = standby.log("too-early");
    assert_eq!(refused, (503, "storage_standby".to_owned()));
    assert_eq!(standby.get("/readyz?verbose").status, 200);
    let told = standby.get("/api/replica").json();
    assert_eq!(told["part"], "standby", "{told}");
    assert_eq!(told["unfenced"], Value::Null, "{told}");
    let set = r#"{"key":"ui.new_dashboard","value":true}"#;
    primary.call("POST", "/api/flags/set", set).expect(200);
    until_within(PATIENCE, "reads follow", || {
        standby.get("/api/flags/history?limit=1").body
            == primary.get("/api/flags/history?limit=1").body
            && standby.get("/api/flags/get").json()["flags"]["ui.new_dashboard"] == true
    });
    primary.kill();
    promote(&mut standby);
    assert_eq!(standby.get("/api/replica").json()["part"], "primary");
    assert_eq!(standby.log("after").0, 200);
    for id in &acked {
        assert_eq!(count(&pair.second, id), 1, "{id}");
    }
    (standby, acked)
}

/// The old primary, started again, serves reads and refuses to write.
fn never_writes_again(pair: &Pair, before: &BTreeMap<String, Vec<u8>>) {
    let old = Process::serve(&pair.first);
    assert_eq!(old.log("never"), (503, "storage_fenced".to_owned()));
    let flag = old.call(
        "POST",
        "/api/flags/set",
        r#"{"key":"ab.pricing_v2","value":true}"#,
    );
    assert_eq!(flag.status, 503, "{}", String::from_utf8_lossy(&flag.body));
    assert_eq!(old.get("/readyz").status, 503);
    assert_eq!(old.get("/api/flags/get").status, 200);
    drop(old);
    assert_eq!(&logs(&pair.first), before);
    // Nor does any verb without a daemon.
    let out = program(&pair.first, &["flag", "set", "ab.pricing_v2", "true"])
        .env_remove("ECHOPILOT_KEY")
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert_eq!(&logs(&pair.first), before);
}

#[test]
fn a_standby_over_http_takes_over_and_the_old_primary_never_writes_again() {
    let pair = pair();
    let (standby, _) = take_over(&pair, Process::url);
    let before = logs(&pair.first);
    never_writes_again(&pair, &before);
    assert!(pair.first.join(".echopilot/fence.json").exists());
    // It knows by itself from now on.
    standby.kill();
    never_writes_again(&pair, &before);
    verifies(&pair.second);
}

#[test]
fn an_old_primary_whose_standby_does_not_answer_writes_only_once_a_person_says_so() {
    let pair = pair();
    let (mut standby, _) = take_over(&pair, Process::url);
    standby.child.kill().unwrap();
    standby.child.wait().unwrap();
    let before = logs(&pair.first);
    never_writes_again(&pair, &before);
    let told = fs::read(pair.first.join(".echopilot/followers.json")).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let old = Process::serve(&pair.first);
    let id = told[0]["id"].as_str().unwrap();
    let out = program(&pair.first, &["standby", "forget", id])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    until_within(PATIENCE, "it writes", || {
        Client::connect(&old.address, None).is_ok() && old.log("x").0 == 200
    });
}

#[test]
fn a_standby_of_a_folder_takes_over_and_fences_it() {
    let pair = pair();
    let (standby, _) = take_over(&pair, |_| pair.first.display().to_string());
    let before = logs(&pair.first);
    standby.kill();
    never_writes_again(&pair, &before);
    verifies(&pair.second);
    // The new primary's home is one like any other.
    let again = Process::serve(&pair.second);
    assert_eq!(again.log("again").0, 200);
    let storage = String::from_utf8(journal(&pair.second, "storage")).unwrap();
    assert_eq!(storage.matches("\"kind\":\"epoch.opened\"").count(), 1);
}

#[test]
fn a_primary_that_lives_while_its_standby_takes_over_stops_at_once_and_loses_nothing() {
    for by_folder in [false, true] {
        let pair = pair();
        let primary = Process::serve(&pair.first);
        let from = if by_folder {
            pair.first.display().to_string()
        } else {
            primary.url()
        };
        let mut standby = Process::follow(&pair.second, &from);
        let mut acked = Vec::new();
        let mut number = 0;
        std::thread::scope(|scope| {
            let promoting = scope.spawn(|| promote(&mut standby));
            until_within(PATIENCE, "it is fenced", || {
                number += 1;
                let id = format!("event-{number}");
                match primary.log(&id) {
                    (200, _) => acked.push(id),
                    (503, code) => return code == "storage_fenced",
                    other => panic!("{other:?}"),
                }
                false
            });
            promoting.join().unwrap();
        });
        for id in &acked {
            assert_eq!(count(&pair.second, id), 1, "{id} by_folder={by_folder}");
        }
        assert_eq!(primary.log("late").1, "storage_fenced");
        let before = logs(&pair.first);
        assert_eq!(standby.log("on").0, 200);
        drop(primary);
        assert_eq!(logs(&pair.first), before, "also not at its end");
    }
}

#[test]
fn serve_refuses_the_home_of_a_standby_and_names_the_way() {
    let pair = pair();
    let primary = Process::serve(&pair.first);
    let standby = Process::follow(&pair.second, &primary.url());
    standby.has_all_of(&pair.first);
    standby.kill();
    let out = program(&pair.second, &["serve", "--listen", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!out.status.success());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        said.contains("home of a standby") && said.contains("echopilot promote"),
        "{said}"
    );
    // Without its process too.
    let out = program(&pair.second, &["promote"]).output().unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let new = Process::serve(&pair.second);
    assert_eq!(new.log("after").0, 200);
}

#[test]
fn an_edit_and_a_revoked_key_reach_the_standby() {
    let pair = pair();
    let primary = Process::serve(&pair.first);
    let standby = Process::follow(&pair.second, &primary.url());
    // The first answer waits for the first whole copy: nothing is missing then.
    let said = standby.said();
    assert!(!said.contains("does not exist"), "{said}");
    let made = primary.call(
        "POST",
        "/api/admin/keys",
        r#"{"role":"reader","name":"bob"}"#,
    );
    let made = made.expect(201).json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let told = || {
        let mut client = Client::connect(&standby.address, Some(key)).ok()?;
        Some(client.call("GET", "/api/flags/get", &[], b"").ok()?.status)
    };
    until_within(PATIENCE, "the key is known", || told() == Some(200));
    let path = format!("/api/admin/keys/{id}/revoke");
    primary.call("POST", &path, "{}").expect(200);
    until_within(PATIENCE, "the key is not taken", || told() == Some(401));
    let set = r#"{"key":"ab.pricing_v2","value":true}"#;
    primary.call("POST", "/api/flags/set", set).expect(200);
    until_within(PATIENCE, "the flag is shipped", || {
        standby.get("/api/flags/get").json()["flags"]["ab.pricing_v2"] == true
    });
    let bits = |home: &Path| {
        use std::os::unix::fs::PermissionsExt;
        let file = fs::metadata(home.join("configs/keys.json")).unwrap();
        file.permissions().mode() & 0o777
    };
    assert_eq!(bits(&pair.second), 0o600);
    assert!(!pair.second.join("secrets").exists());
}

#[test]
fn a_standby_that_is_killed_again_and_again_ends_up_with_the_same_bytes() {
    let kills = if std::env::var_os("SLOW").is_some() {
        50
    } else {
        6
    };
    let pair = pair();
    fs::create_dir_all(pair.first.join("configs")).unwrap();
    let small = r#"{"journals":{"segment_bytes":65536}}"#;
    fs::write(pair.first.join("configs/echopilot.json"), small).unwrap();
    let primary = Process::serve(&pair.first);
    for kill in 0..kills {
        let standby = Process::follow(&pair.second, &primary.url());
        for number in 0..20 {
            assert_eq!(primary.log(&format!("event-{kill}-{number}")).0, 200);
        }
        standby.kill();
    }
    let standby = Process::follow(&pair.second, &primary.url());
    standby.has_all_of(&pair.first);
    until_within(PATIENCE, "it is known there", || {
        pair.first.join(".echopilot/followers.json").exists()
    });
    let told = standby.get("/api/replica").json();
    assert_eq!(told["apart"], json!({}), "{}", standby.said());
    drop(standby);
    verifies(&pair.second);
    // A new standby registers under its own id once: restarts are the same follower.
    let known = fs::read(pair.first.join(".echopilot/followers.json")).unwrap();
    let known: Value = serde_json::from_slice(&known).unwrap();
    assert_eq!(known.as_array().unwrap().len(), 1);
}

#[test]
fn a_take_over_without_a_running_standby_goes_above_the_epoch_of_a_source_that_took_over_itself() {
    let pair = pair();
    let taken = json!({
        "epoch": 5, "taken_at": "2026-11-21T09:15:02.123Z", "from": "x", "by": "local",
    });
    fs::create_dir_all(pair.first.join(".echopilot")).unwrap();
    let own = pair.first.join(".echopilot/epoch.json");
    fs::write(own, taken.to_string()).unwrap();
    let primary = Process::serve(&pair.first);
    assert_eq!(primary.log("one").0, 200, "{}", primary.said());
    let standby = Process::follow(&pair.second, &primary.url());
    standby.has_all_of(&pair.first);
    standby.kill();
    primary.kill();
    let out = program(&pair.second, &["promote"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    let taken = fs::read(pair.second.join(".echopilot/epoch.json")).unwrap();
    let taken: Value = serde_json::from_slice(&taken).unwrap();
    assert_eq!(taken["epoch"], 6, "{taken}");
}
