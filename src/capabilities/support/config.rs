//! `configs/support.json`: which mailbox is read, how its mails are judged. It names secrets and
//! holds none: `IMAP_HOST`, `IMAP_USER` and `IMAP_PASS` come from where secrets are kept.

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::imap::config::{Connection, RawConnection};
use super::triage::config::{RawTriage, Rules as TriageRules};
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};

/// The support inbox. Applied as soon as the file is saved.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: support inbox")]
#[serde(deny_unknown_fields, default)]
struct RawSupport {
    /// The mailbox and how it is reached.
    connection: RawConnection,
    /// Mails in one digest at most, the newest first; the rest is counted. Default 20.
    #[schemars(range(min = 1, max = 200))]
    digest_mails: u32,
    /// How long what was seen of mails is kept, in days: sender, subject and times are personal
    /// data. Default 90.
    #[schemars(range(min = 14, max = 3650))]
    retention_days: u32,
    /// How mails are judged.
    triage: RawTriage,
}

impl Default for RawSupport {
    fn default() -> Self {
        Self {
            connection: RawConnection::default(),
            digest_mails: 20,
            retention_days: 90,
            triage: RawTriage::default(),
        }
    }
}

/// The file.
#[derive(Debug)]
pub struct SupportConfig;

/// The rules, checked.
#[derive(Debug)]
pub struct SupportRules {
    /// The mailbox and how it is reached.
    pub connection: Connection,
    /// Mails in one digest at most.
    pub digest_mails: usize,
    /// How long facts of mails are kept.
    pub retention: TimeDelta,
    /// How mails are judged.
    pub triage: TriageRules,
}

impl Config for SupportConfig {
    const FILE: &'static str = "support.json";
    const SHIPPED: &'static str = include_str!("../../../configs/support.json");
    type Rules = SupportRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<SupportRules> {
        let raw: RawSupport = typed(tree, problems)?;
        let before = problems.count();
        let root = Path::root();
        let connection = Connection::read(&raw.connection, &root.key("connection"), problems);
        let triage = super::triage::config::read(&raw.triage, &root.key("triage"), problems);
        let rules = SupportRules {
            connection: connection?,
            digest_mails: raw.digest_mails as usize,
            retention: TimeDelta::days(i64::from(raw.retention_days)),
            triage,
        };
        (problems.count() == before).then_some(rules)
    }

    fn schema() -> Schema {
        schema_of::<RawSupport>()
    }
}
