//! `GET /api/costs/report` and the task `cost-tracker`: what the daemon itself would cost a month,
//! by the disk, the processor time and the traffic that it really uses. Each part is rounded to
//! millionths of a dollar, and the total is the sum of the parts as they are shown.

use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Number, json};

use super::event::{CostLine, REPORTED, STORED, StorageMeasured};
use super::measure;
use super::model::Pricing;
use super::service::Costs;
use super::view::MeterDay;
use crate::base::money::{Ratio, TooLarge};
use crate::base::time::stamp;
use crate::platform::scheduler::{Summary, TaskError};
use crate::storage::engine::DocumentError;
use crate::storage::lines::Lines;

/// Name of the report beside the journals.
const REPORT: &str = "cost_report.json";
/// Days that processor time and traffic are taken from, and days of the month they are told for.
const DAYS: u64 = 30;
/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;
/// Bytes of the GB that is priced (`product.md` §4).
const GB: i64 = 1_000_000_000;
/// The least that must have been measured before it is projected to a month, in milliseconds: an
/// hour. Our own choice: what the first seconds cost, times a hundred thousand, says nothing.
const LEAST_MS: u64 = 3_600_000;
/// Decimals that parts are rounded to.
const DECIMALS: u32 = 6;

/// Disk.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct StorageReply {
    /// Bytes that `logs/` and `backups/` take on the disk.
    bytes: u64,
    /// The same in 10^9 bytes.
    gb: Number,
    /// What a month of it costs.
    monthly_usd: Number,
    /// Bytes that are in the files; less than `bytes` for many small ones, more for sparse ones.
    apparent_bytes: u64,
    /// How many files.
    files: u64,
}

/// Processor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct ComputeReply {
    /// Hours of processor time a month of 720 hours, projected from what was measured; where it is
    /// not projected, the hours that were measured.
    estimated_hours: Number,
    /// What `estimated_hours` cost.
    monthly_usd: Number,
    /// Whether it is projected: not before an hour was measured.
    projected: bool,
    /// Seconds of processor time that the daemon and what it ran used in the last 30 days.
    cpu_secs: Number,
    /// Seconds of these days in which it was measured.
    observed_secs: u64,
}

/// Traffic.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct BandwidthReply {
    /// Bytes that were sent in the last 30 days, as measured.
    bytes: u64,
    /// What they are in a month of 720 hours, in 10^9 bytes, projected from `observed_secs`; where
    /// it is not projected, `bytes` in 10^9 bytes.
    gb: Number,
    /// What `gb` costs.
    monthly_usd: Number,
    /// Whether it is projected: not before an hour was measured.
    projected: bool,
    /// Seconds of these days in which it was measured.
    observed_secs: u64,
}

/// Prices.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct PricingReply {
    /// Always `USD`.
    currency: &'static str,
    /// Of 10^9 bytes kept for a month.
    storage_gb_month: Number,
    /// Of an hour of processor time.
    cpu_hour: Number,
    /// Of 10^9 bytes sent.
    bandwidth_gb: Number,
}

/// The daemon's own cost.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct OwnReply {
    /// When it was worked out, UTC.
    ts_iso: String,
    /// Disk.
    storage: StorageReply,
    /// Processor.
    compute: ComputeReply,
    /// Traffic.
    bandwidth: BandwidthReply,
    /// Sum of the three `monthly_usd`.
    total_monthly_usd: Number,
    /// What it was reckoned with.
    pricing: PricingReply,
}

/// The report as it is saved.
#[derive(Serialize)]
struct Saved<'a, T> {
    ok: bool,
    #[serde(flatten)]
    report: &'a T,
}

/// A decimal as a JSON number: the shortest that reads back the same.
pub(super) fn number(decimal: &str) -> Number {
    let value: f64 = decimal.parse().unwrap_or_default();
    Number::from_f64(value).unwrap_or_else(|| Number::from(0))
}

fn shown(value: Ratio) -> Number {
    number(&value.to_decimal(DECIMALS))
}

/// `value` as it is shown.
fn rounded(value: Ratio) -> Ratio {
    Ratio::parse(&value.to_decimal(DECIMALS)).unwrap_or(value)
}

fn whole(number: u64) -> Result<Ratio, TooLarge> {
    Ratio::new(number.into(), 1)
}

/// What the daemon's use comes to: what of it is a month, and what that costs.
pub(super) struct OwnCost {
    storage_gb: Ratio,
    pub(super) storage: Ratio,
    hours: Ratio,
    pub(super) compute: Ratio,
    sent_gb: Ratio,
    pub(super) bandwidth: Ratio,
}

/// Whether what `meter` has is enough to say what a month of it is.
pub(super) fn is_projected(meter: &MeterDay) -> bool {
    meter.observed_ms >= LEAST_MS
}

/// Reckons `stored` bytes and what was used in `meter` as a month; as it is where too little was
/// measured for that.
pub(super) fn own_cost(
    stored: u64,
    meter: MeterDay,
    pricing: &Pricing,
) -> Result<OwnCost, TooLarge> {
    let month_ms = whole(DAYS * 24)?.times(Ratio::whole(HOUR_MS))?;
    let monthly = |used: u64| {
        if !is_projected(&meter) {
            return whole(used);
        }
        let each = whole(used)?.divided_by(whole(meter.observed_ms)?)?;
        each.times(month_ms)
    };
    let storage_gb = whole(stored)?.divided_by(Ratio::whole(GB))?;
    let hours = monthly(meter.cpu_ms)?.divided_by(Ratio::whole(HOUR_MS))?;
    let sent_gb = monthly(meter.bytes_sent)?.divided_by(Ratio::whole(GB))?;
    Ok(OwnCost {
        storage: rounded(storage_gb.times(pricing.storage_gb_month)?),
        compute: rounded(hours.times(pricing.cpu_hour)?),
        bandwidth: rounded(sent_gb.times(pricing.bandwidth_gb)?),
        storage_gb,
        hours,
        sent_gb,
    })
}

impl Costs {
    /// What was used since `from`, with what the counters say beyond the journal.
    pub(super) fn metered_since(&self, from: NaiveDate, now: DateTime<Utc>) -> MeterDay {
        let mut sum = MeterDay::default();
        for meter in self.kept.lock().state.meters.range(from..) {
            sum.observed_ms += meter.1.observed_ms;
            sum.cpu_ms += meter.1.cpu_ms;
            sum.bytes_sent += meter.1.bytes_sent;
        }
        if let Some(unread) = self.unread(now) {
            sum.observed_ms += unread.observed_ms;
            sum.cpu_ms += unread.cpu_ms;
            sum.bytes_sent += unread.bytes_sent;
        }
        sum
    }

    /// Measures the home, away from the requests.
    async fn stored(&self) -> Option<StorageMeasured> {
        let (files, home) = (Arc::clone(&self.seams.files), Arc::clone(&self.home));
        let measuring = tokio::task::spawn_blocking(move || measure::storage(&*files, &home));
        measuring.await.ok()
    }

    /// The daemon's own cost at `now`.
    pub(super) async fn own_reply(
        &self,
        now: DateTime<Utc>,
    ) -> anyhow::Result<(OwnReply, StorageMeasured)> {
        let rules = self.live.get_full();
        let pricing = &rules.rules.pricing;
        let stored = self.stored().await.unwrap_or_default();
        let meter = self.metered_since(now.date_naive() - Days::new(DAYS), now);
        let cost = own_cost(stored.disk_bytes, meter, pricing)?;
        let total = cost.storage.plus(cost.compute)?.plus(cost.bandwidth)?;
        let observed_secs = meter.observed_ms / 1000;
        let projected = is_projected(&meter);
        let price = |price: Ratio| number(&price.to_decimal(12));
        let reply = OwnReply {
            ts_iso: stamp(now),
            storage: StorageReply {
                bytes: stored.disk_bytes,
                gb: shown(cost.storage_gb),
                monthly_usd: shown(cost.storage),
                apparent_bytes: stored.apparent_bytes,
                files: stored.files,
            },
            compute: ComputeReply {
                estimated_hours: shown(cost.hours),
                monthly_usd: shown(cost.compute),
                projected,
                cpu_secs: shown(Ratio::new(meter.cpu_ms.into(), 1000)?),
                observed_secs,
            },
            bandwidth: BandwidthReply {
                bytes: meter.bytes_sent,
                gb: shown(cost.sent_gb),
                monthly_usd: shown(cost.bandwidth),
                projected,
                observed_secs,
            },
            total_monthly_usd: shown(total),
            pricing: PricingReply {
                currency: "USD",
                storage_gb_month: price(pricing.storage_gb_month),
                cpu_hour: price(pricing.cpu_hour),
                bandwidth_gb: price(pricing.bandwidth_gb),
            },
        };
        Ok((reply, stored))
    }

    /// The daily report: measures, notes, and replaces `logs/cost_report.json`.
    pub(super) async fn track(&self, now: DateTime<Utc>) -> Result<Summary, TaskError> {
        self.read_meter(now).await?;
        let (reply, stored) = self.own_reply(now).await?;
        self.note(STORED, &stored, CostLine::Stored(now, stored), now)
            .await?;
        let mut lines = Lines::new();
        lines.push_members(REPORTED, now, &reply);
        self.reports.append(lines, None, None).await?;
        let output = json!({ "total_monthly_usd": reply.total_monthly_usd });
        let saved = self.save(REPORT, &reply).await;
        saved.map_err(anyhow::Error::new)?;
        Ok(Summary::ok(output))
    }

    /// Replaces a report, away from the requests.
    pub(super) async fn save<T: Serialize>(
        &self,
        name: &'static str,
        report: &T,
    ) -> Result<(), DocumentError> {
        let saved = Saved { ok: true, report };
        let mut body = serde_json::to_vec_pretty(&saved).unwrap_or_default();
        body.push(b'\n');
        let engine = Arc::clone(&self.engine);
        let saving = tokio::task::spawn_blocking(move || engine.save_report(name, &body));
        saving.await.unwrap_or_else(|died| {
            Err(DocumentError::Io {
                name: name.to_owned(),
                source: std::io::Error::other(died),
            })
        })
    }
}
