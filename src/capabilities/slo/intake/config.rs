//! The section `sources` of `configs/slo.json`: where samples come from, as it is written. What it
//! becomes is in [`super::rules`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// One source of samples: exactly one of its members says which kind it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// An access log that is followed.
    #[serde(default)]
    pub access_log: Option<AccessLogConfig>,
    /// A page of metrics that is asked for again and again.
    #[serde(default)]
    pub scrape: Option<ScrapeConfig>,
    /// Series that callers may push samples of.
    #[serde(default)]
    pub pushed: Option<PushedConfig>,
    /// The daemon's own requests.
    #[serde(default)]
    pub own: Option<OwnConfig>,
}

/// An access log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessLogConfig {
    /// The file itself, from the root; not a link. It need not be there yet.
    pub path: String,
    /// How its lines are written. Default `nginx`.
    #[serde(default)]
    pub format: FormatWord,
    /// With `nginx`: the text of the `log_format` of nginx's own configuration, or `combined`.
    /// Default is `combined` with `$request_time` after a blank at its end.
    #[serde(default)]
    pub log_format: Option<String>,
    /// With `ndjson`: where the members of a request stand.
    #[serde(default)]
    pub fields: Option<FieldsConfig>,
    /// Where reading begins when the log is first seen. Default `end`.
    #[serde(default)]
    pub begin: BeginWord,
    /// Requests that do not count. Default none.
    #[serde(default)]
    pub exclude: ExcludeConfig,
    /// Series by name, and which requests count in each; a request may count in several. Default
    /// one series that has the name of the source and takes every request.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub series: BTreeMap<String, PickConfig>,
    /// Statuses that count as bad, such as `5xx`, `429` or `500-504`. Default `5xx`.
    #[serde(default = "server_errors")]
    pub bad_statuses: Vec<String>,
}

fn server_errors() -> Vec<String> {
    vec!["5xx".to_owned()]
}

/// How lines of an access log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatWord {
    /// As `log_format` says.
    #[default]
    Nginx,
    /// One JSON object a line, as Caddy writes it.
    Caddy,
    /// One JSON object a line, as `fields` says.
    Ndjson,
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeginWord {
    /// Only what is written from now on counts.
    #[default]
    End,
    /// What is there counts too.
    Start,
}

/// Where the members of a request stand in a JSON line. A member within a member is written with
/// dots, `request.method`; of a list the first element counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldsConfig {
    /// When it was logged.
    pub time: String,
    /// How `time` is written. Default `rfc3339`.
    #[serde(default)]
    pub time_format: TimeWord,
    /// Status code. A line without it is no request and is passed over.
    pub status: String,
    /// Method.
    #[serde(default)]
    pub method: Option<String>,
    /// Path.
    #[serde(default)]
    pub path: Option<String>,
    /// Duration. Without it there are no latencies.
    #[serde(default)]
    pub duration: Option<String>,
    /// Unit of `duration`; a value such as `"12ms"` brings its own. Default `secs`.
    #[serde(default)]
    pub duration_unit: UnitWord,
    /// Agent of the client.
    #[serde(default)]
    pub user_agent: Option<String>,
}

/// How an instant is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeWord {
    /// Such as `2026-11-21T09:15:02.123Z`.
    #[default]
    Rfc3339,
    /// Seconds since 1970, with or without a fraction.
    UnixSecs,
    /// Milliseconds since 1970.
    UnixMillis,
}

/// A unit of durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitWord {
    /// Seconds.
    #[default]
    Secs,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Nanoseconds.
    Nanos,
}

/// Requests that do not count: health checks, bots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExcludeConfig {
    /// Beginnings of paths, such as `/health`.
    #[schemars(length(max = 64))]
    pub path_prefixes: Vec<String>,
    /// Words within the client's agent, case aside, such as `bot`.
    #[schemars(length(max = 64))]
    pub user_agents: Vec<String>,
    /// Methods, such as `OPTIONS`.
    #[schemars(length(max = 64))]
    pub methods: Vec<String>,
    /// Statuses, such as `499`: nginx writes it where the client went away.
    #[schemars(length(max = 64))]
    pub statuses: Vec<String>,
}

/// Requests of one series.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PickConfig {
    /// Beginnings of paths: `/api/` takes `/api/x`, `/api` takes `/apiary` as well. Default every
    /// path.
    #[schemars(length(max = 64))]
    pub path_prefixes: Vec<String>,
    /// Methods. Default every method.
    #[schemars(length(max = 64))]
    pub methods: Vec<String>,
}

/// A page of metrics in the text format of Prometheus or `OpenMetrics`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScrapeConfig {
    /// Where the page is.
    pub url: String,
    /// Seconds from one look to the next. Default 15.
    #[serde(default = "fifteen")]
    #[schemars(range(min = 1, max = 300))]
    pub every_secs: u32,
    /// Seconds that an answer may take. Default 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 60))]
    pub timeout_secs: u32,
    /// Series by name, and the counters that each is made of.
    #[schemars(length(min = 1, max = 64))]
    pub series: BTreeMap<String, CountersConfig>,
}

fn fifteen() -> u32 {
    15
}

fn ten() -> u32 {
    10
}

/// The counters of a series, each as a selector of Prometheus:
/// `http_requests_total{path!="/health"}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountersConfig {
    /// Counter of all requests. Default: those that `duration` counts.
    #[serde(default)]
    pub total: Option<String>,
    /// Counter of the bad ones, such as `http_requests_total{code=~"5.."}`. Default none is bad.
    #[serde(default)]
    pub bad: Option<String>,
    /// Classic histogram of durations, without `_bucket`.
    #[serde(default)]
    pub duration: Option<String>,
    /// Unit of `duration`. Default `secs`.
    #[serde(default)]
    pub duration_unit: UnitWord,
}

/// Series that callers may push samples of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushedConfig {
    /// Their names.
    #[schemars(length(min = 1, max = 256))]
    pub series: Vec<String>,
}

/// The daemon's own requests, its probes left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnConfig {
    /// The series. Default the name of the source.
    pub series: Option<String>,
}
