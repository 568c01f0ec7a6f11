//! What the writer does when somebody cut the active segment, or put another file in its place
//! (rules L15 and L16).

use std::io;

use super::names;
use super::reading;
use super::recover::{self, Found};
use super::segment::{self, Active};
use super::writer::Writer;
use crate::seams::files::{Make, Stat};
use crate::storage::chain::Chain;
use crate::storage::line;

impl Writer {
    /// The file was cut, or another one has its name: what is there now is kept, and a line tells
    /// of what was lost.
    pub(super) fn follow_replaced(&mut self) -> io::Result<()> {
        let (env, name) = (self.env.clone(), self.stream.name.clone());
        let path = names::active(&env.logs, &name);
        let sealed = recover::sealed_end(&*env.files, &env.logs, &name)?;
        let reader = env.files.open_read(&path)?;
        let stat = reader.stat()?;
        let found = recover::walk(&mut reading::plain(reader, 0, stat.size)?, sealed)?;
        let mut file = env.files.open_append(&path, Make::IfMissing)?;
        let inode = file.stat()?.inode;
        let same = found.chain.seq() == self.chain.seq() && found.chain.h() == self.chain.h();
        let before = std::mem::replace(&mut self.chain, found.chain.clone());
        let composed = self.compose_replaced(&found, &stat, !same, &before);
        let (bytes, lost) = match composed {
            Ok(composed) => composed,
            Err(error) => {
                self.chain = before;
                return Err(error);
            }
        };
        let written = segment::put_all(&mut *file, &bytes);
        if let Err(error) = written {
            if file.set_len(stat.size).is_ok() {
                // It is as it was found, and is looked at again.
                self.chain = before;
                return Err(error);
            }
            return self.leave_replaced(found, (bytes, lost), &error);
        }
        if let Err(error) = file.sync_data() {
            return self.leave_replaced(found, (bytes, lost), &error);
        }
        if lost {
            self.env.notices.push("log.truncated", &name, &[]);
        }
        let added = bytes.len() as u64;
        self.synced = self.chain.seq();
        self.unsynced.clear();
        if self.chain.seq() == found.chain.seq() && found.first.is_some() {
            // What others wrote after our last line: the next one covers it, wherever it goes.
            for part in [&found.trailing, &found.tail, &bytes] {
                self.unsynced.extend_from_slice(part);
            }
        }
        self.unsynced_own = 0;
        self.recent.forget();
        let first = found
            .first
            .unwrap_or(before.seq().max(found.chain.seq()) + 1);
        self.first_at_path = first;
        let mut times = found.times;
        times.take_all(&bytes);
        self.active = Some(Active {
            file,
            inode,
            first,
            size: stat.size + added,
            mtime_ns: None,
            lines: found.lines + 1,
            opened: found.opened.unwrap_or_else(|| env.clock.now()),
            times,
            ragged: false,
        });
        self.stream
            .note(|health| health.foreign_lines += found.foreign);
        Ok(())
    }

    /// What follows the text that somebody put in place of the active segment: the end of its last
    /// line, and the lines that it lacks because nobody could have seen them, or else one that
    /// tells of the loss. Also whether there is a loss.
    fn compose_replaced(
        &mut self,
        found: &Found,
        stat: &Stat,
        lacks: bool,
        before: &Chain,
    ) -> io::Result<(Vec<u8>, bool)> {
        let mut bytes = Vec::new();
        self.chain.foreign(&found.tail);
        if !found.tail.is_empty() {
            bytes.push(b'\n');
            self.chain.foreign(b"\n");
        }
        if !lacks {
            return Ok((bytes, false));
        }
        let mut whole = false;
        let old = self.active.as_ref();
        if let Some(old) = old.filter(|old| old.inode != stat.inode) {
            let (carried, all) = self.recent.carry(old, stat.born_ns, &mut self.chain)?;
            bytes.extend_from_slice(&carried);
            whole = all;
        }
        if !whole {
            let seq = before.seq().max(self.chain.seq());
            self.chain.skip_to(seq);
            compose_truncated(&mut bytes, &mut self.chain, before, &self.env, stat.size);
        }
        Ok((bytes, !whole))
    }

    /// The text that somebody put there could not be synced with what follows it, and is not synced
    /// a second time: it counts up to its last line of ours, and the rest follows elsewhere.
    fn leave_replaced(
        &mut self,
        found: Found,
        (mut bytes, lost): (Vec<u8>, bool),
        error: &io::Error,
    ) -> io::Result<()> {
        if lost {
            let about = self.stream.name.clone();
            self.env.notices.push("log.truncated", &about, &[]);
        }
        self.synced = found.chain.seq();
        let mut rest = Vec::new();
        if found.first.is_some() {
            rest = found.trailing;
            rest.extend_from_slice(&found.tail);
        } else {
            // No line of ours is in it: all of it counts, the end of its last line included.
            bytes.drain(..usize::from(!found.tail.is_empty()));
            let mut lines = reading::lines_of(&bytes);
            let next = lines.find_map(|own| line::parse(own.strip_suffix(b"\n").unwrap_or(own)));
            self.synced = next.map_or(self.synced, |own| own.seq.saturating_sub(1));
        }
        self.first_at_path = found.first.unwrap_or(self.synced + 1);
        rest.append(&mut bytes);
        self.unsynced = rest;
        self.unsynced_own = self.unsynced.len();
        self.sync_due = None;
        self.active = None;
        self.buffer.clear();
        self.recent.forget();
        self.go_on_elsewhere(error)
    }
}

fn compose_truncated(
    out: &mut Vec<u8>,
    chain: &mut Chain,
    before: &Chain,
    env: &segment::Env,
    size: u64,
) {
    let entry = crate::storage::lines::Entry {
        kind: "log.truncated",
        at: env.clock.now(),
        end: 0,
    };
    let members = format!(
        "\"prev_seq\":{},\"prev_h\":\"{}\",\"size\":{size}",
        before.seq(),
        String::from_utf8_lossy(before.h()),
    );
    chain.compose(out, &entry, members.as_bytes());
}
