//! Pure decisions: what a signal changes, when a heartbeat is due, and when it is down.
//!
//! Spans are measured on the steady time, so that a step of the wall clock neither ages a
//! heartbeat nor makes it young. Only what `cron` asks for is looked up on the wall clock.

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{Event, Kind};
use super::model::{Beat, Cause, Down, Health, Now, Ping, Run, Watch};
use crate::base::calendar::Span;
use crate::base::time;

/// Longest time, besides the grace time, that an excuse lasts: an hour, in seconds. Our own choice:
/// jobs that are due more often get their whole period, and a daily one is not silent for a day.
const MOST_EXCUSE_SECS: i64 = 3600;

/// When a success is due, on the steady time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// When it is due.
    pub(super) at: DateTime<Utc>,
    /// From when on the heartbeat is down without it.
    pub(super) until: DateTime<Utc>,
}

/// When the next success of `beat` is due; `None` for one that is not watched yet.
pub(super) fn due(watch: &Watch, beat: &Beat, now: &Now) -> Option<Due> {
    let basis = beat.basis.as_ref()?;
    let at = if let Some(period) = watch.cadence.interval() {
        now.steady_of(basis).checked_add_signed(period.as_delta())?
    } else {
        // A moment that the wall clock has not reached is one that was stepped over backwards.
        let after = if basis.wall > now.wall {
            now.wall_at(now.steady_of(basis))
        } else {
            basis.wall
        };
        now.steady_at(watch.cadence.next_after(after)?)
    };
    let until = at.checked_add_signed(watch.grace())?;
    let until = excused(beat, at, until, now);
    Some(Due { at, until })
}

/// `until`, or the end of an excuse for what had begun or was due at `at`.
fn excused(beat: &Beat, at: DateTime<Utc>, until: DateTime<Utc>, now: &Now) -> DateTime<Utc> {
    let Some(excuse) = &beat.excuse else {
        return until;
    };
    let given = now.steady_of(&excuse.at);
    if at > given {
        return until;
    }
    let span = TimeDelta::seconds(i64::try_from(excuse.secs).unwrap_or_default());
    until.max(given + span)
}

/// When `run` has taken too long.
fn run_until(watch: &Watch, beat: &Beat, run: &Run, now: &Now) -> Option<DateTime<Utc>> {
    let began = now.steady_of(&run.began);
    let until = began.checked_add_signed(watch.grace())?;
    Some(excused(beat, began, until, now))
}

/// Runs that are waited for.
pub(super) fn open_runs(beat: &Beat) -> impl Iterator<Item = &Run> {
    beat.runs.iter().filter(|run| !run.overdue)
}

/// Why `beat` should be down as of now, with the steady time at which it became so.
pub(super) fn verdict(watch: &Watch, beat: &Beat, now: &Now) -> Option<Event> {
    if beat.paused.is_some() || beat.down.is_some() {
        return None;
    }
    let missed = due(watch, beat, now).filter(|due| due.until <= now.steady);
    let too_long = open_runs(beat)
        .filter_map(|run| Some((run_until(watch, beat, run, now)?, run)))
        .filter(|(until, _)| *until <= now.steady)
        .min_by_key(|(until, _)| *until);
    let grace = span(watch.grace());
    match (missed, too_long) {
        (Some(due), too_long) if too_long.is_none_or(|(until, _)| due.until <= until) => {
            let since = now.wall_at(due.at);
            let summary = format!(
                "`{}` gave no sign of life: one was due at {}, with {grace} of grace",
                watch.name,
                time::stamp(since)
            );
            Some(went_down(watch, Cause::Missed, since, summary))
        }
        (_, Some((_, run))) => {
            let began = now.steady_of(&run.began);
            let since = now.wall_at(began + watch.grace());
            let summary = format!(
                "a run of `{}` takes longer than {grace}: it began at {} and has not ended",
                watch.name,
                time::stamp(now.wall_at(began))
            );
            let mut event = went_down(watch, Cause::TooLong, since, summary);
            event.members.rid.clone_from(&run.rid);
            Some(event)
        }
        (_, None) => None,
    }
}

fn went_down(watch: &Watch, cause: Cause, since: DateTime<Utc>, summary: String) -> Event {
    let mut event = Event::of(Kind::WentDown, &watch.name);
    event.members.cause = Some(cause);
    event.members.since = Some(since);
    event.members.summary = summary;
    event
}

/// The steady time at which `beat` must be looked at again, if nothing comes.
pub(super) fn next_look(watch: &Watch, beat: &Beat, now: &Now) -> Option<DateTime<Utc>> {
    if beat.paused.is_some() || beat.down.is_some() {
        return None;
    }
    let runs = open_runs(beat).filter_map(|run| run_until(watch, beat, run, now));
    runs.chain(due(watch, beat, now).map(|due| due.until)).min()
}

/// How `beat` is.
pub(super) fn health(watch: &Watch, beat: &Beat, now: &Now) -> Health {
    if beat.paused.is_some() {
        return Health::Paused;
    }
    if beat.down.is_some() {
        return Health::Down;
    }
    let due = due(watch, beat, now);
    if due.is_some_and(|due| due.at <= now.steady) {
        return Health::Late;
    }
    if open_runs(beat).next().is_some() {
        return Health::Running;
    }
    if due.is_some() {
        Health::Up
    } else {
        Health::New
    }
}

/// What comes of a signal.
pub(super) fn on_ping(watch: &Watch, beat: &Beat, ping: &Ping, now: &Now) -> Vec<Event> {
    let mut events = Vec::new();
    let outcome = ping.outcome();
    let resumes = beat.paused.is_some() && watch.resumes_by_ping && outcome == Some(true);
    if resumes {
        events.push(Event::by(Kind::Resumed, &watch.name, "ping"));
    }
    let mut pinged = Event::of(Kind::Pinged, &watch.name);
    pinged.members.signal = Some(ping.signal);
    pinged.members.exit_code = ping.exit_code;
    pinged.members.rid.clone_from(&ping.rid);
    pinged.members.body.clone_from(&ping.body);
    pinged.members.body_cut = ping.is_cut;
    if outcome.is_some() {
        let run = beat.runs.iter().find(|run| run.rid == ping.rid);
        let took = run.map(|run| now.steady - now.steady_of(&run.began));
        pinged.members.duration_ms =
            took.map(|took| u64::try_from(took.num_milliseconds()).unwrap_or_default());
    }
    events.push(pinged);
    if beat.paused.is_some() {
        return events;
    }
    match (outcome, &beat.down) {
        (Some(true), Some(down)) => events.push(came_up(watch, down, now)),
        (Some(false), None) => {
            let how = match ping.exit_code {
                Some(code) => format!("exit code {code}"),
                None => "it said that it failed".to_owned(),
            };
            let summary = format!("`{}` failed: {how}", watch.name);
            let mut event = went_down(watch, Cause::Failed, now.wall, summary);
            event.members.rid.clone_from(&ping.rid);
            events.push(event);
        }
        _ => {}
    }
    events
}

fn came_up(watch: &Watch, down: &Down, now: &Now) -> Event {
    let mut event = Event::of(Kind::CameUp, &watch.name);
    let downtime = (now.wall - down.since).max(TimeDelta::zero());
    event.members.since = Some(down.since);
    event.members.summary = format!(
        "`{}` is well again: it succeeded after {} of downtime, since {}",
        watch.name,
        span(downtime),
        time::stamp(down.since)
    );
    event
}

/// The excuse that `beat` needs because signals may have been kept from us until now, for the
/// reason `why`. What was excused once is not excused again, however often we start.
pub(super) fn excuse(watch: &Watch, beat: &Beat, now: &Now, why: &str) -> Option<Event> {
    if beat.paused.is_some() || beat.down.is_some() {
        return None;
    }
    let given = beat.excuse.as_ref().map(|excuse| now.steady_of(&excuse.at));
    let is_new = |at: DateTime<Utc>| at <= now.steady && given.is_none_or(|given| given < at);
    let due = due(watch, beat, now).map(|due| due.at);
    let needed =
        due.is_some_and(is_new) || open_runs(beat).any(|run| is_new(now.steady_of(&run.began)));
    if !needed {
        return None;
    }
    let next = watch.cadence.next_after(now.wall).map(|at| at - now.wall);
    let period = watch.cadence.interval().map(Span::as_delta).or(next);
    let most = TimeDelta::seconds(MOST_EXCUSE_SECS);
    let wait = period.map_or(most, |period| period.min(most)) + watch.grace();
    let mut event = Event::of(Kind::Excused, &watch.name);
    event.members.secs = u64::try_from(wait.num_seconds()).ok();
    why.clone_into(&mut event.members.summary);
    Some(event)
}

/// A span for people, in its two largest units: `2h 5m`.
pub(super) fn span(span: TimeDelta) -> String {
    let mut secs = span.num_seconds().max(0);
    let mut parts = Vec::new();
    for (unit, each) in [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
        let count = secs / each;
        secs %= each;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count}{unit}"));
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() {
        return "0s".to_owned();
    }
    parts.join(" ")
}
