//! The audit of configurations: snapshot first, then a line in the journal `configs`, on a thread
//! of its own, so that no swap ever waits for a disk. What storage refuses is kept and written when
//! it takes lines again; so are shipped files that a first start could not write.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::edits::Edits;
use super::status::Degraded;
use crate::seams::files::is_full;
use crate::storage::backup::History;
use crate::storage::engine::{
    DocumentError, Durability, Engine, Expect, Mark, Position, Revision, StorageError,
    StreamOptions,
};
use crate::storage::journal::each_line;
use crate::storage::line::{self, OwnLine};
use crate::storage::lines::Lines;

/// The journal of accepted and rejected configurations.
pub const STREAM: &str = "configs";

/// Notes that may wait for the disk; beyond that the watcher waits, after its swap.
const MAX_WAITING: usize = 64;

/// Notes that are kept while storage refuses; each may hold a whole document.
const MAX_KEPT: usize = 16;

/// How often a refused note is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Problems told in one journal line; more are only counted.
const MAX_TOLD: usize = 20;

/// How `configs` is kept: it is small and must never lose a line. 64 MiB and a day are the defaults
/// of every journal.
const OPTIONS: StreamOptions = StreamOptions {
    durability: Durability::Always,
    segment_bytes: 64 << 20,
    segment_age: Duration::from_hours(24),
};

/// What is to be written down.
pub(super) enum Note {
    Accepted {
        file: &'static str,
        revision: Revision,
        text: Arc<[u8]>,
        actor: Arc<str>,
        at: DateTime<Utc>,
    },
    Rejected {
        file: &'static str,
        degraded: Degraded,
        running_on: Revision,
    },
    /// A file that a first start could not write, to be written and noted later.
    Unwritten(Shipped),
    /// Answered once everything before it is acknowledged, or refused for now.
    Barrier(SyncSender<()>),
}

/// A shipped text that is in force though the disk refused to take it as a file.
pub(super) struct Shipped {
    pub(super) file: &'static str,
    pub(super) text: Arc<[u8]>,
    pub(super) actor: Arc<str>,
    pub(super) at: DateTime<Utc>,
}

/// The last text of a file that was in force, by the journal.
#[derive(Debug, Clone)]
pub(super) struct LastGood {
    pub(super) revision: Revision,
    pub(super) actor: Arc<str>,
    pub(super) at: DateTime<Utc>,
}

/// Hands notes to the thread that writes them.
#[derive(Debug)]
pub(super) struct Recorder {
    sender: Mutex<Option<SyncSender<Note>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Gives the last texts in force too. Never fails for the state of the disk: what cannot be
    /// written is written later.
    pub(super) fn start(
        engine: Arc<dyn Engine>,
        edits: Edits,
        now: DateTime<Utc>,
    ) -> anyhow::Result<(Self, HashMap<String, LastGood>)> {
        let mut writing = Writing {
            engine,
            edits,
            open: false,
            waiting: VecDeque::new(),
            unwritten: Vec::new(),
            refused: false,
        };
        // Before anybody scans it.
        writing.is_open();
        let last_good = last_good(&*writing.engine, &mut writing.edits, now);
        let (sender, notes) = mpsc::sync_channel(MAX_WAITING);
        let thread = std::thread::Builder::new()
            .name("config-recorder".into())
            .spawn(move || writing.run(&notes))
            .context("cannot start the thread that records configurations")?;
        let recorder = Self {
            sender: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
        };
        Ok((recorder, last_good))
    }

    pub(super) fn note(&self, note: Note) {
        let sender = self
            .sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if sender.is_none_or(|sender| sender.send(note).is_err()) {
            tracing::error!("a change of configuration came after the end and is not recorded");
        }
    }

    /// Waits until every note so far is in the journal.
    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        self.note(Note::Barrier(done));
        // An error means that the thread is gone, and with it everything to wait for.
        let _ended = wait.recv();
    }

    /// Writes what is left and ends the thread.
    pub(super) fn close(&self) {
        drop(
            self.sender
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that records configurations panicked");
        }
    }
}

/// The thread's own state.
struct Writing {
    engine: Arc<dyn Engine>,
    edits: Edits,
    open: bool,
    /// Notes that storage has not taken yet, the oldest first.
    waiting: VecDeque<Note>,
    /// Files to be written as soon as the disk takes them. Not in the queue: `configs` alone may be
    /// on a disk that never does, and lines must not wait for it.
    unwritten: Vec<Shipped>,
    /// Whether the last attempt failed; told once, not with every attempt.
    refused: bool,
}

impl Writing {
    fn run(mut self, notes: &Receiver<Note>) {
        loop {
            let next = if self.waiting.is_empty() && self.unwritten.is_empty() {
                notes.recv().map_err(RecvTimeoutError::from)
            } else {
                notes.recv_timeout(RETRY_EVERY)
            };
            let mut barrier = None;
            match next {
                Ok(Note::Barrier(done)) => barrier = Some(done),
                Ok(Note::Unwritten(shipped)) => self.unwritten.push(shipped),
                Ok(note) => self.keep(note),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write_files();
            self.write_all();
            // Nobody waiting any more is no fault.
            let _sent = barrier.map(|done| done.try_send(()));
        }
        self.write_all();
        if !self.waiting.is_empty() {
            let lost = self.waiting.len();
            tracing::error!("{lost} changes of configuration are not in the journal `configs`");
        }
    }

    fn keep(&mut self, note: Note) {
        if self.waiting.len() == MAX_KEPT {
            self.waiting.pop_front();
            tracing::error!(
                "a change of configuration is not recorded: too many wait for the disk"
            );
        }
        self.waiting.push_back(note);
    }

    /// Writes the files that the first start could not. One that somebody made meanwhile stays.
    fn write_files(&mut self) {
        for shipped in std::mem::take(&mut self.unwritten) {
            match self.engine.replace(shipped.file, None, &shipped.text) {
                Ok(revision) => self.keep(Note::Accepted {
                    file: shipped.file,
                    revision,
                    text: shipped.text,
                    actor: shipped.actor,
                    at: shipped.at,
                }),
                Err(DocumentError::Io { .. }) => self.unwritten.push(shipped),
                Err(_) => {}
            }
        }
    }

    fn is_open(&mut self) -> bool {
        if !self.open {
            match self.engine.open(STREAM, OPTIONS) {
                Ok(()) => self.open = true,
                Err(error) => self.tell(&anyhow::Error::new(error)),
            }
        }
        self.open
    }

    /// Writes what waits, in order, until storage refuses.
    fn write_all(&mut self) {
        while self.is_open()
            && let Some(note) = self.waiting.front()
        {
            let position = match write(&self.engine, note) {
                Ok(position) => position,
                Err(error) => {
                    self.tell(&error);
                    return;
                }
            };
            if let (
                Some(position),
                Note::Accepted {
                    file,
                    revision,
                    actor,
                    at,
                    ..
                },
            ) = (position, note)
            {
                let place = (position.last, *at);
                self.edits.accepted(file, revision, actor, place, *at);
            }
            self.refused = false;
            self.waiting.pop_front();
        }
    }

    fn tell(&mut self, error: &anyhow::Error) {
        if !std::mem::replace(&mut self.refused, true) {
            tracing::error!("changes of configuration are recorded later: {error:#}");
        }
    }
}

/// Keeps the snapshot and appends the line; ends when storage has acknowledged it.
fn write(engine: &Arc<dyn Engine>, note: &Note) -> anyhow::Result<Option<Position>> {
    let mut lines = Lines::new();
    match note {
        Note::Accepted {
            file,
            revision,
            text,
            actor,
            at,
        } => {
            snapshot(&**engine, file, revision, text)?;
            let (revision, bytes) = (revision.as_str(), text.len());
            let body =
                json!({ "file": file, "revision": revision, "actor": &**actor, "bytes": bytes });
            lines.push("config.accepted", *at, |out| members(out, &body));
        }
        Note::Rejected {
            file,
            degraded,
            running_on,
        } => {
            let told: Vec<_> = degraded.problems.iter().take(MAX_TOLD).collect();
            let body = json!({
                "file": file, "revision": degraded.revision.as_ref().map(Revision::as_str),
                "actor": "file", "problems": told, "count": degraded.count,
                "running_on": running_on.as_str(),
            });
            lines.push("config.rejected", degraded.since, |out| members(out, &body));
        }
        Note::Unwritten(_) | Note::Barrier(_) => return Ok(None),
    }
    let (tell, told) = mpsc::sync_channel(1);
    let on_commit = Box::new(move |outcome: &Result<Position, StorageError>| {
        // The other end waits for it.
        let _sent = tell.try_send(outcome.clone());
    });
    drop(engine.append(STREAM, Expect::Any, None, lines, Some(on_commit)));
    Ok(Some(told.recv().context("storage has ended")??))
}

/// Keeps the text of a revision. On a full disk the line waits for it; where it can never be kept
/// the line is worth having without.
fn snapshot(
    engine: &dyn Engine,
    file: &str,
    revision: &Revision,
    text: &[u8],
) -> anyhow::Result<()> {
    match engine.keep_snapshot(file, text) {
        Ok(()) => Ok(()),
        Err(DocumentError::Io { source, .. }) if is_full(&source) => {
            Err(source).context("cannot keep a snapshot")
        }
        Err(error) => {
            tracing::error!(
                config.file = file,
                "cannot keep a snapshot of `{file}` at {revision}: {:#}",
                anyhow::Error::new(error)
            );
            Ok(())
        }
    }
}

/// The members of `body` without its braces.
fn members(out: &mut Vec<u8>, body: &serde_json::Value) {
    let start = out.len();
    if write!(out, "{body}").is_ok() && out.len() > start + 1 {
        out.pop();
        out.remove(start);
    }
}

#[derive(Deserialize)]
struct AcceptedLine {
    file: String,
    revision: String,
    actor: String,
}

/// The last accepted revision of every file, by the journal; `edits` is told of each on the way.
fn last_good(
    engine: &dyn Engine,
    edits: &mut Edits,
    now: DateTime<Utc>,
) -> HashMap<String, LastGood> {
    let mut found = HashMap::new();
    let outcome = each_line(engine, STREAM, &Mark::default(), |line| {
        let Some(own) = line::parse(line) else {
            return;
        };
        if let Some((file, good)) = accepted(&own) {
            let place = (own.seq, good.at);
            edits.accepted(&file, &good.revision, &good.actor, place, now);
            found.insert(file, good);
        }
    });
    if let Err(error) = outcome {
        tracing::error!("cannot read which configurations were in force: {error}");
    }
    found
}

/// How configurations of an instant are found in a backup. Keys stay at their newest: taking
/// `keys.json` back would make revoked keys good again.
pub const HISTORY: History = History {
    stream: STREAM,
    accepted: in_force,
    newest_only: &["keys.json"],
};

/// The document and the revision that a line of the journal puts in force, if it does.
pub fn in_force(own: &OwnLine<'_>) -> Option<(String, Revision)> {
    accepted(own).map(|(file, good)| (file, good.revision))
}

fn accepted(own: &OwnLine<'_>) -> Option<(String, LastGood)> {
    if own.kind != b"config.accepted" {
        return None;
    }
    let object = [b"{", own.members, b"}"].concat();
    let AcceptedLine {
        file,
        revision,
        actor,
    } = serde_json::from_slice(&object).ok()?;
    let at = DateTime::parse_from_rfc3339(std::str::from_utf8(own.ts).ok()?).ok()?;
    let good = LastGood {
        revision: Revision::parse(&revision)?,
        actor: actor.into(),
        at: at.to_utc(),
    };
    Some((file, good))
}
