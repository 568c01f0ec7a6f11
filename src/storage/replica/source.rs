//! What there is to be copied: the files of a home, their sizes and identities, and their bytes.
//! The same listing is made by a primary for its standbys and by a standby that reads the folder
//! itself.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::seams::files::{Files, ReadFile};
use crate::storage::engine::{Durable, Revision};
use crate::storage::files::documents::{has_ending, is_name, read_settled};
use crate::storage::files::{epoch, names, reading};

/// A file of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Its name in `logs/`.
    pub file: String,
    /// Bytes that may be copied.
    pub size: u64,
    /// Which file it is, whatever its name.
    pub inode: u64,
}

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    /// Its name in `configs/`.
    pub file: String,
    /// Hash of its text.
    pub revision: String,
    /// Permission bits.
    pub mode: u32,
}

/// What there is at one moment. Journals are listed before configurations, so that no configuration
/// is older than its journals say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listing {
    /// The epoch of the home.
    pub epoch: u64,
    /// The files of the journals.
    pub logs: Vec<LogFile>,
    /// The configurations.
    pub papers: Vec<Paper>,
    /// Texts that were in force once, as `NAME/REVISION.json`; only where they were asked for.
    #[serde(default)]
    pub snapshots: Vec<String>,
}

/// A file of a home that may be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In `logs/`.
    Log(String),
    /// In `configs/`.
    Paper(String),
    /// In `backups/configs/`.
    Snapshot(String),
}

impl Place {
    /// The place that `text` names, such as `logs/keys.ndjson`; `None` where no such file is ever
    /// copied.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(file) = text.strip_prefix("logs/") {
            return is_log(file).then(|| Self::Log(file.to_owned()));
        }
        if let Some(file) = text.strip_prefix("configs/") {
            return is_paper(file).then(|| Self::Paper(file.to_owned()));
        }
        let file = text.strip_prefix("backups/configs/")?;
        is_snapshot(file).then(|| Self::Snapshot(file.to_owned()))
    }

    /// Its path within a home.
    pub fn path(&self) -> String {
        match self {
            Self::Log(file) => format!("logs/{file}"),
            Self::Paper(file) => format!("configs/{file}"),
            Self::Snapshot(file) => format!("backups/configs/{file}"),
        }
    }
}

/// Whether `file` is one of a journal's, by its name alone.
pub(super) fn is_log(file: &str) -> bool {
    is_name(file) && names::parse(file).is_some()
}

/// Whether `file` is a configuration's, by its name alone.
pub(super) fn is_paper(file: &str) -> bool {
    is_name(file) && has_ending(file, "json")
}

/// Whether `file` is that of a text that was in force once.
pub(super) fn is_snapshot(file: &str) -> bool {
    file.split_once('/').is_some_and(|(name, text)| {
        let revision = text.strip_suffix(".json").and_then(Revision::parse);
        is_name(name) && revision.is_some()
    })
}

/// Why a source did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is another file by now, or shorter: a later look will find it right.
    #[error("`{file}` changed while it was read")]
    Changed {
        /// The file.
        file: String,
    },
    /// It cannot be reached or read.
    #[error("cannot read `{what}`")]
    Unreachable {
        /// The file, or the whole of it.
        what: String,
        /// What the system or the other side said.
        #[source]
        source: io::Error,
    },
    /// It answers, and not with what was asked for.
    #[error("`{what}` answers {found}")]
    Odd {
        /// What was asked.
        what: String,
        /// What came.
        found: String,
    },
}

/// A home to be copied.
pub trait Source: Send {
    /// What it is, for people: a folder or a URL.
    fn name(&self) -> String;

    /// What there is now; with the texts that were in force once where `snapshots`.
    fn list(&mut self, snapshots: bool) -> Result<Listing, SourceError>;

    /// Up to `most` bytes from `offset` on, of the file that has this identity where one is given;
    /// fewer only at its end.
    fn read(
        &mut self,
        place: &Place,
        inode: Option<u64>,
        offset: u64,
        most: usize,
    ) -> Result<Vec<u8>, SourceError>;

    /// Whether a listing may hold bytes that the source has not acknowledged, and may take back.
    fn may_take_back(&self) -> bool;
}

/// Lists a home. `durable` tells how much of a stream's active segment may be copied, where this
/// process writes it; else all of it.
pub fn list_home(
    files: &dyn Files,
    home: &Path,
    snapshots: bool,
    durable: &dyn Fn(&str) -> Option<Durable>,
) -> io::Result<Listing> {
    let logs_folder = home.join("logs");
    let mut logs = Vec::new();
    for stream in names::streams_among(&files.list(&logs_folder)?) {
        list_stream(files, &logs_folder, &stream, durable, &mut logs)?;
    }
    let mut papers = Vec::new();
    let configs = home.join("configs");
    for file in files.list(&configs)? {
        let path = configs.join(&file);
        // What is being written, is empty or is no plain file is none of ours to copy now.
        if is_paper(&file)
            && let Ok(stat) = files.stat(&path)
            && let Ok(document) = read_settled(files, &path, &file)
        {
            let (revision, mode) = (document.revision.to_string(), stat.mode);
            papers.push(Paper {
                file,
                revision,
                mode,
            });
        }
    }
    let kept = if snapshots {
        list_snapshots(files, home)?
    } else {
        Vec::new()
    };
    Ok(Listing {
        epoch: epoch::number(files, home)?,
        logs,
        papers,
        snapshots: kept,
    })
}

fn list_stream(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
    durable: &dyn Fn(&str) -> Option<Durable>,
    found: &mut Vec<LogFile>,
) -> io::Result<()> {
    let layout = reading::layout(files, logs, stream)?;
    for segment in layout.sealed {
        // It may have been compressed or removed since: the next look will tell.
        if let Ok(stat) = files.stat(&logs.join(&segment.file)) {
            found.push(LogFile {
                file: segment.file,
                size: stat.size,
                inode: stat.inode,
            });
        }
    }
    if let Some((_, stat)) = layout.active {
        let size = match durable(stream) {
            None => stat.size,
            Some(known) if known.inode == stat.inode => known.size.min(stat.size),
            // Another segment is being begun: the next look will find it.
            Some(_) => return Ok(()),
        };
        found.push(LogFile {
            file: format!("{stream}.ndjson"),
            size,
            inode: stat.inode,
        });
    }
    Ok(())
}

fn list_snapshots(files: &dyn Files, home: &Path) -> io::Result<Vec<String>> {
    let folder = home.join("backups/configs");
    let mut found = Vec::new();
    for name in files.list(&folder)? {
        if is_name(&name) {
            let texts = files.list(&folder.join(&name)).unwrap_or_default();
            let texts = texts.iter().map(|text| format!("{name}/{text}"));
            found.extend(texts.filter(|text| is_snapshot(text)));
        }
    }
    Ok(found)
}

/// Bytes of a file of a home, as [`Source::read`] gives them.
pub fn read_bytes(
    files: &dyn Files,
    home: &Path,
    place: &Place,
    inode: Option<u64>,
    offset: u64,
    most: usize,
) -> Result<Vec<u8>, SourceError> {
    let what = place.path();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SourceError::Changed { file: what.clone() },
        _ => SourceError::Unreachable {
            what: what.clone(),
            source,
        },
    };
    let file = files.open_read(&home.join(&what)).map_err(failed)?;
    if let Some(inode) = inode
        && file.stat().map_err(failed)?.inode != inode
    {
        return Err(SourceError::Changed { file: what });
    }
    read_at_most(&*file, offset, most).map_err(failed)
}

fn read_at_most(file: &dyn ReadFile, offset: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
