//! May this home be written to? Asked before storage is opened for writing, by the daemon and by
//! every verb that works without one: of several copies of a home only one writes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use serde::Deserialize;

use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::seams::outbound::{Allow, Limits, Outbound, Request, Url};
use crate::storage::engine::Barred;
use crate::storage::files::epoch::{self, Fence};
use crate::storage::replica::followers::{self, Follower};

/// How long a follower may take to say its epoch: it is on this network, and answers from memory.
const ANSWER: Duration = Duration::from_secs(2);
/// Bytes of its answer at most: it holds three short values.
const MOST_BODY: usize = 4096;

/// The doors that are needed to find out.
pub(super) struct Doors<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) clock: &'a dyn Clock,
    pub(super) outbound: &'a dyn Outbound,
}

/// Why `home` may not be written to; `None` where it may. Asks every follower for its epoch.
pub(super) async fn barred(doors: &Doors<'_>, home: &Path) -> anyhow::Result<Option<Arc<Barred>>> {
    let files = doors.files;
    let about = || format!("cannot tell whether `{}` may be written to", home.display());
    if let Some(marker) = followers::marker(files, home).with_context(about)? {
        let primary = marker.from;
        return Ok(Some(Arc::new(Barred::Standby { primary })));
    }
    if let Some(why) = epoch::barred(files, home).with_context(about)? {
        return Ok(Some(why));
    }
    let own = epoch::number(files, home).with_context(about)?;
    let mut unanswered = None;
    for follower in followers::followers(files, home).with_context(about)? {
        match ask(doors, &follower).await {
            Ok(higher) if higher > own => {
                let fence = Fence {
                    epoch: higher,
                    at: doors.clock.now(),
                    by: follower.url.clone(),
                };
                epoch::set_fence(files, home, &fence)
                    .with_context(|| format!("cannot fence `{}`", home.display()))?;
                let (epoch, by) = (higher, follower.url);
                return Ok(Some(Arc::new(Barred::Fenced { epoch, by })));
            }
            Ok(_) => {}
            Err(reason) => {
                unanswered = Some(Arc::new(Barred::Unanswered {
                    follower: follower.id,
                    at: follower.url,
                    reason,
                }));
            }
        }
    }
    Ok(unanswered)
}

#[derive(Deserialize)]
struct Answer {
    epoch: u64,
    id: String,
}

/// A follower's epoch, or why it is not known.
async fn ask(doors: &Doors<'_>, follower: &Follower) -> Result<u64, String> {
    let text = format!("{}/api/replica/epoch", follower.url.trim_end_matches('/'));
    let url = Url::parse(&text).map_err(|fault| fault.to_string())?;
    // Named by a call with an admin key, and asked for nothing but a number.
    let allow = Allow::default().and(url.target());
    let mut request = Request::new(Method::GET, url);
    request.limits = Limits::of(ANSWER);
    request.most_body = MOST_BODY;
    let answer = doors.outbound.http(&allow, &request).await;
    let answer = answer.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
    })?;
    if answer.status != 200 {
        return Err(format!("it answers {}", answer.status));
    }
    let told: Answer = serde_json::from_slice(&answer.body)
        .map_err(|_| "its answer is not that of an echopilot".to_owned())?;
    if told.id != follower.id {
        return Err("another program answers there".to_owned());
    }
    Ok(told.epoch)
}
