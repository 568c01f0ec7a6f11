//! Carries a step out: a program without a shell, or a signed call. Bounded in time and output;
//! gives one sentence of what came of it.

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
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};

use super::config::{AutoscaleRules, Executor};
use super::event::Step;
use crate::base::secret::Secret;
use crate::base::time::stamp;
use crate::platform::config::{DaemonRules, Live};
use crate::platform::lifecycle::within;
use crate::platform::secrets::{AUTOSCALE_WEBHOOK, Secrets};
use crate::platform::webhooks;
use crate::platform::wiring::Wiring;
use crate::seams::clock::Clock;
use crate::seams::outbound::{Limits, Outbound, Request, Url};

/// Bytes of a program's output that are written down (our own choice: the end of what it said).
const MOST_OUTPUT: usize = 2048;
/// Times that a pipe is looked into once its program has ended: the first may come before the
/// runtime knows of what was written last (our own choice).
const DRAINS: usize = 8;
/// Where a program finds others.
const PLACES: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// How carrying out went: what it said, or why it failed.
pub(super) type Carried = Result<String, String>;

/// What is needed to carry steps out.
#[derive(Clone)]
pub(super) struct Carrier {
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
    /// A carrier by the doors of `wiring`; without a secret calls stay plans.
    pub(super) fn new(wiring: &Wiring) -> Self {
        Self {
            clock: Arc::clone(&wiring.clock),
            outbound: Arc::clone(&wiring.seams.outbound),
            daemon: wiring.daemon.clone(),
            secrets: wiring.seams.secrets.clone(),
        }
    }

    /// The executor, if a step may be carried out; else why it stays a plan.
    pub(super) fn ready<'a>(&self, rules: &'a AutoscaleRules) -> Result<&'a Executor, String> {
        let executor = rules.executor.as_ref();
        let executor = executor.ok_or("no `executor` in `configs/autoscale.json`")?;
        if rules.dry_run {
            return Err("`dry_run` is true in `configs/autoscale.json`".to_owned());
        }
        if matches!(executor, Executor::Webhook { .. }) {
            self.secret()?;
        }
        Ok(executor)
    }

    fn secret(&self) -> Result<Arc<Secret>, String> {
        let found = self.secrets.find(AUTOSCALE_WEBHOOK);
        let found = found.map_err(|fault| fault.to_string())?;
        found.ok_or_else(|| format!("no {AUTOSCALE_WEBHOOK}"))
    }

    /// Carries `step` out.
    pub(super) async fn carry_out(
        &self,
        executor: &Executor,
        step: &Step,
        now: DateTime<Utc>,
    ) -> Carried {
        match executor {
            Executor::Command { argv, timeout } => self.run(argv, *timeout, step).await,
            Executor::Webhook { url, timeout } => self.call(url, *timeout, step, now).await,
        }
    }

    async fn run(&self, argv: &[String], timeout: Duration, step: &Step) -> Carried {
        let filled = |word: &String| {
            word.replace("{workers}", &step.to.to_string())
                .replace("{from}", &step.from.to_string())
                .replace("{action}", step.action.word())
        };
        let mut words = argv.iter().map(filled);
        let program = words.next().ok_or("the command is empty")?;
        let mut child = Command::new(&program)
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

    async fn call(&self, url: &Url, timeout: Duration, step: &Step, now: DateTime<Utc>) -> Carried {
        let secret = self.secret()?;
        let body = json!({
            "type": "autoscale.step",
            "timestamp": stamp(now),
            "data": {
                "step": step.step,
                "action": step.action.word(),
                "from": step.from,
                "to": step.to,
                "reason": step.reason,
            },
        });
        let body = body.to_string();
        let mut request = Request::new(Method::POST, url.clone());
        request.limits = Limits::of(timeout);
        let signed = webhooks::headers(secret.reveal(), &step.step, now, body.as_bytes())
            .map_err(|why| format!("{AUTOSCALE_WEBHOOK} is no good: {why}"))?;
        for (name, value) in signed {
            let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
            request.headers.insert(HeaderName::from_static(name), value);
        }
        let json = HeaderValue::from_static("application/json");
        request.headers.insert(http::header::CONTENT_TYPE, json);
        request.body = Bytes::from(body);
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
