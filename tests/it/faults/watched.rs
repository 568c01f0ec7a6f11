//! Rules C3 and C4: configurations whose change notices are lost, or whose folder is another one.

use std::path::Path;
use std::time::Duration;

use super::{alone, sh, within};
use crate::daemon::Daemon;

/// Whatever happens to notices, an edit is in force within this time. Source: goal figures.
const CONVERGED_WITHIN: Duration = Duration::from_secs(6);

fn flags_with(live: bool) -> String {
    format!("{{\n  \"payments.live\": {live}\n}}\n")
}

fn is_live(daemon: &Daemon) -> serde_json::Value {
    let flags = daemon.get("/api/flags/get").expect(200).json();
    flags["flags"]["payments.live"].clone()
}

#[track_caller]
fn save_and_see(daemon: &Daemon, folder: &Path, live: bool, what: &str) {
    let temporary = folder.join("saving");
    std::fs::write(&temporary, flags_with(live)).unwrap();
    std::fs::rename(&temporary, folder.join("flags.json")).unwrap();
    within(CONVERGED_WITHIN, what, || is_live(daemon) == live);
}

#[test]
fn c4_a_configs_folder_that_is_moved_away_and_back_or_replaced_is_followed() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let (configs, away) = (home.path().join("configs"), home.path().join("away"));
    save_and_see(&daemon, &configs, false, "an edit before");
    std::fs::rename(&configs, &away).unwrap();
    // Missing never means "nothing": the last good text stays in force.
    assert_eq!(is_live(&daemon), false);
    std::fs::write(away.join("flags.json"), flags_with(true)).unwrap();
    std::fs::rename(&away, &configs).unwrap();
    within(CONVERGED_WITHIN, "edited while away", || {
        is_live(&daemon) == true
    });
    save_and_see(&daemon, &configs, false, "an edit after it came back");
    // Another folder of the same name, as a deployment by symlink or rename makes it.
    let shown = home.path().display();
    sh(&format!(
        "mkdir {shown}/next; cp -p {shown}/configs/*.json {shown}/next; mv {shown}/configs {shown}/old"
    ));
    sh(&format!("mv {shown}/next {shown}/configs"));
    save_and_see(&daemon, &configs, true, "an edit in the other folder");
    save_and_see(&daemon, &configs, false, "and one more");
}

#[test]
fn c4_a_folder_mounted_over_configs_is_followed() {
    if !alone("faults::watched::c4_a_folder_mounted_over_configs_is_followed") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let shown = home.path().display();
    sh(&format!(
        "mkdir {shown}/other; cp -p {shown}/configs/*.json {shown}/other; mount --bind {shown}/other {shown}/configs"
    ));
    save_and_see(
        &daemon,
        &home.path().join("configs"),
        false,
        "an edit beneath the mount",
    );
    sh(&format!("umount -l {shown}/configs"));
    within(CONVERGED_WITHIN, "what was there before", || {
        is_live(&daemon) == true
    });
}

#[test]
fn c4_lost_notices_are_made_up_by_looking() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    let configs = home.path().join("configs");
    // The daemon's threads stand still while more happens than any queue of notices holds.
    sh(&format!("kill -STOP {}", daemon.pid()));
    let queue: usize = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let (one, other) = (configs.join("noise"), configs.join("noise2"));
    std::fs::write(&one, "").unwrap();
    for _ in 0..queue.min(1 << 15) {
        std::fs::rename(&one, &other).unwrap();
        std::fs::rename(&other, &one).unwrap();
    }
    std::fs::write(configs.join("saving"), flags_with(false)).unwrap();
    std::fs::rename(configs.join("saving"), configs.join("flags.json")).unwrap();
    sh(&format!("kill -CONT {}", daemon.pid()));
    within(CONVERGED_WITHIN, "the save among the noise", || {
        is_live(&daemon) == false
    });
    save_and_see(&daemon, &configs, true, "an edit after");
}
