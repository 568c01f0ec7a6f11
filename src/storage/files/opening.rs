//! Making a stream ready: find its end, mend its tail, leave damage behind (rules L3 to L5).

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::names;
use super::reading;
use super::recover::{self, Found, Repair, Tail};
use super::room;
use super::segment::{self, Active, Env};
use super::stream::Stream;
use super::unseen::Recent;
use super::writer::{Refusal, Writer};
use crate::seams::files::{Make, Stat};
use crate::storage::chain::Chain;
use crate::storage::engine::StorageError;
use crate::storage::times::Times;

/// Stack of a writer thread: it also runs the views' `on_commit`.
const WRITER_STACK_BYTES: usize = 512 << 10;

/// A writer that stands at the end of its stream. Where the stream cannot be made ready, as on a
/// read-only medium, the writer refuses lines until it can: what is there is read all the same.
pub(super) fn open(env: &Arc<Env>, stream: &Arc<Stream>) -> Writer {
    let mut writer = Writer {
        stream: Arc::clone(stream),
        env: Arc::clone(env),
        active: None,
        recovered: false,
        synced: 0,
        first_at_path: 1,
        chain: Chain::genesis(),
        unsynced: Vec::new(),
        unsynced_own: 0,
        sync_due: None,
        refusing: None,
        recent: Recent::default(),
        counted: None,
        last_try: Duration::ZERO,
        buffer: Vec::new(),
        batch_times: Times::NONE,
    };
    if let Err(error) = writer.recover(Tail::MayBeWhole) {
        writer.refuse(error);
    } else {
        writer.heed_room();
    }
    stream.announce(writer.chain.seq());
    writer
}

/// Makes a stream ready and lets its writer work on a thread of its own.
pub(super) fn start(env: &Arc<Env>, stream: &Arc<Stream>) -> Result<JoinHandle<()>, StorageError> {
    let mut writer = open(env, stream);
    writer.publish();
    let (guarded, env) = (Arc::clone(stream), Arc::clone(env));
    std::thread::Builder::new()
        .name(format!("log-{}", stream.name))
        .stack_size(WRITER_STACK_BYTES)
        .spawn(move || {
            let run = std::panic::AssertUnwindSafe(|| writer.run());
            if std::panic::catch_unwind(run).is_err() {
                tracing::error!(stream = guarded.name, "the writer of a stream panicked");
                guarded.note(|health| health.refusing = Some(room::FAILED));
                env.room.count(None, Some(room::FAILED));
            }
            guarded.end();
        })
        .map_err(|error| as_error(error, &stream.name))
}

impl Writer {
    /// Finds the end of the stream and gets ready to write there. After a failure it can be tried
    /// again.
    pub(super) fn recover(&mut self, tail: Tail) -> io::Result<()> {
        let (env, stream) = (Arc::clone(&self.env), Arc::clone(&self.stream));
        let name = &stream.name;
        let path = names::active(&env.logs, name);
        let before = recover::sealed_end(&*env.files, &env.logs, name)?;
        self.synced = before.seq();
        self.first_at_path = before.seq() + 1;
        self.chain = before.clone();
        let sealed = names::segments_of(name, &env.files.list(&env.logs)?).len() as u64;
        stream.note(|health| health.segments = sealed);
        match env.files.open_read(&path) {
            Ok(reader) => {
                let stat = reader.stat()?;
                let found = recover::walk(&mut reading::plain(reader, 0, stat.size)?, before)?;
                stream.announce(found.chain.seq());
                self.take_over(found, &stat, tail)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // From here on the file has its name from us: whatever fails, it is known what is in it.
        self.recovered = true;
        if self.active.is_none() {
            self.begin_first()?;
        }
        Ok(())
    }

    fn take_over(&mut self, mut found: Found, stat: &Stat, tail: Tail) -> io::Result<()> {
        let (env, name) = (Arc::clone(&self.env), self.stream.name.clone());
        let path = names::active(&env.logs, &name);
        match recover::mend_tail(&*env.files, &env.logs, &name, &mut found, tail)? {
            Repair::None => {}
            Repair::Completed => env.notices.push("tail.repaired", &name, &[("kept", "all")]),
            Repair::SetAside(file) => {
                env.notices
                    .push("tail.repaired", &name, &[("kept_in", &file)]);
            }
        }
        self.stream.note(|health| {
            health.foreign_lines = found.foreign;
            health.damage = found.damage;
        });
        if found.damage > 0 {
            return self.leave_damaged(&found);
        }
        if found.size == 0 && found.chain.seq() > 0 {
            // A crash came between making the file and its first line.
            return env.files.remove(&path);
        }
        let first = found.first.unwrap_or(found.chain.seq() + 1);
        let file = env.files.open_append(&path, Make::IfMissing)?;
        if found.first.is_some() {
            // The next line covers it, wherever it goes.
            self.unsynced = found.trailing;
        }
        self.chain = found.chain;
        self.synced = self.chain.seq();
        self.first_at_path = first;
        self.active = Some(Active {
            file,
            inode: stat.inode,
            first,
            size: found.size,
            mtime_ns: None,
            lines: found.lines,
            opened: found.opened.unwrap_or_else(|| env.clock.now()),
            times: found.times,
            ragged: false,
        });
        self.stream.note(|health| health.segments += 1);
        Ok(())
    }

    /// Seals a segment with damage in it as it is; nothing is ever appended to it again.
    fn leave_damaged(&mut self, found: &Found) -> io::Result<()> {
        let (env, name) = (Arc::clone(&self.env), self.stream.name.clone());
        let last = found.chain.seq();
        let file = match found.first {
            Some(first) if first <= last => {
                let file = names::sealed(&name, first, last);
                let path = names::active(&env.logs, &name);
                env.files.rename(&path, &env.logs.join(&file))?;
                env.files.sync_dir(&env.logs)?;
                self.chain = found.chain.clone();
                self.stream.note(|health| health.segments += 1);
                file
            }
            _ => segment::set_aside(&env, &name, self.chain.seq() + 1, self.chain.seq())?,
        };
        env.notices
            .push("damage.found", &name, &[("sealed_as", &file)]);
        self.synced = self.chain.seq();
        self.first_at_path = self.synced + 1;
        Ok(())
    }

    fn begin_first(&mut self) -> io::Result<()> {
        let (env, name) = (Arc::clone(&self.env), self.stream.name.clone());
        if self.chain.seq() > 0 {
            let files = env.files.list(&env.logs)?;
            let previous = names::segments_of(&name, &files).pop();
            let previous = previous.map(|sealed| sealed.file).unwrap_or_default();
            let first = self.chain.seq() + 1;
            let carried = (&[][..], first);
            let begun = segment::begin(&env, &name, &mut self.chain, (&previous, None), carried)?;
            self.active = Some(begun);
            self.synced = self.chain.seq();
        } else {
            // The very first segment of a stream has nothing before it to tell of.
            let path = names::active(&env.logs, &name);
            let file = env.files.open_append(&path, Make::IfMissing)?;
            env.files.sync_dir(&env.logs)?;
            let stat = file.stat()?;
            self.chain = Chain::genesis();
            self.active = Some(Active {
                file,
                inode: stat.inode,
                first: 1,
                size: stat.size,
                mtime_ns: None,
                lines: 0,
                opened: env.clock.now(),
                times: Times::NONE,
                ragged: false,
            });
        }
        self.first_at_path = self.active.as_ref().map_or(1, |active| active.first);
        self.stream.note(|health| health.segments += 1);
        Ok(())
    }
}

/// What a failure to start the writer means to the caller.
pub(super) fn as_error(error: io::Error, stream: &str) -> StorageError {
    Refusal::of(error).as_error(stream)
}
