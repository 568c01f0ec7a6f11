//! Taking over without a running standby: the home goes on from what it holds.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::seams::clock::{Clock as _, SystemClock};
use crate::seams::files::{Files, RealFiles};
use crate::storage::files::HeldHome;
use crate::storage::files::epoch::{self, Epoch, Fence};
use crate::storage::replica::followers;

/// Makes a standby's home one that may be written to.
pub(super) fn open_epoch(files: &dyn Files, home: &Path, taken: &Epoch) -> anyhow::Result<()> {
    epoch::set_own(files, home, taken).context("cannot write `.echopilot/epoch.json`")?;
    followers::remove_marker(files, home).context("cannot remove `.echopilot/standby.json`")
}

/// A take-over without a running standby.
#[derive(Debug)]
pub struct Promoted {
    /// The epoch that has begun.
    pub epoch: u64,
    /// The home that was followed, where nothing keeps it from writing.
    pub unfenced: Option<String>,
}

/// Takes over without a running standby: with what is there.
pub fn promote_offline(home: &Path) -> anyhow::Result<Promoted> {
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    let clock = SystemClock::new();
    let _held = HeldHome::take(&files, home)?;
    let marker = followers::marker(&*files, home)?;
    let Some(marker) = marker else {
        anyhow::bail!(
            "`{}` is not the home of a standby\n\
             hint: `echopilot standby --from DIR|URL --home {}` makes one",
            home.display(),
            home.display()
        );
    };
    let number = epoch::next(&*files, home, marker.epoch)?;
    let mut unfenced = None;
    if marker.from.contains("://") {
        unfenced = Some(marker.from.clone());
    } else {
        let fence = Fence {
            epoch: number,
            at: clock.now(),
            by: home.display().to_string(),
        };
        if let Err(error) = epoch::set_fence(&*files, Path::new(&marker.from), &fence) {
            tracing::error!("`{}` could not be fenced: {error}", marker.from);
            unfenced = Some(marker.from.clone());
        }
    }
    let taken = Epoch {
        epoch: number,
        taken_at: clock.now(),
        from: marker.from,
        by: "local".to_owned(),
        id: marker.id,
        noted: false,
    };
    open_epoch(&*files, home, &taken)?;
    Ok(Promoted {
        epoch: number,
        unfenced,
    })
}
