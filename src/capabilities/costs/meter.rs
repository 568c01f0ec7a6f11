//! The daemon's own counters, read again and again, so that what they count survives a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Timelike as _, Utc};
use tokio_util::sync::CancellationToken;

use super::event::{Capacity, CostLine, METERED, MeterRead, UnitMeter};
use super::measure;
use super::service::Costs;
use crate::seams::host::{Reading, Wanted};
use crate::storage::engine::StorageError;
use crate::storage::lines::Lines;

/// Minutes between two lines: what a crash loses of the daemon's own figures at most (our own
/// choice; 18 kB a day).
const EVERY_MINUTES: u32 = 15;
/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// What the counters said at a moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter {
    at: DateTime<Utc>,
    uptime: Duration,
    cpu_ms: u64,
    bytes_sent: u64,
    /// Microseconds of processor time by unit; `None` before the first reading.
    units: Option<BTreeMap<String, u64>>,
    /// The run of the machine they are counted in.
    boot_id: Option<String>,
}

impl Costs {
    /// Looks each minute until told to stop: at the counters each quarter of an hour, at budgets
    /// whenever something may have changed.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.begin();
        loop {
            let now = self.seams.clock.now();
            let into = now.timestamp_millis().rem_euclid(MINUTE_MS).unsigned_abs();
            let pause = Duration::from_millis(MINUTE_MS.unsigned_abs() - into);
            let pause = self.seams.clock.sleep(pause);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            let now = self.seams.clock.now().trunc_subsecs(3);
            if self.is_due(now)
                && let Err(error) = self.read_meter(now).await
            {
                tracing::warn!("what the daemon used waits for storage: {error}");
            }
            if let Err(error) = self.look_at_budgets(now).await {
                tracing::warn!("budgets cannot be judged: {error:#}");
            }
        }
    }

    /// The process began with nothing used.
    fn begin(&self) {
        let meter = Meter {
            at: self.seams.clock.now().trunc_subsecs(3),
            uptime: self.seams.clock.uptime(),
            ..Meter::default()
        };
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Some(meter);
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        let last = self.last();
        let quarter = now.minute().is_multiple_of(EVERY_MINUTES);
        let every = TimeDelta::minutes(i64::from(EVERY_MINUTES));
        last.is_some_and(|last| quarter || now - last.at >= every)
    }

    /// What was used since the counters were last read.
    pub(super) fn unread(&self, now: DateTime<Utc>) -> Option<MeterRead> {
        let last = self.last()?;
        Some(since(&last, &self.meter(now)))
    }

    fn last(&self) -> Option<Meter> {
        let meter = self.meter.lock();
        meter.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the counters say now.
    fn meter(&self, at: DateTime<Utc>) -> Meter {
        Meter {
            at,
            uptime: self.seams.clock.uptime(),
            cpu_ms: measure::cpu_ms(&*self.seams.files).unwrap_or_default(),
            bytes_sent: measure::bytes_sent(&self.metrics),
            ..Meter::default()
        }
    }

    /// Writes what was used since the counters were last read.
    pub(super) async fn read_meter(&self, now: DateTime<Utc>) -> Result<(), StorageError> {
        let _turn = self.reading.lock().await;
        let Some(last) = self.last() else {
            return Ok(());
        };
        let mut next = self.meter(now);
        let units = self.live.get_full().rules.units();
        let mut read = since(&last, &next);
        if !units.is_empty() {
            let wanted = Arc::new(Wanted {
                mounts: Vec::new(),
                units,
            });
            let reading = self.seams.host.read(wanted).await;
            (read.units, read.capacity) = used(&last, &reading, read.observed_ms);
            next.boot_id.clone_from(&reading.boot_id);
            next.units = Some(counters(&reading));
        }
        self.note(METERED, &read, CostLine::Metered(read.clone()), now)
            .await?;
        *self.meter.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        Ok(())
    }

    /// Hands over a last line at the end of the process, where the counters were read at all.
    pub(super) fn last_reading(&self) {
        let Some(last) = self.last() else {
            return;
        };
        let now = self.seams.clock.now().trunc_subsecs(3);
        let read = since(&last, &self.meter(now));
        let mut lines = Lines::new();
        lines.push_members(METERED, now, &read);
        // The engine writes it before it closes; nobody is left to wait for it.
        drop(self.appending(lines, vec![CostLine::Metered(read)], None));
    }
}

fn since(last: &Meter, next: &Meter) -> MeterRead {
    let observed = next.uptime.saturating_sub(last.uptime).as_millis();
    MeterRead {
        from: last.at.trunc_subsecs(3),
        observed_ms: u64::try_from(observed).unwrap_or(u64::MAX),
        cpu_ms: next.cpu_ms.saturating_sub(last.cpu_ms),
        bytes_sent: next.bytes_sent.saturating_sub(last.bytes_sent),
        units: BTreeMap::new(),
        capacity: None,
    }
}

fn counters(reading: &Reading) -> BTreeMap<String, u64> {
    let units = reading.units.iter();
    units
        .filter_map(|(name, unit)| Some((name.clone(), unit.cpu_micros?)))
        .collect()
}

/// What units used since `last`, and what there was. Nothing is said for a stretch at whose
/// beginning nobody looked: the counters run since each unit was started.
fn used(
    last: &Meter,
    reading: &Reading,
    observed_ms: u64,
) -> (BTreeMap<String, UnitMeter>, Option<Capacity>) {
    let none = (BTreeMap::new(), None);
    let known = last.units.as_ref();
    let known = known.filter(|_| last.boot_id == reading.boot_id);
    let (Some(known), Some(cpus), Some(memory)) = (known, reading.cpus, reading.memory) else {
        return none;
    };
    let mut units = BTreeMap::new();
    for (name, unit) in &reading.units {
        // A unit that does not run uses nothing, and has no counters.
        let Some(micros) = unit.cpu_micros else {
            continue;
        };
        // A counter that went back is that of a unit that was started again.
        let before = known.get(name).copied().unwrap_or_default();
        let spent = micros.checked_sub(before).unwrap_or(micros);
        let meter = UnitMeter {
            cpu_ms: spent / 1000,
            memory_bytes: unit.memory.unwrap_or_default(),
        };
        units.insert(name.clone(), meter);
    }
    let capacity = Capacity {
        cpu_ms: observed_ms.saturating_mul(cpus.into()),
        memory_bytes: memory.total,
    };
    (units, Some(capacity))
}
