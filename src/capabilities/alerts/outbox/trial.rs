//! Trying a channel: a test notice goes the whole way, and who asked is told what came of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::Outbox;
use super::event::Kind;
use crate::base::hex;
use crate::base::names;
use crate::capabilities::alerts::channels::rules::ChannelRules;
use crate::capabilities::alerts::model::{Notice, NoticeAlert, Reason, Status};
use crate::platform::alerts::Severity;
use crate::platform::http::{Call, HttpError, JsonBody, Reply, Route, Routes, Scope};
use crate::platform::lifecycle::within;

/// How long the outcome is waited for: a caller who waits longer has given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The row of the route table.
pub(super) fn routes(outbox: &Arc<Outbox>) -> Routes {
    let about = "send a test notice to one channel or to all, and tell what came of it";
    vec![
        Route::post("/api/alerts/test", Scope::Operate, about)
            .takes::<TestRequest>(r#"{"level":"info"}"#)
            .gives::<TestReply>()
            .handler(post(test).with_state(Arc::clone(outbox))),
    ]
}

/// Body of `POST /api/alerts/test`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TestRequest {
    /// The channel's name. Default: every channel.
    channel: Option<String>,
    /// How bad it pretends to be. Default `info`.
    level: Severity,
}

/// Answer of `POST /api/alerts/test`.
#[derive(Debug, Serialize, JsonSchema)]
struct TestReply {
    /// Whether nothing was really sent.
    dry_run: bool,
    /// How many channels.
    count: usize,
    /// By channel.
    results: Vec<TestResult>,
}

/// What came of it on one channel.
#[derive(Debug, Serialize, JsonSchema)]
struct TestResult {
    /// Its name.
    channel: String,
    /// What it is: `slack`, `telegram`, `resend`, `smtp`, `discord`, `ntfy`, `pagerduty`,
    /// `webhook` or `log`.
    kind: &'static str,
    /// `sent`, `dry_run`, `failed`, or `waiting` where nothing is known yet.
    outcome: &'static str,
    /// What the channel calls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    reference: String,
    /// Why it did not arrive.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// The cure.
    #[serde(skip_serializing_if = "String::is_empty")]
    hint: String,
}

async fn test(
    State(outbox): State<Arc<Outbox>>,
    call: Call,
    JsonBody(request): JsonBody<TestRequest>,
) -> Result<Reply<TestReply>, HttpError> {
    let channels = (outbox.channels)();
    let wanted: Vec<Arc<ChannelRules>> = match &request.channel {
        None => channels.iter().cloned().collect(),
        Some(name) => {
            let found = channels.named(name).ok_or_else(|| {
                let text = format!("there is no channel `{name}`");
                let error = HttpError::not_found("channel_not_found", text)
                    .hint("`echopilot alert channels` lists them");
                match names::nearest(name, channels.names()) {
                    Some(nearest) => error.with("nearest", nearest),
                    None => error,
                }
            })?;
            vec![Arc::clone(found)]
        }
    };
    let drawn = outbox.ids.random();
    let drawn = drawn.map_err(|_none| HttpError::internal("the system gives no randomness"))?;
    let run = hex::of(drawn.get(..8).unwrap_or_default());
    let notice = |rules: &Arc<ChannelRules>| trial(&run, rules, request.level, &call);
    let notices: Vec<Notice> = wanted.iter().map(notice).collect();
    let ids: Vec<String> = notices.iter().map(|notice| notice.id.clone()).collect();
    outbox.queue(notices).await?;
    let all = within(&*outbox.clock, PATIENCE, outbox.outcomes_of(&ids));
    if outbox.is_running.load(Ordering::Relaxed) {
        all.await;
    } else {
        // A command line that answers for itself has nothing that goes on beside.
        let stop = CancellationToken::new();
        let sending = Arc::clone(&outbox).run(stop.clone());
        let waiting = async {
            all.await;
            stop.cancel();
        };
        tokio::join!(sending, waiting);
    }
    let results: Vec<TestResult> = wanted
        .iter()
        .zip(&ids)
        .map(|(rules, id)| outbox.result(rules, id))
        .collect();
    Ok(Reply::ok(TestReply {
        dry_run: results.iter().all(|result| result.outcome == "dry_run"),
        count: results.len(),
        results,
    }))
}

fn trial(run: &str, rules: &ChannelRules, severity: Severity, call: &Call) -> Notice {
    let now = call.now;
    let alert = NoticeAlert {
        key: "test".into(),
        status: Status::Firing,
        severity,
        summary: format!("asked for by {}; nothing is wrong", call.caller.name),
        started_at: now,
        ended_at: None,
        labels: [
            ("alertname".to_owned(), "Test".to_owned()),
            ("source".to_owned(), "alerts".to_owned()),
        ]
        .into(),
        annotations: std::collections::BTreeMap::new(),
        url: String::new(),
    };
    Notice {
        id: format!("test-{run}-{}", rules.name),
        channel: rules.name.clone(),
        group: format!("test:{run}"),
        reason: Reason::Test,
        severity,
        at: now,
        group_labels: std::collections::BTreeMap::new(),
        alerts: vec![alert],
        more: 0,
        incident: String::new(),
        causes: Vec::new(),
        ack_url: None,
        via: Vec::new(),
    }
}

impl Outbox {
    /// Ends when something became of every notice in `ids`.
    async fn outcomes_of(&self, ids: &[String]) {
        let mut changes = self.outcomes.subscribe();
        loop {
            let is_known = |id: &String| self.state().outcome(id).is_some();
            if ids.iter().all(is_known) || changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn result(&self, rules: &ChannelRules, id: &str) -> TestResult {
        let known = self.state().outcome(id).cloned();
        let mut result = TestResult {
            channel: rules.name.clone(),
            kind: rules.kind.word(),
            outcome: "waiting",
            reference: String::new(),
            reason: String::new(),
            hint: String::new(),
        };
        match known {
            None => {
                result.reason = format!("nothing came back within {} s", PATIENCE.as_secs());
                result.hint = "`echopilot alert channels` tells how it is".into();
            }
            Some((_, Kind::Sent, fate)) => {
                result.outcome = "sent";
                result.reference = fate.reference;
            }
            Some((_, Kind::DryRun, fate)) => {
                result.outcome = "dry_run";
                let name = fate.reason.strip_prefix("no ").unwrap_or(&fate.reason);
                result.hint = given(name);
                result.reason = fate.reason;
            }
            Some((_, _, fate)) => {
                result.outcome = "failed";
                let found = [fate.found, fate.why];
                let found = found.into_iter().find(|text| !text.is_empty());
                result.reason = found.unwrap_or_default();
                result.hint = fate.hint;
            }
        }
        result
    }
}

/// Where a secret may be put.
pub(super) fn given(name: &str) -> String {
    let file = name.to_ascii_lowercase();
    format!(
        "put it into `secrets/{file}` of the home folder (mode 0600), give it as the systemd \
         credential `{file}`, or set {name} in the environment"
    )
}
