//! Is there a key to get in with, and is any too old or about to end? The limits are those of
//! `configs/upkeep.json`, by which the daemon raises its alerts.

use super::{Around, Notes};
use crate::capabilities::upkeep::key_care;

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let Some(keys) = around.own("configs/keys.json") else {
        return notes.skip("no `configs/keys.json` yet, or not for us to read");
    };
    let rules = around.own("configs/upkeep.json").unwrap_or_default();
    let Some(state) = key_care(keys.as_bytes(), rules.as_bytes(), around.now) else {
        return notes.skip("`configs/keys.json` does not read as keys; see the check `configs`");
    };
    for text in state.troubles {
        let (found, cure) = text.split_once("; hint: ").unwrap_or((&text, ""));
        notes.warn(found, cure);
    }
    let given = ["DASHBOARD_KEY", "ADMIN_TOKEN"].iter();
    let given = given.filter(|name| around.given.has(name)).count();
    if state.live == 0 && given == 0 && !around.given.has_credentials() {
        notes.warn(
            "no key is valid, so nobody gets in but the command line on this machine",
            "echopilot key new dash --name NAME",
        );
    }
    notes.ok_otherwise(format!(
        "valid keys: {}, none too old or about to end",
        state.live
    ));
}
