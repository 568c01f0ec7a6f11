//! Names and values a flag can have.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A bare flag value. Numbers keep the form they were written in: `0.0` stays `0.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagValue {
    /// `true` or `false`.
    Bool(bool),
    /// A text.
    Text(String),
    /// A number, as it stands in the file.
    Number(String),
    /// The flag exists and has no value: the caller's own default holds.
    Null,
}

impl FlagValue {
    /// Reads a value as JSON text; `None` for objects, arrays and what is no JSON.
    pub fn from_json(text: &str) -> Option<Self> {
        Some(match serde_json::from_str(text).ok()? {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(_) => Self::Number(text.trim().to_owned()),
            serde_json::Value::String(value) => Self::Text(value),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => return None,
        })
    }

    /// The value as JSON text.
    pub fn to_json(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Text(value) => serde_json::Value::from(value.as_str()).to_string(),
            Self::Number(source) => source.clone(),
            Self::Null => "null".to_owned(),
        }
    }

    /// The value as serde's JSON; a number keeps its value, and its form as far as `f64` does.
    pub fn as_json(&self) -> serde_json::Value {
        serde_json::from_str(&self.to_json()).unwrap_or_default()
    }

    /// The value as a plain string, as the admin form shows it.
    pub fn to_plain(&self) -> String {
        match self {
            Self::Text(value) => value.clone(),
            other => other.to_json(),
        }
    }
}

impl Serialize for FlagValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Number(source) => RawValue::from_string(source.clone())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
            Self::Null => serializer.serialize_unit(),
        }
    }
}

/// Bytes in a flag's name at most.
pub const MAX_KEY: usize = 128;

/// Whether `key` may name a flag: it begins with a letter or digit, goes on with those and `_.:/-`.
pub fn is_flag_key(key: &str) -> bool {
    let mut bytes = key.bytes();
    key.len() <= MAX_KEY
        && bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte))
}
