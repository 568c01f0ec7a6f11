//! What the guard is asked: the report, one objective in detail, a replay.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::config::SloConfig;
use super::days::{Detail, Planned, days};
use super::excluded::Counted;
use super::guard::Slo;
use super::model::{Objective, minute_of};
use super::past::{Sampled, recorded};
use super::recorded::{MOST_MINUTES, Recorded};
use super::replay::{ReplayError, Replayed, Span, replay};
use super::report::{Report, objective_report, recent_latency, report};
use super::rules::excluded;
use crate::platform::config::read;
use crate::storage::engine::DocumentError;

/// The report in `logs/`.
pub const REPORT: &str = "slo_report.json";

/// The file, which says what an answer says.
#[derive(Serialize)]
struct Saved<'a> {
    ok: bool,
    #[serde(flatten)]
    report: &'a Report,
}

impl Slo {
    /// All objectives at `now`.
    pub fn report(&self, now: DateTime<Utc>) -> Report {
        let rules = self.live.get_full();
        let view = self.view().clone();
        report(&rules.rules, &view, &self.samples, now, self.looked())
    }

    /// Replaces `logs/slo_report.json`.
    pub async fn save_report(self: &Arc<Self>, report: Report) -> Result<(), DocumentError> {
        let engine = Arc::clone(&self.engine);
        let saved = tokio::task::spawn_blocking(move || {
            let saved = Saved {
                ok: true,
                report: &report,
            };
            let mut body = serde_json::to_vec_pretty(&saved).unwrap_or_default();
            body.push(b'\n');
            engine.save_report(REPORT, &body)
        });
        saved.await.unwrap_or_else(|died| {
            Err(DocumentError::Io {
                name: REPORT.to_owned(),
                source: std::io::Error::other(died),
            })
        })
    }

    /// One objective at `now`; `None` where there is none of that name.
    pub fn detail(&self, name: &str, now: DateTime<Utc>) -> Option<Detail> {
        let rules = self.live.get_full();
        let watched = rules.rules.find(name)?;
        let objective = &watched.objective;
        let view = self.view().clone();
        let latency = recent_latency(&self.samples, &objective.series, now);
        let excluded = view.excluded(name);
        let sampled = Sampled::new(&self.samples, objective);
        let past = Counted {
            past: &sampled,
            excluded: &excluded,
        };
        let declared = view.declared.iter();
        let concerned = declared.filter(|(window, _)| window.concerns(name));
        let planned = concerned.map(|(window, at)| Planned {
            from: window.from,
            until: window.until,
            reason: window.reason.clone(),
            declared_at: *at,
        });
        Some(Detail {
            days: days(objective, &past, minute_of(now) + 1),
            maintenance: planned.collect(),
            objective: objective_report(watched, &view, &self.samples, &latency, now),
        })
    }

    /// What the rules of `text` would have fired on the recorded past. Blocks on the disk.
    pub fn replay(&self, name: &str, text: &str, span: Span) -> Result<Replayed, ReplayError> {
        let rules = read::<SloConfig>(name, text.as_bytes())
            .map_err(|problems| ReplayError::Config(Box::new(problems)))?;
        let objectives = || rules.objectives.iter().map(|watched| &watched.objective);
        // What came before the first minute that is decided stands in the windows of that minute.
        let longest = TimeDelta::minutes(MOST_MINUTES);
        let until = span.until.unwrap_or(span.now).min(span.now);
        let from = span.from.unwrap_or(until) - longest;
        let pasts = recorded(&self.samples, objectives(), from, until)?;
        let replay = |(objective, past): (&Objective, Recorded)| {
            // What if it had been written down in time: that is the question.
            let windows = rules.maintenance.iter();
            let windows = windows.map(|window| (window, window.from));
            let excluded = excluded(&objective.name, windows);
            replay(objective, &past, &excluded, span)
        };
        let objectives: Vec<_> = objectives().zip(pasts).map(replay).collect();
        Ok(Replayed {
            alert_count: objectives.iter().map(|one| one.alerts.len()).sum(),
            objectives,
        })
    }
}
