//! The thread that looks after what no stream looks after: steps of the clock (rule C7), the
//! reserve and the warning of a filling medium (rule L9), and the anchors of the chains outside the
//! home folder (rule L13).

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::room::Level;
use super::segment::Env;
use crate::storage::engine::STUCK_AFTER;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// A wall clock that strays from the monotonic one by more is said to have stepped. Source: rule
/// C7.
const STEP: TimeDelta = TimeDelta::seconds(2);
/// How often each chain that grew is anchored. Source: rule L13.
const ANCHOR_EVERY: Duration = Duration::from_mins(15);
/// Stack of the thread.
const STACK_BYTES: usize = 256 << 10;

/// The running thread.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(env: Arc<Env>, streams: Arc<super::Streams>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let begun = (env.clock.now(), env.clock.uptime());
        let thread = std::thread::Builder::new()
            .name("storage-keeper".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || keep(&env, &streams, &stopped, begun))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn stop(mut self) {
        // An error means that it has ended already.
        let _ended = self.stop.send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the storage keeper had panicked");
        }
    }
}

fn keep(
    env: &Env,
    streams: &super::Streams,
    stopped: &Receiver<()>,
    begun: (DateTime<Utc>, Duration),
) {
    let mut low = false;
    let (mut wall, mut uptime) = begun;
    let mut anchors = Anchors {
        told: HashMap::new(),
        at: uptime,
    };
    let mut stuck = BTreeSet::new();
    loop {
        env.lookout.look();
        env.room.keep_reserve();
        let short = env.room.measure() != Level::Ample;
        if short && !low {
            env.notices.push("storage.filling", "disk", &[]);
        }
        low = short;
        match stopped.recv_timeout(EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return anchors.tell(streams),
        }
        let (now, up) = (env.clock.now(), env.clock.uptime());
        let passed = TimeDelta::from_std(up.saturating_sub(uptime)).unwrap_or_default();
        let strayed = now.signed_duration_since(wall) - passed;
        if strayed.abs() > STEP {
            let by = format!("{}", strayed.num_milliseconds());
            env.notices
                .push("clock.stepped", "clock", &[("by_ms", &by)]);
        }
        (wall, uptime) = (now, up);
        note_stuck(env, streams, &mut stuck);
        if up.saturating_sub(anchors.at) >= ANCHOR_EVERY {
            anchors.at = up;
            anchors.tell(streams);
        }
    }
}

/// Notes each writer that does not come back from a write or a sync, once until it has. The process
/// log is told by whoever watches the process.
fn note_stuck(env: &Env, streams: &super::Streams, told: &mut BTreeSet<String>) {
    let now = env.clock.uptime();
    let streams = streams.read().unwrap_or_else(PoisonError::into_inner);
    for (name, stream) in streams.iter() {
        match stream.turn_lasts(now) {
            Some(lasts) if lasts >= STUCK_AFTER => {
                if told.insert(name.clone()) {
                    let secs = lasts.as_secs().to_string();
                    env.notices.write("storage.stuck", name, &[("secs", &secs)]);
                }
            }
            _ => {
                told.remove(name);
            }
        }
    }
}

/// What was told outside the home folder of where the chains stood: who rewrites a whole chain
/// cannot rewrite that too.
struct Anchors {
    /// `seq` last told, by stream.
    told: HashMap<String, u64>,
    at: Duration,
}

impl Anchors {
    /// One line for each chain that grew since it was last told of.
    fn tell(&mut self, streams: &super::Streams) {
        let streams = streams.read().unwrap_or_else(PoisonError::into_inner);
        for (name, stream) in streams.iter() {
            let (seq, h) = stream.anchor();
            if seq == 0 || self.told.insert(name.clone(), seq) == Some(seq) {
                continue;
            }
            let h = String::from_utf8_lossy(&h).into_owned();
            tracing::info!(stream = %name, seq, h = %h, "chain anchor");
        }
    }
}
