//! The labels that routes, silences and inhibitions go by: those of the alert, and some more that
//! every alert has. Nothing is copied to look one up.

use std::collections::BTreeMap;

use crate::base::labels::Labels;
use crate::platform::alerts::{Finding, Severity};

/// Something with labels. One that is not there is the empty text, as with Alertmanager.
pub(super) trait Labelled {
    /// The value of `name`.
    fn label(&self, name: &str) -> &str;
}

impl Labelled for BTreeMap<String, String> {
    fn label(&self, name: &str) -> &str {
        self.get(name).map_or("", String::as_str)
    }
}

impl Labelled for Labels {
    fn label(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

/// An alert as routing sees it: its own labels, then `alertname` (the first part of its key, where
/// a watcher of ours found it), `severity` and `level` (how bad it is) and `source`. A label that
/// it has itself stays.
impl Labelled for Finding {
    fn label(&self, name: &str) -> &str {
        if let Some(own) = self.labels.get(name) {
            return own;
        }
        match name {
            // Its key is a fingerprint: no part of it is a name.
            "alertname" if self.is_foreign() => "",
            "alertname" => self.key.split(':').next().unwrap_or_default(),
            "severity" | "level" => level(self.severity),
            "source" => &self.source,
            _ => "",
        }
    }
}

/// All labels of an alert as routing sees it.
pub(super) fn all(finding: &Finding) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in &finding.labels {
        all.insert(name.to_owned(), value.to_owned());
    }
    for name in ["alertname", "severity", "level", "source"] {
        if name == "alertname" && finding.is_foreign() {
            continue;
        }
        all.insert(name.to_owned(), finding.label(name).to_owned());
    }
    all
}

/// The word for a severity.
pub(super) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}
