//! `echopilot verify`.

use std::fs;

use super::run;

#[test]
fn a_changed_line_is_named() {
    let home = tempfile::tempdir().expect("a folder");
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
