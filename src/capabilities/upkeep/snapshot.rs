//! The hourly line of headline numbers: every number on `/metrics` that stands for itself, and the
//! answers by class.

use std::collections::BTreeMap;

use serde_json::json;

use super::Upkeep;
use super::event::SnapshotTaken;
use crate::platform::scheduler::{Pass, Summary, TaskError};
use crate::platform::telemetry::Spelling;

/// Takes one.
pub(super) async fn take(upkeep: &Upkeep, pass: &Pass) -> Result<Summary, TaskError> {
    let page = upkeep.wiring.metrics.page(Spelling::wanted(None));
    let mut numbers = headline(&page);
    numbers.extend(upkeep.metrics.numbers());
    let alerts = upkeep.wiring.alerts.active().len();
    numbers.insert("echopilot_alerts".to_owned(), alerts as f64);
    let line = SnapshotTaken { numbers };
    upkeep.write("upkeep.snapshot_taken", pass, &line).await?;
    Ok(Summary::ok(json!({ "numbers": line.numbers.len() })))
}

/// Numbers without labels by name; answers are added up by class of status.
fn headline(page: &str) -> BTreeMap<String, f64> {
    let mut numbers = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        // What is no number has no place in a line of JSON.
        let Some(value) = value.parse().ok().filter(|value: &f64| value.is_finite()) else {
            continue;
        };
        match name.split_once('{') {
            None => {
                numbers.insert(name.to_owned(), value);
            }
            Some((family, labels)) if family.starts_with("echopilot_http_requests") => {
                let class = labels.split("class=\"").nth(1);
                let class = class.and_then(|rest| rest.split('"').next());
                let name = format!("{family}_{}", class.unwrap_or("other"));
                *numbers.entry(name).or_default() += value;
            }
            Some(_) => {}
        }
    }
    numbers
}

#[test]
fn labelled_numbers_are_left_out_and_answers_added_up() {
    let page = "# HELP a b\na 1\nb{x=\"y\"} 2\n\
                echopilot_http_requests_total{method=\"GET\",route=\"/a\",class=\"2xx\"} 3\n\
                echopilot_http_requests_total{method=\"GET\",route=\"/b\",class=\"2xx\"} 4\nc NaN\nd +Inf\n";
    let numbers = headline(page);
    let told: Vec<String> = numbers.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(told, ["a=1", "echopilot_http_requests_total_2xx=7"]);
}
