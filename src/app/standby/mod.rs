//! `echopilot standby`: keeps this home a copy of another one, serves reads from it, and takes over
//! when it is told to. Never writes a line of its own before that.

mod barred;
mod offline;
mod reading;
mod shipping;
mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;

use self::reading::{Parts, Reading};
use self::shipping::{Shared, Shipping, Work};
use self::upstream::{Folder, Gate, Record, Remote, Upstream};
use super::assemble;
use super::daemon_file::{self, DaemonFile};
use super::home::must_exist_or_begin;
use super::process_log;
use super::reload;
use super::serve::{self, Channels, ServeOptions, Socket};
use super::settings::{self, GivenKeys};
use super::sockets;
use crate::base::hex;
use crate::platform::auth::{KeySpec, KeyText};
use crate::platform::http::Role;
use crate::platform::lifecycle::{self, Tasks, within};
use crate::platform::standing::{Part, Standing};
use crate::platform::wiring::Seams;
use crate::seams::clock::{Clock, SystemClock};
use crate::seams::files::{Files, RealFiles, read_whole};
use crate::seams::ids::{Ids, SystemIds};
use crate::seams::outbound::Url;
use crate::storage::engine::Barred;
use crate::storage::files::HeldHome;
use crate::storage::files::epoch::{self, Epoch, Fence};
use crate::storage::replica::followers::{self, Marker};
use crate::storage::replica::{ShipOptions, Shipper};

pub(super) use barred::{Held, serve_barred};
pub use offline::{Promoted, promote_offline};

/// How often it is looked whether the source has been silent for too long.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether there is something to read.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// How long requests in work may take to end (rule H6 of the reliability notes).
const DRAIN: Duration = Duration::from_secs(20);
/// Bytes of a file with a key at most.
const MOST_KEY: u64 = 4096;

/// What `standby` is told.
#[derive(Debug, Clone)]
pub struct StandbyOptions {
    /// The home, and how to serve it.
    pub serve: ServeOptions,
    /// What to follow: a folder, or `http://HOST:PORT`.
    pub from: String,
    /// File with an admin key of the primary.
    pub key_file: Option<PathBuf>,
    /// Where the primary can ask this standby.
    pub advertise: Option<String>,
    /// Take over by itself after the source has been silent for so long.
    pub take_over_after: Option<Duration>,
    /// Take damaged segments over as they are.
    pub takes_damaged: bool,
    /// Set journals aside that are not the source's, and fetch them anew.
    pub begins_anew: bool,
}

/// How following came to its end.
enum End {
    Stopped,
    /// The socket goes on with whoever took over.
    TookOver(Socket),
}

/// What one standby is made of.
struct Setting<'a> {
    options: &'a StandbyOptions,
    files: Arc<dyn Files>,
    clock: Arc<dyn Clock>,
    standing: Standing,
    marker: Marker,
}

/// Follows until it is told to stop, or to take over; then it serves as the primary.
pub fn standby(options: &StandbyOptions, to: &mut Channels<'_>) -> anyhow::Result<()> {
    let files: Arc<dyn Files> = Arc::new(RealFiles);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let home = &options.serve.home;
    process_log::begin(&clock, options.serve.quiet)?;
    let socket = sockets::handed_over()?.map(Socket::shared);
    must_exist_or_begin(&*files, home)?;
    let runtime = assemble::runtime()?;
    lifecycle::raise_handle_limit();
    // All is read again as it comes: the signal only must not end us.
    let _unheeded = reload::hangups(&runtime)?;
    let held = HeldHome::take(&files, home)?;
    let mut upstream = upstream(options, &files, &clock, runtime.handle())?;
    let ahead;
    // On another thread, because it may wait for an answer that this one has to bring in.
    (upstream, ahead) = runtime.block_on(async {
        let (files, home) = (Arc::clone(&files), home.clone());
        let ask = move || {
            let ahead = is_ahead(&*files, &home, &mut *upstream);
            (upstream, ahead)
        };
        tokio::task::spawn_blocking(ask).await
    })?;
    if ahead? {
        tracing::warn!(
            "this home took over from `{}` before: it is the primary",
            options.from
        );
        drop(held);
        drop(runtime);
        return serve::serve_on(&options.serve, socket, to);
    }
    let marker = mark(&*files, &*clock, home, &options.from)?;
    let standing = Standing::of(Part::Standby);
    standing.note(|told| {
        told.id.clone_from(&marker.id);
        told.from.clone_from(&marker.from);
        told.epoch = marker.epoch;
        told.begun_at = clock.uptime();
    });
    let setting = Setting {
        options,
        files: Arc::clone(&files),
        clock,
        standing,
        marker,
    };
    let outcome = runtime.block_on(setting.follow(upstream, socket, to));
    daemon_file::remove(&*files, home);
    drop(runtime);
    drop(held);
    match outcome? {
        End::Stopped => {
            tracing::info!("stopped; it goes on from here at the next start");
            Ok(())
        }
        End::TookOver(socket) => serve::serve_on(&options.serve, Some(socket), to),
    }
}

/// The source that `--from` names.
fn upstream(
    options: &StandbyOptions,
    files: &Arc<dyn Files>,
    clock: &Arc<dyn Clock>,
    runtime: &Handle,
) -> anyhow::Result<Box<dyn Upstream>> {
    let home = &options.serve.home;
    if !options.from.contains("://") {
        let from = Path::new(&options.from);
        let (ours, theirs) = (files.stat(home), files.stat(from));
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            anyhow::ensure!(
                (ours.inode, ours.dev) != (theirs.inode, theirs.dev),
                "`{}` is this home itself\nhint: `--home` names the folder of the copy",
                options.from
            );
        }
        return Ok(Box::new(Folder::new(files, from)));
    }
    let url = Url::parse(&options.from).map_err(|fault| {
        anyhow::anyhow!(
            "cannot follow `{}`: {fault}\nhint: {}",
            options.from,
            fault.hint
        )
    })?;
    let key = key(options, files)?;
    let seams = Seams::new(Arc::clone(files), Arc::clone(clock));
    let remote = Remote::new(runtime.clone(), seams.outbound, &url, &key)?;
    Ok(Box::new(remote))
}

/// An admin key of the primary.
fn key(options: &StandbyOptions, files: &Arc<dyn Files>) -> anyhow::Result<String> {
    if let Some(path) = &options.key_file {
        let shown = path.display();
        let text = files
            .open_read(path)
            .and_then(|mut file| read_whole(&mut *file, MOST_KEY))
            .with_context(|| format!("cannot read the key in `{shown}`"))?;
        let text = String::from_utf8(text)
            .with_context(|| format!("the key in `{shown}` is not UTF-8 text"))?;
        return Ok(text.trim().to_owned());
    }
    let secrets = settings::secrets(files, &options.serve.home);
    if let Some(key) = secrets.find("STANDBY_KEY")? {
        return Ok(key.reveal().to_owned());
    }
    settings::client_key().ok_or_else(|| {
        anyhow::anyhow!(
            "no key for `{}`: a standby needs an admin key of its primary\n\
             hint: `echopilot key new admin --name standby` there makes one; give it by \
             `--key-file FILE` or ECHOPILOT_KEY",
            options.from
        )
    })
}

/// Whether this home took over from the source before, which has not taken over since.
fn is_ahead(files: &dyn Files, home: &Path, source: &mut dyn Upstream) -> anyhow::Result<bool> {
    let Some(own) = epoch::own(files, home).context("cannot read `.echopilot/epoch.json`")? else {
        return Ok(false);
    };
    if followers::marker(files, home)
        .context("cannot read `.echopilot/standby.json`")?
        .is_some()
        || epoch::barred(files, home)?.is_some()
    {
        return Ok(false);
    }
    Ok(source
        .list(false)
        .map_or(true, |there| there.epoch <= own.epoch))
}

/// Marks the home as a standby's, so that nothing else writes to it.
fn mark(files: &dyn Files, clock: &dyn Clock, home: &Path, from: &str) -> anyhow::Result<Marker> {
    let known = followers::marker(files, home).context("cannot read `.echopilot/standby.json`")?;
    let marker = match known {
        Some(known) => Marker {
            from: from.to_owned(),
            ..known
        },
        None => Marker {
            id: hex::of(&SystemIds.random()?[..8]),
            from: from.to_owned(),
            since: clock.now(),
            epoch: epoch::FIRST,
        },
    };
    followers::set_marker(files, home, &marker)
        .context("cannot write `.echopilot/standby.json`")?;
    Ok(marker)
}

impl Setting<'_> {
    /// Follows and serves reads.
    async fn follow(
        &self,
        upstream: Box<dyn Upstream>,
        socket: Option<Socket>,
        to: &mut Channels<'_>,
    ) -> anyhow::Result<End> {
        let tasks = Tasks::new();
        let process = Tasks::new();
        lifecycle::obey_signals(&process).context("cannot take signals")?;
        let home = &self.options.serve.home;
        let token = KeyText::draw(Role::Admin, &SystemIds)?;
        let primary = self.marker.from.clone();
        let parts = Parts {
            home: home.clone(),
            files: Arc::clone(&self.files),
            clock: Arc::clone(&self.clock),
            given: Arc::new(GivenKeys::read(&*self.files)?),
            local: KeySpec::fixed("local", Role::Admin, token.text.reveal()),
            why: Arc::new(Barred::Standby { primary }),
            standing: self.standing.clone(),
        };
        let shared = Arc::new(Shared::default());
        let shipping = self.ship(upstream, &shared)?;
        if !self.has_something(&process).await {
            shipping.end().await;
            return Ok(End::Stopped);
        }
        let reading = Reading::begin(parts, &tasks, Arc::clone(&shared.news))?;
        let wanted = self.options.serve.listen;
        let wanted = wanted.unwrap_or_else(|| reading.would_listen());
        let (listener, address, is_shared) = Socket::listen(socket, wanted).await?;
        // It was told to nobody before.
        let _first = shared.look.set(Box::new(reading.looker())).is_ok()
            && shared.url.set(self.url(address)).is_ok();
        reading.keep_fresh();
        self.say(address, token.text.reveal(), to);
        let end = {
            let accepting = reading.accept(&listener);
            tokio::select! {
                () = accepting => None,
                () = process.soft().cancelled() => None,
                by = self.standing.asked() => Some(by),
                by = self.silence() => Some(by),
            }
        };
        let Some(by) = end else {
            lifecycle::notify_stopping();
            shipping.end().await;
            tasks.stop(&*self.clock, DRAIN).await;
            reading.end(true).await;
            return Ok(End::Stopped);
        };
        self.take_over(shipping, address, &by).await?;
        tasks.soft().cancel();
        reading.end(false).await;
        tasks.stop(&*self.clock, LOOK).await;
        let listener = listener.into_std().context("cannot go on listening")?;
        Ok(End::TookOver(Socket {
            listener,
            is_shared,
        }))
    }

    /// Waits until there is something to read: configurations that are missing would be served as
    /// they are shipped. `false` when it was told to stop before.
    async fn has_something(&self, process: &Tasks) -> bool {
        let configs = self.options.serve.home.join("configs");
        loop {
            let is_whole = self.standing.following().whole_at.is_some();
            // Where the source is down, a copy that was once complete will do.
            let names = self.files.list(&configs).unwrap_or_default();
            let mut kinds = assemble::config_kinds().into_iter();
            let has_all = kinds.all(|kind| names.iter().any(|name| name == kind.file));
            if is_whole || has_all {
                return true;
            }
            let stop = process.soft().cancelled();
            if within(&*self.clock, FIRST_LOOK, stop).await.is_some() {
                return false;
            }
            lifecycle::notify_alive(&format!("fetching from {}", self.marker.from));
        }
    }

    fn ship(&self, upstream: Box<dyn Upstream>, shared: &Arc<Shared>) -> anyhow::Result<Shipping> {
        let options = ShipOptions {
            home: self.options.serve.home.clone(),
            takes_damaged: self.options.takes_damaged,
            begins_anew: self.options.begins_anew,
        };
        Shipping::start(Work {
            upstream,
            shipper: Shipper::new(Arc::clone(&self.files), options),
            clock: Arc::clone(&self.clock),
            standing: self.standing.clone(),
            shared: Arc::clone(shared),
            record: Record {
                files: Arc::clone(&self.files),
                home: self.options.serve.home.clone(),
                marker: self.marker.clone(),
            },
            gate: Gate::default(),
            joined_at: None,
            failing: false,
        })
    }

    /// Where the primary can ask us.
    fn url(&self, address: SocketAddr) -> String {
        let own = || format!("http://{address}");
        self.options.advertise.clone().unwrap_or_else(own)
    }

    fn say(&self, address: SocketAddr, token: &str, to: &mut Channels<'_>) {
        let options = &self.options.serve;
        let file = DaemonFile {
            pid: std::process::id(),
            address,
            started_at: self.clock.now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            token: token.to_owned(),
        };
        if let Err(error) = file.write(&*self.files, &options.home) {
            tracing::error!("the command line will not find this standby: {error:#}");
        }
        let from = &self.marker.from;
        lifecycle::notify_ready(&format!("standby of {from}, reads at http://{address}"));
        let text = format!(
            "Standby, serving reads at http://{address}, following {from}\n\
             next: echopilot promote --home {}\n",
            options.home.display()
        );
        if !options.quiet {
            let _unsaid = to.talk.write_all(text.as_bytes());
        }
        if options.json {
            let pid = std::process::id();
            let ready = serde_json::json!({ "address": address.to_string(), "pid": pid });
            let _unsaid = writeln!(to.data, "{ready}").and_then(|()| to.data.flush());
        }
    }

    /// Ends when the source has been silent for as long as the owner allows; never, where nothing
    /// was said, and never before everything had been fetched once.
    async fn silence(&self) -> String {
        loop {
            self.clock.sleep(LOOK).await;
            let told = self.standing.following();
            let behind = told.behind(self.clock.uptime());
            lifecycle::notify_alive(&format!(
                "standby of {}, {} s behind",
                told.from,
                behind.as_secs()
            ));
            let Some(bound) = self.options.take_over_after else {
                continue;
            };
            // A journal that is not followed would lose its latest lines: a person decides then.
            let is_whole = told.whole_at.is_some() && told.apart.is_empty();
            if is_whole && behind >= bound {
                return format!("silence of {} s", behind.as_secs());
            }
        }
    }

    /// From the last look to the new epoch: from then on this home may be written to.
    async fn take_over(
        &self,
        shipping: Shipping,
        address: SocketAddr,
        by: &str,
    ) -> anyhow::Result<()> {
        let home = &self.options.serve.home;
        let files = &*self.files;
        lifecycle::notify_status("taking over");
        let number = epoch::next(files, home, self.standing.following().epoch)?;
        let fence = Fence {
            epoch: number,
            at: self.clock.now(),
            by: self.url(address),
        };
        if let Err(why) = shipping.last_look(&*self.clock, fence).await {
            tracing::error!(
                "taking over, and `{}` was not told: {why}. It learns of it when it starts and \
                 asks here; make sure that it does not run now",
                self.marker.from
            );
        }
        let taken = Epoch {
            epoch: number,
            taken_at: self.clock.now(),
            from: self.marker.from.clone(),
            by: by.to_owned(),
            id: self.marker.id.clone(),
            noted: false,
        };
        offline::open_epoch(files, home, &taken)?;
        tracing::info!(epoch = number, "took over from `{}`", self.marker.from);
        Ok(())
    }
}
