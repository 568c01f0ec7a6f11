//! `GET /api/alerts`: what the watchers have found and has not ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Active, Alerts, Severity};
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
                    let reply = AlertsReply::of(&own.active());
                    HotAnswer::Now(Ok(json(serde_json::to_string(&reply).unwrap_or_default())))
                })),
        ]
    }
}

/// Answer of `GET /api/alerts`.
#[derive(Serialize, JsonSchema)]
struct AlertsReply {
    /// Always true.
    ok: bool,
    /// How many follow.
    count: usize,
    /// By key.
    alerts: Vec<AlertReply>,
}

/// A finding that has not ended.
#[derive(Serialize, JsonSchema)]
struct AlertReply {
    /// Its identity.
    key: String,
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
    labels: BTreeMap<String, String>,
}

impl AlertsReply {
    fn of(active: &[Active]) -> Self {
        let reply = |one: &Active| AlertReply {
            key: one.finding.key.clone(),
            source: one.finding.source.clone(),
            severity: one.finding.severity,
            summary: one.finding.summary.clone(),
            started_at: stamp(one.finding.started_at),
            fired_at: stamp(one.fired_at),
            acknowledged_by: one.acknowledged.as_ref().map(|(_, by)| by.clone()),
            acknowledged_at: one.acknowledged.as_ref().map(|(at, _)| stamp(*at)),
            labels: one.finding.labels.clone(),
        };
        Self {
            ok: true,
            count: active.len(),
            alerts: active.iter().map(reply).collect(),
        }
    }
}
