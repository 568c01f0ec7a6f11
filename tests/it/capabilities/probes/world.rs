//! A whole process without a socket, whose clock stands still and whose other machines answer as
//! they are told.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use echopilot::app::assemble::{App, assemble, open_storage};
use echopilot::app::settings::GivenKeys;
use echopilot::platform::http::{Caller, Role};
use echopilot::platform::wiring::Seams;
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::seams::files::{Files, RealFiles};
use echopilot::seams::outbound::{FakeAnswer, FakeOutbound};
use echopilot::storage::engine::{Expect, Mark};
use echopilot::storage::journal::read_lines;
use echopilot::storage::lines::Lines;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The process, and what it stands on.
pub struct World {
    pub app: App,
    pub clock: Arc<ManualClock>,
    pub net: Arc<FakeOutbound>,
    home: TempDir,
}

pub fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A TCP probe of `NAME.example:1` with quick bounds, and with these settings of its own.
pub fn tcp(name: &str, more: &Value) -> (String, Value) {
    let mut probe = json!({
        "tcp": { "address": format!("{name}.example:1") },
        "interval_secs": 30, "timeout_secs": 10, "retry_secs": 10,
    });
    probe
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    (name.to_owned(), probe)
}

/// A configuration of these probes, our own network not guarded.
pub fn config(probes: impl IntoIterator<Item = (String, Value)>) -> Value {
    let probes: serde_json::Map<String, Value> = probes.into_iter().collect();
    json!({ "connectivity": { "targets": [] }, "probes": probes })
}

impl World {
    /// Begins at noon with this `configs/probes.json`.
    pub fn begin(config: &Value) -> Self {
        let home = TempDir::new().unwrap();
        Self::open(home, config, noon())
    }

    fn open(home: TempDir, config: &Value, at: DateTime<Utc>) -> Self {
        fs::create_dir_all(home.path().join("configs")).unwrap();
        write(home.path(), config);
        let clock = Arc::new(ManualClock::at(at));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let net = Arc::new(FakeOutbound::new(Arc::clone(&shared)));
        let files: Arc<dyn Files> = Arc::new(RealFiles);
        let engine = open_storage(home.path(), &files, &shared).unwrap();
        let mut seams = Seams::new(files, shared);
        seams.outbound = Arc::clone(&net) as _;
        let app = assemble(home.path(), seams, engine, &GivenKeys::default(), None).unwrap();
        app.start_background();
        Self {
            app,
            clock,
            net,
            home,
        }
    }

    /// Stops the process and begins another one on the same folder, so much later.
    pub async fn restart(self, config: &Value, later: Duration) -> Self {
        let at = self.clock.now() + later;
        Self::open(self.close().await, config, at)
    }

    /// Stops the process; its folder stays.
    pub async fn close(self) -> TempDir {
        let Self {
            app, home, clock, ..
        } = self;
        let stopping = app.tasks.stop(&*clock, Duration::from_secs(5));
        assert!(stopping.await, "everything stops");
        app.close();
        home
    }

    /// Begins at noon on a folder that is there.
    pub fn reopen(home: TempDir, config: &Value) -> Self {
        Self::open(home, config, noon())
    }

    /// Puts another `configs/probes.json` in force.
    pub async fn reload(&self, config: &Value) {
        write(self.home.path(), config);
        self.app.configs.refresh_all();
        self.settle().await;
    }

    /// From now on every call of `name`'s TCP probe is answered like this.
    pub fn tcp(&self, name: &str, answer: FakeAnswer) {
        self.net.answers(&format!("tcp {name}.example:1"), answer);
    }

    /// Lets everything run that can without the clock.
    pub async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets so many seconds pass, one by one.
    pub async fn pass(&self, secs: u64) {
        for _ in 0..secs {
            self.clock.advance(Duration::from_secs(1));
            self.settle().await;
        }
    }

    /// Asks the API.
    pub async fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Bytes::new())
            .unwrap();
        let caller = Caller {
            name: "desk".into(),
            role: Some(Role::Admin),
        };
        let answer = self.app.server.dispatch(request, caller).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// One probe as the API tells it.
    pub async fn probe(&self, name: &str) -> Value {
        let (status, all) = self.ask("GET", "/api/probes").await;
        assert_eq!(status, 200, "{all}");
        let all = all["probes"].as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == name);
        one.unwrap_or_else(|| panic!("no `{name}`")).clone()
    }

    /// The state of one probe.
    pub async fn state(&self, name: &str) -> String {
        self.probe(name).await["state"].as_str().unwrap().to_owned()
    }

    /// Lines of a journal since the beginning, once everything said so far is on record.
    pub async fn lines(&self, stream: &str) -> Vec<Value> {
        let nothing = Lines::new();
        let barrier = self
            .app
            .engine
            .append(stream_of(stream), Expect::Any, None, nothing, None);
        barrier.await.unwrap();
        let mut lines = Vec::new();
        read_lines(
            &*self.app.engine,
            stream,
            &Mark::default(),
            |line: Value| {
                lines.push(line);
            },
        )
        .unwrap();
        let own = |line: &Value| {
            let kind = line["kind"].as_str().unwrap_or_default();
            // Other watchers alert too, of a clock that steps by seconds.
            let ours = stream == "probes" || line["source"] == "probes";
            ours && !kind.starts_with("segment.") && !kind.starts_with("log.")
        };
        lines.retain(own);
        lines
    }

    /// The probes' lines as `kind name`.
    pub async fn told(&self) -> Vec<String> {
        let text = |line: Value| {
            let of = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            format!("{} {}", of("kind"), of("probe")).trim().to_owned()
        };
        self.lines("probes").await.into_iter().map(text).collect()
    }

    /// Alert events of probes as `kind key`.
    pub async fn alerts(&self) -> Vec<String> {
        let text = |line: Value| format!("{} {}", line["kind"], line["key"]).replace('"', "");
        self.lines("alerts").await.into_iter().map(text).collect()
    }
}

fn stream_of(name: &str) -> &'static str {
    match name {
        "probes" => "probes",
        "alerts" => "alerts",
        other => panic!("{other}"),
    }
}

fn write(home: &Path, config: &Value) {
    let path = home.join("configs").join("probes.json");
    let temporary = home.join("probes.new");
    fs::write(&temporary, config.to_string()).unwrap();
    fs::rename(temporary, path).unwrap();
}
