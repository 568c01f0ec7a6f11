//! What is told of all objectives: `GET /api/slo` and `logs/slo_report.json`. Pure but for the
//! samples it is given.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::budget::{Budget, Burn, Level, budget, burns, shown};
use super::burn::{Reading, Verdict, read};
use super::excluded::Counted;
use super::logic::Standing;
use super::model::{Kind, Objective, Past, Rule, Severity, Tally, minute_of, span};
use super::past::Sampled;
use super::rules::{SloRules, Watched};
use super::text;
use super::view::SloView;
use crate::platform::samples::{Histogram, Samples};

/// Minutes that P95, P99 and the success rate are taken over.
const RECENT: i64 = 60;
/// Samples without which there is no P95, and no P99 (ops notes §2.2).
const ENOUGH_FOR_P95: u64 = 100;
/// See [`ENOUGH_FOR_P95`].
const ENOUGH_FOR_P99: u64 = 500;

/// All objectives.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    /// Whether an alert of any objective is open.
    pub breach: bool,
    /// Objectives, the worst first.
    pub objectives: Vec<ObjectiveReport>,
    /// P95 of the last hour of the slowest series, in milliseconds; null where no series has 100
    /// samples.
    pub p95_ms: Option<f64>,
    /// Longest duration of that hour and series, in milliseconds.
    pub max_ms: Option<f64>,
    /// Samples behind both.
    pub n: u64,
    /// Share of good requests in the last hour, of the worst availability objective; null without
    /// requests.
    pub success_rate: Option<f64>,
    /// When this was worked out.
    #[schemars(with = "String")]
    pub ts_iso: DateTime<Utc>,
    /// When the alerts were last decided; null before the first time.
    #[schemars(with = "Option<String>")]
    pub evaluated_at: Option<DateTime<Utc>>,
}

/// In a word, how an objective is; the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Everything as promised.
    Ok,
    /// No request in the whole period.
    NoData,
    /// Too few requests to say, or a rule that would fire but for that.
    TooFewEvents,
    /// Less than a quarter of the budget is left.
    BudgetLow,
    /// Nothing of the budget is left.
    Exhausted,
    /// A ticket is open.
    Ticket,
    /// A page is open.
    Page,
}

/// One objective.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ObjectiveReport {
    /// Its name.
    pub name: String,
    /// How it is, in a word.
    pub state: State,
    /// The series of samples it is measured on.
    pub series: String,
    /// What makes a request bad.
    #[serde(flatten)]
    pub kind: Kind,
    /// Share of good requests that is promised, in percent.
    pub target_percent: f64,
    /// Days that the promise is about.
    pub period_days: u32,
    /// Share of good requests in the period, in percent; null without requests.
    pub actual_percent: Option<f64>,
    /// What is left of the error budget.
    pub budget: Budget,
    /// How fast the budget burns, by window.
    pub burn: Vec<Burn>,
    /// What each rule says.
    pub rules: Vec<RuleReport>,
    /// Open alerts.
    pub alerts: Vec<AlertReport>,
    /// Share of good requests in the last hour; null without requests.
    pub success_rate: Option<f64>,
    /// Durations of the last hour.
    pub latency: LatencyReport,
}

/// One rule of an objective.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RuleReport {
    /// The rule.
    pub rule: Rule,
    /// What it opens.
    pub severity: Severity,
    /// `quiet`, `firing`, or `too_few_events`: it would fire, but for the guard.
    pub state: &'static str,
    /// The burn above which it fires; null for the sustained rule.
    pub factor: Option<f64>,
    /// Its long window.
    pub long: String,
    /// Its short window.
    pub short: String,
    /// Burn of the long window; null without requests.
    pub long_burn: Option<f64>,
    /// Burn of the short window; null without requests.
    pub short_burn: Option<f64>,
    /// Bad requests in the long window.
    pub bad: u64,
}

/// One open alert.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct AlertReport {
    /// Page or ticket.
    pub severity: Severity,
    /// The first bad request of it, to the minute.
    #[schemars(with = "String")]
    pub started_at: DateTime<Utc>,
    /// When it opened.
    #[schemars(with = "String")]
    pub fired_at: DateTime<Utc>,
    /// The rules that hold it open.
    pub rules: Vec<Rule>,
    /// Why it opened.
    pub text: String,
    /// Why it is open still, and until when.
    pub open_still: String,
}

/// Durations of a window.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LatencyReport {
    /// The window.
    pub window: String,
    /// Samples with a known duration.
    pub n: u64,
    /// 95 % took no longer, in milliseconds; null below 100 samples.
    pub p95_ms: Option<f64>,
    /// 99 % took no longer, in milliseconds; null below 500 samples.
    pub p99_ms: Option<f64>,
    /// The longest, in milliseconds.
    pub max_ms: Option<f64>,
}

impl LatencyReport {
    fn of(durations: &Histogram) -> Self {
        let n = durations.count();
        let quantile = |q, enough| {
            let found = durations.quantile(q).filter(|_| n >= enough);
            found.map(ms)
        };
        Self {
            window: span(RECENT),
            n,
            p95_ms: quantile(0.95, ENOUGH_FOR_P95),
            p99_ms: quantile(0.99, ENOUGH_FOR_P99),
            max_ms: durations.max().map(ms),
        }
    }
}

fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// Everything about all objectives at `now`; the running minute counts as the last one.
pub fn report(
    rules: &SloRules,
    view: &SloView,
    samples: &Samples,
    now: DateTime<Utc>,
    evaluated_at: Option<DateTime<Utc>>,
) -> Report {
    let mut latencies = BTreeMap::new();
    let mut objectives = Vec::with_capacity(rules.objectives.len());
    for watched in &rules.objectives {
        let series = &*watched.objective.series;
        let latency = latencies
            .entry(series)
            .or_insert_with(|| recent_latency(samples, series, now));
        objectives.push(objective_report(watched, view, samples, latency, now));
    }
    objectives.sort_by(|a, b| b.worse().total_cmp(&a.worse()));
    let slowest = latencies.values().max_by(|a, b| {
        let by = |one: &LatencyReport| one.p95_ms.or(one.max_ms).unwrap_or(-1.0);
        let known = a.p95_ms.is_some().cmp(&b.p95_ms.is_some());
        known.then(by(a).total_cmp(&by(b)))
    });
    let availability = objectives
        .iter()
        .filter(|one| one.kind == Kind::Availability);
    let rates = availability.filter_map(|one| one.success_rate);
    Report {
        breach: objectives.iter().any(|one| !one.alerts.is_empty()),
        p95_ms: slowest.and_then(|one| one.p95_ms),
        max_ms: slowest.and_then(|one| one.max_ms),
        n: slowest.map_or(0, |one| one.n),
        success_rate: rates.min_by(f64::total_cmp),
        objectives,
        ts_iso: now,
        evaluated_at,
    }
}

/// Durations of the last hour of a series.
pub fn recent_latency(samples: &Samples, series: &str, now: DateTime<Utc>) -> LatencyReport {
    let until = super::model::begin_of(minute_of(now) + 1);
    let from = until - TimeDelta::minutes(RECENT);
    LatencyReport::of(&samples.durations(series, from, until))
}

/// One objective.
pub fn objective_report(
    watched: &Watched,
    view: &SloView,
    samples: &Samples,
    latency: &LatencyReport,
    now: DateTime<Utc>,
) -> ObjectiveReport {
    let objective = &watched.objective;
    let standing = view.standing(&objective.name);
    let excluded = view.excluded(&objective.name);
    let counted = Sampled::new(samples, objective);
    let past = Counted {
        past: &counted,
        excluded: &excluded,
    };
    let until = minute_of(now) + 1;
    let readings = read(objective, &past, until, &|rule| standing.fires(rule));
    let budget = budget(objective, &past, until);
    let good = |tally: Tally| tally.ratio().map(|bad| 1.0 - bad);
    ObjectiveReport {
        name: objective.name.clone(),
        state: state(objective, &standing, &readings, &budget),
        series: objective.series.clone(),
        kind: objective.kind,
        target_percent: objective.target_percent,
        period_days: objective.period_days,
        actual_percent: good(budget.tally).map(|good| shown(good * 100.0)),
        burn: burns(objective, &past, until),
        rules: readings
            .iter()
            .map(|one| rule_report(objective, one))
            .collect(),
        alerts: alert_reports(objective, &standing, &past, minute_of(now)),
        success_rate: good(past.tally(until - RECENT, until)),
        latency: latency.clone(),
        budget,
    }
}

impl ObjectiveReport {
    /// How bad it is: the state first, then how much of the budget is gone.
    fn worse(&self) -> f64 {
        /// More than any budget is overdrawn by: a target of 99.9999 % allows a millionth.
        const STEP: f64 = 1e9;
        f64::from(self.state as u8) * STEP + self.budget.consumed_percent
    }
}

fn state(
    objective: &Objective,
    standing: &Standing,
    readings: &[Reading],
    budget: &Budget,
) -> State {
    let held = readings.iter().any(|one| one.verdict == Verdict::TooFew);
    let few = budget.tally.requests < objective.low_traffic.few_requests;
    match budget.level {
        _ if standing.open.contains_key(&Severity::Page) => State::Page,
        _ if standing.open.contains_key(&Severity::Ticket) => State::Ticket,
        Level::Exhausted => State::Exhausted,
        Level::Low => State::BudgetLow,
        Level::Ample if budget.tally.requests == 0 => State::NoData,
        Level::Ample if held || few => State::TooFewEvents,
        Level::Ample => State::Ok,
    }
}

fn rule_report(objective: &Objective, reading: &Reading) -> RuleReport {
    let rule = reading.rule;
    RuleReport {
        rule,
        severity: rule.severity(),
        state: match reading.verdict {
            Verdict::Quiet => "quiet",
            Verdict::Firing => "firing",
            Verdict::TooFew => "too_few_events",
        },
        factor: rule.factor(objective.period_days).map(shown),
        long: span(rule.long()),
        short: span(rule.short()),
        long_burn: reading.long_burn.map(shown),
        short_burn: reading.short_burn.map(shown),
        bad: reading.long.bad,
    }
}

fn alert_reports(
    objective: &Objective,
    standing: &Standing,
    past: &dyn Past,
    until: i64,
) -> Vec<AlertReport> {
    let open = standing.open.iter();
    open.map(|(severity, open)| AlertReport {
        severity: *severity,
        started_at: open.started_at,
        fired_at: open.fired_at,
        rules: open.rules.iter().copied().collect(),
        text: open.text.clone(),
        open_still: text::open_still(objective, past, open, until),
    })
    .collect()
}
