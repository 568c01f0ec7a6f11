//! Pages of metrics, as programs write them and as they should not.

use chrono::{DateTime, Utc};

use super::text::{Page, Type};
use super::{Counters, Looked, Matcher};
use crate::capabilities::slo::intake::decimal::Unit;
use crate::capabilities::slo::intake::rules::CounterRules;
use crate::platform::samples::{Histogram, Row};

fn rule(total: &str, bad: &str, duration: &str) -> CounterRules {
    let matcher = |text: &str| (!text.is_empty()).then(|| Matcher::parse(text).unwrap());
    CounterRules {
        series: "web".into(),
        total: matcher(total),
        bad: matcher(bad),
        duration: matcher(duration),
        unit: Unit::Secs,
    }
}

fn now() -> DateTime<Utc> {
    "2026-11-21T09:15:02Z".parse().unwrap()
}

fn look(counters: &mut Counters, rule: &CounterRules, page: &str) -> (Option<Row>, Looked) {
    let (rows, looked) = counters.look(page, std::slice::from_ref(rule), now());
    (rows.iter().next().cloned(), looked)
}

#[test]
fn a_page_is_read_with_everything_the_format_allows() {
    let page = concat!(
        "# HELP http_requests_total All.\n# TYPE http_requests_total counter\n\n",
        "http_requests_total{method=\"post\",path=\"C:\\\\D\\\"},\\n\"} 1027 1395066363000\n",
        "http_requests_total{ code = \"400\" , } +3.5e1\n",
        "# TYPE om counter\nom_total{a=\"b\"} 17 1520879607.789 # {trace_id=\"}x\"} 0.67\n",
        "om_created{a=\"b\"} 1520430000.123\n",
        "# TYPE temp gauge\ntemp NaN\n{\"my.metric\",le=\"+Inf\"} +Inf\n",
        "broken{a=\"b\nalso broken\nbroken 1x\n",
        "# EOF\nafter 1\n",
    );
    let mut read = Page::new(page);
    let mut found = Vec::new();
    for sample in read.by_ref() {
        found.push((sample.name, sample.value, sample.kind, sample.label("a")));
    }
    assert_eq!(found.len(), 6, "{found:?}");
    assert_eq!(
        found[0],
        ("http_requests_total", 1027.0, Type::Counter, "".into())
    );
    assert_eq!(
        (found[1].1, found[2].1, found[2].2),
        (35.0, 17.0, Type::Counter)
    );
    assert_eq!((found[2].3.as_ref(), found[4].0), ("b", "temp"));
    assert!(found[4].1.is_nan() && found[4].2 == Type::Gauge);
    assert_eq!((found[5].0, found[5].1), ("my.metric", f64::INFINITY));
    assert_eq!((read.broken, read.ended), (3, true));
    let sample = Page::new(page).next().unwrap();
    assert_eq!(sample.label("path"), "C:\\D\"},\n");
    for end in 0..page.len() {
        // Cut off anywhere it is read as far as it goes.
        let _any = Page::new(page.get(..end).unwrap()).count();
    }
}

#[test]
fn selectors_take_what_they_take_in_promql() {
    let takes = |selector: &str, line: &str| {
        let matcher = Matcher::parse(selector).unwrap();
        let sample = Page::new(line).next().unwrap();
        sample.name == matcher.name() && matcher.takes(|name| sample.label(name))
    };
    let line = "r{code=\"502\",path=\"/a\"} 1";
    for (selector, expected) in [
        ("r", true),
        ("r{}", true),
        ("r{code=\"502\"}", true),
        ("r{code=~\"5..\", path!=\"/b\",}", true),
        ("r{code=~\"5\"}", false),
        ("r{code!~'5..'}", false),
        ("r{missing=\"\"}", true),
        ("r{missing!=\"\"}", false),
        ("x{code=\"502\"}", false),
    ] {
        assert_eq!(takes(selector, line), expected, "{selector}");
    }
    for bad in [
        "",
        "1r",
        "r{",
        "r{code}",
        "r{code=502}",
        "r{code=\"5}",
        "r{a=\"b\" c=\"d\"}",
        "r{a=~\"(\"}",
    ] {
        assert!(Matcher::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_was_added_counts_and_a_reset_is_seen() {
    let rule = rule("r_total", "r_total{code=~\"5..\"}", "");
    let mut counters = Counters::default();
    let mut step = |page: &str| {
        let (row, _) = look(&mut counters, &rule, page);
        row.map(|row| (row.counts.total, row.counts.bad))
    };
    assert_eq!(
        step("r_total{code=\"200\"} 1000\n"),
        None,
        "the first look only remembers"
    );
    assert_eq!(step("r_total{code=\"200\"} 1010\n"), Some((10, 0)));
    assert_eq!(step("r_total{code=\"200\"} 1010\n"), None);
    // The first fault brings its own counter.
    assert_eq!(
        step("r_total{code=\"200\"} 1012\nr_total{code=\"500\"} 3\n"),
        Some((5, 3))
    );
    // The program began anew.
    assert_eq!(
        step("r_total{code=\"200\"} 4\nr_total{code=\"500\"} 1\n"),
        Some((5, 1))
    );
    let (_, looked) = look(
        &mut counters,
        &rule,
        "# TYPE r_total gauge\nr_total 5\nx 1\n",
    );
    assert_eq!((looked.unfit, looked.used), (1, 0));
    let (_, looked) = look(
        &mut counters,
        &rule,
        "r_total NaN\nr_total -1\nr_total +Inf\n?\n",
    );
    assert_eq!((looked.unfit, looked.broken), (3, 1));
}

/// A histogram page: cumulative counts by bound.
fn histogram(bounds: &[(&str, u64)]) -> String {
    let line = |(le, n): &(&str, u64)| format!("took_bucket{{job=\"a\",le=\"{le}\"}} {n}\n");
    let lines: String = bounds.iter().map(line).collect();
    format!("# TYPE took histogram\n{lines}took_sum 12.5\ntook_count 7\n")
}

#[test]
fn classic_histograms_become_durations() {
    let rule = rule("", "", "took{job=\"a\"}");
    let mut counters = Counters::default();
    let zero = histogram(&[("0.1", 0), ("0.25", 0), ("1", 0), ("+Inf", 0)]);
    assert_eq!(look(&mut counters, &rule, &zero).0, None);
    let page = histogram(&[("0.1", 900), ("0.25", 940), ("1", 990), ("+Inf", 1000)]);
    let row = look(&mut counters, &rule, &page).0.unwrap();
    assert_eq!((row.counts.total, row.durations.count()), (1000, 1000));
    // Thresholds that are bounds are exact.
    for (threshold, within) in [(100_000, 900), (250_000, 940), (1_000_000, 990)] {
        assert_eq!(row.durations.below(threshold), within, "{threshold}");
    }
    // Prometheus interpolates the 95th percentile to 0.25 + 0.75 * 10/50 s.
    // With 50 durations between the two bounds a step is 15 ms.
    let p95 = row.durations.quantile(0.95).unwrap();
    assert!(p95.abs_diff(400_000) <= 15_000, "{p95}");
    assert!(row.durations.max().unwrap() > Histogram::within(1_000_000));
}

#[test]
fn a_page_with_too_many_labels_costs_no_more_than_its_bound() {
    use std::fmt::Write as _;
    let rule = rule("r", "", "");
    let mut counters = Counters::default();
    let mut page = String::new();
    for user in 0..30_000 {
        writeln!(page, "r{{user=\"{user}\"}} 1").unwrap();
    }
    let (_, looked) = look(&mut counters, &rule, &page);
    assert_eq!((looked.used, looked.surplus), (20_000, 10_000));
}
