//! A server on a free port with a few routes, and a client that sends raw bytes: for what no HTTP
//! library would let us send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing;
use echopilot::platform::auth::{Gate, KeyRing, KeySpec};
use echopilot::platform::health::{self, Health};
use echopilot::platform::http::{
    Answer, Body, Call, Descriptions, HotAnswer, HttpRules, LiveRules, Reply, Role, Route, Routes,
    Scope, Server, ServerParts, Table,
};
use echopilot::platform::lifecycle::Tasks;
use echopilot::platform::telemetry::{HttpMetrics, Metrics};
use echopilot::seams::clock::{Clock, SystemClock};
use echopilot::seams::files::RealFiles;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Keys that the lab's server knows.
pub const READER: &str = "reader-key-of-the-lab";
pub const DASH: &str = "dash-key-of-the-lab";
pub const ADMIN: &str = "admin-key-of-the-lab";

/// No test waits longer than this for anything.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub struct Lab {
    pub address: SocketAddr,
    pub server: Server,
    pub rules: LiveRules,
    pub gate: Arc<Gate>,
    pub tasks: Tasks,
    pub health: Arc<Health>,
    pub table: Arc<Table>,
    pub metrics: Arc<HttpMetrics>,
}

/// The lab's routes: each way of answering once.
pub fn routes() -> Routes {
    let hot = Route::get("/hot", Scope::Read, "prepared bytes").hot(Arc::new(|call| {
        let mut answer = Answer::new(Body::from(r#"{"ok":true,"flags":{}}"#));
        let json = http::HeaderValue::from_static("application/json");
        answer
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, json);
        assert!(call.parts.uri.query() != Some("panic"), "asked to panic");
        HotAnswer::Now(Ok(answer))
    }));
    let echo = async |call: Call, body: bytes::Bytes| {
        let caller: &str = &call.caller.name;
        Reply::ok(json!({ "bytes": body.len(), "caller": caller }))
    };
    let panics = async || -> Reply<Value> { panic!("asked to panic") };
    let never = async || -> Reply<Value> { std::future::pending().await };
    let large = async || Reply::ok(json!({ "text": "x".repeat(30_000_000) }));
    let id = async |axum::extract::Query(query): axum::extract::Query<Vec<(String, u32)>>| {
        Reply::ok(json!({ "numbers": query.len() }))
    };
    vec![
        hot,
        Route::post("/echo", Scope::Operate, "tells what came").handler(routing::post(echo)),
        Route::get("/open", Scope::Public, "for all").handler(routing::get(echo)),
        Route::get("/admin", Scope::Admin, "for admins").handler(routing::get(echo)),
        Route::get("/things/{id}", Scope::Read, "one thing").handler(routing::get(echo)),
        Route::get("/numbers", Scope::Read, "typed query").handler(routing::get(id)),
        Route::get("/panics", Scope::Read, "fails").handler(routing::get(panics)),
        Route::get("/never", Scope::Read, "never answers").handler(routing::get(never)),
        Route::get("/large", Scope::Read, "a lot").handler(routing::get(large)),
    ]
}

impl Lab {
    /// A server with the default rules, changed by `change`.
    pub async fn start(change: impl FnOnce(&mut HttpRules)) -> Self {
        Self::start_at(Arc::new(SystemClock::new()), change).await
    }

    /// A server on `clock`.
    pub async fn start_at(clock: Arc<dyn Clock>, change: impl FnOnce(&mut HttpRules)) -> Self {
        let mut rules = HttpRules::default();
        change(&mut rules);
        let rules = LiveRules::new(rules);
        let gate = Arc::new(Gate::new(KeyRing::new(vec![
            KeySpec::fixed("lab:reader", Role::Reader, READER),
            KeySpec::fixed("lab:dash", Role::Dash, DASH),
            KeySpec::fixed("lab:admin", Role::Admin, ADMIN),
        ])));
        let health = Arc::new(Health::default());
        let page = Metrics::new(Arc::new(RealFiles), Arc::clone(&clock));
        let descriptions = Descriptions::default();
        let mut rows = routes();
        rows.extend(health::routes(&health, &clock));
        rows.extend(page.routes());
        rows.extend(descriptions.routes());
        let table = Arc::new(Table::new(rows).unwrap());
        let metrics = Arc::new(HttpMetrics::new(table.rows().len()));
        descriptions.complete(&table);
        page.complete(&table, &metrics);
        let tasks = Tasks::new();
        let parts = ServerParts {
            gate: Arc::clone(&gate),
            rules: rules.clone(),
            clock,
            tasks: tasks.clone(),
        };
        let server = Server::new(Arc::clone(&table), Arc::clone(&metrics), parts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = server.clone();
        tasks.spawn("server", async move { running.serve(listener).await });
        Self {
            address,
            server,
            rules,
            gate,
            tasks,
            health,
            table,
            metrics,
        }
    }

    /// A new connection.
    pub async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// The answer to `request`, sent as it is on a connection of its own.
    pub async fn raw(&self, request: &[u8]) -> Reading {
        let mut client = self.connect().await;
        client.send(request).await;
        client.read().await
    }

    /// The answer to a GET with `key`.
    pub async fn get(&self, target: &str, key: &str) -> Reading {
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("X-Dash-Key: {key}\r\n")
        };
        self.raw(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{key}\r\n").as_bytes())
            .await
    }
}

/// A connection.
pub struct Client(pub TcpStream);

impl Client {
    pub async fn send(&mut self, bytes: &[u8]) {
        // The server may have closed already: then the reading side tells.
        let _closed = self.0.write_all(bytes).await;
    }

    /// One answer; its body is read by its length.
    pub async fn read(&mut self) -> Reading {
        let mut bytes = Vec::new();
        let reading = async {
            loop {
                if let Some(whole) = Reading::parse(&bytes) {
                    return whole;
                }
                let mut piece = vec![0; 65536];
                match self.0.read(&mut piece).await {
                    Ok(0) | Err(_) => return Reading::cut(&bytes),
                    Ok(count) => bytes.extend_from_slice(&piece[..count]),
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("an answer in time")
    }

    /// All that comes until `word` was in it, or until the server closes.
    pub async fn until(&mut self, word: &str) -> String {
        let mut bytes = Vec::new();
        let reading = async {
            let mut piece = vec![0; 65536];
            while let Ok(count @ 1..) = self.0.read(&mut piece).await {
                bytes.extend_from_slice(&piece[..count]);
                if memchr::memmem::find(&bytes, word.as_bytes()).is_some() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("the word in time");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the server closes, and tells how long it took.
    pub async fn closed(&mut self) -> Duration {
        let start = std::time::Instant::now();
        let mut piece = vec![0; 65536];
        let reading = async { while self.0.read(&mut piece).await.is_ok_and(|count| count > 0) {} };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("closed in time");
        start.elapsed()
    }
}

/// An answer as it was read.
#[derive(Debug)]
pub struct Reading {
    /// 0 when the connection was closed without an answer.
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reading {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let reading = Self {
            status: head.get(9..12)?.parse().ok()?,
            head: head.to_lowercase(),
            body: body.to_owned(),
        };
        let length: usize = reading
            .header("content-length")
            .map_or(0, |value| value.parse().unwrap());
        (body.len() >= length).then_some(reading)
    }

    fn cut(bytes: &[u8]) -> Self {
        Self {
            status: 0,
            head: String::from_utf8_lossy(bytes).into_owned(),
            body: String::new(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON in {self:?}"))
    }

    /// The machine word of an error.
    pub fn code(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}
