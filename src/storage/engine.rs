//! The storage contract: what every engine promises, whatever it is made of.
//!
//! A *stream* is an append-only sequence of lines, numbered from 1 without gaps. A *document* is a
//! whole text with a revision. An engine acknowledges a line only when it will still be there after
//! a crash (at the durability asked for), and never changes an acknowledged line.
//!
//! An engine may write lines of its own into any stream, each with a `seq` like the others: kinds
//! that begin with `segment.` and `log.`. Who folds a stream passes over kinds it does not know.

use std::fmt::{self, Debug};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::Digest;
use tokio::sync::watch;

pub use super::barred::Barred;
use super::lines::Lines;
pub use super::segments::{Seek, SegmentInfo};
use super::tidying::{Tidied, TidyPlan};

/// A write or a sync that takes longer is stuck (our own choice: ten times what etcd warns of).
pub const STUCK_AFTER: Duration = Duration::from_secs(10);

/// How sure an acknowledgement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// After `write(2)`: survives a crash of the process, not of the machine.
    Os,
    /// After `write(2)`; on the medium at the latest this much later.
    Interval(Duration),
    /// After `fdatasync(2)`: survives a power cut.
    Always,
}

impl Durability {
    /// What holds for an append that asks for this on a stream of `stream_wide`: never more than
    /// the stream gives, but a delay of its own.
    #[must_use]
    pub fn within(self, stream_wide: Self) -> Self {
        match self {
            Self::Interval(_) if stream_wide != Self::Os => self,
            asked => asked.min(stream_wide),
        }
    }
}

impl fmt::Display for Durability {
    /// As the settings spell it: `always`, `os`, `interval:1s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os => f.write_str("os"),
            Self::Always => f.write_str("always"),
            Self::Interval(span) if span.subsec_millis() == 0 => {
                write!(f, "interval:{}s", span.as_secs())
            }
            Self::Interval(span) => write!(f, "interval:{}ms", span.as_millis()),
        }
    }
}

/// Where in the stream a writer believes it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anywhere.
    Any,
    /// The last line's `seq` must be this one (0 = the stream is empty).
    LastSeq(u64),
}

/// Where a group of lines came to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// `seq` of the first line; for an empty group that of the next line to come.
    pub first: u64,
    /// `seq` of the last line; `first - 1` for an empty group.
    pub last: u64,
}

/// A place between two lines, good for resuming a scan and for checking that the past is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// `seq` of the last own line before the place; 0 = the beginning.
    pub seq: u64,
    /// That line's chain value, as the 16 hex digits it carries; zeros at the beginning.
    pub h: [u8; 16],
    /// First `seq` of the segment it lies in: a hint for finding it.
    pub segment: u64,
    /// Bytes from the segment's start: a hint for finding it.
    pub offset: u64,
}

/// How much of a stream's active segment is on the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Which file it is.
    pub inode: u64,
    /// Bytes from its start.
    pub size: u64,
}

/// Why an engine did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// Another copy of the home may write, this one must not; never lifts by itself.
    #[error("`{stream}` takes no lines")]
    Barred {
        /// The stream.
        stream: String,
        /// Why.
        #[source]
        why: Arc<Barred>,
    },
    /// No room on the medium; lifts by itself.
    #[error("the disk is too full to append to `{stream}`")]
    Full {
        /// The stream, such as `experiments`.
        stream: String,
    },
    /// The medium refuses writes.
    #[error("cannot write to `{stream}`")]
    Failed {
        /// The stream.
        stream: String,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The last line is not where the writer believed it.
    #[error("`{stream}` is at {found}, the writer expected {expected}")]
    Moved {
        /// The stream.
        stream: String,
        /// What was expected.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The engine is closed or closing.
    #[error("storage is closed")]
    Closed,
    /// A mark whose line is not there any more, or not the same.
    #[error("`{stream}` does not hold the line that the mark names")]
    BadMark {
        /// The stream.
        stream: String,
    },
    /// No such stream.
    #[error("there is no stream `{stream}`")]
    NoStream {
        /// What was asked for.
        stream: String,
    },
    /// Reading failed.
    #[error("cannot read `{stream}`")]
    Unreadable {
        /// The stream.
        stream: String,
        /// What the system said.
        #[source]
        source: Arc<std::io::Error>,
    },
}

/// The outcome of an append, to be awaited. Dropping it does not take the append back.
pub type Appending = Pin<Box<dyn Future<Output = Result<Position, StorageError>> + Send>>;

/// Called once with the outcome of an append, on the stream's writer thread, in `seq` order and
/// before the appender is told. Views are kept up to date here: nobody can be told of a line that
/// the view does not know. Must be quick and must not wait.
pub type OnCommit = Box<dyn FnOnce(&Result<Position, StorageError>) + Send>;

/// A stretch of whole lines, as they are in the stream.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// Whole lines, each ended by `\n`; foreign and damaged ones included.
    pub bytes: &'a [u8],
    /// The place after the last own line in `bytes`. `None` when the chunk holds none.
    pub end: Option<Mark>,
}

/// State of one stream, for health and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamHealth {
    /// `seq` of the last line.
    pub last_seq: u64,
    /// Lines found that echopilot did not write.
    pub foreign_lines: u64,
    /// Damaged stretches met, not counting those set aside in an earlier run.
    pub damage: u64,
    /// Bytes in the active segment.
    pub active_bytes: u64,
    /// Segments, sealed ones and the active one.
    pub segments: u64,
    /// `None` when lines are accepted; else the code, `storage_full` or `storage_failed`.
    pub refusing: Option<&'static str>,
    /// The durability in force.
    pub durability: Option<Durability>,
    /// The slowest sync so far, in microseconds.
    pub slowest_sync_us: u64,
}

/// State of the medium beneath all streams, cheap enough to be asked for on every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Medium {
    /// `None` when every stream takes lines; else the worst code, `storage_failed` before
    /// `storage_full`.
    pub refusing: Option<&'static str>,
    /// Whether there is so little room that a person should make some.
    pub low: bool,
}

/// What a stream is opened with.
#[derive(Debug, Clone, Copy)]
pub struct StreamOptions {
    /// When an append counts as acknowledged, unless the append itself asks for less.
    pub durability: Durability,
    /// Bytes after which a segment is sealed.
    pub segment_bytes: u64,
    /// Age after which a segment is sealed, however small (an empty one never is).
    pub segment_age: Duration,
}

/// Content hash of a document: the first 16 hex digits of its SHA-256.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(String);

impl Revision {
    /// The revision of `body`.
    pub fn of(body: &[u8]) -> Self {
        Self(crate::base::hex::of(&sha2::Sha256::digest(body)[..8]))
    }

    /// A revision as it was written down before.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
            .then(|| Self(text.to_owned()))
    }

    /// The 16 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Revision {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A document as it was read.
#[derive(Debug, Clone)]
pub struct Document {
    /// The whole text.
    pub body: Vec<u8>,
    /// Its revision.
    pub revision: Revision,
}

/// Why a document could not be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not there.
    #[error("`{name}` does not exist")]
    Absent {
        /// File name, such as `flags.json`.
        name: String,
    },
    /// There, and empty: a save in progress, never "nothing".
    #[error("`{name}` is empty")]
    Empty {
        /// File name.
        name: String,
    },
    /// A symbolic link has its name. Following it, a save by rename would replace the link and
    /// leave its target behind.
    #[error("`{name}` is a symbolic link, only the file itself is read")]
    Link {
        /// File name.
        name: String,
    },
    /// Larger than a document may be.
    #[error("`{name}` has {found} bytes, at most {allowed} are read")]
    TooLarge {
        /// File name.
        name: String,
        /// Its size in bytes.
        found: u64,
        /// The bound in bytes.
        allowed: u64,
    },
    /// It is at another revision than the one the change was based on.
    #[error("`{name}` is at revision {found}, the change was based on {expected}")]
    Moved {
        /// File name.
        name: String,
        /// Based on.
        expected: Revision,
        /// What is there.
        found: Revision,
    },
    /// It kept changing while it was read.
    #[error("`{name}` is being written")]
    Unsettled {
        /// File name.
        name: String,
    },
    /// The system refused.
    #[error("cannot access `{name}`")]
    Io {
        /// File name.
        name: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Told the name of a document whose text may have changed, on a thread of the engine's own.
pub type OnDocument = Box<dyn Fn(&str) + Send + Sync>;

/// How the process that holds the storage began, and how those before it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    /// When it took the storage.
    pub started_at: DateTime<Utc>,
    /// What it is.
    pub version: &'static str,
    /// What the one before it was, where it said so.
    pub previous_version: Option<String>,
    /// Whether the one before it ended in order; `None` where there was none.
    pub previous_clean: Option<bool>,
    /// When a start found last that the run before it had not ended in order.
    pub last_unclean: Option<DateTime<Utc>>,
}

/// A right to act that ends by itself, with a number that only grows: whoever holds the
/// highest wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Grows with each holder.
    pub fence: u64,
}

/// Storage behind one interface: plain files, or memory, or a database shared by several hosts.
pub trait Engine: Send + Sync + Debug + 'static {
    /// Makes `stream` ready for appending: recovers its tail, creates it where it does not exist.
    /// Opening twice is harmless. Names obey `^[a-z0-9][a-z0-9_-]{0,63}$`.
    fn open(&self, stream: &str, options: StreamOptions) -> Result<(), StorageError>;

    /// Appends `lines` in one piece. Errors of the call itself also come through the future and
    /// through `on_commit`, which is called exactly once in every case. An empty group is a
    /// barrier: it is acknowledged after everything before it. Enqueues at once, in call order;
    /// the future only waits.
    fn append(
        &self,
        stream: &str,
        expect: Expect,
        durability: Option<Durability>,
        lines: Lines,
        on_commit: Option<OnCommit>,
    ) -> Appending;

    /// Hands all lines after `from` to `sink`, in order, in chunks of whole lines, up to the last
    /// line that was complete when the scan began. `BadMark` when `from` does not fit the stream.
    fn scan(
        &self,
        stream: &str,
        from: &Mark,
        sink: &mut dyn FnMut(Chunk<'_>) -> ControlFlow<()>,
    ) -> Result<(), StorageError>;

    /// The files of a stream, in the order of their lines; the one that is written to comes last.
    fn segments(&self, stream: &str) -> Result<Vec<SegmentInfo>, StorageError>;

    /// A mark right before what is sought, found without reading what is before it, for
    /// [`Engine::scan`] to go on from; the end of the stream where nothing of the kind is there.
    /// It is never behind the first line sought. It may be in front of it, where damage or clocks
    /// that were set back leave a doubt: whoever reads on passes over what was not asked for.
    fn locate(&self, stream: &str, seek: &Seek) -> Result<Mark, StorageError>;

    /// `seq` of the last acknowledged line, as it grows.
    fn follow(&self, stream: &str) -> Result<watch::Receiver<u64>, StorageError>;

    /// State of a stream.
    fn health(&self, stream: &str) -> Option<StreamHealth>;

    /// State of the medium. Takes no lock.
    fn medium(&self) -> Medium {
        Medium::default()
    }

    /// The stream whose writer has been at one write or sync for longest, and how long; `None`
    /// where none is at work, or nobody can tell. Who refuses lines is not at work for long.
    fn longest_wait(&self) -> Option<(String, Duration)> {
        None
    }

    /// Why no line is taken though the medium would take it. Takes no lock while there is nothing
    /// to tell.
    fn barred(&self) -> Option<Arc<Barred>> {
        None
    }

    /// How much of an open stream's active segment is on the medium, where there is such a file:
    /// what another copy of it may hold.
    fn durable(&self, _stream: &str) -> Option<Durable> {
        None
    }

    /// Names of all streams, open or not, sorted.
    fn streams(&self) -> Vec<String>;

    /// Reads a document whole. The name is a file name in the configuration folder.
    fn load(&self, name: &str) -> Result<Document, DocumentError>;

    /// Replaces a document in one step, only if it is still at `expect` (`None`: only if absent).
    /// The old text is kept.
    fn replace(
        &self,
        name: &str,
        expect: Option<&Revision>,
        body: &[u8],
    ) -> Result<Revision, DocumentError>;

    /// Calls `changed` whenever a document may have changed; calls without a change are allowed,
    /// missing one is not. Replaces an earlier callback.
    fn watch_documents(&self, changed: OnDocument) -> Result<(), DocumentError>;

    /// Keeps `body` under a revision of a document, so that it can be told later what was in force.
    fn keep_snapshot(&self, name: &str, body: &[u8]) -> Result<(), DocumentError>;

    /// A text kept by [`Engine::keep_snapshot`].
    fn snapshot(&self, name: &str, revision: &Revision) -> Result<Document, DocumentError>;

    /// A small file of derived state that may be lost at any time, such as a view's checkpoint.
    fn load_derived(&self, name: &str) -> Option<Vec<u8>>;

    /// Replaces a derived file whole.
    fn save_derived(&self, name: &str, body: &[u8]) -> Result<(), DocumentError>;

    /// Replaces a report whole: derived like the others, but for people to read, so that files
    /// keep it beside the journals, as `logs/NAME`. Where nobody can look it is any derived file.
    fn save_report(&self, name: &str, body: &[u8]) -> Result<(), DocumentError> {
        self.save_derived(name, body)
    }

    /// Takes or renews a lease. `None` when somebody else holds it.
    fn lease(&self, name: &str, holder: &str, ttl: Duration) -> Option<Lease>;

    /// How this process began, and how those before it ended; `None` where nothing outlives it.
    fn runs(&self) -> Option<Runs> {
        None
    }

    /// Tells why [`Engine::close`] will be called: a word for the record.
    fn ends_by(&self, _reason: &str) {}

    /// Packs, mends and removes sealed segments as `plan` allows; ends early when `stop` says so.
    /// Blocks for as long as that takes. Where there are no files there is nothing to do.
    fn tidy(
        &self,
        _plan: &TidyPlan,
        _stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Tidied, StorageError> {
        Ok(Tidied::default())
    }

    /// Flushes and syncs everything, refuses what comes after. Blocks until done.
    fn close(&self);
}
