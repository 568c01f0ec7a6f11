//! Bounds on what may be said, and the reasons for which something is refused.

use super::model::Status;

/// Bytes of a user at most; longer ones are somebody's mistake, such as a whole token.
pub const MAX_USER_BYTES: usize = 256;
/// Bytes of an idempotency id at most; a UUID has 36.
pub const MAX_ID_BYTES: usize = 128;
/// Bytes of an event's name at most.
pub const MAX_EVENT_BYTES: usize = 64;
/// Different event names at most: each costs counts per experiment and variant for ever.
pub const MAX_EVENT_NAMES: usize = 1000;

/// Why nothing was assigned or logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such experiment.
    #[error("there is no experiment `{exp}`")]
    UnknownExperiment {
        /// What was asked for.
        exp: String,
        /// The name nearest to it.
        nearest: Option<String>,
    },
    /// It is not running.
    #[error("experiment `{exp}` is {}, only a running one takes part", .status.as_str())]
    NotRunning {
        /// Its name.
        exp: String,
        /// What it is instead.
        status: Status,
    },
    /// Not a user.
    #[error("`user` {found}, must be 1..={MAX_USER_BYTES} bytes without control characters")]
    BadUser {
        /// What was found.
        found: &'static str,
    },
    /// No such variant.
    #[error("`{exp}` has no variant `{variant}`, its variants are {}", .allowed.join(", "))]
    UnknownVariant {
        /// The experiment.
        exp: String,
        /// What was asked for.
        variant: String,
        /// What there is.
        allowed: Vec<String>,
    },
    /// Not an event name.
    #[error(
        "`event` is `{event}`, must be 1..={MAX_EVENT_BYTES} letters, digits or `_.:-` and begin \
         with a letter or digit"
    )]
    BadEvent {
        /// What was found.
        event: String,
    },
    /// One name too many.
    #[error("`{event}` is one more than the {MAX_EVENT_NAMES} event names that are counted")]
    TooManyEvents {
        /// The new name.
        event: String,
    },
    /// Not an id.
    #[error("`id` {found}, must be 1..={MAX_ID_BYTES} bytes without control characters")]
    BadId {
        /// What was found.
        found: &'static str,
    },
    /// The id was used for something else.
    #[error("`id` `{id}` was used before with another body")]
    IdConflict {
        /// The id.
        id: String,
    },
    /// A member that the body does not have.
    #[error("unknown member `{member}`")]
    UnknownMember {
        /// What was found.
        member: String,
        /// The member nearest to it.
        nearest: Option<&'static str>,
    },
    /// A member is missing.
    #[error("`{member}` is missing")]
    Missing {
        /// Which.
        member: &'static str,
    },
    /// Not what a body is.
    #[error("the body is not an event: {found}")]
    BadBody {
        /// What is wrong.
        found: String,
    },
}

/// Characters of a caller's text that an answer repeats.
const REPEATED_CHARS: usize = 64;

/// What an answer repeats of a text that may be long.
pub fn shortened(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(REPEATED_CHARS)
        .collect()
}
