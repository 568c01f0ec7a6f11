//! Who calls, with which right, and when: one value per request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use chrono::{DateTime, Utc};
use http::request::Parts;

use super::HttpError;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Anybody, without a key.
    Public,
    /// Reads: roles reader, dash and admin.
    Read,
    /// Changes of daily work: roles dash and admin.
    Operate,
    /// Keys and the admin form: role admin.
    Admin,
}

impl Scope {
    /// The word for it, as in the API index.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// The roles that may call a route of this scope, in words.
    pub const fn roles(self) -> &'static str {
        match self {
            Self::Public | Self::Read => "`reader`, `dash` or `admin`",
            Self::Operate => "`dash` or `admin`",
            Self::Admin => "`admin`",
        }
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads only.
    Reader,
    /// Reads and daily work: the key of the operator and of the application.
    Dash,
    /// Everything.
    Admin,
}

impl Role {
    /// The word for it, as in files and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Dash => "dash",
            Self::Admin => "admin",
        }
    }

    /// Whether this role may call a route of `scope`.
    pub const fn may(self, scope: Scope) -> bool {
        match scope {
            Scope::Public | Scope::Read => true,
            Scope::Operate => matches!(self, Self::Dash | Self::Admin),
            Scope::Admin => matches!(self, Self::Admin),
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name that goes into histories: `key:alice(ab12cd34)`, `env:dash`, `local`, `anonymous`.
    pub name: Arc<str>,
    /// `None` for a caller without a key.
    pub role: Option<Role>,
}

/// The circumstances of one request. Handlers take it as an argument.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// The one `now` of this request.
    pub now: DateTime<Utc>,
    /// Names this request in answers and logs.
    pub request_id: u64,
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // The server puts it there before the router runs; its absence is a bug of ours.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| HttpError::internal("no call"))
    }
}
