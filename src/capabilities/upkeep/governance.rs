//! Tidiness: flags nobody has touched for long, keys that should have been rotated or that end
//! soon, configurations that were refused.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::json;

use super::Upkeep;
use super::config::{UpkeepConfig, UpkeepRules};
use super::event::{GovernanceChecked, Tidiness};
use crate::capabilities::flags::event::{FlagLine, STREAM as FLAGS};
use crate::platform::alerts::{Finding, Severity};
use crate::platform::config::read;
use crate::platform::scheduler::{Pass, Summary, TaskError};
use crate::storage::engine::{Engine, Mark};
use crate::storage::journal::each_line;

/// When a key was made and whether it is still good, as `configs/keys.json` has it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct KeyAge {
    created_at: DateTime<Utc>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    revoked_at: Option<String>,
    #[serde(default)]
    not_after: Option<DateTime<Utc>>,
}

#[derive(Debug, Default, Deserialize)]
struct KeyFile {
    #[serde(default)]
    keys: BTreeMap<String, KeyAge>,
}

/// One pass; a finding that needs a person becomes an alert as long as it lasts.
pub(super) async fn check(upkeep: &Upkeep, pass: &Pass) -> Result<Summary, TaskError> {
    let rules = upkeep.rules.get().rules;
    let engine = std::sync::Arc::clone(&upkeep.wiring.engine);
    let read = move || (flag_ages(&*engine), key_ages(&*engine));
    let (flags, keys) = tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| TaskError("the thread that read flags and keys died".to_owned()))?;
    let mut findings = stale_flags(&flags?, &rules, pass.now);
    findings.extend(key_findings(&keys, &rules, pass.now));
    findings.extend(refused_configs(upkeep));
    tell(upkeep, pass, &findings);
    let line = GovernanceChecked { findings };
    upkeep
        .write("upkeep.governance_checked", pass, &line)
        .await?;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for finding in &line.findings {
        *counts.entry(&finding.kind).or_default() += 1;
    }
    Ok(Summary::ok(json!({ "findings": counts })))
}

/// When each flag that exists changed last.
fn flag_ages(engine: &dyn Engine) -> Result<BTreeMap<String, DateTime<Utc>>, TaskError> {
    let mut ages = BTreeMap::new();
    each_line(engine, FLAGS, &Mark::default(), |line| {
        let Some(line) = FlagLine::parse(line) else {
            return;
        };
        if line.kind == "flag.deleted" {
            ages.remove(line.key.as_ref());
        } else {
            ages.insert(line.key.into_owned(), line.ts);
        }
    })?;
    Ok(ages)
}

/// Keys by id; none where the file cannot be read, which is told elsewhere.
pub(super) fn key_ages(engine: &dyn Engine) -> BTreeMap<String, KeyAge> {
    let file = engine.load("keys.json").ok();
    let read = file.and_then(|file| serde_json::from_slice::<KeyFile>(&file.body).ok());
    read.unwrap_or_default().keys
}

fn stale_flags(
    ages: &BTreeMap<String, DateTime<Utc>>,
    rules: &UpkeepRules,
    now: DateTime<Utc>,
) -> Vec<Tidiness> {
    let most = i64::from(rules.stale_flag_days);
    let is_switch = |key: &str| !key.bytes().any(|byte| byte.is_ascii_lowercase());
    let stale = |(key, at): (&String, &DateTime<Utc>)| {
        let days = (now - *at).num_days();
        (days > most && !is_switch(key)).then(|| Tidiness {
            kind: "stale_flag".to_owned(),
            thing: key.clone(),
            text: format!("flag `{key}` has not changed for {days} days, {most} are allowed"),
        })
    };
    ages.iter().filter_map(stale).collect()
}

/// Keys that are too old, and keys that end soon.
pub(super) fn key_findings(
    keys: &BTreeMap<String, KeyAge>,
    rules: &UpkeepRules,
    now: DateTime<Utc>,
) -> Vec<Tidiness> {
    let mut findings = Vec::new();
    for (id, key) in keys.iter().filter(|(_, key)| is_live(key, now)) {
        let named = match key.name.as_str() {
            "" => String::new(),
            name => format!(" ({name})"),
        };
        let days = (now - key.created_at).num_days();
        let most = rules.key_age_days;
        let mut found = |kind: &str, text: String| {
            findings.push(Tidiness {
                kind: kind.to_owned(),
                thing: id.clone(),
                text,
            });
        };
        if days > i64::from(most) {
            let cure = format!("hint: echopilot key rotate {id}");
            found(
                "old_key",
                format!("key `{id}`{named} is {days} days old, {most} are allowed; {cure}"),
            );
        }
        let soon = now + TimeDelta::days(i64::from(rules.key_expiry_days));
        if let Some(end) = key.not_after.filter(|end| *end <= soon) {
            let left = (end - now).num_days();
            found(
                "expiring_key",
                format!("key `{id}`{named} ends in {left} days; hint: echopilot key rotate {id}"),
            );
        }
    }
    findings
}

/// How the keys of a home are, for whoever looks without a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCare {
    /// Keys that are good now.
    pub live: usize,
    /// What is wrong, in the words of the alert, each with its hint.
    pub troubles: Vec<String>,
}

/// The state of the keys in the texts of `keys.json` and `upkeep.json`; `None` where the first is
/// no such file. Limits that cannot be read are the defaults.
pub fn key_care(keys: &[u8], upkeep: &[u8], now: DateTime<Utc>) -> Option<KeyCare> {
    let keys = serde_json::from_slice::<KeyFile>(keys).ok()?.keys;
    let rules = read::<UpkeepConfig>("upkeep.json", upkeep).unwrap_or_default();
    let troubles = key_findings(&keys, &rules, now).into_iter();
    Some(KeyCare {
        live: keys.values().filter(|key| is_live(key, now)).count(),
        troubles: troubles.map(|one| one.text).collect(),
    })
}

fn is_live(key: &KeyAge, now: DateTime<Utc>) -> bool {
    key.revoked_at.is_none() && key.not_after.is_none_or(|end| end > now)
}

fn refused_configs(upkeep: &Upkeep) -> Vec<Tidiness> {
    let refused = upkeep.wiring.configs.status().into_iter();
    let refused = refused.filter(|one| one.degraded.is_some());
    refused
        .map(|one| Tidiness {
            kind: "config_refused".to_owned(),
            thing: one.file.to_owned(),
            text: format!(
                "`{}` on disk is not in force; hint: echopilot check",
                one.file
            ),
        })
        .collect()
}

/// Keys want a person; stale flags are for the report, and refused configurations are told by the
/// health of the part.
fn tell(upkeep: &Upkeep, pass: &Pass, findings: &[Tidiness]) {
    let alerts = &upkeep.wiring.alerts;
    let wanted: Vec<Finding> = findings
        .iter()
        .filter(|one| matches!(one.kind.as_str(), "old_key" | "expiring_key"))
        .map(|one| Finding {
            key: format!("governance:{}:{}", one.kind, one.thing),
            source: "upkeep".to_owned(),
            severity: Severity::Warning,
            summary: one.text.clone(),
            started_at: pass.now,
            labels: [("key".to_owned(), one.thing.clone())].into(),
            ..Finding::default()
        })
        .collect();
    for said in alerts.said_by("upkeep") {
        let key = &said.finding.key;
        if key.starts_with("governance:") && !wanted.iter().any(|one| one.key == *key) {
            alerts.resolve(key, pass.now, "in order again");
        }
    }
    for finding in wanted {
        alerts.raise(finding, pass.now);
    }
}
