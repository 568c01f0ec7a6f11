//! Why a verb did not do what was asked, in the words and the exit code that the caller gets.

use std::io;

use serde_json::Value;

use crate::storage::files::OpenError;

/// Exit code of success.
pub(super) const DONE: u8 = 0;
/// Exit code of a refusal or a fault; also "faults were found" of `check` and `verify`.
pub(super) const FAILED: u8 = 1;
/// Exit code when no daemon answers: `EX_UNAVAILABLE` of sysexits.h.
pub(super) const UNREACHABLE: u8 = 69;
/// Exit code when another process holds the folder: `EX_TEMPFAIL` of sysexits.h.
pub(super) const HELD: u8 = 75;

/// What goes to standard error, once, and the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    /// Exit code.
    pub(super) code: u8,
    /// What failed, which thing in backticks, what was found, what is allowed.
    pub(super) message: String,
    /// The cure.
    pub(super) hint: Option<String>,
}

/// What a verb gives: an exit code, or a failure to be told.
pub(super) type Outcome = Result<u8, Failure>;

impl Failure {
    /// A failure with exit code 1.
    pub(super) fn new(message: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), None);
        Self {
            code: FAILED,
            message,
            hint,
        }
    }

    /// With the cure.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With another exit code.
    #[must_use]
    pub(super) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// From an answer that is not a success: a problem document, or whatever else came.
    pub(super) fn from_answer(status: u16, body: &[u8]) -> Self {
        let problem: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| problem.get(name).and_then(Value::as_str);
        let message = match text("detail") {
            Some(detail) => detail.to_owned(),
            None => format!("the daemon answered {status} without saying why"),
        };
        let mut failure = Self::new(message);
        if let Some(problems) = problem.get("problems").and_then(Value::as_array) {
            for problem in problems {
                failure.message.push_str("\n  ");
                match problem.get("message").and_then(Value::as_str) {
                    Some(told) => failure.message.push_str(told),
                    None => failure.message.push_str(&problem.to_string()),
                }
            }
        }
        failure.hint = text("hint").map(str::to_owned);
        failure
    }
}

impl From<anyhow::Error> for Failure {
    /// The chain in one line; a `hint:` line in any of its texts becomes the hint.
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        let mut hint = None;
        let held = error.chain().find_map(|cause| match cause.downcast_ref() {
            Some(OpenError::Held { pid, .. }) => Some(*pid),
            _ => None,
        });
        let closed = error.chain().find_map(not_writable);
        let mut told: Vec<String> = Vec::new();
        for cause in error.chain() {
            let text = cause.to_string();
            let (text, cure) = match text.split_once("\nhint: ") {
                Some((text, cure)) => (text.to_owned(), Some(cure.trim().to_owned())),
                None => (text, None),
            };
            hint = hint.or(cure);
            // Some libraries repeat their source; saying it once is enough.
            if !told.last().is_some_and(|last| last.ends_with(&text)) {
                told.push(text);
            }
        }
        if let Some(pid) = held {
            let stop = pid.map_or_else(String::new, |pid| format!(", stop it with `kill {pid}`"));
            hint = hint.or_else(|| {
                Some(format!(
                    "one process per folder: use the one that runs (`echopilot status`){stop}, or \
                     name another folder with `--home`"
                ))
            });
        }
        hint = hint.or(closed);
        Self {
            code: if held.is_some() { HELD } else { FAILED },
            message: told.join(": "),
            hint,
        }
    }
}

/// The cure for a home in which this user may not write.
fn not_writable(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let Some(OpenError::Io { source, .. }) = cause.downcast_ref() else {
        return None;
    };
    (source.kind() == io::ErrorKind::PermissionDenied).then(|| {
        "the folder must belong to the user that runs echopilot: see `ls -ld` on it, or run as \
         that user"
            .to_owned()
    })
}

impl From<io::Error> for Failure {
    /// A failed write to standard output. A reader that went away has seen enough: no failure.
    fn from(error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::BrokenPipe => DONE,
            _ => FAILED,
        };
        Self::new(format!("cannot write the output: {error}")).code(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_told_once_and_its_hint_apart() {
        let error = anyhow::anyhow!("no space\nhint: make room").context("cannot write `x`");
        let failure = Failure::from(error);
        assert_eq!(failure.message, "cannot write `x`: no space");
        assert_eq!(failure.hint.as_deref(), Some("make room"));
    }

    #[test]
    fn a_folder_that_is_closed_to_us_comes_with_a_cure() {
        let error = OpenError::Io {
            what: "configs".to_owned(),
            source: io::ErrorKind::PermissionDenied.into(),
        };
        let failure = Failure::from(anyhow::Error::new(error));
        assert!(failure.message.contains("`configs`"), "{failure}");
        assert!(failure.hint.is_some_and(|hint| hint.contains("ls -ld")));
    }

    #[test]
    fn a_problem_document_is_told_in_its_own_words() {
        let body = br#"{"ok":false,"detail":"no flag `a`","hint":"did you mean `b`?"}"#;
        let failure = Failure::from_answer(404, body);
        assert_eq!(failure.message, "no flag `a`");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `b`?"));
        assert!(Failure::from_answer(502, b"<html>").message.contains("502"));
    }
}
