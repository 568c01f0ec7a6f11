//! What the journal of heartbeats means now: one [`Beat`] for each name. Changed by committed lines
//! only, on the journal's writer thread.

use std::collections::BTreeMap;

use super::event::{Event, Kind, Line, Members};
use super::model::{Beat, Down, Excuse, Moment, Run, Signal};
use crate::storage::view::{LineBatch, Reader, View, put_bytes, put_u64};

/// Runs of one heartbeat that are remembered. Our own choice: a job with more at one time is no
/// job but a service. Beyond them those that are overdue go first; else the newest is not waited
/// for.
const MOST_RUNS: usize = 100;

/// The view.
#[derive(Debug, Default)]
pub(super) struct BeatsView {
    beats: BTreeMap<String, Beat>,
    last_seq: u64,
}

impl BeatsView {
    /// What is known of `name`; nothing for one that was never heard of.
    pub(super) fn beat(&self, name: &str) -> Beat {
        self.beats.get(name).cloned().unwrap_or_default()
    }

    /// The names that something is known of.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.beats.keys().map(String::as_str)
    }

    /// Takes in what happened at `at`.
    pub(super) fn apply_event(&mut self, event: &Event, at: Moment) {
        let members = &event.members;
        if event.kind == Kind::Removed {
            self.beats.remove(&members.name);
            return;
        }
        let beat = self.beats.entry(members.name.clone()).or_default();
        match event.kind {
            Kind::Pinged => pinged(beat, members, at),
            Kind::WentDown => went_down(beat, members, at),
            Kind::CameUp => {
                let since = members.since.unwrap_or(at.wall);
                // What did not end before then has had its alert.
                for run in beat.runs.iter_mut().filter(|run| run.began.wall < since) {
                    run.overdue = true;
                }
                beat.down = None;
                beat.came_up = Some(members.summary.clone());
            }
            Kind::Paused => {
                beat.paused = Some((at.wall, members.actor.clone()));
                beat.down = None;
            }
            Kind::Resumed => {
                beat.paused = None;
                beat.excuse = None;
                beat.basis = (beat.pings > 0).then_some(at);
                // Their ends may have gone unnoticed.
                beat.runs.iter_mut().for_each(|run| run.overdue = true);
            }
            Kind::Excused => {
                beat.excuse = members.secs.map(|secs| Excuse { at, secs });
            }
            Kind::KeyDrawn | Kind::Removed => {}
        }
    }
}

fn pinged(beat: &mut Beat, members: &Members, at: Moment) {
    let signal = members.signal.unwrap_or(Signal::Log);
    beat.pings = beat.pings.saturating_add(1);
    beat.last = Some((signal, at));
    if signal == Signal::Log {
        return;
    }
    beat.runs.retain(|run| run.rid != members.rid);
    if signal == Signal::Start {
        if beat.runs.len() >= MOST_RUNS
            && let Some(old) = beat.runs.iter().position(|run| run.overdue)
        {
            beat.runs.remove(old);
        }
        if beat.runs.len() < MOST_RUNS {
            beat.runs.push(Run {
                rid: members.rid.clone(),
                began: at,
                overdue: false,
            });
        }
    }
    if signal.outcome(members.exit_code) == Some(true) {
        beat.success = Some((at, members.duration_ms));
        beat.basis = Some(at);
        beat.excuse = None;
    }
}

fn went_down(beat: &mut Beat, members: &Members, at: Moment) {
    for run in &mut beat.runs {
        run.overdue |= run.rid == members.rid;
    }
    beat.came_up = None;
    beat.down = members.cause.map(|cause| Down {
        since: members.since.unwrap_or(at.wall),
        cause,
        summary: members.summary.clone(),
    });
}

impl View for BeatsView {
    const NAME: &'static str = "states";
    /// Form of the saved state; a plain count of its revisions.
    const VERSION: u32 = 1;
    type Batch = LineBatch<(Event, Moment)>;
    type Parser = ();

    fn parser(&self) {}

    fn parse((): &mut (), lines: &[u8], batch: &mut Self::Batch) {
        batch.read(lines, |line| {
            let line: Line = serde_json::from_slice(line).ok()?;
            let kind = Kind::named(&line.kind);
            let event = kind.map(|kind| {
                let mut members = line.members;
                members.body = None;
                let moment = Moment {
                    wall: line.ts,
                    steady: None,
                };
                (Event { kind, members }, moment)
            });
            Some((line.seq, event))
        });
    }

    fn apply(&mut self, batch: &mut Self::Batch) {
        let last = batch.take(|(event, at)| self.apply_event(&event, at));
        self.reached(last);
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn reached(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    fn save(&self, out: &mut Vec<u8>) {
        put_u64(out, self.last_seq);
        // Our own types always serialise.
        put_bytes(out, &serde_json::to_vec(&self.beats).unwrap_or_default());
    }

    fn restore(saved: &mut Reader<'_>) -> Option<Self> {
        let last_seq = saved.u64()?;
        let beats = serde_json::from_slice(saved.bytes()?).ok()?;
        Some(Self { beats, last_seq })
    }
}
