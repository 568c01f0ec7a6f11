//! A whole daemon in this process: every capability on a folder of its own and on a clock that
//! moves only when told to, called without a socket. What goes on beside the requests runs while a
//! call of the world is under way, and nowhere else.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use echopilot::app::assemble::{App, assemble, open_storage};
use echopilot::app::settings::GivenKeys;
use echopilot::platform::http::{Caller, Role};
use echopilot::platform::wiring::Seams;
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::seams::files::{FaultyFiles, Files, RealFiles};
use echopilot::storage::engine::{Expect, Mark};
use echopilot::storage::lines::Lines;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longest wait for a condition, in real time: room for a very busy machine.
const BOUND: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The body, the status being `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

/// A life of the process: from its start to its end.
struct Life {
    app: App,
    runtime: Runtime,
}

/// The daemon, its folder and its clock.
pub struct World {
    life: Option<Life>,
    home: TempDir,
    pub clock: Arc<ManualClock>,
    /// The file system under it, whole unless told otherwise.
    pub files: FaultyFiles,
    adapt: Option<Adapt>,
}

/// Changes the doors outward before a start, such as to a fake.
type Adapt = Box<dyn Fn(&mut Seams)>;

/// Noon of a Saturday, UTC.
pub fn noon() -> DateTime<Utc> {
    at("2026-11-21T12:00:00Z")
}

/// An instant as it is written.
#[track_caller]
pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

impl World {
    /// A folder without a process, at `now`; [`World::start`] follows.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self {
            life: None,
            home: TempDir::new().unwrap(),
            clock: Arc::new(ManualClock::at(now)),
            files: FaultyFiles::over(Arc::new(RealFiles)),
            adapt: None,
        }
    }

    /// A process on an empty folder, at noon.
    pub fn new() -> Self {
        Self::at(noon()).start()
    }

    /// A folder with a configuration file, at noon; [`World::start`] follows.
    pub fn with_config(file: &str, text: &str) -> Self {
        Self::at(noon()).config(file, text)
    }

    /// With a configuration file, before the start or while it runs. [`World::until`] tells when
    /// the daemon has seen it.
    pub fn config(self, file: &str, text: &str) -> Self {
        self.save(file, text);
        self
    }

    /// With other doors outward, at each start.
    pub fn with_seams(mut self, adapt: impl Fn(&mut Seams) + 'static) -> Self {
        self.adapt = Some(Box::new(adapt));
        self
    }

    /// Saves a configuration file as an editor does: by a rename.
    pub fn save(&self, file: &str, text: &str) {
        let configs = self.home().join("configs");
        fs::create_dir_all(&configs).unwrap();
        let new = configs.join(format!(".{file}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, configs.join(file)).unwrap();
    }

    /// Starts the process and lets it settle.
    pub fn start(mut self) -> Self {
        self.begin();
        self
    }

    fn begin(&mut self) {
        assert!(self.life.is_none(), "it runs already");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let files = Arc::new(self.files.clone()) as Arc<dyn Files>;
        let app = runtime.block_on(async {
            let engine = open_storage(self.home(), &files, &clock).unwrap();
            let mut seams = Seams::new(files, clock);
            if let Some(adapt) = &self.adapt {
                adapt(&mut seams);
            }
            let app = assemble(self.home(), seams, engine, &GivenKeys::default(), None).unwrap();
            app.health.set_ready();
            app.start_background();
            app
        });
        self.life = Some(Life { app, runtime });
        self.settle();
    }

    /// Ends the process in order and starts another on the same folder.
    pub fn restart(&mut self) {
        self.stop();
        self.begin();
    }

    /// Ends the process in order: what runs is asked to end, journals are closed.
    pub fn stop(&mut self) {
        let Life { app, runtime } = self.life.take().expect("a running process");
        let clock = Arc::clone(&self.clock);
        runtime.block_on(async {
            let patience = Duration::from_secs(20);
            let stopping = app.tasks.stop(&*clock, patience);
            let mut stopping = std::pin::pin!(stopping);
            let begun = Instant::now();
            // What waits for time to pass while it ends is given time.
            while tokio::time::timeout(Duration::from_millis(20), &mut stopping)
                .await
                .is_err()
            {
                assert!(begun.elapsed() < BOUND, "it does not stop");
                clock.advance(Duration::from_secs(1));
            }
        });
        app.close();
        drop(runtime);
    }

    /// Ends the process at once, as SIGKILL does: nothing under way goes on or is told to end, no
    /// checkpoint is saved. What storage has taken in it still writes, which is one of the ways a
    /// kill may come out.
    pub fn kill(&mut self) {
        let Life { app, runtime } = self.life.take().expect("a running process");
        // Whatever runs beside the requests is dropped where it waits.
        drop(runtime);
        app.engine.close();
    }

    /// The process.
    pub fn app(&self) -> &App {
        &self.life().app
    }

    fn life(&self) -> &Life {
        self.life.as_ref().expect("a running process")
    }

    /// The folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The wall clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Lets `work` run to its end in the process, and everything else meanwhile.
    pub fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.life().runtime.block_on(work)
    }

    /// Lets what was begun come to its end through `hops` journals that follow one another: the
    /// clock stands meanwhile, however busy the machine is.
    pub fn drain(&self, hops: usize) {
        let engine = &self.app().engine;
        for _hop in 0..hops {
            self.block_on(async {
                for _turn in 0..20 {
                    tokio::task::yield_now().await;
                }
                for stream in engine.streams() {
                    let all = engine.append(&stream, Expect::Any, None, Lines::new(), None);
                    // A journal that refuses has nothing under way either.
                    drop(all.await);
                }
            });
        }
    }

    /// Lets `span` pass at once on both clocks, and what became due happen.
    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
        self.settle();
    }

    /// Lets `span` pass in steps of `step`, as time does, and everything happen when it is due.
    pub fn pass(&self, span: Duration, step: Duration) {
        let mut left = span;
        while left > Duration::ZERO {
            let next = step.min(left);
            self.advance(next);
            left -= next;
        }
    }

    /// Steps the wall clock alone, and lets the loop notice at its next look.
    pub fn step_wall(&self, by: TimeDelta) {
        self.clock.step_wall(by);
        self.advance(Duration::from_secs(5));
    }

    /// Waits until no task is due, waiting or under way. A task that waits for time to pass keeps
    /// it from settling: use [`World::until`] there.
    pub fn settle(&self) {
        self.until("the task loop is at rest", |world| {
            let queue = world.get("/ops/queue_health").body;
            queue["tasks"]["idle"] == true
        });
    }

    /// Waits until `is_so`, everything else going on meanwhile.
    #[track_caller]
    pub fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        loop {
            self.block_on(async {
                for _turn in 0..20 {
                    tokio::task::yield_now().await;
                }
            });
            if is_so(self) {
                return;
            }
            assert!(begun.elapsed() < BOUND, "not within {BOUND:?}: {what}");
            std::thread::park_timeout(Duration::from_micros(200));
        }
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &Value::Null)
    }

    /// POST of `body`; `Value::Null` for none.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body)
    }

    /// One request in the name of `desk`, a caller with all rights.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Bytes::from(body))
            .unwrap();
        let caller = Caller {
            name: "desk".into(),
            role: Some(Role::Admin),
        };
        self.block_on(async {
            let answer = self.app().server.dispatch(request, caller).await;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let text = || Value::from(String::from_utf8_lossy(&body).into_owned());
            Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: serde_json::from_slice(&body).unwrap_or_else(|_| text()),
            }
        })
    }

    /// All lines of a journal that are JSON, in order.
    pub fn journal(&self, name: &str) -> Vec<Value> {
        let mut text = Vec::new();
        let read = self
            .app()
            .engine
            .scan(name, &Mark::default(), &mut |chunk| {
                text.extend_from_slice(chunk.bytes);
                ControlFlow::Continue(())
            });
        read.unwrap();
        text.split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// Lines of a journal of one kind, in order.
    pub fn journal_of(&self, name: &str, kind: &str) -> Vec<Value> {
        let mut lines = self.journal(name);
        lines.retain(|line| line["kind"] == kind);
        lines
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(life) = self.life.take() {
            if !std::thread::panicking() {
                let failed = life.app.tasks.failed();
                assert_eq!(failed, 0, "something that ran beside the requests panicked");
            }
            drop(life.runtime);
            life.app.close();
        }
    }
}
