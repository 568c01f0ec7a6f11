//! The member `triage` of `configs/support.json`: words, tiers, hours, senders.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::base::json::Path;
use crate::base::problems::Problems;

/// How mails are judged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTriage {}

/// The same, checked.
#[derive(Debug, Clone, Default)]
pub struct Rules {}

/// Checks `raw`, which stands at `place`. Whatever is wrong is added to `problems`.
pub fn read(_raw: &RawTriage, _place: &Path, _problems: &mut Problems) -> Rules {
    Rules {}
}
