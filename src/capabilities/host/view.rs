//! What the journal means now: the latest line, and the room each file system had over the last
//! hours. Saved as JSON: it is small, and its form is that of the lines.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::event::{Line, MEASURED, Measured};
use super::model::{Known, Room, Watches};
use crate::storage::view::{LineBatch, Reader, View, put_bytes};

/// Hours of room that are kept: the widest window that `disk_full` may ask for.
const KEPT_HOURS: i64 = 72;
/// Rooms of one file system that are kept at most, should runs come thick: 72 hours of one a
/// minute.
const MOST_ROOMS: usize = 4320;

/// One run as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Latest {
    /// When.
    pub(super) at: DateTime<Utc>,
    /// What.
    pub(super) measured: Measured,
}

/// The view.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct HostView {
    last_seq: u64,
    latest: Option<Latest>,
    rooms: BTreeMap<String, VecDeque<(DateTime<Utc>, u64)>>,
    /// Restarts by unit, and OOM kills with the run of the machine, as they were last known.
    boot_id: Option<String>,
    oom_kills: Option<u64>,
    restarts: BTreeMap<String, u64>,
}

impl HostView {
    /// The latest run.
    pub(super) fn latest(&self) -> Option<&Latest> {
        self.latest.as_ref()
    }

    /// How far warnings have come.
    pub(super) fn watches(&self) -> Watches {
        let latest = self.latest.iter();
        let lines = latest.flat_map(|latest| &latest.measured.watches);
        lines
            .filter_map(|line| Some((line.key()?, line.watch())))
            .collect()
    }

    /// What the next run has to know.
    pub(super) fn known(&self) -> Known {
        Known {
            boot_id: self.boot_id.clone(),
            oom_kills: self.oom_kills,
            restarts: self.restarts.clone(),
        }
    }

    /// The room that `mount` had, oldest first.
    pub(super) fn rooms(&self, mount: &str) -> Vec<Room> {
        let rooms = self.rooms.get(mount).into_iter().flatten();
        let room = |&(at, available): &(DateTime<Utc>, u64)| Room { at, available };
        rooms.map(room).collect()
    }

    /// Takes in a run.
    pub(super) fn take(&mut self, at: DateTime<Utc>, measured: Measured) {
        let readings = &measured.readings;
        self.rooms
            .retain(|mount, _| readings.volumes.contains_key(mount));
        for (mount, volume) in &readings.volumes {
            let Some(available) = volume.available_bytes else {
                continue;
            };
            let rooms = self.rooms.entry(mount.clone()).or_default();
            rooms.push_back((at, available));
            while rooms.len() > MOST_ROOMS
                || rooms
                    .front()
                    .is_some_and(|(old, _)| at - *old > TimeDelta::hours(KEPT_HOURS))
            {
                rooms.pop_front();
            }
        }
        if readings.oom_kills.is_some() {
            self.oom_kills = readings.oom_kills;
            self.boot_id.clone_from(&readings.boot_id);
        }
        self.restarts
            .retain(|unit, _| readings.units.contains_key(unit));
        for (unit, line) in &readings.units {
            let count = line.restarts.map(|count| (unit.clone(), count));
            self.restarts.extend(count);
        }
        self.latest = Some(Latest { at, measured });
    }
}

impl View for HostView {
    const NAME: &'static str = "latest";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;
    type Batch = LineBatch<(DateTime<Utc>, Measured)>;
    type Parser = ();

    fn parser(&self) {}

    fn parse((): &mut (), lines: &[u8], batch: &mut Self::Batch) {
        batch.read(lines, |line| {
            let line: Line = serde_json::from_slice(line).ok()?;
            let run = (line.kind == MEASURED).then_some((line.ts, line.measured));
            Some((line.seq, run))
        });
    }

    fn apply(&mut self, batch: &mut Self::Batch) {
        let last = batch.take(|(at, measured)| self.take(at, measured));
        self.reached(last);
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        // Maps with text keys and plain values always serialise.
        put_bytes(out, &serde_json::to_vec(self).unwrap_or_default());
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        serde_json::from_slice(saved.bytes()?).ok()
    }
}
