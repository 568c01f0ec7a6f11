//! How well the daemon is: what each part says of itself, and whether requests should come here.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use serde::Serialize;

use super::http::{Answer, Finished, HotAnswer, Route, Routes, Scope, json, prepared};
use crate::seams::clock::Clock;

/// What a part says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "lowercase")]
pub enum State {
    /// All is well.
    Ok,
    /// It works, less well than it should.
    Degraded(String),
    /// It does not work: requests should go elsewhere.
    Failed(String),
}

/// One part and what it says.
pub type Check = (&'static str, State);

/// What is told beside the checks, such as how sure acknowledgements are.
type Fact = Box<dyn Fn() -> serde_json::Value + Send + Sync>;

/// How a part is, in words for people, whatever its state.
type Remark = Box<dyn Fn() -> String + Send + Sync>;

type Probe = Box<dyn Fn() -> State + Send + Sync>;

/// All parts that can say how they are.
#[derive(Default)]
pub struct Health {
    ready: AtomicBool,
    stopping: AtomicBool,
    parts: Mutex<Vec<(&'static str, Arc<Probe>)>>,
    facts: Mutex<Vec<(&'static str, Arc<Fact>)>>,
    remarks: Mutex<Vec<(&'static str, Arc<Remark>)>>,
}

impl Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks()).finish()
    }
}

impl Health {
    /// Adds a part. Its probe must be quick and must not wait.
    pub fn add(&self, name: &'static str, probe: impl Fn() -> State + Send + Sync + 'static) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.push((name, Arc::new(Box::new(probe))));
    }

    /// Adds a fact to the summary, told under `name`. It must be quick and must not wait.
    pub fn tell(
        &self,
        name: &'static str,
        fact: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.push((name, Arc::new(Box::new(fact))));
    }

    /// Adds what the line of the part `name` says while it is well. It must be quick and must not
    /// wait.
    pub fn remark(&self, name: &'static str, words: impl Fn() -> String + Send + Sync + 'static) {
        let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.push((name, Arc::new(Box::new(words))));
    }

    /// What the line of `name` says besides its state.
    fn remark_of(&self, name: &str) -> Option<String> {
        let remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, words) = remarks.iter().find(|(part, _)| *part == name)?.clone();
        drop(remarks);
        Some(words())
    }

    /// The daemon serves from now on.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// The daemon is ending: it is not ready from now on (rule H6).
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What each part says now; the daemon itself comes first.
    pub fn checks(&self) -> Vec<Check> {
        let parts = self
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let own = if self.stopping.load(Ordering::Relaxed) {
            State::Failed("stopping".to_owned())
        } else if self.ready.load(Ordering::Relaxed) {
            State::Ok
        } else {
            State::Failed("starting".to_owned())
        };
        let rest = parts.into_iter().map(|(name, probe)| (name, probe()));
        std::iter::once(("daemon", own)).chain(rest).collect()
    }
}

/// The rows that tell how the daemon is. The probes are exempt from limits: whoever watches us must
/// not be turned away for watching.
pub fn routes(health: &Arc<Health>, clock: &Arc<dyn Clock>) -> Routes {
    let exempt = |mut row: Route| {
        row.limited = false;
        row
    };
    let live = Route::get("/livez", Scope::Public, "200 while the process turns")
        .plain()
        .hot(Arc::new(|_call| {
            HotAnswer::Now(Ok(text("ok\n".to_owned(), StatusCode::OK)))
        }));
    let own = Arc::clone(health);
    let ready = Route::get(
        "/readyz",
        Scope::Public,
        "200 when requests should come here",
    )
    .query("verbose=1")
    .plain()
    .hot(Arc::new(move |call| {
        HotAnswer::Now(Ok(ready(&own, call.parts.uri.query())))
    }));
    let (own, clock) = (Arc::clone(health), Arc::clone(clock));
    let all =
        Route::get("/health", Scope::Public, "how each part is").hot(Arc::new(move |_call| {
            HotAnswer::Now(Ok(summary(&own, &*clock)))
        }));
    vec![exempt(live), exempt(ready), exempt(all)]
}

fn failed(checks: &[Check]) -> bool {
    checks
        .iter()
        .any(|(_, state)| matches!(state, State::Failed(_)))
}

/// `ok`, or with `verbose` a line for each part.
fn ready(health: &Health, query: Option<&str>) -> Answer {
    let checks = health.checks();
    let (status, word) = if failed(&checks) {
        (StatusCode::SERVICE_UNAVAILABLE, "failed")
    } else {
        (StatusCode::OK, "ok")
    };
    let verbose = query.is_some_and(|query| query.split('&').any(|one| one.starts_with("verbose")));
    let mut body = String::new();
    for (name, state) in &checks {
        let line = match state {
            State::Ok => match health.remark_of(name).filter(|_| verbose) {
                Some(remark) => format!("[+] {name} ok: {remark}\n"),
                None => format!("[+] {name} ok\n"),
            },
            State::Degraded(reason) => format!("[!] {name} degraded: {reason}\n"),
            State::Failed(reason) => format!("[-] {name} failed: {reason}\n"),
        };
        if verbose || matches!(state, State::Failed(_)) {
            body.push_str(&line);
        }
    }
    body.push_str(word);
    body.push('\n');
    let mut answer = text(body, status);
    if status != StatusCode::OK {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}

/// `{"ok":…,"status":…,"checks":{…}}` and the facts; a degraded daemon still answers 200.
fn summary(health: &Health, clock: &dyn Clock) -> Answer {
    let checks = health.checks();
    let degraded = checks
        .iter()
        .any(|(_, state)| matches!(state, State::Degraded(_)));
    let (status, word) = match (failed(&checks), degraded) {
        (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
        (false, true) => (StatusCode::OK, "degraded"),
        (false, false) => (StatusCode::OK, "ok"),
    };
    let parts: serde_json::Map<_, _> = checks
        .iter()
        .map(|(name, state)| ((*name).to_owned(), serde_json::json!(state)))
        .collect();
    let mut body = serde_json::json!({
        "ok": status == StatusCode::OK,
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_secs": clock.uptime().as_secs(),
        "checks": parts,
    });
    let facts = health
        .facts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    for (name, fact) in facts {
        body[name] = fact();
    }
    whole(json(body.to_string()), status)
}

fn text(body: String, status: StatusCode) -> Answer {
    whole(prepared(body, "text/plain; charset=utf-8"), status)
}

fn whole(mut answer: Answer, status: StatusCode) -> Answer {
    *answer.status_mut() = status;
    // A probe's answer is whole as it is: the edge must not turn a 503 into a problem document.
    answer.extensions_mut().insert(Finished);
    answer
}
