//! Leases on files. One process owns the home, so who holds a lease is known in memory; the number
//! that only grows is kept on disk, so that it grows across restarts too.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::names;
use crate::seams::clock::Clock;
use crate::seams::files::{Access, Files, read_whole};
use crate::storage::engine::Lease;

/// Bytes of a file with a fence that are read: more than any number has.
const FENCE_BYTES: u64 = 32;

#[derive(Debug)]
struct Holder {
    name: String,
    until: Duration,
    fence: u64,
}

/// The leases of one home.
#[derive(Debug)]
pub(super) struct Leases {
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    held: Mutex<HashMap<String, Holder>>,
}

impl Leases {
    pub(super) fn new(files: Arc<dyn Files>, clock: Arc<dyn Clock>, folder: PathBuf) -> Self {
        Self {
            files,
            clock,
            folder,
            held: Mutex::default(),
        }
    }

    pub(super) fn take(&self, name: &str, holder: &str, ttl: Duration) -> Option<Lease> {
        if !names::is_stream(name) {
            return None;
        }
        let now = self.clock.uptime();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let current = held.get(name);
        let fence = match current {
            Some(current) if current.name == holder && current.until > now => current.fence,
            Some(current) if current.until > now => return None,
            Some(current) => self.raise(name, current.fence)?,
            None => self.raise(name, self.read(name))?,
        };
        let taken = Holder {
            name: holder.to_owned(),
            until: now + ttl,
            fence,
        };
        held.insert(name.to_owned(), taken);
        Some(Lease {
            name: name.to_owned(),
            fence,
        })
    }

    fn read(&self, name: &str) -> u64 {
        let path = self.folder.join(format!("lease-{name}"));
        let read = self
            .files
            .open_read(&path)
            .and_then(|mut file| read_whole(&mut *file, FENCE_BYTES));
        let text = read.ok().and_then(|text| String::from_utf8(text).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// A lease whose number is not on the medium could be given twice: then there is none.
    fn raise(&self, name: &str, fence: u64) -> Option<u64> {
        let raised = fence + 1;
        let temporary = self.folder.join(format!(".lease-{name}.tmp"));
        let _absent = self.files.remove(&temporary);
        let body = format!("{raised}\n");
        self.files
            .write_new(&temporary, body.as_bytes(), Access::PRIVATE)
            .and_then(|()| {
                let path = self.folder.join(format!("lease-{name}"));
                self.files.rename(&temporary, &path)
            })
            .and_then(|()| self.files.sync_dir(&self.folder))
            .ok()
            .map(|()| raised)
    }
}
