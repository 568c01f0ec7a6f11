//! Probes, checked: what is called, how often, and what a good answer is.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use regex::Regex;

use crate::base::calendar::Window;
use crate::base::json::Path;
use crate::platform::alerts::Severity;
use crate::seams::outbound::{Host, Question, Rcode, Request, Target};

/// All probes, checked.
#[derive(Debug)]
pub struct ProbesRules {
    /// Those that are run, by name.
    pub probes: BTreeMap<Arc<str>, Arc<Probe>>,
    /// What tells whether our own network works; empty trusts it.
    pub connectivity: Vec<Target>,
    /// When failures are planned.
    pub maintenance: Vec<Maintenance>,
}

impl ProbesRules {
    /// Until when failures of `probe` are planned, if they are at `now`.
    pub fn maintained_until(&self, probe: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let of =
            |one: &&Maintenance| one.probes.is_empty() || one.probes.iter().any(|p| p == probe);
        let open = self.maintenance.iter().filter(of);
        open.filter_map(|one| Some(one.window.open_at(now)?.1))
            .max()
    }
}

/// When failures of some probes are planned.
#[derive(Debug)]
pub struct Maintenance {
    /// Whose; empty for all.
    pub probes: Vec<String>,
    /// When.
    pub window: Window,
}

/// One probe.
#[derive(Debug)]
pub struct Probe {
    /// Its name.
    pub name: Arc<str>,
    /// What is called.
    pub check: Check,
    /// Whether the call goes beyond this machine and its neighbours, so that a failure may be our
    /// own network's.
    pub is_remote: bool,
    /// The same as long as what is called stays the same.
    pub definition: u64,
    /// From one look to the next.
    pub interval: Duration,
    /// After which a look is given up.
    pub timeout: Duration,
    /// From one look to the next while it is not sure.
    pub retry: Duration,
    /// Failures in a row that open.
    pub failures_to_open: u32,
    /// Successes in a row that close.
    pub successes_to_close: u32,
    /// After which it is told again.
    pub reminder: Option<Duration>,
    /// The probe without which this one cannot succeed.
    pub parent: Option<Arc<str>>,
    /// How bad it is when it is down.
    pub severity: Severity,
    /// Labels of its alerts.
    pub labels: BTreeMap<String, String>,
}

/// What a probe calls.
#[derive(Debug)]
pub enum Check {
    /// A request.
    Http(Box<HttpCheck>),
    /// A connection.
    Tcp {
        /// Where to.
        target: Target,
        /// How long it may take.
        most: Option<Duration>,
    },
    /// TLS.
    Tls {
        /// Where to.
        target: Target,
        /// Whose the certificate must be.
        name: Option<Host>,
        /// When its end is near.
        days: CertDays,
    },
    /// A question.
    Dns(Box<DnsCheck>),
}

impl Check {
    /// `http`, `tcp`, `tls` or `dns`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp { .. } => "tcp",
            Self::Tls { .. } => "tls",
            Self::Dns(_) => "dns",
        }
    }
}

impl Display for Check {
    /// What is called, without anything that may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(check) => write!(f, "{}", check.request.url),
            Self::Tcp { target, .. } | Self::Tls { target, .. } => write!(f, "{target}"),
            Self::Dns(check) => write!(f, "{} {}", check.question.kind, check.question.name),
        }
    }
}

/// When the end of a certificate is near, in days left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertDays {
    /// Below this, a warning.
    pub warn: u32,
    /// Below this, critical.
    pub critical: u32,
}

/// A request and what is good of its answer.
#[derive(Debug)]
pub struct HttpCheck {
    /// The request.
    pub request: Request,
    /// Statuses that are good.
    pub status: Vec<RangeInclusive<u16>>,
    /// Headers and the patterns they must match.
    pub headers: Vec<(String, Regex)>,
    /// Texts that must be in the body.
    pub contains: Vec<String>,
    /// Pattern that the body must match.
    pub pattern: Option<Regex>,
    /// What the body must say as JSON.
    pub json: Vec<JsonRule>,
    /// How long it may take.
    pub most: Option<Duration>,
    /// When the end of the certificate is near.
    pub days: CertDays,
}

/// What one value of a JSON body must be.
#[derive(Debug)]
pub struct JsonRule {
    /// The way to it.
    pub path: Path,
    /// The value itself.
    pub equals: Option<serde_json::Value>,
    /// Pattern that a text must match.
    pub pattern: Option<Regex>,
    /// Least of a number.
    pub at_least: Option<f64>,
    /// Most of a number.
    pub at_most: Option<f64>,
}

/// A question and what is good of its answer.
#[derive(Debug)]
pub struct DnsCheck {
    /// The question.
    pub question: Question,
    /// What the server must say.
    pub rcode: Rcode,
    /// Records that must be among the answers.
    pub answers: Vec<String>,
    /// How long it may take.
    pub most: Option<Duration>,
}
