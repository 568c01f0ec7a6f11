//! `configs/echopilot.json`: the shipped text, its schema, its bounds.

use std::path::Path;
use std::time::Duration;

use echopilot::app::assemble::config_kinds;
use echopilot::platform::config::{Config, DaemonConfig, DaemonRules, check_text, read, schemas};
use echopilot::storage::engine::Durability;

use crate::daemon::Daemon;

fn rules(text: &str) -> Result<DaemonRules, String> {
    read::<DaemonConfig>("configs/echopilot.json", text.as_bytes())
        .map_err(|problems| problems.to_string())
}

#[test]
fn the_shipped_text_says_the_defaults() {
    let shipped = rules(DaemonConfig::SHIPPED).expect("passes");
    assert_eq!(
        rules("{}").expect("passes"),
        shipped,
        "every default is written out"
    );
    assert_eq!(shipped.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(shipped.allowed_hosts, ["localhost", "127.0.0.1", "::1"]);
    assert_eq!(shipped.durability("experiments"), Durability::Always);
    let second = Durability::Interval(Duration::from_secs(1));
    assert_eq!(shipped.durability("exposures"), second);
}

#[test]
fn every_wrong_setting_is_told_at_once() {
    let told = rules(
        r#"{
  "listen": "localhost:5000",
  "allowed_hosts": ["ok.example", "http://x"],
  "trusted_proxies": ["10.0.0.0/33"],
  "limits": { "max_connections": 10, "max_connections_per_ip": 11 },
  "outbound": { "allow": ["127.0.0.1:8080", "0.0.0.0/0", "http://x"] },
  "journals": { "durability": { "A": "os", "b": "interval:2h", "c": "sometimes", "d": "os" } }
}"#,
    )
    .expect_err("refused");
    let places = [
        "line 2, column 3: `listen` is \"localhost:5000\"",
        "line 3, column 35: `allowed_hosts[1]`",
        "line 4, column 23: `trusted_proxies[0]`",
        "line 5, column 38: `limits.max_connections_per_ip` is 11, must be at most",
        "line 6, column 45: `outbound.allow[1]`",
        "line 6, column 58: `outbound.allow[2]`",
        "line 7, column 33: `journals.durability.A`",
        "line 7, column 44: `journals.durability.b`",
        "line 7, column 64: `journals.durability.c`",
    ];
    for place in places {
        assert!(told.contains(place), "{told}\nlacks {place}");
    }
    assert_eq!(
        told.matches("error: cannot apply").count(),
        places.len(),
        "{told}"
    );
    let told =
        rules(r#"{ "limits": { "max_conections": 0, "max_connections": 0 } }"#).expect_err("");
    assert!(told.contains("did you mean `max_connections`?"), "{told}");
    assert!(
        told.contains("`limits.max_connections` is 0, must be at least 1 and at most 65536"),
        "{told}"
    );
}

#[test]
fn a_changed_address_waits_for_the_next_start() {
    let before = rules("{}").expect("passes");
    let after = rules(r#"{ "listen": "[::1]:0", "limits": { "max_connections": 300 } }"#);
    let restart = DaemonConfig::restart_needed(&before, &after.expect("passes"));
    assert_eq!(restart, ["listen"], "limits take effect at once");
    for (name, expected) in [("exposures", None), ("keys", Some("journals.durability"))] {
        let text = format!(
            r#"{{ "journals": {{ "durability": {{ "exposures": "interval:1s", "{name}": "os" }} }} }}"#
        );
        // The same name twice is refused: say it once for exposures.
        let text = text.replace(
            r#""exposures": "interval:1s", "exposures""#,
            r#""exposures""#,
        );
        let after = rules(&text).expect("passes");
        let restart = DaemonConfig::restart_needed(&before, &after);
        assert_eq!(restart, expected.into_iter().collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn a_file_of_another_name_is_no_configuration() {
    let told = check_text(&config_kinds(), "/etc/x/echopilott.json", b"{}").to_string();
    assert!(
        told.contains("`/etc/x/echopilott.json`: no configuration has this file name"),
        "{told}"
    );
    assert!(told.contains("did you mean `echopilot.json`?"), "{told}");
    assert!(check_text(&config_kinds(), "/etc/x/echopilot.json", b"{}").is_empty());
}

/// The published schemas are those of the types. `UPDATE_SCHEMAS=1` writes them anew.
#[test]
fn published_schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/schema");
    for (file, text) in schemas(&config_kinds()) {
        let path = folder.join(&file);
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).expect("folder");
            std::fs::write(&path, &text).expect("written");
        }
        let published = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            published == text,
            "configs/schema/{file} is not that of the type; write it anew with\n  \
             UPDATE_SCHEMAS=1 cargo test --test it published_schemas"
        );
    }
    for kind in config_kinds() {
        let name = kind.file.trim_end_matches(".json");
        let reference = format!("\"$schema\": \"schema/{name}.schema.json\"");
        assert!(
            kind.shipped.contains(&reference),
            "{} lacks {reference}",
            kind.file
        );
    }
}

#[test]
fn l02_health_shows_how_sure_each_journal_is() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join("configs")).expect("a folder");
    let settings = r#"{ "journals": { "durability": {
        "feature_flags": "os", "exposures": "interval:500ms" } } }"#;
    std::fs::write(home.path().join("configs/echopilot.json"), settings).expect("settings");
    let daemon = Daemon::start(home.path());
    let shown = daemon.get("/health").expect(200).json()["durability"].clone();
    let levels = [
        ("experiments", "always"),
        ("exposures", "interval:500ms"),
        ("feature_flags", "os"),
        ("keys", "always"),
        ("configs", "always"),
    ];
    for (journal, level) in levels {
        assert_eq!(shown[journal], level, "{journal}: {shown}");
    }
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_echopilot"))
        .args(["status", "--json", "--home"])
        .arg(home.path())
        .output()
        .expect("it runs");
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(status["report"]["durability"], shown, "{status}");
}
