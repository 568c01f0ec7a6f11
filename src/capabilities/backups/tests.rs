//! What is kept, over any history of backups.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};

use super::logic::{Candidate, kept};
use super::model::{Keep, Reason};

const KEEP: Keep = Keep {
    daily: 7,
    weekly: 5,
    monthly: 12,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn made(taken_at: DateTime<Utc>) -> Candidate {
    Candidate {
        name: taken_at.format("%Y-%m-%dT%H%M%SZ").to_string(),
        taken_at,
        is_ours: true,
    }
}

fn count(all: &[Candidate], keep: Keep, reason: Reason) -> usize {
    let kept = kept(all, keep);
    kept.values().filter(|why| why.contains(&reason)).count()
}

/// Takes one each night at 02:40 and removes what is not kept, as the task does.
fn nights(from: DateTime<Utc>, nights: i64, skip: impl Fn(i64) -> bool) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = Vec::new();
    for night in 0..nights {
        if skip(night) {
            continue;
        }
        all.push(made(from + TimeDelta::days(night)));
        let names: Vec<String> = kept(&all, KEEP)
            .keys()
            .map(|name| (*name).to_owned())
            .collect();
        all.retain(|one| names.contains(&one.name));
    }
    all
}

#[test]
fn two_years_of_nights_leave_seven_days_five_weeks_and_twelve_months() {
    for offset in 0..40 {
        let from = at("2025-01-01T02:40:00Z") + TimeDelta::days(offset);
        let all = nights(from, 730, |_| false);
        assert_eq!(count(&all, KEEP, Reason::Daily), 7);
        assert_eq!(count(&all, KEEP, Reason::Weekly), 5);
        assert_eq!(count(&all, KEEP, Reason::Monthly), 12);
        assert_eq!(count(&all, KEEP, Reason::Newest), 1);
        assert!(all.len() <= 7 + 5 + 12, "{}", all.len());
        // The days are the last seven, each month's is its last night.
        let last = all.last().unwrap().taken_at;
        for back in 0..7 {
            let day = last - TimeDelta::days(back);
            assert!(all.iter().any(|one| one.taken_at == day), "{day}");
        }
        let kept = kept(&all, KEEP);
        for one in &all {
            let is_monthly = kept[&*one.name].contains(&Reason::Monthly);
            let next = one.taken_at + TimeDelta::days(1);
            if is_monthly && one.taken_at != last {
                assert_ne!(next.month(), one.taken_at.month(), "{}", one.name);
            }
        }
    }
}

#[test]
fn whatever_the_history_the_newest_and_what_people_named_stay_and_nothing_comes_twice() {
    let mut seed = 7_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for round in 0..300 {
        let mut now = at("2026-01-01T00:00:00Z");
        let mut all = Vec::new();
        for number in 0..random(120) {
            now += TimeDelta::minutes(i64::try_from(random(60 * 24 * 9)).unwrap() + 1);
            let mut one = made(now);
            if random(10) == 0 {
                (one.name, one.is_ours) = (format!("before-upgrade-{number}"), false);
            }
            all.push(one);
        }
        let keep = Keep {
            daily: usize::try_from(random(9)).unwrap(),
            weekly: usize::try_from(random(6)).unwrap(),
            monthly: usize::try_from(random(14)).unwrap(),
        };
        let first = kept(&all, keep);
        let newest = all.iter().rfind(|one| one.is_ours);
        assert!(
            newest.is_none_or(|one| first.contains_key(&*one.name)),
            "{round}"
        );
        for one in all.iter().filter(|one| !one.is_ours) {
            assert!(first.contains_key(&*one.name), "{round}: {}", one.name);
        }
        let ours = first
            .values()
            .filter(|why| !why.contains(&Reason::Named))
            .count();
        assert!(
            ours <= keep.daily + keep.weekly + keep.monthly + 1,
            "{round}"
        );
        // The order in which they are listed does not matter, nor does asking again of the rest.
        let mut mixed = all.clone();
        mixed.reverse();
        assert_eq!(first, kept(&mixed, keep), "{round}");
        let mut left = all.clone();
        left.retain(|one| first.contains_key(&*one.name));
        assert_eq!(first, kept(&left, keep), "{round}: what is kept stays kept");
    }
}

#[test]
fn a_home_that_was_down_for_months_loses_nothing_by_it() {
    let all = nights(at("2026-01-01T02:40:00Z"), 200, |night| {
        (30..170).contains(&night)
    });
    // Thirty nights after the gap; the days before it are weeks and months by now.
    assert_eq!(count(&all, KEEP, Reason::Daily), 7);
    assert!(
        all.iter()
            .any(|one| one.taken_at < at("2026-02-01T00:00:00Z"))
    );
}
