//! What the writer does when the file is not as it should be: failed writes and syncs (rules L6 and
//! L7), a full medium (L8, L9), rotation (L14), files moved, cut or written to by others (L15,
//! L16).

use std::io;
use std::time::Duration;

use chrono::TimeDelta;

use super::names;
use super::reading;
use super::recover::Tail;
use super::room::Level;
use super::segment::{self, Active};
use super::writer::{Refusal, Writer};
use crate::seams::files::{Make, Stat};
use crate::storage::chain::Chain;

/// How long after a failed attempt the next append may make another one.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// Bytes that others appended which are kept for writing again after a failed sync. More than a
/// person writes by hand; past it the rest is still covered by the chain.
const FOREIGN_KEPT_MAX: u64 = 16 << 20;

impl Writer {
    /// Refuses lines from now on, and says so once.
    pub(super) fn refuse(&mut self, error: io::Error) -> Refusal {
        let text = error.to_string();
        let refusal = Refusal::of(error);
        self.last_try = self.env.clock.uptime();
        if matches!(refusal, Refusal::Full) {
            self.env.room.spend_reserve();
        }
        if self.refusing.is_none() {
            let kind = match refusal {
                Refusal::Full => "storage.filled",
                Refusal::Failed(_) | Refusal::Barred(_) => "storage.failed",
            };
            let about = self.stream.name.clone();
            self.env.notices.push(kind, &about, &[("error", &text)]);
        }
        self.refusing = Some(refusal.clone());
        refusal
    }

    /// Refuses lines for good once another copy of the home has taken over.
    pub(super) fn heed_fence(&mut self) -> Result<(), Refusal> {
        let Some(why) = self.env.lookout.look() else {
            return Ok(());
        };
        let refusal = Refusal::Barred(why);
        self.refusing = Some(refusal.clone());
        Err(refusal)
    }

    pub(super) fn heed_room(&mut self) {
        if self.env.room.level() == Level::Short {
            self.refuse(io::ErrorKind::StorageFull.into());
        }
    }

    pub(super) fn may_try(&self) -> bool {
        self.env.clock.uptime().saturating_sub(self.last_try) >= RETRY_AFTER
    }

    /// Looks whether lines can be accepted again.
    pub(super) fn try_again(&mut self) {
        self.last_try = self.env.clock.uptime();
        if matches!(self.refusing, Some(Refusal::Full)) && !self.env.room.lifts() {
            return;
        }
        if self.active.is_none()
            && let Err(error) = self.make_ready()
        {
            self.refusing = Some(Refusal::of(error));
            return;
        }
        self.refusing = None;
        let about = self.stream.name.clone();
        self.env.notices.push("storage.recovered", &about, &[]);
    }

    fn make_ready(&mut self) -> io::Result<()> {
        // Somebody may have removed the whole folder.
        self.env.files.create_dir_all(&self.env.logs)?;
        if self.recovered {
            return self.begin_again(&[]);
        }
        let path = names::active(&self.env.logs, &self.stream.name);
        // Reading it all again costs much, this look costs little.
        drop(self.env.files.open_append(&path, Make::IfMissing)?);
        self.recover(Tail::IsNotOurs)
    }

    /// Leaves the active segment as it is, never to be synced again, and begins a new one with all
    /// lines of the old one that are not known to be on the medium, the batch in hand included.
    pub(super) fn replace_segment(&mut self, error: &io::Error) -> Result<(), Refusal> {
        self.go_on_elsewhere(error)
            .map_err(|error| self.refuse(error))
    }

    /// The same, where the caller refuses.
    pub(super) fn go_on_elsewhere(&mut self, error: &io::Error) -> io::Result<()> {
        if let Some(active) = self.active.take() {
            self.first_at_path = active.first;
        }
        let batch = std::mem::take(&mut self.buffer);
        let begun = self.begin_again(&batch);
        self.buffer = batch;
        self.buffer.clear();
        let about = self.stream.name.clone();
        let text = error.to_string();
        self.env
            .notices
            .push("segment.suspected", &about, &[("error", &text)]);
        self.stream.note(|health| health.damage += 1);
        begun
    }

    /// The last chance of lines that are acknowledged, and that no segment counts: nobody has them
    /// in memory after this.
    pub(super) fn save_unsynced(&mut self) {
        if self.active.is_some() || !self.recovered || self.unsynced.is_empty() {
            return;
        }
        if let Err(error) = self.begin_again(&[]) {
            let stream = &self.stream.name;
            tracing::error!(stream, %error, "acknowledged lines are left in a suspect segment");
        }
    }

    fn begin_again(&mut self, batch: &[u8]) -> io::Result<()> {
        let name = self.stream.name.clone();
        let aside = segment::set_aside(&self.env, &name, self.first_at_path, self.synced)?;
        self.first_at_path = self.synced + 1;
        let mut carried = self.unsynced.clone();
        carried.extend_from_slice(batch);
        let mut chain = self.chain.clone();
        if carried.last().is_some_and(|last| *last != b'\n') {
            // Somebody's line lacks its end: ours must not be glued to it.
            carried.push(b'\n');
            chain.foreign(b"\n");
        }
        let first = self.synced + 1;
        let begun = segment::begin(
            &self.env,
            &name,
            &mut chain,
            (&aside, None),
            (&carried, first),
        )?;
        self.chain = chain;
        self.adopt(begun);
        Ok(())
    }

    /// Takes a segment that was just begun, all of it on the medium.
    fn adopt(&mut self, begun: Active) {
        self.first_at_path = begun.first;
        self.recent.forget();
        self.active = Some(begun);
        self.synced = self.chain.seq();
        self.unsynced.clear();
        self.unsynced_own = 0;
        self.sync_due = None;
        self.stream.note(|health| health.segments += 1);
    }

    /// Seals the active segment when it is large or old enough.
    pub(super) fn rotate_if_due(&mut self) {
        let options = self.stream.options;
        let Some(active) = self.active.as_ref() else {
            return;
        };
        let age = TimeDelta::from_std(options.segment_age).unwrap_or(TimeDelta::MAX);
        let old = self.env.clock.now().signed_duration_since(active.opened) >= age;
        if active.lines == 0 || !(old || active.size >= options.segment_bytes) {
            return;
        }
        let inode = active.inode;
        if !self.unsynced.is_empty() {
            self.sync_now();
        }
        if self.active.as_ref().is_none_or(|now| now.inode != inode) {
            // The sync failed, and the lines went on in another segment.
            return;
        }
        match self.rotate() {
            Err(error) if self.active.is_none() => drop(self.refuse(error)),
            // It goes on growing; the next batch tries again.
            Err(error) => {
                let stream = &self.stream.name;
                tracing::warn!(stream, %error, "cannot seal a segment");
            }
            Ok(()) => {}
        }
    }

    /// Seals the active segment and begins the next one. It is still the active one after an error
    /// if it could not be sealed.
    fn rotate(&mut self) -> io::Result<()> {
        let Some(mut active) = self.active.take() else {
            return Ok(());
        };
        let name = self.stream.name.clone();
        if active.ragged && segment::put_all(&mut *active.file, b"\n").is_ok() {
            self.chain.foreign(b"\n");
            self.unsynced.push(b'\n');
            active.ragged = false;
            active.size += 1;
        }
        let sealed = names::sealed(&name, active.first, self.chain.seq());
        let path = names::active(&self.env.logs, &name);
        let logs = self.env.logs.clone();
        if let Err(error) = self.env.files.rename(&path, &logs.join(&sealed)) {
            self.active = Some(active);
            return Err(error);
        }
        let times = Some(active.times);
        drop(active);
        // Everything in it is on the medium: were it set aside now, all of it would count.
        self.unsynced.clear();
        self.unsynced_own = 0;
        self.first_at_path = self.chain.seq() + 1;
        self.env.files.sync_dir(&logs)?;
        let first = self.chain.seq() + 1;
        let begun = segment::begin(
            &self.env,
            &name,
            &mut self.chain,
            (&sealed, times),
            (&[], first),
        )?;
        self.adopt(begun);
        Ok(())
    }

    /// Compares the open file with what has its name.
    pub(super) fn look_at_path(&mut self) -> io::Result<()> {
        let path = names::active(&self.env.logs, &self.stream.name);
        let Some(active) = self.active.as_ref() else {
            return Ok(());
        };
        let found = match self.env.files.stat(&path) {
            Ok(found) if found.inode == active.inode => found,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) => return self.follow_replaced(),
            Err(_) => return self.follow_moved(),
        };
        match found.size.cmp(&active.size) {
            std::cmp::Ordering::Equal => {
                self.heed_edit(found.mtime_ns);
                Ok(())
            }
            std::cmp::Ordering::Greater => self.take_foreign(&found),
            std::cmp::Ordering::Less => self.follow_replaced(),
        }
    }

    /// Somebody wrote in place, if the time of the last change is not that of our own: what exactly
    /// is for `verify` to tell.
    fn heed_edit(&mut self, mtime_ns: i128) {
        let Some(active) = self.active.as_mut() else {
            return;
        };
        let known = active.mtime_ns.replace(mtime_ns);
        if known.is_some_and(|known| known != mtime_ns) {
            let about = self.stream.name.clone();
            self.env.notices.push("log.edited", &about, &[]);
            self.stream.note(|health| health.damage += 1);
        }
    }

    /// Gives a file that somebody writes to without pause up to that somebody: lines of ours cannot
    /// be told apart from what comes in between. They go on in a new one.
    pub(super) fn leave_to_others(&mut self) -> io::Result<()> {
        if !self.unsynced.is_empty() {
            self.sync_now();
        }
        let Some(active) = self.active.as_mut() else {
            // The sync failed, and no other file could be begun.
            return Ok(());
        };
        let ragged = std::mem::take(&mut active.ragged);
        // What stands after our last line there goes on growing: the next line cannot cover it.
        let fresh = Chain::after(self.chain.seq(), *self.chain.h());
        let covering = std::mem::replace(&mut self.chain, fresh);
        let left = self.rotate();
        if left.is_err()
            && let Some(active) = self.active.as_mut()
        {
            // It could not be sealed: lines of ours come after theirs after all.
            active.ragged = ragged;
            self.chain = covering;
        }
        left
    }

    /// Somebody appended to the file.
    fn take_foreign(&mut self, found: &Stat) -> io::Result<()> {
        let path = names::active(&self.env.logs, &self.stream.name);
        let Some(active) = self.active.as_mut() else {
            return Ok(());
        };
        let mut source = reading::plain(self.env.files.open_read(&path)?, active.size, found.size)?;
        let keep = found.size - active.size <= FOREIGN_KEPT_MAX;
        let (mut chain, unsynced) = (self.chain.clone(), &mut self.unsynced);
        let known = unsynced.len();
        let mut lines = 0;
        let mut take = |bytes: &[u8]| {
            chain.foreign(bytes);
            lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
            if keep {
                unsynced.extend_from_slice(bytes);
            }
            std::ops::ControlFlow::Continue(())
        };
        let read = reading::whole_lines(&mut source, &mut take);
        let rest = match read {
            Ok(rest) => rest,
            Err(error) => {
                // All of it is read again.
                unsynced.truncate(known);
                return Err(error);
            }
        };
        if !rest.is_empty() {
            let _goes_on = take(&rest);
            lines += u64::from(!active.ragged || lines > 0);
        }
        self.chain = chain;
        active.ragged = !rest.is_empty();
        active.size = found.size;
        active.mtime_ns = Some(found.mtime_ns);
        self.stream.note(|health| health.foreign_lines += lines);
        Ok(())
    }

    /// The file was moved away or deleted: a new one goes on where it ended.
    fn follow_moved(&mut self) -> io::Result<()> {
        if let Some(mut old) = self.active.take()
            && !self.unsynced.is_empty()
            && let Err(error) = old.file.sync_data()
        {
            tracing::warn!(%error, "a moved segment may have lost its last lines");
        }
        let name = self.stream.name.clone();
        self.env.notices.push("segment.missed", &name, &[]);
        self.synced = self.chain.seq();
        self.unsynced.clear();
        self.unsynced_own = 0;
        self.begin_again(&[])
    }

    /// Whether somebody else's bytes came between the look at the file and the write. Where they
    /// stand before ours, the batch is taken back and they are put first. Should that fail half
    /// way, the batch is in another file, or refused.
    pub(super) fn tangled(&mut self, before: &Chain) -> Result<bool, Refusal> {
        let Some(active) = self.active.as_mut().filter(|_| !self.buffer.is_empty()) else {
            return Ok(false);
        };
        let base = active.size - self.buffer.len() as u64;
        let kept = self.unsynced.len().saturating_sub(self.buffer.len());
        let mut region = match region_after(active, base) {
            Ok(Some(region)) => region,
            Ok(None) => return Ok(false),
            // Where the batch stands is unknown.
            Err(error) => return self.store_elsewhere(&error, kept).map(|()| false),
        };
        let Some(at) = memchr::memmem::find(&region, &self.buffer).filter(|at| *at > 0) else {
            return Ok(false);
        };
        region.drain(at..at + self.buffer.len());
        // Not acknowledged yet: nobody knows these lines.
        let cut = active.file.set_len(base);
        if let Err(error) = cut.and_then(|()| segment::put_all(&mut *active.file, &region)) {
            self.chain.foreign(&region);
            self.unsynced.extend_from_slice(&region);
            return self.store_elsewhere(&error, kept).map(|()| false);
        }
        active.size = base;
        active.lines -= self.chain.seq() - before.seq();
        self.chain = before.clone();
        self.synced = self.synced.min(self.chain.seq());
        self.keep_unsynced(kept);
        // Unless it can be seen what stands there now, the next attempt is tangled too.
        let _seen_later = self.look_at_path();
        Ok(true)
    }
}

/// What the file holds from `base` on, if there is more in it than was written.
fn region_after(active: &mut Active, base: u64) -> io::Result<Option<Vec<u8>>> {
    let stat = active.file.stat()?;
    active.mtime_ns = Some(stat.mtime_ns);
    if stat.size <= active.size {
        return Ok(None);
    }
    segment::read_back(&*active.file, base, stat.size).map(Some)
}
