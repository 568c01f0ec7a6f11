//! Does the daemon of this home run, is every part of it well, and is it this version?

use serde_json::Value;

use super::{Around, Notes, UNIT};
use crate::seams::host::UnitState;

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    if let Some(why) = &around.seen.unread {
        notes.fail(
            why.clone(),
            "run it as the daemon's user: `sudo -u echopilot echopilot doctor`",
        );
    }
    let unit = around.reading.units.get(UNIT);
    if let Some(unit) = unit.filter(|unit| unit.state == UnitState::Failed) {
        notes.fail(
            format!("systemd says: {UNIT} is {}", unit.said),
            "`journalctl -u echopilot -n 50` tells why",
        );
    }
    let Some(health) = &around.seen.health else {
        return notes.skip("no daemon of this home answers; start it with `echopilot serve`");
    };
    parts(health, notes);
    let ours = env!("CARGO_PKG_VERSION");
    let theirs = health.get("version").and_then(Value::as_str).unwrap_or("?");
    if theirs != ours {
        notes.warn(
            format!("the running daemon is version {theirs}, this program is {ours}"),
            "sudo systemctl restart echopilot",
        );
    }
    notes.ok_otherwise(format!(
        "version {theirs} runs, and all of its parts are well"
    ));
}

/// What each part says of itself; writing journals is one of them.
fn parts(health: &Value, notes: &mut Notes) {
    let checks = health.get("checks").and_then(Value::as_object);
    for (name, check) in checks.into_iter().flatten() {
        let of = |member: &str| check.get(member).and_then(Value::as_str);
        let reason = of("reason").unwrap_or("it does not say why");
        let told = format!("`{name}` says: {reason}");
        let cure = "`echopilot status` shows all parts; the other checks here may name the cause";
        match of("state") {
            Some("ok") => {}
            Some("failed") => notes.fail(told, cure),
            _ => notes.warn(told, cure),
        }
    }
}
