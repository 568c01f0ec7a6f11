//! `configs/probes.json` as it is written. What a shape cannot say is checked in `config`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::platform::alerts::Severity;

/// Probes: what is called again and again from here, and what its answer must be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: probes")]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawProbes {
    /// How a failure of our own network is told from one of what is probed.
    pub(super) connectivity: RawConnectivity,
    /// When failures are planned: probes go on, but nothing is counted and nobody is alerted.
    pub(super) maintenance: Vec<RawMaintenance>,
    /// Probes by name: a-z, 0-9, `_` and `-`.
    pub(super) probes: BTreeMap<String, RawProbe>,
}

/// How a failure of our own network is noticed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConnectivity {
    /// Well-known addresses with ports. They are called only when a probe fails; when none of them
    /// can be connected to, this machine is offline and the failure counts as unknown. An empty
    /// list trusts our own network. Default: `1.1.1.1:443`, `8.8.8.8:443`, `9.9.9.9:443`.
    #[schemars(length(max = 8))]
    pub(super) targets: Vec<String>,
}

impl Default for RawConnectivity {
    fn default() -> Self {
        let targets = ["1.1.1.1:443", "8.8.8.8:443", "9.9.9.9:443"];
        Self {
            targets: targets.map(str::to_owned).into(),
        }
    }
}

/// A window of maintenance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMaintenance {
    /// Names of the probes it is for; all where nothing is said.
    #[serde(default)]
    pub(super) probes: Vec<String>,
    /// Days of the week on which it begins, such as `mon-fri` or `sat,sun`; `*` is every day.
    #[serde(default = "every_day")]
    pub(super) days: String,
    /// Time of day at which it begins, `hh:mm`.
    pub(super) start: String,
    /// How long it lasts, such as `2h`.
    pub(super) length: String,
    /// Time zone of the start, such as `Europe/London`. Default: `UTC`.
    #[serde(default = "utc")]
    pub(super) zone: String,
}

fn every_day() -> String {
    "*".into()
}

fn utc() -> String {
    "UTC".into()
}

/// One probe: exactly one of `http`, `tcp`, `tls` and `dns`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProbe {
    /// A request whose answer is looked at.
    #[serde(default)]
    pub(super) http: Option<RawHttp>,
    /// A port that must take connections.
    #[serde(default)]
    pub(super) tcp: Option<RawTcp>,
    /// A port that must speak TLS with a certificate that holds.
    #[serde(default)]
    pub(super) tls: Option<RawTls>,
    /// A question to a name server.
    #[serde(default)]
    pub(super) dns: Option<RawDns>,
    /// Seconds from one look to the next. Default: 60.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 5, max = 86_400))]
    pub(super) interval_secs: u32,
    /// Seconds after which a look is given up, at most the interval. Default: 10, or the interval
    /// where that is less.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60))]
    pub(super) timeout_secs: Option<u32>,
    /// Failures in a row after which it counts as down. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub(super) failures_to_open: u32,
    /// Successes in a row after which it counts as up again. Default: 2.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub(super) successes_to_close: u32,
    /// Seconds from one look to the next while it is not sure whether it is up or down. Default:
    /// 20, or the interval where that is less.
    #[serde(default)]
    #[schemars(range(min = 1, max = 86_400))]
    pub(super) retry_secs: Option<u32>,
    /// Minutes after which a probe that is still down is told again. Never where nothing is said.
    #[serde(default)]
    #[schemars(range(min = 5, max = 10_080))]
    pub(super) reminder_minutes: Option<u32>,
    /// The probe without which this one cannot succeed, such as that of the router: while it is
    /// down, failures of this one are recorded and alert nobody.
    #[serde(default)]
    pub(super) parent: Option<String>,
    /// How bad it is when it is down. Default: `critical`.
    #[serde(default = "critical")]
    pub(super) severity: Severity,
    /// Further labels of its alerts.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// Whether it is run. Default: true.
    #[serde(default = "yes")]
    pub(super) enabled: bool,
}

fn a_minute() -> u32 {
    60
}

fn three() -> u32 {
    3
}

fn two() -> u32 {
    2
}

fn critical() -> Severity {
    Severity::Critical
}

fn yes() -> bool {
    true
}

/// A request whose answer is looked at. Redirects are not followed: they are answers.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    /// Where to; `https` checks the certificate too.
    pub(super) url: String,
    /// Default: `GET`.
    #[serde(default = "get")]
    pub(super) method: String,
    /// Headers to send.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// Body to send.
    #[serde(default)]
    pub(super) body: String,
    /// Statuses and ranges of them that are good. Default: `200-299`.
    #[serde(default = "successes")]
    pub(super) status: Vec<String>,
    /// Headers that the answer must have, each with a pattern that it must match (regular
    /// expression, anywhere in the value).
    #[serde(default)]
    pub(super) answer_headers: BTreeMap<String, String>,
    /// Texts that the body must contain, in its first 64 KiB.
    #[serde(default)]
    pub(super) body_contains: Vec<String>,
    /// Pattern that the body must match in its first 64 KiB (regular expression).
    #[serde(default)]
    pub(super) body_pattern: Option<String>,
    /// What the body must say as JSON.
    #[serde(default)]
    pub(super) body_json: Vec<RawJson>,
    /// Milliseconds that the whole answer may take; only the timeout where nothing is said.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60_000))]
    pub(super) max_ms: Option<u32>,
    /// Days left of the certificate below which there is a warning. Default: 14.
    #[serde(default = "fortnight")]
    #[schemars(range(max = 3_650))]
    pub(super) cert_warn_days: u32,
    /// Days left of the certificate below which it is critical. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(max = 3_650))]
    pub(super) cert_critical_days: u32,
}

fn get() -> String {
    "GET".into()
}

fn successes() -> Vec<String> {
    vec!["200-299".into()]
}

fn fortnight() -> u32 {
    14
}

/// What one value of a JSON body must be. With a path alone, it must be there and not null.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJson {
    /// The way to the value: `status`, `checks[0].name`.
    pub(super) path: String,
    /// The value itself.
    #[serde(default, deserialize_with = "given")]
    pub(super) equals: Option<Value>,
    /// Pattern that a text must match (regular expression).
    #[serde(default)]
    pub(super) pattern: Option<String>,
    /// Least that a number may be.
    #[serde(default)]
    pub(super) at_least: Option<f64>,
    /// Most that a number may be.
    #[serde(default)]
    pub(super) at_most: Option<f64>,
}

/// A value that was written, `null` too.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A port that must take connections.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTcp {
    /// Host and port, such as `db.example.com:5432`.
    pub(super) address: String,
    /// Milliseconds that the connection may take; only the timeout where nothing is said.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60_000))]
    pub(super) max_ms: Option<u32>,
}

/// A port that must speak TLS.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    /// Host and port, such as `mail.example.com:993`.
    pub(super) address: String,
    /// Name that the certificate must hold for; the host where nothing is said.
    #[serde(default)]
    pub(super) server_name: Option<String>,
    /// Days left below which there is a warning. Default: 14.
    #[serde(default = "fortnight")]
    #[schemars(range(max = 3_650))]
    pub(super) warn_days: u32,
    /// Days left below which it is critical. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(max = 3_650))]
    pub(super) critical_days: u32,
}

/// A question to a name server.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDns {
    /// The name, such as `example.com`.
    pub(super) name: String,
    /// What is asked for: `A`, `AAAA`, `CNAME`, `MX`, `NS`, `CAA`, `PTR`, `SOA`, `SRV` or `TXT`.
    /// Default: `A`.
    #[serde(default = "a")]
    pub(super) kind: String,
    /// Address of the name server, port 53 where none is said; the system's where nothing is said.
    #[serde(default)]
    pub(super) server: Option<String>,
    /// What the server must say: `NOERROR`, `NXDOMAIN`, …. Default: `NOERROR`.
    #[serde(default = "no_error")]
    pub(super) rcode: String,
    /// Records that must be among the answers, such as `192.0.2.1` or `10 mail.example.com`. With
    /// none, and `NOERROR`, there must be at least one of the kind that is asked for.
    #[serde(default)]
    pub(super) answers: Vec<String>,
    /// Milliseconds that the answer may take; only the timeout where nothing is said.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60_000))]
    pub(super) max_ms: Option<u32>,
}

fn a() -> String {
    "A".into()
}

fn no_error() -> String {
    "NOERROR".into()
}
