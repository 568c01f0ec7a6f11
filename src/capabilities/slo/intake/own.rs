//! The daemon's own requests as a source: what the HTTP server has counted since the last second.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::watch::Doors;
use crate::base::time::stamp;
use crate::platform::samples::{Counts, Row, Rows, minute_of};

/// From one look at the counts to the next: a sample is never counted in a minute that began more
/// than this long after it.
const LOOK: Duration = Duration::from_secs(1);

/// Rows of a few seconds are written together.
const WRITE: Duration = Duration::from_secs(5);

/// Hands over what the server counts until it is told to stop.
pub(super) async fn count_own(
    doors: Arc<Doors>,
    name: String,
    series: String,
    stop: CancellationToken,
) {
    let source = format!("own:{name}");
    doors.samples.flush_every(&source, WRITE);
    loop {
        let stopping = stop.is_cancelled();
        hand_over(&doors, &name, &source, &series);
        if stopping {
            return;
        }
        tokio::select! {
            () = doors.clock.sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn hand_over(doors: &Doors, name: &str, source: &str, series: &str) {
    let Some((_, counts)) = doors.metrics.served() else {
        return;
    };
    let (durations, bad) = counts.take_own();
    let total = durations.count();
    if total == 0 {
        return;
    }
    let now = doors.clock.now();
    let mut rows = Rows::new();
    rows.add_row(&Row {
        minute: minute_of(now),
        series: series.into(),
        counts: Counts {
            total,
            bad: bad.min(total),
        },
        durations,
    });
    doors.samples.add(source, rows);
    doors.board.change(name, |status| {
        status.counted += total;
        status.last_at = Some(stamp(now));
    });
}
