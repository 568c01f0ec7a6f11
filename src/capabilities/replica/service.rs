//! What a home does for its copies: lists itself, gives its bytes, keeps who follows, and stops
//! writing when one of them took over.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::Method;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::platform::alerts::{Alerts, Finding, Severity};
use crate::platform::lifecycle::within;
use crate::platform::standing::Standing;
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;
use crate::seams::files::Files;
use crate::seams::outbound::{Allow, Limits, Outbound, Request, Url};
use crate::storage::engine::{Barred, Engine, Expect, StorageError};
use crate::storage::files::epoch::{self, Fence};
use crate::storage::lines::Lines;
use crate::storage::replica::followers::{self, Follower};
use crate::storage::replica::{Listing, Place, SourceError, list_home, read_bytes};

/// A follower that was not heard of for so long, while this process ran, is forgotten: it would
/// keep this home from starting. Longer than any repair in working hours takes (our own choice).
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
/// How often that is looked at.
const LOOK: Duration = Duration::from_mins(1);
/// How long a follower may take to answer when it makes itself known.
const ANSWER: Duration = Duration::from_secs(2);
/// Bytes of its answer at most.
const MOST_BODY: usize = 4096;

/// Why a verb was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplicaFault {
    /// The files could not be read or written.
    #[error("cannot read or write the files of the home")]
    Io(#[from] io::Error),
    /// A file is not what the caller takes it for.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Whoever wants to follow could not be asked.
    #[error("`{url}` cannot be asked: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why not.
        why: String,
    },
    /// There are as many followers as there may be.
    #[error("{} homes follow this one, no more may", followers::MOST)]
    TooMany,
    /// No such follower.
    #[error("no standby `{0}` follows this home")]
    Unknown(String),
}

/// The service.
#[derive(Debug)]
pub(super) struct Replica {
    home: Arc<Path>,
    files: Arc<dyn Files>,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    outbound: Arc<dyn Outbound>,
    alerts: Alerts,
    standing: Standing,
    /// When each follower was last heard of, by the monotonic clock.
    heard: Mutex<HashMap<String, Duration>>,
}

#[derive(Deserialize)]
struct Told {
    id: String,
}

impl Replica {
    pub(super) fn new(wiring: &Wiring) -> Self {
        Self {
            home: Arc::clone(&wiring.home),
            files: Arc::clone(&wiring.seams.files),
            engine: Arc::clone(&wiring.engine),
            clock: Arc::clone(&wiring.clock),
            outbound: Arc::clone(&wiring.seams.outbound),
            alerts: wiring.alerts.clone(),
            standing: wiring.seams.standing.clone(),
            heard: Mutex::default(),
        }
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn epoch(&self) -> Result<u64, ReplicaFault> {
        Ok(epoch::number(&*self.files, &self.home)?)
    }

    pub(super) fn followers(&self) -> Result<Vec<Follower>, ReplicaFault> {
        Ok(followers::followers(&*self.files, &self.home)?)
    }

    /// What may be copied now: of journals what is on the medium.
    pub(super) fn list(&self, snapshots: bool) -> Result<Listing, ReplicaFault> {
        let durable = |stream: &str| self.engine.durable(stream);
        Ok(list_home(&*self.files, &self.home, snapshots, &durable)?)
    }

    /// Bytes of one file, none that is not on the medium.
    pub(super) fn bytes(
        &self,
        place: &Place,
        inode: Option<u64>,
        offset: u64,
        most: usize,
    ) -> Result<Vec<u8>, ReplicaFault> {
        let mut most = most;
        if let Place::Log(file) = place
            && let Some(stream) = file.strip_suffix(".ndjson")
            && let Some(durable) = self.engine.durable(stream)
        {
            if inode.is_some_and(|inode| inode != durable.inode) {
                let file = place.path();
                return Err(SourceError::Changed { file }.into());
            }
            let left = durable.size.saturating_sub(offset);
            most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let (files, home) = (&*self.files, &*self.home);
        Ok(read_bytes(files, home, place, inode, offset, most)?)
    }

    /// Puts a follower on record that answers where it says it does.
    pub(super) async fn join(
        &self,
        id: &str,
        url: &str,
        now: DateTime<Utc>,
    ) -> Result<(), ReplicaFault> {
        self.confirm(id, url)
            .await
            .map_err(|why| ReplicaFault::Unreachable {
                url: url.to_owned(),
                why,
            })?;
        self.heard().insert(id.to_owned(), self.clock.uptime());
        let known = self.followers()?;
        let same = |one: &Follower| one.id == id && one.url == url;
        if known.iter().any(same) {
            return Ok(());
        }
        let follower = Follower {
            id: id.to_owned(),
            url: url.to_owned(),
            seen_at: now,
        };
        if !followers::add(&*self.files, &self.home, follower)? {
            return Err(ReplicaFault::TooMany);
        }
        tracing::info!(id, url, "a standby follows this home");
        Ok(())
    }

    /// Asks whoever wants to follow who it is.
    async fn confirm(&self, id: &str, url: &str) -> Result<(), String> {
        let text = format!("{}/api/replica/epoch", url.trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|fault| fault.to_string())?;
        // Named by a call with an admin key; nothing of the answer is passed on.
        let allow = Allow::default().and(url.target());
        let mut request = Request::new(Method::GET, url);
        request.limits = Limits::of(ANSWER);
        request.most_body = MOST_BODY;
        let answer = self.outbound.http(&allow, &request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let told = serde_json::from_slice::<Told>(&answer.body);
        match told {
            Ok(told) if answer.status == 200 && told.id == id => Ok(()),
            _ => Err("another program answers there".to_owned()),
        }
    }

    /// Takes a follower off the record: it ended, or a person knows that it never took over.
    pub(super) fn forget(&self, id: &str) -> Result<(), ReplicaFault> {
        self.heard().remove(id);
        if followers::forget(&*self.files, &self.home, id)? {
            tracing::info!(id, "a standby does not follow this home any more");
            return Ok(());
        }
        Err(ReplicaFault::Unknown(id.to_owned()))
    }

    /// Stops writing for good, because `fence` is higher than our epoch. When this returns, every
    /// line that was acknowledged is on the medium. Whether it is fenced.
    pub(super) async fn fence(&self, fence: Fence) -> Result<bool, ReplicaFault> {
        if fence.epoch <= self.epoch()? {
            return Ok(false);
        }
        epoch::set_fence(&*self.files, &self.home, &fence)?;
        // What was enqueued before is answered before; what comes after is refused.
        for stream in self.engine.streams() {
            let barrier = self
                .engine
                .append(&stream, Expect::Any, None, Lines::new(), None);
            match barrier.await {
                Err(StorageError::Barred { .. } | StorageError::NoStream { .. }) => {}
                Err(error) => tracing::warn!(stream, "while being fenced: {error}"),
                Ok(_) => tracing::error!(stream, "a journal did not notice the fence"),
            }
        }
        Ok(true)
    }

    /// The id under which this home follows, or followed before it took over.
    pub(super) fn id(&self) -> Result<String, ReplicaFault> {
        let following = self.standing.following().id;
        if !following.is_empty() {
            return Ok(following);
        }
        let own = epoch::own(&*self.files, &self.home)?;
        Ok(own.map(|own| own.id).unwrap_or_default())
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let why = self.engine.barred()?;
        // To follow is what a standby is there for.
        (!matches!(*why, Barred::Standby { .. })).then(|| why.to_string())
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<String, Duration>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets followers that were silent for too long, and says so.
    pub(super) async fn watch_followers(&self, stop: CancellationToken) {
        let begun = self.clock.uptime();
        while within(&*self.clock, LOOK, stop.cancelled()).await.is_none() {
            let now = self.clock.uptime();
            for follower in self.followers().unwrap_or_default() {
                let heard = self.heard().get(&follower.id).copied().unwrap_or(begun);
                if now.saturating_sub(heard) < FORGOTTEN_AFTER {
                    continue;
                }
                if let Err(error) = self.forget(&follower.id) {
                    tracing::error!("{error}");
                    continue;
                }
                let finding = Finding {
                    key: format!("replica:{}", follower.id),
                    source: "replica".to_owned(),
                    severity: Severity::Error,
                    summary: format!(
                        "standby `{}` at `{}` was silent for a day and is forgotten: if it takes \
                         over, this home will not know of it",
                        follower.id, follower.url
                    ),
                    started_at: self.clock.now(),
                    ..Finding::default()
                };
                self.alerts.raise(finding, self.clock.now());
            }
        }
    }
}
