//! `configs/upkeep.json`: how old things may get. A file of `{}` is complete.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use crate::base::json::Tree;
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};

/// The file.
#[derive(Debug)]
pub(super) struct UpkeepConfig;

/// How old things may get before somebody is told.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: upkeep")]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "keys end in their unit")]
pub(super) struct UpkeepRules {
    /// Days without a change after which a flag is called stale. Default 90. Flags whose name is
    /// all capitals are switches and never stale.
    #[schemars(range(min = 1, max = 3650))]
    pub(super) stale_flag_days: u32,
    /// Age in days at which a key should have been rotated. Default 180.
    #[schemars(range(min = 1, max = 3650))]
    pub(super) key_age_days: u32,
    /// Days before the end of a key's life at which that is told. Default 14.
    #[schemars(range(min = 1, max = 365))]
    pub(super) key_expiry_days: u32,
}

impl Default for UpkeepRules {
    /// Ninety days are a quarter; half a year for keys is a common rule; a fortnight is rule H8 of
    /// the reliability notes.
    fn default() -> Self {
        Self {
            stale_flag_days: 90,
            key_age_days: 180,
            key_expiry_days: 14,
        }
    }
}

impl Config for UpkeepConfig {
    const FILE: &'static str = "upkeep.json";
    const SHIPPED: &'static str = include_str!("../../../configs/upkeep.json");
    type Rules = UpkeepRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<UpkeepRules> {
        typed::<UpkeepRules>(tree, problems)
    }

    fn schema() -> Schema {
        schema_of::<UpkeepRules>()
    }
}
