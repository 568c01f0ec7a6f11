//! Probes over HTTP: translates in, calls one verb, translates out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::board::{Last, days_left};
use super::logic::Phase;
use super::look::Verdict;
use super::service::{ProbeError, Probes, Told, WINDOWS};
use crate::base::time::stamp;
use crate::platform::http::{Call, HttpError, Reply, Route, Routes, Scope};
use crate::platform::samples::Counts;

/// The rows of the route table.
pub(super) fn routes(probes: &Arc<Probes>) -> Routes {
    let state = || Arc::clone(probes);
    vec![
        Route::get(
            "/api/probes",
            Scope::Read,
            "all probes: state, last look, uptime, certificate",
        )
        .gives::<ListReply>()
        .handler(get(list).with_state(state())),
        Route::post(
            "/api/probes/{name}/check",
            Scope::Operate,
            "look at what a probe calls now, and wait for what is found",
        )
        .gives::<ProbeReply>()
        .handler(post(check).with_state(state())),
        Route::get(
            "/ops/uptime",
            Scope::Read,
            "how long the daemon runs, and the uptime of every probe by window",
        )
        .gives::<UptimeReply>()
        .handler(get(uptime).with_state(state())),
    ]
}

/// Answer of `GET /api/probes`.
#[derive(Serialize, JsonSchema)]
struct ListReply {
    /// How many probes.
    count: usize,
    /// How many are down.
    down: usize,
    /// Since when this machine is offline, UTC.
    offline_since: Option<String>,
    /// Milliseconds that a look has begun after its time at most, since the start.
    latest_ms: u64,
    /// The probes, by name.
    probes: Vec<ProbeReply>,
}

/// One probe.
#[derive(Serialize, JsonSchema)]
struct ProbeReply {
    /// Its name.
    name: String,
    /// `http`, `tcp`, `tls` or `dns`.
    kind: &'static str,
    /// What it calls.
    target: String,
    /// `unknown`, `up`, `failing`, `down` or `suppressed`.
    state: &'static str,
    /// Since when, UTC.
    since: Option<String>,
    /// Failures in a row.
    failures: u32,
    /// The first failure of the row, UTC.
    failing_since: Option<String>,
    /// The probe without which this one cannot succeed.
    parent: Option<String>,
    /// Until when failures are planned, UTC.
    maintained_until: Option<String>,
    /// The last look.
    last: Option<LookReply>,
    /// Its certificate, as far as one was shown.
    certificate: Option<CertReply>,
    /// Share of good looks by window, 1 being all; null without any look.
    uptime: BTreeMap<&'static str, Option<f64>>,
}

/// A look.
#[derive(Serialize, JsonSchema)]
struct LookReply {
    /// When it began, UTC.
    at: String,
    /// `good`, `bad`, `planned` or `unknown`.
    outcome: &'static str,
    /// Why it is not good.
    reason: Option<String>,
    /// The cure, where there is one.
    hint: Option<String>,
    /// Status of an HTTP answer.
    status: Option<u16>,
    /// Milliseconds by part.
    timings_ms: TimingsReply,
    /// Milliseconds that it began after its time.
    late_ms: u64,
}

/// How long each part of a look took, in milliseconds.
#[derive(Serialize, JsonSchema)]
struct TimingsReply {
    /// Looking up the name.
    resolve: Option<f64>,
    /// Opening the connection.
    connect: Option<f64>,
    /// Agreeing on TLS.
    tls: Option<f64>,
    /// From the open connection until the answer's head was there.
    first_byte: Option<f64>,
    /// Everything.
    total: f64,
}

/// A certificate.
#[derive(Serialize, JsonSchema)]
struct CertReply {
    /// `fine`, `warning` or `critical`.
    level: &'static str,
    /// Whole days until it ends; negative once it has.
    days_left: i64,
    /// When it ends, UTC.
    not_after: String,
    /// Whose it is.
    subject: String,
    /// Who signed it.
    issuer: String,
}

fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn look_reply(last: &Last) -> LookReply {
    let (sight, timings) = (&last.sight, &last.sight.timings);
    let outcome = match sight.verdict {
        Verdict::Good => "good",
        Verdict::Bad if last.is_planned => "planned",
        Verdict::Bad => "bad",
        Verdict::Unable => "unknown",
    };
    LookReply {
        at: stamp(last.at),
        outcome,
        reason: text(&sight.reason),
        hint: text(&sight.hint),
        status: sight.status,
        timings_ms: TimingsReply {
            resolve: timings.resolve.map(millis),
            connect: timings.connect.map(millis),
            tls: timings.tls.map(millis),
            first_byte: timings.first_byte.map(millis),
            total: millis(timings.total),
        },
        late_ms: whole_millis(last.late),
    }
}

fn uptimes(windows: &[Counts; WINDOWS.len()]) -> BTreeMap<&'static str, Option<f64>> {
    let share = |counts: &Counts| {
        counts
            .bad_ratio()
            .map(|bad| ((1.0 - bad) * 1e6).round() / 1e6)
    };
    let named = WINDOWS.iter().zip(windows);
    named
        .map(|((name, _), counts)| (*name, share(counts)))
        .collect()
}

fn reply(told: &Told, now: DateTime<Utc>) -> ProbeReply {
    let cert = told.last.as_ref().and_then(|last| last.sight.cert.as_ref());
    ProbeReply {
        name: told.probe.name.to_string(),
        kind: told.probe.check.kind(),
        target: told.probe.check.to_string(),
        state: told.phase.word(),
        since: told.since.map(stamp),
        failures: told.failures,
        failing_since: told.failing_since.map(stamp),
        parent: told.probe.parent.as_deref().map(str::to_owned),
        maintained_until: told.maintained_until.map(stamp),
        last: told.last.as_ref().map(look_reply),
        certificate: cert.map(|cert| CertReply {
            level: told.cert,
            days_left: days_left(cert.not_after, now),
            not_after: stamp(cert.not_after),
            subject: cert.subject.clone(),
            issuer: cert.issuer.clone(),
        }),
        uptime: uptimes(&told.windows),
    }
}

async fn list(State(probes): State<Arc<Probes>>, call: Call) -> Reply<ListReply> {
    let all = probes.all();
    let (offline_since, latest) = probes.network();
    Reply::ok(ListReply {
        count: all.len(),
        down: all.iter().filter(|one| one.phase == Phase::Down).count(),
        offline_since: offline_since.map(stamp),
        latest_ms: whole_millis(latest),
        probes: all.iter().map(|one| reply(one, call.now)).collect(),
    })
}

async fn check(
    State(probes): State<Arc<Probes>>,
    Path(name): Path<String>,
    call: Call,
) -> Result<Reply<ProbeReply>, HttpError> {
    let told = probes.check(&name).await.map_err(refusal)?;
    Ok(Reply::ok(reply(&told, call.now)))
}

fn refusal(error: ProbeError) -> HttpError {
    let text = error.to_string();
    match error {
        ProbeError::Unknown { nearest, .. } => {
            let error = HttpError::not_found("probe_not_found", text);
            match nearest {
                Some(near) => error
                    .hint(format!("did you mean `{near}`?"))
                    .with("nearest", near),
                None => error.hint("`echopilot probe list` lists those of `configs/probes.json`"),
            }
        }
        ProbeError::Stopping { .. } => {
            HttpError::new(http::StatusCode::SERVICE_UNAVAILABLE, "stopping", text).retry_after(5)
        }
    }
}

/// Answer of `GET /ops/uptime`.
#[derive(Serialize, JsonSchema)]
struct UptimeReply {
    /// Seconds since the daemon was started.
    uptime_seconds: u64,
    /// When it was started, UTC.
    started_at: String,
    /// The probes, by name.
    probes: BTreeMap<String, WindowsReply>,
}

/// The uptime of a probe.
#[derive(Serialize, JsonSchema)]
struct WindowsReply {
    /// `unknown`, `up`, `failing`, `down` or `suppressed`.
    state: &'static str,
    /// Share of good looks by window, 1 being all; null without any look.
    uptime: BTreeMap<&'static str, Option<f64>>,
    /// Looks by window.
    looks: BTreeMap<&'static str, u64>,
}

async fn uptime(State(probes): State<Arc<Probes>>, call: Call) -> Reply<UptimeReply> {
    let running = probes.running_for();
    let windows = |told: &Told| WindowsReply {
        state: told.phase.word(),
        uptime: uptimes(&told.windows),
        looks: WINDOWS
            .iter()
            .zip(&told.windows)
            .map(|((name, _), counts)| (*name, counts.total))
            .collect(),
    };
    let all = probes.all();
    Reply::ok(UptimeReply {
        uptime_seconds: running.as_secs(),
        started_at: stamp(call.now - running),
        probes: all
            .iter()
            .map(|one| (one.probe.name.to_string(), windows(one)))
            .collect(),
    })
}
