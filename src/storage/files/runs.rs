//! The log of every start and stop, in the journal `storage`: `storage.started {about, pid, boot,
//! version, clean, previous_version}` and `storage.stopped {about, reason, uptime_secs}`. A start
//! after which no stop is on record before the next start did not end in order. Lines of older
//! versions lack some of these members.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::notices::{Notices, STREAM, member};
use super::segment::Env;
use super::{FilesEngine, reading};
use crate::storage::engine::{Engine, Mark, Runs};
use crate::storage::line;

/// Kind of the line at a start.
const STARTED: &str = "storage.started";
/// Kind of the line at an end in order.
const STOPPED: &str = "storage.stopped";
/// Who writes.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the journal says of earlier runs.
#[derive(Debug, Default)]
struct Past {
    /// The last start that has no stop after it, and the version that it named.
    open: bool,
    version: Option<String>,
    last_unclean: Option<DateTime<Utc>>,
    starts: u64,
}

#[derive(Deserialize)]
struct Line {
    ts: DateTime<Utc>,
    version: Option<String>,
}

impl Past {
    fn fold(&mut self, text: &[u8]) {
        let Some(own) = line::parse(text) else { return };
        if own.kind == STOPPED.as_bytes() {
            self.open = false;
        } else if own.kind == STARTED.as_bytes()
            && let Ok(line) = serde_json::from_slice::<Line>(text)
        {
            if self.open {
                self.last_unclean = Some(line.ts);
            }
            self.starts += 1;
            self.open = true;
            self.version = line.version;
        }
    }

    fn read(engine: &FilesEngine) -> Self {
        let mut past = Self::default();
        let read = engine.scan(STREAM, &Mark::default(), &mut |chunk| {
            for whole in reading::lines_of(chunk.bytes) {
                past.fold(whole.strip_suffix(b"\n").unwrap_or(whole));
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            tracing::warn!(%error, "earlier starts and stops are not known");
        }
        past
    }
}

/// Notes this start; gives what is known of it and those before.
pub(super) fn begin(engine: &FilesEngine, env: &Env) -> Runs {
    let past = Past::read(engine);
    let now = env.clock.now();
    let clean = (past.starts > 0).then_some(!past.open);
    let pid = std::process::id().to_string();
    let texts = [
        ("pid", &*pid),
        ("boot", &*env.boot_id),
        ("version", VERSION),
    ];
    env.notices.write_with(STARTED, STREAM, |out| {
        for (name, value) in texts {
            out.push(b',');
            member(out, name, value);
        }
        if let Some(clean) = clean {
            out.extend_from_slice(if clean {
                b",\"clean\":true"
            } else {
                b",\"clean\":false"
            });
        }
        if let Some(version) = &past.version {
            out.push(b',');
            member(out, "previous_version", version);
        }
    });
    if clean == Some(false) {
        tracing::warn!("the run before did not end in order: killed, crashed, or the power went");
    }
    Runs {
        started_at: now,
        version: VERSION,
        previous_version: past.version,
        previous_clean: clean,
        last_unclean: if clean == Some(false) {
            Some(now)
        } else {
            past.last_unclean
        },
    }
}

/// Notes the end in order.
pub(super) fn end(notices: &Notices, reason: Option<&str>, uptime_secs: u64) {
    notices.write_with(STOPPED, STREAM, |out| {
        if let Some(reason) = reason {
            out.push(b',');
            member(out, "reason", reason);
        }
        out.extend_from_slice(format!(",\"uptime_secs\":{uptime_secs}").as_bytes());
    });
}
