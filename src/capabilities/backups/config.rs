//! `configs/backups.json`: where backups are made, how many are kept, and where else a copy of the
//! home is. A file of `{}` is complete. It names secrets and holds none.

use std::path::{Component, Path as FilePath, PathBuf};

use chrono::TimeDelta;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::model::{Bucket, Keep, Place, Replica};
use crate::base::json::{Path, Tree};
use crate::base::problems::Problems;
use crate::platform::config::{Config, schema_of, typed};
use crate::platform::secrets::is_secret_name;
use crate::seams::outbound::Url;

/// Replicas at most (our own choice): each is written every two hours.
const MOST_REPLICAS: usize = 8;
/// Hours after which everything in a bucket is read back, unless the file says otherwise: a week.
/// What is read is paid for there.
const BUCKET_READ_BACK_HOURS: u32 = 168;

/// Backups, and copies elsewhere. Applied from the next run on.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "echopilot: backups")]
#[serde(deny_unknown_fields, default)]
struct RawBackups {
    /// Folder that backups are made in: within the home, or by its whole path. Default `backups`.
    folder: String,
    /// How many backups are kept.
    keep: RawKeep,
    /// Hours after which the newest backup is too old, and that is told. Default 36.
    #[schemars(range(min = 1, max = 8760))]
    alert_after_hours: u32,
    /// Hours after which a replica is too far behind, and that is told. Default 6.
    #[schemars(range(min = 1, max = 8760))]
    replica_alert_after_hours: u32,
    /// Days after which the last restore that was proven is too long ago, and that is told.
    /// Default 15.
    #[schemars(range(min = 1, max = 365))]
    drill_alert_after_days: u32,
    /// Copies elsewhere, brought up to date every two hours. Default: none.
    replicas: Vec<RawReplica>,
}

/// How many backups are kept: of each of so many days, weeks and months (UTC) the newest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RawKeep {
    /// Days. Default 7.
    #[schemars(range(min = 1, max = 366))]
    daily: u32,
    /// ISO weeks. Default 5.
    #[schemars(range(min = 0, max = 520))]
    weekly: u32,
    /// Months. Default 12.
    #[schemars(range(min = 0, max = 240))]
    monthly: u32,
}

impl Default for RawBackups {
    fn default() -> Self {
        Self {
            folder: "backups".to_owned(),
            keep: RawKeep::default(),
            alert_after_hours: 36,
            replica_alert_after_hours: 6,
            drill_alert_after_days: 15,
            replicas: Vec::new(),
        }
    }
}

impl Default for RawKeep {
    /// A week of days, a month of weeks, a year of months.
    fn default() -> Self {
        Self {
            daily: 7,
            weekly: 5,
            monthly: 12,
        }
    }
}

/// One replica: exactly one of `folder` and `s3` says where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawReplica {
    /// Its name, such as `nas`; another name is another replica.
    name: String,
    /// A folder by its whole path: another disk, or one that is mounted from elsewhere.
    #[serde(default)]
    folder: Option<String>,
    /// A bucket of an S3-compatible store.
    #[serde(default)]
    s3: Option<RawBucket>,
    /// Whether it keeps segments that the home has given up by retention. Default true.
    #[serde(default = "yes")]
    keeps_removed: bool,
    /// Hours after which everything in it is read back again; 0 is at each run. What is sent is
    /// always checked. Default 0 for a folder, 168 for a bucket.
    #[serde(default)]
    #[schemars(range(min = 0, max = 8760))]
    read_back_hours: Option<u32>,
}

/// A bucket, and the names of the secrets that open it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawBucket {
    /// The service, such as `https://s3.eu-central-1.amazonaws.com` or `http://10.0.0.5:9000`.
    /// Private addresses need a rule in `outbound.allow` of `configs/echopilot.json`.
    endpoint: String,
    /// The region that requests are signed for. Default `us-east-1`.
    #[serde(default = "region")]
    region: String,
    /// The bucket.
    bucket: String,
    /// What the names of all objects begin with, such as `shop`. Default: nothing.
    #[serde(default)]
    prefix: String,
    /// Name of the secret that holds the id of the access key. Default `S3_ACCESS_KEY`.
    #[serde(default = "access_key")]
    access_key: String,
    /// Name of the secret that holds the secret access key. Default `S3_SECRET_KEY`.
    #[serde(default = "secret_key")]
    secret_key: String,
}

const fn yes() -> bool {
    true
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn access_key() -> String {
    "S3_ACCESS_KEY".to_owned()
}

fn secret_key() -> String {
    "S3_SECRET_KEY".to_owned()
}

/// The file.
#[derive(Debug)]
pub struct BackupsConfig;

/// The rules, checked.
#[derive(Debug)]
pub struct BackupsRules {
    /// Folder that backups are made in; within the home where it is not a whole path.
    pub folder: PathBuf,
    /// How many are kept.
    pub keep: Keep,
    /// How old the newest may be.
    pub alert_after: TimeDelta,
    /// How far behind a replica may be.
    pub replica_alert_after: TimeDelta,
    /// How long ago the last proven restore may be.
    pub drill_alert_after: TimeDelta,
    /// Copies elsewhere.
    pub replicas: Vec<Replica>,
}

impl Config for BackupsConfig {
    const FILE: &'static str = "backups.json";
    const SHIPPED: &'static str = include_str!("../../../configs/backups.json");
    type Rules = BackupsRules;

    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<BackupsRules> {
        let raw: RawBackups = typed(tree, problems)?;
        let before = problems.count();
        let root = Path::root();
        let folder = folder(&raw.folder, &root.key("folder"), problems);
        let place = root.key("replicas");
        if raw.replicas.len() > MOST_REPLICAS {
            let allowed = format!("at most {MOST_REPLICAS} replicas");
            problems.out_of_range(&place, raw.replicas.len(), allowed, "remove some");
        }
        let mut replicas: Vec<Replica> = Vec::new();
        for (at, raw) in raw.replicas.iter().enumerate() {
            let place = place.index(at);
            if replicas.iter().any(|known| known.name == raw.name) {
                let found = format!("`{}` again", raw.name);
                let hint = "each replica is known by its name";
                problems.not_allowed(place.key("name"), found, "a name of its own", hint);
            }
            replicas.extend(replica(raw, &place, problems));
        }
        let rules = BackupsRules {
            folder: folder?,
            keep: Keep {
                daily: raw.keep.daily as usize,
                weekly: raw.keep.weekly as usize,
                monthly: raw.keep.monthly as usize,
            },
            alert_after: TimeDelta::hours(raw.alert_after_hours.into()),
            replica_alert_after: TimeDelta::hours(raw.replica_alert_after_hours.into()),
            drill_alert_after: TimeDelta::days(raw.drill_alert_after_days.into()),
            replicas,
        };
        (problems.count() == before).then_some(rules)
    }

    fn schema() -> Schema {
        schema_of::<RawBackups>()
    }
}

/// A folder that is not one in which the home's own files are.
fn folder(text: &str, place: &Path, problems: &mut Problems) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    let mut parts = path.components();
    let is_plain = !text.is_empty() && parts.clone().all(|part| part != Component::ParentDir);
    let own = ["configs", "logs", "secrets", ".echopilot"];
    let is_own = parts
        .next()
        .is_some_and(|first| own.iter().any(|own| first.as_os_str() == *own));
    if is_plain && !is_own {
        return Some(path);
    }
    let allowed = "a folder within the home that is no other's, or a whole path";
    let hint = "write `backups`, or where another disk is mounted: `/mnt/disk/echopilot`";
    problems.not_allowed(place, format!("`{text}`"), allowed, hint);
    None
}

fn replica(raw: &RawReplica, place: &Path, problems: &mut Problems) -> Option<Replica> {
    let before = problems.count();
    if !crate::base::names::is_name(&raw.name) {
        let found = format!("the name `{}`", raw.name);
        let allowed = "a name such as `nas`";
        problems.not_allowed(place.key("name"), found, allowed, "rename it");
    }
    let (is_there, hours) = match (&raw.folder, &raw.s3) {
        (Some(text), None) => {
            let path = FilePath::new(text);
            if !path.is_absolute() || path.parent().is_none() {
                let hint = "a replica is another disk or machine, not a part of the home";
                let found = format!("`{text}`");
                problems.not_allowed(place.key("folder"), found, "a whole path", hint);
            }
            (Some(Place::Folder(path.to_owned())), 0)
        }
        (None, Some(raw)) => {
            let bucket = bucket(raw, &place.key("s3"), problems);
            (bucket.map(Place::Bucket), BUCKET_READ_BACK_HOURS)
        }
        (None, None) => {
            let hint = "write \"folder\": \"/mnt/nas/echopilot\", or \"s3\": { … }";
            problems.missing_key(place.key("folder"), "`folder` or `s3`", hint);
            return None;
        }
        (Some(_), Some(_)) => {
            let hint = "write two replicas, each with a name of its own";
            let found = "both `folder` and `s3`";
            problems.not_allowed(place.key("s3"), found, "one of them", hint);
            return None;
        }
    };
    if problems.count() > before {
        return None;
    }
    Some(Replica {
        name: raw.name.clone(),
        place: is_there?,
        keeps_removed: raw.keeps_removed,
        read_back: TimeDelta::hours(raw.read_back_hours.unwrap_or(hours).into()),
    })
}

fn bucket(raw: &RawBucket, place: &Path, problems: &mut Problems) -> Option<Bucket> {
    let before = problems.count();
    match Url::parse(&raw.endpoint) {
        Err(fault) => {
            let allowed = "an address such as `https://s3.eu-central-1.amazonaws.com`";
            let place = place.key("endpoint");
            problems.not_allowed(place, fault.refused(), allowed, fault.hint);
        }
        Ok(url) if url.request_target() != "/" => {
            let found = format!("`{}`", raw.endpoint);
            let hint = "the bucket has a key of its own: `bucket`";
            let allowed = "an address without a path";
            problems.not_allowed(place.key("endpoint"), found, allowed, hint);
        }
        Ok(_) => {}
    }
    let plain = |text: &str, also: &[u8]| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || also.contains(&byte);
        text.bytes().all(good)
    };
    let words = [
        (
            "region",
            &raw.region,
            plain(&raw.region, b"-_") && !raw.region.is_empty(),
        ),
        (
            "bucket",
            &raw.bucket,
            plain(&raw.bucket, b".-_") && !raw.bucket.is_empty(),
        ),
        (
            "prefix",
            &raw.prefix,
            plain(&raw.prefix, b"/.-_") && !raw.prefix.split('/').any(|part| part == ".."),
        ),
    ];
    for (key, found, is_good) in words {
        if !is_good {
            let allowed = "letters, digits and `.-_`";
            problems.not_allowed(place.key(key), format!("`{found}`"), allowed, "");
        }
    }
    for (key, name) in [
        ("access_key", &raw.access_key),
        ("secret_key", &raw.secret_key),
    ] {
        if !is_secret_name(name) {
            let allowed = "the name of a secret, such as `S3_SECRET_KEY`";
            let hint = "the secret itself goes into `secrets/` or a credential of systemd";
            problems.not_allowed(place.key(key), "something else", allowed, hint);
        }
    }
    (problems.count() == before).then(|| Bucket {
        endpoint: raw.endpoint.trim_end_matches('/').to_owned(),
        region: raw.region.clone(),
        bucket: raw.bucket.clone(),
        prefix: raw.prefix.trim_matches('/').to_owned(),
        access_key: raw.access_key.clone(),
        secret_key: raw.secret_key.clone(),
    })
}
