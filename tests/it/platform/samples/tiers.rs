//! Hours and days: on record once, whatever happens around their closing.

use std::collections::BTreeMap;

use super::*;

/// Sums of the tiers as any reader would make them: by series and start.
fn on_record(lab: &Lab, kind: &str) -> BTreeMap<(String, DateTime<Utc>), Counts> {
    let mut sums: BTreeMap<_, Counts> = BTreeMap::new();
    for line in lab.lines(TIERS).iter().filter(|line| line["kind"] == kind) {
        for row in line["rows"].as_array().unwrap() {
            let key = (
                row["series"].as_str().unwrap().to_owned(),
                at(row["start"].as_str().unwrap()),
            );
            let number = |name: &str| row[name].as_u64().unwrap();
            let (total, bad) = (number("total"), number("bad"));
            let timed: u64 = row["buckets"]
                .as_object()
                .unwrap()
                .values()
                .map(|n| n.as_u64().unwrap())
                .sum();
            assert_eq!(timed, total);
            sums.entry(key).or_default().add(Counts { total, bad });
        }
    }
    sums
}

/// The same of what was handed over.
fn told(lab: &Lab, slot: i64, until: DateTime<Utc>) -> BTreeMap<(String, DateTime<Utc>), Counts> {
    let mut sums: BTreeMap<_, Counts> = BTreeMap::new();
    for ((series, minute), (counts, _)) in &lab.told {
        let start = i64::from(*minute) / slot * slot;
        let start = DateTime::from_timestamp(start * 60, 0).unwrap();
        if start + TimeDelta::minutes(slot) <= until {
            sums.entry((series.clone(), start))
                .or_default()
                .add(*counts);
        }
    }
    sums
}

#[test]
fn hours_are_closed_after_their_end_and_late_rows_make_another() {
    let mut lab = Lab::new();
    for ago in [0, 20, 70] {
        let rows = lab.rows("web", ago, 0, 1000);
        lab.commit(rows, None, None);
    }
    // 09:15:20: the hours of 07 and 08 have ended.
    assert!(lab.close_hours());
    assert!(!lab.close_hours());
    let starts = |lab: &Lab| {
        on_record(lab, "samples.hour_closed")
            .into_keys()
            .map(|(_, start)| start)
            .collect::<Vec<_>>()
    };
    assert_eq!(starts(&lab), [at("2026-11-21T08:00:00Z")]);
    let rows = lab.rows("web", 75, 1, 5000);
    lab.commit(rows, None, None);
    lab.clock.advance(Duration::from_mins(49));
    assert!(lab.close_hours());
    let hour =
        &on_record(&lab, "samples.hour_closed")[&("web".to_owned(), at("2026-11-21T08:00:00Z"))];
    assert_eq!(*hour, Counts { total: 3, bad: 1 });
    // At 10:04:20 the hour of 09 is still open for stragglers.
    assert_eq!(starts(&lab).len(), 1);
    lab.clock.advance(Duration::from_mins(1));
    assert!(lab.close_hours());
    assert_eq!(starts(&lab).len(), 2);
    assert_eq!(lab.total("web"), lab.told("web"));
}

#[test]
fn everything_counts_once_over_random_kills_restarts_and_lost_checkpoints() {
    for seed in 1..=12_u64 {
        let mut lab = Lab::new();
        let mut random = noise(seed * 0x9e37_79b9);
        for step in 0..220 {
            let series = ["web", "web:slow", "probe:a"][usize::try_from(random(3)).unwrap()];
            let late = [0, 1, 30, 90, 1500, 5000][usize::try_from(random(6)).unwrap()];
            let ago = i64::try_from(random(1 + late)).unwrap();
            let rows = lab.rows(series, ago, random(2), random(2_000_000));
            if random(2) == 0 {
                lab.commit(rows, Some(json!(step)), None);
            } else {
                lab.samples.add("own", rows);
                lab.flushed();
            }
            match random(12) {
                0 => lab.killed(),
                1 => lab.restarted(),
                2 => lab.without_checkpoint(),
                3 => lab.runtime.block_on(async {
                    lab.samples.keep_fine("web", &[random(1_000_000)]);
                    lab.samples.refill().await;
                }),
                4..=6 => drop(lab.close_hours()),
                _ => lab.clock.advance(Duration::from_secs(random(4000))),
            }
            for series in ["web", "web:slow", "probe:a"] {
                assert_eq!(
                    lab.total(series),
                    lab.told(series),
                    "seed {seed} step {step} {series}"
                );
            }
        }
        // A day later everything of today is closed.
        lab.clock.advance(Duration::from_hours(25));
        lab.close_hours();
        let until = at("2030-01-01T00:00:00Z");
        assert_eq!(
            on_record(&lab, "samples.hour_closed"),
            told(&lab, 60, until),
            "seed {seed}"
        );
        let today = DateTime::from_timestamp(lab.now().timestamp() / 86_400 * 86_400, 0).unwrap();
        let days = on_record(&lab, "samples.day_closed");
        assert_eq!(days, told(&lab, 1440, today), "seed {seed}");
        lab.without_checkpoint();
        for series in ["web", "web:slow", "probe:a"] {
            assert_eq!(lab.total(series), lab.told(series), "seed {seed} {series}");
        }
    }
}

#[test]
fn a_checkpoint_older_than_the_last_closing_is_not_trusted() {
    let mut lab = Lab::new();
    let name = format!("{STREAM}.counts.view");
    let rows = lab.rows("web", 80, 0, 1000);
    lab.commit(rows, None, None);
    lab.restarted();
    let old = lab.engine.load_derived(&name).unwrap();
    lab.close_hours();
    // This one knows of the closing as being on its way.
    lab.killed();
    assert!(!lab.close_hours());
    lab.engine.save_derived(&name, &old).unwrap();
    lab.killed();
    assert!(!lab.close_hours(), "what is on record is not closed again");
    assert_eq!(lab.total("web"), lab.told("web"));
    assert_eq!(on_record(&lab, "samples.hour_closed").len(), 1);
}

#[test]
fn a_closing_that_never_reached_its_journal_is_made_again() {
    let mut lab = Lab::new();
    let rows = lab.rows("web", 80, 0, 1000);
    lab.commit(rows, None, None);
    lab.close_hours();
    let name = format!("{STREAM}.counts.view");
    let on_its_way = lab.engine.load_derived(&name).unwrap();
    // Another machine, to which the journal of minutes and the checkpoint have been brought.
    let mut other = Lab::new();
    let rows = other.rows("web", 80, 0, 1000);
    other.commit(rows, None, None);
    assert_eq!(other.lines(STREAM), lab.lines(STREAM));
    other.engine.save_derived(&name, &on_its_way).unwrap();
    other.killed();
    assert_eq!(other.total("web").total, 1);
    assert!(other.close_hours());
    assert_eq!(other.lines(TIERS), lab.lines(TIERS));
}

#[test]
fn a_torn_closing_is_no_closing() {
    let mut lab = Lab::new();
    for series in 0..450 {
        let rows = lab.rows(&format!("probe:{series}"), 80, 0, 1000);
        lab.samples.add("probes", rows);
    }
    lab.flushed();
    lab.close_hours();
    assert_eq!(lab.lines(TIERS).len(), 3);
    let mut torn = Lab::new();
    let mut lines = echopilot::storage::lines::Lines::new();
    for line in &lab.lines(TIERS)[..2] {
        let mut members = line.as_object().unwrap().clone();
        for own in ["seq", "ts", "kind", "h"] {
            members.remove(own);
        }
        let text = Value::Object(members).to_string();
        lines.push("samples.hour_closed", lab.now(), |out| {
            out.extend_from_slice(&text.as_bytes()[1..text.len() - 1]);
        });
    }
    let expect = echopilot::storage::engine::Expect::Any;
    let append = torn.engine.append(TIERS, expect, None, lines, None);
    torn.runtime.block_on(append).unwrap();
    torn.without_checkpoint();
    assert!(torn.samples.series().is_empty());
    let rows = torn.rows("web", 80, 0, 1000);
    torn.commit(rows, None, None);
    assert!(torn.close_hours());
    torn.without_checkpoint();
    assert_eq!(torn.total("web").total, 1);
}

#[test]
fn a_series_kept_finer_later_knows_its_past() {
    let mut lab = Lab::new();
    for ago in (0..4000).rev().step_by(9) {
        let rows = lab.rows("web", ago, 0, u64::try_from(ago).unwrap() * 100);
        lab.commit(rows, None, None);
    }
    lab.close_hours();
    let before = lab.total("web");
    lab.samples.keep_fine("web", &[200_000]);
    lab.runtime.block_on(lab.samples.refill());
    assert_eq!(lab.total("web"), before);
    for ago in [7, 100, 1000, 3000, 3999] {
        let truth = (0..4000_i64)
            .rev()
            .step_by(9)
            .filter(|one| *one <= ago)
            .count() as u64;
        let (from, until) = (lab.ago(ago) - TimeDelta::seconds(20), lab.now());
        assert_eq!(lab.samples.counts("web", from, until).total, truth, "{ago}");
        let slow = (0..4000_i64)
            .rev()
            .step_by(9)
            .filter(|one| *one <= ago && *one > 2000)
            .count();
        let slower = lab.samples.slower("web", 200_000, from, until);
        assert!(
            slower.bad.abs_diff(slow as u64) <= 3,
            "{ago}: {slower:?} {slow}"
        );
        assert_eq!(slower.total, truth);
    }
    assert_eq!(
        lab.samples.minutes("web", lab.ago(4000), lab.now()).len(),
        445
    );
    let mut recorded = 0;
    let take = |row: &echopilot::platform::samples::Row| recorded += row.counts.total;
    lab.samples
        .recorded(lab.ago(1000), lab.now(), take)
        .unwrap();
    assert_eq!(recorded, 111);
}

#[test]
fn a_closing_without_a_new_line_is_in_the_checkpoint() {
    let mut lab = Lab::new();
    let rows = lab.rows("web", 0, 0, 900);
    lab.commit(rows, None, None);
    lab.clock.advance(Duration::from_hours(2));
    // Nothing is new since the checkpoint when the hour is closed.
    lab.restarted();
    assert!(lab.close_hours());
    let name = format!("{STREAM}.counts.view");
    for end in [Lab::restarted, Lab::killed] {
        end(&mut lab);
        let saved = lab.engine.load_derived(&name).unwrap();
        assert_ne!(saved, b"void\n", "the whole journal was read again");
        assert_eq!(lab.total("web"), lab.told("web"));
    }
}
