//! Every source at work, as the configuration in force names them: one future for each, begun,
//! ended and begun anew when an edit changes it. All of them run within one task; what blocks goes
//! to the blocking pool.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::asking::ask;
use super::config::SourceConfig;
use super::follow::follow;
use super::own::count_own;
use super::push::Created;
use super::rules::{Kind, Source};
use super::status::{Board, SourceStatus};
use crate::capabilities::slo::rules::SloRules;
use crate::platform::config::{DaemonRules, Live};
use crate::platform::samples::Samples;
use crate::platform::telemetry::Metrics;
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::seams::outbound::Outbound;

/// How often the configuration is looked at.
const TICK: Duration = Duration::from_secs(1);

/// What sources work with.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) files: Arc<dyn Files>,
    pub(super) outbound: Arc<dyn Outbound>,
    pub(super) daemon: Live<DaemonRules>,
    pub(super) samples: Samples,
    pub(super) metrics: Metrics,
    pub(super) board: Board,
}

/// All sources of samples.
#[derive(Debug)]
pub struct Intake {
    pub(super) doors: Arc<Doors>,
    pub(super) live: Live<SloRules>,
    pub(super) created: Created,
}

/// A source at work; it ends with its name.
type Working = Pin<Box<dyn Future<Output = String> + Send>>;

/// Sources at work, each with how it was written and what stops it.
#[derive(Default)]
struct Crew {
    working: FuturesUnordered<Working>,
    known: HashMap<String, (SourceConfig, CancellationToken)>,
}

impl Intake {
    /// The sources that `live` names.
    pub fn new(wiring: &Wiring, live: Live<SloRules>) -> Arc<Self> {
        let doors = Doors {
            clock: Arc::clone(&wiring.clock),
            files: Arc::clone(&wiring.seams.files),
            outbound: Arc::clone(&wiring.seams.outbound),
            daemon: wiring.daemon.clone(),
            samples: wiring.samples.clone(),
            metrics: wiring.metrics.clone(),
            board: Board::default(),
        };
        Arc::new(Self {
            created: Created::known(&doors.samples),
            doors: Arc::new(doors),
            live,
        })
    }

    /// How the sources are doing.
    pub fn board(&self) -> &Board {
        &self.doors.board
    }

    /// What is wrong with them, in one sentence.
    pub fn trouble(&self) -> Option<String> {
        self.doors.board.trouble()
    }

    /// Works until it is told to stop, and until every source has kept what it counted.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut crew = Crew::default();
        while !stop.is_cancelled() {
            self.reconcile(&mut crew, &self.live.get_full().rules.sources);
            let tick = self.doors.clock.sleep(TICK);
            tokio::pin!(tick);
            loop {
                tokio::select! {
                    Some(ended) = crew.working.next() => self.ended(&mut crew, &ended),
                    () = &mut tick => break,
                    () = stop.cancelled() => break,
                }
            }
        }
        for (_, token) in crew.known.values() {
            token.cancel();
        }
        while crew.working.next().await.is_some() {}
    }

    /// Begins what is new, and stops what is not wanted any more or was written differently.
    fn reconcile(&self, crew: &mut Crew, sources: &[Source]) {
        let wanted: HashSet<&str> = sources.iter().map(|one| one.name.as_str()).collect();
        for (name, (_, token)) in &crew.known {
            if !wanted.contains(name.as_str()) {
                token.cancel();
            }
        }
        for source in sources {
            match crew.known.get(&source.name) {
                Some((written, token)) if *written != source.written => token.cancel(),
                Some(_) => {}
                None => self.begin(crew, source),
            }
        }
    }

    fn begin(&self, crew: &mut Crew, source: &Source) {
        let (token, doors) = (CancellationToken::new(), Arc::clone(&self.doors));
        let name = source.name.clone();
        let (kind, work): (_, Pin<Box<dyn Future<Output = ()> + Send>>) = match &source.kind {
            Kind::AccessLog(rules) => {
                let rules = (**rules).clone();
                let work = follow(doors, name.clone(), rules, token.clone());
                ("access_log", Box::pin(work))
            }
            Kind::Scrape(rules) => {
                let rules = (**rules).clone();
                let work = ask(doors, name.clone(), rules, token.clone());
                ("scrape", Box::pin(work))
            }
            Kind::Own(series) => {
                let work = count_own(doors, name.clone(), series.clone(), token.clone());
                ("own", Box::pin(work))
            }
            // Nothing to do: samples come by themselves.
            Kind::Pushed(_) => ("pushed", Box::pin(token.clone().cancelled_owned())),
        };
        let series = source.series().into_iter().map(str::to_owned).collect();
        let status = SourceStatus {
            kind,
            series,
            ..SourceStatus::default()
        };
        self.doors.board.set(&name, status);
        let entry = (source.written.clone(), token);
        crew.known.insert(name.clone(), entry);
        crew.working.push(Box::pin(async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                error!(source = name, "source `{name}` panicked and is begun anew");
            }
            name
        }));
    }

    /// A source ended: at the next tick it is begun anew, if it is still wanted.
    fn ended(&self, crew: &mut Crew, name: &str) {
        crew.known.remove(name);
        self.doors.board.remove(name);
    }
}
