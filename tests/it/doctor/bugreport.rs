//! `echopilot bugreport`: secrets and people that were planted everywhere are found nowhere in it,
//! and what is needed for a diagnosis is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use chrono::Utc;

use super::journal;
use crate::cli::{begun, run};
use crate::daemon::{DASH, Daemon};

/// What is planted, in pieces that must not appear even alone.
const PLANTED: [&str; 24] = [
    "T0PLANTED1",
    "planted-token-02a7",
    DASH,
    "PLANTEDFOUR4X9",
    "sesame-of-the-note",
    "words of a banner",
    "planted6user",
    "planted6pass",
    "planted6query",
    "alice@planted.example",
    "planted.example",
    "passwordten",
    "4711471147",
    "carol",
    "order number of a customer",
    "plantedtwelve",
    "planted13abc",
    "correct horse battery",
    "planted16sixteen",
    "argument-of-a-command",
    "eyJhbGciOiJIUzI1NiJ9",
    "203.0.113.77",
    "grafana-of-bob",
    "planted18env",
];

/// Puts the planted things into a home, wherever a person or a program could have.
fn plant(home: &Path, credentials: &Path) -> Vec<String> {
    let put = |name: &str, text: &str| {
        let path = home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    run(
        home,
        &["flag", "set", "ui.banner", "words of a banner", "--create"],
    )
    .expect(0);
    let made = run(
        home,
        &["key", "new", "dash", "--name", "grafana-of-bob", "--json"],
    )
    .expect(0);
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let keys = fs::read_to_string(home.join("configs/keys.json")).unwrap();
    let keys: serde_json::Value = serde_json::from_str(&keys).unwrap();
    let (id, entry) = keys["keys"].as_object().unwrap().iter().next().unwrap();
    let hash = entry["sha256"].as_str().unwrap().to_owned();
    let hook = "https://hooks.slack.com/services/T0PLANTED1/B0";
    put("secrets/slack_webhook_url", hook);
    fs::set_permissions(
        home.join("secrets/slack_webhook_url"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    fs::write(credentials.join("imap_pass"), "correct horse battery\n").unwrap();
    put(
        "configs/alerts.json",
        r#"{ "$comment": "the password is sesame-of-the-note",
             "channels": { "mine": { "webhook": { "signing_secret": "PLANTEDFOUR4X9" } } } }"#,
    );
    put(
        "configs/probes.json",
        r#"{ "probes": { "shop": { "http": {
             "url": "https://planted6user:planted6pass@shop.example/health?k=planted6query",
             "headers": { "Authorization": "Bearer planted13abc" } } } } }"#,
    );
    put(
        "configs/support.json",
        r#"{ "triage": { "own_addresses": ["alice@planted.example"],
             "customers": { "planted.example": "plus" } } }"#,
    );
    put(
        "configs/incidents.json",
        r#"{ "recovery": { "x": { "command": ["/bin/true", "argument-of-a-command"] } } }"#,
    );
    put("configs/slo.json", r#"{ "password": "plantedtwelve"#);
    put(
        "configs/echopilot.json",
        r#"{ "listen": "planted16sixteen" }"#,
    );
    let now = Utc::now();
    let lines = [
        (
            "run.ended",
            now,
            r#""task":"support-inbox","reason":"login with password=passwordten and correct horse battery at 203.0.113.77","output":{"chat_id":4711471147,"jwt":"eyJhbGciOiJIUzI1NiJ9"}"#,
        ),
        (
            "run.ended",
            now,
            r#""task":"support-inbox","from":"carol <carol@planted.example>","subject":"order number of a customer","text_was":"mail to alice@planted.example about https://x.example/a?t=planted6query""#,
        ),
    ];
    fs::write(home.join("logs/task_runs.ndjson"), journal(&lines)).unwrap();
    vec![key, id.clone(), hash]
}

/// Makes a report and gives its text.
fn report(home: &Path, name: &str) -> String {
    let to = home.join(name);
    let ran = run(home, &["bugreport", "--to", to.to_str().unwrap()]).expect(0);
    assert!(ran.err.contains("nothing was sent"), "{ran:#?}");
    for part in ["doctor.json", "configs/flags.json", "logs/task_runs.ndjson"] {
        assert!(ran.out.contains(part), "{part}: {ran:#?}");
    }
    let mode = fs::metadata(&to).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "for its owner's eyes");
    let again = run(home, &["bugreport", "--to", to.to_str().unwrap()]).expect(1);
    assert!(again.err.contains("hint: name another file"), "{again:#?}");
    let listed = Command::new("tar").arg("-tf").arg(&to).output().unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.status.success() && names.lines().count() >= 20,
        "{names}"
    );
    String::from_utf8_lossy(&fs::read(&to).unwrap()).into_owned()
}

#[test]
fn planted_secrets_and_people_are_found_nowhere_in_a_report() {
    let home = begun();
    let credentials = tempfile::tempdir().unwrap();
    let more = plant(home.path(), credentials.path());
    let down = report(home.path(), "down.tar");
    let daemon = Daemon::start_with(home.path(), |command| {
        command
            .env("TELEGRAM_BOT_TOKEN", "planted-token-02a7")
            .env("SHOP_API_KEY", "planted18env")
            .env("CREDENTIALS_DIRECTORY", credentials.path());
    });
    daemon.get("/api/flags/get").expect(200);
    let up = report(home.path(), "up.tar");
    let token = fs::read_to_string(home.path().join(".echopilot/daemon.json")).unwrap();
    let token: serde_json::Value = serde_json::from_str(&token).unwrap();
    let token = token["token"].as_str().unwrap().to_owned();
    // The credential is known to the daemon alone: while it is down nobody else can tell.
    let unknown = ["correct horse battery"];
    for (which, text) in [("down", &down), ("up", &up)] {
        let planted = PLANTED.into_iter().chain(more.iter().map(String::as_str));
        let found: Vec<&str> = planted
            .chain([token.as_str()])
            .filter(|one| which == "up" || !unknown.contains(one))
            .filter(|one| text.contains(one))
            .collect();
        assert!(found.is_empty(), "{which}: {found:?} in\n{text}");
    }
    for kept in [
        "config.rejected",
        "\"task\":\"support-inbox\"",
        "`ALERT_WEBHOOK_URL` (alerts.json)",
        "echopilot_journal_lines_total{journal=\"storage\"}",
        "https://shop.example/health?[query]",
        "\"check\": \"permissions\"",
        "\"status\": \"fail\"",
        "bytes that do not parse as JSON: left out",
    ] {
        assert!(
            up.contains(kept) || kept == "segment_bytes",
            "{kept} in\n{up}"
        );
    }
}

#[test]
fn a_report_is_packed_unless_its_name_says_otherwise() {
    let home = begun();
    run(home.path(), &["flag", "set", "ui.new_dashboard", "true"]).expect(0);
    let to = home.path().join("x.tar.zst");
    let ran = run(
        home.path(),
        &["bugreport", "--json", "--to", to.to_str().unwrap()],
    )
    .expect(0);
    assert_eq!(ran.json()["sent"], false, "{ran:#?}");
    let packed = fs::read(&to).unwrap();
    assert_eq!(&packed[..4], b"\x28\xb5\x2f\xfd", "zstd's own mark");
    assert_eq!(ran.json()["bytes"], packed.len());
    let wrong = home.path().join("x.zip");
    let ran = run(home.path(), &["bugreport", "--to", wrong.to_str().unwrap()]).expect(1);
    assert!(ran.err.contains("hint: end it in .tar.zst"), "{ran:#?}");
    assert!(!wrong.exists());
}
