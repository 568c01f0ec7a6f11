//! The command line, on top of all floors. Each verb has a file; all of them but `serve`, `check`,
//! `verify`, `backup`, `restore`, `log` and `schema` are API calls.
//!
//! Manners: data on standard output, talk on standard error, `--json` for machines, colours only
//! for people, exit codes as `--help` lists them, no complaint when a reader leaves early.

mod api;
mod args;
mod backup;
mod check;
mod excerpt;
mod exp;
mod failure;
mod flag;
mod key;
mod log;
mod output;
mod query;
mod remote;
mod restore;
mod routes;
mod schema;
mod serve;
mod span;
mod status;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::app::assemble::config_kinds;
use crate::seams::clock::SystemClock;
use crate::seams::files::RealFiles;
use api::Api;
use args::{Args, Verb};
use failure::Outcome;
use output::Output;

/// The command line's grammar, for documentation and tests.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help, version or wrong usage. Nobody is left to tell when this cannot be written.
            let _closed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut output = Output::new(args.global.manners());
    let outcome = run(&args, &mut output).and_then(|code| output.flush().map(|()| code));
    ExitCode::from(match outcome {
        Ok(code) => code,
        Err(failure) => {
            if failure.code != failure::DONE {
                output.failure(&failure);
            }
            failure.code
        }
    })
}
/// Does what was asked. The daemon is not needed for what can be read from the files.
fn run(args: &Args, output: &mut Output) -> Outcome {
    let global = &args.global;
    let (home, files) = (global.home.as_path(), &RealFiles);
    let kinds = config_kinds();
    let api = || Api::connect(global, files);
    match &args.verb {
        None => serve::run(global, None, output),
        Some(Verb::Serve(serve)) => serve::run(global, serve.listen, output),
        Some(Verb::Check(check)) => check::run(check, home, &kinds, files, output),
        Some(Verb::Status) => status::run(global, &kinds, files, output),
        Some(Verb::Verify(verify)) => verify::run(verify, home, files, output),
        Some(Verb::Backup(backup)) => backup::run(backup, home, files, &SystemClock::new(), output),
        Some(Verb::Restore(restore)) => {
            restore::run(restore, home, files, &SystemClock::new(), output)
        }
        Some(Verb::Flag(verb)) => flag::run(verb, &api()?, output),
        Some(Verb::Exp(verb)) => exp::run(verb, &api()?, output),
        Some(Verb::Key(verb)) => key::run(verb, &api()?, output),
        Some(Verb::Log(verb)) => log::run(verb, home, files, &SystemClock::new(), output),
        Some(Verb::Api(filter)) => routes::run(filter, &api()?, output),
        Some(Verb::Schema(schema)) => schema::run(schema, home, &kinds, files, output),
    }
}
