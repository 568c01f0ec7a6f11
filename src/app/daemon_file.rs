//! `.echopilot/daemon.json`: how the command line finds the running daemon and is let in.
//!
//! The token in it is made anew at each start, lives in this file (mode 0600) and in memory, and
//! ends with the process: whoever may read the home folder's private part may operate the daemon.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::seams::files::{Access, Files, read_whole};

/// Contents of the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct DaemonFile {
    /// Process id.
    pub pid: u32,
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Version of the program.
    pub version: String,
    /// Bearer token of the caller `local`.
    pub token: String,
}

/// Bytes of the file at most: it holds five short values.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the file is.
pub fn path(home: &Path) -> PathBuf {
    home.join(".echopilot").join("daemon.json")
}

impl DaemonFile {
    /// Writes the file, readable by its owner only.
    pub fn write(&self, files: &dyn Files, home: &Path) -> anyhow::Result<()> {
        let path = path(home);
        let body = serde_json::to_vec(self)?;
        remove(files, home);
        files
            .write_new(&path, &body, Access::PRIVATE)
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Reads the file; `None` when there is none.
    pub fn read(files: &dyn Files, home: &Path) -> anyhow::Result<Option<Self>> {
        let path = path(home);
        match files
            .open_read(&path)
            .and_then(|mut file| read_whole(&mut *file, MAX_BYTES))
        {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("cannot read `{}`", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(anyhow::Error::new(error).context(format!("cannot read `{}`", path.display())))
            }
        }
    }
}

/// Removes the file; one that is not there is as good.
pub fn remove(files: &dyn Files, home: &Path) {
    if let Err(error) = files.remove(&path(home))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "cannot remove `.echopilot/daemon.json`");
    }
}
