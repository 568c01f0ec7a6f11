//! A text that must not be seen: it has no `Debug`, no `Display`, no `Serialize`, and is wiped from
//! memory when it goes.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A key, a token, a password. Only [`Secret::reveal`] shows it, so each use can be found by name.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself: for comparing, hashing, or showing once to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether both are the same, in a time that depends on the lengths only.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}
