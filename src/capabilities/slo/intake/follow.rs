//! The task that follows one access log: a turn of reading, then one line of the journal with what
//! was counted and how far that goes. So whatever ends the process, counts and position agree.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::access::AccessLog;
use super::rules::{AccessLogRules, Lines};
use super::status::SourceStatus;
use super::tail::{Position, State, Tail};
use super::watch::Doors;
use crate::base::time::stamp;
use crate::platform::samples::{Rows, minute_of};

/// From one look at the log to the next while nothing is behind.
const TURN: Duration = Duration::from_secs(1);

/// Bytes of a turn: some 0.1 s of work, and little to do again after a crash.
const BUDGET: u64 = 8 << 20;

/// Rows are committed when they are this old: a line of the journal each second would be five times
/// the size for nothing, since the log itself is what is read again after a crash.
const COMMIT: Duration = Duration::from_secs(5);

/// A position that only passed over lines that do not count is committed after this long.
const MOVED: Duration = Duration::from_mins(1);

/// The longest wait before a commit that storage refused is tried again.
const MAX_RETRY: Duration = Duration::from_secs(30);

/// How far a log was read, as it is kept beside the counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// The log; another path is another log.
    path: PathBuf,
    position: Position,
}

/// What goes to the blocking pool and comes back.
struct Work {
    tail: Tail,
    log: AccessLog,
    more: bool,
}

/// What has been committed, and when.
struct Committed {
    position: Option<Position>,
    uptime: Duration,
    at: DateTime<Utc>,
}

/// Follows one log.
struct Follower {
    doors: Arc<Doors>,
    name: String,
    /// Under this name its samples and its position stand in the journal.
    source: String,
    path: PathBuf,
    stop: CancellationToken,
    committed: Committed,
}

/// Follows a log until it is told to stop.
pub(super) async fn follow(
    doors: Arc<Doors>,
    name: String,
    rules: AccessLogRules,
    stop: CancellationToken,
) {
    let source = format!("tail:{name}");
    let kept = doors.samples.position(&source);
    let kept: Option<Kept> = kept.and_then(|value| serde_json::from_value(value).ok());
    let known = kept.filter(|kept| kept.path == rules.path);
    let known = known.map(|kept| kept.position);
    let files = Arc::clone(&doors.files);
    let work = Work {
        tail: Tail::new(files, &rules.path, rules.begin, known.clone()),
        log: match rules.lines {
            Lines::Nginx(format) => AccessLog::nginx(format, rules.selector),
            Lines::Ndjson(fields) => AccessLog::ndjson(&fields, rules.selector),
        },
        more: false,
    };
    let committed = Committed {
        position: known,
        uptime: doors.clock.uptime(),
        at: doors.clock.now(),
    };
    let follower = Follower {
        doors,
        name,
        source,
        path: rules.path,
        stop,
        committed,
    };
    follower.run(work).await;
}

impl Follower {
    async fn run(mut self, mut work: Work) {
        loop {
            // Asked before the turn: what it reads is committed in any case.
            let stopping = self.stop.is_cancelled();
            let (now, uptime) = (self.doors.clock.now(), self.doors.clock.uptime());
            let turned = tokio::task::spawn_blocking(move || {
                let log = &mut work.log;
                let turn = work
                    .tail
                    .turn(uptime, BUDGET, &mut |line| log.take(line, now));
                work.more = turn.more;
                work
            });
            // The pool gives nothing back only when the work panicked or the process ends.
            let Ok(back) = turned.await else {
                return;
            };
            work = back;
            tell(&self.doors, &self.name, &work);
            let position = work.tail.position();
            if position != self.committed.position && (stopping || self.is_due(&work, now, uptime))
            {
                let rows = work.log.take_rows();
                if !self.commit(rows, position.as_ref()).await {
                    return;
                }
                self.committed = Committed {
                    position,
                    uptime: self.doors.clock.uptime(),
                    at: now,
                };
            }
            if stopping {
                return;
            }
            if !work.more {
                tokio::select! {
                    () = self.doors.clock.sleep(TURN) => {}
                    () = self.stop.cancelled() => {}
                }
            }
        }
    }

    /// Whether what is there should be committed now.
    fn is_due(&self, work: &Work, now: DateTime<Utc>, uptime: Duration) -> bool {
        let age = uptime.saturating_sub(self.committed.uptime);
        // The guard looks soon after a minute has ended.
        let ended = minute_of(now) != minute_of(self.committed.at);
        // What was there at first sight is remembered at once.
        work.more
            || self.committed.position.is_none()
            || (!work.log.is_empty() && (ended || age >= COMMIT))
            || age >= MOVED
    }

    /// Commits rows and position together, as often as it takes; `false` when it was told to stop
    /// before storage took them. Then the log is read again from the position before.
    async fn commit(&self, rows: Rows, position: Option<&Position>) -> bool {
        let kept = position.map(|position| Kept {
            path: self.path.clone(),
            position: position.clone(),
        });
        let position = kept.and_then(|kept| serde_json::to_value(kept).ok());
        let (samples, source) = (&self.doors.samples, &self.source);
        let mut wait = Duration::from_secs(1);
        loop {
            let made = samples.commit(source, rows.clone(), position.clone(), None);
            let Err(error) = made.await else {
                return true;
            };
            warn!(%error, source, "samples of `{source}` cannot be kept, trying again");
            let text = format!("its samples cannot be kept: {error}");
            let tell = |status: &mut SourceStatus| status.trouble = Some(text);
            self.doors.board.change(&self.name, tell);
            tokio::select! {
                () = self.doors.clock.sleep(wait) => {}
                () = self.stop.cancelled() => return false,
            }
            wait = (wait * 2).min(MAX_RETRY);
        }
    }
}

/// Puts on the board how the log is doing.
fn tell(doors: &Doors, name: &str, work: &Work) {
    let (tally, (lost, note)) = (work.log.tally(), work.tail.lost());
    let now = doors.clock.now();
    let (long, behind) = (work.tail.long(), work.tail.behind());
    doors.board.change(name, |status: &mut SourceStatus| {
        if tally.counted > status.counted {
            status.last_at = Some(stamp(now));
        }
        status.counted = tally.counted;
        status.excluded = tally.excluded;
        status.other = tally.other;
        status.broken = tally.broken;
        status.ahead = tally.ahead;
        status.too_long = long;
        status.behind_bytes = behind;
        status.lost = lost;
        status.lost_note = note.map(str::to_owned);
        status.trouble = match work.tail.state() {
            State::Reading => nothing_fits(status),
            State::Absent => Some("the log is not there (yet)".into()),
            State::Refused(why) => Some(why.clone()),
        };
    });
}

/// A format that fits no line is a fault of the configuration, not of the lines.
fn nothing_fits(status: &SourceStatus) -> Option<String> {
    /// Lines that may be odd before the format is doubted.
    const DOUBT: u64 = 20;
    let read = status.counted + status.excluded + status.other;
    (status.broken >= DOUBT && read == 0).then(|| {
        format!(
            "none of {} lines is of the format that is configured; hint: compare `log_format` or \
             `fields` with a line of the log",
            status.broken
        )
    })
}
