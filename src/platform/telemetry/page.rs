//! A page of metrics in one of its two spellings: Prometheus text 0.0.4 or OpenMetrics 1.0.

use std::fmt::Write as _;

/// The spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Prometheus text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Spelling {
    /// The one that a client with this `Accept` wants.
    pub fn wanted(accept: Option<&str>) -> Self {
        if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page being written. Families are written one after the other, each with all its samples.
#[derive(Debug)]
pub struct Page {
    text: String,
    spelling: Spelling,
    /// The family being written: its full name for samples.
    family: String,
}

impl Page {
    /// An empty page.
    pub fn new(spelling: Spelling) -> Self {
        Self {
            text: String::new(),
            spelling,
            family: String::new(),
        }
    }

    /// Begins a counter; `name` has no `_total`.
    pub fn counter(&mut self, name: &str, help: &str) {
        let total = format!("{name}_total");
        let declared = match self.spelling {
            Spelling::Prometheus => &total,
            Spelling::OpenMetrics => name,
        };
        self.declare(declared, "counter", help);
        self.family = total;
    }

    /// Begins a gauge.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.declare(name, "gauge", help);
        name.clone_into(&mut self.family);
    }

    fn declare(&mut self, name: &str, kind: &str, help: &str) {
        let written = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        // Writing to a string cannot fail.
        debug_assert!(written.is_ok());
    }

    /// One sample of the current family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let family = std::mem::take(&mut self.family);
        self.line(&family, labels, value);
        self.family = family;
    }

    /// A histogram: `buckets` are upper bounds with how many lay at or below each.
    pub fn begin_histogram(&mut self, name: &str, help: &str) {
        self.declare(name, "histogram", help);
        name.clone_into(&mut self.family);
    }

    /// One labelled series of the current histogram, with counts per bucket (not summed up), the
    /// last for values over every bound.
    pub fn histogram(&mut self, labels: &[(&str, &str)], bounds: &[f64], counts: &[u64], sum: f64) {
        let family = std::mem::take(&mut self.family);
        let mut seen = 0;
        for (place, count) in counts.iter().enumerate() {
            seen += count;
            let bound = bounds
                .get(place)
                .map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            let mut all = labels.to_vec();
            all.push(("le", &bound));
            self.line(&format!("{family}_bucket"), &all, seen as f64);
        }
        self.line(&format!("{family}_sum"), labels, sum);
        self.line(&format!("{family}_count"), labels, seen as f64);
        self.family = family;
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for character in text.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    plain => self.text.push(plain),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let written = writeln!(self.text, " {value}");
        debug_assert!(written.is_ok());
    }

    /// The whole page.
    pub fn finish(mut self) -> String {
        if self.spelling == Spelling::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_as_their_formats_say() {
        let page = |spelling| {
            let mut page = Page::new(spelling);
            page.counter("x_requests", "requests");
            page.sample(&[("route", "a\"b\\c\n")], 3.0);
            page.begin_histogram("x_seconds", "latency");
            page.histogram(&[], &[0.5], &[1, 2], 4.25);
            page.finish()
        };
        let samples = "x_requests_total{route=\"a\\\"b\\\\c\\n\"} 3\n";
        let rest = "# HELP x_seconds latency\n# TYPE x_seconds histogram\n\
                    x_seconds_bucket{le=\"0.5\"} 1\nx_seconds_bucket{le=\"+Inf\"} 3\n\
                    x_seconds_sum 4.25\nx_seconds_count 3\n";
        assert_eq!(
            page(Spelling::Prometheus),
            format!(
                "# HELP x_requests_total requests\n# TYPE x_requests_total counter\n{samples}{rest}"
            )
        );
        assert_eq!(
            page(Spelling::OpenMetrics),
            format!(
                "# HELP x_requests requests\n# TYPE x_requests counter\n{samples}{rest}# EOF\n"
            )
        );
    }
}
