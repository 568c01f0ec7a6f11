//! The journals of a replica: which segments stay, which are sent, and that its history is the
//! home's.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::{Syncing, entry, sum_at};
use crate::seams::files::ReadFile;
use crate::storage::backup::check::text_of;
use crate::storage::backup::folder::pour;
use crate::storage::backup::manifest::{FileEntry, JournalEntry, Manifest, Range};
use crate::storage::backup::{BackupError, failed};
use crate::storage::files::names::{self, Sealed};
use crate::storage::files::reading::{self, Source};
use crate::storage::line;

/// What a segment is known by, whatever its form: its first and its last line, and whether more
/// than that may be in it.
type Key = (u64, u64, bool);

/// How often a journal is begun anew that is rotated while it is sent (our own choice).
const MOST_TRIES: u32 = 3;

fn key(sealed: &Sealed) -> Key {
    (sealed.first, sealed.last, sealed.suspect)
}

/// A journal being brought up to date.
struct Run {
    stream: String,
    /// The last line that the replica had, which must be the same in the home.
    point: (u64, String),
    is_met: bool,
    /// What the replica will have.
    lines: u64,
    last_seq: u64,
    h: String,
}

impl Run {
    /// Takes note of the lines of the next file.
    fn take(&mut self, range: &Range) {
        self.lines += range.count;
        if range.count > 0 {
            (self.last_seq, self.h) = (range.last_seq, range.h.clone());
        }
    }
}

impl Syncing<'_> {
    pub(super) fn journals(&mut self, before: &Manifest) -> Result<(), BackupError> {
        let logs = self.home.join("logs");
        let listed = self.files.list(&logs).map_err(failed("read", &logs))?;
        let known = before.journals.iter().map(|one| one.name.clone());
        let mut streams: Vec<String> = listed
            .iter()
            .filter_map(|file| names::parse(file))
            .map(|(stream, _)| stream.to_owned())
            .chain(known)
            .collect();
        streams.sort_unstable();
        streams.dedup();
        for stream in streams {
            let known = before.journals.iter().find(|one| one.name == stream);
            let (files, notes) = (self.synced.manifest.files.len(), self.synced.notes.len());
            let mut tries = 1;
            while !self.journal(&stream, known)? {
                if tries == MOST_TRIES {
                    let file = format!("logs/{stream}.ndjson");
                    let target = self.target.name();
                    return Err(BackupError::Changed { file, target });
                }
                tries += 1;
                self.synced.manifest.files.truncate(files);
                self.synced.notes.truncate(notes);
            }
        }
        Ok(())
    }

    /// Brings one up to date; `false` where it was rotated under our hands, so that the segment
    /// that was sealed meanwhile is missing.
    fn journal(&mut self, stream: &str, known: Option<&JournalEntry>) -> Result<bool, BackupError> {
        let logs = self.home.join("logs");
        let active = names::active(&logs, stream);
        let layout = reading::layout(self.files, &logs, stream).map_err(failed("read", &active))?;
        if layout.sealed.is_empty() && layout.active.is_none() {
            self.gone(stream, known);
            return Ok(true);
        }
        let mut run = Run {
            stream: stream.to_owned(),
            point: known.map_or((0, String::new()), |one| (one.last_seq, one.h.clone())),
            is_met: known.is_none_or(|one| one.last_seq == 0),
            lines: 0,
            last_seq: 0,
            h: text_of(&line::GENESIS),
        };
        let first = match (layout.sealed.first(), &layout.active) {
            (Some(sealed), _) => sealed.first,
            (None, Some((file, _))) => reading::first_seq(&**file),
            (None, None) => 0,
        };
        for (sealed, entry) in self.both(stream, &layout.sealed) {
            match (sealed, entry) {
                (Some(sealed), Some(entry)) => self.known(&logs, &sealed, entry, &mut run)?,
                (Some(sealed), None) => self.fresh(&logs, &sealed, &mut run)?,
                (None, Some((key, entry))) => {
                    self.only_there(&layout.sealed, key, entry, first, &mut run)?;
                }
                (None, None) => {}
            }
        }
        if let Some((file, stat)) = &layout.active {
            self.active(&active, (stat.size, stat.mode), &mut run)?;
            let begins = |file: &dyn ReadFile| reading::first_seq(file);
            let now = self.files.open_read(&active);
            if stat.size > 0 && now.map_or(0, |now| begins(&*now)) != begins(&**file) {
                return Ok(false);
            }
        }
        if !run.is_met {
            let (seq, h) = &run.point;
            return Err(self.diverged(
                stream,
                format!("its line {seq} with {h} is not in the home"),
            ));
        }
        self.synced.manifest.journals.push(JournalEntry {
            name: run.stream,
            lines: run.lines,
            foreign_lines: 0,
            bad_lines: 0,
            last_seq: run.last_seq,
            h: run.h,
        });
        Ok(true)
    }

    fn diverged(&self, stream: &str, what: String) -> BackupError {
        BackupError::Diverged {
            target: self.target.name(),
            journal: stream.to_owned(),
            what,
        }
    }

    /// A journal that the home does not have any more stays as it is.
    fn gone(&mut self, stream: &str, known: Option<&JournalEntry>) {
        let Some(known) = known.filter(|known| known.lines > 0) else {
            return;
        };
        let note = format!("the home has no journal `{stream}` any more; the replica keeps it");
        self.synced.notes.push(note);
        let all = self.before.values().filter(|one| {
            let name = one.path.strip_prefix("logs/").and_then(names::parse);
            name.is_some_and(|(name, _)| name == stream)
        });
        let all: Vec<FileEntry> = all.cloned().collect();
        self.synced.manifest.files.extend(all);
        self.synced.manifest.journals.push(known.clone());
    }

    /// The segments of both sides, in the order of their lines.
    #[expect(
        clippy::type_complexity,
        reason = "two sides, either of which may be missing"
    )]
    fn both(
        &self,
        stream: &str,
        sealed: &[Sealed],
    ) -> Vec<(Option<Sealed>, Option<(Key, FileEntry)>)> {
        let mut both: BTreeMap<Key, (Option<Sealed>, Option<(Key, FileEntry)>)> = BTreeMap::new();
        for one in sealed {
            both.entry(key(one)).or_default().0 = Some(one.clone());
        }
        for one in self.before.values() {
            if let Some(sealed) = sealed_of(one, stream) {
                let key = key(&sealed);
                both.entry(key).or_default().1 = Some((key, one.clone()));
            }
        }
        both.into_values().collect()
    }

    /// A segment that both sides have.
    fn known(
        &mut self,
        logs: &Path,
        sealed: &Sealed,
        (_, known): (Key, FileEntry),
        run: &mut Run,
    ) -> Result<(), BackupError> {
        let range = known.lines.clone().unwrap_or_else(nothing);
        if !run.is_met && range.count > 0 && range.last_seq >= run.point.0 {
            self.same_history(logs, sealed, run)?;
        }
        run.take(&range);
        let path = format!("logs/{}", sealed.file);
        if known.path == path {
            let size = self
                .files
                .stat(&logs.join(&sealed.file))
                .map(|stat| stat.size);
            if size.is_ok_and(|size| size != known.size) {
                self.synced.notes.push(format!(
                    "`{path}` is sealed and was changed in the home; the replica keeps what it had"
                ));
            }
            self.keep(known);
            return Ok(());
        }
        if !sealed.packed {
            // Unpacked by hand: what the replica has is the same and smaller.
            self.keep(known);
            return Ok(());
        }
        let source = logs.join(&sealed.file);
        let unpacked = reading::open_sealed(self.files, logs, sealed, 0)
            .and_then(|mut source| pour(&mut source, true, &mut |_| Ok(())))
            .map_err(failed("read", &source))?;
        if (unpacked.size, &*unpacked.sha256) != (known.size, &*known.sha256) {
            self.synced.notes.push(format!(
                "`{path}` is not what was compressed; the replica keeps what it had"
            ));
            self.keep(known);
            return Ok(());
        }
        self.send_segment(&source, &path, range)
    }

    /// Looks whether the home's segment has the line at which the replica ended: the numbers in its
    /// name would fit another history too.
    fn same_history(&self, logs: &Path, sealed: &Sealed, run: &mut Run) -> Result<(), BackupError> {
        let last = sealed.suspect.then_some(sealed.last);
        let read = reading::open_sealed(self.files, logs, sealed, 0)
            .map_err(failed("read", logs))
            .and_then(|mut source| self.lines(&mut source, &logs.join(&sealed.file), last, run));
        if let Err(error @ BackupError::Diverged { .. }) = read {
            return Err(error);
        }
        // A segment that is damaged in the home tells of no other history.
        run.is_met = true;
        Ok(())
    }

    /// A segment that only the replica has.
    fn only_there(
        &mut self,
        sealed: &[Sealed],
        (first, last, suspect): Key,
        known: FileEntry,
        oldest: u64,
        run: &mut Run,
    ) -> Result<(), BackupError> {
        let range = known.lines.clone().unwrap_or_else(nothing);
        let is_old = last < oldest;
        let meets = |one: &Sealed| one.first <= last && first <= one.last;
        let newest = sealed.last().map_or(0, |one| one.last);
        if !is_old && !suspect && (sealed.iter().any(meets) || first > newest) {
            let what = format!("its lines {first} to {last} are others than the home's");
            return Err(self.diverged(&run.stream, what));
        }
        run.is_met |= range.count > 0 && range.last_seq >= run.point.0;
        if is_old && !self.options.keeps_removed {
            return Ok(());
        }
        if !is_old {
            let path = &known.path;
            self.synced.notes.push(format!(
                "`{path}` is missing in the home; the replica has it: `echopilot verify` tells more"
            ));
        }
        run.take(&range);
        self.keep(known);
        Ok(())
    }

    /// A segment that only the home has.
    fn fresh(&mut self, logs: &Path, sealed: &Sealed, run: &mut Run) -> Result<(), BackupError> {
        let mut name = sealed.file.clone();
        let is_gone = |path: &Path| {
            let found = self.files.stat(path);
            matches!(found, Err(error) if error.kind() == io::ErrorKind::NotFound)
        };
        if is_gone(&logs.join(&name)) && !sealed.packed {
            // Compressed since it was listed.
            name.push_str(".zst");
        }
        if is_gone(&logs.join(&name)) {
            let note = format!("`logs/{}` was given up meanwhile", sealed.file);
            self.synced.notes.push(note);
            return Ok(());
        }
        let source = reading::open_sealed(self.files, logs, sealed, 0);
        let mut source = source.map_err(failed("read", &logs.join(&name)))?;
        let last = sealed.suspect.then_some(sealed.last);
        let range = self.lines(&mut source, &logs.join(&name), last, run)?;
        run.take(&range);
        self.send_segment(&logs.join(&name), &format!("logs/{name}"), range)
    }

    fn send_segment(&mut self, at: &Path, path: &str, range: Range) -> Result<(), BackupError> {
        let mode = self.files.stat(at).map_err(failed("read", at))?.mode;
        let sum = sum_at(self.files, at)?;
        let mut entry = entry(path.to_owned(), sum.size, sum.sha256, mode);
        entry.lines = Some(range);
        let opened = self.files.open_read(at);
        let opened = opened.and_then(|file| reading::plain(file, 0, u64::MAX));
        self.send(entry, &mut opened.map_err(failed("read", at))?)
    }

    /// The active segment, up to its last end of line.
    fn active(
        &mut self,
        at: &Path,
        (size, mode): (u64, u32),
        run: &mut Run,
    ) -> Result<(), BackupError> {
        let open = |files: &dyn crate::seams::files::Files, limit: u64| -> Result<Source, _> {
            let opened = files.open_read(at);
            opened
                .and_then(|file| reading::plain(file, 0, limit))
                .map_err(failed("read", at))
        };
        let sum = pour(&mut open(self.files, size)?, false, &mut |_| Ok(()));
        let sum = sum.map_err(failed("read", at))?;
        let mut range = self.lines(&mut open(self.files, sum.size)?, at, None, run)?;
        if range.count == 0 {
            (range.last_seq, range.h) = (run.last_seq, run.h.clone());
        }
        run.take(&range);
        let path = format!("logs/{}.ndjson", run.stream);
        let limit = sum.size;
        let mut entry = entry(path, sum.size, sum.sha256, mode);
        entry.lines = Some(range);
        if self.before.get(&entry.path) == Some(&entry) {
            self.keep(entry);
            return Ok(());
        }
        let mut source = open(self.files, limit)?;
        self.send(entry, &mut source)
    }

    /// Counts the lines of a file that is about to be sent, and looks for the line at which the
    /// replica ended.
    fn lines(
        &self,
        source: &mut Source,
        at: &Path,
        last: Option<u64>,
        run: &mut Run,
    ) -> Result<Range, BackupError> {
        let mut range = nothing();
        let mut other = None;
        let read = reading::whole_lines(source, &mut |whole| {
            let (counts, over) = last.map_or((whole, false), |last| reading::up_to(whole, last));
            for bytes in reading::lines_of(counts) {
                let Some(own) = line::parse(bytes.strip_suffix(b"\n").unwrap_or(bytes)) else {
                    continue;
                };
                if range.count == 0 {
                    range.first_seq = own.seq;
                }
                range.count += 1;
                range.last_seq = own.seq;
                range.h = text_of(&own.h);
                if !run.is_met && own.seq == run.point.0 {
                    run.is_met = range.h == run.point.1;
                    other = (!run.is_met).then(|| range.h.clone());
                }
            }
            if over {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        });
        read.map_err(failed("read", at))?;
        match other {
            Some(other) => {
                let (seq, h) = &run.point;
                let what = format!("its line {seq} ends with {h}, the home's with {other}");
                Err(self.diverged(&run.stream, what))
            }
            None => Ok(range),
        }
    }
}

/// The sealed segment of `stream` that a file of the replica is, if it is one.
fn sealed_of(entry: &FileEntry, stream: &str) -> Option<Sealed> {
    let (name, sealed) = names::parse(entry.path.strip_prefix("logs/")?)?;
    sealed.filter(|_| name == stream)
}

fn nothing() -> Range {
    Range {
        count: 0,
        first_seq: 0,
        last_seq: 0,
        h: text_of(&line::GENESIS),
    }
}
