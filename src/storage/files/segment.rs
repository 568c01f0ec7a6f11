//! The active segment: its handle, and the steps by which one segment follows another.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::names;
use super::notices::{self, Notices};
use crate::seams::clock::Clock;
use crate::seams::files::{AppendFile, Files, Make};
use crate::storage::chain::Chain;
use crate::storage::lines::Entry;
use crate::storage::times::Times;

/// What the streams of one engine share.
#[derive(Debug)]
pub(super) struct Env {
    pub(super) files: Arc<dyn Files>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) logs: PathBuf,
    pub(super) boot_id: String,
    pub(super) notices: Notices,
    pub(super) room: super::room::Room,
    pub(super) lookout: super::epoch::Lookout,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) file: Box<dyn AppendFile>,
    pub(super) inode: u64,
    /// `seq` of its first line.
    pub(super) first: u64,
    /// Bytes in it.
    pub(super) size: u64,
    /// When it was last written to, as far as known: a later time is somebody else's.
    pub(super) mtime_ns: Option<i128>,
    /// Own lines in it, the one that opens it not counted.
    pub(super) lines: u64,
    /// When it was begun.
    pub(super) opened: DateTime<Utc>,
    /// The times of the own lines in it.
    pub(super) times: Times,
    /// It does not end with an end of line, because of what somebody else wrote.
    pub(super) ragged: bool,
}

/// How often in a row a write may be interrupted. A signal interrupts once; what goes on for ever
/// must become an error, or everybody would wait for ever.
const INTERRUPTED_MAX: u32 = 100;

/// Writes all of `bytes`, going on after a short write and an interruption.
pub(in crate::storage) fn put_all(file: &mut dyn AppendFile, mut bytes: &[u8]) -> io::Result<()> {
    let mut interrupted = 0;
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error)
                if error.kind() == io::ErrorKind::Interrupted && interrupted < INTERRUPTED_MAX =>
            {
                interrupted += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads back what stands between two places, less where the file ends before.
pub(super) fn read_back(file: &dyn AppendFile, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
    let mut region = vec![0; size];
    let mut filled = 0;
    while filled < size {
        let rest = region.get_mut(filled..).unwrap_or_default();
        match file.read_at(rest, from + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    region.truncate(filled);
    Ok(region)
}

/// Composes the line that opens a segment; `before` tells where the stream stood.
pub(super) fn compose_opened(
    out: &mut Vec<u8>,
    chain: &mut Chain,
    env: &Env,
    previous: (&str, Option<Times>),
    kind: &'static str,
) {
    let before = chain.clone();
    let at = env.clock.now();
    let mut members = Vec::with_capacity(160);
    notices::member(&mut members, "previous", previous.0);
    members.extend_from_slice(format!(",\"prev_seq\":{},", before.seq()).as_bytes());
    notices::member(&mut members, "prev_h", &String::from_utf8_lossy(before.h()));
    members.push(b',');
    notices::member(&mut members, "boot", &env.boot_id);
    if let Some(times) = previous.1 {
        times.push_members(&mut members);
    }
    let entry = Entry { kind, at, end: 0 };
    chain.compose(out, &entry, &members);
}

/// Begins a new active segment with `carried` (lines written again after a failed sync, usually
/// none) and the line that opens it; all on the medium when this returns.
pub(super) fn begin(
    env: &Env,
    stream: &str,
    chain: &mut Chain,
    previous: (&str, Option<Times>),
    carried: (&[u8], u64),
) -> io::Result<Active> {
    let path = names::active(&env.logs, stream);
    let mut file = env.files.open_append(&path, Make::New)?;
    let mut next = chain.clone();
    let mut bytes = carried.0.to_vec();
    compose_opened(&mut bytes, &mut next, env, previous, "segment.opened");
    let written = put_all(&mut *file, &bytes)
        .and_then(|()| file.sync_data())
        .and_then(|()| env.files.sync_dir(&env.logs))
        .and_then(|()| file.stat());
    let stat = match written {
        Ok(stat) => stat,
        Err(error) => {
            // Nothing in it is acknowledged. If it cannot go now, it is set aside at the next try.
            let _left_behind = env.files.remove(&path);
            return Err(error);
        }
    };
    *chain = next;
    let mut times = Times::NONE;
    times.take_all(&bytes);
    Ok(Active {
        file,
        inode: stat.inode,
        first: carried.1,
        size: bytes.len() as u64,
        mtime_ns: Some(stat.mtime_ns),
        lines: chain.seq() - carried.1,
        opened: env.clock.now(),
        times,
        ragged: false,
    })
}

/// How many suspect segments with the same lines are kept apart.
const SUSPECT_MAX: u32 = 10_000;

/// Gives the active segment's file, if there is one, a name that says that only its lines up to
/// `last` count.
pub(super) fn set_aside(env: &Env, stream: &str, first: u64, last: u64) -> io::Result<String> {
    let path = names::active(&env.logs, stream);
    for attempt in 1..=SUSPECT_MAX {
        let name = names::suspect(stream, first, last, attempt);
        let to = env.logs.join(&name);
        match env.files.stat(&to) {
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        return match env.files.rename(&path, &to) {
            Ok(()) => env.files.sync_dir(&env.logs).map(|()| name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error),
        };
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
