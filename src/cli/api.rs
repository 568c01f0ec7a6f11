//! One way to ask: every verb is an API call, to the running daemon or, where none runs, to the
//! same handlers in this process with the folder locked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::{Method, Request};
use serde_json::Value;

use super::args::Global;
use super::failure::{Failure, HELD};
use super::remote::Remote;
use crate::app::daemon_file::DaemonFile;
use crate::app::local::LocalApi;
use crate::app::settings;
use crate::seams::files::Files;

/// How often a folder that another process holds is tried, each time for the 0.7 s that storage
/// waits for its lock: a few seconds, in which dozens of verbs take turns (our own choice).
const TRIES: u32 = 5;

/// One call.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// Method.
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    /// The revision that the change is based on.
    pub(super) if_match: Option<&'a str>,
    /// JSON body.
    pub(super) body: Option<Value>,
}

impl Ask<'_> {
    /// As it goes out, without the members that depend on who is asked.
    pub(super) fn request(&self) -> Result<Request<Bytes>, Failure> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.path.as_str());
        if let Some(revision) = self.if_match {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        let mut bytes = Bytes::new();
        if let Some(body) = &self.body {
            request = request.header(CONTENT_TYPE, "application/json");
            bytes = Bytes::from(body.to_string());
        }
        request
            .body(bytes)
            .map_err(|error| Failure::new(format!("cannot ask for `{}`: {error}", self.path)))
    }

    /// GET `path`.
    pub(super) fn get(path: impl Into<String>) -> Self {
        let (method, path) = (Method::GET, path.into());
        Self {
            method,
            path,
            if_match: None,
            body: None,
        }
    }

    /// POST `body` to `path`.
    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        let method = Method::POST;
        Self {
            method,
            body: Some(body),
            ..Self::get(path)
        }
    }
}

/// Whoever answers.
#[derive(Debug)]
pub(super) enum Api {
    /// A daemon.
    Remote(Remote),
    /// This process, with the folder locked.
    Local(LocalApi),
}

impl Api {
    /// The daemon at `--url`, else the one that runs on the home folder, else this process.
    pub(super) fn connect(global: &Global, files: &dyn Files) -> Result<Self, Failure> {
        let mut tries = TRIES;
        loop {
            if let Some(remote) = Self::daemon(global, files)? {
                return Ok(Self::Remote(remote));
            }
            tries -= 1;
            match LocalApi::open(&global.home).map_err(Failure::from) {
                // Whoever holds the folder is a verb in front of us, or a daemon about to listen.
                Err(failure) if failure.code == HELD && tries > 0 => {}
                opened => return Ok(Self::Local(opened?)),
            }
        }
    }

    /// The daemon at `--url`, else the one that runs on the home folder, if there is one.
    pub(super) fn daemon(global: &Global, files: &dyn Files) -> Result<Option<Remote>, Failure> {
        if let Some(url) = &global.url {
            return Remote::from_url(url, settings::client_key().as_deref()).map(Some);
        }
        let Some(file) = DaemonFile::read(files, &global.home).map_err(not_ours)? else {
            return Ok(None);
        };
        let address = reachable(file.address);
        let remote = Remote::new(address, &address.to_string(), Some(&file.token))?;
        // A daemon that was killed leaves its file behind.
        Ok(remote.listens().then_some(remote))
    }

    /// The body of a success.
    pub(super) fn ask(&self, ask: &Ask<'_>) -> Result<Value, Failure> {
        serde_json::from_str(&self.text(ask)?)
            .map_err(|_| Failure::new(format!("the answer to `{}` is not JSON", ask.path)))
    }

    /// The body of a success as it came: with its order and the digits of its numbers.
    pub(super) fn text(&self, ask: &Ask<'_>) -> Result<String, Failure> {
        let (status, body) = self.call(ask)?;
        if !(200..300).contains(&status) {
            return Err(Failure::from_answer(status, &body));
        }
        String::from_utf8(body)
            .map_err(|_| Failure::new(format!("the answer to `{}` is not UTF-8", ask.path)))
    }

    /// `http://HOST:PORT` of the daemon, or of the one that would run here.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Remote(remote) => remote.address(),
            Self::Local(local) => format!("http://{}", reachable(local.would_listen())),
        }
    }

    /// Status and body, whatever they are.
    pub(super) fn call(&self, ask: &Ask<'_>) -> Result<(u16, Vec<u8>), Failure> {
        match self {
            Self::Remote(remote) => remote.call(ask),
            Self::Local(local) => Ok(local.call(ask.request()?)?),
        }
    }
}

fn not_ours(error: anyhow::Error) -> Failure {
    let mut failure = Failure::from(error);
    failure.hint.get_or_insert_with(|| {
        "run it as the daemon's user, or set ECHOPILOT_URL and ECHOPILOT_KEY".to_owned()
    });
    failure
}

/// An address to connect to: one that listens on every interface is reached on loopback.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listening.port())
}
