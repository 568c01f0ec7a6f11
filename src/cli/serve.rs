//! `echopilot serve`: the daemon in the foreground.

use std::io;
use std::net::SocketAddr;

use super::args::Global;
use super::failure::{DONE, Failure, Outcome};
use super::output::Output;
use crate::app::serve::{Channels, ServeOptions, serve};

/// Runs the daemon on the home folder until it is told to stop.
pub(super) fn run(global: &Global, listen: Option<SocketAddr>, output: &mut Output) -> Outcome {
    if global.url.is_some() {
        return Err(
            Failure::new("`serve` starts a daemon here, `--url` names one elsewhere")
                .hint("use `--listen HOST:PORT` to choose the address"),
        );
    }
    output.flush()?;
    let options = ServeOptions {
        home: global.home.clone(),
        listen,
        quiet: global.quiet,
        json: global.json,
    };
    let mut to = Channels {
        talk: &mut io::stderr(),
        data: &mut io::stdout(),
    };
    serve(&options, &mut to)?;
    Ok(DONE)
}
