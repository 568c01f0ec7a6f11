//! Who may read and write what: the rules of [`crate::platform::exposure`], and whether everything
//! belongs to whom the daemon runs as.

use super::{Around, Notes};
use crate::app::daemon_file;
use crate::platform::exposure::exposed;

/// Files whose owner counts: the daemon must be able to write them, or to read what is closed to
/// everybody else.
const OWN_FOLDERS: [&str; 3] = ["logs", ".echopilot", "secrets"];

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    for one in exposed(around.files, around.home) {
        let cure = format!("cd {} && {}", around.home.display(), one.cure);
        if one.grave {
            notes.fail(one.found, cure);
        } else {
            notes.warn(one.found, cure);
        }
    }
    owners(around, notes);
    notes.ok_otherwise("nobody else may read what is secret or write what is ours");
}

/// Files of another user come from a verb that was run as root: the daemon cannot write them.
fn owners(around: &Around<'_>, notes: &mut Notes) {
    let stat = |name: &str| around.files.stat(&around.home.join(name)).ok();
    let running = around
        .runs()
        .then(|| around.files.stat(&daemon_file::path(around.home)).ok())
        .flatten();
    // The dot follows a home that is a link.
    let Some(owner) = running.or_else(|| stat(".")).map(|stat| stat.uid) else {
        return notes.fail(
            format!("cannot look at `{}`", around.home.display()),
            "is `--home` the right folder? run it as the daemon's user",
        );
    };
    let mut names = vec!["configs/keys.json".to_owned()];
    for folder in OWN_FOLDERS {
        let inside = around.files.list(&around.home.join(folder));
        let inside = inside.unwrap_or_default().into_iter();
        names.push(folder.to_owned());
        names.extend(inside.map(|name| format!("{folder}/{name}")));
    }
    let others: Vec<String> = names
        .into_iter()
        .filter(|name| stat(name).is_some_and(|stat| stat.uid != owner))
        .collect();
    if let Some(first) = others.first() {
        let found = stat(first).map_or(0, |stat| stat.uid);
        let more = match others.len() {
            1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        let home = around.home.display();
        notes.fail(
            format!(
                "`{first}`{more} belongs to user {found}, the daemon is user {owner}: it cannot \
                 use it"
            ),
            format!(
                "sudo chown -R --reference={home} {home}/logs {home}/.echopilot; run verbs as the \
                 daemon's user"
            ),
        );
    }
}
