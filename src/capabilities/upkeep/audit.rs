//! The weekly audit: are the configurations in order, is what is secret readable by its owner only,
//! are keys young enough, and does every journal's chain hold.

use std::path::Path;

use serde_json::json;

use super::Upkeep;
use super::config::UpkeepRules;
use super::event::{AuditCheck, Audited};
use super::governance;
use crate::platform::alerts::{Finding, Severity};
use crate::platform::exposure::exposed;
use crate::platform::scheduler::{Pass, Summary, TaskError};
use crate::seams::files::Files;
use crate::storage::anchors::Anchors;
use crate::storage::verify::verify;

/// One audit; each question that is answered badly is an alert until the next one.
pub(super) async fn audit(upkeep: &Upkeep, pass: &Pass) -> Result<Summary, TaskError> {
    let wiring = &upkeep.wiring;
    let rules: UpkeepRules = upkeep.rules.get().rules;
    let keys = governance::key_findings(&governance::key_ages(&*wiring.engine), &rules, pass.now);
    let keys: Vec<String> = keys.into_iter().map(|one| one.text).collect();
    let (files, home) = (
        std::sync::Arc::clone(&wiring.seams.files),
        std::sync::Arc::clone(&wiring.home),
    );
    let walk = move || (permissions(&*files, &home), chains(&*files, &home));
    let (permissions, chains) = tokio::task::spawn_blocking(walk)
        .await
        .map_err(|_| TaskError("the thread that read the journals died".to_owned()))?;
    let checks = vec![
        configs(upkeep),
        answer("permissions", "nobody else may read or write", &permissions),
        answer("keys", "none is too old or about to end", &keys),
        answer("chains", "every journal's chain holds", &chains),
    ];
    let ok = checks.iter().all(|check| check.ok);
    tell(upkeep, pass, &checks);
    let line = Audited { ok, checks };
    upkeep.write("upkeep.audited", pass, &line).await?;
    let bad: Vec<&str> = line
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| &*check.name)
        .collect();
    Ok(Summary::ok(json!({ "ok": ok, "bad": bad })))
}

/// A question whose answer is good when there are no `faults`.
fn answer(name: &str, good: &str, faults: &[String]) -> AuditCheck {
    let ok = faults.is_empty();
    AuditCheck {
        name: name.to_owned(),
        ok,
        text: if ok {
            good.to_owned()
        } else {
            faults.join("; ")
        },
    }
}

fn configs(upkeep: &Upkeep) -> AuditCheck {
    let status = upkeep.wiring.configs.status();
    let refused = status.iter().filter(|one| one.degraded.is_some());
    let refused = refused.map(|one| format!("`{}` on disk is not in force", one.file));
    let good = format!("all {} are in force as on disk", status.len());
    let refused: Vec<String> = refused.collect();
    answer("configs", &good, &refused)
}

/// What lets strangers in. What lets the group in may be meant; `echopilot doctor` names it.
fn permissions(files: &dyn Files, home: &Path) -> Vec<String> {
    let grave = exposed(files, home).into_iter().filter(|one| one.grave);
    grave
        .map(|one| format!("{}; hint: {}", one.found, one.cure))
        .collect()
}

fn chains(files: &dyn Files, home: &Path) -> Vec<String> {
    let reports = match verify(files, &home.join("logs"), &Anchors::default()) {
        Ok(reports) => reports,
        Err(error) => return vec![format!("{error}")],
    };
    let bad = reports.iter().filter_map(|report| {
        let first = report.first_bad()?;
        let (file, line, what) = (&first.file, first.line, first.what);
        let more = report.bad_lines;
        Some(format!("`{file}` line {line}: {what} ({more} bad in all)"))
    });
    bad.collect()
}

fn tell(upkeep: &Upkeep, pass: &Pass, checks: &[AuditCheck]) {
    for check in checks {
        let key = format!("audit:{}", check.name);
        if check.ok {
            upkeep.wiring.alerts.resolve(&key, pass.now, &*check.text);
            continue;
        }
        let finding = Finding {
            key,
            source: "upkeep".to_owned(),
            severity: Severity::Error,
            summary: format!("audit of {}: {}", check.name, check.text),
            started_at: pass.now,
            labels: [("check".to_owned(), check.name.clone())].into(),
            ..Finding::default()
        };
        upkeep.wiring.alerts.raise(finding, pass.now);
    }
}
