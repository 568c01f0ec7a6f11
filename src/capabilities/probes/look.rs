//! One look at what a probe calls: the call, and what is made of its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Mutex;

use super::judge;
use super::model::{Check, Probe};
use crate::seams::clock::Clock;
use crate::seams::outbound::{
    Allow, CertInfo, Contact, Limits, Outbound, OutboundError, Target, Timings,
};

/// How old a sign of life of our own network may be where nothing hangs on it: a probe that is
/// down already, or fails for the first time (our own choice).
const TOLERANCE: Duration = Duration::from_secs(5);

/// How long a well-known address is waited for: as long as any connection of ours.
const CONNECT: Limits = Limits {
    connect: Limits::DEFAULT.connect,
    total: Limits::DEFAULT.connect,
};

/// How a look ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A good answer.
    Good,
    /// None, or one that is not good.
    Bad,
    /// Our own network, our own rules or our own machine did not let us look.
    Unable,
}

/// What a look found.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    /// How it ended.
    pub(super) verdict: Verdict,
    /// Why it is not good.
    pub(super) reason: String,
    /// The cure, where there is one.
    pub(super) hint: String,
    /// Status of an HTTP answer.
    pub(super) status: Option<u16>,
    /// How long each part took.
    pub(super) timings: Timings,
    /// The certificate that was shown.
    pub(super) cert: Option<CertInfo>,
    /// Whether our own network works, if that was looked at.
    pub(super) online: Option<bool>,
}

/// A look, with when it was made.
#[derive(Debug)]
pub(super) struct Look {
    /// The probe as it was when the look began.
    pub(super) probe: Arc<Probe>,
    /// When it began, on the monotonic clock.
    pub(super) begun: Duration,
    /// When it began.
    pub(super) at: DateTime<Utc>,
    /// How much later than due.
    pub(super) late: Duration,
    /// What it found.
    pub(super) sight: Sight,
}

impl Sight {
    fn good(contact: Contact) -> Self {
        Self {
            verdict: Verdict::Good,
            reason: String::new(),
            hint: String::new(),
            status: None,
            timings: contact.timings,
            cert: contact.cert,
            online: None,
        }
    }

    fn judged(mut self, outcome: Result<(), String>) -> Self {
        if let Err(reason) = outcome {
            self.verdict = Verdict::Bad;
            self.reason = reason;
        }
        self
    }

    fn failed(error: OutboundError, took: Duration) -> Self {
        let mut reason = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            reason.push_str(": ");
            reason.push_str(&source.to_string());
        }
        let hint = error.hint();
        let verdict = if error.is_ours() {
            Verdict::Unable
        } else {
            Verdict::Bad
        };
        let cert = match error {
            OutboundError::Tls { cert, .. } => cert.map(|cert| *cert),
            _ => None,
        };
        let timings = Timings {
            total: took,
            ..Timings::default()
        };
        Self {
            verdict,
            reason,
            hint,
            status: None,
            timings,
            cert,
            online: None,
        }
    }
}

/// Whether our own network works, asked of well-known addresses at most once at a time.
#[derive(Debug, Default)]
pub(super) struct Connectivity {
    last: Mutex<Option<(Duration, bool)>>,
}

/// What looks are made with.
#[derive(Debug)]
pub(super) struct Eyes {
    /// The clock.
    pub(super) clock: Arc<dyn Clock>,
    /// The door.
    pub(super) outbound: Arc<dyn Outbound>,
    /// Whether our own network works.
    pub(super) connectivity: Connectivity,
}

impl Eyes {
    /// Looks at what `probe` calls. `decides` = a failure would make it count as down.
    pub(super) async fn look(
        &self,
        probe: &Probe,
        allow: &Allow,
        targets: &[Target],
        decides: bool,
    ) -> Sight {
        let begun = self.clock.uptime();
        let looked = AssertUnwindSafe(self.see(probe, allow))
            .catch_unwind()
            .await;
        let mut sight = looked.unwrap_or_else(|_| Sight {
            verdict: Verdict::Unable,
            reason: "the look ended in a panic, which is a fault of echopilot".into(),
            hint: "please report it".into(),
            status: None,
            timings: Timings::default(),
            cert: None,
            online: None,
        });
        if sight.verdict == Verdict::Bad && probe.is_remote && !targets.is_empty() {
            let since = if decides {
                begun
            } else {
                begun.saturating_sub(TOLERANCE)
            };
            let online = self.is_online(allow, targets, since).await;
            sight.online = Some(online);
            if !online {
                sight.verdict = Verdict::Unable;
                sight.hint =
                    "this machine is offline: none of `connectivity.targets` answers".into();
            }
        }
        sight
    }

    async fn see(&self, probe: &Probe, allow: &Allow) -> Sight {
        let begun = self.clock.uptime();
        let limits = Limits::of(probe.timeout);
        let outcome = match &probe.check {
            Check::Http(check) => {
                let answer = self.outbound.http(allow, &check.request).await;
                answer.map(|answer| {
                    let judged = judge::http(check, &answer);
                    let status = Some(answer.status);
                    let sight = Sight::good(answer.contact).judged(judged);
                    Sight { status, ..sight }
                })
            }
            Check::Tcp { target, most } => {
                let contact = self.outbound.tcp(allow, target, limits).await;
                contact.map(|contact| {
                    let judged = judge::in_time(contact.timings.total, *most);
                    Sight::good(contact).judged(judged)
                })
            }
            Check::Tls { target, name, .. } => {
                let contact = self
                    .outbound
                    .tls(allow, target, name.as_ref(), limits)
                    .await;
                contact.map(Sight::good)
            }
            Check::Dns(check) => {
                let found = self.outbound.dns(allow, &check.question, limits).await;
                found.map(|found| {
                    let timings = Timings {
                        total: found.elapsed,
                        ..Timings::default()
                    };
                    let contact = Contact {
                        address: found.server,
                        timings,
                        cert: None,
                    };
                    Sight::good(contact).judged(judge::dns(check, &found))
                })
            }
        };
        let took = self.clock.uptime().saturating_sub(begun);
        outcome.unwrap_or_else(|error| Sight::failed(error, took))
    }

    /// Whether any of `targets` could be connected to at `since` or later.
    async fn is_online(&self, allow: &Allow, targets: &[Target], since: Duration) -> bool {
        // Who waits here for somebody else's attempt takes its outcome if it is young enough.
        let mut last = self.connectivity.last.lock().await;
        if let Some((begun, online)) = *last
            && begun >= since
        {
            return online;
        }
        let begun = self.clock.uptime();
        let mut calls: FuturesUnordered<_> = targets
            .iter()
            .map(|to| self.outbound.tcp(allow, to, CONNECT))
            .collect();
        // What our own rules forbid was not tried, and tells nothing of the network.
        let (mut reached, mut tried) = (false, false);
        while let Some(outcome) = calls.next().await {
            reached = outcome.is_ok();
            if reached {
                break;
            }
            tried |= outcome.is_err_and(|error| !error.is_ours());
        }
        let online = reached || !tried;
        *last = Some((begun, online));
        online
    }
}
