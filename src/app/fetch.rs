//! Fetching a replica from its bucket for a restore: without a daemon, on a machine that may have
//! nothing but the configuration that names the bucket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::assemble::{first_look, runtime};
use super::settings;
use crate::capabilities::backups::model::Bucket;
use crate::capabilities::backups::reach::{self, Means};
use crate::platform::config::{DaemonConfig, read};
use crate::platform::wiring::Seams;
use crate::seams::clock::{Clock, SystemClock};
use crate::seams::files::{Files, RealFiles};
use crate::storage::backup::BackupError;

/// Fetches the replica in `bucket` into the folder `to`, with the secrets and the rules for calls
/// outward of `home`.
pub fn replica(
    home: &Path,
    bucket: &Bucket,
    to: PathBuf,
) -> anyhow::Result<Result<PathBuf, BackupError>> {
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let runtime = runtime()?;
    let allow = match first_look(home, &*files) {
        Some(rules) => rules.outbound,
        None => match read::<DaemonConfig>("echopilot.json", b"{}") {
            Ok(rules) => rules.outbound,
            Err(_) => anyhow::bail!("the shipped settings cannot be used; please report this"),
        },
    };
    let means = Means {
        secrets: settings::secrets(&files, home),
        outbound: Seams::new(Arc::clone(&files), clock).outbound,
        allow,
        runtime: runtime.handle().clone(),
        stop: CancellationToken::new(),
    };
    let target = reach::target(bucket, &means).map_err(anyhow::Error::msg)?;
    let fetching = async {
        // The work waits on a thread of its own; this one drives what it waits for.
        tokio::task::spawn_blocking(move || target.fetch(&*files, &to)).await
    };
    runtime
        .block_on(fetching)
        .context("the thread that fetched the replica died")
}
