//! A home that is only read: the engine of a standby, and of a primary that somebody else took over
//! from. It has no writer threads and never changes a journal or a configuration; checkpoints and
//! reports may be written, because they are derived.
//!
//! What is appended by others, such as the shipping of a standby, shows in scans at once, and to
//! whoever follows after [`FilesReader::look`].

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use super::documents::Documents;
use super::home::{Home, OpenError};
use super::seek::{self, Seeker};
use super::{names, reading};
use crate::seams::files::Files;
use crate::storage::engine::{
    Appending, Barred, Chunk, Document, DocumentError, Engine, Expect, Lease, Mark, Medium,
    OnCommit, OnDocument, Revision, Seek, SegmentInfo, StorageError, StreamHealth, StreamOptions,
};
use crate::storage::lines::Lines;
use crate::storage::replies;

/// Bytes at the end of a segment in which its last line is looked for first; doubled until it is
/// found. Most lines have a few hundred.
const TAIL_BYTES: u64 = 16 << 10;

/// A home that is held by this process, for reading it and for keeping it as a copy.
#[derive(Debug)]
pub struct HeldHome(Home);

impl HeldHome {
    /// Takes a home; [`OpenError::Held`] when another process has it.
    pub fn take(files: &Arc<dyn Files>, home: &Path) -> Result<Self, OpenError> {
        Home::take(Arc::clone(files), home).map(Self)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

#[derive(Debug)]
struct Known {
    options: StreamOptions,
    last: watch::Sender<u64>,
}

/// A home that is only read.
#[derive(Debug)]
pub struct FilesReader {
    files: Arc<dyn Files>,
    logs: PathBuf,
    documents: Documents,
    streams: RwLock<BTreeMap<String, Known>>,
    why: Arc<Barred>,
    seeker: Seeker,
}

fn no_stream(name: &str) -> StorageError {
    StorageError::NoStream {
        stream: name.to_owned(),
    }
}

impl FilesReader {
    /// Reads `home`, and refuses every change for the reason `why`. Whoever calls sees to it that
    /// no other process writes there, as by a [`HeldHome`].
    pub fn new(files: Arc<dyn Files>, home: &Path, why: Arc<Barred>) -> Self {
        let logs = home.join("logs");
        let documents = Documents::new(
            Arc::clone(&files),
            home.join("configs"),
            home.join("backups/configs"),
            logs.join(".views"),
            Vec::new(),
        );
        Self {
            files,
            logs,
            documents,
            streams: RwLock::default(),
            why,
            seeker: Seeker::default(),
        }
    }

    /// Looks how far each open stream has grown, and tells whoever follows.
    pub fn look(&self) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        for (name, known) in streams.iter() {
            if let Ok(seq) = last_seq(&*self.files, &self.logs, name) {
                known.last.send_if_modified(|last| {
                    let grown = seq > *last;
                    *last = seq.max(*last);
                    grown
                });
            }
        }
    }

    fn refused(&self, name: &str) -> DocumentError {
        DocumentError::Io {
            name: name.to_owned(),
            source: self.why.as_io(),
        }
    }
}

/// `seq` of the last line of a stream that is not written by this process; 0 where it has none.
pub(in crate::storage) fn last_seq(
    files: &dyn Files,
    logs: &Path,
    stream: &str,
) -> io::Result<u64> {
    let layout = reading::layout(files, logs, stream)?;
    let sealed = layout.sealed.last().map_or(0, |segment| segment.last);
    let Some((file, stat)) = layout.active else {
        return Ok(sealed);
    };
    let mut span = TAIL_BYTES;
    loop {
        let from = stat.size.saturating_sub(span);
        let mut tail = vec![0; usize::try_from(stat.size - from).unwrap_or(0)];
        let read = file.read_at(&mut tail, from)?;
        tail.truncate(read);
        let whole = memchr::memrchr(b'\n', &tail).map_or(0, |end| end + 1);
        tail.truncate(whole);
        if let Some((seq, _, _)) = reading::last_own(&tail) {
            return Ok(seq.max(sealed));
        }
        if from == 0 {
            return Ok(sealed);
        }
        span *= 2;
    }
}

impl Engine for FilesReader {
    fn open(&self, stream: &str, options: StreamOptions) -> Result<(), StorageError> {
        if !names::is_stream(stream) {
            return Err(no_stream(stream));
        }
        let last = last_seq(&*self.files, &self.logs, stream);
        let last = last.map_err(|source| StorageError::Unreadable {
            stream: stream.to_owned(),
            source: source.into(),
        })?;
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        streams.entry(stream.to_owned()).or_insert_with(|| Known {
            options,
            last: watch::Sender::new(last),
        });
        Ok(())
    }

    fn append(
        &self,
        stream: &str,
        _expect: Expect,
        _durability: Option<crate::storage::engine::Durability>,
        _lines: Lines,
        on_commit: Option<OnCommit>,
    ) -> Appending {
        let outcome = Err(StorageError::Barred {
            stream: stream.to_owned(),
            why: Arc::clone(&self.why),
        });
        if let Some(on_commit) = on_commit {
            on_commit(&outcome);
        }
        replies::ready(outcome)
    }

    fn scan(
        &self,
        stream: &str,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        match self.of(stream)?.run(from, sink) {
            // Nothing of it was shipped yet.
            Err(StorageError::NoStream { .. }) if from.seq == 0 && self.knows(stream) => Ok(()),
            outcome => outcome,
        }
    }

    fn segments(&self, stream: &str) -> Result<Vec<SegmentInfo>, StorageError> {
        let scan = self.of(stream)?;
        let found = seek::list(&scan, None).map_err(|error| scan.unreadable(error))?;
        if found.is_empty() && !self.knows(stream) {
            return Err(no_stream(stream));
        }
        Ok(found)
    }

    fn locate(&self, stream: &str, seek: &Seek) -> Result<Mark, StorageError> {
        match self.seeker.locate(&self.of(stream)?, *seek) {
            Err(StorageError::NoStream { .. }) if self.knows(stream) => Ok(Mark::default()),
            outcome => outcome,
        }
    }

    fn follow(&self, stream: &str) -> Result<watch::Receiver<u64>, StorageError> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let known = streams.get(stream).ok_or_else(|| no_stream(stream))?;
        Ok(known.last.subscribe())
    }

    fn health(&self, stream: &str) -> Option<StreamHealth> {
        let layout = reading::layout(&*self.files, &self.logs, stream).ok();
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let known = streams.get(stream)?;
        let size = |(_, stat): &(_, crate::seams::files::Stat)| stat.size;
        // A standby is well as it is; a home that was taken over from is not.
        let is_standby = matches!(*self.why, Barred::Standby { .. });
        Some(StreamHealth {
            last_seq: *known.last.borrow(),
            active_bytes: layout
                .as_ref()
                .and_then(|found| found.active.as_ref())
                .map_or(0, size),
            segments: layout.as_ref().map_or(0, |found| {
                (found.sealed.len() + usize::from(found.active.is_some())) as u64
            }),
            refusing: (!is_standby).then(|| self.why.code()),
            durability: Some(known.options.durability),
            ..StreamHealth::default()
        })
    }

    fn medium(&self) -> Medium {
        Medium {
            refusing: Some(self.why.code()),
            low: false,
        }
    }

    fn barred(&self) -> Option<Arc<Barred>> {
        Some(Arc::clone(&self.why))
    }

    fn streams(&self) -> Vec<String> {
        names::streams_among(&self.files.list(&self.logs).unwrap_or_default())
    }

    fn load(&self, name: &str) -> Result<Document, DocumentError> {
        self.documents.load(name)
    }

    fn replace(
        &self,
        name: &str,
        _expect: Option<&Revision>,
        _body: &[u8],
    ) -> Result<Revision, DocumentError> {
        Err(self.refused(name))
    }

    /// Documents are looked at when this engine's process is put together, not after.
    fn watch_documents(&self, _changed: OnDocument) -> Result<(), DocumentError> {
        Ok(())
    }

    fn keep_snapshot(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        match self.documents.snapshot(name, &Revision::of(body)) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.refused(name)),
        }
    }

    fn snapshot(&self, name: &str, revision: &Revision) -> Result<Document, DocumentError> {
        self.documents.snapshot(name, revision)
    }

    fn load_derived(&self, name: &str) -> Option<Vec<u8>> {
        self.documents.load_derived(name)
    }

    fn save_derived(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.documents.save_derived(name, body)
    }

    fn save_report(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.documents.save_report(name, body)
    }

    fn lease(&self, _name: &str, _holder: &str, _ttl: Duration) -> Option<Lease> {
        None
    }

    fn close(&self) {}
}

impl FilesReader {
    fn of<'a>(&'a self, stream: &'a str) -> Result<reading::Scan<'a>, StorageError> {
        if !names::is_stream(stream) {
            return Err(no_stream(stream));
        }
        Ok(reading::Scan {
            files: &*self.files,
            logs: &self.logs,
            stream,
            visible: &|| None,
        })
    }

    fn knows(&self, stream: &str) -> bool {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.contains_key(stream)
    }
}
