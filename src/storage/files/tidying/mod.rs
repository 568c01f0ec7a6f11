//! One pass over the sealed segments of all streams: packs those that are old enough, mends packed
//! ones, removes what nobody wants any more. Works on a thread of its own at the lowest priority,
//! in pieces, and never touches an active segment.

mod pack;
mod remove;

use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};

use super::FilesEngine;
use super::names::{self, Sealed};
use super::reading::{self, Source};
use super::room::{self, Level};
use super::segment::Env;
use crate::storage::engine::StorageError;
use crate::storage::line;
use crate::storage::tidying::{Tidied, TidyPlan};

/// How nice the thread is: everybody else goes first. Source: setpriority(2).
const NICENESS: i32 = 19;
/// Bytes at the end of a plain segment in which its last line is looked for first.
const TAIL_BYTES: u64 = 64 << 10;

impl FilesEngine {
    /// One pass, never two at once; closing ends it.
    pub(super) fn tidy_now(
        &self,
        plan: &TidyPlan,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Tidied, StorageError> {
        let _turn = self.tidying.lock().unwrap_or_else(PoisonError::into_inner);
        let stop = || self.closing.load(Ordering::Relaxed) || stop();
        if stop() {
            return Err(StorageError::Closed);
        }
        let tidying = Tidying {
            env: &self.env,
            plan,
            stop: &stop,
            done: Tidied::default(),
        };
        let done = tidying.run();
        self.count_segments();
        done
    }

    /// Health knows of each stream how many segments it has.
    fn count_segments(&self) {
        let Ok(listed) = self.env.files.list(&self.env.logs) else {
            return;
        };
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        for (name, stream) in streams.iter() {
            let sealed = names::segments_of(name, &listed).len() as u64;
            stream.note(|health| health.segments = sealed + 1);
        }
    }
}

/// A pass under way.
pub(super) struct Tidying<'a> {
    pub(super) env: &'a Env,
    pub(super) plan: &'a TidyPlan,
    /// Whether it should end early; asked between pieces.
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
    pub(super) done: Tidied,
}

/// Why one segment was not dealt with.
enum Fate {
    /// It was.
    Done,
    /// Not due.
    NotYet,
    /// It stays as it is.
    Left(String),
    /// The pass was asked to end.
    Stopped,
}

impl Tidying<'_> {
    /// Goes through all streams, on a thread of its own.
    pub(super) fn run(mut self) -> Result<Tidied, StorageError> {
        let work = || {
            // Refused or unknown, it works at the usual priority.
            let _usual = rustix::process::setpriority_process(None, NICENESS);
            let walked = self.walk();
            (walked, self.done)
        };
        let ran = std::thread::scope(|scope| {
            let name = "storage-tidying".to_owned();
            let thread = std::thread::Builder::new().name(name);
            let thread = thread.spawn_scoped(scope, work)?;
            thread
                .join()
                .map_err(|_| io::Error::other("the tidying thread panicked"))
        });
        let logs = |source: io::Error| StorageError::Unreadable {
            stream: "logs".to_owned(),
            source: source.into(),
        };
        let (walked, done) = ran.map_err(logs)?;
        walked.map_err(logs)?;
        Ok(done)
    }

    fn walk(&mut self) -> io::Result<()> {
        let listed = self.env.files.list(&self.env.logs)?;
        if !self.plan.is_dry_run {
            self.sweep(&listed);
        }
        let mut streams: Vec<&str> = listed
            .iter()
            .filter_map(|file| names::parse(file))
            .map(|(stream, _)| stream)
            .collect();
        streams.sort_unstable();
        streams.dedup();
        for stream in streams {
            self.stream(stream, &listed);
            if self.done.is_cut_short {
                break;
            }
        }
        Ok(())
    }

    /// Takes away what a pass that was killed has left under its temporary name.
    fn sweep(&self, listed: &[String]) {
        for file in listed.iter().filter(|file| pack::is_temporary(file)) {
            // The next pass tries again.
            let _left_behind = self.env.files.remove(&self.path(file));
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.env.logs.join(file)
    }

    /// One stream: what goes is not packed first.
    fn stream(&mut self, stream: &str, listed: &[String]) {
        let mut segments = names::segments_of(stream, listed);
        if let Some(before) = self.plan.remove_before.get(stream).copied() {
            let removed = self.remove_old(stream, &segments, before);
            segments.drain(..removed);
        }
        for segment in &segments {
            if (self.stop)() {
                self.done.is_cut_short = true;
                return;
            }
            let fate = if segment.packed {
                self.mend(segment)
            } else {
                self.pack(segment, listed)
            };
            match fate {
                Ok(Fate::Done | Fate::NotYet) => {}
                Ok(Fate::Left(why)) => self.leave(&segment.file, &why),
                Ok(Fate::Stopped) => {
                    self.done.is_cut_short = true;
                    return;
                }
                Err(error) => self.leave(&segment.file, &error.to_string()),
            }
        }
    }

    fn leave(&mut self, file: &str, why: &str) {
        self.done.left.push(format!("`{file}`: {why}"));
    }

    /// Whether so much room is left that another `bytes` may be written.
    fn has_room(&self, bytes: u64) -> bool {
        self.env.files.space(&self.env.logs).map_or(true, |space| {
            space.available > room::refuse_below(space.total).saturating_add(bytes)
        })
    }

    /// Whether there is so little room that what is allowed is done at once.
    fn is_low(&self) -> bool {
        self.env.room.measure() != Level::Ample
    }

    /// When the last line of ours was written; `None` where there is none.
    fn last_stamp(&self, segment: &Sealed) -> io::Result<Option<DateTime<Utc>>> {
        let path = self.path(&segment.file);
        let mut start = 0;
        if segment.packed {
            if let Some(packed) = super::packing::Packed::open(self.env.files.open_read(&path)?)? {
                start = packed.landmarks().last().map_or(0, |last| last.text_offset);
            }
        } else {
            let size = self.env.files.stat(&path)?.size;
            start = size.saturating_sub(TAIL_BYTES);
        }
        let mut last = None;
        for from in [start, 0] {
            let source =
                &mut reading::open_sealed(&*self.env.files, &self.env.logs, segment, from)?;
            last = newest(source)?.map(|(_, last)| last);
            if last.is_some() || from == 0 {
                break;
            }
        }
        Ok(last)
    }
}

/// When the newest and the last line of ours in `source` were written.
fn newest(source: &mut Source) -> io::Result<Option<(DateTime<Utc>, DateTime<Utc>)>> {
    let mut found: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    reading::whole_lines(source, &mut |whole| {
        for bytes in reading::lines_of(whole) {
            let own = line::parse(bytes.strip_suffix(b"\n").unwrap_or(bytes));
            let stamp = own.and_then(|own| std::str::from_utf8(own.ts).ok()?.parse().ok());
            if let Some(at) = stamp {
                found = Some((found.map_or(at, |(newest, _)| newest.max(at)), at));
            }
        }
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(found)
}
