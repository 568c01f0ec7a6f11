//! Checks the chain of every stream, line by line, and names what does not fit. Only reads: it
//! works while a daemon writes and while none runs.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use super::anchors::{Anchors, OfStream};
use super::chain::{self, Chain, Verdict};
use super::files::names::{self, Sealed};
use super::files::packing::{self, Damage};
use super::files::{reading, recover};
use super::line::{self, ChainValue};
use super::removed;
use crate::seams::files::{Files, ReadFile, Stat};

/// Places kept per stream: whoever has more needs a backup, not a longer list.
const FAULTS_MAX: usize = 100;
/// What is wrong with a beginning that is not the first line.
const NO_CLEAN_CUT: &str = "lines before it are missing, and it names none that it continues";

/// A place that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// File name in the logs folder.
    pub file: String,
    /// Line in that file, from 1; in a compressed one, of its text; 0 where no line is meant.
    pub line: u64,
    /// Byte at which that line begins; where no line is meant, of the file.
    pub offset: u64,
    /// The line's `seq`, or the one it should have had.
    pub seq: u64,
    /// What is wrong with it.
    pub what: &'static str,
}

/// One file of a stream: where it stands in the chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileReport {
    /// File name in the logs folder.
    pub file: String,
    /// Lines of ours in it.
    pub lines: u64,
    /// `seq` of the first of them; 0 where there is none.
    pub first_seq: u64,
    /// `seq` of the last line of ours in it or before it.
    pub last_seq: u64,
    /// Chain value of that line.
    pub h: ChainValue,
}

/// One stream, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamReport {
    /// Its name.
    pub stream: String,
    /// Lines of ours.
    pub lines: u64,
    /// Lines that are not ours.
    pub foreign: u64,
    /// `seq` of the first line; 0 where there is none.
    pub begins_at: u64,
    /// When what stood before it was removed, as far as that is on record.
    pub removed_at: Option<String>,
    /// Segments, sealed ones and the active one.
    pub segments: u64,
    /// `seq` of the last line.
    pub last_seq: u64,
    /// Chain value of the last line.
    pub h: ChainValue,
    /// Its files, in the order of their lines.
    pub files: Vec<FileReport>,
    /// Places that do not fit, the first hundred of them.
    pub bad: Vec<BadLine>,
    /// How many there are in all.
    pub bad_lines: u64,
    /// Anchors that were compared.
    pub anchors: u64,
    /// Bytes after the last end of line: a line being written, or one that a crash cut short.
    pub tail_bytes: u64,
}

impl StreamReport {
    /// The first place that does not fit.
    pub fn first_bad(&self) -> Option<&BadLine> {
        self.bad.first()
    }
}

/// A stream that could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{file}`")]
pub struct VerifyError {
    /// File name in the logs folder.
    pub file: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Checks all streams of a logs folder, by their names, also against what was told of them outside.
pub fn verify(
    files: &dyn Files,
    logs: &Path,
    anchors: &Anchors,
) -> Result<Vec<StreamReport>, VerifyError> {
    let listed = files.list(logs).map_err(|source| VerifyError {
        file: "logs".to_owned(),
        source,
    })?;
    let mut streams: Vec<&str> = listed
        .iter()
        .filter_map(|file| names::parse(file))
        .map(|(stream, _)| stream)
        .chain(anchors.streams())
        .collect();
    streams.sort_unstable();
    streams.dedup();
    let reports = streams
        .into_iter()
        .map(|stream| verify_stream(files, logs, stream, anchors));
    let mut reports = reports.collect::<Result<Vec<_>, _>>()?;
    if reports.iter().any(|report| report.begins_at > 1) {
        tell_removals(files, logs, &mut reports);
    }
    Ok(reports)
}

/// Says of each journal without its beginning when that was removed.
fn tell_removals(files: &dyn Files, logs: &Path, reports: &mut [StreamReport]) {
    // The record may be gone as well: then nobody knows.
    let removals = removed::read(files, logs).unwrap_or_default();
    for report in reports.iter_mut().filter(|report| report.begins_at > 1) {
        let told = removals.get(&report.stream);
        let told = told.filter(|told| told.last + 1 == report.begins_at);
        report.removed_at = told.map(|told| told.at.clone());
    }
}

/// Checks the active segment of every stream against the end of what is sealed, and that no sealed
/// segment in between is missing: quick, however long the journals are.
pub fn verify_active(files: &dyn Files, logs: &Path) -> Result<Vec<StreamReport>, VerifyError> {
    let in_file = |file: &str| {
        let file = file.to_owned();
        move |source| VerifyError { file, source }
    };
    let listed = files.list(logs).map_err(in_file("logs"))?;
    let streams = listed.iter().filter_map(|file| match names::parse(file) {
        Some((stream, None)) => Some((file, stream)),
        _ => None,
    });
    let check = |(active, stream): (&String, &str)| {
        let layout = reading::layout(files, logs, stream).map_err(in_file(active))?;
        let mut walk = Walk::over(stream, OfStream::default());
        walk.gaps(&layout.sealed);
        if let Some(last) = layout.sealed.last() {
            walk.begun = true;
            let end = recover::end_of(files, logs, last);
            walk.chain = end.map_err(in_file(&last.file))?;
        }
        walk.active(active, layout.active)
            .map_err(in_file(active))?;
        Ok(walk.ended(active))
    };
    streams.map(check).collect()
}

/// Checks one stream.
pub fn verify_stream(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
    anchors: &Anchors,
) -> Result<StreamReport, VerifyError> {
    let active_name = format!("{stream}.ndjson");
    let in_file = |file: &str| {
        let file = file.to_owned();
        move |source| VerifyError { file, source }
    };
    let layout = reading::layout(files, logs, stream).map_err(in_file(&active_name))?;
    let mut walk = Walk::over(stream, anchors.of(stream));
    for segment in &layout.sealed {
        let source = reading::open_sealed(files, logs, segment, 0);
        let walked = source.and_then(|mut source| walk.sealed(segment, &mut source));
        walked.map_err(in_file(&segment.file))?;
        if segment.packed {
            let file = files.open_read(&logs.join(&segment.file));
            let damage = file.and_then(packing::check);
            walk.packed(&segment.file, &damage.map_err(in_file(&segment.file))?);
        }
    }
    walk.active(&active_name, layout.active)
        .map_err(in_file(&active_name))?;
    Ok(walk.ended(&active_name))
}

struct Walk {
    report: StreamReport,
    chain: Chain,
    /// The highest number of a line that fits.
    reached: u64,
    begun: bool,
    /// A line that is not ours now and may have been: the next line tells.
    suspicion: Option<Suspicion>,
    /// What was told of this chain and not met yet.
    anchors: OfStream,
}

struct Suspicion {
    place: BadLine,
    /// It needs no next line to be bad.
    certain: bool,
    /// It ends as lines of ours do.
    ends_as_ours: bool,
}

impl Walk {
    fn over(stream: &str, anchors: OfStream) -> Self {
        Self {
            report: StreamReport {
                stream: stream.to_owned(),
                ..StreamReport::default()
            },
            chain: Chain::genesis(),
            reached: 0,
            begun: false,
            suspicion: None,
            anchors,
        }
    }

    /// Sealed segments that do not begin where the one before them ends.
    fn gaps(&mut self, sealed: &[Sealed]) {
        for (before, after) in sealed.iter().zip(sealed.iter().skip(1)) {
            if after.first != before.last + 1 {
                self.bad(BadLine {
                    file: after.file.clone(),
                    line: 1,
                    offset: 0,
                    seq: before.last + 1,
                    what: "lines before it are missing: a segment is gone",
                });
            }
        }
    }

    fn active(&mut self, name: &str, open: Option<(Box<dyn ReadFile>, Stat)>) -> io::Result<()> {
        if let Some((file, stat)) = open {
            let mut source = reading::plain(file, 0, stat.size)?;
            let (tail, ..) = self.file(name, &mut source, None)?;
            self.report.tail_bytes = tail.len() as u64;
        }
        Ok(())
    }

    fn ended(mut self, active: &str) -> StreamReport {
        self.report.last_seq = self.chain.seq();
        self.past_the_end(active);
        // There is no next line to tell: what ends as ours was ours.
        let known = self.suspicion.as_ref();
        if known.is_some_and(|known| known.certain || known.ends_as_ours) {
            self.bad_suspicion();
        }
        self.report.h = *self.chain.h();
        self.report
    }

    /// Compares the line just read with what was told of it.
    fn anchored(&mut self, mut place: BadLine) {
        let Some(told) = self.anchors.remove(&self.chain.seq()) else {
            return;
        };
        self.report.anchors += told.len() as u64;
        if told.iter().any(|h| h != self.chain.h()) {
            place.seq = self.chain.seq();
            place.what = "its chain value is not the one that was anchored: history was rewritten";
            self.bad(place);
        }
    }

    /// Anchors of lines that the chain does not reach any more.
    fn past_the_end(&mut self, file: &str) {
        let missing = self.anchors.split_off(&(self.chain.seq() + 1));
        for seq in missing.into_keys() {
            self.bad(BadLine {
                file: file.to_owned(),
                line: 0,
                offset: 0,
                seq,
                what: "it was anchored and is not there: the chain was cut",
            });
        }
        // Anchors of lines before the first one left: those segments were given up.
    }

    fn sealed(&mut self, segment: &Sealed, source: &mut reading::Source) -> io::Result<()> {
        let last = segment.suspect.then_some(segment.last);
        let (tail, number, offset) = self.file(&segment.file, source, last)?;
        if last.is_none() && !tail.is_empty() {
            self.unended(segment, &tail, number, offset);
        }
        Ok(())
    }

    /// Damage to the file itself, which its text may show nothing of.
    fn packed(&mut self, file: &str, damage: &[Damage]) {
        for place in damage {
            self.bad(BadLine {
                file: file.to_owned(),
                line: 0,
                offset: place.offset,
                seq: place.seq,
                what: place.what,
            });
        }
    }

    fn unended(&mut self, segment: &Sealed, tail: &[u8], number: u64, offset: u64) {
        // A sealed segment ends with an end of line: this one was changed.
        let place = BadLine {
            file: segment.file.clone(),
            line: number + 1,
            offset,
            seq: self.chain.seq() + 1,
            what: "its end of line is missing",
        };
        let (before, _) = tail.split_at(tail.len() - 1);
        let mut forms = [tail, before].into_iter();
        let own = forms.find(|t| line::parse(t).is_some());
        if let Some(own) = own {
            self.report.lines += 1;
            self.chain.read(own);
        } else {
            self.report.foreign += 1;
            self.chain.foreign(tail);
        }
        self.end_file();
        self.bad(place);
    }

    /// Gives what follows the last end of line, and how many lines and bytes stand before it.
    fn file(
        &mut self,
        file: &str,
        source: &mut reading::Source,
        last: Option<u64>,
    ) -> io::Result<(Vec<u8>, u64, u64)> {
        self.report.segments += 1;
        self.report.files.push(FileReport {
            file: file.to_owned(),
            ..FileReport::default()
        });
        let (mut number, mut offset) = (0, 0);
        let tail = reading::whole_lines(source, &mut |whole| {
            let (counts, over) = last.map_or((whole, false), |last| reading::up_to(whole, last));
            for bytes in reading::lines_of(counts) {
                number += 1;
                let place = BadLine {
                    file: file.to_owned(),
                    line: number,
                    offset,
                    seq: self.chain.seq() + 1,
                    what: "",
                };
                self.line(bytes, place);
                offset += bytes.len() as u64;
            }
            if over {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        self.end_file();
        Ok((tail, number, offset))
    }

    /// Notes how far the file at hand has brought the chain.
    fn end_file(&mut self) {
        let earlier = self.report.files.iter().rev().skip(1);
        let before: u64 = earlier.map(|file| file.lines).sum();
        if let Some(file) = self.report.files.last_mut() {
            file.lines = self.report.lines - before;
            file.last_seq = self.chain.seq();
            file.h = *self.chain.h();
        }
    }

    fn line(&mut self, bytes: &[u8], mut place: BadLine) {
        let expected = place.seq;
        let at = (!self.anchors.is_empty()).then(|| place.clone());
        let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let own = line::parse(body);
        // Where the first segments were given up, the first line left cannot be checked.
        let late = !self.begun && own.is_some_and(|own| own.seq > 1);
        let clean = late && own.is_some_and(|own| chain::past_of(&own).is_some());
        if let Some(own) = own.filter(|_| !self.begun) {
            self.report.begins_at = own.seq;
            self.begun = true;
        }
        if let (Some(own), Some(file)) = (own, self.report.files.last_mut())
            && file.first_seq == 0
        {
            file.first_seq = own.seq;
        }
        let verdict = self.chain.read(bytes);
        match verdict {
            Verdict::Foreign => {
                self.report.foreign += 1;
                self.suspect(body, place);
                return;
            }
            Verdict::OwnAfterDamage => self.bad_suspicion(),
            // One number is missing, and there is a line without one: that was it.
            Verdict::Broken | Verdict::Own
                if (self.suspicion.as_ref())
                    .is_some_and(|known| known.certain || self.chain.seq() == expected + 1) =>
            {
                self.bad_suspicion();
            }
            Verdict::Broken if late => {
                place.what = NO_CLEAN_CUT;
                self.bad(place);
            }
            Verdict::Broken => {
                place.seq = self.chain.seq();
                place.what =
                    "its chain value does not fit: it or what stands before it was changed";
                self.bad(place);
                self.count_on();
            }
            Verdict::Own => {
                let found = self.chain.seq();
                let announced = own.is_some_and(|own| own.kind == b"log.truncated");
                if late && !clean && !announced {
                    place.what = NO_CLEAN_CUT;
                    self.bad(place);
                } else if found <= self.reached && !announced {
                    place.seq = found;
                    place.what = "its number was there before: it is a copy";
                    self.bad(place);
                    self.count_on();
                } else if found != expected && !announced && !late {
                    place.what = "lines before it are missing";
                    self.bad(place);
                }
            }
        }
        if verdict != Verdict::Broken {
            self.reached = self.reached.max(self.chain.seq());
        }
        self.suspicion = None;
        self.report.lines += 1;
        if let Some(place) = at {
            self.anchored(place);
        }
    }

    /// A copy of an earlier line does not take the counting back.
    fn count_on(&mut self) {
        self.chain.skip_to(self.chain.seq().max(self.reached));
    }

    /// Keeps a line in mind that is not ours.
    fn suspect(&mut self, body: &[u8], place: BadLine) {
        if self.suspicion.as_ref().is_some_and(|known| known.certain) {
            self.bad_suspicion();
        }
        let ends_as_ours = line::ending(body).is_some();
        // No person writes zeros: a file system leaves them where a write was lost (rule L4).
        let certain = memchr::memchr(0, body).is_some();
        if ends_as_ours || certain || self.suspicion.is_none() {
            self.suspicion = Some(Suspicion {
                place,
                certain,
                ends_as_ours,
            });
        }
    }

    fn bad_suspicion(&mut self) {
        if let Some(known) = self.suspicion.take() {
            let (mut place, certain) = (known.place, known.certain);
            self.report.foreign -= 1;
            place.what = if certain {
                "damaged: there are zeros in it"
            } else {
                "damaged: it does not read as a line any more"
            };
            self.bad(place);
        }
    }

    fn bad(&mut self, place: BadLine) {
        self.report.bad_lines += 1;
        if self.report.bad.len() < FAULTS_MAX {
            self.report.bad.push(place);
        }
    }
}
