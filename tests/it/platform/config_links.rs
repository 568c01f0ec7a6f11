//! Symbolic links: a folder may be one, a document may not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use crate::cli::run;
use crate::daemon::{Daemon, PATIENCE};

fn flag_becomes(daemon: &Daemon, value: bool) {
    let begun = Instant::now();
    while daemon.get("/api/flags/get").json()["flags"]["ui.new_dashboard"] != value {
        assert!(begun.elapsed() < PATIENCE, "the edit was not noticed");
        std::thread::yield_now();
    }
}

#[test]
fn the_home_and_its_configurations_may_be_reached_by_links() {
    let place = tempfile::tempdir().expect("a folder");
    let at = |name: &str| place.path().join(name);
    for folder in ["real", "checkout"] {
        fs::create_dir(at(folder)).expect("a folder");
    }
    symlink(at("checkout"), at("real/configs")).expect("a link");
    symlink(at("real"), at("home")).expect("a link");
    let home = at("home");
    let daemon = Daemon::start(&home);
    run(&home, &["flag", "set", "ui.new_dashboard", "true"]).expect(0);
    let file = at("checkout/flags.json");
    let text = fs::read_to_string(&file).expect("the file");
    assert!(text.contains("\"ui.new_dashboard\": true"), "{text}");
    // As a pull does: a new file renamed over the old one.
    let new = at("checkout/.new");
    fs::write(
        &new,
        text.replace("\"ui.new_dashboard\": true", "\"ui.new_dashboard\": false"),
    )
    .expect("the file");
    fs::rename(&new, &file).expect("a rename");
    flag_becomes(&daemon, false);
    let second = run(&at("real"), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(
        second.code, 75,
        "by its other name the home is held too: {second:#?}"
    );
    run(&home, &["backup"]).expect(0);
}

fn link_away(home: &Path) -> std::path::PathBuf {
    let file = home.join("configs/flags.json");
    let target = home.join("flags-elsewhere.json");
    fs::rename(&file, &target).expect("a rename");
    symlink(&target, &file).expect("a link");
    target
}

#[test]
fn a_document_that_is_a_link_is_refused_in_words_and_never_written_through() {
    let home = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(home.path());
    let target = link_away(home.path());
    let before = fs::read(&target).expect("the file");
    let begun = Instant::now();
    loop {
        let status = run(home.path(), &["status", "--json"]);
        let told = format!("{}{}", status.out, status.err);
        if told.contains("is a symbolic link") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{told}");
    }
    let check = run(home.path(), &["check"]).expect(1);
    assert!(
        check.err.contains("configs/flags.json` is a symbolic link"),
        "{check:#?}"
    );
    assert!(
        check.err.contains("make the folder `configs` the link"),
        "{check:#?}"
    );
    let refused = daemon
        .post(
            "/api/flags/set",
            r#"{"key":"ui.new_dashboard","value":true}"#,
        )
        .expect(409);
    let told = refused.json();
    assert_eq!(told["error"], "not_editable", "{told}");
    assert!(
        told["detail"]
            .as_str()
            .is_some_and(|text| text.contains("symbolic link")),
        "{told}"
    );
    daemon.get("/api/flags/get").expect(200);
    assert_eq!(fs::read(&target).expect("the file"), before);
    let backup = run(home.path(), &["backup"]).expect(0);
    assert!(
        backup.err.contains("`configs/flags.json` is left out"),
        "{backup:#?}"
    );
}
