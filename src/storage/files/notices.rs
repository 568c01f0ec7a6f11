//! What storage has to say about itself: a warning for whoever watches the process, and a line in
//! the stream `storage`. Best effort by design: nothing ever waits for it.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock, Weak};

use super::stream::Stream;
use crate::seams::clock::Clock;
use crate::storage::engine::Expect;
use crate::storage::lines::Lines;

/// The engine's own stream.
pub(in crate::storage) const STREAM: &str = "storage";

/// The way to the engine's own stream.
#[derive(Debug)]
pub(super) struct Notices {
    clock: Arc<dyn Clock>,
    stream: OnceLock<Weak<Stream>>,
}

impl Notices {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            stream: OnceLock::new(),
        }
    }

    pub(super) fn write_to(&self, stream: &Arc<Stream>) {
        // A second call changes nothing: there is one such stream.
        let _set_before = self.stream.set(Arc::downgrade(stream));
    }

    /// Notes `kind` about `about`, with more members.
    pub(super) fn push(&self, kind: &'static str, about: &str, members: &[(&str, &str)]) {
        tracing::warn!(about, ?members, "{kind}");
        // What goes wrong with the own stream is not written to it: that would never end.
        if about == STREAM {
            return;
        }
        self.write(kind, about, members);
    }

    /// Notes something that is no cause for a warning.
    pub(super) fn write(&self, kind: &'static str, about: &str, members: &[(&str, &str)]) {
        self.write_with(kind, about, |out| push_members(out, members));
    }

    /// The same with members that `more` writes, each after a comma.
    pub(super) fn write_with(
        &self,
        kind: &'static str,
        about: &str,
        more: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(stream) = self.stream.get().and_then(Weak::upgrade) {
            let lines = self.compose(kind, about, more);
            drop(stream.enqueue(Expect::Any, None, lines, None));
        }
    }

    /// Notes something before what it tells of is done; whether it is written. Blocks.
    pub(super) fn write_first(
        &self,
        kind: &'static str,
        about: &str,
        members: &[(&str, &str)],
    ) -> bool {
        let Some(stream) = self.stream.get().and_then(Weak::upgrade) else {
            return false;
        };
        let lines = self.compose(kind, about, |out| push_members(out, members));
        let (tell, told) = sync_channel(1);
        let committed = Box::new(move |outcome: &Result<_, _>| {
            // Whoever waits is still there: it waits for this.
            let _waiting = tell.send(outcome.is_ok());
        });
        drop(stream.enqueue(Expect::Any, None, lines, Some(committed)));
        stream.nudge();
        told.recv().unwrap_or(false)
    }

    fn compose(&self, kind: &'static str, about: &str, more: impl FnOnce(&mut Vec<u8>)) -> Lines {
        let mut lines = Lines::new();
        lines.push(kind, self.clock.now(), |out| {
            member(out, "about", about);
            more(out);
        });
        lines
    }
}

fn push_members(out: &mut Vec<u8>, members: &[(&str, &str)]) {
    for (name, value) in members {
        out.push(b',');
        member(out, name, value);
    }
}

/// Appends `"name":"value"`.
pub(super) fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    for (text, after) in [(name, &b":"[..]), (value, &b""[..])] {
        // Text always has a JSON form, and a vector always takes it.
        let _always = serde_json::to_writer(&mut *out, text);
        out.extend_from_slice(after);
    }
}
