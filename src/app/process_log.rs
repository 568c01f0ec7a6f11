//! The process log: what the daemon says while it runs, one line per fact on standard error. Under
//! systemd that is the system's journal, a channel that needs no room in the home folder (rules L8
//! and L13 of the reliability notes). Panics go there too, as one line each.

use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::sync::Arc;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::settings;
use crate::platform::telemetry::{LogLines, LogStyle};
use crate::seams::clock::Clock;

/// Lets what is traced from now on be read on standard error, stamped by `clock`. A second call
/// changes nothing. With `quiet` nothing is told below a warning.
pub(super) fn begin(clock: &Arc<dyn Clock>, quiet: bool) -> anyhow::Result<()> {
    let mut level = settings::log_level()?;
    if quiet {
        level = level.min(LevelFilter::WARN);
    }
    let style = if settings::has_system_journal() {
        LogStyle::Journal
    } else if io::stderr().is_terminal() {
        let colored = settings::takes_colors();
        LogStyle::Text { colored }
    } else {
        LogStyle::Json
    };
    let lines = fmt::layer()
        .with_writer(io::stderr)
        // Nobody reads what could not be written; trying to say so would end the process.
        .log_internal_errors(false)
        .event_format(LogLines::new(style, Arc::clone(clock)));
    let begun = tracing_subscriber::registry()
        .with(level)
        .with(lines)
        .try_init();
    match begun {
        Ok(()) => std::panic::set_hook(Box::new(tell_panic)),
        Err(error) => tracing::debug!(%error, "the process log was begun before"),
    }
    Ok(())
}

/// A panic as one line. Its text is a programmer's sentence about a bug; what a client sent may
/// stand in it only escaped, as in every line.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("no text");
    let place = panic
        .location()
        .map_or_else(String::new, ToString::to_string);
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed").to_owned();
    tracing::error!(place, thread, "a bug was met: {text}");
}
