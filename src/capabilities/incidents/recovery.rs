//! Recovery actions: what `configs/incidents.json` lets the daemon do about an incident by itself.
//!
//! Nothing is even written down unless the flag `INCIDENT_AUTORECOVER` is true. Then each attempt
//! is a line before it begins and one when it has ended; what `STABILIZE_MODE`, `dry_run` or a
//! limit holds is a line that says so, once for each incident and action.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::config::{Action, Deed, IncidentsRules};
use super::event::{IncidentEvent, Recovery};
use super::model::{Found, Incident};
use super::service::Incidents;
use crate::base::time::stamp;
use crate::platform::executor::{Call, Carrier, Executor};
use crate::platform::hands::{Order, PAUSE_TASK, SET_FLAG};
use crate::platform::secrets::INCIDENT_WEBHOOK;
use crate::platform::switches::Switch;

/// In whose name flags are set and tasks paused.
const BY: &str = "incident-recovery";

/// Whether `action` is for the alert `found`.
fn matches(action: &Action, found: &Found) -> bool {
    let is_source = action
        .source
        .as_ref()
        .is_none_or(|source| *source == found.source);
    let mut labels = action.labels.iter();
    found.severity >= action.severity
        && is_source
        && labels.all(|(name, value)| found.labels.get(name) == Some(value))
}

/// Why `action` may not be tried at `now`, after `tries`.
fn limit(action: &Action, tries: &[DateTime<Utc>], now: DateTime<Utc>) -> Option<String> {
    let last = tries.last()?;
    let cooldown = action.cooldown.num_seconds();
    if now - *last < action.cooldown {
        let at = stamp(*last);
        return Some(format!(
            "it began at {at}, again {cooldown} s later at the soonest"
        ));
    }
    let lately = tries.iter().filter(|at| now - **at < TimeDelta::hours(1));
    let most = action.most_per_hour;
    (lately.count() >= most as usize).then(|| format!("it began {most} times within an hour"))
}

impl Incidents {
    /// Does what the rules say about `events`, which are on record.
    pub(super) async fn recover(self: Arc<Self>, events: Vec<IncidentEvent>) {
        for event in &events {
            let found = match event {
                IncidentEvent::Opened(one) => &one.alert,
                IncidentEvent::Joined(one) => &one.alert,
                IncidentEvent::Reopened(one) => match &one.alert {
                    Some(alert) => alert,
                    None => continue,
                },
                _ => continue,
            };
            let rules = self.rules.get_full();
            for action in rules.rules.actions.iter().filter(|one| matches(one, found)) {
                let tried = self.attempt(&rules.rules, action, event.incident(), found);
                if let Err(error) = tried.await {
                    tracing::error!("a recovery action is not on record: {error}");
                }
            }
        }
    }

    async fn attempt(
        &self,
        rules: &IncidentsRules,
        action: &Action,
        id: &str,
        found: &Found,
    ) -> Result<(), crate::storage::engine::StorageError> {
        // Until it is on record: of two at a time each would see the limits as they were.
        let beginning = self.beginning.lock().await;
        let switched = self.wiring.switches.get();
        let book = self.book();
        let (true, Some(incident)) = (switched.is_on(Switch::Autorecover), book.find(id)) else {
            return Ok(());
        };
        let now = self.wiring.clock.now();
        let told = |detail: String| Recovery {
            incident: id.to_owned(),
            action: action.name.clone(),
            how: action.deed.word().to_owned(),
            detail,
        };
        let carrier = Carrier::new(&self.wiring);
        let held = if switched.is_stabilized() {
            let why = "frozen: STABILIZE_MODE is on".to_owned();
            Some(IncidentEvent::Frozen(told(why)))
        } else if let Some(why) = planned(rules, action, &carrier) {
            Some(IncidentEvent::Planned(told(why)))
        } else {
            let why = limit(action, book.tries(&action.name), now);
            why.map(|why| IncidentEvent::Limited(told(why)))
        };
        if let Some(held) = held {
            if is_told(incident, &held) {
                return Ok(());
            }
            return self.write(&[held], now).await;
        }
        // The line goes first: whatever happens then, it is known that it began.
        let started = IncidentEvent::Started(told(format!("for `{}`", found.key)));
        self.write(&[started], now).await?;
        drop(beginning);
        let outcome = self.carry_out(&carrier, action, incident, found, now).await;
        let ended = match outcome {
            Ok(said) => IncidentEvent::Done(told(said)),
            Err(why) => IncidentEvent::Failed(told(why)),
        };
        self.write(&[ended], self.wiring.clock.now()).await
    }

    async fn carry_out(
        &self,
        carrier: &Carrier,
        action: &Action,
        incident: &Incident,
        found: &Found,
        now: DateTime<Utc>,
    ) -> Result<String, String> {
        let order = |on: &str, value| Order {
            on: on.to_owned(),
            value,
            by: BY.into(),
        };
        let hands = &self.wiring.hands;
        match &action.deed {
            Deed::Carry(Executor::Command { argv, timeout }) => {
                let filled = |word: &String| {
                    word.replace("{incident}", &incident.id)
                        .replace("{key}", &found.key)
                };
                let words: Vec<String> = argv.iter().map(filled).collect();
                carrier.run(&words, *timeout).await
            }
            Deed::Carry(Executor::Webhook { url, timeout }) => {
                let id = format!("{}-{}-{}", incident.id, action.name, now.timestamp_millis());
                let body = json!({
                    "type": "incident.recovery",
                    "timestamp": stamp(now),
                    "data": { "incident": incident.id, "action": action.name, "alert": found },
                });
                let call = Call {
                    url,
                    timeout: *timeout,
                    secret: INCIDENT_WEBHOOK,
                    id: &id,
                    body: body.to_string(),
                };
                carrier.call(call, now).await
            }
            Deed::SetFlag { key, value } => hands.ask(SET_FLAG, order(key, value.clone())).await,
            Deed::PauseTask(task) => {
                let order = order(task, serde_json::Value::Null);
                hands.ask(PAUSE_TASK, order).await
            }
        }
    }

    /// An attempt that the process before this one began and did not end has an unknown outcome.
    pub(super) async fn end_unfinished(&self) {
        let unfinished = self.book().unfinished.clone();
        let ended = unfinished.into_iter().map(|mut one| {
            "the process ended meanwhile; its outcome is not known".clone_into(&mut one.detail);
            IncidentEvent::Failed(one)
        });
        let ended: Vec<_> = ended.collect();
        if let Err(error) = self.write(&ended, self.wiring.clock.now()).await {
            tracing::warn!("unfinished recovery actions stay so: {error}");
        }
    }
}

/// Why `action` is only planned.
fn planned(rules: &IncidentsRules, action: &Action, carrier: &Carrier) -> Option<String> {
    if rules.dry_run {
        return Some("`dry_run` is true in `configs/incidents.json`".to_owned());
    }
    match action.deed {
        Deed::Carry(Executor::Webhook { .. }) => carrier.secret(INCIDENT_WEBHOOK).err(),
        _ => None,
    }
}

/// Whether the incident tells of the same already.
pub(super) fn is_told(incident: &Incident, held: &IncidentEvent) -> bool {
    let (what, one) = match held {
        IncidentEvent::Frozen(one) => ("recovery_frozen", one),
        IncidentEvent::Planned(one) => ("recovery_planned", one),
        IncidentEvent::Limited(one) => ("recovery_limited", one),
        _ => return false,
    };
    incident.held.contains(&(what, one.action.clone()))
}
