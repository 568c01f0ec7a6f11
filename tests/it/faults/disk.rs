//! Rules L8–L10: full, read-only and locked disks.

use std::path::Path;

use super::{
    Load, MENDED_WITHIN, REFUSED_WITHIN, alone, assert_nothing_lost, assert_reads, assert_refusal,
    is_root, log, sh, within,
};
use crate::daemon::{DASH, Daemon};

/// Mounts a tmpfs of `size` there.
fn tmpfs(at: &Path, size: &str) {
    sh(&format!(
        "mount -t tmpfs -o size={size} tmpfs {}",
        at.display()
    ));
}

/// Fills the disk to the last byte by a file that is none of ours.
fn fill(at: &Path) {
    let file = at.join("somebody-elses");
    sh(&format!(
        "dd if=/dev/zero of={} bs=1k 2>/dev/null || true",
        file.display()
    ));
}

fn make_room(at: &Path) {
    std::fs::remove_file(at.join("somebody-elses")).unwrap();
}

/// Fills the disk under load, looks at everything, makes room, looks again.
fn fill_under_load(home: &Path) {
    let daemon = Daemon::start(home);
    let load = Load::start(&daemon, 4, "load");
    load.acknowledge(20);
    fill(home);
    within(MENDED_WITHIN, "lines are refused", || {
        load.told.lock().unwrap().refused.values().sum::<u32>() > 50
    });
    assert_reads(&daemon);
    let flags = daemon.get("/api/flags/get");
    assert_eq!(flags.header("x-echopilot-degraded"), Some("storage_full"));
    let ready = daemon.get("/readyz?verbose");
    assert_eq!(ready.status, 503);
    assert!(String::from_utf8_lossy(&ready.body).contains("storage_full"));
    assert_eq!(daemon.get("/health").json()["ok"], false);
    make_room(home);
    within(MENDED_WITHIN, "lines are accepted again", || {
        log(&daemon, "after").status == 200
    });
    load.acknowledge(20);
    let told = load.end();
    assert_eq!(told.refused.keys().collect::<Vec<_>>(), ["storage_full"]);
    assert!(
        told.slowest_refusal < REFUSED_WITHIN,
        "{:?}",
        told.slowest_refusal
    );
    within(MENDED_WITHIN, "it is ready again", || {
        daemon.get("/readyz").status == 200
    });
    let flags = daemon.get("/api/flags/get");
    assert_eq!(flags.header("x-echopilot-degraded"), None);
    assert_nothing_lost(daemon, &told.acked);
}

#[test]
fn l08_l09_a_disk_that_fills_up_refuses_lines_serves_reads_and_recovers() {
    if !alone("faults::disk::l08_l09_a_disk_that_fills_up_refuses_lines_serves_reads_and_recovers")
    {
        return;
    }
    for size in ["256k", "1m", "4m"] {
        let home = tempfile::tempdir().unwrap();
        tmpfs(home.path(), size);
        fill_under_load(home.path());
        sh(&format!("umount {}", home.path().display()));
    }
    if is_root() && Path::new("/dev/loop-control").exists() {
        let place = tempfile::tempdir().unwrap();
        let (image, home) = (place.path().join("image"), place.path().join("home"));
        let (image, shown) = (image.display(), home.display());
        sh(&format!(
            "mkdir {shown}; truncate -s 8M {image}; mkfs.ext4 -q {image}; mount -o loop {image} {shown}"
        ));
        fill_under_load(&home);
        sh(&format!("umount {shown}"));
    }
}

#[test]
fn l09_our_own_lines_fill_the_disk_and_the_reserve_still_lets_a_segment_be_sealed() {
    let name = "faults::disk::\
        l09_our_own_lines_fill_the_disk_and_the_reserve_still_lets_a_segment_be_sealed";
    if !alone(name) {
        return;
    }
    for size in ["512k", "1m"] {
        let home = tempfile::tempdir().unwrap();
        tmpfs(home.path(), size);
        let daemon = Daemon::start(home.path());
        let load = Load::start(&daemon, 8, "load");
        within(crate::daemon::PATIENCE, "our own lines fill it", || {
            load.told.lock().unwrap().refused.values().sum::<u32>() > 20
        });
        assert_reads(&daemon);
        let told = load.end();
        assert_eq!(told.refused.keys().collect::<Vec<_>>(), ["storage_full"]);
        assert!(
            !home.path().join(".echopilot/.reserve").exists(),
            "the reserve is given away"
        );
        let path = home.path().join("configs/flags.json");
        let edited = std::fs::read_to_string(&path)
            .unwrap()
            .replace("\"payments.live\": true", "\"payments.live\": false");
        std::fs::write(home.path().join("configs/new"), edited).expect("room for an editor");
        std::fs::rename(home.path().join("configs/new"), &path).unwrap();
        within(MENDED_WITHIN, "a save by hand is in force", || {
            daemon.get("/api/flags/get").json()["flags"]["payments.live"] == false
        });
        assert_nothing_lost(daemon, &told.acked);
        // Started again on the full disk: the ids are known, the flags served.
        let daemon = Daemon::start(home.path());
        let (id, seq) = told.acked.iter().next_back().unwrap();
        assert_eq!(log(&daemon, id).expect(200).json()["seq"], *seq);
        // The end of the first life may have left room for a few lines more.
        let mut new = (0..20_000).map(|number| log(&daemon, &format!("new-{number}")));
        let refused = new.find(|answer| answer.status != 200);
        assert_refusal(&refused.expect("it is full still, or soon again"));
        drop(daemon);
        sh(&format!("umount {}", home.path().display()));
    }
}

#[test]
fn l08_it_starts_on_a_full_a_read_only_and_a_locked_disk_and_serves_what_it_can() {
    let name = "faults::disk::\
        l08_it_starts_on_a_full_a_read_only_and_a_locked_disk_and_serves_what_it_can";
    if !alone(name) {
        return;
    }
    for fresh in [false, true] {
        for case in &CASES {
            if fresh && case.harm.contains("bind") {
                continue;
            }
            let home = tempfile::tempdir().unwrap();
            act(home.path(), "mount -t tmpfs -o size=1m tmpfs $H");
            case.run(home.path(), fresh);
            act(home.path(), "umount $H");
        }
    }
}

fn act(home: &Path, script: &str) {
    sh(&script.replace("$H", &home.display().to_string()));
}

struct Case {
    /// What is done to the disk.
    harm: &'static str,
    /// How it is undone.
    cure: &'static str,
    /// Whether no line can be written then.
    stops_lines: bool,
}

const CASES: [Case; 4] = [
    Case {
        harm: "dd if=/dev/zero of=$H/fill bs=1k 2>/dev/null || true",
        cure: "rm $H/fill",
        stops_lines: true,
    },
    Case {
        harm: "mount -o remount,ro $H",
        cure: "mount -o remount,rw $H",
        stops_lines: true,
    },
    Case {
        harm: "mount --bind $H/logs $H/logs; mount -o remount,bind,ro $H/logs",
        cure: "mount -o remount,bind,rw $H/logs; umount -l $H/logs",
        stops_lines: true,
    },
    Case {
        harm: "mount --bind $H/configs $H/configs; mount -o remount,bind,ro $H/configs",
        cure: "mount -o remount,bind,rw $H/configs; umount -l $H/configs",
        stops_lines: false,
    },
];

impl Case {
    fn run(&self, home: &Path, fresh: bool) {
        let what = format!("{}, fresh: {fresh}", self.harm);
        if !fresh {
            let daemon = Daemon::start(home);
            let flag = r#"{"key":"ui.new_dashboard","value":true}"#;
            daemon.post("/api/flags/set", flag).expect(200);
            log(&daemon, "before").expect(200);
            assert_eq!(daemon.stop(), Some(0));
        }
        act(home, self.harm);
        let daemon = Daemon::start(home);
        assert_reads(&daemon);
        let flags = daemon.get("/api/flags/get").expect(200);
        assert_eq!(flags.json()["flags"]["ui.new_dashboard"], !fresh, "{what}");
        if self.stops_lines {
            assert_refusal(&log(&daemon, "during"));
            let flags = daemon.get("/api/flags/get").expect(200);
            assert!(flags.header("x-echopilot-degraded").is_some(), "{what}");
        }
        let flag = r#"{"key":"payments.live","value":false}"#;
        assert_refusal(&daemon.post("/api/flags/set", flag));
        // What was refused did not happen.
        assert_reads(&daemon);
        act(home, self.cure);
        within(MENDED_WITHIN, &what, || log(&daemon, "after").status == 200);
        // The shipped files too are there, without a restart. Where not even their folder could be
        // made it takes one: nobody watches it.
        if !fresh || self.harm.starts_with("dd ") {
            within(MENDED_WITHIN, &what, || {
                daemon.post("/api/flags/set", flag).status == 200
            });
        }
        if !fresh {
            let seq = log(&daemon, "before").expect(200).json()["seq"].as_u64();
            assert_eq!(seq, Some(1), "what was logged before is known");
        }
        let seq = log(&daemon, "after").json()["seq"].as_u64().unwrap();
        assert_nothing_lost(daemon, &[("after".to_owned(), seq)].into());
    }
}

#[test]
fn l08_it_starts_as_a_user_who_may_not_write_the_logs() {
    let home = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(home.path());
    log(&daemon, "before").expect(200);
    assert_eq!(daemon.stop(), Some(0));
    let shown = home.path().display();
    sh(&format!(
        "chmod -R a+rX {shown}; chmod a-w {shown}/logs {shown}/logs/*"
    ));
    let daemon = Daemon::start_with(home.path(), |command| {
        if is_root() {
            super::calls::under(command, &["setpriv", "--reuid=65534", "--clear-groups"]);
        }
    });
    assert_reads(&daemon);
    assert_eq!(assert_refusal(&log(&daemon, "during")), "storage_failed");
    sh(&format!("chmod a+rwX {shown}/logs {shown}/logs/*"));
    within(MENDED_WITHIN, "lines are accepted again", || {
        log(&daemon, "after").status == 200
    });
    assert_eq!(log(&daemon, "before").expect(200).json()["seq"], 1);
    let key = crate::daemon::Client::connect(&daemon.address, Some(DASH));
    assert!(key.is_ok());
}

#[test]
fn l09_a_disk_with_little_room_left_is_a_warning_before_it_is_a_refusal() {
    let name = "faults::disk::l09_a_disk_with_little_room_left_is_a_warning_before_it_is_a_refusal";
    if !alone(name) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    tmpfs(home.path(), "32m");
    let daemon = Daemon::start(home.path());
    let says = |path: &str, text: &str| {
        String::from_utf8_lossy(&daemon.get(path).expect(200).body).contains(text)
    };
    assert!(says("/readyz?verbose", "[+] storage ok"));
    assert!(says("/metrics", "echopilot_storage_low 0"));
    let shown = home.path().display();
    // Eight hundredths left: below the warning, above the refusal.
    sh(&format!(
        "left=$(df -k --output=avail {shown} | tail -1); fallocate -l $((left - 2600))k {shown}/fill"
    ));
    within(MENDED_WITHIN, "a warning", || {
        says("/readyz?verbose", "[!] storage degraded")
    });
    assert!(says("/metrics", "echopilot_storage_low 1"));
    log(&daemon, "still").expect(200);
    sh(&format!("rm {shown}/fill"));
    within(MENDED_WITHIN, "no warning", || {
        says("/readyz?verbose", "[+] storage ok")
    });
}
