//! `GET /api/alerts`: what the watchers have found and has not ended.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Active, Alerts, Severity};
use crate::base::labels::Labels;
use crate::base::time::stamp;
use crate::platform::http::{HotAnswer, Route, Routes, Scope, json};

impl Alerts {
    /// The row that lists what is active.
    pub fn routes(&self) -> Routes {
        let own = self.clone();
        let about = "what the watchers have found and has not ended";
        vec![
            Route::get("/api/alerts", Scope::Read, about)
                .gives::<AlertsReply>()
                .hot(Arc::new(move |_call| {
                    let active = own.active();
                    let reply = AlertsReply::of(&active);
                    HotAnswer::Now(Ok(json(serde_json::to_string(&reply).unwrap_or_default())))
                })),
        ]
    }
}

/// Answer of `GET /api/alerts`.
#[derive(Serialize, JsonSchema)]
struct AlertsReply<'a> {
    /// Always true.
    ok: bool,
    /// How many follow.
    count: usize,
    /// By key.
    alerts: Vec<AlertReply<'a>>,
}

/// A finding that has not ended.
#[derive(Serialize, JsonSchema)]
struct AlertReply<'a> {
    /// Its identity.
    key: &'a str,
    /// What people call it: its key, or where another program found it its name and first labels.
    name: String,
    /// The capability that found it.
    source: &'a str,
    /// How bad it is.
    severity: Severity,
    /// What was found.
    summary: &'a str,
    /// The first bad sample, UTC.
    started_at: String,
    /// When it was noticed, UTC.
    fired_at: String,
    /// Who has taken it up; left away where nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_by: Option<&'a str>,
    /// When that was, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged_at: Option<String>,
    /// What it concerns.
    labels: &'a Labels,
}

impl<'a> AlertsReply<'a> {
    fn of(active: &'a [Active]) -> Self {
        let reply = |one: &'a Active| AlertReply {
            key: &one.finding.key,
            name: one.finding.name(),
            source: &one.finding.source,
            severity: one.finding.severity,
            summary: &one.finding.summary,
            started_at: stamp(one.finding.started_at),
            fired_at: stamp(one.fired_at),
            acknowledged_by: one.acknowledged.as_ref().map(|(_, by)| &**by),
            acknowledged_at: one.acknowledged.as_ref().map(|(at, _)| stamp(*at)),
            labels: &one.finding.labels,
        };
        Self {
            ok: true,
            count: active.len(),
            alerts: active.iter().map(reply).collect(),
        }
    }
}
