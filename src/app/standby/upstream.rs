//! What a standby follows: a source, and what there is to say to it: here I am, I am leaving, I
//! took over. A folder is told by files, a primary by calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::json;
use tokio::runtime::Handle;

use crate::seams::files::{Access, Files};
use crate::seams::outbound::{Allow, Limits, Outbound, Request, Response, Url};
use crate::storage::files::epoch::{self, Fence};
use crate::storage::replica::followers::{self, Marker};
use crate::storage::replica::{FolderSource, Listing, Place, Source, SourceError};

/// How long one answer may take; a piece of a segment within it at 2 MB/s.
const ANSWER: Duration = Duration::from_secs(5);
/// Bytes of a listing at most: some hundred thousand files.
const MOST_LISTING: usize = 16 << 20;

/// A source that can be told things.
pub(super) trait Upstream: Source {
    /// Says that `id` follows, and can be asked at `url`. `Err` says why the source will not know
    /// of a take-over.
    fn join(&mut self, id: &str, url: &str) -> Result<(), String>;
    /// Says that `id` does not follow any more.
    fn leave(&mut self, id: &str) -> Result<(), String>;
    /// Keeps it from writing. `Err` says why it is not sure that it will not.
    fn fence(&mut self, fence: &Fence) -> Result<(), String>;
    /// How long to wait between two looks.
    fn pause(&self) -> Duration;
}

/// A home in a folder.
pub(super) struct Folder {
    files: Arc<dyn Files>,
    home: PathBuf,
    source: FolderSource,
}

impl Folder {
    pub(super) fn new(files: &Arc<dyn Files>, home: &Path) -> Self {
        Self {
            files: Arc::clone(files),
            home: home.to_owned(),
            source: FolderSource::new(Arc::clone(files), home),
        }
    }
}

impl Source for Folder {
    fn name(&self) -> String {
        self.source.name()
    }
    fn list(&mut self, snapshots: bool) -> Result<Listing, SourceError> {
        self.source.list(snapshots)
    }
    fn read(
        &mut self,
        place: &Place,
        inode: Option<u64>,
        offset: u64,
        most: usize,
    ) -> Result<Vec<u8>, SourceError> {
        self.source.read(place, inode, offset, most)
    }
    fn may_take_back(&self) -> bool {
        true
    }
}

impl Upstream for Folder {
    /// Whether a fence could be written there, found out before it is needed.
    fn join(&mut self, id: &str, _url: &str) -> Result<(), String> {
        let folder = self.home.join(".echopilot");
        let probe = folder.join(format!("standby-{id}.probe"));
        let _left_behind = self.files.remove(&probe);
        let tried = self
            .files
            .create_dir_all(&folder)
            .and_then(|()| self.files.write_new(&probe, b"", Access::PRIVATE))
            .and_then(|()| self.files.remove(&probe));
        tried.map_err(|error| {
            let shown = folder.display();
            format!(
                "`{shown}` cannot be written to ({error}): after a take-over the old primary will \
                 not know of it; make sure yourself that it is not started again"
            )
        })
    }
    fn leave(&mut self, _id: &str) -> Result<(), String> {
        Ok(())
    }
    fn fence(&mut self, fence: &Fence) -> Result<(), String> {
        epoch::set_fence(&*self.files, &self.home, fence).map_err(|error| error.to_string())
    }
    fn pause(&self) -> Duration {
        Duration::from_millis(250)
    }
}

/// A primary by its API.
pub(super) struct Remote {
    pub(super) runtime: Handle,
    pub(super) outbound: Arc<dyn Outbound>,
    origin: String,
    allow: Allow,
    credential: HeaderValue,
}

impl Remote {
    /// The primary at `url`, entered with an admin key.
    pub(super) fn new(
        runtime: Handle,
        outbound: Arc<dyn Outbound>,
        url: &Url,
        key: &str,
    ) -> anyhow::Result<Self> {
        let mut credential = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| anyhow::anyhow!("the key has characters that HTTP forbids"))?;
        credential.set_sensitive(true);
        Ok(Self {
            runtime,
            outbound,
            origin: url.origin(),
            allow: Allow::default().and(url.target()),
            credential,
        })
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        most: usize,
    ) -> Result<Response, SourceError> {
        let what = || self.origin.clone();
        let odd = |found: String| SourceError::Odd {
            what: what(),
            found,
        };
        let url = Url::parse(&format!("{}{path}", self.origin));
        let url = url.map_err(|fault| odd(fault.to_string()))?;
        let mut request = Request::new(method, url);
        request.limits = Limits::of(ANSWER);
        request.most_body = most;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.credential.clone());
        if let Some(body) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request.body = Bytes::from(body.to_string());
        }
        request.headers = headers;
        let called = self
            .runtime
            .block_on(self.outbound.http(&self.allow, &request));
        let answer = called.map_err(|error| SourceError::Unreachable {
            what: what(),
            source: std::io::Error::other(error),
        })?;
        match answer.status {
            200 if answer.is_cut => Err(odd("more than was asked for".to_owned())),
            200..=299 => Ok(answer),
            409 => Err(SourceError::Changed {
                file: path.to_owned(),
            }),
            status => Err(odd(format!("{status}: {}", told(&answer)))),
        }
    }
}

/// What a problem document says, or nothing.
fn told(answer: &Response) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = problem["detail"].as_str().unwrap_or("no reason");
    text.chars().take(200).collect()
}

impl Source for Remote {
    fn name(&self) -> String {
        self.origin.clone()
    }
    fn list(&mut self, snapshots: bool) -> Result<Listing, SourceError> {
        let path = format!("/api/replica/files?snapshots={snapshots}");
        let answer = self.call(Method::GET, &path, None, MOST_LISTING)?;
        serde_json::from_slice(&answer.body).map_err(|error| SourceError::Odd {
            what: self.origin.clone(),
            found: format!("what is no listing: {error}"),
        })
    }
    fn read(
        &mut self,
        place: &Place,
        inode: Option<u64>,
        offset: u64,
        most: usize,
    ) -> Result<Vec<u8>, SourceError> {
        let inode = inode.map_or_else(String::new, |inode| format!("&inode={inode}"));
        let file = place.path();
        let path = format!("/api/replica/bytes?file={file}&offset={offset}&most={most}{inode}");
        let answer = self.call(Method::GET, &path, None, most)?;
        Ok(answer.body.to_vec())
    }
    fn may_take_back(&self) -> bool {
        false
    }
}

impl Upstream for Remote {
    fn join(&mut self, id: &str, url: &str) -> Result<(), String> {
        let body = json!({ "id": id, "url": url });
        let joined = self.call(Method::POST, "/api/replica/followers", Some(&body), 4096);
        joined.map(drop).map_err(|error| {
            format!(
                "the primary cannot ask this standby at `{url}` ({error}): after a take-over it \
                 would write again; name an address it can reach by `--advertise`"
            )
        })
    }
    fn leave(&mut self, id: &str) -> Result<(), String> {
        let path = format!("/api/replica/followers/{id}/forget");
        let left = self.call(Method::POST, &path, None, 4096);
        left.map(drop).map_err(|error| error.to_string())
    }
    fn fence(&mut self, fence: &Fence) -> Result<(), String> {
        let body = json!({ "epoch": fence.epoch, "by": fence.by });
        let fenced = self.call(Method::POST, "/api/replica/fence", Some(&body), 4096);
        fenced.map(drop).map_err(|error| error.to_string())
    }
    fn pause(&self) -> Duration {
        Duration::from_millis(500)
    }
}

/// Nothing is asked for, and nothing that was asked for is used.
const RESTING: u8 = 0;
/// Somebody waits for the source.
const ASKING: u8 = 1;
/// What the source gave is being written.
const USING: u8 = 2;
/// Nothing that comes is used any more.
const SHUT: u8 = 3;

/// Stands between the source and the copy, so that an answer that comes after the take-over, from a
/// disk or a primary that hung, is not written into a home that is somebody else's by then.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<AtomicU8>);

impl Gate {
    /// Whether nothing that comes is used from now on. Not while something is being written.
    pub(super) fn try_shut(&self) -> bool {
        let swap = |from| {
            let (yes, no) = (Ordering::AcqRel, Ordering::Acquire);
            self.0.compare_exchange(from, SHUT, yes, no).is_ok()
        };
        self.0.load(Ordering::Acquire) == SHUT || swap(ASKING) || swap(RESTING)
    }

    fn pass(&self, from: &[u8], to: u8) -> Result<(), SourceError> {
        let moved = from.iter().any(|from| {
            let (yes, no) = (Ordering::AcqRel, Ordering::Acquire);
            self.0.compare_exchange(*from, to, yes, no).is_ok()
        });
        moved.then_some(()).ok_or_else(|| SourceError::Odd {
            what: "the source".to_owned(),
            found: "too late".to_owned(),
        })
    }

    /// A look is over.
    pub(super) fn rest(&self) {
        // Where it is shut it stays so.
        let _shut = self.pass(&[USING, ASKING], RESTING);
    }
}

/// The marker of the home, as it is on the medium.
pub(super) struct Record {
    pub(super) files: Arc<dyn Files>,
    pub(super) home: PathBuf,
    pub(super) marker: Marker,
}

impl Record {
    /// Notes the source's epoch: whoever takes over goes above it, also where the source does not
    /// answer any more by then, or no standby runs.
    fn keep(&mut self, epoch: u64) {
        if epoch <= self.marker.epoch {
            return;
        }
        let marker = Marker {
            epoch,
            ..self.marker.clone()
        };
        match followers::set_marker(&*self.files, &self.home, &marker) {
            Ok(()) => self.marker = marker,
            Err(error) => tracing::error!(%error, "the source's epoch is not on record here"),
        }
    }
}

/// A source behind a gate.
pub(super) struct Gated<'a> {
    pub(super) inner: &'a mut dyn Upstream,
    pub(super) gate: &'a Gate,
    pub(super) record: &'a mut Record,
}

impl Gated<'_> {
    fn through<T>(
        &mut self,
        ask: impl FnOnce(&mut dyn Upstream) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        self.gate.pass(&[RESTING, USING], ASKING)?;
        let got = ask(self.inner);
        self.gate.pass(&[ASKING], USING)?;
        got
    }
}

impl Source for Gated<'_> {
    fn name(&self) -> String {
        self.inner.name()
    }
    fn list(&mut self, snapshots: bool) -> Result<Listing, SourceError> {
        let listing = self.through(|inner| inner.list(snapshots))?;
        // Before anything of that epoch is taken over, and while the gate cannot be shut: after a
        // take-over there is no marker any more.
        self.record.keep(listing.epoch);
        Ok(listing)
    }
    fn read(
        &mut self,
        place: &Place,
        inode: Option<u64>,
        offset: u64,
        most: usize,
    ) -> Result<Vec<u8>, SourceError> {
        self.through(|inner| inner.read(place, inode, offset, most))
    }
    fn may_take_back(&self) -> bool {
        self.inner.may_take_back()
    }
}
