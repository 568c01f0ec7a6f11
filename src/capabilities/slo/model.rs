//! What an objective is, which rules watch it, and what is counted for it.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Minutes of an hour.
pub const HOUR: i64 = 60;
/// Minutes of a day.
pub const DAY: i64 = 24 * HOUR;

/// Requests and how many of them were bad, within some window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tally {
    /// All that count.
    pub requests: u64,
    /// Those that failed, or were slower than the objective allows.
    pub bad: u64,
}

impl Tally {
    /// Share of the bad ones; `None` where nothing was counted.
    pub fn ratio(self) -> Option<f64> {
        (self.requests > 0).then(|| self.bad as f64 / self.requests as f64)
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            bad: self.bad + other.bad,
        }
    }

    /// What is left without `other`, which is a part of it.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(other.requests),
            bad: self.bad.saturating_sub(other.bad),
        }
    }
}

/// What was counted, minute by minute. Minutes are counted from 1970-01-01T00:00Z; a window holds
/// `from` and ends before `until`.
pub trait Past {
    /// Everything within a window.
    fn tally(&self, from: i64, until: i64) -> Tally;

    /// The first minute that is known; `None` where nothing is.
    fn begins(&self) -> Option<i64>;
}

/// The minute `at` lies in.
pub fn minute_of(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(60)
}

/// The instant a minute begins at.
pub fn begin_of(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(minute.saturating_mul(60), 0).unwrap_or_default()
}

/// How urgent an alert is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody must look now.
    Page,
    /// Somebody must look within days.
    Ticket,
}

impl Severity {
    /// Both, the urgent one first.
    pub const ALL: [Self; 2] = [Self::Page, Self::Ticket];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A rule that opens an alert: the four rows of the burn-rate table (Google, Site Reliability
/// Workbook, ch. 5, table 5-8), and the one for services with few requests.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// 2 % of the budget in an hour.
    PageFast,
    /// 5 % in six hours.
    PageSlow,
    /// 10 % in a day.
    TicketFast,
    /// 10 % in three days.
    TicketSlow,
    /// At least half of the requests of six hours, whatever that burns.
    Sustained,
}

impl Rule {
    /// All, the most urgent first.
    pub const ALL: [Self; 5] = [
        Self::PageFast,
        Self::PageSlow,
        Self::TicketFast,
        Self::TicketSlow,
        Self::Sustained,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PageFast => "page_fast",
            Self::PageSlow => "page_slow",
            Self::TicketFast => "ticket_fast",
            Self::TicketSlow => "ticket_slow",
            Self::Sustained => "sustained",
        }
    }

    /// What it opens.
    pub const fn severity(self) -> Severity {
        match self {
            Self::PageFast | Self::PageSlow => Severity::Page,
            Self::TicketFast | Self::TicketSlow | Self::Sustained => Severity::Ticket,
        }
    }

    /// Minutes of the window that tells how much was burnt.
    pub const fn long(self) -> i64 {
        match self {
            Self::PageFast => HOUR,
            Self::PageSlow | Self::Sustained => 6 * HOUR,
            Self::TicketFast => DAY,
            Self::TicketSlow => 3 * DAY,
        }
    }

    /// Minutes of the window that tells whether it still burns: a twelfth of the long one.
    pub const fn short(self) -> i64 {
        match self {
            Self::Sustained => self.long(),
            _ => self.long() / 12,
        }
    }

    /// Share of the budget that the long window may burn, in percent; the sustained rule has none.
    const fn spent_percent(self) -> Option<f64> {
        match self {
            Self::PageFast => Some(2.0),
            Self::PageSlow => Some(5.0),
            Self::TicketFast | Self::TicketSlow => Some(10.0),
            Self::Sustained => None,
        }
    }

    /// Burn rate above which it fires: spent share × period ÷ long window. 14.4, 6, 3 and 1 at 30
    /// days.
    pub fn factor(self, period_days: u32) -> Option<f64> {
        let period = f64::from(period_days) * DAY as f64;
        Some(self.spent_percent()? * period / (100.0 * self.long() as f64))
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What makes a request a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Kind {
    /// It failed.
    Availability,
    /// It took longer than this.
    Latency {
        /// Milliseconds.
        threshold_ms: f64,
    },
}

/// Planned work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MaintenanceWindow {
    /// When it begins.
    pub from: DateTime<Utc>,
    /// When it ends.
    pub until: DateTime<Utc>,
    /// What is done.
    pub reason: String,
    /// Objectives it concerns; none named = all.
    pub objectives: BTreeSet<String>,
}

impl MaintenanceWindow {
    /// Whether it concerns an objective.
    pub fn concerns(&self, objective: &str) -> bool {
        self.objectives.is_empty() || self.objectives.contains(objective)
    }

    /// The whole minutes of it that do not count, declared at `declared`: a window excuses only
    /// what comes after it was written down.
    pub fn excused(&self, declared: DateTime<Utc>) -> (i64, i64) {
        let begin = self.from.max(declared);
        let whole = minute_of(begin) + i64::from(begin.timestamp().rem_euclid(60) > 0);
        (whole, minute_of(self.until))
    }
}

/// How few requests are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LowTraffic {
    /// Bad requests in the long window below which no page opens.
    pub min_bad_page: u64,
    /// Bad requests in the long window below which no ticket opens.
    pub min_bad_ticket: u64,
    /// Requests up to which a long window is measured against what usual traffic brings.
    pub few_requests: u64,
    /// Share of bad requests over six hours that opens a ticket, in percent.
    pub sustained_percent: f64,
    /// Bad requests within those six hours at least.
    pub sustained_bad: u64,
}

impl Default for LowTraffic {
    fn default() -> Self {
        Self {
            min_bad_page: 3,
            min_bad_ticket: 2,
            few_requests: 30,
            sustained_percent: 50.0,
            sustained_bad: 5,
        }
    }
}

impl LowTraffic {
    /// Bad requests in the long window of a rule, at least.
    pub const fn min_bad(&self, rule: Rule) -> u64 {
        match rule {
            Rule::Sustained => self.sustained_bad,
            _ => match rule.severity() {
                Severity::Page => self.min_bad_page,
                Severity::Ticket => self.min_bad_ticket,
            },
        }
    }
}

/// One objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Its name.
    pub name: String,
    /// The series of samples it is measured on.
    pub series: String,
    /// What makes a request bad.
    pub kind: Kind,
    /// Share of good requests that is promised, in percent.
    pub target_percent: f64,
    /// Days that the promise is about, ending now.
    pub period_days: u32,
    /// The rules that watch it.
    pub rules: BTreeSet<Rule>,
    /// How few requests are judged.
    pub low_traffic: LowTraffic,
}

impl Objective {
    /// Share of bad requests that the target allows: 0.001 at 99.9 %.
    pub fn allowed_ratio(&self) -> f64 {
        allowed_ratio(self.target_percent)
    }

    /// How fast a share of bad requests burns the budget: 1 = as fast as the period allows.
    pub fn burn(&self, ratio: f64) -> f64 {
        ratio / self.allowed_ratio()
    }

    /// Minutes of the period.
    pub fn period(&self) -> i64 {
        i64::from(self.period_days) * DAY
    }
}

/// Share of bad requests that a target in percent allows. Taken to eight decimals, as a person
/// reads it: 100 − 99.9 is a little less than 0.1 for a machine.
pub fn allowed_ratio(target_percent: f64) -> f64 {
    ((100.0 - target_percent) * 1e6).round() / 1e8
}

/// The highest burn rate there is at a target: that of nothing but bad requests.
pub fn highest_burn(target_percent: f64) -> f64 {
    1.0 / allowed_ratio(target_percent)
}

/// A window for people: `5m`, `6h`, `30d`.
pub fn span(minutes: i64) -> String {
    match minutes {
        m if m >= DAY && m % DAY == 0 && m != DAY => format!("{}d", m / DAY),
        DAY => "1d".to_owned(),
        m if m >= HOUR && m % HOUR == 0 => format!("{}h", m / HOUR),
        m => format!("{m}m"),
    }
}
