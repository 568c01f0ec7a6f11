//! `echopilot check` and `echopilot schema`.

use std::fs;

use super::run;
use crate::tidy::tree::repository;

#[test]
fn the_shipped_configs_are_good() {
    let ran = run(repository(), &["check"]).expect(0);
    let good = ran
        .out
        .lines()
        .filter(|line| line.starts_with("ok "))
        .count();
    let shipped = fs::read_dir(repository().join("configs")).expect("configs");
    let shipped = shipped.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".json")
    });
    assert_eq!(
        good,
        shipped.count(),
        "each shipped file is known and good: {ran:#?}"
    );
    assert_eq!(ran.err, "", "and nothing is wondered at");
}

#[test]
fn every_fault_is_told_at_once_with_its_place_and_cure() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("experiments.json");
    let text = "{\n  \"a\": { \"variant\": [\"A\", \"B\"], \"salt\": \"x\" },\n  \
        \"b\": { \"variants\": 7, \"salt\": \"x\" }\n}\n";
    fs::write(&file, text).expect("a file");
    let path = file.to_str().expect("UTF-8");

    let ran = run(home.path(), &["check", path]).expect(1);
    assert!(ran.out.contains("line 2, column"), "{}", ran.out);
    assert!(ran.out.contains("line 3, column"), "{}", ran.out);
    assert!(ran.out.contains("hint:"), "{}", ran.out);

    let told = run(home.path(), &["check", "--json", path])
        .expect(1)
        .json();
    assert_eq!(told["ok"], false);
    let problems = told["files"][0]["problems"].as_array().expect("problems");
    assert!(
        problems.iter().any(|problem| problem["line"] == 2),
        "{told}"
    );
    assert!(
        problems.iter().any(|problem| problem["line"] == 3),
        "{told}"
    );
}

#[test]
fn a_misspelt_file_name_is_told() {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("configs")).expect("a folder");
    fs::write(home.path().join("configs/flag.json"), "{}").expect("a file");
    fs::write(home.path().join("configs/flags.json"), "{}").expect("a file");
    let ran = run(home.path(), &["check"]).expect(0);
    assert!(ran.err.contains("`configs/flag.json`"), "{ran:#?}");
    assert!(ran.err.contains("did you mean `flags.json`?"), "{ran:#?}");
    let named = run(home.path(), &["check", "flag.json"]).expect(1);
    assert!(
        named.err.contains("did you mean `flags.json`?"),
        "{named:#?}"
    );
}

#[test]
fn a_folder_without_configs_is_not_called_good() {
    let home = tempfile::tempdir().expect("a folder");
    let ran = run(home.path(), &["check"]).expect(1);
    assert!(ran.out.is_empty() && ran.err.contains("hint:"), "{ran:#?}");
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    let home = tempfile::tempdir().expect("a folder");
    let ran = run(home.path(), &["schema", "--write"]).expect(0);
    assert!(ran.out.lines().count() >= 2, "{ran:#?}");
    for line in ran.out.lines() {
        let name = line.rsplit('/').next().expect("a name");
        let shipped = repository().join("configs/schema").join(name);
        let shipped = fs::read_to_string(&shipped).unwrap_or_default();
        let fresh = fs::read_to_string(line).expect("it was written");
        assert!(
            shipped == fresh,
            "`configs/schema/{name}` is old: run `cargo run -- schema --write` in the repository"
        );
    }
    let all = run(home.path(), &["schema"]).expect(0).json();
    assert!(all["flags.schema.json"].is_object(), "{all}");
    let one = run(home.path(), &["schema", "flags.json"]).expect(0).json();
    assert_eq!(one, all["flags.schema.json"]);
}
