//! How soon somebody should look: points by rules, each with its reason. What a mail says by itself
//! is judged when it is read, what its conversation adds with every digest.

use super::super::model::{Kind, Urgency, Urgent};
use super::headers::Headers;
use super::rules::Rules;
use super::words::{Group, Hit};

/// Points that any person's mail has.
const PERSON: i32 = 10;
/// Points below which a mail has time.
const LOW_BELOW: i32 = 5;
/// Points from which it comes before others: money that went wrong, by itself.
const HIGH_FROM: i32 = 35;
/// Points from which it is for now: an outage that is said to be urgent, or of a great customer.
const URGENT_FROM: i32 = 60;
/// Words that are named as a reason.
const SHOWN: usize = 3;
/// Letters that a subject must have before its capitals are shouting.
const SHOUTED: usize = 8;

/// Points by what words speak for (our own choice: money alone is high, trouble of all is more).
const WEIGHTS: [(Group, i32); 8] = [
    (Group::Outage, 40),
    (Group::Security, 40),
    (Group::Payment, 25),
    (Group::Urgent, 20),
    (Group::Leaving, 15),
    (Group::Bug, 5),
    (Group::Feature, -10),
    (Group::Calm, -20),
];

/// Points for a known customer by the business hours of the tier's first answer, the least first.
const TIERS: [(u32, i32); 3] = [(4, 15), (12, 10), (24, 5)];

/// What speaks for a mail by itself.
pub(super) struct Said<'s> {
    pub(super) kind: Kind,
    pub(super) address: &'s str,
    pub(super) subject: &'s str,
    pub(super) fresh: &'s str,
    pub(super) hits: &'s [Hit],
    pub(super) headers: &'s Headers<'s>,
}

/// How soon a mail wants an answer by itself.
pub(super) fn of(said: &Said<'_>, rules: &Rules) -> Urgent {
    if said.kind.is_set_aside() {
        let reason = format!("a mail of kind {} waits for no answer", said.kind.word());
        return Urgent {
            class: Urgency::Low,
            score: 0,
            reasons: vec![reason],
        };
    }
    let mut urgent = Urgent {
        class: Urgency::Normal,
        score: 0,
        reasons: Vec::new(),
    };
    urgent.add(PERSON, "a person wrote it");
    for (group, points) in WEIGHTS {
        let mut words: Vec<&str> = Vec::new();
        for hit in said.hits.iter().filter(|hit| hit.group == group) {
            if words.len() < SHOWN && !words.contains(&hit.text.as_str()) {
                words.push(&hit.text);
            }
        }
        if !words.is_empty() {
            urgent.add(
                points,
                format!("{} words: {}", group.word(), words.join(", ")),
            );
        }
    }
    if is_shouted(said.subject) {
        urgent.add(10, "the subject is all capitals");
    }
    if said.subject.contains("!!") || said.fresh.contains("!!!") {
        urgent.add(5, "exclamation marks");
    }
    if is_marked(said.headers) {
        urgent.add(10, "its sender marked it as important");
    }
    if let Some(tier) = rules.customer(said.address) {
        let best = TIERS.iter().find(|(hours, _)| tier.first_hours <= *hours);
        let points = 5 + best.map_or(0, |(_, points)| *points);
        urgent.add(points, format!("a known customer of tier {}", tier.name));
    }
    urgent
}

impl Urgent {
    /// Adds a rule that spoke.
    pub(super) fn add(&mut self, points: i32, reason: impl Into<String>) {
        self.score += points;
        self.reasons.push(format!("{} ({points:+})", reason.into()));
        self.class = match self.score {
            score if score < LOW_BELOW => Urgency::Low,
            score if score < HIGH_FROM => Urgency::Normal,
            score if score < URGENT_FROM => Urgency::High,
            _ => Urgency::Urgent,
        };
    }
}

fn is_shouted(subject: &str) -> bool {
    let letters = || subject.chars().filter(|c| c.is_alphabetic());
    let shouted = letters().all(char::is_uppercase);
    shouted && letters().count() >= SHOUTED && subject.trim().contains(' ')
}

fn is_marked(headers: &Headers<'_>) -> bool {
    let is = |name: &str, words: &[&str]| {
        let token = headers.token(name).unwrap_or_default();
        words.iter().any(|word| token == *word)
    };
    let first = headers.token("x-priority").unwrap_or_default();
    is("importance", &["high"])
        || is("priority", &["urgent"])
        || is("x-msmail-priority", &["high"])
        || first.starts_with('1')
        || first.starts_with('2')
}
