//! `GET /api/alerts`: what the watchers have found and has not ended.

use axum::extract::State;
use axum::routing::get;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Active, Alerts, Severity};
use crate::base::labels::Labels;
use crate::base::time::stamp;
use crate::platform::http::{HttpError, QueryParams, Reply, Route, Routes, Scope};

/// Alerts in one answer at most, unless the caller wants fewer: what is rendered in a few
/// milliseconds. Our own choice.
const MOST_LISTED: usize = 1000;

impl Alerts {
    /// The row that lists what is active.
    pub fn routes(&self) -> Routes {
        let about = "what the watchers have found and has not ended, by key, a page at a time";
        vec![
            Route::get("/api/alerts", Scope::Read, about)
                .query("limit=1000&after=probe:web")
                .gives::<AlertsReply>()
                .handler(get(list).with_state(self.clone())),
        ]
    }
}

/// Query of `GET /api/alerts`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// How many at most, 1 to 1000. Default 1000.
    limit: Option<usize>,
    /// Only those whose keys come after this one: `next` of the page before.
    after: Option<String>,
}

/// Answer of `GET /api/alerts`.
#[derive(Serialize, JsonSchema)]
struct AlertsReply {
    /// How many follow.
    count: usize,
    /// How many there are in all.
    total: usize,
    /// The last key of this page where others come after it: the next page is
    /// `GET /api/alerts?after=` and this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// By key.
    alerts: Vec<AlertReply>,
}

/// A finding that has not ended.
#[derive(Serialize, JsonSchema)]
struct AlertReply {
    /// Its identity.
    key: String,
    /// What people call it: its key, or where another program found it its name and first labels.
    name: String,
    /// The capability that found it.
    source: String,
    /// How bad it is.
    severity: Severity,
    /// What was found.
    summary: String,
    /// The first bad sample, UTC.
    started_at: String,
    /// When it was noticed, UTC.
    fired_at: String,
    /// Who has taken it up; left away where nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_by: Option<String>,
    /// When that was, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_at: Option<String>,
    /// What it concerns.
    labels: Labels,
}

impl AlertReply {
    fn of(one: &Active) -> Self {
        let finding = &*one.finding;
        let acknowledged = one.acknowledged.as_ref();
        Self {
            key: finding.key.clone(),
            name: finding.name(),
            source: finding.source.clone(),
            severity: finding.severity,
            summary: finding.summary.clone(),
            started_at: stamp(finding.started_at),
            fired_at: stamp(one.fired_at),
            acknowledged_by: acknowledged.map(|(_, by)| by.clone()),
            acknowledged_at: acknowledged.map(|(at, _)| stamp(*at)),
            labels: finding.labels.clone(),
        }
    }
}

async fn list(
    State(alerts): State<Alerts>,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Reply<AlertsReply>, HttpError> {
    let limit = query.limit.unwrap_or(MOST_LISTED);
    if !(1..=MOST_LISTED).contains(&limit) {
        let detail = format!("`limit` is {limit}, must be in 1..={MOST_LISTED}");
        return Err(HttpError::bad_request("bad_query", detail)
            .hint("go on with `after` and `next` of the page before"));
    }
    // One more tells whether others follow.
    let (mut page, total) = alerts.page(query.after.as_deref(), limit + 1);
    let has_more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().filter(|_| has_more);
    Ok(Reply::ok(AlertsReply {
        count: page.len(),
        total,
        next: last.map(|one| one.finding.key.clone()),
        alerts: page.iter().map(AlertReply::of).collect(),
    }))
}
