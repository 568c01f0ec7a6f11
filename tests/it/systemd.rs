//! The unit file: systemd finds nothing to complain about, and it stays hardened.

use std::fs;
use std::process::Command;

use crate::tidy::tree::repository;

/// Exposure that the unit may have at most, in tenths of systemd's score (0 is best, 96 is a unit
/// without hardening). The bar is 1.2.
const MOST_EXPOSURE: &str = "12";

#[test]
fn the_unit_scores_at_most_one_point_two() {
    let unit = repository().join("systemd/echopilot.service");
    let threshold = format!("--threshold={MOST_EXPOSURE}");
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", &threshold])
        .arg(&unit)
        .output()
        .expect("systemd-analyze runs; `tests/run` installs it");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "too exposed:\n{table}");
}

#[test]
fn systemd_has_nothing_to_complain_about() {
    let text = fs::read_to_string(repository().join("systemd/echopilot.service")).expect("unit");
    let installed = "ExecStart=/usr/local/bin/echopilot serve --home /var/lib/echopilot";
    assert!(text.contains(installed), "the start line is `{installed}`");
    // The program is not installed where tests run: the built one stands in for it.
    let here = text.replace("/usr/local/bin/echopilot", env!("CARGO_BIN_EXE_echopilot"));
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("echopilot.service");
    fs::write(&unit, here).expect("a unit");

    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&unit)
        .output()
        .expect("systemd-analyze runs; `tests/run` installs it");
    let talk = String::from_utf8_lossy(&output.stderr);
    // Complaints about the machine's own units name other files.
    let ours: Vec<_> = talk
        .lines()
        .filter(|line| line.contains("echopilot"))
        .collect();
    assert!(output.status.success() && ours.is_empty(), "{talk}");
}
