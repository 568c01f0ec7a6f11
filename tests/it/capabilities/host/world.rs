//! A process that watches a machine which says what the test wants, on a stepped clock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use echopilot::app::assemble::{App, assemble, open_storage};
use echopilot::app::settings::GivenKeys;
use echopilot::platform::http::{Caller, Role};
use echopilot::platform::scheduler::{Pass, Summary, Trigger};
use echopilot::platform::wiring::Seams;
use echopilot::seams::clock::{Clock, ManualClock};
use echopilot::seams::files::{Files, RealFiles};
use echopilot::seams::host::{
    ClockSync, CpuTicks, FakeHost, Handles, Load, Memory, Pressure, Reading, Traffic, UnitReading,
    UnitState, Volume,
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Between two runs.
const CYCLE: Duration = Duration::from_mins(3);
/// Bytes of a GiB.
pub const GIB: u64 = 1 << 30;

/// A machine that is well.
pub fn well() -> Reading {
    let mut reading = Reading {
        boot_id: Some("6d0c".into()),
        cpu: Some(CpuTicks {
            user: 1000,
            system: 500,
            idle: 9000,
            iowait: 10,
            steal: 0,
        }),
        cpus: Some(2),
        load: Some(Load {
            one: 0.5,
            five: 0.4,
            fifteen: 0.3,
        }),
        pressure: Pressure {
            cpu: Some(0),
            memory: Some(0),
            io: Some(0),
        },
        memory: Some(Memory {
            total: 4 * GIB,
            available: 3 * GIB,
            swap_total: GIB,
            swap_free: GIB,
        }),
        oom_kills: Some(2),
        handles: Some(Handles {
            open: 900,
            most: 100_000,
        }),
        own_handles: Some(Handles {
            open: 30,
            most: 1024,
        }),
        disks: Some(Traffic::default()),
        network: Some(Traffic::default()),
        clock: ClockSync::Synced,
        ..Reading::default()
    };
    let volume = Volume {
        used: 40 * GIB,
        available: 60 * GIB,
        inodes_used: 10,
        inodes_free: 90,
    };
    reading.volumes.insert("/".into(), Some(volume));
    let unit = UnitReading {
        state: UnitState::Active,
        said: "active (running)".into(),
        restarts: Some(0),
        memory: Some(100 << 20),
        ..UnitReading::default()
    };
    reading.units.insert("shop.service".into(), unit);
    reading
}

/// Lets the processors be busy for `percent` of the time since the last reading.
pub fn busy(reading: &mut Reading, percent: u64) {
    let cpu = reading.cpu.as_mut().unwrap();
    cpu.user += percent;
    cpu.idle += 100 - percent;
}

pub struct World {
    pub app: App,
    pub home: TempDir,
    pub clock: Arc<ManualClock>,
    pub machine: Arc<FakeHost>,
}

impl World {
    /// A process that watches a machine that is well, by the rules `config`.
    pub fn with(config: &Value) -> Self {
        let home = TempDir::new().unwrap();
        std::fs::create_dir(home.path().join("configs")).unwrap();
        std::fs::write(home.path().join("configs/host.json"), config.to_string()).unwrap();
        let start: DateTime<Utc> = "2026-11-21T09:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(start));
        let machine = Arc::new(FakeHost::saying(well()));
        let app = assembled(home.path(), &clock, &machine);
        Self {
            app,
            home,
            clock,
            machine,
        }
    }

    /// The process ends and another one begins on the same folder.
    pub fn restart(self) -> Self {
        let Self {
            app,
            home,
            clock,
            machine,
        } = self;
        let engine = Arc::clone(&app.engine);
        app.close();
        drop(engine);
        let app = assembled(home.path(), &clock, &machine);
        Self {
            app,
            home,
            clock,
            machine,
        }
    }

    /// The next run of the task is due: what it says of itself.
    pub async fn run(&self) -> Summary {
        self.clock.advance(CYCLE);
        let tasks = self.app.roster.tasks().iter();
        let task = tasks.clone().find(|task| task.name() == "ops-sentinel");
        let now = self.clock.now();
        let pass = Pass {
            run: "r1".into(),
            now,
            scheduled_for: now,
            trigger: Trigger::Schedule,
            attempt: 1,
            stop: CancellationToken::new(),
        };
        task.expect("the task").run(&pass).await.expect("a summary")
    }

    /// Runs after each of `changes` to the machine; what was warned of in each.
    pub async fn warned(&self, changes: &[&dyn Fn(&mut Reading)]) -> Vec<Value> {
        let mut warned = Vec::new();
        for change in changes {
            self.machine.change(*change);
            warned.push(self.run().await.output["warnings"].take());
        }
        warned
    }

    pub fn lines(&self, journal: &str) -> Vec<Value> {
        let path = self.home.path().join(format!("logs/{journal}.ndjson"));
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["kind"] != "log.opened")
            .collect()
    }

    /// Alert events as `kind key`, in order.
    pub fn alerts(&self) -> Vec<String> {
        let told = self.lines("alerts");
        told.iter()
            .map(|line| {
                let word = |member: &str| line[member].as_str().unwrap().to_owned();
                format!("{} {}", word("kind"), word("key"))
            })
            .collect()
    }

    pub async fn get(&self, path: &str) -> String {
        let request = http::Request::get(path).body(Bytes::new()).unwrap();
        let caller = Caller {
            name: "desk".into(),
            role: Some(Role::Reader),
        };
        let answer = self.app.server.dispatch(request, caller).await;
        assert_eq!(answer.status(), 200, "{path}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    pub async fn host(&self) -> Value {
        serde_json::from_str(&self.get("/api/host").await).unwrap()
    }

    /// Everything that was appended is in the files.
    pub async fn settled(&self) {
        let journal =
            echopilot::storage::journal::Journal::new(Arc::clone(&self.app.engine), "alerts");
        // What was said while lines were written is handed over as they are done.
        for _ in 0..3 {
            journal.barrier(None).await.unwrap();
        }
    }
}

pub fn assembled(home: &Path, clock: &Arc<ManualClock>, machine: &Arc<FakeHost>) -> App {
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let engine = open_storage(home, &files, &clock).unwrap();
    let seams = Seams {
        host: Arc::clone(machine) as _,
        ..Seams::new(files, clock)
    };
    let app = assemble(home, seams, engine, &GivenKeys::default(), None).unwrap();
    app.health.set_ready();
    app
}
