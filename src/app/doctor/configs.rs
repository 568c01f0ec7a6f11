//! Are the configuration files good, is each read by something, and is what is on disk in force?

use std::io;

use super::{Around, Notes};
use crate::app::past;
use crate::base::names;
use crate::platform::config::{ConfigKind, LINK_HINT};
use crate::seams::files::{is_link, read_whole};
use crate::storage::engine::Revision;

/// Bytes of a document that are read at most: what the daemon takes.
const MOST_BYTES: u64 = 5 << 20;
/// Problems of one file that are told; `echopilot check` tells all.
const MOST_TOLD: usize = 3;

pub(super) fn look(around: &Around<'_>, notes: &mut Notes) {
    let folder = around.home.join("configs");
    let present = match around.files.list(&folder) {
        Ok(present) => present,
        Err(error) => {
            let cure = "run it as the daemon's user: `sudo -u echopilot echopilot doctor`";
            return notes.fail(format!("cannot read `configs`: {error}"), cure);
        }
    };
    if present.is_empty() {
        let cure = "is `--home` the right folder? `echopilot serve` fills an empty one";
        return notes.fail("there is nothing in `configs`", cure);
    }
    let in_force = past::in_force(around.files, around.home);
    let mut good = 0;
    for kind in around.kinds {
        if present.iter().any(|name| name == kind.file)
            && let Some(revision) = one(around, kind, notes)
        {
            good += 1;
            let known = in_force.get(kind.file);
            if around.runs() && known.is_some_and(|known| *known != revision) {
                let file = kind.file;
                let cure = "wait a moment and look again; `echopilot status` says what the \
                            daemon thinks of it";
                notes.warn(format!("`configs/{file}` on disk is not in force"), cure);
            }
        }
    }
    strangers(around, &present, notes);
    refused(around, notes);
    notes.ok_otherwise(format!("{good} files are good and read"));
}

/// The revision of a file that is good.
fn one(around: &Around<'_>, kind: &ConfigKind, notes: &mut Notes) -> Option<Revision> {
    let named = format!("configs/{}", kind.file);
    let path = around.home.join(&named);
    let read = around.files.open_read(&path);
    let read = read.and_then(|mut file| read_whole(&mut *file, MOST_BYTES));
    let text = match read {
        Ok(text) if text.len() as u64 > MOST_BYTES => {
            notes.fail(
                format!("`{named}` is larger than {MOST_BYTES} bytes"),
                "the daemon reads no larger document; split or shorten it",
            );
            return None;
        }
        Ok(text) => text,
        Err(error) => {
            unreadable(&named, &error, notes);
            return None;
        }
    };
    let problems = (kind.check)(&named, &text);
    for problem in problems.iter().take(MOST_TOLD) {
        let place = match problem.line {
            0 => String::new(),
            line => format!(", line {line}, column {}", problem.column),
        };
        let cure = match problem.hint.as_str() {
            "" => format!("see docs/{}.md", kind.file.trim_end_matches(".json")),
            hint => hint.to_owned(),
        };
        notes.fail(format!("`{named}`{place}: {}", problem.message), cure);
    }
    let more = problems.count().saturating_sub(MOST_TOLD);
    if more > 0 {
        notes.fail(
            format!("`{named}` has {more} faults more"),
            "`echopilot check` tells them all",
        );
    }
    problems.is_empty().then(|| Revision::of(&text))
}

fn unreadable(named: &str, error: &io::Error, notes: &mut Notes) {
    if is_link(error) {
        return notes.fail(format!("`{named}` is a symbolic link"), LINK_HINT);
    }
    let cure = "run it as the daemon's user, who must be able to read it too";
    notes.fail(format!("cannot read `{named}`: {error}"), cure);
}

/// A misspelt file name is silently without effect otherwise.
fn strangers(around: &Around<'_>, present: &[String], notes: &mut Notes) {
    let known = || around.kinds.iter().map(|kind| kind.file);
    let stranger = |name: &&String| {
        name.strip_suffix(".json").is_some() && known().all(|file| file != name.as_str())
    };
    for name in present.iter().filter(stranger) {
        let cure = match names::nearest(name, known()) {
            Some(near) => format!("did you mean `{near}`? then `mv configs/{name} configs/{near}`"),
            None => {
                format!("no capability has such a file; `rm configs/{name}` if it is not yours")
            }
        };
        notes.warn(format!("`configs/{name}` is not read by anything"), cure);
    }
}

/// What the daemon itself says of its configurations.
fn refused(around: &Around<'_>, notes: &mut Notes) {
    let health = around.seen.health.as_ref();
    let part = health.and_then(|health| health.pointer("/checks/configs"));
    let of = |name: &str| part.and_then(|part| part.get(name)?.as_str());
    if of("state").is_some_and(|state| state != "ok") {
        let reason = of("reason").unwrap_or("a file on disk is not in force");
        notes.fail(
            format!("the daemon says: {reason}"),
            "mend the file: it is taken as you save it; the last good revision is in force",
        );
    }
}
