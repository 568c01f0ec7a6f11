//! Removing the oldest segments of a journal: whole ones, from the beginning, all of whose lines
//! are old enough, each told of in the journal `storage` before it goes. What is left begins with a
//! line that names its past, so that nobody takes the cut for a loss.

use std::io;

use chrono::{DateTime, Utc};

use super::super::names::{self, Sealed};
use super::super::notices;
use super::super::reading::{self, Source};
use super::{Tidying, newest};
use crate::seams::files::Make;
use crate::storage::chain;
use crate::storage::line::{self, ChainValue};

impl Tidying<'_> {
    /// Removes segments from the beginning of `stream`; gives how many.
    pub(super) fn remove_old(
        &mut self,
        stream: &str,
        segments: &[Sealed],
        before: DateTime<Utc>,
    ) -> usize {
        let mut removed = 0;
        while !self.done.is_cut_short {
            let left = segments.get(removed..).unwrap_or_default();
            let count = match self.removable(stream, left, before) {
                Ok(Some((count, past))) => {
                    let Some(group) = left.get(..count) else {
                        break;
                    };
                    match self.remove_group(stream, group, &past, before) {
                        Ok(true) => count,
                        Ok(false) => break,
                        Err(error) => {
                            self.leave(stream, &error.to_string());
                            break;
                        }
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.leave(stream, &error.to_string());
                    break;
                }
            };
            removed += count;
        }
        removed
    }

    /// How many segments go at once, and the chain value at the end of them: usually one. After a
    /// failed sync a segment begins with lines written again; only after the next one is there a
    /// line that names its past.
    fn removable(
        &mut self,
        stream: &str,
        segments: &[Sealed],
        before: DateTime<Utc>,
    ) -> io::Result<Option<(usize, ChainValue)>> {
        for (index, segment) in segments.iter().enumerate() {
            if (self.stop)() {
                self.done.is_cut_short = true;
                return Ok(None);
            }
            if !self.is_older(segment, before)? {
                return Ok(None);
            }
            let past = self.named_past(stream, segments.get(index + 1))?;
            if let Some((seq, h)) = past {
                // Where it does not continue this one, the cut would look like a loss.
                return Ok((seq == segment.last).then_some((index + 1, h)));
            }
        }
        Ok(None)
    }

    /// Whether every line of ours in `segment` was written before.
    fn is_older(&self, segment: &Sealed, before: DateTime<Utc>) -> io::Result<bool> {
        // The last line first: it is the quickest to find, and usually the newest.
        if self.last_stamp(segment)?.is_some_and(|last| last >= before) {
            return Ok(false);
        }
        let mut source = reading::open_sealed(&*self.env.files, &self.env.logs, segment, 0)?;
        Ok(newest(&mut source)?.is_none_or(|(newest, _)| newest < before))
    }

    fn remove_group(
        &mut self,
        stream: &str,
        group: &[Sealed],
        h: &ChainValue,
        before: DateTime<Utc>,
    ) -> io::Result<bool> {
        for segment in group {
            if !self.remove_one(stream, segment, h, before)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn remove_one(
        &mut self,
        stream: &str,
        segment: &Sealed,
        h: &ChainValue,
        before: DateTime<Utc>,
    ) -> io::Result<bool> {
        let files = &*self.env.files;
        let path = self.path(&segment.file);
        let bytes = files.stat(&path)?.size;
        if self.plan.is_dry_run {
            self.done.removed += 1;
            self.done.removed_bytes += bytes;
            return Ok(true);
        }
        let reason = format!("every line is older than {}", before.format("%Y-%m-%d"));
        let (first, last) = (segment.first.to_string(), segment.last.to_string());
        let members = [
            ("file", &*segment.file),
            ("first", &*first),
            ("last", &*last),
            ("last_h", &*String::from_utf8_lossy(h)),
            ("reason", &*reason),
        ];
        self.tell_first(stream, &members)?;
        files.remove(&path)?;
        // The plain form and the packed one of the same lines go together.
        let packed = self.path(&format!("{}.zst", segment.file));
        if !segment.packed && files.stat(&packed).is_ok() {
            files.remove(&packed)?;
        }
        files.sync_dir(&self.env.logs)?;
        self.done.removed += 1;
        self.done.removed_bytes += bytes;
        Ok(true)
    }

    /// What goes is on record, on the medium, before it goes.
    fn tell_first(&self, stream: &str, members: &[(&str, &str)]) -> io::Result<()> {
        let notices = &self.env.notices;
        if !notices.write_first("segment.removed", stream, members) {
            return Err(io::Error::other("its removal could not be noted"));
        }
        let record = names::active(&self.env.logs, notices::STREAM);
        let mut record = self.env.files.open_append(&record, Make::IfMissing)?;
        record.sync_data()
    }

    /// What the line that opens the next segment says of the one before it.
    fn named_past(
        &self,
        stream: &str,
        next: Option<&Sealed>,
    ) -> io::Result<Option<(u64, ChainValue)>> {
        let files = &*self.env.files;
        let mut source: Source = if let Some(next) = next {
            reading::open_sealed(files, &self.env.logs, next, 0)?
        } else {
            let path = names::active(&self.env.logs, stream);
            reading::plain(files.open_read(&path)?, 0, u64::MAX)?
        };
        let mut past = None;
        reading::whole_lines(&mut source, &mut |whole| {
            let own = reading::lines_of(whole)
                .find_map(|bytes| line::parse(bytes.strip_suffix(b"\n").unwrap_or(bytes)));
            past = own.and_then(|own| chain::past_of(&own));
            std::ops::ControlFlow::Break(())
        })?;
        Ok(past)
    }
}
