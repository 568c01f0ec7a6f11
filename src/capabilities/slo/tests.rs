//! The rules against a naive reference, over scripted and random outages.

use super::budget::{Level, budget};
use super::logic::{Standing, alerts, look};
use super::model::{DAY, HOUR, Kind, LowTraffic, Objective, Rule, Severity, Tally, begin_of};
use super::recorded::Recorded;

/// Some minute to begin at: 2026-03-01T00:00Z.
const BEGIN: i64 = 29_539_200;

fn objective(target_percent: f64) -> Objective {
    Objective {
        name: "checkout".into(),
        series: "shop".into(),
        kind: Kind::Availability,
        target_percent,
        period_days: 30,
        rules: Rule::ALL.into(),
        low_traffic: LowTraffic::default(),
    }
}

/// When alerts of a severity were open: minutes since the beginning, the end not included.
type Spans = Vec<(i64, i64)>;

fn spans(open: &[bool]) -> Spans {
    let mut spans = Vec::new();
    for (at, open) in open.iter().enumerate() {
        let at = i64::try_from(at).expect("few minutes");
        match spans.last_mut() {
            Some((_, until)) if *until == at && *open => *until = at + 1,
            _ if *open => spans.push((at, at + 1)),
            _ => {}
        }
    }
    spans
}

/// What we say at the end of each minute of a script, by severity.
fn ours(objective: &Objective, script: &[Tally]) -> [Spans; 2] {
    let minutes = (BEGIN..).zip(script.iter().copied());
    let past = Recorded::new(minutes);
    let mut standing = Standing::default();
    let mut open = [vec![], vec![]];
    for until in (BEGIN + 1..).take(script.len()) {
        let (_, changes) = alerts(objective, &standing, &past, until);
        for change in &changes {
            standing.apply(change, begin_of(until));
        }
        for (open, severity) in open.iter_mut().zip(Severity::ALL) {
            open.push(standing.open.contains_key(&severity));
        }
    }
    open.map(|open| spans(&open))
}

/// The table as it is published, at 30 days: two windows in minutes and a factor.
const PAGE: [(usize, usize, f64); 2] = [(60, 5, 14.4), (360, 30, 6.0)];
const TICKET: [(usize, usize, f64); 2] = [(1440, 120, 3.0), (4320, 360, 1.0)];

/// The reference: both windows over the factor, rows or-ed; no guard of any kind.
fn reference(script: &[Tally], target_percent: f64) -> [Spans; 2] {
    let allowed = 1.0 - target_percent / 100.0;
    let ratio = |end: usize, minutes: usize| {
        let window = &script[(end + 1).saturating_sub(minutes)..=end];
        let (mut requests, mut bad) = (0, 0);
        for minute in window {
            requests += minute.requests;
            bad += minute.bad;
        }
        bad as f64 / requests as f64
    };
    [PAGE, TICKET].map(|rows| {
        let open = (0..script.len()).map(|end| {
            rows.iter().any(|(long, short, factor)| {
                // The short window first: mostly it decides, and it is quick to add up.
                let highest = factor * allowed * (1.0 + 1e-9);
                ratio(end, *short) > highest && ratio(end, *long) > highest
            })
        });
        spans(&open.collect::<Vec<_>>())
    })
}

/// `minutes` with `requests` each, of which `share` are bad as evenly as whole numbers allow.
fn minutes(script: &mut Vec<Tally>, minutes: i64, requests: u64, share: f64) {
    let mut owed = 0.5;
    for _ in 0..minutes {
        owed += requests as f64 * share;
        let mut bad = 0;
        while owed >= 1.0 && bad < requests {
            (bad, owed) = (bad + 1, owed - 1.0);
        }
        script.push(Tally { requests, bad });
    }
}

#[test]
fn outages_page_when_the_reference_does() {
    let allowed_minutes = [(1.0, 1), (0.1, 9), (0.05, 18), (0.02, 44), (0.014, 155)];
    for (share, expected) in allowed_minutes {
        let mut script = Vec::new();
        minutes(&mut script, 3 * DAY, 1000, 0.0);
        minutes(&mut script, 4 * HOUR, 1000, share);
        minutes(&mut script, 8 * HOUR, 1000, 0.0);
        let ours = ours(&objective(99.9), &script);
        let first = ours[0].first().expect("a page").0 + 1 - 3 * DAY;
        assert_eq!(first, expected, "minutes until an outage of {share} pages");
        assert_eq!(ours, reference(&script, 99.9), "share {share}");
    }
}

#[test]
fn slow_burns_open_tickets_when_the_reference_does() {
    for (share, hours) in [(0.004, 18), (0.0015, 48)] {
        let mut script = Vec::new();
        minutes(&mut script, 3 * DAY, 1000, 0.0);
        minutes(&mut script, 3 * DAY, 1000, share);
        let ours = ours(&objective(99.9), &script);
        let first = ours[1].first().expect("a ticket").0 + 1 - 3 * DAY;
        assert!(
            (first - hours * HOUR).abs() <= 2,
            "{share}: {first} minutes"
        );
        assert_eq!(ours, reference(&script, 99.9), "share {share}");
    }
}

/// A small generator whose numbers never change (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = self.below(choices.len() as u64);
        choices[usize::try_from(at).expect("few choices")]
    }
}

/// Six clean hours, then a day and a half with outages and traffic that changes, and that is not
/// there at all at times if there are to be `gaps`.
fn random_script(dice: &mut Dice, gaps: bool) -> Vec<Tally> {
    let mut script = Vec::new();
    let base = dice.of(&[60, 60, 300, 2000]);
    minutes(&mut script, 6 * HOUR, base, 0.0);
    while script.len() < 2500 {
        let length = i64::try_from(1 + dice.below(300)).expect("few minutes");
        let requests = base * dice.of(&[1, 1, 1, 2, 3]);
        let share = dice.of(&[
            0.0, 0.0, 0.0, 0.0005, 0.0015, 0.004, 0.014, 0.02, 0.05, 0.1, 0.6, 1.0,
        ]);
        let requests = if gaps && dice.below(20) == 0 {
            0
        } else {
            requests
        };
        minutes(&mut script, length, requests, share);
    }
    script
}

/// Whether each span of one list has its like in the other, edges at most two minutes apart.
fn alike(ours: &Spans, reference: &Spans) -> bool {
    let near = |a: i64, b: i64| (a - b).abs() <= 2;
    let pairs = ours.iter().zip(reference);
    ours.len() == reference.len()
        && pairs
            .into_iter()
            .all(|(a, b)| near(a.0, b.0) && near(a.1, b.1))
}

#[test]
fn random_scripts_fire_and_resolve_when_the_reference_does() {
    let mut guarded = objective(99.9);
    guarded.rules.remove(&Rule::Sustained);
    let mut plain = guarded.clone();
    plain.low_traffic = LowTraffic {
        min_bad_page: 0,
        min_bad_ticket: 0,
        few_requests: 0,
        ..LowTraffic::default()
    };
    let mut pages = 0;
    for seed in 0..200 {
        // The guard differs by intent where a gap leaves an hour with a handful of requests.
        let gaps = seed % 2 == 0;
        let script = random_script(&mut Dice(seed), gaps);
        let target = [99.9, 99.5, 99.99][usize::try_from(seed % 3).expect("small")];
        (plain.target_percent, guarded.target_percent) = (target, target);
        let reference = reference(&script, target);
        pages += reference[0].len();
        assert_eq!(ours(&plain, &script), reference, "seed {seed}, {target} %");
        let guarded = ours(&guarded, &script);
        let both = guarded.iter().zip(&reference);
        for (guarded, reference) in both.filter(|_| !gaps) {
            let told = format!("seed {seed}, {target} %: {guarded:?}, {reference:?}");
            assert!(alike(guarded, reference), "{told}");
        }
    }
    assert!(pages > 200, "only {pages} pages: the scripts prove little");
}

#[test]
fn a_page_stays_for_the_short_window_of_its_slowest_rule() {
    // Ops notes §2.1: 29 minutes after ten minutes of outage, 4 after two.
    for (outage, after) in [(10, 29), (2, 4)] {
        let mut script = Vec::new();
        minutes(&mut script, 3 * DAY, 1000, 0.0);
        minutes(&mut script, outage, 1000, 1.0);
        minutes(&mut script, HOUR, 1000, 0.0);
        let ours = ours(&objective(99.9), &script);
        let last = ours[0].last().expect("a page").1;
        assert_eq!(last - 3 * DAY - outage, after, "after {outage} minutes");
    }
}

/// One request every `every` minutes, the first at `first`; `bad` says which of them fail.
fn sparse(days: i64, every: i64, bad: impl Fn(i64) -> bool) -> Vec<Tally> {
    let minute = |at: i64| {
        let request = at % every == 0;
        Tally {
            requests: u64::from(request),
            bad: u64::from(request && bad(at / every)),
        }
    };
    (0..days * DAY).map(minute).collect()
}

#[test]
fn one_error_a_day_at_fifty_requests_pages_nobody() {
    // 50 requests a day, 29 minutes apart; the bad one stands elsewhere each day, also such that
    // two of them come close together, and the first days have no history at all.
    for shift in 0..25 {
        let failing = |request: i64| request % 50 == (request / 50 * 7 + shift) % 50;
        let script = sparse(30, 29, failing);
        let bad: u64 = script.iter().map(|minute| minute.bad).sum();
        assert!((28..=31).contains(&bad), "{bad} bad requests");
        let [pages, _] = ours(&objective(99.9), &script);
        assert_eq!(pages, [], "shift {shift}");
        let [reference, _] = reference(&script, 99.9);
        assert!(reference.len() > 20, "the rules without the guard do page");
    }
}

#[test]
fn ninety_percent_failing_opens_a_ticket_within_six_hours() {
    // Every hour, twice an hour, four times; every tenth request is good, wherever it stands.
    for every in [60, 30, 15] {
        for good in 0..10 {
            let clean = 3 * DAY / every;
            let failing = |request: i64| request >= clean && request % 10 != good;
            for target in [90.0, 99.0, 99.9] {
                let script = sparse(4, every, failing);
                let mut objective = objective(target);
                let possible = |rule: &Rule| rule.factor(30).is_none_or(|f| f < 10.0);
                objective.rules.retain(possible);
                let [_, tickets] = ours(&objective, &script);
                let first = tickets.first().expect("a ticket").0 + 1 - 3 * DAY;
                let told = format!("{target} %, every {every} minutes, good {good}: {first}");
                assert!(first <= 6 * HOUR, "{told}");
            }
        }
    }
}

#[test]
fn no_request_is_no_recovery_where_requests_are_rare() {
    // One request an hour, all bad: the half hour after each is empty, the page stays.
    let script = sparse(2, 60, |request| request >= 24);
    let [pages, _] = ours(&objective(99.9), &script);
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(pages[0].1, 2 * DAY);
}

#[test]
fn a_quiet_night_does_not_hide_an_outage() {
    let mut script = Vec::new();
    for _ in 0..3 {
        minutes(&mut script, 12 * HOUR, 1000, 0.0);
        minutes(&mut script, 12 * HOUR, 5, 0.0);
    }
    minutes(&mut script, HOUR, 5, 0.5);
    let reference = reference(&script, 99.9);
    let ours = ours(&objective(99.9), &script);
    let late = ours[0][0].0 - reference[0][0].0;
    assert!((0..=2).contains(&late), "{late} minutes later");
}

#[test]
fn a_page_begins_with_the_first_bad_request_of_its_outage() {
    let mut script = Vec::new();
    minutes(&mut script, 3 * DAY, 1000, 0.0);
    // A lone fault half an hour before is another matter for the fast page.
    script.push(Tally {
        requests: 1000,
        bad: 1,
    });
    minutes(&mut script, 30, 1000, 0.0);
    minutes(&mut script, 9, 1000, 0.1);
    let past = Recorded::new((BEGIN..).zip(script.iter().copied()));
    let until = past.ends().expect("minutes");
    let mut objective = objective(99.9);
    objective.rules = [Rule::PageFast].into();
    let (_, changes) = alerts(&objective, &Standing::default(), &past, until);
    let text = format!("{changes:?}");
    let began = begin_of(BEGIN + 3 * DAY + 31)
        .to_string()
        .replace(' ', "T")
        .replace("TUTC", "Z");
    assert!(text.contains(&began), "{began}: {text}");
}

#[test]
fn the_budget_is_told_in_percent_minutes_and_requests() {
    let mut script = Vec::new();
    minutes(&mut script, 30 * DAY - 10, 100, 0.0);
    minutes(&mut script, 10, 100, 1.0);
    let past = Recorded::new((BEGIN..).zip(script.iter().copied()));
    let until = BEGIN + 30 * DAY;
    let found = budget(&objective(99.9), &past, until);
    assert_eq!(
        found.tally,
        Tally {
            requests: 4_320_000,
            bad: 1000
        }
    );
    // Compared as written: they are rounded to four decimals.
    let told = serde_json::to_value(&found).expect("numbers");
    for (name, value) in [
        ("allowed_requests", "4320.0"),
        ("remaining_requests", "3320.0"),
        ("total_minutes", "43.2"),
        ("consumed_minutes", "10.0"),
        ("remaining_minutes", "33.2"),
        ("consumed_percent", "23.1481"),
    ] {
        assert_eq!(told[name].to_string(), value, "{name}");
    }
    assert_eq!(found.level, Level::Ample);
    // Six hours burn at 10/360/0.001 = 27.8: what is left lasts 19.9 hours.
    let end = found.exhausted_at.expect("an end");
    assert_eq!((end - begin_of(until)).num_minutes(), 1196);
    let gone = look(&objective(99.99), &Standing::default(), &past, until);
    assert_eq!(gone.budget.level, Level::Exhausted);
    assert!(
        gone.changes
            .iter()
            .any(|change| change.kind() == "slo.budget_changed")
    );
}

#[test]
fn factors_scale_with_the_period() {
    let at = |days| Rule::ALL.map(|rule| rule.factor(days).map(|f| (f * 1000.0).round() / 1000.0));
    assert_eq!(at(30), [Some(14.4), Some(6.0), Some(3.0), Some(1.0), None]);
    assert_eq!(
        at(28),
        [Some(13.44), Some(5.6), Some(2.8), Some(0.933), None]
    );
    assert_eq!(at(7), [Some(3.36), Some(1.4), Some(0.7), Some(0.233), None]);
}
