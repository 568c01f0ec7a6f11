//! An outbox on a bench: its journal in memory, a clock that moves when told to, and channels that
//! answer as they were told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use echopilot::base::json::Path;
use echopilot::base::problems::Problems;
use echopilot::base::secret::Secret;
use echopilot::capabilities::alerts::channels::Doors;
use echopilot::capabilities::alerts::channels::config::checked;
use echopilot::capabilities::alerts::channels::rules::Channels;
use echopilot::capabilities::alerts::model::{Notice, NoticeAlert, Reason, Status};
use echopilot::capabilities::alerts::outbox::Outbox;
use echopilot::capabilities::alerts::outbox::event::STREAM;
use echopilot::platform::alerts::{Alerts, STREAM as ALERTS, Severity};
use echopilot::platform::config::{Accepted, DaemonConfig, Live, read};
use echopilot::platform::secrets::Secrets;
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::seams::outbound::{FakeAnswer, FakeOutbound, Outbound, Request};
use echopilot::storage::engine::{Durability, Engine, Mark, Revision, StreamOptions};
use echopilot::storage::journal::{Journal, read_lines};
use echopilot::storage::memory::MemoryEngine;
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::capabilities::gate::Gate;
use crate::world::noon;

pub const SLACK: &str = "https://hooks.slack.com/services/T000/B000/planted-slack-secret";
pub const WEBHOOK: &str = "https://hook.example.com/planted-path-secret";
pub const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const TOKEN: &str = "123456:planted-telegram-token";
pub const TELEGRAM: &str = "https://api.telegram.org/bot123456:planted-telegram-token/sendMessage";

/// Slack and a webhook.
pub fn two() -> Value {
    json!({ "slack": { "slack": {} }, "hook": { "webhook": {} } })
}

/// The channels that a text says.
#[track_caller]
pub fn channels(text: &Value) -> Arc<Channels> {
    let raw: BTreeMap<String, _> = serde_json::from_value(text.clone()).unwrap();
    let mut problems = Problems::new("alerts.json");
    let channels = checked(&raw, &Path::root().key("channels"), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    channels
}

/// A life of the process.
struct Life {
    outbox: Arc<Outbox>,
    runtime: Runtime,
    stop: CancellationToken,
}

pub struct Bench {
    pub clock: Arc<ManualClock>,
    pub gate: Arc<Gate>,
    pub outbound: Arc<FakeOutbound>,
    pub secrets: Secrets,
    pub rules: Arc<std::sync::Mutex<Arc<Channels>>>,
    engine: Arc<dyn Engine>,
    pub alerts: Alerts,
    door: Option<Arc<dyn Outbound>>,
    life: Option<Life>,
}

impl Bench {
    /// An outbox with these channels, all secrets given.
    pub fn new(text: &Value) -> Self {
        let mut secrets = Secrets::default();
        for (name, secret) in [
            ("SLACK_WEBHOOK_URL", SLACK),
            ("ALERT_WEBHOOK_URL", WEBHOOK),
            ("ALERT_WEBHOOK_SECRET", SIGNING),
            ("TELEGRAM_BOT_TOKEN", TOKEN),
            ("TELEGRAM_CHAT_ID", "-100200300"),
            ("RESEND_API_KEY", "re_planted_resend_key"),
            ("RECEIVING_EMAIL", "owner@example.com"),
            (
                "DISCORD_WEBHOOK_URL",
                "https://discord.com/api/webhooks/1/planted-discord",
            ),
            ("NTFY_TOPIC", "planted-topic"),
            ("NTFY_TOKEN", "tk_planted_ntfy"),
            ("PAGERDUTY_ROUTING_KEY", "planted-routing-key"),
        ] {
            secrets.give(name, Secret::new(secret.into()));
        }
        Self::with(text, secrets)
    }

    /// An outbox with these channels and secrets.
    pub fn with(text: &Value, secrets: Secrets) -> Self {
        Self::through(text, secrets, None)
    }

    /// The same, by another door.
    pub fn through(text: &Value, secrets: Secrets, door: Option<Arc<dyn Outbound>>) -> Self {
        let clock = Arc::new(ManualClock::at(noon()));
        let memory = MemoryEngine::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let gate = Arc::new(Gate::new(Arc::new(memory)));
        let engine: Arc<dyn Engine> = Arc::clone(&gate) as _;
        for stream in [STREAM, ALERTS] {
            let options = StreamOptions {
                durability: Durability::Always,
                segment_bytes: 1 << 20,
                segment_age: Duration::from_hours(24),
            };
            engine.open(stream, options).unwrap();
        }
        let alerts = Alerts::open(&engine).unwrap();
        let mut bench = Self {
            outbound: Arc::new(FakeOutbound::new(Arc::clone(&clock) as Arc<dyn Clock>)),
            clock,
            gate,
            secrets,
            rules: Arc::new(std::sync::Mutex::new(channels(text))),
            engine,
            alerts,
            door,
            life: None,
        };
        bench.begin();
        bench
    }

    fn begin(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let daemon = read::<DaemonConfig>("echopilot.json", b"{}").unwrap();
        let doors = Doors {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            outbound: match &self.door {
                Some(door) => Arc::clone(door),
                None => Arc::clone(&self.outbound) as Arc<dyn Outbound>,
            },
            daemon: Live::new(Accepted {
                rules: daemon,
                revision: Revision::of(b"{}"),
                text: b"{}".as_slice().into(),
                at: noon(),
                actor: "test".into(),
            }),
            secrets: self.secrets.clone(),
        };
        let journal = Journal::new(Arc::clone(&self.engine), STREAM);
        let rules = Arc::clone(&self.rules);
        let now = Box::new(move || Arc::clone(&rules.lock().unwrap()));
        let outbox = Outbox::over(journal, doors, &self.alerts, now).unwrap();
        let stop = CancellationToken::new();
        for (_, work) in outbox.background(&stop) {
            runtime.spawn(work);
        }
        self.life = Some(Life {
            outbox,
            runtime,
            stop,
        });
        self.turn();
    }

    /// Ends the process at once and starts another on the same journal.
    pub fn kill(&mut self) {
        let Life { runtime, .. } = self.life.take().unwrap();
        drop(runtime);
        self.begin();
    }

    /// Asks the process to end.
    pub fn stop(&self) {
        self.life().stop.cancel();
        self.turn();
    }

    fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.life().outbox
    }

    pub fn runtime(&self) -> &Runtime {
        &self.life().runtime
    }

    /// Lets everything happen that is due.
    pub fn turn(&self) {
        self.life().runtime.block_on(async {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
        });
    }

    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.turn();
    }

    /// Puts notices on record and lets them leave.
    #[track_caller]
    pub fn queue(&self, notices: Vec<Notice>) {
        let life = self.life();
        let queued = life.runtime.block_on(life.outbox.queue(notices));
        queued.unwrap();
        self.turn();
    }

    /// From now on the channel answers `status`.
    pub fn answers(&self, url: &str, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let answer = FakeAnswer::http_with(status, map, body.to_owned());
        self.outbound.answers(&format!("POST {url}"), answer);
    }

    pub fn works(&self, url: &str) {
        self.answers(url, 200, &[], "ok");
    }

    /// Requests to an address, in order.
    pub fn requests(&self, url: &str) -> Vec<Request> {
        let mut all = self.outbound.requests();
        let full = |one: &Request| format!("{}{}", one.url.origin(), one.url.request_target());
        all.retain(|one| full(one) == url);
        all
    }

    /// Lines of the journal.
    pub fn lines(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        read_lines(&*self.engine, STREAM, &Mark::default(), |line: Value| {
            lines.push(line);
        })
        .unwrap();
        lines
    }

    /// Lines of one kind.
    pub fn lines_of(&self, kind: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["kind"] == kind);
        lines
    }

    /// Kinds of all lines with their notice, in order.
    pub fn told(&self) -> Vec<String> {
        let short = |line: &Value| {
            let kind = line["kind"].as_str().unwrap();
            let kind = kind.trim_start_matches("notice.");
            format!("{kind} {}", line["id"].as_str().unwrap())
        };
        self.lines().iter().map(short).collect()
    }
}

/// An alert that holds since a minute before noon.
pub fn alert(key: &str) -> NoticeAlert {
    NoticeAlert {
        key: key.into(),
        status: Status::Firing,
        severity: Severity::Error,
        summary: format!("`{key}` answers 500"),
        started_at: noon() - TimeDelta::minutes(1),
        ended_at: None,
        labels: [
            ("alertname".into(), "Down".into()),
            ("source".into(), "probes".into()),
        ]
        .into(),
        annotations: BTreeMap::new(),
        url: String::new(),
    }
}

/// A notice `id` to `channel` of one alert that holds.
pub fn firing(id: &str, channel: &str, group: &str, at: DateTime<Utc>) -> Notice {
    Notice {
        id: id.into(),
        channel: channel.into(),
        group: group.into(),
        reason: Reason::First,
        severity: Severity::Error,
        at,
        group_labels: BTreeMap::new(),
        alerts: vec![alert(&format!("probe:{group}"))],
        more: 0,
        incident: String::new(),
        causes: Vec::new(),
        ack_url: None,
        via: Vec::new(),
    }
}

/// The same, over since `at`.
pub fn resolved(id: &str, channel: &str, group: &str, at: DateTime<Utc>) -> Notice {
    let mut notice = firing(id, channel, group, at);
    notice.reason = Reason::AllResolved;
    for alert in &mut notice.alerts {
        alert.status = Status::Resolved;
        alert.ended_at = Some(at);
        alert.summary = "it answers 200 again".into();
    }
    notice
}
