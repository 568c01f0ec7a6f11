//! What is written to `logs/probes.ndjson`. Version 1; old lines stay readable for ever.
//!
//! `probe.opened {probe, check, target, failing_since, failures, reason}` when a probe is down.
//! `probe.suppressed {probe, check, target, failing_since, parent, reason}` when it fails because
//! its parent is down, `probe.released {probe, parent}` when that parent is back.
//! `probe.closed {probe, check, target, failing_since, was, down_secs}` when it is up or gone.
//! `probe.reminded {probe, check, target, failing_since, down_secs, reason}` while it stays down.
//! `certificate.flagged {probe, level, not_after, days_left}` when the end of a certificate comes
//! near or is far again, `{probe, level, reason}` when one that was near is not looked at any more.
//! `connectivity.lost {probe}` when a look finds this machine offline, and `connectivity.restored`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::logic::Phase;
use super::model::Probe;
use crate::base::time::as_maybe_stamp;

/// Name of the journal.
pub const STREAM: &str = "probes";

/// Why a probe that was not well is not looked at any more.
const GONE: &str = "it was changed or taken out of `configs/probes.json`";

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeEvent {
    /// Event kind; not a member.
    #[serde(skip)]
    pub kind: &'static str,
    /// Which probe.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub probe: String,
    /// `http`, `tcp`, `tls` or `dns`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub check: &'static str,
    /// What it calls.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// The first failure of the row.
    #[serde(
        serialize_with = "as_maybe_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub failing_since: Option<DateTime<Utc>>,
    /// How many there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Whose fault it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<&'static str>,
    /// Seconds since the first failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_secs: Option<i64>,
    /// What the last failure was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How near the end of the certificate is: `fine`, `warning` or `critical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<&'static str>,
    /// When the certificate ends.
    #[serde(
        serialize_with = "as_maybe_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    pub not_after: Option<DateTime<Utc>>,
    /// Whole days until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
}

impl ProbeEvent {
    const fn empty(kind: &'static str) -> Self {
        Self {
            kind,
            probe: String::new(),
            check: "",
            target: String::new(),
            failing_since: None,
            failures: None,
            parent: None,
            was: None,
            down_secs: None,
            reason: None,
            level: None,
            not_after: None,
            days_left: None,
        }
    }

    fn of(kind: &'static str, probe: &Probe, began: DateTime<Utc>) -> Self {
        Self {
            probe: probe.name.to_string(),
            check: probe.check.kind(),
            target: probe.check.to_string(),
            failing_since: Some(began),
            ..Self::empty(kind)
        }
    }

    /// It is down.
    pub(super) fn opened(probe: &Probe, began: DateTime<Utc>, failures: u32, reason: &str) -> Self {
        Self {
            failures: Some(failures),
            reason: Some(reason.to_owned()),
            ..Self::of("probe.opened", probe, began)
        }
    }

    /// It fails because `parent` is down.
    pub(super) fn suppressed(
        probe: &Probe,
        began: DateTime<Utc>,
        parent: &str,
        reason: &str,
    ) -> Self {
        Self {
            parent: Some(parent.to_owned()),
            reason: Some(reason.to_owned()),
            ..Self::of("probe.suppressed", probe, began)
        }
    }

    /// The parent that it was suppressed for is back.
    pub(super) fn released(name: &str, parent: Option<&str>) -> Self {
        Self {
            probe: name.to_owned(),
            parent: parent.map(str::to_owned),
            ..Self::empty("probe.released")
        }
    }

    /// It is up again.
    pub(super) fn closed(
        probe: &Probe,
        began: DateTime<Utc>,
        was: Phase,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            was: Some(was.word()),
            down_secs: Some((now - began).num_seconds()),
            ..Self::of("probe.closed", probe, began)
        }
    }

    /// It is not run any more, or is another one by the same name.
    pub(super) fn removed(
        name: &str,
        began: DateTime<Utc>,
        was: Phase,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            probe: name.to_owned(),
            failing_since: Some(began),
            was: Some(was.word()),
            down_secs: Some((now - began).num_seconds()),
            reason: Some(GONE.to_owned()),
            ..Self::empty("probe.closed")
        }
    }

    /// It is still down.
    pub(super) fn reminded(
        probe: &Probe,
        began: DateTime<Utc>,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            down_secs: Some((now - began).num_seconds()),
            reason: Some(reason.to_owned()),
            ..Self::of("probe.reminded", probe, began)
        }
    }

    /// The end of its certificate is near, or far again.
    pub(super) fn flagged(
        probe: &Probe,
        level: &'static str,
        not_after: DateTime<Utc>,
        days_left: i64,
    ) -> Self {
        Self {
            probe: probe.name.to_string(),
            level: Some(level),
            not_after: Some(not_after),
            days_left: Some(days_left),
            ..Self::empty("certificate.flagged")
        }
    }

    /// Its certificate is not looked at any more.
    pub(super) fn forgotten(name: &str) -> Self {
        Self {
            probe: name.to_owned(),
            level: Some("fine"),
            reason: Some(GONE.to_owned()),
            ..Self::empty("certificate.flagged")
        }
    }

    /// This machine is offline, as the look of `probe` has found.
    pub(super) fn offline(probe: &str) -> Self {
        Self {
            probe: probe.to_owned(),
            ..Self::empty("connectivity.lost")
        }
    }

    /// This machine is online again.
    pub(super) const fn online() -> Self {
        Self::empty("connectivity.restored")
    }
}

/// A line as it is read back: what is needed to stand where we stood.
#[derive(Debug, Deserialize)]
pub struct ProbeLine {
    /// When it was written.
    pub ts: DateTime<Utc>,
    /// Event kind.
    pub kind: String,
    /// Which probe.
    #[serde(default)]
    pub probe: String,
    /// The first failure of the row.
    #[serde(default)]
    pub failing_since: Option<DateTime<Utc>>,
    /// What the last failure was.
    #[serde(default)]
    pub reason: Option<String>,
    /// How near the end of the certificate is.
    #[serde(default)]
    pub level: Option<String>,
}
