//! `log tail -f`: goes on until it is stopped or nobody reads any more.

use std::time::Duration;

use super::segments::{Change, Journal};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::Output;
use crate::seams::clock::Clock;
use crate::storage::filter::Filter;

/// Time between two looks at the file: quick enough to feel instant, two system calls each.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Shows what is added to `journal` from now on.
pub(super) fn run(
    journal: &mut Journal<'_>,
    filter: &Filter,
    clock: &dyn Clock,
    output: &mut Output,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failure::new(format!("cannot start a runtime: {error}")))?;
    loop {
        let mut show = |line: &[u8]| {
            if filter.passes(line) {
                output.raw(line)
            } else {
                Ok(())
            }
        };
        journal.read_on(&mut show)?;
        let change = journal.catch_up(&mut show)?;
        output.flush()?;
        match change {
            // Inside the runtime: a timer is made where it will run.
            Change::None => runtime.block_on(async { clock.sleep(LOOK_EVERY).await }),
            // Read on at once: the new file may hold lines already.
            Change::Rotated => {}
            Change::Cut => {
                output.talk("the file was cut from outside; going on from its beginning");
            }
        }
    }
}
