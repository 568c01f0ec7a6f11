//! The digest: what waits in the mailbox, on one page. Legacy fields stay as they were: items of
//! `from`, `subject`, `date`, `message_id`.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::super::model::{Category, Kind, Mail, Urgency, Urgent};
use super::hours::Timetable;
use super::rules::Rules;
use super::threads::{self, Thread};
use super::timers::{self, Answered, Waiting};
use super::topics;
use super::trend::{self, Burst, DayCounts, Trend};
use crate::base::time::{as_maybe_stamp, as_stamp};

/// Conversations that wait, or topics, that are named; all are counted.
const MOST_WAITS: usize = 20;
/// Topics that are named.
const MOST_TOPICS: usize = 10;
/// How far deadlines are reckoned ahead: 1,000 business hours of 40 a week are 25 weeks.
const AHEAD: TimeDelta = TimeDelta::days(400);
/// How far back conversations count for the time of first answers.
const ANSWERED_WITHIN: TimeDelta = TimeDelta::days(28);
/// Mails that wait in one conversation before that counts: the third is a nudge.
const NUDGES: usize = 3;

/// What a digest is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'m> {
    /// Mails of the mailbox, read or not, as far back as they are kept.
    pub mails: &'m [Mail],
    /// Our own answers, of the Sent folder.
    pub answers: &'m [Mail],
    /// Mails of persons by day, today's left out or in.
    pub days: &'m DayCounts,
    /// Items at most.
    pub most: usize,
}

/// One mail that waits to be read.
#[derive(Debug, Clone, Serialize)]
pub struct Item {
    /// Who wrote it: `Name <address>`.
    pub from: String,
    /// The subject, decoded.
    pub subject: String,
    /// When it was sent.
    #[serde(serialize_with = "as_stamp")]
    pub date: DateTime<Utc>,
    /// Its id.
    pub message_id: String,
    /// What it is.
    pub kind: Kind,
    /// How soon somebody should look.
    pub urgency: Urgency,
    /// Why that soon.
    pub reasons: Vec<String>,
    /// What it is about.
    pub category: Category,
    /// The id that names its conversation: that of the first mail known.
    pub thread: String,
    /// Mails of its conversation, ours included.
    pub thread_mails: usize,
    /// The first characters of what is new in it.
    pub snippet: String,
}

/// A conversation that waits for our answer.
#[derive(Debug, Clone, Serialize)]
pub struct Wait {
    /// The mail that waits longest in it.
    pub message_id: String,
    /// Who waits.
    pub from: String,
    /// What for.
    pub subject: String,
    /// Since when.
    #[serde(serialize_with = "as_stamp")]
    pub since: DateTime<Utc>,
    /// Until when it should be answered; none where that is more than a year away.
    #[serde(serialize_with = "as_maybe_stamp")]
    pub due: Option<DateTime<Utc>>,
    /// Business time that it has waited, in seconds.
    pub waited_business_secs: i64,
    /// Whether the deadline has passed.
    pub is_breached: bool,
    /// Which deadline: `first_response` or `next_response`.
    pub deadline: &'static str,
    /// The customer's tier.
    pub tier: String,
    /// Mails that wait in it.
    pub mails: usize,
    /// How soon somebody should look.
    pub urgency: Urgency,
    /// Why that soon.
    pub reasons: Vec<String>,
}

/// Who waits.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Waits {
    /// Conversations that wait for our answer.
    pub count: usize,
    /// Those whose deadline has passed.
    pub breached: usize,
    /// Those of whose time three quarters have passed.
    pub near: usize,
    /// The one that waits longest.
    pub oldest: Option<Wait>,
    /// Those whose deadline has passed, the longest first, at most 20.
    pub breaches: Vec<Wait>,
    /// All others by their deadlines, at most 20.
    pub next: Vec<Wait>,
}

/// How soon we answered first, of the last four weeks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FirstAnswers {
    /// Conversations that were answered.
    pub n: usize,
    /// How many of them in time.
    pub in_time: usize,
    /// The median of their business seconds.
    pub median_business_secs: Option<i64>,
}

/// A topic that several people write about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topic {
    /// The word that their subjects share.
    pub word: String,
    /// Different senders.
    pub senders: usize,
}

/// What waits in the mailbox.
#[derive(Debug, Clone, Serialize)]
pub struct Digest {
    /// Items shown.
    pub count: usize,
    /// The newest unread mails that are not set aside.
    pub items: Vec<Item>,
    /// Mails that were looked at, each once.
    pub mails: usize,
    /// Mails that were there again under the same id.
    pub duplicates: usize,
    /// Unread mails, of any kind.
    pub unread: usize,
    /// Unread mails that are only counted: automatic ones, bounces, bulk, spam, our own.
    pub set_aside: usize,
    /// Unread mails by kind.
    pub by_kind: BTreeMap<Kind, usize>,
    /// Unread mails of persons and lists by urgency.
    pub by_urgency: BTreeMap<Urgency, usize>,
    /// Unread mails of persons and lists by category.
    pub by_category: BTreeMap<Category, usize>,
    /// Conversations of all mails that were looked at.
    pub threads: usize,
    /// Who waits for our answer, read or not.
    pub waiting: Waits,
    /// How soon we answered.
    pub first_answers: FirstAnswers,
    /// What several people write about, of the last seven days.
    pub topics: Vec<Topic>,
    /// Today against the past.
    pub trend: Trend,
    /// Many people about the same, just now.
    pub bursts: Vec<Burst>,
}

/// A conversation as the digest needs it.
struct Talk {
    thread: Thread,
    waiting: Option<Waiting>,
}

/// Makes the digest.
pub fn compose(input: &Input<'_>, rules: &Rules, now: DateTime<Utc>) -> Digest {
    let (mails, duplicates) = threads::unique(input.mails.iter().chain(input.answers));
    let table = timetable(&mails, rules, now);
    let mut talks: Vec<Talk> = Vec::new();
    let mut answers: Vec<Answered> = Vec::new();
    for thread in threads::of(&mails, rules) {
        let waiting = timers::waiting(&thread, &mails, rules, &table, now);
        answers.extend(timers::first_answer(&thread, &mails, rules, &table));
        talks.push(Talk { thread, waiting });
    }
    let urgencies = urgencies(&mails, &talks);
    let (items, counts) = items(&mails, &talks, &urgencies, input.most);
    let lately = now - TimeDelta::days(7);
    let people = mails
        .iter()
        .copied()
        .filter(|mail| mail.kind == Kind::Person);
    let today = rules.day_of(now);
    let so_far = people
        .clone()
        .filter(|mail| rules.day_of(mail.date) == today && mail.date <= now);
    let so_far = u32::try_from(so_far.count()).unwrap_or(u32::MAX);
    let fresh = people.filter(|mail| mail.date > lately);
    let topics = topics::top(fresh, MOST_TOPICS);
    Digest {
        count: items.len(),
        items,
        mails: mails.len(),
        duplicates,
        unread: counts.unread,
        set_aside: counts.set_aside,
        by_kind: counts.by_kind,
        by_urgency: counts.by_urgency,
        by_category: counts.by_category,
        threads: talks.len(),
        waiting: waits(&mails, &talks, &urgencies),
        first_answers: first_answers(answers, now),
        topics: topics
            .into_iter()
            .map(|(word, senders)| Topic { word, senders })
            .collect(),
        trend: trend::of(input.days, so_far, now, rules),
        bursts: trend::bursts(&mails, rules, now),
    }
}

fn timetable(mails: &[&Mail], rules: &Rules, now: DateTime<Utc>) -> Timetable {
    let oldest = mails
        .iter()
        .map(|mail| mail.date)
        .min()
        .unwrap_or(now)
        .min(now);
    rules.hours.timetable(oldest, now + AHEAD)
}

/// Urgencies of mails that wait, with what their conversations add; by index.
fn urgencies(mails: &[&Mail], talks: &[Talk]) -> HashMap<usize, Urgent> {
    let mut found = HashMap::new();
    for waiting in talks.iter().filter_map(|talk| talk.waiting.as_ref()) {
        let Some(mail) = mails.get(waiting.last) else {
            continue;
        };
        let mut urgent = mail.urgency.clone();
        if waiting.count >= NUDGES {
            urgent.add(
                20,
                format!("mail {} of the conversation, unanswered", waiting.count),
            );
        }
        if waiting.is_breached() {
            urgent.add(
                25,
                format!("waits longer than tier {} allows", waiting.tier),
            );
        } else if waiting.is_near() {
            urgent.add(10, format!("its deadline of tier {} is near", waiting.tier));
        }
        found.insert(waiting.last, urgent);
    }
    found
}

#[derive(Default)]
struct Counts {
    unread: usize,
    set_aside: usize,
    by_kind: BTreeMap<Kind, usize>,
    by_urgency: BTreeMap<Urgency, usize>,
    by_category: BTreeMap<Category, usize>,
}

fn items(
    mails: &[&Mail],
    talks: &[Talk],
    urgencies: &HashMap<usize, Urgent>,
    most: usize,
) -> (Vec<Item>, Counts) {
    let mut counts = Counts::default();
    let mut shown: Vec<(usize, &Talk)> = Vec::new();
    for talk in talks {
        for &at in &talk.thread.mails {
            let Some(mail) = mails.get(at).filter(|mail| mail.is_unread) else {
                continue;
            };
            counts.unread += 1;
            *counts.by_kind.entry(mail.kind).or_default() += 1;
            if mail.kind.is_set_aside() {
                counts.set_aside += 1;
                continue;
            }
            let class = urgencies
                .get(&at)
                .map_or(mail.urgency.class, |urgent| urgent.class);
            *counts.by_urgency.entry(class).or_default() += 1;
            *counts.by_category.entry(mail.category).or_default() += 1;
            shown.push((at, talk));
        }
    }
    shown
        .sort_by_key(|(at, _)| std::cmp::Reverse(mails.get(*at).map(|mail| (mail.date, mail.uid))));
    shown.truncate(most);
    let item = |(at, talk): (usize, &Talk)| {
        let mail = mails.get(at)?;
        let first = talk
            .thread
            .mails
            .first()
            .and_then(|first| mails.get(*first))?;
        let urgent = urgencies.get(&at).unwrap_or(&mail.urgency);
        Some(Item {
            from: shown_from(mail),
            subject: mail.subject.clone(),
            date: mail.date,
            message_id: mail.message_id.clone(),
            kind: mail.kind,
            urgency: urgent.class,
            reasons: urgent.reasons.clone(),
            category: mail.category,
            thread: first.message_id.clone(),
            thread_mails: talk.thread.mails.len(),
            snippet: mail.snippet.clone(),
        })
    };
    (shown.into_iter().filter_map(item).collect(), counts)
}

/// `Name <address>`, or what there is.
fn shown_from(mail: &Mail) -> String {
    let from = &mail.from;
    match (from.name.as_str(), from.address.as_str()) {
        ("", address) => address.to_owned(),
        (name, "") => name.to_owned(),
        (name, address) => format!("{name} <{address}>"),
    }
}

fn waits(mails: &[&Mail], talks: &[Talk], urgencies: &HashMap<usize, Urgent>) -> Waits {
    let mut open: Vec<&Waiting> = talks
        .iter()
        .filter_map(|talk| talk.waiting.as_ref())
        .collect();
    open.sort_by_key(|waiting| waiting.since);
    let told = |waiting: &Waiting| {
        let mail = mails.get(waiting.mail)?;
        let urgent = urgencies.get(&waiting.last).unwrap_or(&mail.urgency);
        Some(Wait {
            message_id: mail.message_id.clone(),
            from: shown_from(mail),
            subject: mail.subject.clone(),
            since: waiting.since,
            due: waiting.due,
            waited_business_secs: waiting.waited.num_seconds(),
            is_breached: waiting.is_breached(),
            deadline: if waiting.is_first {
                "first_response"
            } else {
                "next_response"
            },
            tier: waiting.tier.clone(),
            mails: waiting.count,
            urgency: urgent.class,
            reasons: urgent.reasons.clone(),
        })
    };
    let (breached, mut in_time): (Vec<&Waiting>, Vec<&Waiting>) =
        open.iter().partition(|waiting| waiting.is_breached());
    // What has no deadline within reach comes last.
    in_time.sort_by_key(|waiting| (waiting.due.is_none(), waiting.due));
    Waits {
        count: open.len(),
        breached: breached.len(),
        near: in_time.iter().filter(|waiting| waiting.is_near()).count(),
        oldest: open.first().and_then(|waiting| told(waiting)),
        breaches: breached
            .into_iter()
            .take(MOST_WAITS)
            .filter_map(told)
            .collect(),
        next: in_time
            .into_iter()
            .take(MOST_WAITS)
            .filter_map(told)
            .collect(),
    }
}

fn first_answers(mut answers: Vec<Answered>, now: DateTime<Utc>) -> FirstAnswers {
    answers.retain(|answer| answer.at > now - ANSWERED_WITHIN && answer.at <= now);
    answers.sort_by_key(|answer| answer.took);
    FirstAnswers {
        n: answers.len(),
        in_time: answers.iter().filter(|answer| answer.in_time).count(),
        median_business_secs: answers
            .get(answers.len() / 2)
            .map(|answer| answer.took.num_seconds()),
    }
}
