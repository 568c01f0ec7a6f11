//! The body of a log call: read in place, explained at length only when it is wrong.

use std::borrow::Cow;
use std::ops::Deref;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::refusal::{Refusal, shortened};
use crate::base::names;

/// Text that is borrowed from the request where nothing in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// One event as a client tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBody<'a> {
    /// What happened.
    #[serde(borrow)]
    pub event: Text<'a>,
    /// To whom.
    #[serde(borrow)]
    pub user: Text<'a>,
    /// In which experiment.
    #[serde(borrow)]
    pub exp: Text<'a>,
    /// In which variant.
    #[serde(borrow)]
    pub variant: Text<'a>,
    /// A number that belongs to it.
    pub value: Option<f64>,
    /// The client's idempotency id.
    #[serde(borrow)]
    pub id: Option<Text<'a>>,
}

/// The members of a body.
const MEMBERS: [&str; 6] = ["event", "user", "exp", "variant", "value", "id"];
/// Those that must be there.
const NEEDED: usize = 4;

/// One event from JSON.
pub fn parse(json: &[u8]) -> Result<EventBody<'_>, Refusal> {
    let Ok(text) = std::str::from_utf8(json) else {
        return Err(Refusal::BadBody {
            found: "it is not UTF-8".to_owned(),
        });
    };
    serde_json::from_str(text).map_err(|error| explain(text, &error))
}

/// Why `text` is not an event. The parser's own words are kept for broken JSON only.
fn explain(text: &str, error: &serde_json::Error) -> Refusal {
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(text) else {
        let place = format!(
            "column {} is not what a JSON object has there",
            error.column()
        );
        let found = if text.trim().is_empty() {
            "it is empty".to_owned()
        } else {
            place
        };
        return Refusal::BadBody { found };
    };
    unknown_member(&members)
        .or_else(|| missing_member(&members))
        .or_else(|| wrong_member(&members))
        .unwrap_or_else(|| Refusal::BadBody {
            found: "a member is given twice".to_owned(),
        })
}

fn unknown_member(members: &Map<String, Value>) -> Option<Refusal> {
    let member = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))?;
    let nearest = names::nearest(member, MEMBERS);
    Some(Refusal::UnknownMember {
        member: shortened(member),
        nearest,
    })
}

fn missing_member(members: &Map<String, Value>) -> Option<Refusal> {
    let absent = |name: &&&str| !members.contains_key(**name);
    let member = MEMBERS.iter().take(NEEDED).find(absent)?;
    Some(Refusal::Missing { member })
}

fn wrong_member(members: &Map<String, Value>) -> Option<Refusal> {
    let (name, allowed) = members.iter().find_map(|(name, value)| {
        let allowed = match (name.as_str(), value) {
            ("value" | "id", Value::Null) | ("value", Value::Number(_)) => return None,
            ("value", _) => "a finite number",
            (_, Value::String(_)) => return None,
            _ => "text",
        };
        Some((name, allowed))
    })?;
    Some(Refusal::BadBody {
        found: format!("`{name}` must be {allowed}"),
    })
}
