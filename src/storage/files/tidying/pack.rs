//! Packing one sealed segment, and mending a packed one: built under a temporary name, on the
//! medium, read back and compared before it gets its own. Killed anywhere, there is the plain
//! segment, or both, or the packed one; where there are both, the plain one counts.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::super::names::{self, Sealed};
use super::super::packing::{self, Facts, Packing};
use super::super::reading::{self, Source};
use super::{Fate, Tidying};
use crate::seams::files::Stat;
use crate::storage::chain::{Chain, Verdict};
use crate::storage::line;

/// What a segment under construction is called: no name of a stream begins with a dot.
const PREFIX: &str = ".packing-";
/// Room that must be left, as a part of a plain segment: ordinary lines pack to an eighth.
const ROOM_PART: u64 = 4;
/// Bytes of the largest segment that is packed: lengths within the tables have four bytes, and what
/// is mended is held in memory. Source: our own choice, far above any rotation.
const MOST_BYTES: u64 = 16 << 30;

/// Whether a file was left by a pass that was killed.
pub(super) fn is_temporary(file: &str) -> bool {
    file.starts_with(PREFIX)
}

impl Tidying<'_> {
    /// Packs `segment` if it is due.
    pub(super) fn pack(&mut self, segment: &Sealed, listed: &[String]) -> io::Result<Fate> {
        let Some(after) = self.plan.pack_after else {
            return Ok(Fate::NotYet);
        };
        if segment.suspect || !self.is_due(segment, after)? {
            return Ok(Fate::NotYet);
        }
        let packed = format!("{}.zst", segment.file);
        if !self.plan.is_dry_run
            && listed.contains(&packed)
            && self.finish_removal(segment, &packed)?
        {
            return Ok(Fate::Done);
        }
        let plain = self.env.files.stat(&self.path(&segment.file))?;
        if plain.size > MOST_BYTES {
            return Ok(Fate::Left("too large to be packed".to_owned()));
        }
        if !self.has_room(plain.size / ROOM_PART) {
            return Ok(Fate::Left("too little room to pack it".to_owned()));
        }
        if self.plan.is_dry_run {
            self.done.packed += 1;
            self.done.packed_from_bytes += plain.size;
            self.done.packed_to_bytes += plain.size / ROOM_PART;
            return Ok(Fate::Done);
        }
        let temporary = self.path(&format!("{PREFIX}{packed}"));
        let fate = self.build(segment, &plain, &temporary, &packed);
        if !matches!(fate, Ok(Fate::Done)) {
            // Swept away by the next pass, if it cannot go now.
            let _left_behind = self.env.files.remove(&temporary);
        }
        fate
    }

    fn is_due(&self, segment: &Sealed, after: Duration) -> io::Result<bool> {
        if self.is_low() {
            return Ok(true);
        }
        let last = self.last_stamp(segment)?;
        let age = last.map(|last| self.plan.now.signed_duration_since(last));
        Ok(age.is_none_or(|age| age.to_std().is_ok_and(|age| age >= after)))
    }

    fn build(
        &mut self,
        segment: &Sealed,
        plain: &Stat,
        temporary: &Path,
        packed: &str,
    ) -> io::Result<Fate> {
        let files = &*self.env.files;
        let mut source = reading::open_sealed(files, &self.env.logs, segment, 0)?;
        let facts = match self.write(&mut source, temporary)? {
            Ok(facts) => facts,
            Err(fate) => return Ok(fate),
        };
        if facts.last_seq != segment.last {
            return Ok(Fate::Left(
                "its last line is not the one of its name".to_owned(),
            ));
        }
        if facts.text_len != plain.size || !facts.hold(files, temporary)? {
            return Ok(Fate::Left("it did not read back the same".to_owned()));
        }
        let now = files.stat(&self.path(&segment.file))?;
        if (now.inode, now.size, now.mtime_ns) != (plain.inode, plain.size, plain.mtime_ns) {
            return Ok(Fate::Left("somebody wrote to it meanwhile".to_owned()));
        }
        files.rename(temporary, &self.path(packed))?;
        files.sync_dir(&self.env.logs)?;
        self.remove_plain(segment)?;
        self.done.packed += 1;
        self.done.packed_from_bytes += plain.size;
        self.done.packed_to_bytes += facts.packed_len;
        Ok(Fate::Done)
    }

    /// The packed form is on the medium under its name: the plain one may go.
    fn remove_plain(&self, segment: &Sealed) -> io::Result<()> {
        self.env.files.remove(&self.path(&segment.file))?;
        self.env.files.sync_dir(&self.env.logs)
    }

    /// Writes the text of `source` to a packed file, unless it is damaged: a person may mend it
    /// yet, or a backup.
    fn write(&self, source: &mut Source, path: &Path) -> io::Result<Result<Facts, Fate>> {
        let files = &*self.env.files;
        let mut packing = Packing::begin(files, path)?;
        let mut reader = Judge::new();
        let mut outcome = Ok(());
        let mut stopped = false;
        let tail = reading::whole_lines(source, &mut |whole| {
            stopped = (self.stop)();
            reader.read(whole);
            outcome = packing.take(whole);
            if stopped || outcome.is_err() || reader.damaged {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        outcome?;
        if stopped {
            return Ok(Err(Fate::Stopped));
        }
        if reader.damaged || line::parse(&tail).is_some() {
            let why = "it is damaged; hint: `echopilot verify` names the line";
            return Ok(Err(Fate::Left(why.to_owned())));
        }
        packing.finish(files, path, &tail).map(Ok)
    }

    /// A pass was killed, or failed, after the packed form had its name. Whether the plain one is
    /// gone now.
    fn finish_removal(&mut self, segment: &Sealed, packed: &str) -> io::Result<bool> {
        let files = &*self.env.files;
        let Some(facts) = Facts::of(files, &self.path(packed))? else {
            return Ok(false);
        };
        let mut source = reading::open_sealed(files, &self.env.logs, segment, 0)?;
        if packing::text_sum(&mut source)? != (facts.text_len, facts.text_sum) {
            return Ok(false);
        }
        self.remove_plain(segment)?;
        self.done.packed += 1;
        self.done.packed_from_bytes += facts.text_len;
        self.done.packed_to_bytes += facts.packed_len;
        Ok(true)
    }

    /// Writes a damaged packed segment anew, whole, as far as parity gives its text back.
    pub(super) fn mend(&mut self, segment: &Sealed) -> io::Result<Fate> {
        let files = &*self.env.files;
        let path = self.path(&segment.file);
        let damage = packing::check(files.open_read(&path)?)?;
        if damage.is_empty() {
            return Ok(Fate::NotYet);
        }
        if damage.iter().any(|place| place.lost) {
            return Ok(Fate::Left("it is damaged beyond its parity".to_owned()));
        }
        let before = files.stat(&path)?;
        if !self.has_room(before.size) {
            return Ok(Fate::Left("too little room to mend it".to_owned()));
        }
        if self.plan.is_dry_run {
            self.done.mended += 1;
            return Ok(Fate::Done);
        }
        let temporary = self.path(&format!("{PREFIX}{}", segment.file));
        let mended = self.rebuild(segment, &temporary);
        if !matches!(mended, Ok(Fate::Done)) {
            // Swept away by the next pass, if it cannot go now.
            let _left_behind = self.env.files.remove(&temporary);
        }
        if matches!(mended, Ok(Fate::Done)) {
            self.done.mended += 1;
            let about = names::parse(&segment.file).map_or("", |(stream, _)| stream);
            let places = damage.len().to_string();
            let members = [("file", &*segment.file), ("places", &*places)];
            self.env.notices.push("segment.mended", about, &members);
        }
        mended
    }

    fn rebuild(&self, segment: &Sealed, temporary: &Path) -> io::Result<Fate> {
        let files = &*self.env.files;
        let path = self.path(&segment.file);
        let wanted = packing::text_facts(files.open_read(&path)?)?;
        let mut source = reading::open_sealed(files, &self.env.logs, segment, 0)?;
        let facts = match self.write(&mut source, temporary)? {
            Ok(facts) => facts,
            Err(fate) => return Ok(fate),
        };
        let same = wanted.is_none_or(|wanted| wanted == (facts.text_len, facts.text_sum));
        if !same || facts.last_seq != segment.last || !facts.hold(files, temporary)? {
            return Ok(Fate::Left("it did not read back the same".to_owned()));
        }
        files.rename(temporary, &path)?;
        files.sync_dir(&self.env.logs)?;
        Ok(Fate::Done)
    }
}

/// Looks for lines that do not fit the chain; the first one is let pass, for what stands before it
/// is in another file.
struct Judge {
    chain: Chain,
    begun: bool,
    damaged: bool,
}

impl Judge {
    fn new() -> Self {
        Self {
            chain: Chain::genesis(),
            begun: false,
            damaged: false,
        }
    }

    fn read(&mut self, whole: &[u8]) {
        for bytes in reading::lines_of(whole) {
            let expected = self.chain.seq() + 1;
            let verdict = self.chain.read(bytes);
            let odd = match verdict {
                Verdict::Foreign => memchr::memchr(0, bytes).is_some(),
                Verdict::Broken => self.begun,
                Verdict::OwnAfterDamage => true,
                Verdict::Own => {
                    let own = line::parse(bytes.strip_suffix(b"\n").unwrap_or(bytes));
                    let told = own.is_some_and(|own| own.kind == b"log.truncated");
                    self.begun && self.chain.seq() != expected && !told
                }
            };
            self.begun |= verdict != Verdict::Foreign;
            self.damaged |= odd;
        }
    }
}
