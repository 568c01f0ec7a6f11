//! `echopilot check`: the same reading as at reload, of any text, without putting it in force.

use super::kind::ConfigKind;
use super::status::unreadable;
use crate::base::names;
use crate::base::problems::Problems;
use crate::storage::engine::{Document, DocumentError};

/// What is wrong with `text`, which is a configuration by the file name at the end of `named`.
pub fn check_text(kinds: &[ConfigKind], named: &str, text: &[u8]) -> Problems {
    let file = named.rsplit(['/', '\\']).next().unwrap_or(named);
    if let Some(kind) = kinds.iter().find(|kind| kind.file == file) {
        return (kind.check)(named, text);
    }
    let mut problems = Problems::new(named);
    let known = || kinds.iter().map(|kind| kind.file);
    let hint = names::nearest(file, known()).map_or_else(
        || {
            format!(
                "known names are `{}`",
                known().collect::<Vec<_>>().join("`, `")
            )
        },
        |nearest| format!("did you mean `{nearest}`?"),
    );
    problems.unreadable("no configuration has this file name", hint);
    problems
}

/// Checks every known document that `load` finds, by file name. One that does not exist is fine:
/// the shipped text is written at the next start.
pub fn check_files(
    kinds: &[ConfigKind],
    load: impl Fn(&str) -> Result<Document, DocumentError>,
) -> Vec<(&'static str, Result<(), Problems>)> {
    let check = |kind: &ConfigKind| {
        let named = format!("configs/{}", kind.file);
        let problems = match load(kind.file) {
            Ok(document) => (kind.check)(&named, &document.body),
            Err(DocumentError::Absent { .. }) => return Ok(()),
            Err(error) => unreadable(named.into(), &error),
        };
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    };
    kinds.iter().map(|kind| (kind.file, check(kind))).collect()
}
