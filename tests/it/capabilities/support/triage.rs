//! Triage over a made mailbox with known truth: what is named, what is wrongly named, and that
//! nothing breaks the reading.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::corpus::{self, Dice, OURS, Sample, Truth, mangled};
use echopilot::capabilities::support::model::{Fetched, Kind, Mail};
use echopilot::capabilities::support::triage::{self, DayCounts, Input, Rules};

pub fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

/// As the server would give `raw`.
pub fn fetched(raw: &[u8], uid: u32) -> Fetched {
    let end = raw
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4);
    let end = end.or_else(|| {
        raw.windows(2)
            .position(|two| two == b"\n\n")
            .map(|at| at + 2)
    });
    let raw = Bytes::copy_from_slice(raw);
    Fetched {
        uid,
        uid_validity: 1,
        mailbox: "INBOX".into(),
        is_sent: false,
        size: u32::try_from(raw.len()).expect("small"),
        flags: Vec::new(),
        internal_date: now() - TimeDelta::minutes(i64::from(uid)),
        head: raw.slice(..end.unwrap_or(raw.len())),
        body: raw.slice(..raw.len().min(64 * 1024)),
    }
}

fn rules() -> Rules {
    Rules::default().with_own(OURS)
}

fn is_right(truth: Truth, kind: Kind) -> bool {
    match truth {
        Truth::Person => kind == Kind::Person,
        Truth::Listed => matches!(kind, Kind::Person | Kind::List),
        Truth::Bulk => matches!(kind, Kind::Bulk | Kind::List),
        Truth::AutoReply => kind == Kind::AutoReply,
        Truth::Bounce => kind == Kind::Bounce,
        Truth::Spam => kind == Kind::Spam,
    }
}

fn report(samples: &[Sample]) -> (BTreeMap<Truth, (usize, usize)>, Vec<String>) {
    let rules = rules();
    let mut counts: BTreeMap<Truth, (usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (sample, uid) in samples.iter().zip(1..) {
        let mail = triage::read(&fetched(&sample.raw, uid), &rules);
        let (right, all) = counts.entry(sample.truth).or_default();
        *all += 1;
        if is_right(sample.truth, mail.kind) {
            *right += 1;
        } else {
            wrong.push(format!(
                "{:?} `{}` called {:?}: {:?}",
                sample.truth, sample.name, mail.kind, mail.kind_reasons
            ));
        }
    }
    (counts, wrong)
}

#[test]
fn bounces_and_answers_are_named_and_no_person_is_called_a_machine() {
    for samples in [
        corpus::plain(),
        corpus::corpus(1, 2_000),
        corpus::corpus(7, 2_000),
    ] {
        let (counts, wrong) = report(&samples);
        for truth in [Truth::Person, Truth::Listed] {
            let (right, all) = counts[&truth];
            assert_eq!(right, all, "{truth:?}: {wrong:#?}");
        }
        for truth in [Truth::Bounce, Truth::AutoReply, Truth::Bulk, Truth::Spam] {
            let (right, all) = counts[&truth];
            assert!(
                right * 100 >= all * 95,
                "{truth:?} {right} of {all}: {wrong:#?}"
            );
        }
    }
}

#[test]
fn every_mail_has_an_id_a_sender_and_a_sane_date() {
    let rules = rules();
    for (sample, uid) in corpus::corpus(3, 1_000).iter().zip(1..) {
        let fetched = fetched(&sample.raw, uid);
        let mail = triage::read(&fetched, &rules);
        assert!(!mail.message_id.is_empty() && !mail.kind_reasons.is_empty());
        assert!(mail.date <= now() + TimeDelta::days(1), "{mail:?}");
        assert!(mail.date > now() - TimeDelta::days(365 * 6), "{mail:?}");
        let is_courier = sample.name == "courier";
        assert!(
            is_courier || mail.from.address.contains('@'),
            "{} {mail:?}",
            sample.name
        );
        assert_eq!(
            mail,
            triage::read(&fetched, &rules),
            "read again it is the same"
        );
        let written = serde_json::to_string(&mail).expect("json");
        let again: Mail = serde_json::from_str(&written).expect("a mail");
        assert_eq!(again.message_id, mail.message_id);
    }
}

#[test]
fn no_bytes_break_the_reading() {
    let rules = rules();
    let samples = corpus::plain();
    let mut dice = Dice::new(99);
    let rounds = if std::env::var_os("SLOW").is_some() {
        400_000
    } else {
        4_000
    };
    for round in 0..rounds {
        let sample = &samples[dice.below(samples.len())];
        let raw = if round % 10 == 0 {
            let length = dice.below(3_000);
            (0..length).map(|_| dice.byte()).collect()
        } else {
            mangled(&sample.raw, &mut dice)
        };
        let mail = triage::read(&fetched(&raw, 1), &rules);
        assert!(mail.snippet.chars().count() <= 200 && mail.subject.chars().count() <= 300);
    }
}

/// In base64, so many mails inside mails end a program that follows them all.
#[test]
fn mails_inside_mails_without_end_are_read() {
    let inner = "Content-Type:message/global\n\n".repeat(1_600);
    let nested = format!(
        "From: a@b.example\nContent-Type:message/rfc822\nContent-Transfer-Encoding: base64\n\n{}",
        corpus::base64(inner.as_bytes())
    );
    let parts = "Content-Type:multipart/mixed;boundary=b\n\n--b\n".repeat(1_400);
    let level = |at: usize| {
        let at = at.to_string();
        [
            "Content-Type:multipart/mixed;boundary=b",
            &at,
            "\n\n--b",
            &at,
            "\n",
        ]
        .concat()
    };
    let distinct: String = (0..1_000).map(level).collect();
    let comments = format!("From: {}\nSubject: x\n\n", "(".repeat(60_000));
    let words = format!("Subject: {}\n\n", "=?utf-8?b?".repeat(6_000));
    let digest = "Content-Type: multipart/digest; boundary=x\n\n--x\n\n\n".repeat(1_200);
    let signs = format!("Content-Type: text/html\n\n{}", "&<a ".repeat(16_000));
    for raw in [nested, parts, distinct, comments, words, digest, signs] {
        let mail = triage::read(&fetched(raw.as_bytes(), 1), &rules());
        assert_eq!(mail.kind, Kind::Person, "{:?}", mail.kind_reasons);
    }
}

#[test]
fn a_digest_of_thousands_counts_every_mail() {
    let rules = rules();
    let mails: Vec<Mail> = corpus::corpus(5, 5_000)
        .iter()
        .zip(1..)
        .map(|(sample, uid)| triage::read(&fetched(&sample.raw, uid), &rules))
        .collect();
    let days = DayCounts::new();
    let input = Input {
        mails: &mails,
        answers: &[],
        days: &days,
        most: 20,
    };
    let digest = triage::compose(&input, &rules, now());
    assert_eq!(digest.mails + digest.duplicates, 5_000);
    assert_eq!(digest.by_kind.values().sum::<usize>(), digest.unread);
    assert_eq!((digest.count, digest.items.len()), (20, 20));
    assert!(
        digest
            .items
            .is_sorted_by_key(|item| std::cmp::Reverse(item.date))
    );
    let written = serde_json::to_value(&digest).expect("json");
    for field in ["from", "subject", "date", "message_id"] {
        assert!(written["items"][0][field].is_string(), "{field}");
    }
}
