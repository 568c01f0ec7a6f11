//! When a disk will be full: a straight line through the room it had over the last hours. Pure.

use chrono::TimeDelta;

use super::model::{Forecast, Room};

/// How well the line must fit (R², 0 to 1). One sudden step, such as a large file that was copied,
/// reaches 0.75 at most (3p(1−p) for a step at p of the window), so it is never taken for a slope.
const FIT: f64 = 0.8;
/// Readings that a line takes at least: half an hour of them at one every 3 minutes.
const FEWEST: usize = 10;
/// Part of the window that readings must span, so that a short burst is not drawn out to days.
const SPAN: f64 = 0.5;
/// Milliseconds in an hour.
const HOUR_MS: f64 = 3_600_000.0;
/// The short window, in minutes: a log that runs wild must be seen before the long one bends.
const SHORT_MINUTES: i64 = 60;

/// When the room that is told by `rooms`, oldest first, will be used up. The sooner of two lines
/// counts: one through all of `window`, one through the last hour.
pub fn forecast(rooms: &[Room], window: TimeDelta) -> Forecast {
    let short = TimeDelta::minutes(SHORT_MINUTES).min(window);
    match (line(rooms, window), line(rooms, short)) {
        (Forecast::Hours(long), Forecast::Hours(short)) => Forecast::Hours(long.min(short)),
        (Forecast::Hours(hours), _) | (_, Forecast::Hours(hours)) => Forecast::Hours(hours),
        (Forecast::Never, _) | (_, Forecast::Never) => Forecast::Never,
        _ => Forecast::TooFew,
    }
}

/// The same by one line of least squares.
fn line(rooms: &[Room], window: TimeDelta) -> Forecast {
    let Some(last) = rooms.last() else {
        return Forecast::TooFew;
    };
    // A clock that was set back leaves readings of the future behind: they are not ours.
    let kept = |room: &&Room| room.at <= last.at && last.at - room.at <= window;
    let points: Vec<(f64, f64)> = rooms
        .iter()
        .filter(kept)
        .map(|room| {
            let hours = (room.at - last.at).num_milliseconds() as f64 / HOUR_MS;
            (hours, room.available as f64)
        })
        .collect();
    let span = points
        .iter()
        .fold(0.0_f64, |most, point| most.max(-point.0));
    let wanted = window.num_milliseconds() as f64 / HOUR_MS * SPAN;
    if points.len() < FEWEST || span < wanted {
        return Forecast::TooFew;
    }
    let count = points.len() as f64;
    let mean_x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in &points {
        let (x, y) = (x - mean_x, y - mean_y);
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    // No change at all, or room that grows.
    if xx <= 0.0 || yy <= 0.0 || xy >= 0.0 {
        return Forecast::Never;
    }
    if xy * xy / (xx * yy) < FIT {
        return Forecast::Never;
    }
    Forecast::Hours(last.available as f64 / -(xy / xx))
}
