//! Follows the alert events, from the last one that was dealt with on: none is missed, whatever
//! happens, and none is dealt with twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::service::Incidents;
use crate::platform::alerts::Record;
use crate::platform::switches::Switch;

/// Events that are written down together at most: a storm costs one sync for each so many.
const MOST_AT_ONCE: usize = 500;
/// Pause before events are tried again that storage refused.
const RETRY: Duration = Duration::from_secs(1);

impl Incidents {
    /// Follows until told to stop.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow_for_ever()).await;
    }

    async fn follow_for_ever(self: &Arc<Self>) {
        let known = self.book().alert_seq;
        let (mut seq, mut is_new) = (known.unwrap_or(0), known.is_none());
        let mut records = self.past(seq).await;
        if records.is_empty() && seq > 0 {
            let all = self.past(0).await;
            if all.last().is_none_or(|last| last.seq < seq) {
                // The journal of alert events was lost or begun again: so are its numbers.
                (seq, is_new, records) = (0, true, all);
            }
        }
        if let Some(last) = records.last() {
            seq = last.seq;
        }
        if is_new {
            self.keep_present(&mut records);
        }
        self.end_unfinished().await;
        let now = self.wiring.clock.now();
        for incident in self.book().newest().filter(|one| one.is_live()) {
            self.attach(incident, now);
        }
        loop {
            for group in records.chunks(MOST_AT_ONCE) {
                self.take_surely(group).await;
            }
            let tip = self.wiring.alerts.beyond(seq).await;
            records = loop {
                match self.wiring.alerts.since(seq) {
                    Ok(records) => break records,
                    Err(error) => tracing::warn!("incidents wait for storage: {error}"),
                }
                self.wiring.clock.sleep(RETRY).await;
            };
            let last = records.last().map_or(0, |record| record.seq);
            seq = tip.max(last);
        }
    }

    /// The events after `seq`; may read the whole journal.
    async fn past(&self, seq: u64) -> Vec<Record> {
        loop {
            let alerts = self.wiring.alerts.clone();
            match tokio::task::spawn_blocking(move || alerts.since(seq)).await {
                Ok(Ok(records)) => return records,
                Ok(Err(error)) => tracing::warn!("incidents wait for storage: {error}"),
                Err(_died) => tracing::error!("the thread that read the alert events died"),
            }
            self.wiring.clock.sleep(RETRY).await;
        }
    }

    /// Nobody has followed before: what is over is none of our business.
    fn keep_present(&self, records: &mut Vec<Record>) {
        let active = self.wiring.alerts.active();
        let since: HashMap<&str, DateTime<Utc>> = active
            .iter()
            .map(|one| (one.finding.key.as_str(), one.fired_at))
            .collect();
        records.retain(|record| {
            let since = since.get(record.finding.key.as_str());
            since.is_some_and(|since| record.at >= *since)
        });
    }

    async fn take_surely(self: &Arc<Self>, group: &[Record]) {
        let events = loop {
            match self.take(group).await {
                Ok(events) => break events,
                Err(error) => tracing::warn!("incidents wait for storage: {error}"),
            }
            self.wiring.clock.sleep(RETRY).await;
        };
        let may_act = self.wiring.switches.get().is_on(Switch::Autorecover);
        if may_act && !events.is_empty() {
            // Beside the following: an action may take minutes.
            let recovery = Arc::clone(self).recover(events);
            self.wiring.tasks.spawn("incident-recovery", recovery);
        }
    }
}
