//! Queries of Alertmanager's API: `filter` may stand there several times, and what is not known is
//! passed over, as clients of later versions ask for more.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;

use super::answer::Fault;
use crate::capabilities::alerts::matcher::{Matcher, Op};

/// What of a list is asked for.
#[derive(Debug)]
pub(super) struct ListQuery {
    /// Conditions that all must hold.
    pub(super) filter: Vec<Matcher>,
    /// Whether to list what is neither silenced nor hidden.
    pub(super) active: bool,
    /// Whether to list what is silenced.
    pub(super) silenced: bool,
    /// Whether to list what something else hides.
    pub(super) inhibited: bool,
    /// What one of the receivers must match.
    pub(super) receiver: Option<Matcher>,
    /// Who may have made a silence; empty for anybody.
    pub(super) creators: Vec<String>,
}

impl ListQuery {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let mut query = Self {
            filter: Vec::new(),
            active: true,
            silenced: true,
            inhibited: true,
            receiver: None,
            creators: Vec::new(),
        };
        for (name, value) in pairs {
            let refused = |fault| Fault::bad(format!("`{name}`: {fault}"));
            match &*name {
                "filter" => query.filter.push(Matcher::parse(&value).map_err(refused)?),
                "active" => query.active = is_true(&value),
                "silenced" => query.silenced = is_true(&value),
                "inhibited" => query.inhibited = is_true(&value),
                "creator" => query.creators.push(value),
                "receiver" if !value.is_empty() => {
                    let matcher = Matcher::new("receiver", Op::Matches, &value);
                    query.receiver = Some(matcher.map_err(refused)?);
                }
                _ => {}
            }
        }
        Ok(query)
    }

    /// Whether one of `receivers` is asked for.
    pub(super) fn takes<'r>(&self, receivers: impl IntoIterator<Item = &'r str>) -> bool {
        let asked = self.receiver.as_ref();
        asked.is_none_or(|asked| receivers.into_iter().any(|name| asked.takes(name)))
    }
}

/// The words that Alertmanager's own API takes for true.
fn is_true(word: &str) -> bool {
    let words = ["true", "1", "yes", "ok", "y", "on", "t"];
    words.iter().any(|one| word.eq_ignore_ascii_case(one))
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Fault> {
        match Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) {
            Ok(pairs) => Self::read(pairs.0),
            Err(_) => Err(Fault::bad("the query is not well formed")),
        }
    }
}
