//! Do the journals hold together: without `--deep` the names of the segments and every line of the
//! active ones, against the end of what is sealed; with it every line there is.

use super::{Around, Notes};
use crate::storage::anchors::Anchors;
use crate::storage::verify::{StreamReport, VerifyError, verify, verify_active};

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let logs = around.home.join("logs");
    let reports = if around.deep {
        verify(around.files, &logs, &Anchors::default())
    } else {
        verify_active(around.files, &logs)
    };
    match reports {
        Ok(reports) => told(around, &reports, notes),
        Err(error) => unread(&error, notes),
    }
}

fn unread(error: &VerifyError, notes: &mut Notes) {
    let what = format!("cannot read `logs/{}`: {}", error.file, error.source);
    notes.fail(
        what,
        "run it as the daemon's user; else the disk is failing: `dmesg | tail`",
    );
}

fn told(around: &Around<'_>, reports: &[StreamReport], notes: &mut Notes) {
    for report in reports {
        let Some(bad) = report.first_bad() else {
            continue;
        };
        let (file, line, what, all) = (&bad.file, bad.line, bad.what, report.bad_lines);
        notes.fail(
            format!("`logs/{file}`, line {line}: {what} ({all} bad in all)"),
            format!(
                "echopilot verify {}; what was acknowledged stands in the newest backup: \
                 docs/backup.md",
                report.stream
            ),
        );
    }
    let lines: u64 = reports.iter().map(|report| report.lines).sum();
    let how = if around.deep {
        "every line".to_owned()
    } else {
        "the active segments; `--deep` walks all".to_owned()
    };
    notes.ok_otherwise(format!(
        "{lines} lines of {} journals fit: {how}",
        reports.len()
    ));
}
