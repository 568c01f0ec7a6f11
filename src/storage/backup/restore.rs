//! Restoring a backup into a folder of its own, whole or up to an instant or a line.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::check::{checked, text_of};
use super::cut::{self, Cut};
use super::folder::Folder;
use super::manifest::{FileEntry, JournalEntry, Manifest};
use super::{BackupError, failed};
use crate::base::time;
use crate::seams::files::{Access, Files, read_whole};
use crate::storage::anchors::Anchors;
use crate::storage::engine::Revision;
use crate::storage::files::names;
use crate::storage::files::reading::{self, Source};
use crate::storage::line::OwnLine;
use crate::storage::verify::verify_stream;

/// Where the journals end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Each after its last line of this instant or before.
    Time(DateTime<Utc>),
    /// One after this line; the others are whole.
    Line {
        /// Which journal.
        stream: String,
        /// Its last line; 0 = none of it.
        seq: u64,
    },
}

/// How the documents of an instant are found.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// The journal that tells which revision of each document was in force.
    pub stream: &'static str,
    /// The document and the revision that a line puts in force, if it does.
    pub accepted: fn(&OwnLine<'_>) -> Option<(String, Revision)>,
    /// Documents that are never taken back: a key that was revoked stays so.
    pub newest_only: &'static [&'static str],
}

/// What a restore gave.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Where.
    pub folder: PathBuf,
    /// When the backup was made.
    pub taken_at: String,
    /// The journals, by name.
    pub journals: Vec<RestoredJournal>,
    /// The documents, by name.
    pub documents: Vec<RestoredDocument>,
}

/// One journal, as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredJournal {
    /// Its name.
    pub name: String,
    /// Lines of ours that it has now.
    pub lines: u64,
    /// `seq` of the last one.
    pub last_seq: u64,
    /// Its chain value.
    pub h: String,
    /// `seq` of the last line in the backup.
    pub backup_last_seq: u64,
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredDocument {
    /// File name.
    pub name: String,
    /// Its revision now.
    pub revision: Revision,
    /// Which text it is.
    pub from: TextFrom,
}

/// Where the text of a restored document comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextFrom {
    /// It is the text that the backup has.
    Backup,
    /// The revision that was in force then.
    Then,
    /// The text of the backup, on purpose: this document is never taken back.
    Newest,
    /// The text of the backup, because no line tells what was in force then.
    Untold,
    /// The text of the backup, because the text of this revision, in force then, is not in it.
    Lost(Revision),
}

struct Restoring<'f> {
    files: &'f dyn Files,
    from: &'f Path,
    manifest: Manifest,
    folder: Folder<'f>,
    until: Option<&'f Until>,
}

/// Restores the backup in `from` to `target`, an absent or empty folder. Everything is checked
/// before the first byte is written, and read back before the folder has its name.
pub fn restore(
    files: &dyn Files,
    from: &Path,
    target: &Path,
    until: Option<&Until>,
    history: &History,
) -> Result<Restored, BackupError> {
    let occupied = || BackupError::Occupied {
        target: target.display().to_string(),
    };
    let name = target.file_name().ok_or_else(occupied)?;
    let vacant = files.list(target).map_err(|_| occupied())?.is_empty();
    let real = files.stat(target).map_or(true, |stat| !stat.plain);
    if !vacant || !real {
        return Err(occupied());
    }
    let _held = super::sync::opened(files, from)?;
    let manifest = checked(files, from)?;
    if let Some(Until::Line { stream, seq }) = until {
        line_is_there(&manifest, stream, *seq)?;
    }
    let building = building(target, &name.to_string_lossy());
    let mut restoring = Restoring {
        files,
        from,
        folder: Folder::begin(files, building)?,
        manifest,
        until,
    };
    let mut journals = Vec::new();
    for entry in restoring.manifest.journals.clone() {
        journals.push(restoring.journal(&entry)?);
    }
    for folder in ["logs", "configs", "backups/configs"] {
        restoring.folder.room_for(&format!("{folder}/x"))?;
    }
    let documents = restoring.documents(history)?;
    restoring.folder.place(target)?;
    Ok(Restored {
        folder: target.to_owned(),
        taken_at: restoring.manifest.taken_at,
        journals,
        documents,
    })
}

/// Where a folder is built that will be `name` in `target`'s place.
fn building(target: &Path, name: &str) -> PathBuf {
    target.with_file_name(format!(".{name}.restoring"))
}

/// Takes away what a restore to `target` left that was killed.
pub(super) fn tidy(files: &dyn Files, target: &Path) -> Result<(), BackupError> {
    let name = target.file_name().unwrap_or_default();
    let building = building(target, &name.to_string_lossy());
    if files.stat(&building).is_ok() {
        drop(Folder::begin(files, building)?);
    }
    Ok(())
}

fn line_is_there(manifest: &Manifest, stream: &str, seq: u64) -> Result<(), BackupError> {
    let found = manifest.journals.iter().find(|one| one.name == stream);
    let Some(found) = found else {
        let known = manifest.journals.iter().map(|one| one.name.clone());
        return Err(BackupError::NoStream {
            stream: stream.to_owned(),
            known: known.collect(),
        });
    };
    if seq > found.last_seq {
        return Err(BackupError::NoLine {
            stream: stream.to_owned(),
            seq,
            last: found.last_seq,
        });
    }
    Ok(())
}

impl Restoring<'_> {
    /// What is kept of a journal; `None` = all of it.
    fn cut(&self, stream: &str) -> Result<Option<Cut>, BackupError> {
        let keeps: Box<dyn Fn(&OwnLine<'_>) -> bool> = match self.until {
            Some(Until::Time(at)) => {
                let stamp = time::stamp(*at);
                Box::new(move |own| own.ts <= stamp.as_bytes())
            }
            Some(Until::Line { stream: cut, seq }) if cut == stream => {
                let seq = *seq;
                Box::new(move |own| own.seq <= seq)
            }
            _ => return Ok(None),
        };
        let logs = self.from.join("logs");
        Ok(Some(cut::find(self.files, &logs, stream, &*keeps)?))
    }

    fn journal(&mut self, entry: &JournalEntry) -> Result<RestoredJournal, BackupError> {
        let stream = &*entry.name;
        let cut = self.cut(stream)?;
        let whole = match &cut {
            Some(cut) => cut.whole.clone(),
            None => self.segments(stream),
        };
        for file in &whole {
            self.copy(file)?;
        }
        if let Some((file, bytes)) = cut.as_ref().and_then(|cut| cut.part.as_ref()) {
            self.copy_part(stream, file, *bytes)?;
        }
        let expected = match &cut {
            Some(cut) => (cut.lines, cut.seq, text_of(&cut.h)),
            None => (entry.lines, entry.last_seq, entry.h.clone()),
        };
        let logs = self.folder.path().join("logs");
        let report = verify_stream(self.files, &logs, stream, &Anchors::default())?;
        let found = (report.lines, report.last_seq, text_of(&report.h));
        let worse = report.bad_lines > entry.bad_lines && !self.manifest.replica;
        if found != expected || worse {
            let (lines, seq, h) = found;
            return Err(BackupError::Differs {
                journal: stream.to_owned(),
                what: format!("{lines} lines, last {seq} with {h}, expected {expected:?}"),
            });
        }
        let (lines, last_seq, h) = found;
        Ok(RestoredJournal {
            name: stream.to_owned(),
            lines,
            last_seq,
            h,
            backup_last_seq: entry.last_seq,
        })
    }

    fn segments(&self, stream: &str) -> Vec<String> {
        let logs = self.manifest.files.iter();
        let names = logs.filter_map(|file| file.path.strip_prefix("logs/"));
        names
            .filter(|name| names::parse(name).is_some_and(|(of, _)| of == stream))
            .map(str::to_owned)
            .collect()
    }

    fn copy(&mut self, file: &str) -> Result<(), BackupError> {
        let path = self.from.join("logs").join(file);
        let mut source = self.open(&path)?;
        self.folder
            .copy(&format!("logs/{file}"), &mut source, true)?;
        Ok(())
    }

    fn open(&self, path: &Path) -> Result<Source, BackupError> {
        let opened = self.files.open_read(path);
        opened
            .and_then(|file| reading::plain(file, 0, u64::MAX))
            .map_err(failed("read", path))
    }

    /// The first `bytes` of a segment's text become the active segment.
    fn copy_part(&mut self, stream: &str, file: &str, bytes: u64) -> Result<(), BackupError> {
        let logs = self.from.join("logs");
        let source = match names::parse(file) {
            Some((_, Some(sealed))) => reading::open_sealed(self.files, &logs, &sealed, 0)
                .map_err(failed("read", &logs.join(file)))?,
            _ => self.open(&logs.join(file))?,
        };
        self.folder.copy(
            &format!("logs/{stream}.ndjson"),
            &mut source.take(bytes),
            false,
        )?;
        Ok(())
    }

    fn documents(&mut self, history: &History) -> Result<Vec<RestoredDocument>, BackupError> {
        let then = match self.until {
            Some(Until::Time(_)) => Some(self.in_force(history)?),
            Some(Until::Line { stream, .. }) if stream == history.stream => {
                Some(self.in_force(history)?)
            }
            _ => None,
        };
        let mut told = Vec::new();
        for entry in self.manifest.files.clone() {
            if entry.path.starts_with("logs/") {
                continue;
            }
            let kept = self.read(&entry)?;
            let Some(name) = document_name(&entry.path) else {
                self.write(&entry.path, &kept, &entry)?;
                continue;
            };
            let (body, from) = match &then {
                None => (kept, TextFrom::Backup),
                Some(then)
                    if history.newest_only.contains(&name)
                        && then.get(name) != Some(&Revision::of(&kept)) =>
                {
                    (kept, TextFrom::Newest)
                }
                Some(then) => self.as_of(name, then.get(name), kept)?,
            };
            self.write(&entry.path, &body, &entry)?;
            told.push(RestoredDocument {
                name: name.to_owned(),
                revision: Revision::of(&body),
                from,
            });
        }
        Ok(told)
    }

    /// The text of a document that was in force then, or else the one that the backup has.
    fn as_of(
        &self,
        name: &str,
        then: Option<&Revision>,
        kept: Vec<u8>,
    ) -> Result<(Vec<u8>, TextFrom), BackupError> {
        let Some(revision) = then else {
            return Ok((kept, TextFrom::Untold));
        };
        if *revision == Revision::of(&kept) {
            return Ok((kept, TextFrom::Then));
        }
        let stem = name.strip_suffix(".json").unwrap_or(name);
        let path = format!("backups/configs/{stem}/{revision}.json");
        match self.manifest.file(&path) {
            Some(entry) => Ok((self.read(entry)?, TextFrom::Then)),
            None => Ok((kept, TextFrom::Lost(revision.clone()))),
        }
    }

    fn read(&self, entry: &FileEntry) -> Result<Vec<u8>, BackupError> {
        let path = self.from.join(&entry.path);
        let opened = self.files.open_read(&path);
        opened
            .and_then(|mut file| read_whole(&mut *file, u64::MAX))
            .map_err(failed("read", &path))
    }

    fn write(&mut self, path: &str, body: &[u8], entry: &FileEntry) -> Result<(), BackupError> {
        let stat = self.files.stat(&self.from.join(&entry.path));
        let access = Access {
            mode: entry.mode_bits(),
            owner: stat.ok().map(|stat| (stat.uid, stat.gid)),
        };
        self.folder.write(path, body, access)?;
        Ok(())
    }

    /// The revisions in force at the end of the restored history.
    fn in_force(&self, history: &History) -> Result<BTreeMap<String, Revision>, BackupError> {
        let logs = self.folder.path().join("logs");
        let mut found = BTreeMap::new();
        cut::each_line(self.files, &logs, history.stream, &mut |line| {
            found.extend((history.accepted)(line));
        })?;
        Ok(found)
    }
}

/// The document that a file of a backup is, unless it is a kept revision or a schema.
fn document_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix("configs/")?;
    (!name.contains('/')).then_some(name)
}
