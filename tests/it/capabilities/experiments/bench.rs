//! A workbench: the capability on an engine that can hold and refuse appends.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use echopilot::capabilities::experiments::event::STREAM;
use echopilot::capabilities::experiments::model::ExperimentsRules;
use echopilot::capabilities::experiments::{Experiments, ExperimentsConfig};
use echopilot::platform::config::{Accepted, Config, DaemonConfig, DaemonRules, Live, read};
use echopilot::platform::http::{Answer, Call, Caller, HotAnswer, HotCall, HttpError, Role};
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::seams::files::RealFiles;
use echopilot::storage::engine::{Durability, Engine, Mark, Revision, StreamOptions};
use echopilot::storage::files::{FilesEngine, FilesSettings};
use echopilot::storage::memory::MemoryEngine;
use http_body_util::BodyExt;
use serde_json::Value;

use super::super::gate::Gate;

/// Where the capability stands: what outlives it.
pub struct Shop {
    pub files: Option<tempfile::TempDir>,
    memory: Option<Arc<dyn Engine>>,
    pub config: String,
    pub window: usize,
}

/// The capability, running.
pub struct Bench {
    pub gate: Arc<Gate>,
    pub experiments: Arc<Experiments>,
    live: Live<ExperimentsRules>,
    daemon: Live<DaemonRules>,
    clock: Arc<ManualClock>,
}

/// An answer, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub status: u16,
    pub body: String,
    pub degraded: Option<String>,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status and machine word of a refusal.
    pub fn error(&self) -> (u16, String) {
        (
            self.status,
            self.json()["error"].as_str().unwrap_or_default().to_owned(),
        )
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(
        DateTime::from_timestamp(1_795_252_502, 123_000_000).unwrap(),
    ))
}

impl Shop {
    /// One shop on files and one in memory.
    pub fn both() -> [Self; 2] {
        let shipped = ExperimentsConfig::SHIPPED.to_owned();
        let memory: Arc<dyn Engine> = Arc::new(MemoryEngine::new(clock()));
        [
            Self {
                files: Some(tempfile::tempdir().unwrap()),
                memory: None,
                config: shipped.clone(),
                window: 1000,
            },
            Self {
                files: None,
                memory: Some(memory),
                config: shipped,
                window: 1000,
            },
        ]
    }

    pub fn open(&self) -> Bench {
        let clock = clock();
        let engine: Arc<dyn Engine> = match (&self.files, &self.memory) {
            (Some(home), _) => {
                let mut settings = FilesSettings::new(home.path());
                settings.reserve_bytes = 0;
                let clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
                Arc::new(FilesEngine::open(settings, Arc::new(RealFiles), clock).unwrap())
            }
            (None, Some(memory)) => Arc::clone(memory),
            (None, None) => panic!("a shop has an engine"),
        };
        let options = StreamOptions {
            durability: Durability::Always,
            segment_bytes: 64 << 20,
            segment_age: Duration::from_hours(24),
        };
        engine.open(STREAM, options).unwrap();
        let gate = Arc::new(Gate::new(engine));
        let live = Live::new(accepted(&self.config));
        let daemon = Live::new(settings("{}"));
        let engine: Arc<dyn Engine> = Arc::clone(&gate) as _;
        let wall: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let experiments =
            Experiments::open_with_window(engine, wall, live.clone(), daemon.clone(), self.window)
                .unwrap();
        Bench {
            gate,
            experiments,
            live,
            daemon,
            clock,
        }
    }

    /// Stops without any farewell: no checkpoint is saved.
    pub fn kill(&self, bench: Bench) {
        self.end(bench);
    }

    /// Stops in order.
    pub fn stop(&self, bench: Bench) {
        bench.experiments.close();
        self.end(bench);
    }

    fn end(&self, bench: Bench) {
        // Memory would not outlive its own closing; the files are let go for the next one.
        if self.files.is_some() {
            bench.gate.close();
        }
        drop(bench);
    }
}

/// The daemon's own settings.
pub fn settings(text: &str) -> Accepted<DaemonRules> {
    Accepted {
        rules: read::<DaemonConfig>("echopilot.json", text.as_bytes()).unwrap(),
        revision: Revision::of(text.as_bytes()),
        text: text.as_bytes().into(),
        at: DateTime::UNIX_EPOCH,
        actor: "file".into(),
    }
}

fn accepted(text: &str) -> Accepted<ExperimentsRules> {
    Accepted {
        rules: rules(text),
        revision: Revision::of(text.as_bytes()),
        text: text.as_bytes().into(),
        at: DateTime::UNIX_EPOCH,
        actor: "file".into(),
    }
}

pub fn rules(text: &str) -> ExperimentsRules {
    read::<ExperimentsConfig>("experiments.json", text.as_bytes())
        .unwrap_or_else(|problems| panic!("{:?}", problems.iter().collect::<Vec<_>>()))
}

impl Bench {
    /// Puts other settings of the daemon in force.
    pub fn settle(&self, text: &str) {
        self.daemon.set(Arc::new(settings(text)));
    }

    /// Puts another file in force.
    pub fn configure(&self, text: &str) {
        self.live.set(Arc::new(accepted(text)));
    }

    /// Sends a request; it is in work when this returns.
    pub fn send(&self, target: &str, kind: &str, body: &str) -> impl Future<Output = Seen> + use<> {
        let path = target.split('?').next().unwrap();
        let routes = Arc::clone(&self.experiments).routes();
        let handler = routes
            .iter()
            .find(|route| route.path == path)
            .unwrap()
            .hot
            .clone()
            .unwrap();
        let request = http::Request::builder()
            .uri(target)
            .header("content-type", kind);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let call = Call {
            caller: Caller {
                name: "key:test".into(),
                role: Some(Role::Dash),
            },
            now: self.clock.now(),
            request_id: 1,
        };
        let body = Bytes::from(body.to_owned());
        let answer = handler(HotCall {
            parts: &parts,
            body,
            call,
        });
        async move {
            match answer {
                HotAnswer::Now(answer) => seen(answer).await,
                HotAnswer::Later(later) => seen(later.await).await,
            }
        }
    }

    pub async fn get(&self, target: &str) -> Seen {
        self.send(target, "", "").await
    }

    pub async fn log(&self, body: &str) -> Seen {
        self.send("/api/exp/log", "application/json", body).await
    }

    pub async fn batch(&self, query: &str, body: &str) -> Seen {
        let target = format!("/api/exp/log{query}");
        self.send(&target, "application/x-ndjson; charset=utf-8", body)
            .await
    }

    /// Lines of a kind in the journal, each without number, stamp and chain value.
    pub fn lines(&self, kind: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let begin = format!("\"kind\":\"{kind}\",");
        let each = &mut |chunk: echopilot::storage::engine::Chunk<'_>| {
            for line in std::str::from_utf8(chunk.bytes).unwrap().lines() {
                if let Some((_, members)) = line.split_once(&begin) {
                    lines.push(members.rsplit_once(",\"h\"").unwrap().0.to_owned());
                }
            }
            ControlFlow::Continue(())
        };
        self.gate.scan(STREAM, &Mark::default(), each).unwrap();
        lines
    }

    /// An experiment as it is listed.
    pub async fn counts(&self, exp: &str) -> Value {
        let list = self.get("/api/exp/list").await.json();
        let found = list["experiments"]
            .as_array()
            .unwrap()
            .iter()
            .find(|e| e["name"] == exp);
        found.unwrap().clone()
    }
}

async fn seen(answer: Result<Answer, HttpError>) -> Seen {
    match answer {
        Ok(answer) => {
            let degraded = answer.headers().get("x-echopilot-degraded");
            let degraded = degraded.map(|value| value.to_str().unwrap().to_owned());
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            Seen {
                status,
                body: String::from_utf8(body.to_vec()).unwrap(),
                degraded,
            }
        }
        Err(error) => Seen {
            status: error.status.as_u16(),
            body: String::from_utf8(error.body("test")).unwrap(),
            degraded: None,
        },
    }
}

/// Runs a story on both engines.
pub fn on_both<S: AsyncFn(&Shop)>(story: S) {
    for shop in Shop::both() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(story(&shop));
    }
    drop(story);
}
