//! Looks at every deadline when it has come, and keeps the alert events as the states are.
//!
//! Waits on the monotonic clock until the next deadline, or until something was written. Each start
//! of the process, each change of a schedule and each forward step of the wall clock excuses once
//! what was due by then: a signal may have been kept away by us.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::config::HeartbeatsRules;
use super::event::{Event, Kind};
use super::logic;
use super::model::{Beat, Down, Now, Watch};
use super::service::Heartbeats;
use crate::platform::alerts::Finding;

/// The name of this capability in alert events.
const SOURCE: &str = "heartbeats";
/// Longest pause between two looks: steps of the wall clock are noticed within it.
const MOST_PAUSE: Duration = Duration::from_secs(30);
/// Pause before what storage refused is tried again, and before a heartbeat whose signal is just
/// being written is looked at again.
const RETRY: Duration = Duration::from_secs(1);
/// A step of the wall clock against the monotonic one that is worth an excuse, in seconds: far more
/// than NTP slews within half a minute, far less than any grace time.
const STEP_SECS: i64 = 5;

/// What the last look has seen.
#[derive(Debug, Default)]
struct Seen {
    watches: HashMap<String, Arc<Watch>>,
    /// How far the wall clock is ahead of the steady time.
    ahead: Option<TimeDelta>,
}

impl Heartbeats {
    /// Looks until told to stop.
    pub(super) async fn keep_watch(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = Seen::default();
        loop {
            let pause = self.look(&mut seen).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(pause) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Looks once; gives the time until the next look.
    async fn look(self: &Arc<Self>, seen: &mut Seen) -> Duration {
        let now = self.present(self.clock.now());
        let rules = self.live.get_full();
        let news = self.news(&rules.rules, seen, &now);
        if !news.is_empty() && self.write(news, &now).await.is_err() {
            return RETRY;
        }
        seen.watches = rules
            .rules
            .watches()
            .map(|watch| (watch.name.clone(), Arc::clone(watch)))
            .collect();
        seen.ahead = Some(now.wall - now.steady);
        self.forget_refused(&rules.rules);
        let mut turns = Vec::new();
        let mut fallen = Vec::new();
        let mut pause = MOST_PAUSE;
        for watch in rules.rules.watches() {
            let beat = self.beat(&watch.name);
            let Some(next) = logic::next_look(watch, &beat, &now) else {
                continue;
            };
            if next > now.steady {
                pause = pause.min((next - now.steady).to_std().unwrap_or(RETRY));
                continue;
            }
            // While a signal is being written, it decides; its line rings.
            let Some(turn) = self.try_turn(&watch.name) else {
                pause = pause.min(RETRY);
                continue;
            };
            turns.push(turn);
            // It may have been written since.
            fallen.extend(logic::verdict(watch, &self.beat(&watch.name), &now));
        }
        if !fallen.is_empty() && self.write(fallen, &now).await.is_err() {
            pause = RETRY;
        }
        drop(turns);
        self.tell(&rules.rules, &now);
        pause
    }

    /// What follows from a start, from an edit of the file and from a step of the clock.
    fn news(&self, rules: &HeartbeatsRules, seen: &Seen, now: &Now) -> Vec<Event> {
        let mut news = Vec::new();
        let gone: Vec<String> = {
            let view = self.kept.lock();
            let is_gone = |name: &&str| rules.named(name).is_none();
            view.names().filter(is_gone).map(str::to_owned).collect()
        };
        for name in gone {
            news.push(Event::of(Kind::Removed, &name));
        }
        let ahead = now.wall - now.steady;
        let step = seen
            .ahead
            .map_or(TimeDelta::zero(), |before| ahead - before);
        let stepped = step >= TimeDelta::seconds(STEP_SECS);
        for watch in rules.watches() {
            let why = match seen.watches.get(&watch.name) {
                None if seen.ahead.is_none() => "echopilot has just started",
                Some(before) if before.cadence != watch.cadence || before.grace != watch.grace => {
                    "its schedule has changed"
                }
                Some(_) if stepped && watch.cadence.interval().is_none() => {
                    "the wall clock was set forward"
                }
                _ => continue,
            };
            news.extend(logic::excuse(watch, &self.beat(&watch.name), now, why));
        }
        news
    }

    /// Makes the alert events say what the states are.
    fn tell(&self, rules: &HeartbeatsRules, now: &Now) {
        let mut down = BTreeMap::new();
        for watch in rules.watches() {
            let beat = self.kept.lock().beat(&watch.name);
            if let Some(found) = &beat.down {
                down.insert(key(&watch.name), finding(watch, found));
            }
        }
        for told in self.alerts.said_by(SOURCE) {
            let key = &told.finding.key;
            if down.contains_key(key) {
                continue;
            }
            let name = key.split_once(':').map_or("", |(_, name)| name);
            let beat = self.kept.lock().beat(name);
            let how = ended(rules, name, &beat);
            self.alerts.resolve(key, now.wall, how);
        }
        for finding in down.into_values() {
            self.alerts.raise(finding, now.wall);
        }
    }
}

fn key(name: &str) -> String {
    format!("heartbeat:{name}")
}

fn finding(watch: &Watch, down: &Down) -> Finding {
    let mut labels = BTreeMap::from([("heartbeat".to_owned(), watch.name.clone())]);
    if !watch.tags.is_empty() {
        labels.insert("tags".to_owned(), watch.tags.join(","));
    }
    Finding {
        key: key(&watch.name),
        source: SOURCE.to_owned(),
        severity: watch.severity,
        summary: down.summary.clone(),
        started_at: down.since,
        labels: labels.into(),
        ..Finding::default()
    }
}

fn ended(rules: &HeartbeatsRules, name: &str, beat: &Beat) -> String {
    if rules.named(name).is_none() {
        return format!("`{name}` is not watched any more");
    }
    if let Some((_, actor)) = &beat.paused {
        return format!("`{name}` was paused by {actor}");
    }
    let how = beat.came_up.clone();
    how.unwrap_or_else(|| format!("`{name}` is watched anew"))
}
