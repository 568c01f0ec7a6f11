//! The store's own figures on the page of metrics.

use super::store::Samples;
use crate::platform::telemetry::Page;

impl Samples {
    /// Adds the store's families to a page.
    pub fn write_metrics(&self, page: &mut Page) {
        let now = self.gauges();
        let gauges = [
            (
                "echopilot_samples_series",
                "series that are counted",
                now.series,
            ),
            (
                "echopilot_samples_pending_rows",
                "rows of samples that wait to be written",
                now.pending_rows,
            ),
            (
                "echopilot_samples_memory_bytes",
                "memory of the store of samples, by its own estimate",
                now.bytes,
            ),
        ];
        for (name, help, value) in gauges {
            page.gauge(name, help);
            page.sample(&[], value as f64);
        }
        page.counter(
            "echopilot_samples_lost",
            "samples that were not taken or had to be given up",
        );
        page.sample(&[("why", "refused")], now.refused as f64);
        page.sample(&[("why", "storage")], now.dropped as f64);
    }
}
