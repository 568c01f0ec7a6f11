//! One run: bounded in time with all its tries, fenced against panics, asked to stop before it is
//! dropped.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::core::{Ending, Start};
use super::task::{Outcome, Pass, Retries, Summary, TaskError};
use crate::platform::lifecycle::within;
use crate::seams::clock::Clock;

/// How long a run that was asked to stop may take to do so before it is dropped (our own choice:
/// time to put a file away, no more).
const GRACE: Duration = Duration::from_secs(1);
/// Bytes of an output or an error that are kept in a record (our own choice).
const MOST_TEXT: usize = 4096;
/// Doublings of the pause between tries at most; the run's own bound ends them long before.
const MOST_DOUBLINGS: u32 = 16;

/// The words that end runs.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// The process wants to stop: finish what is in hand.
    pub(super) soft: CancellationToken,
    /// Now.
    pub(super) hard: CancellationToken,
}

/// How one try ended.
enum Tried {
    Done(Summary),
    Failed(TaskError),
    Panicked(String),
    OutOfTime,
    Dropped,
}

/// Does the run.
pub(super) async fn run(start: &Start, clock: &Arc<dyn Clock>, ends: &Ends) -> Ending {
    let began = clock.uptime();
    let left = || (began + start.rules.timeout).saturating_sub(clock.uptime());
    let mut attempt = 1;
    loop {
        let tried = once(start, attempt, left(), clock, ends).await;
        let error = match tried {
            Tried::Done(summary) => return done(summary, attempt),
            Tried::Panicked(text) => return failed(attempt, None, format!("panicked: {text}")),
            Tried::OutOfTime => {
                let bound = start.rules.timeout.as_secs_f64();
                return failed(attempt, None, format!("not done within {bound} s"));
            }
            Tried::Dropped => {
                let why = "the process was stopped during the run".to_owned();
                return failed(attempt, Some(why), String::new());
            }
            Tried::Failed(error) => error.to_string(),
        };
        let Retries { most, pause } = start.rules.retries;
        let pause = backoff(pause, attempt, &start.started.run);
        if attempt > most || pause >= left() || ends.soft.is_cancelled() {
            return failed(attempt, None, error);
        }
        let waited = ends.soft.run_until_cancelled(clock.sleep(pause)).await;
        if waited.is_none() {
            return failed(attempt, None, error);
        }
        attempt += 1;
    }
}

async fn once(
    start: &Start,
    attempt: u32,
    left: Duration,
    clock: &Arc<dyn Clock>,
    ends: &Ends,
) -> Tried {
    let stop = ends.soft.child_token();
    let pass = Pass {
        run: start.started.run.clone(),
        now: clock.now(),
        scheduled_for: start.started.scheduled_for,
        trigger: start.started.trigger,
        attempt,
        stop: stop.clone(),
    };
    let work = AssertUnwindSafe(async { start.task.run(&pass).await }).catch_unwind();
    let mut work = std::pin::pin!(work);
    let ended = tokio::select! {
        biased;
        ended = &mut work => Some(ended),
        () = clock.sleep(left) => None,
        () = ends.hard.cancelled() => return Tried::Dropped,
    };
    match ended {
        Some(Ok(Ok(summary))) => Tried::Done(summary),
        Some(Ok(Err(error))) => Tried::Failed(error),
        Some(Err(panic)) => Tried::Panicked(text_of(&*panic)),
        None => {
            stop.cancel();
            // What it says now comes too late; it may put its things away.
            let _late = within(&**clock, GRACE, work).await;
            Tried::OutOfTime
        }
    }
}

fn done(summary: Summary, attempt: u32) -> Ending {
    let bytes = summary.output.to_string().len();
    let output = if bytes > MOST_TEXT {
        serde_json::json!({ "left_out": format!("{bytes} bytes, at most {MOST_TEXT} are kept") })
    } else {
        summary.output
    };
    Ending {
        outcome: summary.outcome,
        reason: summary.reason.map(clipped),
        attempt,
        error: None,
        output,
    }
}

fn failed(attempt: u32, reason: Option<String>, error: String) -> Ending {
    Ending {
        outcome: Outcome::Failed,
        reason,
        attempt,
        error: Some(clipped(error)).filter(|error| !error.is_empty()),
        output: serde_json::Value::Null,
    }
}

fn clipped(mut text: String) -> String {
    if text.len() > MOST_TEXT {
        let end = text.floor_char_boundary(MOST_TEXT);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a text".to_owned())
}

/// Pause before the try after `attempt`: doubled each time, then between half and all of it, so
/// that those who failed together do not come back together.
fn backoff(pause: Duration, attempt: u32, run: &str) -> Duration {
    let doubled = pause.saturating_mul(1 << (attempt - 1).min(MOST_DOUBLINGS));
    let digest = Sha256::digest(format!("{run} {attempt}"));
    doubled.mul_f64(0.5 + f64::from(digest[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_and_is_spread_over_its_upper_half() {
        let pause = Duration::from_secs(8);
        for attempt in 1..=4 {
            let full = pause * (1 << (attempt - 1));
            let spans: Vec<Duration> = (0..50)
                .map(|run| backoff(pause, attempt, &run.to_string()))
                .collect();
            assert!(spans.iter().all(|span| *span >= full / 2 && *span <= full));
            assert!(spans.iter().any(|span| *span != spans[0]), "spread");
        }
        assert!(backoff(pause, u32::MAX, "x") > Duration::from_secs(100_000));
    }
}
