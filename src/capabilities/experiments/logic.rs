//! What may be assigned and logged, and what is refused with which reason. Pure.

use super::body::EventBody;
use super::model::{Experiment, ExperimentsRules, Status, Variant};
use crate::base::names;

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

/// An event that may be logged.
#[derive(Debug)]
pub struct Checked<'r, 'b> {
    /// Its experiment.
    pub exp: &'r Experiment,
    /// Its variant.
    pub variant: &'r Variant,
    /// What was said.
    pub body: EventBody<'b>,
}

/// The experiment called `name`, if it is running.
pub fn running<'r>(rules: &'r ExperimentsRules, name: &str) -> Result<&'r Experiment, Refusal> {
    let Some(exp) = rules.get(name) else {
        let nearest = names::nearest(name, rules.iter().map(|exp| &*exp.name));
        return Err(Refusal::UnknownExperiment {
            exp: shortened(name),
            nearest: nearest.map(str::to_owned),
        });
    };
    match exp.status {
        Status::Running => Ok(exp),
        status => Err(Refusal::NotRunning {
            exp: exp.name.to_string(),
            status,
        }),
    }
}

/// Whether `user` is one.
pub fn check_user(user: &str) -> Result<(), Refusal> {
    fault_of(user, MAX_USER_BYTES).map_or(Ok(()), |found| Err(Refusal::BadUser { found }))
}

/// Whether `body` may be logged under `rules`.
pub fn check<'r, 'b>(
    rules: &'r ExperimentsRules,
    body: EventBody<'b>,
) -> Result<Checked<'r, 'b>, Refusal> {
    let exp = running(rules, &body.exp)?;
    check_user(&body.user)?;
    let Some(variant) = exp.variant(&body.variant) else {
        return Err(Refusal::UnknownVariant {
            exp: exp.name.to_string(),
            variant: shortened(&body.variant),
            allowed: exp.variant_names().into_iter().map(str::to_owned).collect(),
        });
    };
    if !is_event_name(&body.event) {
        return Err(Refusal::BadEvent {
            event: shortened(&body.event),
        });
    }
    if let Some(found) = body.id.as_ref().and_then(|id| fault_of(id, MAX_ID_BYTES)) {
        return Err(Refusal::BadId { found });
    }
    Ok(Checked { exp, variant, body })
}

/// Whether `name` may name an event, an experiment or a variant.
pub fn is_event_name(name: &str) -> bool {
    let inner =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
    name.len() <= MAX_EVENT_BYTES
        && name
            .bytes()
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(inner)
}

fn fault_of(text: &str, most: usize) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty");
    }
    if text.len() > most {
        return Some("is too long");
    }
    let plain = text.bytes().all(|byte| matches!(byte, 0x20..0x7f));
    (!plain && text.chars().any(char::is_control)).then_some("has control characters")
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
