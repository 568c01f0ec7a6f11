//! Alert events: what the watchers find, told once when it begins and once when it ends. Sole
//! writer of `logs/alerts.ndjson`; whoever delivers alerts or opens incidents follows it here.
//!
//! Watchers say what they see each time they look; saying the same again writes nothing. What
//! storage refuses is kept in order and written when it can be.

mod api;
mod event;
mod state;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use event::AlertLine;
pub use event::{FOREIGN, Finding, Record, STREAM, Severity, What, is_foreign, name_of};
pub use state::Active;
use state::State;

use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, Mark, StorageError};
use crate::storage::journal::{Journal, read_lines};

/// Pause before lines that storage refused are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What another part knows of a finding that holds, for whoever tells people of it. In memory only:
/// the part that attaches it does so again after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attachment {
    /// The open incident it belongs to, such as `inc-20261121-1`.
    pub incident: String,
    /// Likely causes, likeliest first, a sentence each.
    pub causes: Vec<String>,
    /// A page on which it can be acknowledged; `None` where no address of ours is known.
    pub ack_url: Option<String>,
}

/// How far writing has come.
#[derive(Debug, Clone, Default)]
struct Progress {
    /// Number of the last line of the journal.
    tip: u64,
    /// Whether nothing waits to be written.
    idle: bool,
    refused: Option<StorageError>,
}

/// The alert events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
}

impl Alerts {
    /// Folds the journal, which has been opened.
    pub fn open(engine: &Arc<dyn Engine>) -> Result<Self, StorageError> {
        let mut state = State::default();
        let mut tip = 0;
        read_lines(&**engine, STREAM, &Mark::default(), |line: AlertLine| {
            if let Some(record) = line.record() {
                tip = record.seq;
                state.fold(record);
            }
        })?;
        state.said = state.active.clone();
        let progress = Progress {
            tip,
            idle: true,
            refused: None,
        };
        Ok(Self {
            inner: Arc::new(Inner {
                journal: Journal::new(Arc::clone(engine), STREAM),
                state: Mutex::new(state),
                progress: watch::Sender::new(progress),
            }),
        })
    }

    /// Says that `finding` holds. Writes a line if it did not before, or was less or more severe;
    /// other words for the same are kept in memory alone.
    pub fn raise(&self, mut finding: Finding, now: DateTime<Utc>) {
        // Journals tell milliseconds.
        finding.started_at = finding.started_at.trunc_subsecs(3);
        {
            let mut state = self.state();
            let known = state.said.get(&finding.key);
            if let Some(known) = known {
                // The first bad sample stays what it was.
                finding.started_at = known.finding.started_at.min(finding.started_at);
                if *known.finding == finding {
                    return;
                }
            }
            let what = match known {
                None => Some(What::Fired),
                Some(known) if known.finding.severity == finding.severity => None,
                Some(_) => Some(What::Changed),
            };
            let active = Active {
                fired_at: known.map_or(now, |known| known.fired_at),
                acknowledged: known.and_then(|known| known.acknowledged.clone()),
                finding: Arc::new(finding),
            };
            let key = active.finding.key.clone();
            match what {
                Some(what) => state.put(what, &active, now),
                None => {
                    if let Some(shown) = state.active.get_mut(&key)
                        && shown.finding.severity == active.finding.severity
                    {
                        shown.finding = Arc::clone(&active.finding);
                    }
                }
            }
            state.said.insert(key, active);
        }
        self.pump();
    }

    /// Says that the finding `key` does not hold any more, and how it ended. Nothing happens where
    /// it did not hold.
    pub fn resolve(&self, key: &str, now: DateTime<Utc>, how: impl Into<String>) {
        {
            let mut state = self.state();
            let Some(mut ended) = state.said.remove(key) else {
                return;
            };
            Arc::make_mut(&mut ended.finding).summary = how.into();
            state.put(What::Resolved, &ended, now);
        }
        self.pump();
    }

    /// Says that `by` has taken up the findings `keys`: nobody else need be told for now. Those
    /// that do not hold or were taken up before are passed over; gives how many were not.
    pub fn acknowledge<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a str>,
        by: &str,
        now: DateTime<Utc>,
    ) -> usize {
        let mut count = 0;
        {
            let mut state = self.state();
            for key in keys.into_iter().collect::<BTreeSet<_>>() {
                let Some(active) = state.said.get_mut(key) else {
                    continue;
                };
                if active.acknowledged.is_some() {
                    continue;
                }
                active.acknowledged = Some((now, by.to_owned()));
                let active = active.clone();
                state.put(What::Acknowledged { by: by.to_owned() }, &active, now);
                count += 1;
            }
        }
        self.pump();
        count
    }

    /// What `source` has said and not taken back, by key.
    pub fn said_by(&self, source: &str) -> Vec<Active> {
        let state = self.state();
        let of = |one: &&Active| one.finding.source == source;
        state.said.values().filter(of).cloned().collect()
    }

    /// Whether `key` holds.
    pub fn holds(&self, key: &str) -> bool {
        self.state().said.contains_key(key)
    }

    /// Everything that is on record and has not ended, by key.
    pub fn active(&self) -> Vec<Active> {
        self.state().active.values().cloned().collect()
    }

    /// At most `most` of the same that come after the key `after`, and how many there are in all.
    pub fn page(&self, after: Option<&str>, most: usize) -> (Vec<Active>, usize) {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = state.active.range::<str, _>((from, Bound::Unbounded));
        let page = rest.take(most).map(|(_, one)| one.clone());
        (page.collect(), state.active.len())
    }

    /// At most `most` of the same, the worst first and of those the oldest, and how many there are
    /// in all. Only these are copied: in a storm the others are tens of thousands.
    pub fn worst(&self, most: usize) -> (Vec<Active>, usize) {
        let state = self.state();
        let mut all: Vec<&Active> = state.active.values().collect();
        let count = all.len();
        let rank = |one: &&Active| (Reverse(one.finding.severity), one.fired_at);
        if count > most {
            all.select_nth_unstable_by_key(most, rank);
            all.truncate(most);
        }
        all.sort_by_key(rank);
        (all.into_iter().cloned().collect(), count)
    }

    /// What is on record under `key` and has not ended.
    pub fn find(&self, key: &str) -> Option<Active> {
        self.state().active.get(key).cloned()
    }

    /// The lines after number `seq`, in order: a follower that keeps the number of the last line it
    /// has dealt with misses none, whatever happens. Reads the journal where memory does not reach
    /// back that far.
    pub fn since(&self, seq: u64) -> Result<Vec<Record>, StorageError> {
        if let Some(records) = self.state().since(seq) {
            return Ok(records);
        }
        let mut past = State::default();
        let mut records = Vec::new();
        let engine = self.inner.journal.engine();
        read_lines(engine, STREAM, &Mark::default(), |line: AlertLine| {
            let Some(mut record) = line.record() else {
                return;
            };
            if let Some(known) = past.active.get(&record.finding.key) {
                record.fired_at = known.fired_at;
            }
            if record.seq > seq {
                records.push(record.clone());
            }
            past.fold(record);
        })?;
        Ok(records)
    }

    /// Number of the last line.
    pub fn tip(&self) -> u64 {
        self.inner.progress.borrow().tip
    }

    /// The last lines that are in memory, in order: those of a storm of some seconds, or of days.
    pub fn recent(&self) -> Vec<Record> {
        self.state().recent()
    }

    /// How each of `keys` ended last, as the journal has it. Reads the whole journal: blocks.
    pub fn ends(&self, keys: &BTreeSet<String>) -> Result<HashMap<String, Record>, StorageError> {
        let mut ends: HashMap<String, Record> = HashMap::new();
        let mut fired: HashMap<String, DateTime<Utc>> = HashMap::new();
        let engine = self.inner.journal.engine();
        read_lines(engine, STREAM, &Mark::default(), |line: AlertLine| {
            let Some(mut record) = line.record() else {
                return;
            };
            let key = &record.finding.key;
            if !keys.contains(key) {
                return;
            }
            match record.what {
                What::Fired => {
                    fired.insert(key.clone(), record.at);
                }
                What::Resolved => {
                    record.fired_at = fired.get(key).copied().unwrap_or(record.at);
                    ends.insert(key.clone(), record);
                }
                _ => {}
            }
        })?;
        Ok(ends)
    }

    /// Ends when there is a line after number `seq`; gives the number of the last.
    pub async fn beyond(&self, seq: u64) -> u64 {
        let mut progress = self.inner.progress.subscribe();
        let reached = progress.wait_for(|progress| progress.tip > seq).await;
        reached.map_or(seq, |progress| progress.tip)
    }

    /// Ends when everything said so far is on record, or storage has refused it.
    pub async fn settled(&self) -> Result<(), StorageError> {
        let mut progress = self.inner.progress.subscribe();
        let settled = progress
            .wait_for(|progress| progress.idle || progress.refused.is_some())
            .await;
        let settled = settled.map_err(|_| StorageError::Closed)?;
        settled.refused.clone().map_or(Ok(()), Err)
    }

    /// Lets whoever tells people of the finding `key` know more. Forgotten when it ends.
    pub fn attach(&self, key: &str, attachment: Arc<Attachment>) {
        let mut state = self.state();
        if state.said.contains_key(key) {
            state.attached.insert(key.to_owned(), attachment);
        }
    }

    /// What is known beside of the finding `key`.
    pub fn attachment(&self, key: &str) -> Option<Arc<Attachment>> {
        self.state().attached.get(key).cloned()
    }

    /// What is wrong with it, in one sentence.
    pub fn trouble(&self) -> Option<String> {
        let state = self.state();
        let waiting = state.waiting.len();
        state
            .refused
            .as_ref()
            .map(|refused| format!("{waiting} alert events wait for storage: {refused}"))
    }

    /// Writes again what storage refused, until told to stop.
    pub async fn keep_trying(self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        while stop.run_until_cancelled(clock.sleep(RETRY)).await.is_some() {
            let behind = self.state().refused.take().is_some();
            if behind {
                self.pump();
            }
        }
    }

    fn pump(&self) {
        let (lines, count) = {
            let mut state = self.state();
            let Some(next) = state.next_lines() else {
                return;
            };
            let begun = |progress: &mut Progress| progress.idle = false;
            self.inner.progress.send_modify(begun);
            next
        };
        let alerts = self.clone();
        let committed = move |outcome: &Result<_, StorageError>| {
            {
                let mut state = alerts.state();
                state.committed(outcome, count);
                // Under the lock: a later count must not be overtaken by an earlier one.
                alerts.inner.progress.send_modify(|progress| {
                    progress.idle = state.waiting.is_empty();
                    progress.refused.clone_from(&state.refused);
                    if let Ok(position) = outcome {
                        progress.tip = position.last;
                    }
                });
            }
            if outcome.is_ok() {
                alerts.pump();
            }
        };
        // The outcome reaches us through `committed`; nobody waits for this future.
        drop(
            self.inner
                .journal
                .append(lines, None, Some(Box::new(committed))),
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
