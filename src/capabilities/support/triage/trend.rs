//! How many mails come: today against the same weekday of the past weeks, and the last minutes
//! against the usual of such a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::super::model::{Category, Kind, Mail};
use super::rules::Rules;
use super::{threads, topics};

/// Past weeks that a day is held against.
const WEEKS: u64 = 8;
/// Weekdays of the past from which a usual is known (our own choice: of two, either may be odd).
const LEAST_WEEKS: usize = 3;
/// How far back the usual of a short time is taken from.
const USUAL_DAYS: TimeDelta = TimeDelta::days(28);

/// Mails of persons by day, on our clocks. A day that is missing after the first had none.
pub type DayCounts = BTreeMap<NaiveDate, u32>;

/// Today against the same weekday of the past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The day on our clocks.
    pub day: NaiveDate,
    /// Mails of persons so far.
    pub today: u32,
    /// The median of the same weekday in the past eight weeks; none where too few are known.
    pub median: Option<f64>,
    /// Weekdays that the median is of.
    pub n: usize,
    /// Today by the median; none where that is zero or not known.
    pub ratio: Option<f64>,
    /// Whether there are unusually many, already before the day ends.
    pub is_spike: bool,
}

/// `today` against the past of `days`, the present day left out.
pub(super) fn of(days: &DayCounts, today: u32, now: DateTime<Utc>, rules: &Rules) -> Trend {
    let day = rules.day_of(now);
    let first = days.keys().next().copied();
    let past = (1..=WEEKS).filter_map(|weeks| day.checked_sub_days(Days::new(weeks * 7)));
    let known = past.filter(|past| first.is_some_and(|first| *past >= first));
    let mut counts: Vec<u32> = known
        .map(|past| days.get(&past).copied().unwrap_or_default())
        .collect();
    counts.sort_unstable();
    let median = (counts.len() >= LEAST_WEEKS)
        .then(|| median(&counts))
        .flatten();
    let ratio = median
        .filter(|median| *median > 0.0)
        .map(|median| f64::from(today) / median);
    let limit = median.map(|median| (median * rules.trend.ratio).max(f64::from(rules.trend.mails)));
    Trend {
        day,
        today,
        median,
        n: counts.len(),
        ratio,
        is_spike: limit.is_some_and(|limit| f64::from(today) >= limit),
    }
}

/// The middle of sorted `counts`.
fn median(counts: &[u32]) -> Option<f64> {
    let middle = counts.len() / 2;
    let upper = f64::from(*counts.get(middle)?);
    if counts.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = f64::from(*counts.get(middle.checked_sub(1)?)?);
    Some(f64::midpoint(lower, upper))
}

/// Many people who write about the same within a short time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Burst {
    /// What it is about: a category, or a word of their subjects.
    pub about: String,
    /// The category that most of its mails are in.
    pub category: Category,
    /// Different senders.
    pub senders: usize,
    /// Mails of such a time that are usual.
    pub usual: f64,
    /// When the first of them came.
    pub since: DateTime<Utc>,
    /// Their ids, the newest first, at most 10.
    pub message_ids: Vec<String>,
}

/// Ids that a burst names.
const MOST_IDS: usize = 10;

/// Bursts within the window that ends `now`, the greatest first. Of a category and a word that are
/// the same mails, only the category is told.
pub(super) fn bursts(mails: &[&Mail], rules: &Rules, now: DateTime<Utc>) -> Vec<Burst> {
    let rule = rules.burst;
    let opened = now - rule.window;
    let (mut recent, mut past): (Vec<&Mail>, Vec<&Mail>) = (Vec::new(), Vec::new());
    for mail in mails
        .iter()
        .copied()
        .filter(|mail| mail.kind == Kind::Person)
    {
        if mail.date > opened && mail.date <= now {
            recent.push(mail);
        } else if mail.date <= opened && mail.date > opened - USUAL_DAYS {
            past.push(mail);
        }
    }
    if threads::senders(recent.iter().copied()) < rule.senders {
        return Vec::new();
    }
    // The usual is taken of the days that are known, a day at least.
    let known = past
        .iter()
        .map(|mail| opened - mail.date)
        .max()
        .unwrap_or_default();
    let windows =
        known.max(TimeDelta::days(1)).num_seconds() as f64 / rule.window.num_seconds() as f64;
    let mut found: Vec<Burst> = Vec::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let usual_of = keyed(&past);
    let mut groups: Vec<(Key, Vec<&Mail>)> = keyed(&recent).into_iter().collect();
    groups.sort_by_key(|(key, mails)| (key.is_word(), std::cmp::Reverse(mails.len()), key.text()));
    for (key, group) in groups {
        let senders = threads::senders(group.iter().copied());
        let usual = usual_of
            .get(&key)
            .map_or(0.0, |past| past.len() as f64 / windows);
        let new = group
            .iter()
            .filter(|mail| !told.contains(mail.message_id.as_str()))
            .count();
        if senders < rule.senders || (senders as f64) < usual * rule.ratio || new * 2 < group.len()
        {
            continue;
        }
        told.extend(group.iter().map(|mail| mail.message_id.as_str()));
        found.push(burst(&key, &group, senders, usual));
    }
    found.sort_by_key(|burst| std::cmp::Reverse(burst.senders));
    found
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Category(Category),
    Word(String),
}

impl Key {
    fn is_word(&self) -> bool {
        matches!(self, Self::Word(_))
    }

    fn text(&self) -> String {
        match self {
            Self::Category(category) => category.word().to_owned(),
            Self::Word(word) => word.clone(),
        }
    }
}

/// Mails by category and by the telling words of their subjects.
fn keyed<'m>(mails: &[&'m Mail]) -> HashMap<Key, Vec<&'m Mail>> {
    let mut found: HashMap<Key, Vec<&Mail>> = HashMap::new();
    for mail in mails {
        // Mails about nothing known have nothing in common.
        if mail.category != Category::Other {
            found
                .entry(Key::Category(mail.category))
                .or_default()
                .push(mail);
        }
        for word in topics::words(&mail.subject) {
            found.entry(Key::Word(word)).or_default().push(mail);
        }
    }
    found
}

fn burst(key: &Key, group: &[&Mail], senders: usize, usual: f64) -> Burst {
    let mut newest: Vec<&Mail> = group.to_vec();
    newest.sort_by_key(|mail| std::cmp::Reverse(mail.date));
    let count = |category: Category| {
        group
            .iter()
            .filter(|mail| mail.category == category)
            .count()
    };
    let most = Category::ALL
        .into_iter()
        .rev()
        .max_by_key(|category| count(*category));
    Burst {
        about: key.text(),
        category: most.unwrap_or(Category::Other),
        senders,
        usual,
        since: newest.last().map(|mail| mail.date).unwrap_or_default(),
        message_ids: newest
            .iter()
            .take(MOST_IDS)
            .map(|mail| mail.message_id.clone())
            .collect(),
    }
}
