//! What may be assigned and logged, and what is refused with which reason. Pure.

use super::body::EventBody;
use super::model::{Experiment, ExperimentsRules, Status, Variant};
use super::refusal::{MAX_EVENT_BYTES, MAX_ID_BYTES, MAX_USER_BYTES, Refusal, shortened};
use crate::base::names;

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
