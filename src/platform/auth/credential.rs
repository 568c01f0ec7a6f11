//! Where a caller's key stands in a request, and how a key is spelt: `ep_ROLE_ID_SECRET`.

use http::HeaderValue;

use crate::base::hex;
use crate::base::secret::Secret;
use crate::platform::http::{HttpError, Role};
use crate::seams::ids::Ids;

/// Longest token that is looked at, in bytes; ours have 80.
const MAX_TOKEN: usize = 512;

/// The credential headers of one request: `X-Dash-Key`, `Authorization: Bearer`, `X-Api-Key`.
/// Anything in the target is never looked at.
#[derive(Debug, Default, Clone, Copy)]
pub struct Credentials<'a> {
    found: Option<&'a [u8]>,
    conflict: bool,
}

impl<'a> Credentials<'a> {
    /// Takes the value of `X-Dash-Key` or `X-Api-Key`.
    pub fn key(&mut self, value: &'a HeaderValue) {
        self.take(value.as_bytes());
    }

    /// Takes the value of `Authorization`. Other schemes than `Bearer` are a wrong key.
    pub fn authorization(&mut self, value: &'a HeaderValue) {
        let token = match value.as_bytes().split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token,
            _ => b"",
        };
        self.take(token);
    }

    fn take(&mut self, token: &'a [u8]) {
        let token = token.trim_ascii();
        match self.found {
            Some(other) if other != token => self.conflict = true,
            _ => self.found = Some(token),
        }
    }

    /// The one token given, if any. A token too long to be one counts as wrong, not as absent.
    pub fn token(&self) -> Result<Option<&'a [u8]>, HttpError> {
        if self.conflict {
            return Err(HttpError::bad_request(
                "several_keys",
                "the request carries several keys that differ, at most one is allowed",
            )
            .hint("send the key in one of `X-Dash-Key`, `Authorization: Bearer`, `X-Api-Key`"));
        }
        Ok(self
            .found
            .map(|token| token.get(..MAX_TOKEN).unwrap_or(token)))
    }
}

/// A new key: what its owner is shown once, and what is kept.
pub struct KeyText {
    /// The whole text, for the owner.
    pub text: Secret,
    /// The public part that names it.
    pub id: String,
}

impl KeyText {
    /// Draws a key: 8 hex digits of identity, 64 of secret (256 random bits, rule H7).
    pub fn draw(role: Role, ids: &dyn Ids) -> std::io::Result<Self> {
        let id = hex::of(ids.random()?.get(..4).unwrap_or_default());
        let secret = Secret::new(hex::of(&ids.random()?));
        let text = format!("ep_{}_{id}_{}", role.name(), secret.reveal());
        Ok(Self {
            text: Secret::new(text),
            id,
        })
    }
}

/// The identity in `token`, if it is spelt like one of ours.
pub(super) fn id_of(token: &[u8]) -> Option<&str> {
    let mut parts = token.strip_prefix(b"ep_")?.splitn(3, |byte| *byte == b'_');
    let (_role, id, _secret) = (parts.next()?, parts.next()?, parts.next()?);
    std::str::from_utf8(id).ok()
}
