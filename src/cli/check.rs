//! `echopilot check`: are the configuration files good? The same reading, the same words as when
//! the daemon loads them; nothing is written, no daemon is needed.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::args::CheckArgs;
use super::excerpt;
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::output::{Output, Style};
use crate::base::names;
use crate::base::problems::Problems;
use crate::platform::config::{ConfigKind, LINK_HINT};
use crate::seams::files::{Files, is_link, read_whole};

/// Bytes of a document that are read at most: what the daemon takes.
const MOST_BYTES: u64 = 5 * 1024 * 1024;

/// Checks the files of `args`, or all of the folder's.
pub(super) fn run(
    args: &CheckArgs,
    home: &Path,
    kinds: &[ConfigKind],
    files: &dyn Files,
    output: &mut Output,
) -> Outcome {
    let mut checked = Vec::new();
    if args.files.is_empty() {
        let configs = home.join("configs");
        let present = files
            .list(&configs)
            .map_err(|error| unreadable(&configs, &error))?;
        if present.is_empty() {
            return Err(
                Failure::new(format!("there is nothing in `{}`", configs.display()))
                    .hint("is `--home` the right folder? `echopilot serve` fills an empty one"),
            );
        }
        warn_of_strangers(&present, kinds, output);
        for kind in kinds
            .iter()
            .filter(|kind| present.iter().any(|name| name == kind.file))
        {
            checked.push(check(&configs.join(kind.file), kind, files)?);
        }
    } else {
        for file in &args.files {
            checked.push(check(file, kind_of(file, kinds)?, files)?);
        }
    }
    report(&checked, output)
}

fn kind_of<'k>(file: &Path, kinds: &'k [ConfigKind]) -> Result<&'k ConfigKind, Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    kinds.iter().find(|kind| kind.file == name).ok_or_else(|| {
        let known: Vec<&str> = kinds.iter().map(|kind| kind.file).collect();
        let failure = Failure::new(format!("no configuration is called `{name}`"));
        match names::nearest(&name, known.iter().copied()) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint(format!("there are: {}", known.join(", "))),
        }
    })
}

/// A misspelt file name is silently without effect otherwise.
fn warn_of_strangers(present: &[String], kinds: &[ConfigKind], output: &mut Output) {
    for name in present
        .iter()
        .filter(|name| name.strip_suffix(".json").is_some())
    {
        if kinds.iter().all(|kind| kind.file != name) {
            let near = names::nearest(name, kinds.iter().map(|kind| kind.file));
            let near = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            output.talk(&format!(
                "warning: `configs/{name}` is not read by anything{near}"
            ));
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot read `{}`: {error}", path.display()))
}

/// A file that was read.
pub(super) struct Checked {
    path: PathBuf,
    /// The file as it was read.
    pub(super) text: Vec<u8>,
    /// What is wrong with it.
    pub(super) problems: Problems,
}

/// Reads the file at `path` as the daemon would.
pub(super) fn check(path: &Path, kind: &ConfigKind, files: &dyn Files) -> Result<Checked, Failure> {
    let failed = |error: io::Error| unreadable(path, &error);
    let opened = files.open_read(path);
    if opened.as_ref().is_err_and(is_link) {
        let message = format!("`{}` is a symbolic link", path.display());
        return Err(Failure::new(message).hint(LINK_HINT));
    }
    let mut file = opened.map_err(failed)?;
    let text = read_whole(&mut *file, MOST_BYTES).map_err(failed)?;
    let named = path.display().to_string();
    let mut problems = Problems::new(named.as_str());
    if text.len() as u64 > MOST_BYTES {
        problems.unreadable(
            format!("it is larger than {MOST_BYTES} bytes"),
            "the daemon reads no larger document",
        );
    } else {
        problems = (kind.check)(&named, &text);
    }
    Ok(Checked {
        path: path.to_owned(),
        text,
        problems,
    })
}

fn report(checked: &[Checked], output: &mut Output) -> Outcome {
    let bad = checked
        .iter()
        .filter(|file| !file.problems.is_empty())
        .count();
    if output.json() {
        let files: Vec<Value> = checked
            .iter()
            .map(|file| {
                json!({
                    "file": file.path,
                    "ok": file.problems.is_empty(),
                    "problems": file.problems,
                })
            })
            .collect();
        output.value(&json!({ "ok": bad == 0, "files": files }))?;
    } else {
        for file in checked {
            if file.problems.is_empty() {
                let good = output.paint(Style::Green, "ok");
                output.line(&format!("{good} {}", file.path.display()))?;
            } else {
                output.line(&excerpt::told(&file.problems, &file.text, output))?;
            }
        }
    }
    if bad > 0 {
        let problems: usize = checked.iter().map(|file| file.problems.count()).sum();
        let (files, all) = (bad, checked.len());
        output.talk(&format!("problems: {problems}, in {files} of {all} files"));
        return Ok(FAILED);
    }
    Ok(DONE)
}
