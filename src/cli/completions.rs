//! `echopilot completions`: what the Tab key offers, for three shells. Derived from the command
//! line itself; asks no daemon and reads no file.

use clap_complete::{generate, shells};

use super::care_args::{CompletionsArgs, Shell};
use super::failure::{DONE, Outcome};
use super::output::Output;

/// Prints the script for the shell that `args` names.
pub(super) fn run(args: &CompletionsArgs, output: &mut Output) -> Outcome {
    let mut command = super::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    match args.shell {
        Shell::Bash => generate(shells::Bash, &mut command, name, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, name, &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, name, &mut script),
    }
    output.raw(&script)?;
    Ok(DONE)
}
