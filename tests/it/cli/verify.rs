//! `echopilot verify`.

use std::fs;

use super::run;

#[test]
fn a_changed_line_is_named() {
    let home = super::begun();
    for value in ["true", "false", "true"] {
        run(home.path(), &["flag", "set", "ui.new_dashboard", value]).expect(0);
    }
    let good = run(home.path(), &["verify"]).expect(0);
    assert!(
        good.out.contains("feature_flags") && !good.out.contains("BAD "),
        "{good:#?}"
    );

    let path = home.path().join("logs/feature_flags.ndjson");
    let text = fs::read_to_string(&path).expect("the journal");
    let forged = text.replacen("\"actor\":\"local\"", "\"actor\":\"nobody\"", 1);
    assert_ne!(forged, text);
    let line = 1 + text
        .lines()
        .zip(forged.lines())
        .position(|(a, b)| a != b)
        .expect("a change");
    fs::write(&path, forged).expect("the journal");

    let bad = run(home.path(), &["verify"]).expect(1);
    assert!(
        bad.out
            .contains(&format!("`logs/feature_flags.ndjson`, line {line}")),
        "{bad:#?}"
    );
    let told = run(home.path(), &["verify", "feature_flags", "--json"])
        .expect(1)
        .json();
    assert_eq!(
        (&told["ok"], &told["journals"][0]["bad"][0]["line"]),
        (&false.into(), &line.into())
    );
    run(home.path(), &["verify", "configs"]).expect(0);
    let unknown = run(home.path(), &["verify", "config"]).expect(1);
    assert!(
        unknown.err.contains("did you mean `configs`?"),
        "{unknown:#?}"
    );
}

#[test]
fn l13_the_daemons_own_log_is_what_anchors_are_read_from() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = crate::daemon::Daemon::start(home.path());
    let flag = r#"{"key":"ui.new_dashboard","value":true}"#;
    daemon.post("/api/flags/set", flag).expect(200);
    let (code, told) = daemon.stop_and_hear();
    assert_eq!(code, Some(0));
    let log = home.path().join("the-log");
    fs::write(&log, told.join("\n")).expect("the log");
    let log = log.to_str().expect("a plain path");
    let good = run(home.path(), &["verify", "--anchors", log, "--json"])
        .expect(0)
        .json();
    let compared = good["journals"].as_array().expect("journals").iter();
    let compared = compared.filter(|journal| journal["anchors"] == 1).count();
    assert!(compared >= 2, "{good:#}\n{told:#?}");

    // Without its last line the chain fits itself, and not what was told of it.
    let path = home.path().join("logs/feature_flags.ndjson");
    let text = fs::read_to_string(&path).expect("the journal");
    let cut = text.trim_end().rfind('\n').expect("two lines") + 1;
    fs::write(&path, &text[..cut]).expect("the journal");
    run(home.path(), &["verify", "feature_flags"]).expect(0);
    let bad = run(home.path(), &["verify", "feature_flags", "--anchors", log]).expect(1);
    assert!(bad.out.contains("anchored"), "{bad:#?}");
    let none = home.path().join("configs/flags.json");
    let none = none.to_str().expect("a plain path");
    run(home.path(), &["verify", "--anchors", none]).expect(1);
}
