//! Where the lines of a log went when it was renamed, or copied and cut.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::mark::{ENOUGH, Mark, Position, mtime};
use super::reader::{Kin, Reader};
use super::siblings::{Sibling, likely, siblings};
use super::{Packed, Tail};

/// How often a folder is listed when files are renamed while that is done.
const LOOKS: usize = 5;

impl Tail {
    /// Finds the files of an earlier process again, whatever their names are now.
    pub(super) fn restore(&mut self, known: &Position, now: Duration) -> io::Result<()> {
        let mut open: Vec<Reader> = Vec::new();
        let mut gone = None;
        for (index, mark) in known.files.iter().enumerate() {
            let last = index + 1 == known.files.len();
            if let Some(reader) = self.search(mark, true, now)? {
                open.push(reader);
            } else if last {
                gone = Some(mark);
            } else if !self.was_whole(mark)? {
                self.lose(mark.offset);
            }
        }
        self.open = open;
        if let Some(mark) = gone {
            self.lose(mark.offset);
            let current = match self.files.stat(&self.path) {
                Ok(stat) => Some(Mark::start(&stat)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let place = self.open.len();
            self.gather(mark.mtime_ns, current.as_ref(), place, now, Packed::Tell)?;
        }
        Ok(())
    }

    /// Whether a file that is gone had been read to its end, as far as can be told: the log went on
    /// elsewhere and it was only watched for stragglers.
    fn was_whole(&self, mark: &Mark) -> io::Result<bool> {
        let all = siblings(&*self.files, &self.path)?;
        Ok(!all
            .iter()
            .any(|s| s.packed && s.rotated && mtime(&s.stat) > mark.mtime_ns))
    }

    /// The file that `mark` was made in, under the log's name or another one.
    fn search(&self, mark: &Mark, named: bool, now: Duration) -> io::Result<Option<Reader>> {
        if named && let Some(found) = self.resume(&self.path, mark, now)? {
            return Ok(Some(found));
        }
        for _ in 0..LOOKS {
            let all = siblings(&*self.files, &self.path)?;
            for sibling in likely(&all, mark) {
                if let Some(found) = self.resume(&sibling.path, mark, now)? {
                    return Ok(Some(found));
                }
            }
            if self.settled(&all)? {
                break;
            }
        }
        Ok(None)
    }

    /// Reads on from `mark` in `path`, if that is the file.
    fn resume(&self, path: &Path, mark: &Mark, now: Duration) -> io::Result<Option<Reader>> {
        let file = match self.files.open_read(path) {
            Ok(file) => file,
            // The log's own trouble is told; a neighbour that may not be read is none of ours.
            Err(error) if path == self.path && error.kind() != io::ErrorKind::NotFound => {
                return Err(error);
            }
            Err(_) => return Ok(None),
        };
        let stat = file.stat()?;
        if usize::from(mark.print_bytes) < ENOUGH && mark.inode != stat.inode {
            return Ok(None);
        }
        Reader::resume(file, mark, now)
    }

    /// Opens what was begun and set aside at `since` or later, apart from the log itself
    /// (`current`), and puts it at `place` among the open files. How many there were.
    pub(super) fn gather(
        &mut self,
        since: i64,
        current: Option<&Mark>,
        mut place: usize,
        now: Duration,
        packed: Packed,
    ) -> io::Result<usize> {
        let begun = place;
        for _ in 0..LOOKS {
            let all = siblings(&*self.files, &self.path)?;
            for sibling in all.iter().rev() {
                let known = |mark: &Mark| {
                    let same = |open: &Reader| open.mark().is_same(mark);
                    current.is_some_and(|log| log.is_same(mark)) || self.open.iter().any(same)
                };
                // A file that was let go is older.
                let older = mtime(&sibling.stat) < since;
                if !sibling.rotated || sibling.packed || older || known(&Mark::start(&sibling.stat))
                {
                    continue;
                }
                let Ok(file) = self.files.open_read(&sibling.path) else {
                    continue;
                };
                let new = Reader::from_start(file, None, now)?;
                // Another file may have been given the name meanwhile.
                if !known(&new.mark()) {
                    self.open.insert(place, new);
                    place += 1;
                }
            }
            if self.settled(&all)? {
                if packed == Packed::Tell {
                    self.tell_packed(&all, since);
                }
                break;
            }
        }
        Ok(place - begun)
    }

    /// Whether the folder still is as it was listed: files that were renamed meanwhile may be
    /// missing from the list.
    fn settled(&self, all: &[Sibling]) -> io::Result<bool> {
        let names = |all: &[Sibling]| -> Vec<_> {
            let one = |s: &Sibling| (s.path.clone(), s.stat.dev, s.stat.inode);
            let mut names: Vec<_> = all.iter().map(one).collect();
            names.sort_unstable();
            names
        };
        Ok(names(&siblings(&*self.files, &self.path)?) == names(all))
    }

    /// Compressed files keep the time of what was compressed: one of `since` had been read.
    fn tell_packed(&mut self, all: &[Sibling], since: i64) {
        for sibling in all {
            if sibling.rotated && sibling.packed && mtime(&sibling.stat) > since {
                self.lost += 1;
                let name = sibling.path.display();
                self.lost_last = Some(format!("`{name}` was compressed before it was read"));
            }
        }
    }

    fn lose(&mut self, offset: u64) {
        self.lost += 1;
        let name = self.path.display();
        self.lost_last = Some(format!(
            "what was written to `{name}` after byte {offset}, if anything, is lost: the file is \
             gone, compressed or changed"
        ));
    }

    /// A log of which nothing was read cannot be known again when it is cut. So whenever it has
    /// changed, copies that were made of it are looked for.
    pub(super) fn emptied(&mut self, now: Duration) -> io::Result<()> {
        let Some(last) = self.open.last_mut().filter(|last| !last.is_begun()) else {
            return Ok(());
        };
        let changed = Some(mtime(&last.stat()?));
        if std::mem::replace(&mut last.looked, changed) != changed {
            let since = last.mtime_ns();
            self.copied(since, now)?;
        }
        Ok(())
    }

    /// The log's first lines were read: what was copied from it before they were there, and after
    /// `since`, is opened, and whether there was such. It could not be known by anything before.
    pub(super) fn copied(&mut self, since: i64, now: Duration) -> io::Result<bool> {
        let place = self.open.len() - 1;
        let mark = self.open[place].mark();
        let found = self.gather(since, Some(&mark), place, now, Packed::Told)?;
        Ok(found > 0)
    }

    /// Whether the file, if nothing of it was read, may be read from its beginning. A copy that is
    /// made while we look holds what is read in the log itself: when the log is cut, the copy is
    /// looked for by that.
    pub(super) fn doubt(&mut self, at: usize) -> io::Result<Kin> {
        let unread = &self.open[at];
        let last = self.open.len() - 1;
        if at == last || unread.is_begun() {
            return Ok(Kin::Other);
        }
        let mut kin = Kin::Other;
        for other in self.open.iter().filter(|other| other.is_begun()) {
            match unread.kin_to(other)? {
                Kin::Copy => return Ok(Kin::Copy),
                Kin::Unclear => kin = Kin::Unclear,
                Kin::Other | Kin::Later => {}
            }
        }
        // What has been read of the log says nothing of a copy that was made since it was cut.
        if kin == Kin::Other && self.open[last].is_cut()? {
            return Ok(Kin::Later);
        }
        let unclear = kin == Kin::Unclear;
        self.open[at].doubtful = unclear;
        self.open[at].at_end |= unclear;
        Ok(kin)
    }

    /// A file was cut: what is left of it elsewhere is read first, then it is begun anew.
    pub(super) fn mend(&mut self, at: usize, now: Duration) -> io::Result<()> {
        let mark = self.open[at].mark();
        let copy = self.search(&mark, false, now)?;
        let last = at + 1 == self.open.len();
        let mut since = mark.mtime_ns;
        let mut place = at;
        if let Some(copy) = &copy {
            since = mtime(&copy.stat()?);
        } else if mark.offset > 0 {
            self.lose(mark.offset);
        }
        self.open[at].begin_anew(since, now);
        if let Some(copy) = copy {
            let same = |open: &Reader| open.mark().is_same(&copy.mark());
            let known = self.open.iter().position(same);
            match known {
                // It was found before it could be told what it is.
                Some(known) if !self.open[known].is_begun() => self.open[known] = copy,
                Some(_) => {}
                None => {
                    self.open.insert(at, copy);
                    place += 1;
                }
            }
        }
        if last {
            let mark = self.open[place].mark();
            self.gather(since, Some(&mark), place, now, Packed::Tell)?;
        }
        Ok(())
    }
}
