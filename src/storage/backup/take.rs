//! Making a backup.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::check::{contents, entry_of, sum_of, text_of};
use super::folder::Folder;
use super::manifest::{FORMAT, FileEntry, LeftOut, MANIFEST, Manifest, Range};
use super::{BackupError, documents, failed, shelf};
use crate::base::time;
use crate::seams::clock::Clock;
use crate::seams::files::{Access, Files, ReadFile, Stat};
use crate::storage::anchors::Anchors;
use crate::storage::files::names::{self, Sealed};
use crate::storage::files::reading;
use crate::storage::verify::verify_stream;

/// Name of the folder in which a backup is built: hidden, and the same for all of them, so that
/// what a killed process left is found.
const BUILDING: &str = ".building.tmp";

/// A backup that was made.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its folder.
    pub folder: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// Bytes of it that were written.
    pub copied_bytes: u64,
    /// Bytes of it that are second names of files of the backup before it.
    pub linked_bytes: u64,
    /// What somebody should look at.
    pub notes: Vec<String>,
}

struct Taking<'f> {
    files: &'f dyn Files,
    home: &'f Path,
    folder: Folder<'f>,
    previous: Option<(PathBuf, Manifest)>,
    manifest: Manifest,
    copied_bytes: u64,
    linked_bytes: u64,
    notes: Vec<String>,
}

/// Backs `home` up into a new folder in `to`, whose name is the time. Whether a daemon runs does
/// not matter.
pub fn take(
    files: &dyn Files,
    clock: &dyn Clock,
    home: &Path,
    to: &Path,
) -> Result<Taken, BackupError> {
    let logs = home.join("logs");
    let listed = files.list(&logs).map_err(failed("read", &logs))?;
    let streams: BTreeSet<&str> = listed
        .iter()
        .filter_map(|file| names::parse(file))
        .map(|(stream, _)| stream)
        .collect();
    let configs = home.join("configs");
    let listed_configs = files.list(&configs).map_err(failed("read", &configs))?;
    if streams.is_empty() && listed_configs.is_empty() {
        return Err(BackupError::Nothing {
            home: home.display().to_string(),
        });
    }
    let now = clock.now();
    let mut taking = Taking {
        files,
        home,
        folder: Folder::begin(files, to.join(BUILDING))?,
        previous: newest(files, to),
        manifest: Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at: time::stamp(now),
            journals: Vec::new(),
            files: Vec::new(),
            left_out: Vec::new(),
            replica: false,
        },
        copied_bytes: 0,
        linked_bytes: 0,
        notes: Vec::new(),
    };
    taking.enough_room(&listed, to)?;
    for stream in streams {
        taking.journal(stream)?;
    }
    for folder in documents::revisions(files, home)? {
        taking.documents(&folder)?;
    }
    for folder in documents::CURRENT {
        taking.documents(folder)?;
    }
    let name = now.format(shelf::NAME_FORM).to_string();
    taking.finish(&free_name(files, to, &name))
}

/// The newest backup in `to` whose manifest is good.
fn newest(files: &dyn Files, to: &Path) -> Option<(PathBuf, Manifest)> {
    let names = files.list(to).ok()?;
    let candidates = names.iter().rev().filter(|name| !name.starts_with('.'));
    candidates
        .map(|name| to.join(name))
        .find_map(|folder| Some((folder.clone(), Manifest::read(files, &folder).ok()?)))
}

/// A name that nothing has: two backups of one second, or a clock that was set back.
fn free_name(files: &dyn Files, to: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|number: u32| to.join(format!("{name}-{number}")));
    std::iter::once(to.join(name))
        .chain(numbered)
        .find(|path| files.stat(path).is_err())
        .unwrap_or_else(|| to.join(name))
}

impl Taking<'_> {
    /// Refuses a backup that would fill the disk under the daemon.
    fn enough_room(&self, logs: &[String], to: &Path) -> Result<(), BackupError> {
        let mut needed = 0;
        for name in logs.iter().filter(|name| names::parse(name).is_some()) {
            let size = self.files.stat(&self.home.join("logs").join(name));
            let size = size.map_or(0, |stat| stat.size);
            let path = format!("logs/{name}");
            let linked = self.before(&path).is_some_and(|entry| entry.size == size);
            if !linked {
                needed += size;
            }
        }
        match self.files.space(to) {
            Ok(space) if space.available < needed => Err(BackupError::Room {
                folder: to.display().to_string(),
                available: space.available,
                needed,
            }),
            // Where the system does not tell, writing will.
            _ => Ok(()),
        }
    }

    fn before(&self, path: &str) -> Option<&FileEntry> {
        self.previous.as_ref()?.1.file(path)
    }

    fn journal(&mut self, stream: &str) -> Result<(), BackupError> {
        let logs = self.home.join("logs");
        let active = names::active(&logs, stream);
        let layout = reading::layout(self.files, &logs, stream).map_err(failed("read", &active))?;
        for segment in &layout.sealed {
            self.sealed(&logs, segment)?;
        }
        if let Some((file, stat)) = layout.active {
            let path = format!("logs/{stream}.ndjson");
            let mut source = reading::plain(file, 0, stat.size).map_err(failed("read", &active))?;
            let written = self.folder.copy(&path, &mut source, false)?;
            self.copied_bytes += written.size;
            self.add(path, written.size, written.sha256, stat.mode);
        }
        let copied = self.folder.path().join("logs");
        let report = verify_stream(self.files, &copied, stream, &Anchors::default())?;
        for file in &report.files {
            let path = format!("logs/{}", file.file);
            let entry = self.manifest.files.iter_mut().rfind(|one| one.path == path);
            if let Some(entry) = entry {
                entry.lines = Some(Range {
                    count: file.lines,
                    first_seq: file.first_seq,
                    last_seq: file.last_seq,
                    h: text_of(&file.h),
                });
            }
        }
        if let Some(bad) = report.first_bad() {
            let (file, line, what) = (&bad.file, bad.line, bad.what);
            self.notes.push(format!(
                "`logs/{file}`, line {line}: {what}; the backup has it as it is"
            ));
        }
        self.manifest.journals.push(entry_of(&report));
        Ok(())
    }

    fn sealed(&mut self, logs: &Path, segment: &Sealed) -> Result<(), BackupError> {
        let mut name = segment.file.clone();
        let file = match self.files.open_read(&logs.join(&name)) {
            // Compressed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !segment.packed => {
                name.push_str(".zst");
                self.files.open_read(&logs.join(&name))
            }
            opened => opened,
        };
        let source = logs.join(&name);
        if is_gone(&file) {
            self.notes.push(format!(
                "`logs/{}` was given up while the backup was made",
                segment.file
            ));
            return Ok(());
        }
        let file = file.map_err(failed("read", &source))?;
        let stat = file.stat().map_err(failed("read", &source))?;
        let path = format!("logs/{name}");
        if self.link(&path, &source, stat)? {
            return Ok(());
        }
        let mut source = whole(file).map_err(failed("read", &source))?;
        let written = self.folder.copy(&path, &mut source, true)?;
        self.copied_bytes += written.size;
        self.add(path, written.size, written.sha256, stat.mode);
        Ok(())
    }

    /// Gives the file of the backup before a second name here, if it is still the same as it was,
    /// and as the one at hand is.
    fn link(&mut self, path: &str, source: &Path, stat: Stat) -> Result<bool, BackupError> {
        let Some((folder, manifest)) = &self.previous else {
            return Ok(false);
        };
        let kept = folder.join(path);
        let Some(before) = manifest.file(path).cloned() else {
            return Ok(false);
        };
        let found = sum_of(self.files, source).map_err(failed("read", source))?;
        if (found.size, &*found.sha256) != (before.size, &*before.sha256) {
            let then = kept.display();
            self.notes
                .push(format!("`{path}` is sealed and was changed since `{then}`"));
            return Ok(false);
        }
        let kept_now = sum_of(self.files, &kept);
        if is_gone(&kept_now) {
            // That backup was old enough to go, and has just gone.
            return Ok(false);
        }
        if kept_now.ok().as_ref() != Some(&found) {
            let then = kept.display();
            self.notes.push(format!(
                "`{then}` is damaged; this backup has a good copy of its own"
            ));
            return Ok(false);
        }
        let here = self.folder.room_for(path)?;
        if self.files.link(&kept, &here).is_err() {
            // A file system without second names, or with too many of them: a copy does as well.
            return Ok(false);
        }
        self.linked_bytes += found.size;
        self.add(path.to_owned(), found.size, found.sha256, stat.mode);
        Ok(true)
    }

    fn documents(&mut self, folder: &str) -> Result<(), BackupError> {
        for name in documents::listed(self.files, self.home, folder)? {
            let path = format!("{folder}/{name}");
            match documents::read(self.files, self.home, &path)? {
                Ok(found) => {
                    let body = &found.document.body;
                    let written = self.folder.write(&path, body, found.access())?;
                    self.copied_bytes += written.size;
                    self.add(path, written.size, written.sha256, found.mode());
                }
                Err(why) => self.leave_out(&path, why),
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, path: &str, why: String) {
        self.notes.push(format!("`{path}` is left out: {why}"));
        let path = path.to_owned();
        self.manifest.left_out.push(LeftOut { path, why });
    }

    fn add(&mut self, path: String, size: u64, sha256: String, mode: u32) {
        self.manifest.files.push(FileEntry {
            path,
            size,
            sha256,
            mode: format!("{:04o}", mode & 0o777),
            lines: None,
        });
    }

    /// Writes the manifest, reads all of it back, and gives the backup its name.
    fn finish(mut self, target: &Path) -> Result<Taken, BackupError> {
        let text = self.manifest.render();
        let text = text.map_err(failed("write", Path::new(MANIFEST)))?;
        self.folder
            .write(MANIFEST, text.as_bytes(), Access::SHARED)?;
        let built = self.folder.path();
        let found = Manifest::read(self.files, built)?;
        let faults = contents(self.files, built, &found);
        if !faults.is_empty() || found != self.manifest {
            return Err(BackupError::Damaged {
                folder: built.display().to_string(),
                faults,
            });
        }
        self.folder.place(target)?;
        Ok(Taken {
            folder: target.to_owned(),
            manifest: self.manifest,
            copied_bytes: self.copied_bytes,
            linked_bytes: self.linked_bytes,
            notes: self.notes,
        })
    }
}

fn is_gone<T>(outcome: &io::Result<T>) -> bool {
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn whole(file: Box<dyn ReadFile>) -> io::Result<reading::Source> {
    reading::plain(file, 0, u64::MAX)
}
