//! The watch over the machine, running: one look at a time, its line in the journal, and what that
//! means for the alert events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::config::HostRules;
use super::event::{self, MEASURED, Measured, Readings, STREAM};
use super::forecast::forecast;
use super::logic;
use super::model::{Change, Figure, Forecast, Key, Rates, Room, Warning, Watches};
use super::text;
use super::view::{HostView, Latest};
use crate::platform::alerts::{Alerts, Finding, Severity};
use crate::platform::config::Live;
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;
use crate::seams::host::{Host, Reading};
use crate::storage::engine::{Position, StorageError};
use crate::storage::lines::Lines;
use crate::storage::view::Kept;

/// The shortest time that rates are reckoned over: counters of the kernel tick a hundred times a
/// second.
const SHORTEST: Duration = Duration::from_secs(1);
/// What alert events of ours are called by.
const SOURCE: &str = "host";

/// The watch.
#[derive(Debug)]
pub(super) struct Sentinel {
    live: Live<HostRules>,
    host: Arc<dyn Host>,
    clock: Arc<dyn Clock>,
    alerts: Alerts,
    kept: Arc<Kept<HostView>>,
    /// The last reading of this process, with both clocks.
    last: Mutex<Option<Moment>>,
}

#[derive(Debug, Clone)]
struct Moment {
    reading: Reading,
    uptime: Duration,
    at: DateTime<Utc>,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Look {
    /// What is too bad.
    pub(super) warnings: Vec<String>,
    /// What was raised in this run.
    pub(super) raised: Vec<String>,
    /// What was cleared in this run.
    pub(super) cleared: Vec<String>,
    /// What could not be read.
    pub(super) unknown: Vec<String>,
}

impl Sentinel {
    /// Folds the journal and is ready.
    pub(super) fn open(wiring: &Wiring, live: Live<HostRules>) -> anyhow::Result<Arc<Self>> {
        let journal = wiring.opened(STREAM)?;
        let (kept, _) = Kept::open(journal, Arc::clone(&wiring.clock), HostView::default)?;
        Ok(Arc::new(Self {
            live,
            host: Arc::clone(&wiring.seams.host),
            clock: Arc::clone(&wiring.clock),
            alerts: wiring.alerts.clone(),
            kept: Arc::new(kept),
            last: Mutex::new(None),
        }))
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> HostRules {
        self.live.get().rules.clone()
    }

    /// The latest run, by this process or one before.
    pub(super) fn latest(&self) -> Option<Latest> {
        self.kept.lock().latest().cloned()
    }

    /// Takes the reading that the first run reckons its rates from, so that it need not wait.
    pub(super) async fn begin(&self) {
        let now = self.clock.now().trunc_subsecs(3);
        drop(self.moment(&self.rules(), now).await);
    }

    /// Reads the machine, judges it, writes a line and tells the alert events.
    pub(super) async fn look(&self, now: DateTime<Utc>) -> Result<Look, StorageError> {
        let now = now.trunc_subsecs(3);
        let rules = self.rules();
        let before = self.before(&rules, now).await;
        let moment = self.moment(&rules, now).await;
        let elapsed = moment.uptime.saturating_sub(before.uptime);
        let rates = if elapsed < SHORTEST {
            Rates::default()
        } else {
            logic::rates(&before.reading, &moment.reading, elapsed)
        };
        let (watches, known, gap, forecasts) = {
            let view = self.kept.lock();
            let gap = view.latest().is_some_and(|latest| {
                let span = now - latest.at;
                span > rules.gap || span < -rules.gap
            });
            let forecasts = forecasts(&view, &rules, &moment);
            (view.watches(), view.known(), gap, forecasts)
        };
        let reading = &moment.reading;
        let figures = logic::figures(&rules, reading, &rates, &known, &forecasts);
        let (watches, changes) = logic::judge(&watches, &figures, now, gap);
        let (warnings, lines) = event::listed(&watches, &figures);
        let readings = Readings::of(reading, &rates, Some(elapsed.as_secs_f64()), &forecasts);
        let measured = Measured {
            warnings,
            readings,
            watches: lines,
        };
        self.write(now, &measured).await?;
        self.tell(&watches, &figures, &changes, &measured.readings, now);
        let named = |raised: bool| {
            let some = changes.iter().filter(|change| change.raised == raised);
            some.map(|change| change.key.to_string()).collect()
        };
        Ok(Look {
            raised: named(true),
            cleared: named(false),
            warnings: measured.warnings,
            unknown: measured.readings.unknown,
        })
    }

    /// The reading that rates are reckoned from: the one of the run before. Where it is of this
    /// very moment, or too old because the machine slept, there is none, and rates are unknown for
    /// once: over the gap they would tell of neither time.
    async fn before(&self, rules: &HostRules, now: DateTime<Utc>) -> Moment {
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match last {
            Some(last)
                if last.at <= now
                    && now - last.at <= rules.gap
                    && last.uptime + SHORTEST <= self.clock.uptime() =>
            {
                last
            }
            _ => self.read(rules, now).await,
        }
    }

    async fn moment(&self, rules: &HostRules, now: DateTime<Utc>) -> Moment {
        let moment = self.read(rules, now).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(moment.clone());
        moment
    }

    async fn read(&self, rules: &HostRules, at: DateTime<Utc>) -> Moment {
        let reading = self.host.read(Arc::clone(&rules.wanted)).await;
        Moment {
            reading,
            uptime: self.clock.uptime(),
            at,
        }
    }

    async fn write(&self, now: DateTime<Utc>, measured: &Measured) -> Result<(), StorageError> {
        let mut lines = Lines::new();
        lines.push_members(MEASURED, now, measured);
        let bytes = lines.bytes() as u64;
        let (kept, taken) = (Arc::clone(&self.kept), measured.clone());
        let committed = move |outcome: &Result<Position, StorageError>| {
            if let Ok(position) = outcome {
                let mut view = kept.lock();
                view.take(now, taken);
                crate::storage::view::View::reached(&mut *view, position.last);
                drop(view);
                kept.grew(1, bytes);
            }
        };
        let journal = self.kept.journal();
        journal
            .append(lines, None, Some(Box::new(committed)))
            .await
            .map(drop)
    }

    /// Brings the alert events in line with what is raised. All of it is said in each run: after a
    /// crash between line and alert the next run makes up for it, and what was said already is not
    /// said again.
    fn tell(
        &self,
        watches: &Watches,
        figures: &[Figure],
        changes: &[Change],
        readings: &Readings,
        now: DateTime<Utc>,
    ) {
        for change in changes.iter().filter(|change| !change.raised) {
            let (value, rule) = (change.value, change.rule.as_ref());
            let how = text::cleared(&change.key, value, rule, readings);
            self.alerts.resolve(&alert_key(&change.key), now, how);
        }
        let mut holding = BTreeSet::new();
        for (key, watch) in watches {
            let figure = figures.iter().find(|figure| figure.key == *key);
            let (Some(since), Some(figure)) = (watch.since, figure) else {
                continue;
            };
            holding.insert(alert_key(key));
            let summary = text::raised(key, figure.value, &figure.rule, readings);
            let finding = finding(key, summary, watch.from.unwrap_or(since));
            self.alerts.raise(finding, now);
        }
        for said in self.alerts.said_by(SOURCE) {
            if !holding.contains(&said.finding.key) {
                let how = "not found any more".to_owned();
                self.alerts.resolve(&said.finding.key, now, how);
            }
        }
    }

    /// What it cannot see though it was told to look there.
    pub(super) fn blind(&self) -> Option<String> {
        let latest = self.latest()?;
        let unknown = &latest.measured.readings.unknown;
        let asked: Vec<&str> = unknown
            .iter()
            .filter_map(|name| name.strip_prefix("disk:").or(name.strip_prefix("unit:")))
            .collect();
        (!asked.is_empty()).then(|| {
            let names = asked.join("`, `");
            format!("nothing is known of `{names}`, though `configs/host.json` names it")
        })
    }

    /// Writes the last checkpoint.
    pub(super) fn close(&self) {
        self.kept.close();
    }
}

/// When each disk will be full, with the room it has now.
fn forecasts(view: &HostView, rules: &HostRules, moment: &Moment) -> BTreeMap<String, Forecast> {
    let volumes = moment.reading.volumes.iter();
    let known = volumes.filter_map(|(mount, volume)| {
        let available = (*volume)?.available;
        let mut rooms = view.rooms(mount);
        rooms.push(Room {
            at: moment.at,
            available,
        });
        Some((mount.clone(), forecast(&rooms, rules.forecast_window)))
    });
    known.collect()
}

/// Its identity among alert events: `host:high_disk:/var`.
fn alert_key(key: &Key) -> String {
    format!("{SOURCE}:{key}")
}

fn finding(key: &Key, summary: String, started_at: DateTime<Utc>) -> Finding {
    let severity = match key.warning {
        Warning::HighDisk
        | Warning::HighInodes
        | Warning::DiskFullSoon
        | Warning::OomKill
        | Warning::UnitFailed => Severity::Error,
        _ => Severity::Warning,
    };
    let mut labels = BTreeMap::new();
    labels.insert("warning".to_owned(), key.warning.word().to_owned());
    let what = match key.warning {
        Warning::HighDisk | Warning::HighInodes | Warning::DiskFullSoon => "mount",
        warning if warning.is_of_unit() => "unit",
        _ => "of",
    };
    if !key.of.is_empty() {
        labels.insert(what.to_owned(), key.of.clone());
    }
    Finding {
        key: alert_key(key),
        source: SOURCE.to_owned(),
        severity,
        summary,
        started_at,
        labels: labels.into(),
        ..Finding::default()
    }
}
