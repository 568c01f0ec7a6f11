//! Metric families of storage and configuration.

use std::sync::Arc;

use crate::platform::config::ConfigStore;
use crate::platform::telemetry::{Metrics, Page};
use crate::storage::engine::{Engine, StreamHealth};

/// Puts them on the page.
pub(super) fn add(metrics: &Metrics, engine: &Arc<dyn Engine>, configs: &ConfigStore) {
    let engine = Arc::clone(engine);
    metrics.add(move |page| journals(page, &*engine));
    let configs = configs.clone();
    metrics.add(move |page| documents(page, &configs));
}

/// A family of one number per journal.
type Family = (&'static str, &'static str, bool, fn(&StreamHealth) -> f64);

const FAMILIES: [Family; 6] = [
    (
        "echopilot_journal_lines",
        "lines in a journal",
        true,
        |health| health.last_seq as f64,
    ),
    (
        "echopilot_journal_active_bytes",
        "bytes in the active segment",
        false,
        |health| health.active_bytes as f64,
    ),
    (
        "echopilot_journal_segments",
        "segments, sealed ones and the active one",
        false,
        |health| health.segments as f64,
    ),
    (
        "echopilot_journal_foreign_lines",
        "lines that echopilot did not write",
        false,
        |health| health.foreign_lines as f64,
    ),
    (
        "echopilot_journal_refusing",
        "1 while a journal takes no lines",
        false,
        |health| f64::from(u8::from(health.refusing.is_some())),
    ),
    (
        "echopilot_journal_slowest_sync_seconds",
        "the slowest sync so far",
        false,
        |health| health.slowest_sync_us as f64 / 1e6,
    ),
];

fn journals(page: &mut Page, engine: &dyn Engine) {
    page.gauge(
        "echopilot_storage_low",
        "1 while less than a tenth of the disk is free",
    );
    page.sample(&[], f64::from(u8::from(engine.medium().low)));
    let known: Vec<(String, StreamHealth)> = engine
        .streams()
        .into_iter()
        .filter_map(|name| engine.health(&name).map(|health| (name, health)))
        .collect();
    for (name, help, is_counter, number) in FAMILIES {
        if is_counter {
            page.counter(name, help);
        } else {
            page.gauge(name, help);
        }
        for (journal, health) in &known {
            page.sample(&[("journal", journal)], number(health));
        }
    }
}

fn documents(page: &mut Page, configs: &ConfigStore) {
    page.gauge(
        "echopilot_config_degraded",
        "1 while a file on disk is not what is in force",
    );
    for status in configs.status() {
        let degraded = f64::from(u8::from(status.degraded.is_some()));
        page.sample(&[("file", status.file)], degraded);
    }
}
