//! Replicas in a bucket, against a real server (s3s-fs, which checks every signature): what is sent
//! comes back, and whatever is wrong is said without a secret.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use echopilot::base::secret::Secret;
use serde_json::json;

use super::lab::{ends, run, run_well, write};
use crate::cli;
use crate::world::World;

const KEY: &str = "AKIAECHOPILOTTEST";
const SECRET: &str = "not+a/real-secret-0123456789abcdefghij";

/// The server, and its folder.
struct Store {
    child: Child,
    port: u16,
    root: PathBuf,
}

impl Store {
    fn start(root: &Path, port: Option<u16>) -> Self {
        let port = port.unwrap_or_else(|| {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        });
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/bin/s3s-fs");
        let child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--access-key", KEY, "--secret-key", SECRET])
            .arg(root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("s3s-fs is there: `tests/run` installs it");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "it does not listen"
            );
            std::thread::yield_now();
        }
        let root = root.to_owned();
        Self { child, port, root }
    }

    /// Configuration with one replica in its bucket `bucket`.
    fn config(&self, bucket: &str) -> String {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        json!({ "replicas": [{
            "name": "offsite",
            "read_back_hours": 0,
            "s3": { "endpoint": endpoint, "bucket": bucket, "prefix": "shop" },
        }] })
        .to_string()
    }

    /// The daemon's settings with which it may be reached.
    fn allowing(&self) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        json!({ "outbound": { "allow": [address] }, "journals": { "segment_bytes": 65536 } })
            .to_string()
    }

    fn world(&self, bucket: &str, secret: &'static str) -> World {
        World::with_config("backups.json", &self.config(bucket))
            .config("echopilot.json", &self.allowing())
            .with_seams(move |seams| {
                seams
                    .secrets
                    .give("S3_ACCESS_KEY", Secret::new(KEY.to_owned()));
                seams
                    .secrets
                    .give("S3_SECRET_KEY", Secret::new(secret.to_owned()));
            })
            .start()
    }

    /// The objects of `kind` in the bucket.
    fn objects(&self, kind: &str) -> Vec<PathBuf> {
        let folder = self.root.join("kept/shop").join(kind);
        let names = fs::read_dir(folder).into_iter().flatten();
        let mut found: Vec<PathBuf> = names.map(|one| one.unwrap().path()).collect();
        found.sort();
        found
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn buckets() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("kept")).unwrap();
    let store = Store::start(root.path(), None);
    (root, store)
}

#[test]
fn a_home_comes_back_from_nothing_but_the_bucket() {
    let (_root, store) = buckets();
    let world = store.world("kept", SECRET);
    for value in [true, false, true] {
        write(&world, value);
    }
    // More than one part: 20 MiB that are one line each.
    let line = format!("{{\"by\":\"{}\"}}\n", "h".repeat(1000));
    let large = "old.00000000000000000001-00000000000000000009.ndjson";
    fs::write(world.home().join("logs").join(large), line.repeat(20_000)).unwrap();
    let first = run_well(&world, "replica-sync")["output"]["replicas"][0].clone();
    assert!(
        first["sent_bytes"].as_u64() > Some(2 * (8 << 20)),
        "{first}"
    );
    write(&world, false);
    let second = run_well(&world, "replica-sync")["output"]["replicas"][0].clone();
    assert!(
        second["sent_files"].as_u64() < Some(20),
        "only what is new: {second}"
    );
    assert!(second["sent_bytes"].as_u64() < Some(1 << 20), "{second}");
    let actives = store.objects("logs");
    let flags = |path: &&PathBuf| path.to_string_lossy().contains("/feature_flags.ndjson.");
    assert_eq!(
        actives.iter().filter(flags).count(),
        1,
        "older ones are gone: {actives:?}"
    );
    let mut then = ends(world.home());
    drop(world);

    // Another machine: the row of the bucket, the two secrets, nothing else.
    let bare = tempfile::tempdir().unwrap();
    let home = bare.path().join("bare");
    fs::create_dir_all(home.join("configs")).unwrap();
    fs::write(home.join("configs/backups.json"), store.config("kept")).unwrap();
    fs::write(home.join("configs/echopilot.json"), store.allowing()).unwrap();
    let new = bare.path().join("new");
    let to = new.to_str().unwrap();
    let refused = cli::run(&home, &["restore", "s3:offsite", "--to", to]).expect(1);
    assert!(
        refused.err.contains("`S3_ACCESS_KEY` was not given"),
        "{refused:?}"
    );
    fs::create_dir(home.join("secrets")).unwrap();
    for (file, text) in [("s3_access_key", KEY), ("s3_secret_key", SECRET)] {
        let path = home.join("secrets").join(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let ran = cli::run(&home, &["restore", "s3:offsite", "--to", to]).expect(0);
    assert!(!ran.err.contains(SECRET) && !ran.out.contains(SECRET));
    let mut now = ends(&new);
    let own = |all: &mut Vec<(String, u64, Vec<u8>, u64)>| {
        // The runs themselves go on record after the replica was made.
        all.retain(|(name, ..)| !["task_runs", "backups"].contains(&&**name));
    };
    own(&mut then);
    own(&mut now);
    assert_eq!(now, then);
    let left = fs::read_dir(bare.path()).unwrap().count();
    assert_eq!(left, 2, "nothing is left of the fetching");
}

#[test]
fn what_is_wrong_with_a_store_is_said_with_its_cure_and_without_a_secret() {
    let (_root, store) = buckets();
    let cases = [
        (
            "kept",
            "another-secret-that-is-wrong",
            "see whether both secrets",
        ),
        ("missing", SECRET, "make the bucket"),
    ];
    for (bucket, secret, cure) in cases {
        let world = store.world(bucket, secret);
        let record = run(&world, "replica-sync");
        assert_eq!(record["outcome"], "failed", "{record}");
        let error = record["error"].as_str().unwrap();
        assert!(error.contains(cure), "{error}");
        let all = format!("{record}{:?}", world.journal("backups"));
        assert!(!all.contains(secret) && !all.contains(SECRET), "{all}");
        assert!(store.objects("logs").is_empty(), "{bucket}");
    }
}

#[test]
fn a_store_that_goes_away_is_used_again_and_damage_there_is_mended() {
    let (root, store) = buckets();
    let world = store.world("kept", SECRET);
    write(&world, true);
    run_well(&world, "replica-sync");
    let port = store.port;
    drop(store);
    write(&world, false);
    let record = run(&world, "replica-sync");
    let error = record["error"].as_str().unwrap();
    assert!(error.contains("cannot connect to `127.0.0.1"), "{error}");

    let store = Store::start(root.path(), Some(port));
    run_well(&world, "replica-sync");
    let configs = store.objects("configs");
    let flags = configs
        .iter()
        .find(|path| path.to_string_lossy().contains("/flags.json."))
        .expect("it is there");
    let good = fs::read(flags).unwrap();
    let mut bad = good.clone();
    bad[20] ^= 1;
    fs::write(flags, bad).unwrap();
    let told = run_well(&world, "replica-sync")["output"]["replicas"][0].clone();
    assert_eq!(told["mended"], 1, "{told}");
    assert_eq!(fs::read(flags).unwrap(), good);
    fs::remove_file(flags).unwrap();
    let told = run_well(&world, "replica-sync")["output"]["replicas"][0].clone();
    assert_eq!(told["mended"], 1, "{told}");
    assert_eq!(fs::read(flags).unwrap(), good);
}
