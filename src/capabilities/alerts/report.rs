//! `logs/production_alerts.json`: what holds now, for those who read files. Written whole whenever
//! that changes; the incident scan reads it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::base::time::as_stamp;
use crate::platform::alerts::{Alerts, Severity};
use crate::storage::engine::{DocumentError, Engine};

/// The file in `logs/`.
const FILE: &str = "production_alerts.json";
/// Alerts that are listed at most, the worst first; all are counted.
const MOST_LISTED: usize = 500;

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    #[serde(serialize_with = "as_stamp")]
    ts_iso: DateTime<Utc>,
    count: usize,
    alerts: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    level: Severity,
    source: &'a str,
    summary: &'a str,
    #[serde(serialize_with = "as_stamp")]
    started_at: DateTime<Utc>,
    key: &'a str,
    acknowledged: bool,
}

/// Writes the report.
pub(super) fn save(
    engine: &dyn Engine,
    alerts: &Alerts,
    now: DateTime<Utc>,
) -> Result<(), DocumentError> {
    let (worst, count) = alerts.worst(MOST_LISTED);
    let rows = worst.iter().map(|one| Row {
        level: one.finding.severity,
        source: &one.finding.source,
        summary: &one.finding.summary,
        started_at: one.finding.started_at,
        key: &one.finding.key,
        acknowledged: one.acknowledged.is_some(),
    });
    let report = Report {
        ok: true,
        ts_iso: now,
        count,
        alerts: rows.collect(),
    };
    let mut body = serde_json::to_vec_pretty(&report).unwrap_or_default();
    body.push(b'\n');
    engine.save_report(FILE, &body)
}
