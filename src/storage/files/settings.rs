//! What an engine of plain files is made with.

use std::path::PathBuf;

/// Bytes kept in reserve for what must be written on a full medium. Source: rule L9.
pub const RESERVE_BYTES: u64 = 8 << 20;

/// What a file engine is made with.
#[derive(Debug, Clone)]
pub struct FilesSettings {
    /// The folder that holds `configs/`, `logs/` and `backups/`.
    pub home: PathBuf,
    /// Bytes kept in reserve for a full medium, at most a small part of it; 0 = none.
    pub reserve_bytes: u64,
    /// Documents that are made readable for their owner only.
    pub private_documents: Vec<String>,
}

impl FilesSettings {
    /// The usual settings for a home.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            reserve_bytes: RESERVE_BYTES,
            private_documents: vec!["keys.json".to_owned()],
        }
    }
}
