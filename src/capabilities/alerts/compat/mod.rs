//! What works with Alertmanager works with us: its API v2, for Prometheus, amtool and dashboards,
//! and its webhook as input, for an Alertmanager that stays. See `docs/alertmanager.md`.
//!
//! Alerts from elsewhere become alert events, `am:` and Alertmanager's own fingerprint being their
//! key, and go the way of all others: the router groups, silences and tells them. Each holds until
//! its sender says that it has ended or does not repeat it in time; a repeat writes nothing. How
//! long each holds is in memory only.

mod accept;
mod answer;
mod api;
mod fingerprint;
mod held;
mod listing;
mod query;
mod silences;
mod status;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use self::accept::{Door, PostedAlert, Told, fingerprint_in, key, patience};
use self::held::{Held, Hold};
use super::rules::AlertsRules;
use super::silences::Silences;
use crate::platform::alerts::Alerts;
use crate::platform::config::Live;
use crate::platform::wiring::{Background, Wiring};
use crate::seams::clock::Clock;

/// Alerts from elsewhere that hold at most. Our own choice: more than twice the storm that we are
/// made for.
const MOST_HELD: usize = 50_000;
/// Faults that an answer names at most; the rest is counted.
const MOST_TOLD: usize = 5;
/// Longest pause between two looks for what was not repeated: the wall clock may be stepped.
const LONGEST_LOOK: Duration = Duration::from_secs(15);
/// Shortest one: what ends within it ends together.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);

/// The door for alerts from elsewhere.
#[derive(Debug)]
pub(super) struct Compat {
    alerts: Alerts,
    silences: Arc<Silences>,
    live: Live<AlertsRules>,
    clock: Arc<dyn Clock>,
    held: Held,
    started: DateTime<Utc>,
}

impl Compat {
    /// Takes up what held when the process ended: each gets its time anew.
    pub(super) fn open(
        wiring: &Wiring,
        live: Live<AlertsRules>,
        silences: Arc<Silences>,
    ) -> Arc<Self> {
        let started = wiring.clock.now();
        let held = Held::default();
        for active in wiring.alerts.active() {
            if let Some(fingerprint) = fingerprint_in(&active.finding.key) {
                let anew = Hold {
                    until: started + patience(&active.finding.source),
                    said_at: started,
                    named: false,
                };
                held.put(fingerprint, anew);
            }
        }
        Arc::new(Self {
            alerts: wiring.alerts.clone(),
            silences,
            live,
            clock: Arc::clone(&wiring.clock),
            held,
            started,
        })
    }

    /// Takes alerts; gives what is wrong with those that were not taken.
    fn take_all(&self, posted: Vec<PostedAlert>, door: Door, now: DateTime<Utc>) -> Option<String> {
        let mut faults = Vec::new();
        let mut count = 0;
        for (at, posted) in posted.into_iter().enumerate() {
            let taken = accept::read(posted, door, now).and_then(|told| self.take(told, now));
            if let Err(fault) = taken {
                count += 1;
                if faults.len() < MOST_TOLD {
                    faults.push(format!("alert {}: {fault}", at + 1));
                }
            }
        }
        if count > faults.len() {
            faults.push(format!("and {} more", count - faults.len()));
        }
        (count > 0).then(|| faults.join("; "))
    }

    fn take(&self, told: Told, now: DateTime<Utc>) -> Result<(), String> {
        let Told {
            fingerprint,
            finding,
            hold,
        } = told;
        if hold.until <= now {
            self.held.remove(fingerprint);
            self.alerts
                .resolve(&finding.key, now, "its sender says that it has ended");
            return Ok(());
        }
        let (count, known) = self.held.count(fingerprint);
        if !known && count >= MOST_HELD {
            return Err(format!(
                "{count} alerts from elsewhere hold already, at most as many"
            ));
        }
        self.held.put(fingerprint, hold);
        self.alerts.raise(finding, now);
        Ok(())
    }

    /// Ends what was not repeated in time, until told to stop.
    pub(super) fn background(
        self: &Arc<Self>,
        stop: CancellationToken,
    ) -> (&'static str, Background) {
        let own = Arc::clone(self);
        ("alerts-expiry", Box::pin(own.end_what_is_over(stop)))
    }

    async fn end_what_is_over(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let now = self.clock.now();
            for (fingerprint, hold) in self.held.take_due(now) {
                self.alerts.resolve(&key(fingerprint), now, hold.how());
            }
            let until_next = self.held.await_next().map(|next| (next - now).to_std());
            let pause = match until_next {
                Some(Ok(span)) => span.clamp(SHORTEST_LOOK, LONGEST_LOOK),
                Some(Err(_)) => SHORTEST_LOOK,
                None => LONGEST_LOOK,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(pause) => {}
                () = self.held.changed() => {}
            }
        }
    }
}
