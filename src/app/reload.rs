//! SIGHUP: all configurations are read again now, journals that a person moved are opened again,
//! and one line says what came of it. It never ends the process, from its first moment on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::assemble::App;
use crate::platform::config::{ConfigStatus, ConfigStore};
use crate::platform::lifecycle::{self, within};
use crate::seams::clock::Clock;
use crate::storage::engine::{Engine, Expect, Revision};
use crate::storage::lines::Lines;

/// How long journals may take to be looked at: a disk that does not answer must not keep us
/// reloading (our own choice).
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes SIGHUP from now on; who wants to heed it takes what is given.
pub(super) fn hangups(runtime: &Runtime) -> anyhow::Result<Signal> {
    let _within = runtime.enter();
    signal(SignalKind::hangup()).context("cannot take SIGHUP")
}

/// Heeds it until the end.
pub(super) fn heed(app: &App, mut hangups: Signal) {
    let reload = Reload {
        configs: app.configs.clone(),
        engine: Arc::clone(&app.engine),
        clock: Arc::clone(&app.clock),
    };
    let stop: CancellationToken = app.tasks.soft().clone();
    app.tasks.spawn("reload", async move {
        while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
            reload.run().await;
        }
    });
}

struct Reload {
    configs: ConfigStore,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
}

impl Reload {
    async fn run(&self) {
        lifecycle::notify_reloading();
        let before = revisions(&self.configs.status());
        let configs = self.configs.clone();
        let read = tokio::task::spawn_blocking(move || configs.refresh_all());
        let has_read = within(&*self.clock, PATIENCE, read).await;
        let refusing = self.look_at_journals().await;
        let told = sentence(&before, &self.configs.status(), &refusing);
        match has_read {
            Some(Ok(())) if told.is_good => tracing::info!("{}", told.text),
            Some(Ok(())) => tracing::warn!("{}", told.text),
            _ => tracing::error!("reloading was not done in time; {}", told.text),
        }
        lifecycle::notify_ready(&told.text);
    }

    /// Has each writer compare its file with what has its name. Gives those that take no lines.
    async fn look_at_journals(&self) -> Vec<String> {
        let open = |stream: &String| self.engine.health(stream).is_some();
        let streams: Vec<String> = self.engine.streams().into_iter().filter(open).collect();
        // An empty group is acknowledged after the look that comes before each batch.
        let looks = streams.into_iter().map(|stream| {
            let look = self
                .engine
                .append(&stream, Expect::Any, None, Lines::new(), None);
            async move { look.await.is_err().then_some(stream) }
        });
        let all = futures_util::future::join_all(looks);
        let seen = within(&*self.clock, PATIENCE, all).await;
        let Some(seen) = seen else {
            return vec!["some journals do not answer".to_owned()];
        };
        let refusing = seen.into_iter().flatten();
        refusing
            .map(|stream| format!("`{stream}` takes no lines"))
            .collect()
    }
}

type Revisions = BTreeMap<&'static str, Revision>;

fn revisions(all: &[ConfigStatus]) -> Revisions {
    let one = |status: &ConfigStatus| (status.file, status.revision.clone());
    all.iter().map(one).collect()
}

struct Told {
    text: String,
    is_good: bool,
}

/// What came of it, in one sentence.
fn sentence(before: &Revisions, after: &[ConfigStatus], refusing: &[String]) -> Told {
    let mut parts = Vec::new();
    for status in after {
        let (file, revision) = (status.file, &status.revision);
        if before.get(file) != Some(revision) {
            parts.push(format!("`{file}` is in force at {revision}"));
        }
    }
    let changed = parts.len();
    for status in after {
        if let Some(degraded) = &status.degraded {
            let first = degraded.problems.iter().next();
            let why = first.map_or("it cannot be read", |one| &*one.message);
            parts.push(format!("`{}` is refused: {why}", status.file));
        }
    }
    parts.extend_from_slice(refusing);
    let is_good = parts.len() == changed;
    if changed == 0 {
        parts.insert(0, "no configuration has changed".to_owned());
    }
    let text = format!("reloaded: {}", parts.join("; "));
    Told { text, is_good }
}
