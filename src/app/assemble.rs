//! Puts a process together: storage, configuration, capabilities, one route table. Binds nothing
//! and starts nothing; `serve` does that, and the command line uses the same parts without a
//! socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Runtime;

use super::families;
use super::rules::http_rules;
use super::settings::GivenKeys;
use crate::base::time;
use crate::capabilities::ALL;
use crate::platform::alerts::{self, Alerts};
use crate::platform::auth::{Gate, KeyRing, KeySpec};
use crate::platform::changes::Changes;
use crate::platform::config::{
    ConfigKind, ConfigStore, DaemonConfig, DaemonRules, EXPOSURES, Live, kind, read,
};
use crate::platform::hands::Hands;
use crate::platform::health::{self, Health, State};
use crate::platform::holds::Holds;
use crate::platform::http::{Descriptions, LiveRules, Role, Route, Server, ServerParts, Table};
use crate::platform::lifecycle::{self, Reviver, Tasks};
use crate::platform::samples::Samples;
use crate::platform::scheduler::Roster;
use crate::platform::switches::Switches;
use crate::platform::telemetry::{HttpMetrics, Metrics};
use crate::platform::watchdog::Vitals;
use crate::platform::wiring::{Capability, Seams, Wiring};
use crate::seams::clock::Clock;
use crate::seams::files::{Files, read_whole};
use crate::storage::engine::{Durability, Engine, STUCK_AFTER};
use crate::storage::files::{FilesEngine, FilesSettings, OpenError};

/// The parts of a running process.
#[derive(Debug)]
pub struct App {
    /// Where everything is.
    pub home: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Storage.
    pub engine: Arc<dyn Engine>,
    /// Live configuration.
    pub configs: ConfigStore,
    /// The daemon's own rules.
    pub daemon: Live<DaemonRules>,
    /// Who may call.
    pub gate: Arc<Gate>,
    /// How every part is.
    pub health: Arc<Health>,
    /// What the watchers find.
    pub alerts: Alerts,
    /// What is counted and timed.
    pub samples: Samples,
    /// What is done again and again.
    pub roster: Roster,
    /// Everything that runs.
    pub tasks: Tasks,
    /// The server, not yet listening.
    pub server: Server,
    /// What must turn for the daemon to live.
    pub vitals: Vitals,
    reviver: Reviver,
    capabilities: Vec<(&'static str, Arc<dyn Capability>)>,
}

/// Every configuration file there is.
pub fn config_kinds() -> Vec<ConfigKind> {
    let own = [kind::<DaemonConfig>()];
    own.into_iter()
        .chain(ALL.iter().filter_map(|one| one.config))
        .collect()
}

/// The one thread that serves, on which a file over the size limit is an error and not our death:
/// taken care of before storage writes its first byte.
pub(super) fn runtime() -> anyhow::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let within = runtime.enter();
    lifecycle::survive_size_limits().context("cannot take signals")?;
    drop(within);
    Ok(runtime)
}

/// Takes the home folder and opens storage in it.
pub fn open_storage(
    home: &Path,
    files: &Arc<dyn Files>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Engine>, OpenError> {
    let mut settings = FilesSettings::new(home);
    if let Some(rules) = first_look(home, &**files) {
        settings.reserve_bytes = rules.reserve_bytes;
    }
    FilesEngine::open(settings, Arc::clone(files), Arc::clone(clock))
        .map(|engine| Arc::new(engine) as Arc<dyn Engine>)
}

/// The daemon's settings as they are on disk, before there is a store that would keep them: storage
/// itself is made with some of them. A bad file means the defaults, and the store says so later.
pub(super) fn first_look(home: &Path, files: &dyn Files) -> Option<DaemonRules> {
    /// Bytes of settings that are looked at: far more than a person writes.
    const MOST: u64 = 1 << 20;
    let path = home.join("configs").join("echopilot.json");
    let text = files
        .open_read(&path)
        .and_then(|mut file| read_whole(&mut *file, MOST))
        .ok()?;
    read::<DaemonConfig>("echopilot.json", &text).ok()
}

/// Puts everything together on `engine`. `local` is the key of the command line, if there is one.
pub fn assemble(
    home: &Path,
    seams: Seams,
    engine: Arc<dyn Engine>,
    given: &GivenKeys,
    local: Option<KeySpec>,
) -> anyhow::Result<App> {
    let clock = Arc::clone(&seams.clock);
    let changes = Changes::default();
    let configs = ConfigStore::new(Arc::clone(&engine), Arc::clone(&clock), changes.clone())?;
    let daemon = configs.register::<DaemonConfig>()?;
    let rules = LiveRules::new(http_rules(&daemon.get().rules));
    let followed = rules.clone();
    configs.on_accept::<DaemonConfig>(Arc::new(move |accepted| {
        followed.set(http_rules(&accepted.rules));
    }))?;
    let fixed: Arc<[KeySpec]> = fixed_keys(given, local).into();
    engine.open(
        alerts::STREAM,
        daemon.get().rules.stream_options(alerts::STREAM),
    )?;
    let wiring = Wiring {
        engine: Arc::clone(&engine),
        home: home.into(),
        clock: Arc::clone(&clock),
        configs: configs.clone(),
        daemon: daemon.clone(),
        gate: Arc::new(Gate::new(KeyRing::new(fixed.to_vec()))),
        fixed_keys: fixed,
        health: Arc::new(Health::default()),
        alerts: Alerts::open(&engine)?,
        changes,
        hands: Hands::default(),
        samples: Samples::open(&engine, &clock, |stream| {
            daemon.get().rules.stream_options(stream)
        })?,
        metrics: Metrics::new(Arc::clone(&seams.files), Arc::clone(&clock)),
        roster: Roster::default(),
        tasks: Tasks::new(),
        reviver: Reviver::default(),
        vitals: Vitals::default(),
        switches: Switches::default(),
        holds: Holds::default(),
        seams,
    };
    let capabilities = build_all(&wiring)?;
    watch_health(&wiring, &capabilities);
    let server = build_server(&wiring, rules, &capabilities)?;
    let Wiring {
        gate,
        health,
        alerts,
        samples,
        roster,
        tasks,
        reviver,
        vitals,
        ..
    } = wiring;
    let home = home.to_owned();
    Ok(App {
        home,
        clock,
        engine,
        configs,
        daemon,
        gate,
        health,
        alerts,
        samples,
        roster,
        tasks,
        server,
        vitals,
        reviver,
        capabilities,
    })
}

/// Builds every capability, and makes their tasks known.
fn build_all(wiring: &Wiring) -> anyhow::Result<Vec<(&'static str, Arc<dyn Capability>)>> {
    let mut capabilities = Vec::with_capacity(ALL.len());
    for descriptor in ALL {
        let built = (descriptor.build)(wiring)
            .with_context(|| format!("cannot start `{}`", descriptor.name))?;
        capabilities.push((descriptor.name, built));
    }
    let all_tasks = capabilities
        .iter()
        .flat_map(|(_, capability)| Arc::clone(capability).tasks());
    wiring.roster.complete(all_tasks.collect())?;
    Ok(capabilities)
}

fn fixed_keys(given: &GivenKeys, local: Option<KeySpec>) -> Vec<KeySpec> {
    let spec =
        |key: &super::settings::GivenKey, role| KeySpec::fixed(key.name, role, key.secret.reveal());
    let dash = given.dash.iter().map(|key| spec(key, Role::Dash));
    let admin = given.admin.iter().map(|key| spec(key, Role::Admin));
    dash.chain(admin).chain(local).collect()
}

fn watch_health(wiring: &Wiring, capabilities: &[(&'static str, Arc<dyn Capability>)]) {
    let engine = Arc::clone(&wiring.engine);
    wiring
        .health
        .add("storage", move || storage_state(&*engine));
    let engine = Arc::clone(&wiring.engine);
    let daemon = wiring.daemon.clone();
    let told = move || durability(&*engine, daemon.get().rules.durability(EXPOSURES));
    wiring.health.tell("durability", told);
    let engine = Arc::clone(&wiring.engine);
    wiring.health.tell("runs", move || runs(&*engine));
    let configs = wiring.configs.clone();
    wiring
        .health
        .add("configs", move || configs_state(&configs));
    let alerts = wiring.alerts.clone();
    wiring.health.add("alerts", move || {
        alerts.trouble().map_or(State::Ok, State::Degraded)
    });
    for (name, capability) in capabilities {
        let capability = Arc::clone(capability);
        wiring.health.add(name, move || match capability.trouble() {
            Some(trouble) => State::Degraded(trouble),
            None => State::Ok,
        });
    }
}

fn storage_state(engine: &dyn Engine) -> State {
    let refusing = engine.streams().into_iter().find_map(|stream| {
        let code = engine.health(&stream)?.refusing?;
        Some(format!("{code}: `{stream}` takes no lines"))
    });
    let stuck = engine
        .longest_wait()
        .filter(|(_, lasts)| *lasts >= STUCK_AFTER);
    if let Some((stream, lasts)) = stuck {
        let secs = lasts.as_secs();
        let text = format!("storage_stuck: `{stream}` is at one write or sync for {secs} s");
        return State::Failed(text);
    }
    match refusing {
        Some(refusing) => State::Failed(refusing),
        None if engine.medium().low => {
            State::Degraded("less than a tenth of the disk is free".to_owned())
        }
        None => State::Ok,
    }
}

/// How sure an acknowledgement is, by journal (rule L2 of the reliability notes); first exposures
/// have a level of their own within theirs.
fn durability(engine: &dyn Engine, exposures: Durability) -> serde_json::Value {
    let level = |stream: &str| engine.health(stream)?.durability;
    let mut levels = serde_json::Map::new();
    for stream in engine.streams() {
        if let Some(level) = level(&stream) {
            levels.insert(stream, level.to_string().into());
        }
    }
    if let Some(stream_wide) = level("experiments") {
        let exposures = exposures.within(stream_wide);
        levels.insert(EXPOSURES.to_owned(), exposures.to_string().into());
    }
    levels.into()
}

/// How this run began, and how those before it ended.
fn runs(engine: &dyn Engine) -> serde_json::Value {
    let Some(runs) = engine.runs() else {
        return serde_json::Value::Null;
    };
    serde_json::json!({
        "started_at": time::stamp(runs.started_at),
        "previous_version": runs.previous_version,
        "previous_clean": runs.previous_clean,
        "last_unclean_at": runs.last_unclean.map(time::stamp),
    })
}

fn configs_state(configs: &ConfigStore) -> State {
    let mut all = configs.status().into_iter();
    let bad = all.find_map(|status| status.refusal());
    bad.map_or(State::Ok, State::Degraded)
}

fn build_server(
    wiring: &Wiring,
    rules: LiveRules,
    capabilities: &[(&'static str, Arc<dyn Capability>)],
) -> anyhow::Result<Server> {
    let metrics = &wiring.metrics;
    families::add(metrics, &wiring.engine, &wiring.configs);
    let samples = wiring.samples.clone();
    metrics.add(move |page| samples.write_metrics(page));
    let descriptions = Descriptions::default();
    let mut rows = health::routes(&wiring.health, &wiring.clock);
    rows.extend(metrics.routes());
    rows.extend(wiring.alerts.routes());
    rows.extend(descriptions.routes());
    for (_, capability) in capabilities {
        rows.extend(Arc::clone(capability).routes());
    }
    let table = Arc::new(Table::new(rows)?);
    // Probes are not limited; they say nothing of how callers are served, and neither do scrapes.
    let own = |row: &Route| row.limited && row.path != "/metrics";
    let own = table.rows().iter().map(own).collect();
    let counts = HttpMetrics::new(table.rows().len()).counting_own(own);
    let counts = Arc::new(counts);
    metrics.complete(&table, &counts);
    descriptions.complete(&table);
    let parts = ServerParts {
        gate: Arc::clone(&wiring.gate),
        rules,
        clock: Arc::clone(&wiring.clock),
        tasks: wiring.tasks.clone(),
    };
    Ok(Server::new(table, counts, parts))
}

impl App {
    /// Starts the work of the capabilities beside the requests.
    pub fn start_background(&self) {
        let (clock, stop) = (Arc::clone(&self.clock), self.tasks.soft().clone());
        let alerts = self.alerts.clone();
        self.tasks
            .spawn("alerts-journal", alerts.keep_trying(clock, stop.clone()));
        self.tasks.spawn("samples", self.samples.clone().run(stop));
        let capabilities: Vec<_> = self
            .capabilities
            .iter()
            .map(|(_, one)| one)
            .cloned()
            .collect();
        let tasks = self.tasks.clone();
        let start = move |wanted: Option<&str>| {
            let mut found = false;
            for capability in &capabilities {
                let works = Arc::clone(capability).background(tasks.soft().clone());
                let wanted = works
                    .into_iter()
                    .filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name));
                for (name, work) in wanted {
                    tasks.spawn(name, work);
                    found = true;
                }
            }
            found
        };
        start(None);
        self.reviver.complete(move |name| start(Some(name)));
    }

    /// Ends a process that only read, beside others over the same home; with `saves` it leaves what
    /// makes the next start quick.
    pub fn retire(&self, saves: bool) {
        if saves {
            return self.close();
        }
        self.configs.close();
        self.engine.close();
    }

    /// Saves what makes the next start quick, writes what is left, and lets go of the home.
    pub fn close(&self) {
        for (_, capability) in &self.capabilities {
            capability.close();
        }
        self.samples.close();
        self.configs.close();
        self.engine.ends_by(self.tasks.reason().unwrap_or("done"));
        self.engine.close();
    }
}
