//! One look of the loop: what is due is queued or passed over, what waits is begun as far as there
//! is room, and what goes wrong is told.

use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::core::{
    Core, Gates, Moment, Origin, Queued, Row, Running, STEP, Start, TICK, Turn, millis,
};
use super::event::{RunRecord, Started, TaskEvent};
use super::plan::{self, DueSlot};
use super::rules::{Missed, Overlap};
use super::task::{Outcome, Trigger};
use super::watch;

impl Core {
    /// What is to be done now.
    pub fn turn(&mut self, gates: Gates, at: Moment) -> Turn {
        let mut turn = std::mem::take(&mut self.owed);
        turn.wait = TICK;
        self.notice_step(at, &mut turn);
        if gates.fence.is_none() {
            return turn;
        }
        while let Some(Reverse((due, entry, index))) = self.heap.peek().copied()
            && due <= at.uptime
        {
            self.heap.pop();
            if self.rows[index].entry == entry {
                self.look_at(index, at, &mut turn);
            }
        }
        self.start_ready(gates, at, &mut turn);
        self.notice_slow(at, &mut turn);
        if let Some(Reverse((due, _, _))) = self.heap.peek() {
            turn.wait = turn.wait.min(due.saturating_sub(at.uptime));
        }
        turn
    }

    /// Compares the clocks with the last look. After a step every due time is worked out anew.
    fn notice_step(&mut self, at: Moment, turn: &mut Turn) {
        let (wall, real) = (
            at.now - self.seen.now,
            at.uptime.saturating_sub(self.seen.uptime),
        );
        self.seen = at;
        let by = wall - TimeDelta::from_std(real).unwrap_or_default();
        if by.abs() <= STEP {
            return;
        }
        turn.events.push(self.stepped(by, at));
        self.arm_all(at);
    }

    pub(super) fn stepped(&mut self, by: TimeDelta, at: Moment) -> TaskEvent {
        if by < TimeDelta::zero() {
            self.backs += 1;
            for row in &mut self.rows {
                row.past.progress.went_back(at.now);
            }
        }
        TaskEvent::Stepped {
            by_ms: by.num_milliseconds(),
            boot: self.origin.boot.clone(),
            uptime_ms: millis(at.uptime),
        }
    }

    pub(super) fn arm_all(&mut self, at: Moment) {
        self.heap.clear();
        for index in 0..self.rows.len() {
            let row = &self.rows[index];
            let look = plan::look(&row.rules, &row.past.progress, self.backs, at.now);
            let next = look.due.map_or(look.next, |_| Some(at.now));
            self.arm(index, next, at);
        }
    }

    /// Looks at a task again at `next`.
    pub(super) fn arm(&mut self, index: usize, next: Option<DateTime<Utc>>, at: Moment) {
        self.entries += 1;
        let row = &mut self.rows[index];
        row.entry = self.entries;
        row.next = next.filter(|_| !row.is_paused());
        if let Some(next) = row.next {
            let span = (next - at.now).to_std().unwrap_or_default();
            self.heap
                .push(Reverse((at.uptime + span, row.entry, index)));
        }
    }

    pub(super) fn look_at(&mut self, index: usize, at: Moment, turn: &mut Turn) {
        let row = &self.rows[index];
        let look = plan::look(&row.rules, &row.past.progress, self.backs, at.now);
        let Some(due) = look.due.filter(|_| !row.is_paused()) else {
            return self.arm(index, look.next, at);
        };
        if row.rules.missed == Missed::All && row.is_busy() {
            // It is looked at again when the run ends: each slot has its turn.
            return self.arm(index, None, at);
        }
        self.rows[index].past.progress.deal(due.at, due.missed);
        self.arm(index, look.next, at);
        let was_missed = due.is_late || due.missed > 0;
        if was_missed {
            watch::late(&self.rows[index], due, at.now, &mut turn.notices);
        }
        let run = self.name_run();
        let trigger = if was_missed {
            Trigger::Missed
        } else {
            Trigger::Schedule
        };
        let queued = Queued {
            run,
            slot: due,
            trigger,
        };
        if due.is_dropped {
            let why = format!("{} due times were missed", due.missed + 1);
            return self.pass_over(index, &queued, why, at, turn);
        }
        let row = &mut self.rows[index];
        match row.current().map(str::to_owned) {
            None => {
                row.queued = Some(queued);
                self.ready.push_back(index);
            }
            Some(current) if row.rules.overlap == Overlap::Skip => {
                let why = format!("run `{current}` was still going");
                self.pass_over(index, &queued, why, at, turn);
            }
            Some(_) if row.latest.as_ref().is_some_and(Queued::is_manual) => {
                let why = "a run that was asked for waits already".to_owned();
                self.pass_over(index, &queued, why, at, turn);
            }
            Some(_) => {
                if let Some(older) = row.latest.replace(queued) {
                    let why = "a later due time took its place".to_owned();
                    self.pass_over(index, &older, why, at, turn);
                }
            }
        }
    }

    /// Begins what waits, as far as there is room.
    fn start_ready(&mut self, gates: Gates, at: Moment, turn: &mut Turn) {
        while self.running.len() < self.rules.most_running {
            let Some(index) = self.ready.pop_front() else {
                break;
            };
            let Some(queued) = self.rows[index].queued.take() else {
                continue;
            };
            if gates.is_stabilized && self.rows[index].task.acts() {
                let why = "STABILIZE_MODE holds every automatic change".to_owned();
                let mut record = record_of(
                    &self.origin,
                    &self.rows[index],
                    &queued.run,
                    queued.slot,
                    at,
                );
                (record.outcome, record.reason) = (Outcome::Frozen, Some(why));
                record.trigger = queued.trigger;
                self.emit(index, record, at, turn);
                self.look_again(index, at);
                continue;
            }
            if self.rows[index].is_paused() && !queued.is_manual() {
                let why = "the task was paused before a place was free".to_owned();
                self.pass_over(index, &queued, why, at, turn);
                continue;
            }
            turn.starts.push(self.start(index, queued, gates, at));
        }
        turn.events.extend(
            turn.starts
                .iter()
                .map(|start| TaskEvent::Started(start.started.clone())),
        );
        for index in &self.ready {
            watch::waiting(&self.rows[*index], at.now, &mut turn.notices);
        }
    }

    fn start(&mut self, index: usize, queued: Queued, gates: Gates, at: Moment) -> Start {
        let row = &mut self.rows[index];
        let due = match queued.trigger {
            Trigger::Manual => queued.slot.at,
            Trigger::Schedule | Trigger::Missed => queued.slot.at + row.rules.jitter,
        };
        let late_ms = (at.now - due).num_milliseconds();
        let started = Started {
            task: row.task.name().to_owned(),
            run: queued.run.clone(),
            scheduled_for: queued.slot.at,
            trigger: queued.trigger,
            late_ms,
            missed: queued.slot.missed,
            fence: gates.fence.unwrap_or_default(),
            boot: self.origin.boot.clone(),
            uptime_ms: millis(at.uptime),
        };
        row.past
            .apply_event(&TaskEvent::Started(started.clone()), at.now);
        row.running = Some(Running {
            run: queued.run,
            slot: queued.slot,
            trigger: queued.trigger,
            started: at.now,
            began: at.uptime,
            late_ms,
        });
        self.running.insert(index);
        Start {
            index,
            task: Arc::clone(&row.task),
            rules: row.rules.clone(),
            started,
            at: at.now,
        }
    }

    fn notice_slow(&self, at: Moment, turn: &mut Turn) {
        for index in &self.running {
            watch::slow(&self.rows[*index], at, &mut turn.notices);
        }
    }

    /// Has the next of the missed slots looked at, where each has its turn: no run will end that
    /// would do so.
    pub(super) fn look_again(&mut self, index: usize, at: Moment) {
        if self.rows[index].rules.missed == Missed::All {
            self.arm(index, Some(at.now), at);
        }
    }

    /// Records that a slot passes without a run.
    fn pass_over(
        &mut self,
        index: usize,
        queued: &Queued,
        why: String,
        at: Moment,
        turn: &mut Turn,
    ) {
        let mut record = record_of(
            &self.origin,
            &self.rows[index],
            &queued.run,
            queued.slot,
            at,
        );
        record.reason = Some(why);
        record.trigger = queued.trigger;
        self.emit(index, record, at, turn);
    }

    pub(super) fn emit(&mut self, index: usize, record: RunRecord, at: Moment, turn: &mut Turn) {
        let event = TaskEvent::Finished(Box::new(record));
        self.rows[index].past.apply_event(&event, at.now);
        turn.events.push(event);
    }

    pub(super) fn name_run(&mut self) -> String {
        self.runs += 1;
        format!("{}-{}", self.origin.runs, self.runs)
    }
}

/// A record of a run that did not begin; the caller says how it ended.
pub(super) fn record_of(
    origin: &Origin,
    row: &Row,
    run: &str,
    slot: DueSlot,
    at: Moment,
) -> RunRecord {
    RunRecord {
        task: row.task.name().to_owned(),
        run: run.to_owned(),
        scheduled_for: slot.at,
        started: None,
        ended: at.now,
        duration_ms: None,
        late_ms: None,
        missed: slot.missed,
        outcome: Outcome::Skipped,
        reason: None,
        attempt: 0,
        error: None,
        output: serde_json::Value::Null,
        trigger: Trigger::Schedule,
        boot: origin.boot.clone(),
        uptime_ms: millis(at.uptime),
    }
}
