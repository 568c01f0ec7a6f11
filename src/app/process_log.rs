//! The process log: what the daemon says while it runs, one line per fact on standard error. Under
//! systemd that is the system's journal, a channel that needs no room in the home folder (rules L8
//! and L13 of the reliability notes).

use std::io::{self, IsTerminal};

use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::settings;

/// Lets what is traced from now on be read on standard error. A second call changes nothing.
pub(super) fn begin() {
    let plain = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        // Nobody reads what could not be written; trying to say so would end the process.
        .log_internal_errors(false);
    let level = tracing_subscriber::filter::LevelFilter::INFO;
    let registry = tracing_subscriber::registry().with(level);
    let begun = if settings::has_system_journal() {
        // The system's journal stamps each line itself.
        registry.with(plain.without_time()).try_init()
    } else {
        registry.with(plain).try_init()
    };
    if let Err(error) = begun {
        tracing::debug!(%error, "the process log was begun before");
    }
}
