//! What backups, replicas and drills are: values that others may read too.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::time::as_stamp;

/// How many backups are kept of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days of which the newest backup is kept.
    pub daily: usize,
    /// ISO weeks of which the newest backup is kept.
    pub weekly: usize,
    /// Months of which the newest backup is kept.
    pub monthly: usize,
}

/// Why a backup is kept.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// It is the newest of all.
    Newest,
    /// It is the newest of its day.
    Daily,
    /// It is the newest of its week.
    Weekly,
    /// It is the newest of its month.
    Monthly,
    /// A person gave it its name.
    Named,
}

/// A second place for what the home holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// Whether it keeps segments that the home has given up.
    pub keeps_removed: bool,
    /// How long after everything in it was read back that is done again.
    pub read_back: TimeDelta,
}

/// Where a replica is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder: another disk, or one that is mounted from elsewhere.
    Folder(PathBuf),
    /// A bucket of an S3-compatible store.
    Bucket(Bucket),
}

/// A bucket, and the names of the secrets that open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its service, such as `https://s3.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What the names of all objects begin with; empty for nothing.
    pub prefix: String,
    /// Name of the secret that holds the id of the access key.
    pub access_key: String,
    /// Name of the secret that holds the secret access key.
    pub secret_key: String,
}

/// A replica was brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Synced {
    /// The replica.
    pub replica: String,
    /// The instant of the home that it shows, UTC.
    #[serde(serialize_with = "as_stamp")]
    #[schemars(with = "String")]
    pub taken_at: DateTime<Utc>,
    /// Files in it.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Files that were sent.
    pub sent_files: u64,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// Whether everything in it was read back.
    #[serde(default)]
    pub is_read_back: bool,
    /// Files that were damaged or missing there and were sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mended: Vec<String>,
    /// Files that are damaged or missing there and that the home does not have any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
}

/// A backup was restored and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proven {
    /// The backup.
    pub backup: String,
    /// When it was made, UTC.
    #[serde(serialize_with = "as_stamp")]
    #[schemars(with = "String")]
    pub taken_at: DateTime<Utc>,
    /// Journals that were the same as in the home.
    pub journals: u64,
    /// Their lines.
    pub lines: u64,
    /// Bytes restored.
    pub bytes: u64,
}
