//! Why a text is no span, no zone, no schedule: in parts, so that a config can tell the place and
//! a command line the option.

/// Characters of a found text that are shown.
const MAX_SHOWN: usize = 60;

/// A text that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not allowed, must be {allowed}")]
pub struct CalendarError {
    /// What was found, in backticks, and which part of it is wrong.
    pub found: String,
    /// What is allowed there.
    pub allowed: String,
    /// The cure; never empty.
    pub hint: String,
}

impl CalendarError {
    pub(super) fn new(
        found: impl Into<String>,
        allowed: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            found: found.into(),
            allowed: allowed.into(),
            hint: hint.into(),
        }
    }
}

/// `text` in backticks, on one line and short.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
