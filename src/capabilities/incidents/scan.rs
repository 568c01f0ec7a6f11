//! The scan: what the reports say is wrong now, in the words that are known for it.
//!
//! Reads `logs/slo_report.json`, `logs/payout_recon.json`, the last lines of
//! `logs/ops_sentinel.ndjson` and `logs/production_alerts.json`. Each may be missing, foreign or
//! broken: that is said, and the others count. Where the watcher of each fault has told of it
//! already nobody is told again; else one alert event `incident:scan` holds for as long as
//! something is wrong. What the router writes into `production_alerts.json` is no fault of its own:
//! it is told already, and this scan's own alert is among it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::service::Incidents;
use crate::base::labels::Labels;
use crate::platform::alerts::{Active, Finding, Severity};
use crate::seams::files::{Files, ReadFile, read_whole};

/// The key of the one alert event.
const KEY: &str = "incident:scan";
/// Who raises it.
const SOURCE: &str = "incidents";
/// Bytes of a report that are read at most: far more than any has.
const MOST_BYTES: u64 = 4 << 20;
/// Bytes at the end of the watch's journal that are looked at: hours of its lines.
const TAIL_BYTES: u64 = 256 << 10;
/// How old a warning of the machine may be: three looks of its watch, and a little.
const RECENT: TimeDelta = TimeDelta::minutes(10);
/// Texts of others that are quoted at most: an alert is read on a telephone (our own choice).
const MOST_QUOTED: usize = 20;
/// Letters of one such text at most.
const MOST_LETTERS: usize = 200;
/// Faults from which on it is severe.
const SEVERE: usize = 3;

/// Answer of `POST /api/incidents/scan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ScanReply {
    /// Whether anything is wrong.
    pub(super) breach: bool,
    /// How many faults there are.
    pub(super) incident_count: usize,
    /// A sentence each.
    pub(super) details: Vec<String>,
    /// `none`, `MEDIUM` for one or two faults, `HIGH` for more.
    pub(super) severity: &'static str,
    /// What could not be read, and why.
    pub(super) notes: Vec<String>,
    /// Whether an alert event of this scan holds; false too where others tell of every fault.
    pub(super) alerted: bool,
}

/// A fault, and who watches for it.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// An objective is breached.
    Slo,
    /// The machine is not well, by the words of its watch.
    Host(BTreeSet<String>),
    /// Nobody else tells of it.
    Own,
}

#[derive(Debug, Default)]
struct Seen {
    faults: Vec<(Fault, String)>,
    notes: Vec<String>,
}

impl Incidents {
    /// Looks into the reports and lets the alert event agree with them. May be repeated.
    pub(super) async fn scan(&self, now: DateTime<Utc>) -> ScanReply {
        let (files, home) = (
            Arc::clone(&self.wiring.seams.files),
            Arc::clone(&self.wiring.home),
        );
        let looking = tokio::task::spawn_blocking(move || look(&*files, &home, now));
        let seen = looking.await.unwrap_or_else(|_died| Seen {
            notes: vec!["the thread that read the reports died".to_owned()],
            ..Seen::default()
        });
        let alerts = &self.wiring.alerts;
        let active = alerts.active();
        let is_told = seen.faults.iter().all(|(fault, _)| fault.is_told(&active));
        let count = seen.faults.len();
        let details: Vec<String> = seen.faults.into_iter().map(|(_, text)| text).collect();
        let alerted = count > 0 && !is_told;
        let (severity, word) = match count {
            0 => (Severity::Info, "none"),
            1.. if count < SEVERE => (Severity::Error, "MEDIUM"),
            _ => (Severity::Critical, "HIGH"),
        };
        if alerted {
            alerts.raise(finding(&details, severity, now), now);
        } else if count > 0 {
            alerts.resolve(KEY, now, "those who watch for it tell of it themselves");
        } else {
            alerts.resolve(KEY, now, "the scan is clean");
        }
        // Kept and written later where storage refuses: the answer is as good.
        let _refused = alerts.settled().await;
        ScanReply {
            breach: count > 0,
            incident_count: count,
            details,
            severity: word,
            notes: seen.notes,
            alerted,
        }
    }
}

fn finding(details: &[String], severity: Severity, now: DateTime<Utc>) -> Finding {
    let bullets: Vec<String> = details.iter().map(|detail| format!("• {detail}")).collect();
    Finding {
        key: KEY.to_owned(),
        source: SOURCE.to_owned(),
        severity,
        summary: details.join("; "),
        started_at: now,
        annotations: Labels::from([("details", bullets.join("\n"))]),
        ..Finding::default()
    }
}

impl Fault {
    /// Whether an alert event of its own watcher holds.
    fn is_told(&self, active: &[Active]) -> bool {
        let told = |one: &&Active| one.finding.severity >= Severity::Warning;
        let mut told = active.iter().filter(told).map(|one| &*one.finding);
        match self {
            Self::Slo => told.any(|finding| finding.key.starts_with("slo:")),
            Self::Host(warnings) => {
                let hosts = told.filter(|finding| finding.key.starts_with("host:"));
                let words: BTreeSet<&str> = hosts
                    .filter_map(|finding| finding.labels.get("warning"))
                    .collect();
                warnings.iter().all(|word| words.contains(word.as_str()))
            }
            Self::Own => false,
        }
    }
}

fn look(files: &dyn Files, home: &Path, now: DateTime<Utc>) -> Seen {
    let logs = home.join("logs");
    let mut seen = Seen::default();
    if let Some(report) = seen.json(files, &logs, "slo_report.json") {
        seen.add(slo(&report).map(|text| (Fault::Slo, text)));
    }
    if let Some(report) = seen.json(files, &logs, "payout_recon.json") {
        seen.add(payouts(&report).map(|text| (Fault::Own, text)));
    }
    let name = "ops_sentinel.ndjson";
    match files
        .open_read(&logs.join(name))
        .and_then(|mut file| tail(&mut *file))
    {
        Ok(text) => {
            let words = warnings(&text, now);
            let listed = quoted(words.iter().map(String::as_str));
            let text = format!("System warnings: {listed}");
            seen.add((!words.is_empty()).then_some((Fault::Host(words), text)));
        }
        Err(error) => seen.unread(name, &error),
    }
    if let Some(report) = seen.json(files, &logs, "production_alerts.json") {
        seen.add(production(&report).map(|text| (Fault::Own, text)));
    }
    seen
}

impl Seen {
    fn add(&mut self, fault: Option<(Fault, String)>) {
        self.faults.extend(fault);
    }

    fn unread(&mut self, name: &str, error: &std::io::Error) {
        self.notes
            .push(if error.kind() == std::io::ErrorKind::NotFound {
                format!("`logs/{name}` is not there")
            } else {
                format!("`logs/{name}` cannot be read: {error}")
            });
    }

    fn json(&mut self, files: &dyn Files, logs: &Path, name: &str) -> Option<Value> {
        let read = files
            .open_read(&logs.join(name))
            .and_then(|mut file| read_whole(&mut *file, MOST_BYTES));
        match read {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(value) => return Some(value),
                Err(fault) => self
                    .notes
                    .push(format!("`logs/{name}` is not JSON: {fault}")),
            },
            Err(error) => self.unread(name, &error),
        }
        None
    }
}

/// The end of a file; its first line may be cut.
fn tail(file: &mut dyn ReadFile) -> std::io::Result<Vec<u8>> {
    let size = file.stat()?.size;
    file.seek(size.saturating_sub(TAIL_BYTES))?;
    read_whole(file, TAIL_BYTES * 2)
}

fn slo(report: &Value) -> Option<String> {
    report.get("breach")?.as_bool().filter(|breach| *breach)?;
    let number = |name: &str| report.get(name).and_then(Value::as_f64);
    let p95 = number("p95_ms").map_or("unknown".to_owned(), |ms| format!("{}ms", ms.round()));
    let success = number("success_rate");
    let success = success.map_or("unknown".to_owned(), |rate| {
        ((rate * 10_000.0).round() / 10_000.0).to_string()
    });
    Some(format!("SLO breach: P95={p95}, Success={success}"))
}

fn payouts(report: &Value) -> Option<String> {
    let count = |name: &str| match report.get(name) {
        Some(Value::Array(list)) => list.len() as u64,
        Some(other) => other.as_u64().unwrap_or(0),
        None => 0,
    };
    let (missing, mismatched) = (count("missing"), count("mismatched"));
    (missing + mismatched > 0)
        .then(|| format!("Payout issues: {missing} missing, {mismatched} mismatched"))
}

/// Words of all recent lines. Lines without a time count only where they are the last.
fn warnings(text: &[u8], now: DateTime<Utc>) -> BTreeSet<String> {
    let lines = text.split(|byte| *byte == b'\n').rev();
    let lines = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let told = lines.filter(|line| line.get("warnings").is_some_and(Value::is_array));
    let mut words = BTreeSet::new();
    for (place, line) in told.enumerate() {
        let is_recent = match time_of(&line) {
            Some(at) => now - at <= RECENT,
            None => place == 0,
        };
        if !is_recent {
            break;
        }
        let list = line.get("warnings").and_then(Value::as_array);
        let list = list.into_iter().flatten().filter_map(Value::as_str);
        words.extend(list.map(str::to_owned));
    }
    words
}

fn time_of(line: &Value) -> Option<DateTime<Utc>> {
    let text = ["ts", "ts_iso", "timestamp"]
        .iter()
        .find_map(|name| line.get(name)?.as_str())?;
    text.parse().ok()
}

/// What a report of open alerts lists: texts, or objects with a text.
fn production(report: &Value) -> Option<String> {
    let list = report.get("alerts").unwrap_or(report).as_array()?;
    let open = list.iter().filter(|one| !is_over(one) && !is_ours(one));
    let mut texts = open
        .filter_map(|one| {
            let names = ["message", "summary", "text", "alert", "name", "type"];
            one.as_str()
                .or_else(|| names.iter().find_map(|name| one.get(name)?.as_str()))
        })
        .peekable();
    texts.peek()?;
    Some(format!("Production alerts: {}", quoted(texts)))
}

/// `texts` in a row, each and all of bounded length: a file may hold anything.
fn quoted<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut texts = texts.map(|text| text.chars().take(MOST_LETTERS).collect());
    let mut all: Vec<String> = texts.by_ref().take(MOST_QUOTED).collect();
    match texts.count() {
        0 => {}
        more => all.push(format!("and {more} more")),
    }
    all.join(", ")
}

/// Whether it is a row of the router's own report: told already, by its very kind.
fn is_ours(alert: &Value) -> bool {
    let texts = ["key", "level", "source", "started_at"];
    let is_text = |name: &&str| alert.get(*name).is_some_and(Value::is_string);
    texts.iter().all(is_text) && alert.get("acknowledged").is_some_and(Value::is_boolean)
}

fn is_over(alert: &Value) -> bool {
    let resolved = alert.get("resolved").and_then(Value::as_bool) == Some(true);
    let status = alert.get("status").and_then(Value::as_str);
    resolved || matches!(status, Some("resolved" | "ok" | "closed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_words_are_the_known_ones() {
        let report = json!({ "breach": true, "p95_ms": 1500.2, "success_rate": 0.96 });
        let told = slo(&report).unwrap();
        assert_eq!(told, "SLO breach: P95=1500ms, Success=0.96");
        let unknown = json!({ "breach": true, "p95_ms": null });
        assert_eq!(
            slo(&unknown).unwrap(),
            "SLO breach: P95=unknown, Success=unknown"
        );
        assert_eq!(slo(&json!({ "breach": false, "p95_ms": 1 })), None);
        let told = "Payout issues: 2 missing, 1 mismatched";
        for report in [
            json!({ "missing": 2, "mismatched": 1, "matched": 40 }),
            json!({ "missing": ["a", "b"], "mismatched": [{ "id": 1 }], "extra": [] }),
        ] {
            assert_eq!(payouts(&report).as_deref(), Some(told));
        }
        for foreign in [json!([]), json!(7), json!({ "missing": "x" }), json!(null)] {
            assert_eq!((payouts(&foreign), slo(&foreign)), (None, None));
        }
    }

    #[test]
    fn only_recent_warnings_count() {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let text = br#"{"ts":"2026-11-21T09:00:00.000Z","warnings":["high_disk"]}
            {"ts":"2026-11-21T11:54:00.000Z","warnings":["high_ram"]}
            not a line
            {"ts":"2026-11-21T11:57:00.000Z","warnings":["high_cpu"],"cpu_percent":99}
            {"kind":"segment.began"}
"#;
        let words: Vec<_> = warnings(text, now).into_iter().collect();
        assert_eq!(words, ["high_cpu", "high_ram"]);
        let bare = warnings(br#"{"warnings":["high_ram"]}"#, now);
        assert_eq!(bare.len(), 1);
    }

    #[test]
    fn alerts_of_others_are_read_in_several_forms() {
        let told = |report: &Value| production(report);
        let report = json!({ "alerts": [
            { "message": "queue stuck" }, { "name": "old", "status": "resolved" }, "bare", 7,
        ] });
        assert_eq!(
            told(&report).unwrap(),
            "Production alerts: queue stuck, bare"
        );
        assert_eq!(told(&json!({ "alerts": [] })), None);
        let own = json!({ "ok": true, "ts_iso": "2026-11-21T12:00:00.000Z", "count": 1, "alerts": [{
            "level": "error", "source": "probes", "summary": "no answer",
            "started_at": "2026-11-21T12:00:00.000Z", "key": "probe:web", "acknowledged": false,
        }] });
        assert_eq!(told(&own), None, "who watches for it tells of it");
        let flood: Vec<Value> = (0..5_000).map(|_| json!("x".repeat(1000))).collect();
        let flood = told(&json!(flood)).unwrap();
        assert!(flood.len() < 5000 && flood.ends_with(", and 4980 more"));
        assert_eq!(told(&json!({ "other": 1 })), None);
    }
}
