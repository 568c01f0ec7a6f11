//! The router's loop: follows the alert events, looks at each group when its time has come, and
//! hands what is to be told to the outbox. Everything it knows can be worked out anew from the
//! alert events and from what the outbox has; nothing of it is kept on disk.
//!
//! Looks are at least a second apart, so that a storm of events costs a look each second.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::SubsecRound as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::groups::{Ended, Groups, Now};
use super::judge::{Look, Saying, interval};
use super::model::Status;
use super::notice::notice;
use super::outbox::Outbox;
use super::report;
use super::rules::AlertsRules;
use super::silences::Silences;
use crate::platform::alerts::Alerts;
use crate::platform::config::{Accepted, Live};
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, Revision, StorageError};

/// Least pause between two looks. Our own choice: a person notices no later, a storm costs less.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two looks, so that steps of the wall clock are noticed.
const MOST_PAUSE: Duration = Duration::from_secs(30);
/// Pause before what storage refused is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Events that are taken in before others have their turn.
const AT_ONCE: usize = 200;
/// How often one look takes in what came while it did: a storm must not keep it from telling.
const MOST_ROUNDS: usize = 8;
/// Events behind, beyond which they may have to be read from the journal, which blocks.
const FAR_BEHIND: u64 = 4096;
/// Pause between two looks for alerts that nothing need be known of any more.
const SWEEP: Duration = Duration::from_mins(5);

/// What the router works with.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) live: Live<AlertsRules>,
    pub(super) silences: Arc<Silences>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) alerts: Alerts,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) engine: Arc<dyn Engine>,
    /// Counts accepted changes of the file.
    pub(super) edits: watch::Receiver<u64>,
    /// What is wrong, in one sentence.
    pub(super) trouble: watch::Sender<Option<String>>,
}

/// What the loop knows.
#[derive(Debug)]
struct Mind {
    rules: Arc<Accepted<AlertsRules>>,
    groups: Groups,
    /// Number of the last alert event that was taken in.
    seq: u64,
    revision: Revision,
    swept: Duration,
    /// Number of the last alert event that the report knows.
    reported: Option<u64>,
}

impl Router {
    /// Routes until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut silences = self.silences.changes();
        let mut mind = loop {
            match self.recall().await {
                Ok(mind) => break mind,
                Err(refused) => self.note(&refused),
            }
            if stop
                .run_until_cancelled(self.clock.sleep(RETRY))
                .await
                .is_none()
            {
                return;
            }
        };
        loop {
            let next = self.look(&mut mind).await;
            let now = self.clock.uptime();
            let pause = next.saturating_sub(now).clamp(LEAST_PAUSE, MOST_PAUSE);
            let least = self.clock.sleep(LEAST_PAUSE);
            let due = self.clock.sleep(pause);
            if stop.run_until_cancelled(least).await.is_none() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = due => {}
                _tip = self.alerts.beyond(mind.seq) => {}
                Ok(()) = silences.changed() => {}
                Ok(()) = self.edits.changed() => {}
            }
        }
    }

    fn now(&self) -> Now {
        Now {
            // Journals tell milliseconds: what is compared with them has no more.
            wall: self.clock.now().trunc_subsecs(3),
            uptime: self.clock.uptime(),
        }
    }

    fn note(&self, refused: &StorageError) {
        let text = format!("what people are to be told waits for storage: {refused}");
        self.trouble.send_replace(Some(text));
    }

    /// Works out anew what holds and what was told.
    async fn recall(&self) -> Result<Mind, StorageError> {
        let rules = self.live.get_full();
        let now = self.now();
        // What comes between these two is taken in twice, which changes nothing.
        let seq = self.alerts.tip();
        let active = self.alerts.active();
        let mut groups = Groups::default();
        groups.fill(&active, &rules.rules, now);
        for record in self.alerts.recent() {
            groups.note_change(&record, &rules.rules);
        }
        self.recall_told(&mut groups, &rules.rules, now).await?;
        Ok(Mind {
            revision: rules.revision.clone(),
            rules,
            groups,
            seq,
            swept: now.uptime,
            reported: None,
        })
    }

    /// Takes in what was told, and how that ended which was told to hold and does not any more.
    async fn recall_told(
        &self,
        groups: &mut Groups,
        rules: &AlertsRules,
        now: Now,
    ) -> Result<(), StorageError> {
        let mut known = Vec::new();
        let mut gone = BTreeSet::new();
        for (group, channel) in self.outbox.all_told() {
            let Some(told) = self.outbox.told(&group, &channel) else {
                continue;
            };
            // What was told on a channel that is gone cannot be taken back.
            if rules.channels.named(&channel).is_none() {
                continue;
            }
            groups.remember(&group, &channel, told.at, rules, now);
            for (key, (status, severity)) in told.alerts {
                if status == Status::Firing {
                    if self.alerts.find(&key).is_none() {
                        gone.insert(key.clone());
                    }
                    known.push((group.clone(), key, severity));
                }
            }
        }
        let ends = if gone.is_empty() {
            std::collections::HashMap::new()
        } else {
            let alerts = self.alerts.clone();
            let read = move || alerts.ends(&gone);
            tokio::task::spawn_blocking(read)
                .await
                .map_err(|_died| StorageError::Closed)??
        };
        for (group, key, severity) in known {
            if self.alerts.find(&key).is_some() {
                groups.recall(&group, &key, None);
                continue;
            }
            let (finding, ended) = match ends.get(&key) {
                Some(record) => {
                    let (fired_at, at) = (record.fired_at, record.at);
                    (Arc::clone(&record.finding), Ended { fired_at, at })
                }
                None => (
                    unknown(&key, severity, now),
                    Ended {
                        fired_at: now.wall,
                        at: now.wall,
                    },
                ),
            };
            groups.recall(&group, &key, Some((&finding, ended)));
        }
        groups.mark_flapping_told();
        Ok(())
    }

    /// Looks once; gives when to look next.
    async fn look(&self, mind: &mut Mind) -> Duration {
        let trouble = match self.try_look(mind).await {
            Ok(()) => None,
            Err(refused) => {
                self.note(&refused);
                return self.clock.uptime() + RETRY;
            }
        };
        self.trouble.send_if_modified(|known| {
            let is_new = *known != trouble;
            *known = trouble;
            is_new
        });
        self.report(mind).await;
        mind.groups.next().unwrap_or(Duration::MAX)
    }

    async fn try_look(&self, mind: &mut Mind) -> Result<(), StorageError> {
        // Read before the events are: what is due by it has all that had happened by then.
        let now = self.now();
        if self.live.get().revision != mind.revision {
            *mind = self.recall().await?;
        }
        for _round in 0..MOST_ROUNDS {
            self.take_in(mind).await?;
            if self.alerts.tip() <= mind.seq {
                break;
            }
        }
        if now.uptime.saturating_sub(mind.swept) >= SWEEP {
            mind.swept = now.uptime;
            mind.groups.sweep(&mind.rules.rules, now.wall);
        }
        mind.groups.settle_flapping(&mind.rules.rules, now.wall);
        let ripe = mind.groups.ripe(now);
        if ripe.is_empty() {
            return Ok(());
        }
        let silences = self.silences.active(now.wall);
        let mut notices = Vec::new();
        let mut sayings = Vec::new();
        for id in &ripe {
            let rules = Arc::clone(&mind.rules);
            let look = Look {
                rules: &rules.rules,
                silences: &silences,
                outbox: &self.outbox,
                now,
            };
            let verdict = look.at(&mind.groups, id);
            for saying in &verdict.sayings {
                notices.push(notice(
                    saying,
                    id,
                    &mind.groups,
                    &self.alerts,
                    &rules.rules,
                    now.wall,
                ));
            }
            sayings.push((Arc::clone(id), verdict));
            tokio::task::yield_now().await;
        }
        if !notices.is_empty() {
            self.outbox.queue(notices).await?;
        }
        for (id, verdict) in sayings {
            self.settle(mind, &id, &verdict, now);
        }
        Ok(())
    }

    /// Takes in the alert events since the last look.
    async fn take_in(&self, mind: &mut Mind) -> Result<(), StorageError> {
        let records = if self.alerts.tip().saturating_sub(mind.seq) > FAR_BEHIND {
            let (alerts, seq) = (self.alerts.clone(), mind.seq);
            let read = move || alerts.since(seq);
            let read = tokio::task::spawn_blocking(read).await;
            read.map_err(|_died| StorageError::Closed)??
        } else {
            self.alerts.since(mind.seq)?
        };
        for some in records.chunks(AT_ONCE) {
            for record in some {
                let now = self.now();
                mind.groups.apply(record, &mind.rules.rules, now);
                mind.seq = record.seq;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn report(&self, mind: &mut Mind) {
        if mind.reported == Some(mind.seq) {
            return;
        }
        let (engine, alerts, at) = (
            Arc::clone(&self.engine),
            self.alerts.clone(),
            self.clock.now(),
        );
        let write = move || report::save(&*engine, &alerts, at);
        // A report that cannot be written is written after the next event.
        if matches!(tokio::task::spawn_blocking(write).await, Ok(Ok(()))) {
            mind.reported = Some(mind.seq);
        }
    }

    /// Takes in what came of a look, once the outbox has what is to be told.
    fn settle(&self, mind: &mut Mind, id: &Arc<str>, verdict: &super::judge::Verdict, now: Now) {
        let rules = &mind.rules.rules;
        let groups = &mut mind.groups;
        for saying in &verdict.sayings {
            Self::settle_saying(
                groups,
                id,
                saying,
                self.outbox.told(id, &saying.channel).is_some(),
            );
        }
        groups.hide(id, &verdict.hidden, now.wall);
        for key in &verdict.over {
            groups.forget(id, key);
        }
        let Some(group) = groups.get_mut(id) else {
            return;
        };
        group
            .told
            .retain(|channel| self.outbox.told(id, channel).is_some());
        let interval = interval(group.route.as_deref(), rules);
        if group.tick <= now.uptime {
            group.tick = now.uptime + interval;
        }
        if let Some(end) = verdict.quiet_end {
            group.tick = group.tick.min(now.until(end, interval));
        }
        let tick = group.tick;
        let escalates = verdict.escalates_at.map(|at| now.until(at, interval));
        let due = escalates.map_or(tick, |at| at.min(tick));
        groups.plan(id, due);
    }

    fn settle_saying(groups: &mut Groups, id: &Arc<str>, saying: &Saying, knows: bool) {
        for key in &saying.firing {
            if let Some(entry) = groups.entries.get_mut(key) {
                entry.changes.told();
            }
        }
        if let Some(group) = groups.get_mut(id)
            && knows
        {
            group.told.insert(Arc::clone(&saying.channel));
        }
    }
}

/// What can still be said of an alert of which the journal knows nothing any more.
fn unknown(
    key: &str,
    severity: crate::platform::alerts::Severity,
    now: Now,
) -> Arc<crate::platform::alerts::Finding> {
    Arc::new(crate::platform::alerts::Finding {
        key: key.to_owned(),
        source: key.split(':').next().unwrap_or_default().to_owned(),
        severity,
        summary: "it does not hold any more".to_owned(),
        started_at: now.wall,
        ..Default::default()
    })
}
