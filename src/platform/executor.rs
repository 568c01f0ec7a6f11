//! Carries something out for whoever acts by itself: a program without a shell, or a signed call.
//! Bounded in time and output; gives one sentence of what came of it. Decides nothing.

use std::fmt::Debug;
use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Method};
use rustix::process::{Pid, Signal, kill_process_group};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};

use super::config::{DaemonRules, Live};
use super::lifecycle::within;
use super::secrets::Secrets;
use super::webhooks;
use super::wiring::Wiring;
use crate::base::json::Path;
use crate::base::problems::Problems;
use crate::base::secret::Secret;
use crate::seams::clock::Clock;
use crate::seams::outbound::{Limits, Outbound, Request, Url};

/// Words of a command at most.
const MOST_WORDS: usize = 64;
/// Bytes of a program's output that are written down (our own choice: the end of what it said).
const MOST_OUTPUT: usize = 2048;
/// Times that a pipe is looked into once its program has ended: the first may come before the
/// runtime knows of what was written last (our own choice).
const DRAINS: usize = 8;
/// Where a program finds others.
const PLACES: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// How carrying out went: what it said, or why it failed.
pub type Carried = Result<String, String>;

/// A program, as it is written in a configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCommand {
    /// The program by its whole path, and its words; no shell reads them.
    #[schemars(length(min = 1, max = 64))]
    argv: Vec<String>,
    /// Seconds after which it is killed.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 600))]
    timeout_secs: u32,
}

/// A call, as it is written in a configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWebhook {
    /// Where to.
    url: String,
    /// Seconds after which it has failed.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 600))]
    timeout_secs: u32,
}

const fn half_a_minute() -> u32 {
    30
}

/// What carries something out, checked.
#[derive(Debug, Clone)]
pub enum Executor {
    /// A program.
    Command {
        /// It and its words.
        argv: Vec<String>,
        /// When it is killed.
        timeout: Duration,
    },
    /// A signed call.
    Webhook {
        /// Where to.
        url: Url,
        /// When it has failed.
        timeout: Duration,
    },
}

impl Executor {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Command { .. } => "command",
            Self::Webhook { .. } => "webhook",
        }
    }

    /// The program that stands at `place`.
    pub fn of_command(raw: &RawCommand, place: &Path, problems: &mut Problems) -> Option<Self> {
        let place = place.key("argv");
        let program = raw.argv.first().map_or("", String::as_str);
        if !program.starts_with('/') {
            let hint = "no shell and no PATH are asked: write where the program is";
            let found = format!("`{program}`");
            problems.not_allowed(place.index(0), found, "a whole path", hint);
            return None;
        }
        if raw.argv.len() > MOST_WORDS || raw.argv.iter().any(|word| word.contains('\0')) {
            let allowed = format!("at most {MOST_WORDS} words without NUL");
            problems.not_allowed(&place, "such a list", allowed, "put it into a script");
            return None;
        }
        Some(Self::Command {
            argv: raw.argv.clone(),
            timeout: Duration::from_secs(u64::from(raw.timeout_secs)),
        })
    }

    /// The call that stands at `place`.
    pub fn of_webhook(raw: &RawWebhook, place: &Path, problems: &mut Problems) -> Option<Self> {
        match Url::parse(&raw.url) {
            Ok(url) => Some(Self::Webhook {
                url,
                timeout: Duration::from_secs(u64::from(raw.timeout_secs)),
            }),
            Err(fault) => {
                let place = place.key("url");
                let allowed = "an http or https URL";
                problems.not_allowed(place, fault.refused(), allowed, fault.hint);
                None
            }
        }
    }
}

/// A signed call to be made.
#[derive(Debug)]
pub struct Call<'a> {
    /// Where to.
    pub url: &'a Url,
    /// When it has failed.
    pub timeout: Duration,
    /// The name of the secret that signs it.
    pub secret: &'a str,
    /// Names it: the same id is the same call.
    pub id: &'a str,
    /// Its body.
    pub body: String,
}

/// What is needed to carry things out.
#[derive(Clone)]
pub struct Carrier {
    clock: Arc<dyn Clock>,
    outbound: Arc<dyn Outbound>,
    daemon: Live<DaemonRules>,
    secrets: Secrets,
}

impl Debug for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carrier").finish_non_exhaustive()
    }
}

impl Carrier {
    /// A carrier by the doors of `wiring`.
    pub fn new(wiring: &Wiring) -> Self {
        Self {
            clock: Arc::clone(&wiring.clock),
            outbound: Arc::clone(&wiring.seams.outbound),
            daemon: wiring.daemon.clone(),
            secrets: wiring.seams.secrets.clone(),
        }
    }

    /// The secret `name`, or that there is none.
    pub fn secret(&self, name: &str) -> Result<Arc<Secret>, String> {
        let found = self.secrets.find(name);
        let found = found.map_err(|fault| fault.to_string())?;
        found.ok_or_else(|| format!("no {name}"))
    }

    /// Runs the program and waits for its end.
    pub async fn run(&self, argv: &[String], timeout: Duration) -> Carried {
        let (program, words) = argv.split_first().ok_or("the command is empty")?;
        let mut child = Command::new(program)
            .args(words)
            // Keys of the daemon are none of its business.
            .env_clear()
            .env("PATH", PLACES)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // With all that it begins it can be ended, and only with that.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot run `{program}`: {error}"))?;
        let mut group = Group::led_by(&child);
        let work = heard(&mut child);
        let Some((said, ended)) = within(&*self.clock, timeout, work).await else {
            let secs = timeout.as_secs();
            return Err(format!(
                "`{program}` did not end within {secs} s and was killed"
            ));
        };
        // What it has left running on purpose stays.
        group.leader = None;
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        match ended {
            Ok(status) if status.success() => Ok(said),
            Ok(status) => Err(format!("`{program}` failed: {status}; {said}")),
            Err(error) => Err(format!("`{program}` was lost: {error}")),
        }
    }

    /// Makes the call.
    pub async fn call(&self, call: Call<'_>, now: DateTime<Utc>) -> Carried {
        let secret = self.secret(call.secret)?;
        let mut request = Request::new(Method::POST, call.url.clone());
        request.limits = Limits::of(call.timeout);
        let body = call.body.as_bytes();
        let signed = webhooks::headers(secret.reveal(), call.id, now, body)
            .map_err(|why| format!("{} is no good: {why}", call.secret))?;
        for (name, value) in signed {
            let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
            request.headers.insert(HeaderName::from_static(name), value);
        }
        let json = HeaderValue::from_static("application/json");
        request.headers.insert(http::header::CONTENT_TYPE, json);
        request.body = Bytes::from(call.body);
        let allow = Arc::clone(&self.daemon.get().rules.outbound);
        let answer = self.outbound.http(&allow, &request).await;
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                Ok(format!("answered {}", answer.status))
            }
            Ok(answer) => Err(format!("answered {}, 2xx is needed", answer.status)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A program with all that it has begun: ended together, unless it ended by itself.
struct Group {
    leader: Option<Pid>,
}

impl Group {
    fn led_by(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self {
            leader: leader.and_then(Pid::from_raw),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // An error means that nobody is left.
            let _gone = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Waits for the end of `child`: the last of what it said, and how it ended. Who else holds on to
/// its output, as a worker that it has begun, is not waited for.
async fn heard(child: &mut Child) -> (Vec<u8>, io::Result<ExitStatus>) {
    let mut said = Vec::new();
    let pipe = child.stdout.take();
    let ended = {
        let mut reading = pin!(last_of(pipe, &mut said));
        tokio::select! {
            biased;
            () = &mut reading => child.wait().await,
            ended = child.wait() => {
                // What it said is in the pipe by now; the runtime may have to be told so first.
                for _ in 0..DRAINS {
                    if reading.as_mut().now_or_never().is_some() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                ended
            }
        }
    };
    (said, ended)
}

/// Reads all of `pipe`, so that nobody who writes into it has to wait or is ended, and keeps the
/// last of it.
async fn last_of(pipe: Option<ChildStdout>, said: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else {
        return;
    };
    let mut part = [0; 4096];
    // What cannot be read is not worth failing a step that may have been done.
    while let Ok(read @ 1..) = pipe.read(&mut part).await {
        said.extend_from_slice(part.get(..read).unwrap_or_default());
        let surplus = said.len().saturating_sub(MOST_OUTPUT);
        said.drain(..surplus);
    }
}
