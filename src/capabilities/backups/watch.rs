//! Looks every few minutes whether backups, drills and replicas are as fresh as they should be, and
//! tells when they are not. Also what `/readyz`, `/health` and `/metrics` say of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::logic::{Known, spelled};
use super::service::Backups;
use crate::platform::alerts::{Finding, Severity};
use crate::platform::telemetry::Page;
use crate::platform::wiring::Wiring;

/// Who finds it.
const SOURCE: &str = "backups";
/// The newest backup is too old.
const LATE: &str = "backup:late";
/// No restore was proven lately, or the last was disproven.
const DRILL: &str = "backup:drill";
/// Time between two looks (our own choice): what is watched changes by the hour.
const EVERY: Duration = Duration::from_mins(5);

impl Backups {
    /// Looks again and again until `stop`.
    pub(super) async fn keep_watch(self: Arc<Self>, stop: CancellationToken) {
        self.await_first().await;
        // Replicas that were never synced are waited for since they were first seen here.
        let mut first_seen = BTreeMap::new();
        loop {
            if let Err(error) = self.look(&stop).await
                && !stop.is_cancelled()
            {
                tracing::warn!(%error, "cannot look into the folder of backups");
            }
            self.tell(&mut first_seen);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.wiring.clock.sleep(EVERY) => {}
            }
        }
    }

    /// Makes the alert events agree with what is known.
    fn tell(&self, first_seen: &mut BTreeMap<String, DateTime<Utc>>) {
        let (now, alerts) = (self.wiring.clock.now(), &self.wiring.alerts);
        let mut found: Vec<Finding> = Vec::new();
        found.extend(self.late(now));
        found.extend(self.undrilled(now));
        found.extend(self.lagging(first_seen, now));
        for said in alerts.said_by(SOURCE) {
            let key = &said.finding.key;
            if !found.iter().any(|one| one.key == *key) {
                alerts.resolve(key, now, "it is as it should be again");
            }
        }
        for finding in found {
            alerts.raise(finding, now);
        }
    }

    fn late(&self, now: DateTime<Utc>) -> Option<Finding> {
        let rules = self.live.get();
        let view = self.view();
        let (last, awaited) = (self.newest_at(now), view.awaited.unwrap_or(now));
        let most = rules.rules.alert_after;
        let since = Known {
            last,
            awaited,
            most,
        }
        .late_since(now)?;
        let allowed = spelled(most);
        let summary = match last {
            Some(last) => format!(
                "the newest backup is {} old, allowed are {allowed}",
                spelled(now - last)
            ),
            None if view.taken.is_some() => format!(
                "`{}` holds no backup of the time before now: was its disk taken away, or the \
                 clock set back?",
                rules.rules.folder.display()
            ),
            None => format!("no backup was made yet, the first was due within {allowed}"),
        };
        Some(finding(LATE, Severity::Error, summary, since))
    }

    fn undrilled(&self, now: DateTime<Utc>) -> Option<Finding> {
        let (rules, view) = (self.live.get(), self.view());
        if let Some((at, why)) = view.unproven {
            let summary = format!("a backup could not be restored as a drill: {why}");
            return Some(finding(DRILL, Severity::Error, summary, at));
        }
        let last = view.proven.map(|(at, _)| at);
        let since = Known {
            last,
            awaited: view.awaited.unwrap_or(now),
            most: rules.rules.drill_alert_after,
        }
        .late_since(now)?;
        let summary = match last {
            Some(last) => format!("a restore was last proven {} ago", spelled(now - last)),
            None => "no restore of a backup was proven yet".to_owned(),
        };
        Some(finding(DRILL, Severity::Warning, summary, since))
    }

    fn lagging(
        &self,
        first_seen: &mut BTreeMap<String, DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Vec<Finding> {
        let (rules, view) = (self.live.get(), self.view());
        let mut found = Vec::new();
        for replica in &rules.rules.replicas {
            let name = &replica.name;
            let known = view.replicas.get(name);
            let synced = known.and_then(|known| known.synced.as_ref());
            let last = synced.map(|(_, synced)| synced.taken_at);
            let awaited = *first_seen.entry(name.clone()).or_insert(now);
            let most = rules.rules.replica_alert_after;
            let late = Known {
                last,
                awaited,
                most,
            }
            .late_since(now);
            if let Some(since) = late {
                let behind = last.map_or_else(
                    || "was never brought up to date".to_owned(),
                    |last| format!("is {} behind", spelled(now - last)),
                );
                let why = known.and_then(|known| known.failed.as_ref());
                let why = why.map(|(_, why)| format!(": {why}")).unwrap_or_default();
                let summary = format!("the replica `{name}` {behind}{why}");
                let key = format!("replica:{name}:late");
                found.push(labelled(&key, name, Severity::Error, summary, since));
            }
            if let Some((at, synced)) = synced.filter(|(_, synced)| !synced.lost.is_empty()) {
                let files = synced.lost.join(", ");
                let summary = format!(
                    "files of the replica `{name}` are damaged or missing, and the home does not \
                     have them any more: {files}"
                );
                let key = format!("replica:{name}:lost");
                found.push(labelled(&key, name, Severity::Error, summary, *at));
            }
        }
        first_seen.retain(|name, _| rules.rules.replicas.iter().any(|one| one.name == *name));
        found
    }

    /// What is wrong, in one sentence.
    pub(super) fn trouble(&self) -> Option<String> {
        let alerts = self.wiring.alerts.said_by(SOURCE);
        let now = self.wiring.clock.now();
        // Fresh for what is looked at here, and as of the last look for the rest.
        let own = self.late(now).or_else(|| self.undrilled(now));
        let summary = own.map(|finding| finding.summary);
        summary.or_else(|| {
            let rest = alerts
                .into_iter()
                .find(|said| said.finding.key.starts_with("replica:"));
            rest.map(|said| said.finding.summary.clone())
        })
    }

    /// How it is, for people.
    pub(super) fn remark(&self) -> String {
        let now = self.wiring.clock.now();
        let ago = |at: Option<DateTime<Utc>>, none: &str| {
            at.map_or_else(|| none.to_owned(), |at| spelled(now - at))
        };
        let view = self.view();
        let newest = ago(self.newest_at(now), "none yet");
        let proven = ago(view.proven.as_ref().map(|(at, _)| *at), "never yet");
        let (replicas, behind) = self.replicas_in_step(now);
        let replicas = match (replicas, behind) {
            (0, _) => "no replica".to_owned(),
            (all, 0) => format!("{all} replicas in step"),
            (all, behind) => format!("{behind} of {all} replicas behind"),
        };
        format!("newest {newest}, restore proven {proven}, {replicas}")
    }

    /// How many replicas there are, and how many of them are too far behind.
    fn replicas_in_step(&self, now: DateTime<Utc>) -> (usize, usize) {
        let (rules, view) = (self.live.get(), self.view());
        let most = rules.rules.replica_alert_after;
        let behind = rules.rules.replicas.iter().filter(|replica| {
            let known = view.replicas.get(&replica.name);
            let synced = known.and_then(|known| known.synced.as_ref());
            synced.is_none_or(|(_, synced)| now - synced.taken_at > most)
        });
        (rules.rules.replicas.len(), behind.count())
    }

    /// Puts it where the health and the numbers of the daemon are told.
    pub(super) fn announce(self: &Arc<Self>, wiring: &Wiring) {
        let own = Arc::clone(self);
        wiring.health.remark("backups", move || own.remark());
        let own = Arc::clone(self);
        wiring.health.tell("backups", move || {
            let now = own.wiring.clock.now();
            let (view, newest) = (own.view(), own.newest_at(now));
            let (replicas, behind) = own.replicas_in_step(now);
            let age = |at: Option<DateTime<Utc>>| at.map(|at| (now - at).num_seconds().max(0));
            json!({
                "newest_age_secs": age(newest),
                "proven_age_secs": age(view.proven.map(|(at, _)| at)),
                "replicas": replicas,
                "replicas_behind": behind,
            })
        });
        let own = Arc::clone(self);
        wiring.metrics.add(move |page| own.write_metrics(page));
    }

    fn write_metrics(&self, page: &mut Page) {
        let (now, view) = (self.wiring.clock.now(), self.view());
        let secs = |span: TimeDelta| span.num_milliseconds() as f64 / 1e3;
        let stamp = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 1e3;
        if let Some(newest) = self.newest_at(now) {
            page.gauge("echopilot_backup_age_seconds", "age of the newest backup");
            page.sample(&[], secs(now - newest));
        }
        if let Some(taken) = view.taken {
            page.gauge(
                "echopilot_backup_last_success_timestamp_seconds",
                "when the task made a backup last",
            );
            page.sample(&[], stamp(taken));
        }
        if let Some((at, _)) = &view.proven {
            page.gauge(
                "echopilot_restore_drill_last_success_timestamp_seconds",
                "when a restore was proven last",
            );
            page.sample(&[], stamp(*at));
        }
        let rules = self.live.get();
        let known: Vec<_> = rules
            .rules
            .replicas
            .iter()
            .filter_map(|replica| view.replicas.get_key_value(&replica.name))
            .filter_map(|(name, known)| Some((name, known.synced.as_ref()?)))
            .collect();
        if known.is_empty() {
            return;
        }
        page.gauge(
            "echopilot_replica_lag_seconds",
            "age of what a replica shows of the home",
        );
        for (name, (_, synced)) in &known {
            page.sample(&[("replica", name)], secs(now - synced.taken_at));
        }
        page.gauge("echopilot_replica_bytes", "bytes in a replica");
        for (name, (_, synced)) in &known {
            page.sample(&[("replica", name)], synced.bytes as f64);
        }
    }
}

fn finding(key: &str, severity: Severity, summary: String, started_at: DateTime<Utc>) -> Finding {
    Finding {
        key: key.to_owned(),
        source: SOURCE.to_owned(),
        severity,
        summary,
        started_at,
        ..Finding::default()
    }
}

fn labelled(
    key: &str,
    replica: &str,
    severity: Severity,
    summary: String,
    started_at: DateTime<Utc>,
) -> Finding {
    Finding {
        labels: [("replica", replica)].into(),
        ..finding(key, severity, summary, started_at)
    }
}
