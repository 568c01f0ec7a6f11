//! `configs/slo.json`: what is promised, on which series, and who is told.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::intake::{self, config::SourceConfig};
use super::model::{Kind, LowTraffic, MaintenanceWindow, Objective, Rule, highest_burn};
use super::rules::{SloRules, Told, Watched};
use super::text;
use crate::base::json::{Path, Tree};
use crate::base::names::is_name;
use crate::base::problems::Problems;
use crate::platform::alerts::Severity as AlertSeverity;
use crate::platform::config::{Config, schema_of, typed};

/// Objectives at most. Each is judged once a minute.
const MOST_OBJECTIVES: usize = 200;
/// Maintenance windows at most.
const MOST_WINDOWS: usize = 1000;
/// Days of a maintenance window at most: longer ones hide more than they plan.
const MOST_WINDOW_DAYS: i64 = 7;
/// Milliseconds of a threshold at most: a day.
const MOST_MS: f64 = 86_400_000.0;

/// SLOs: what is promised, and when that must wake somebody.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: service level objectives")]
#[serde(deny_unknown_fields)]
struct RawSlo {
    /// Objectives by name: lower-case letters, digits, `_`, `-`.
    #[serde(default)]
    objectives: BTreeMap<String, RawObjective>,
    /// Where samples come from, by name. An objective may also be measured on a probe.
    #[serde(default)]
    sources: BTreeMap<String, SourceConfig>,
    /// Planned work: what fails in it does not count, if it was written here before.
    #[serde(default)]
    maintenance: Vec<RawWindow>,
}

/// What makes a request a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    /// It failed.
    Availability,
    /// It took longer than `threshold_ms`; requests without a known duration do not count.
    Latency,
}

/// One objective.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawObjective {
    /// The series of samples it is measured on, such as `echopilot`, the daemon's own requests.
    series: String,
    /// What makes a request a bad one.
    kind: RawKind,
    /// Milliseconds within which a request is a good one; only with the kind `latency`.
    #[serde(default)]
    threshold_ms: Option<f64>,
    /// Share of good requests that is promised, in percent: 99.9.
    target_percent: f64,
    /// Days that the promise is about, ending now: 7, 28, 30 or 90. Default 30.
    #[serde(default = "thirty")]
    period_days: u32,
    /// Rules that open alerts; `false` switches one off.
    #[serde(default)]
    alerts: RawAlerts,
    /// How urgent an alert event is.
    #[serde(default)]
    severities: RawSeverities,
    /// How few requests are judged.
    #[serde(default)]
    low_traffic: RawLowTraffic,
}

const fn thirty() -> u32 {
    30
}

/// Which rules open alerts; all by default.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "one switch per rule")]
struct RawAlerts {
    /// Page: 2 % of the budget within 1 h, and still over 5 m.
    page_fast: bool,
    /// Page: 5 % within 6 h, and still over 30 m.
    page_slow: bool,
    /// Ticket: 10 % within 1 d, and still over 2 h.
    ticket_fast: bool,
    /// Ticket: 10 % within 3 d, and still over 6 h.
    ticket_slow: bool,
    /// Ticket: at least half of the requests of 6 h, whatever that burns.
    sustained: bool,
}

impl Default for RawAlerts {
    fn default() -> Self {
        Self {
            page_fast: true,
            page_slow: true,
            ticket_fast: true,
            ticket_slow: true,
            sustained: true,
        }
    }
}

impl RawAlerts {
    const fn has(self, rule: Rule) -> bool {
        match rule {
            Rule::PageFast => self.page_fast,
            Rule::PageSlow => self.page_slow,
            Rule::TicketFast => self.ticket_fast,
            Rule::TicketSlow => self.ticket_slow,
            Rule::Sustained => self.sustained,
        }
    }
}

/// Severities of alert events: info, warning, error or critical.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawSeverities {
    /// Of a page. Default critical.
    page: AlertSeverity,
    /// Of a ticket. Default warning.
    ticket: AlertSeverity,
    /// Of an exhausted budget. Default error; a low one is a warning.
    budget: AlertSeverity,
}

impl Default for RawSeverities {
    fn default() -> Self {
        Self {
            page: AlertSeverity::Critical,
            ticket: AlertSeverity::Warning,
            budget: AlertSeverity::Error,
        }
    }
}

/// How few requests are judged.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawLowTraffic {
    /// Bad requests in the long window below which no page opens. Default 3.
    #[schemars(range(max = 1_000_000))]
    min_bad_page: u32,
    /// Bad requests in the long window below which no ticket opens. Default 2.
    #[schemars(range(max = 1_000_000))]
    min_bad_ticket: u32,
    /// A long window with fewer requests than this is measured against what usual traffic brings.
    /// Default 30.
    #[schemars(range(max = 1_000_000))]
    few_requests: u32,
    /// Share of bad requests over 6 h that opens a ticket, in percent. Default 50.
    #[schemars(range(min = 1, max = 100))]
    sustained_percent: u32,
    /// Bad requests within those 6 h, at least. Default 5.
    #[schemars(range(min = 1, max = 1_000_000))]
    sustained_bad: u32,
}

impl Default for RawLowTraffic {
    fn default() -> Self {
        Self {
            min_bad_page: 3,
            min_bad_ticket: 2,
            few_requests: 30,
            sustained_percent: 50,
            sustained_bad: 5,
        }
    }
}

impl RawLowTraffic {
    fn checked(self) -> LowTraffic {
        LowTraffic {
            min_bad_page: self.min_bad_page.into(),
            min_bad_ticket: self.min_bad_ticket.into(),
            few_requests: self.few_requests.into(),
            sustained_percent: self.sustained_percent.into(),
            sustained_bad: self.sustained_bad.into(),
        }
    }
}

/// Planned work.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    /// When it begins, UTC: `2026-11-21T02:00:00Z`.
    from: String,
    /// When it ends, UTC; at most 7 days later.
    until: String,
    /// What is done.
    reason: String,
    /// Objectives it concerns. Default: all.
    #[serde(default)]
    objectives: Vec<String>,
}

/// The file.
#[derive(Debug)]
pub struct SloConfig;

impl Config for SloConfig {
    const FILE: &'static str = "slo.json";
    const SHIPPED: &'static str = include_str!("../../../configs/slo.json");
    type Rules = SloRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<SloRules> {
        let raw: RawSlo = typed(tree, problems)?;
        if raw.objectives.len() > MOST_OBJECTIVES {
            let path = Path::root().key("objectives");
            let hint = "measure several routes by one objective";
            problems.out_of_range(path, raw.objectives.len(), "at most 200 objectives", hint);
        }
        let objectives = Path::root().key("objectives");
        for (name, objective) in &raw.objectives {
            check(&objectives.key(name), name, objective, problems);
        }
        let maintenance = windows(&raw, problems);
        let sources = intake::rules::check(&raw.sources, &Path::root().key("sources"), problems);
        if !problems.is_empty() {
            return None;
        }
        let watched = raw.objectives.iter().map(|(name, raw)| watched(name, raw));
        Some(SloRules {
            objectives: watched.collect(),
            maintenance,
            sources,
        })
    }

    fn schema() -> Schema {
        schema_of::<RawSlo>()
    }
}

fn watched(name: &str, raw: &RawObjective) -> Watched {
    let kind = match (raw.kind, raw.threshold_ms) {
        (RawKind::Latency, Some(threshold_ms)) => Kind::Latency { threshold_ms },
        _ => Kind::Availability,
    };
    let rules: BTreeSet<Rule> = Rule::ALL
        .into_iter()
        .filter(|rule| raw.alerts.has(*rule))
        .collect();
    Watched {
        objective: Objective {
            name: name.to_owned(),
            series: raw.series.clone(),
            kind,
            target_percent: raw.target_percent,
            period_days: raw.period_days,
            rules,
            low_traffic: raw.low_traffic.checked(),
        },
        told: Told {
            page: raw.severities.page,
            ticket: raw.severities.ticket,
            budget: raw.severities.budget,
        },
    }
}

fn check(path: &Path, name: &str, raw: &RawObjective, problems: &mut Problems) {
    if !is_name(name) {
        let found = format!("the name `{name}`");
        let allowed = "1..=64 lower-case letters, digits, `_` or `-`, the first no mark";
        problems.not_allowed(path, found, allowed, "it stands in URLs and in alert keys");
    }
    if raw.series.is_empty() {
        let hint = "`echopilot` is the daemon's own requests; GET /api/slo/samples lists all";
        problems.not_allowed(path.key("series"), "empty", "the name of a series", hint);
    }
    check_threshold(path, raw, problems);
    if ![7, 28, 30, 90].contains(&raw.period_days) {
        let hint = "30 is usual; 28 has the same weekdays in each period";
        problems.not_allowed(
            path.key("period_days"),
            raw.period_days,
            "7, 28, 30 or 90",
            hint,
        );
    }
    let target = raw.target_percent;
    // 99.9999 % of 30 days is 2.6 seconds; more nines are a slip of the finger.
    if (1.0..=99.9999).contains(&target) {
        check_rules(path, raw, problems);
    } else {
        let hint = "99.9 allows 43 minutes of outage in 30 days";
        problems.out_of_range(path.key("target_percent"), target, "1..=99.9999", hint);
    }
}

fn check_threshold(path: &Path, raw: &RawObjective, problems: &mut Problems) {
    let path = path.key("threshold_ms");
    match (raw.kind, raw.threshold_ms) {
        (RawKind::Latency, None) => {
            let allowed = "given with the kind `latency`";
            problems.missing_key(path, allowed, "250 is a page that feels quick");
        }
        (RawKind::Latency, Some(ms)) if !(0.001..=MOST_MS).contains(&ms) => {
            let hint = "milliseconds within which a request is a good one";
            problems.out_of_range(path, ms, "0.001..=86400000 ms", hint);
        }
        (RawKind::Availability, Some(ms)) => {
            let hint = "remove it, or write the kind `latency`";
            problems.not_allowed(path, ms, "absent with the kind `availability`", hint);
        }
        _ => {}
    }
}

/// A rule whose factor no burn can exceed would look like a guard and be none.
fn check_rules(path: &Path, raw: &RawObjective, problems: &mut Problems) {
    let highest = highest_burn(raw.target_percent);
    let on = Rule::ALL.into_iter().filter(|rule| raw.alerts.has(*rule));
    for rule in on {
        let Some(factor) = rule.factor(raw.period_days) else {
            continue;
        };
        if factor < highest {
            continue;
        }
        let found = format!("a rule that fires above burn {}", text::short(factor));
        let allowed = format!(
            "below {}, the burn of nothing but bad requests at a target of {} %",
            text::short(highest),
            raw.target_percent
        );
        let hint = format!(
            "it could never fire: write `\"alerts\": {{\"{rule}\": false}}`, or a target above \
             {:.2} %",
            100.0 - 100.0 / factor
        );
        problems.out_of_range(path.key("alerts").key(rule.name()), found, allowed, hint);
    }
}

fn windows(raw: &RawSlo, problems: &mut Problems) -> Vec<MaintenanceWindow> {
    let path = Path::root().key("maintenance");
    if raw.maintenance.len() > MOST_WINDOWS {
        let hint = "remove those that are older than the longest period";
        problems.out_of_range(&path, raw.maintenance.len(), "at most 1000 windows", hint);
    }
    let windows = raw.maintenance.iter().enumerate();
    windows
        .filter_map(|(at, window)| read_window(&path.index(at), window, raw, problems))
        .collect()
}

fn read_window(
    path: &Path,
    raw: &RawWindow,
    whole: &RawSlo,
    problems: &mut Problems,
) -> Option<MaintenanceWindow> {
    for (at, name) in raw.objectives.iter().enumerate() {
        if !whole.objectives.contains_key(name) {
            let known = whole.objectives.keys().map(String::as_str);
            let path = path.key("objectives").index(at);
            problems.unknown_word(path, name, known, "remove it for all objectives");
        }
    }
    let from = instant(path.key("from"), &raw.from, problems);
    let until = instant(path.key("until"), &raw.until, problems);
    let (from, until) = (from?, until?);
    let minutes = (until - from).num_minutes();
    if !(1..=MOST_WINDOW_DAYS * 24 * 60).contains(&minutes) {
        let allowed = "1 minute to 7 days after `from`";
        let hint = "what fails in it does not count: no longer than the work takes";
        problems.out_of_range(path.key("until"), &raw.until, allowed, hint);
    }
    Some(MaintenanceWindow {
        from,
        until,
        reason: raw.reason.clone(),
        objectives: raw.objectives.iter().cloned().collect(),
    })
}

fn instant(path: Path, text: &str, problems: &mut Problems) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(text).ok();
    if at.is_none() {
        let found = format!("\"{text}\"");
        let hint = "write it like 2026-11-21T02:00:00Z";
        problems.not_allowed(path, found, "an RFC 3339 instant", hint);
    }
    at.map(|at| at.to_utc())
}
