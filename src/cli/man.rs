//! `echopilot man`: manual pages, one for the program and one for each verb, derived from the
//! command line itself.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use super::care_args::ManArgs;
use super::failure::{DONE, Failure, Outcome};
use super::output::Output;
use crate::app::schema_files;
use crate::seams::files::Files;

/// Prints the program's page, or writes all pages into a folder.
pub(super) fn run(args: &ManArgs, files: &dyn Files, output: &mut Output) -> Outcome {
    let mut command = super::command();
    command.build();
    match &args.to {
        None => output.raw(page(&command)?.as_bytes())?,
        Some(folder) => {
            files.create_dir_all(folder).map_err(|error| {
                Failure::new(format!("cannot make `{}`: {error}", folder.display()))
            })?;
            let count = write(&command, "echopilot", folder, files)?;
            output.line(&format!("{count} pages in `{}`", folder.display()))?;
            output.next_elsewhere(&format!("man -l {}/echopilot.1", folder.display()));
        }
    }
    Ok(DONE)
}

/// The page of one command in troff.
fn page(command: &Command) -> Result<String, Failure> {
    let mut text = Vec::new();
    Man::new(command.clone())
        .manual("echopilot")
        .source(concat!("echopilot ", env!("CARGO_PKG_VERSION")))
        .render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Writes the page of `command` and those of its verbs; gives how many.
fn write(
    command: &Command,
    name: &str,
    folder: &Path,
    files: &dyn Files,
) -> Result<usize, Failure> {
    let path = folder.join(format!("{name}.1"));
    schema_files::replace(files, &path, &page(command)?)
        .map_err(|error| Failure::new(format!("cannot write `{}`: {error}", path.display())))?;
    let mut count = 1;
    let verbs = command.get_subcommands();
    for verb in verbs.filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()) {
        count += write(verb, &format!("{name}-{}", verb.get_name()), folder, files)?;
    }
    Ok(count)
}
