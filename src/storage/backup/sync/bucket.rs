//! A replica in a bucket. Each file is an object whose name ends in the SHA-256 of its content, so
//! an object never changes: the replica is what its manifest names, and that object is written
//! last. Objects that it does not name are taken away afterwards.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{FileEntry, Manifest, Target};
use crate::seams::files::{Access, Files};
use crate::storage::backup::folder::{Folder, pour};
use crate::storage::backup::manifest::{MANIFEST, MANIFEST_MAX};
use crate::storage::backup::{BackupError, Fault, failed};
use crate::storage::objects::Bucket;

/// A replica in a bucket.
#[derive(Debug)]
pub struct BucketTarget {
    bucket: Bucket,
    prefix: String,
    /// What is there, and its size; looked at once.
    there: Option<BTreeMap<String, u64>>,
}

impl BucketTarget {
    /// The replica whose objects begin with `prefix`.
    pub fn new(bucket: Bucket, prefix: &str) -> Self {
        let prefix = prefix.to_owned();
        Self {
            bucket,
            prefix,
            there: None,
        }
    }

    fn full(&self, key: &str) -> String {
        if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.prefix)
        }
    }

    fn key(&self, entry: &FileEntry) -> String {
        self.full(&format!("{}.{}", entry.path, entry.sha256))
    }

    fn there(&mut self) -> Result<&mut BTreeMap<String, u64>, BackupError> {
        let found = match self.there.take() {
            Some(found) => found,
            None => self.bucket.list(&self.prefix)?,
        };
        Ok(self.there.insert(found))
    }

    /// Fetches the replica into the folder `to`, which is then a replica in a folder. Room is
    /// looked for first, every file is checked as it comes, and the folder gets its name when it is
    /// whole.
    pub fn fetch(&self, files: &dyn Files, to: &Path) -> Result<PathBuf, BackupError> {
        let manifest = self.manifest()?.ok_or_else(|| BackupError::NoBackup {
            folder: self.name(),
        })?;
        let needed = manifest.files.iter().map(|file| file.size).sum();
        let above = to.parent().unwrap_or(to);
        if let Ok(space) = files.space(above)
            && space.available < needed
        {
            return Err(BackupError::Room {
                folder: above.display().to_string(),
                available: space.available,
                needed,
            });
        }
        let name = to.file_name().unwrap_or_default().to_string_lossy();
        let mut folder = Folder::begin(files, to.with_file_name(format!("{name}.part")))?;
        for entry in &manifest.files {
            let mut source = self.bucket.reader(&self.key(entry), entry.size);
            let written = folder.copy(&entry.path, &mut source, true)?;
            if (written.size, &*written.sha256) != (entry.size, &*entry.sha256) {
                return Err(BackupError::Changed {
                    file: entry.path.clone(),
                    target: to.display().to_string(),
                });
            }
        }
        let text = manifest.render().map_err(failed("write", to))?;
        folder.write(MANIFEST, text.as_bytes(), Access::SHARED)?;
        folder.place(to)?;
        Ok(to.to_owned())
    }
}

impl Target for BucketTarget {
    fn name(&self) -> String {
        format!("{}/{}", self.bucket.name(), self.prefix)
    }

    fn manifest(&self) -> Result<Option<Manifest>, BackupError> {
        let Some(text) = self.bucket.get(&self.full(MANIFEST), MANIFEST_MAX)? else {
            return Ok(None);
        };
        Manifest::parse(&text)
            .map(Some)
            .map_err(|what| BackupError::Damaged {
                folder: self.name(),
                faults: vec![Fault {
                    file: MANIFEST.to_owned(),
                    what,
                }],
            })
    }

    fn has(&mut self, entry: &FileEntry) -> Result<bool, BackupError> {
        let key = self.key(entry);
        // An object is there whole or not at all, and its name tells what it is.
        Ok(self.there()?.get(&key) == Some(&entry.size))
    }

    fn put(&mut self, entry: &FileEntry, source: &mut dyn Read) -> Result<(), BackupError> {
        let key = self.key(entry);
        let mut watched = Watched {
            source: source.take(entry.size),
            sum: sha2::Sha256::default(),
        };
        self.bucket.put(&key, &mut watched)?;
        // The signature of each request covers what was sent; this covers what was read.
        let sum = crate::base::hex::of(&sha2::Digest::finalize(watched.sum));
        let arrived = self.bucket.size(&key)?;
        if sum != entry.sha256 || arrived != Some(entry.size) {
            self.bucket.delete(&key)?;
            return Err(BackupError::Changed {
                file: entry.path.clone(),
                target: self.name(),
            });
        }
        self.there()?.insert(key, entry.size);
        Ok(())
    }

    fn fault(&mut self, entry: &FileEntry, whole: bool) -> Result<Option<String>, BackupError> {
        let key = self.key(entry);
        match self.there()?.get(&key) {
            None => return Ok(Some("it is missing in the replica".to_owned())),
            Some(size) if *size != entry.size => {
                let wanted = entry.size;
                return Ok(Some(format!(
                    "it has {size} bytes in the replica, not {wanted}"
                )));
            }
            Some(_) => {}
        }
        if whole {
            let mut source = self.bucket.reader(&key, entry.size);
            let found = pour(&mut source, true, &mut |_| Ok(()));
            let found = found.map_err(failed("read", Path::new(&key)))?;
            if found.sha256 != entry.sha256 {
                return Ok(Some("it is damaged in the replica".to_owned()));
            }
        }
        Ok(None)
    }

    fn commit(
        &mut self,
        before: &Manifest,
        manifest: &Manifest,
    ) -> Result<Vec<String>, BackupError> {
        // Nothing locks a bucket: another process may have been at this replica meanwhile.
        let now = self.manifest()?;
        if now.is_some_and(|now| now != *before) {
            return Err(BackupError::Busy {
                folder: self.name(),
            });
        }
        let text = manifest
            .render()
            .map_err(failed("write", Path::new(MANIFEST)))?;
        self.bucket
            .put(&self.full(MANIFEST), &mut text.as_bytes())?;
        let named: std::collections::BTreeSet<String> =
            manifest.files.iter().map(|entry| self.key(entry)).collect();
        let there = self.there.take().unwrap_or_default();
        let above = self.full("");
        let ours = |key: &str| is_object(key.strip_prefix(&above).unwrap_or(key));
        let gone = there
            .keys()
            .filter(|key| !named.contains(*key) && ours(key));
        let mut left = Vec::new();
        for key in gone {
            // A key that may not delete is a good one to have here.
            if let Err(error) = self.bucket.delete(key) {
                left.push(error.to_string());
            }
        }
        Ok(left)
    }
}

/// Whether an object is a file of a replica by its name; others are somebody else's.
fn is_object(key: &str) -> bool {
    let known = ["logs/", "configs/", "backups/configs/"];
    let sum = key.rsplit_once('.').map_or("", |(_, sum)| sum);
    known.iter().any(|folder| key.starts_with(folder))
        && sum.len() == 64
        && crate::base::hex::is_hex(sum.as_bytes())
}

/// Sums up what is read.
struct Watched<R> {
    source: R,
    sum: sha2::Sha256,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        sha2::Digest::update(&mut self.sum, buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
