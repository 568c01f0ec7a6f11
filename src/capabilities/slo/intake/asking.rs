//! The task that asks for one page of metrics again and again, and counts what was added to it.
//!
//! Baselines live in memory: what is added while the daemon is down is not counted.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::rules::ScrapeRules;
use super::scrape::{Counters, Looked};
use super::watch::Doors;
use crate::base::time::stamp;
use crate::seams::outbound::{Limits, Request};

/// Bytes of a page at most; 20,000 counters are some 2 MB.
const MAX_PAGE: usize = 8 << 20;

/// Asks until it is told to stop.
pub(super) async fn ask(
    doors: Arc<Doors>,
    name: String,
    rules: ScrapeRules,
    stop: CancellationToken,
) {
    let source = format!("scrape:{name}");
    let mut counters = Counters::default();
    let mut request = Request::get(rules.url.clone());
    request.limits = Limits::of(rules.timeout);
    request.most_body = MAX_PAGE;
    // A fixed rhythm: the time that an answer takes does not add up.
    let mut due = doors.clock.uptime();
    while !stop.is_cancelled() {
        let allow = Arc::clone(&doors.daemon.get().rules.outbound);
        let asked = tokio::select! {
            asked = doors.outbound.http(&allow, &request) => asked,
            () = stop.cancelled() => return,
        };
        let now = doors.clock.now();
        let trouble = match asked {
            Err(error) => Some(error.to_string()),
            Ok(answer) if answer.status != 200 => {
                Some(format!("the page answered with status {}", answer.status))
            }
            Ok(answer) if answer.is_cut => Some("the page is larger than 8 MiB".to_owned()),
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                let (rows, looked) = counters.look(&text, &rules.series, now);
                let count: u64 = rows.iter().map(|row| row.counts.total).sum();
                doors.samples.add(&source, rows);
                doors.board.change(&name, |status| {
                    status.counted += count;
                    status.broken += looked.broken;
                    if count > 0 {
                        status.last_at = Some(stamp(now));
                    }
                });
                wrong(looked)
            }
        };
        doors.board.change(&name, |status| status.trouble = trouble);
        let uptime = doors.clock.uptime();
        while due <= uptime {
            due += rules.every;
        }
        tokio::select! {
            () = doors.clock.sleep(due.saturating_sub(uptime)) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// What is wrong with a page that could be read.
fn wrong(looked: Looked) -> Option<String> {
    if looked.surplus > 0 {
        let more = looked.surplus;
        return Some(format!(
            "{more} counters are over the bound of 20000 and do not count; hint: narrow the \
             selectors"
        ));
    }
    if looked.used == 0 {
        return Some("no counter of the page is one of those that are named".into());
    }
    None
}
