//! The command line, on top of all floors. Each verb has a file; all of them but `anomaly`,
//! `serve`, `standby`, `check`, `config`, `doctor`, `bugreport`, `verify`, `backup`, `restore`,
//! `log`, `schema`, `completions` and `man` are API calls.
//!
//! Manners: data on standard output, talk on standard error, `--json` for machines, colours only
//! for people, exit codes as `--help` lists them, no complaint when a reader leaves early.

mod alert;
mod alert_args;
mod alert_channels;
mod alert_silence;
mod anomaly;
mod api;
mod args;
mod backup;
mod bugreport;
mod care_args;
mod check;
mod completions;
mod config;
mod costs;
mod deploy;
mod doctor;
mod excerpt;
mod exp;
mod failure;
mod flag;
mod heartbeat;
mod host;
mod incident;
mod incident_args;
mod key;
mod log;
mod man;
mod output;
mod probe;
mod query;
mod remote;
mod restore;
mod routes;
mod schema;
mod serve;
mod slo;
mod standby;
mod standby_args;
mod status;
mod support;
mod task;
mod verify;
mod watch_args;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::app::assemble::config_kinds;
use crate::seams::clock::SystemClock;
use crate::seams::files::RealFiles;
use api::Api;
use args::{Args, Global, ServeArgs, Verb};
use failure::Outcome;
use output::Output;

/// The command line's grammar, for documentation and tests.
pub fn command() -> clap::Command {
    Args::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let (global, verb) = match parsed() {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help, version or wrong usage. Nobody is left to tell when this cannot be written.
            let _closed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut output = Output::new(global.manners(), global.home_again());
    let outcome = run(&global, &verb, &mut output).and_then(|code| output.flush().map(|()| code));
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

/// What is asked. Without a verb it is read as if `serve` stood at its end, so that what `serve`
/// takes from the environment holds there too.
fn parsed() -> Result<(Global, Verb), clap::Error> {
    let mut args = Args::try_parse()?;
    if args.verb.is_none() {
        let words = std::env::args_os().chain([OsString::from("serve")]);
        args = Args::try_parse_from(words)?;
    }
    let verb = args.verb.unwrap_or(Verb::Serve(ServeArgs::default()));
    Ok((args.global, verb))
}

/// Does what was asked. The daemon is not needed for what can be read from the files.
fn run(global: &Global, verb: &Verb, output: &mut Output) -> Outcome {
    let (home, files) = (global.home.as_path(), &RealFiles);
    let kinds = config_kinds();
    let api = || Api::connect(global, files);
    match verb {
        Verb::Serve(serve) => serve::run(global, serve.listen, output),
        Verb::Standby(args) => standby::run(args, global, files, output),
        Verb::Promote => standby::promote(global, files, output),
        Verb::Check(check) => check::run(check, home, &kinds, files, output),
        Verb::Status => status::run(global, &kinds, files, output),
        Verb::Bugreport(args) => bugreport::run(args, global, &kinds, files, output),
        Verb::Config(verb) => config::run(verb, global, &kinds, files, output),
        Verb::Doctor(args) => doctor::run(args, global, &kinds, files, output),
        Verb::Verify(verify) => verify::run(verify, home, files, output),
        Verb::Backup(backup) => backup::run(backup, home, files, &SystemClock::new(), output),
        Verb::Restore(restore) => restore::run(restore, home, files, &SystemClock::new(), output),
        Verb::Flag(verb) => flag::run(verb, &api()?, output),
        Verb::Exp(verb) => exp::run(verb, &api()?, output),
        Verb::Alert(verb) => alert::run(verb, &api()?, output),
        Verb::Costs(verb) => costs::run(verb, &api()?, output),
        Verb::Incident(verb) => incident::run(verb, &api()?, output),
        Verb::Deploy(verb) => deploy::run(verb, &api()?, output),
        Verb::Heartbeat(verb) => heartbeat::run(verb, &api()?, output),
        Verb::Task(verb) => task::run(verb, &api()?, output),
        Verb::Slo(args) => {
            let clock = &SystemClock::new();
            let around = slo::Around {
                home,
                kinds: &kinds,
                files,
                clock,
            };
            slo::run(args, &around, api, output)
        }
        Verb::Key(verb) => key::run(verb, &api()?, output),
        Verb::Probe(verb) => probe::run(verb, &api()?, output),
        Verb::Support(verb) => support::run(verb, &api()?, output),
        Verb::Log(verb) => log::run(verb, home, files, &SystemClock::new(), output),
        Verb::Anomaly(verb) => anomaly::run(verb, files, output),
        Verb::Host => host::run(&api()?, output),
        Verb::Api(filter) => routes::run(filter, &api()?, output),
        Verb::Schema(schema) => schema::run(schema, home, &kinds, files, output),
        Verb::Completions(args) => completions::run(args, output),
        Verb::Man(args) => man::run(args, files, output),
    }
}
