//! `manifest.json`: what each file of a backup must be. It ends with a checksum of its own, so that
//! a changed byte in it shows as well.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{BackupError, Fault, failed};
use crate::base::hex;
use crate::seams::files::{Files, read_whole};
use crate::storage::files::documents::is_name;

/// Its file name.
pub const MANIFEST: &str = "manifest.json";
/// Form of the manifest; grows when an older program could not read a newer one.
pub(super) const FORMAT: u32 = 1;
/// Largest manifest that is read, in bytes: some hundred thousand files.
pub(super) const MANIFEST_MAX: u64 = 256 << 20;
/// What stands before the checksum.
const BEFORE_SUM: &str = ",\n  \"manifest_sha256\": \"";
/// What stands after it.
const AFTER_SUM: &str = "\"\n}\n";

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Form of this manifest.
    pub format: u32,
    /// Version of the program that made the backup.
    pub version: String,
    /// When it was begun, UTC.
    pub taken_at: String,
    /// The journals, by name.
    pub journals: Vec<JournalEntry>,
    /// All files but the manifest.
    pub files: Vec<FileEntry>,
    /// What was there and is not in the backup.
    pub left_out: Vec<LeftOut>,
    /// Whether it is a replica, which is kept up to date in place. Lines that are foreign or bad
    /// are not counted there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replica: bool,
}

/// One journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// Its name.
    pub name: String,
    /// Lines of ours.
    pub lines: u64,
    /// Lines that somebody added by hand.
    pub foreign_lines: u64,
    /// Lines that did not fit the chain when the backup was made.
    pub bad_lines: u64,
    /// `seq` of the last line.
    pub last_seq: u64,
    /// Chain value of the last line.
    pub h: String,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path within the backup.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of all bytes.
    pub sha256: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Which lines of its journal, for a segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Range>,
}

/// The lines of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// How many.
    pub count: u64,
    /// `seq` of the first one; 0 where there is none.
    pub first_seq: u64,
    /// `seq` of the last one.
    pub last_seq: u64,
    /// Its chain value.
    pub h: String,
}

/// Something that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Path within the home.
    pub path: String,
    /// Why.
    pub why: String,
}

impl FileEntry {
    /// The permission bits as a number.
    pub(super) fn mode_bits(&self) -> u32 {
        u32::from_str_radix(&self.mode, 8).map_or(0o600, |mode| mode & 0o777)
    }
}

impl Manifest {
    /// The file `path`, if it is in the backup.
    pub fn file(&self, path: &str) -> Option<&FileEntry> {
        self.files.iter().find(|file| file.path == path)
    }

    /// As text, with its checksum.
    pub(super) fn render(&self) -> io::Result<String> {
        let text = serde_json::to_string_pretty(self)?;
        let open = text.strip_suffix("\n}").unwrap_or(&text);
        let sum = hex::of(&Sha256::digest(open));
        Ok(format!("{open}{BEFORE_SUM}{sum}{AFTER_SUM}"))
    }

    /// Reads a manifest, or says what is wrong with it.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        const CHANGED: &str = "it was cut short or changed: its own checksum does not fit";
        let sealed = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.strip_suffix(AFTER_SUM)?.rsplit_once(BEFORE_SUM));
        let (open, _) = sealed
            .filter(|(open, sum)| hex::of(&Sha256::digest(open)) == *sum)
            .ok_or(CHANGED)?;
        let manifest: Self =
            serde_json::from_str(&format!("{open}\n}}")).map_err(|error| error.to_string())?;
        if manifest.format != FORMAT {
            let found = manifest.format;
            return Err(format!(
                "its format is {found}, this program reads {FORMAT}: a newer version made it"
            ));
        }
        match manifest.files.iter().find(|file| !is_ours(&file.path)) {
            Some(file) => Err(format!("`{}` is no path within a backup", file.path)),
            None => Ok(manifest),
        }
    }

    /// The manifest of the backup in `folder`.
    pub(super) fn read(files: &dyn Files, folder: &Path) -> Result<Self, BackupError> {
        let path = folder.join(MANIFEST);
        let text = match files.open_read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoBackup {
                    folder: folder.display().to_string(),
                });
            }
            opened => opened.and_then(|mut file| read_whole(&mut *file, MANIFEST_MAX)),
        };
        let text = text.map_err(failed("read", &path))?;
        Self::parse(&text).map_err(|what| BackupError::Damaged {
            folder: folder.display().to_string(),
            faults: vec![Fault {
                file: MANIFEST.to_owned(),
                what,
            }],
        })
    }
}

/// Whether a path of a manifest leads to a place where backups have files, and nowhere else.
fn is_ours(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let known = matches!(
        parts.as_slice(),
        ["logs" | "configs", _] | ["configs", "schema", _] | ["backups", "configs", _, _]
    );
    known && parts.iter().all(|part| is_name(part))
}
