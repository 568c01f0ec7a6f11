//! Conversations, deadlines, trends and digests on hand-made mails; reading on hand-made bytes.

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::super::model::{Category, Fetched, Kind, Mail, Urgency};
use super::{DayCounts, Digest, Input, Rules, compose, config, read, threads, trend};
use crate::base::json::Path;
use crate::base::problems::Problems;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-{text}:00Z").parse().expect(text)
}

fn rules_of(json: &str) -> Rules {
    let raw = serde_json::from_str(json).expect(json);
    let mut problems = Problems::new("support.json");
    let rules = config::read(&raw, &Path::root().key("triage"), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    rules.with_own("support@shop.example")
}

/// London hours of weekdays, and one customer of each tier.
fn rules() -> Rules {
    rules_of(r#"{ "customers": { "@big.example": "priority", "ann@x.example": "standard" } }"#)
}

fn raw(bytes: &[u8]) -> Mail {
    let bytes = Bytes::copy_from_slice(bytes);
    let fetched = Fetched {
        uid: 1,
        uid_validity: 1,
        mailbox: "INBOX".into(),
        is_sent: false,
        size: u32::try_from(bytes.len()).expect("small"),
        flags: Vec::new(),
        internal_date: at("20T12:00"),
        head: bytes.clone(),
        body: bytes,
    };
    read(&fetched, &rules())
}

/// A mail of `from` with `extra` fields, read.
fn mail(id: &str, from: &str, subject: &str, when: &str, extra: &str) -> Mail {
    let date = at(when);
    let text = format!(
        "From: {from}\nTo: support@shop.example\nSubject: {subject}\nMessage-ID: <{id}>\n\
         Date: {}\n{extra}\n\nHello.\n",
        date.to_rfc2822()
    );
    raw(text.trim_start().replace("\n\n\n", "\n\n").as_bytes())
}

fn answer(id: &str, to: &str, when: &str) -> Mail {
    mail(
        id,
        "support@shop.example",
        "Re: x",
        when,
        &format!("In-Reply-To: <{to}>"),
    )
}

fn digest(mails: &[Mail], answers: &[Mail], now: &str) -> Digest {
    let days = DayCounts::new();
    compose(
        &Input {
            mails,
            answers,
            days: &days,
            most: 20,
        },
        &rules(),
        at(now),
    )
}

fn groups(mails: &[Mail]) -> Vec<Vec<usize>> {
    let all: Vec<&Mail> = mails.iter().collect();
    threads::of(&all, &rules())
        .into_iter()
        .map(|thread| thread.mails)
        .collect()
}

#[test]
fn conversations_join_by_ids_then_by_subject_and_people() {
    let mails = [
        mail("1", "a@x.example", "Export", "02T10:00", ""),
        mail("2", "b@y.example", "Export", "02T11:00", ""),
        mail("3", "a@x.example", "AW: Export", "10T10:00", ""),
        mail(
            "4",
            "c@z.example",
            "other",
            "11T10:00",
            "References: <9> <1>",
        ),
        mail("5", "b@y.example", "Re[2]: Fwd: export", "19T10:00", ""),
        mail("6", "d@z.example", "else", "19T11:00", "In-Reply-To: <9>"),
    ];
    // The fifth comes 17 days after the second: too late to be of the same.
    assert_eq!(groups(&mails), [vec![0, 2, 3, 5], vec![1], vec![4]]);
}

#[test]
fn a_mail_that_comes_twice_counts_once() {
    let one = mail("1", "a@x.example", "Export", "02T10:00", "");
    let mut moved = one.clone();
    "Archive".clone_into(&mut moved.mailbox);
    let other = mail("1", "b@x.example", "Not the same", "02T10:00", "");
    let digest = digest(&[one, moved, other], &[], "02T12:00");
    assert_eq!((digest.mails, digest.duplicates, digest.unread), (2, 1, 2));
}

#[test]
fn subjects_are_compared_without_their_prefixes() {
    for subject in [
        "Re: Export",
        "AW: WG: export",
        "Fwd: [Re: Export]",
        "RE[3]: Export",
        "Antwort: Export",
    ] {
        let plain = threads::plain_subject(subject);
        assert!(
            plain.contains("export") && !plain.contains("re:"),
            "{subject}: {plain}"
        );
    }
    assert_eq!(threads::plain_subject(&"Re: ".repeat(500)), "");
}

#[test]
fn deadlines_count_business_hours_and_stop_with_an_answer() {
    // Friday the 6th at 16:00, priority: 4 h are one on Friday and three on Monday.
    let late = [mail("1", "x@big.example", "Hi", "06T16:00", "")];
    let wait = digest(&late, &[], "09T11:59").waiting;
    assert_eq!((wait.count, wait.breached, wait.near), (1, 0, 1));
    let oldest = wait.oldest.expect("one waits");
    assert_eq!(
        (oldest.due, oldest.deadline),
        (Some(at("09T12:00")), "first_response")
    );
    assert_eq!(oldest.waited_business_secs, 4 * 3600 - 60);
    assert_eq!(digest(&late, &[], "09T12:01").waiting.breached, 1);
    let answered = [answer("2", "1", "09T10:00")];
    let told = digest(&late, &answered, "10T12:01");
    assert_eq!(told.waiting.count, 0);
    assert_eq!((told.first_answers.n, told.first_answers.in_time), (1, 1));
    assert_eq!(told.first_answers.median_business_secs, Some(2 * 3600));
    let again = [
        late[0].clone(),
        mail(
            "3",
            "x@big.example",
            "Re: Hi",
            "10T10:00",
            "In-Reply-To: <2>",
        ),
    ];
    let oldest = digest(&again, &answered, "10T12:01")
        .waiting
        .oldest
        .expect("one waits");
    assert_eq!(
        (oldest.due, oldest.deadline),
        (Some(at("10T14:00")), "next_response")
    );
}

#[test]
fn holidays_and_changes_of_clocks_are_heeded() {
    let rules = rules_of(
        r#"{ "tiers": { "basic": { "first_response_hours": 30 } }, "hours": { "zone": "Europe/Berlin",
           "open": [{ "days": "*", "start": "00:00", "end": "24:00" }], "holidays": ["2026-10-26"] } }"#,
    );
    // The 25th has 25 hours there, the 26th is no day: 24 h + 25 h from the 24th's beginning.
    let from: DateTime<Utc> = "2026-10-23T22:00:00Z".parse().expect("a time");
    let table = rules.hours.timetable(from, from + TimeDelta::days(9));
    let after = |hours| table.after(from, TimeDelta::hours(hours));
    assert_eq!(
        after(49),
        Some("2026-10-25T23:00:00Z".parse().expect("a time"))
    );
    assert_eq!(
        after(50),
        Some("2026-10-27T00:00:00Z".parse().expect("a time"))
    );
    assert_eq!(
        table.between(from, from + TimeDelta::days(4)),
        TimeDelta::hours(24 + 25 + 23)
    );
}

#[test]
fn nudges_and_breaches_raise_urgency_with_reasons() {
    let mails = [
        mail("1", "n@x.example", "Export", "02T10:00", ""),
        mail("2", "n@x.example", "Re: Export", "03T10:00", ""),
        mail(
            "3",
            "n@x.example",
            "Re: Export",
            "20T10:00",
            "References: <1>",
        ),
    ];
    let digest = digest(&mails, &[], "20T12:00");
    let newest = &digest.items[0];
    assert_eq!(
        (newest.message_id.as_str(), newest.urgency),
        ("3", Urgency::High)
    );
    assert!(
        newest
            .reasons
            .iter()
            .any(|reason| reason.contains("unanswered (+20)")),
        "{newest:?}"
    );
    assert!(
        newest
            .reasons
            .iter()
            .any(|reason| reason.contains("longer than tier basic"))
    );
    assert_eq!(digest.waiting.breaches.len(), 1);
}

#[test]
fn words_make_urgency_and_category_in_four_languages() {
    for (subject, category, urgency) in [
        (
            "Your site is down, urgent!",
            Category::Outage,
            Urgency::Urgent,
        ),
        (
            "Doppelt abgebucht, bitte um Rückerstattung",
            Category::Billing,
            Urgency::High,
        ),
        (
            "Nous avons été piratés, faille de sécurité",
            Category::Security,
            Urgency::High,
        ),
        (
            "No puedo iniciar sesión con mi contraseña",
            Category::Account,
            Urgency::Normal,
        ),
        (
            "Feature request: dark mode, no rush",
            Category::Feature,
            Urgency::Low,
        ),
        (
            "Export crashes with an error",
            Category::Bug,
            Urgency::Normal,
        ),
        ("Hello there", Category::Other, Urgency::Normal),
        (
            "The site is not down, is it?",
            Category::Other,
            Urgency::Normal,
        ),
    ] {
        let mail = mail("1", "a@x.example", subject, "02T10:00", "");
        assert_eq!(
            (mail.category, mail.urgency.class),
            (category, urgency),
            "{subject}: {mail:#?}"
        );
    }
}

#[test]
fn a_day_is_held_against_the_same_weekday() {
    let rules = rules();
    let day = |text: &str| text.parse::<NaiveDate>().expect(text);
    let mut days: DayCounts = [("2026-10-30", 4), ("2026-11-06", 6), ("2026-11-13", 8)]
        .map(|(date, count)| (day(date), count))
        .into();
    let told = |days: &DayCounts, today| trend::of(days, today, at("20T18:00"), &rules);
    let quiet = told(&days, 6);
    assert_eq!(
        (quiet.median, quiet.n, quiet.is_spike),
        (Some(6.0), 3, false)
    );
    assert!(told(&days, 12).is_spike);
    // A day within the known time that has no entry had no mails.
    days.insert(day("2026-10-01"), 1);
    assert_eq!((told(&days, 9).median, told(&days, 9).n), (Some(0.0), 7));
    days = [(day("2026-11-13"), 50)].into();
    assert_eq!(
        (told(&days, 500).median, told(&days, 500).is_spike),
        (None, false)
    );
}

#[test]
fn many_people_about_the_same_are_a_burst_and_one_person_is_none() {
    let burst = |senders: usize| {
        let each = |n: usize| {
            let from = format!("u{}@x.example", n % senders);
            mail(
                &format!("{n}"),
                &from,
                "Checkout is down",
                &format!("20T11:{:02}", 40 + n),
                "",
            )
        };
        let mails: Vec<Mail> = (0..8).map(each).collect();
        digest(&mails, &[], "20T12:00").bursts
    };
    assert!(burst(1).is_empty() && burst(4).is_empty());
    let told = burst(6);
    assert_eq!(
        (told.len(), told[0].senders, told[0].category),
        (1, 6, Category::Outage)
    );
    assert_eq!(told[0].since, at("20T11:40"));
}

#[test]
fn odd_fields_are_read() {
    let odd = raw(
        b"from: =?ISO-8859-1?Q?J=FCrgen?=\n =?utf-8?b?IMOc?= <J@X.example>\n\
        Subject: =?utf-8?q?=C3=BC?= =?utf-8?q?ber?= raw \xFC\nDate: Thu, 1 Jan 1970 00:00:00 GMT\n\
        X-A: 1\nX-A: 2\nContent-Type: text/plain; charset=windows-1252\n\n\x93Hi\x94 \0there\n",
    );
    assert_eq!(
        (odd.from.name.as_str(), odd.from.address.as_str()),
        ("Jürgen Ü", "j@x.example")
    );
    assert_eq!(
        (odd.subject.as_str(), odd.snippet.as_str()),
        ("über raw ü", "“Hi” there")
    );
    assert_eq!(
        (odd.date, odd.date_made, odd.id_made),
        (at("20T12:00"), true, true)
    );
    assert!(
        odd.message_id.starts_with("sha256:") && odd.oddities.len() == 2,
        "{odd:?}"
    );
    let late = raw(b"Date: 1 Jan 2099 00:00 GMT\nMessage-ID: bare@x\n\n");
    assert_eq!((late.date_made, late.message_id.as_str()), (true, "bare@x"));
    let files = raw(
        b"Content-Type: multipart/mixed; boundary*=utf-8''a%20b\n\n--a b\n\nText\n--a b\n\
        Content-Type: image/png\nContent-Transfer-Encoding: base64\n\nAAAAAAAA\n--a b--\n",
    );
    assert_eq!(
        (
            files.snippet.as_str(),
            files.attachments.count,
            files.attachments.bytes
        ),
        ("Text", 1, 6)
    );
}

#[test]
fn a_form_of_ours_speaks_for_its_writer_and_our_own_mails_are_answers() {
    let form = mail(
        "1",
        "support@shop.example",
        "Form",
        "02T10:00",
        "Reply-To: Eve <eve@x.example>",
    );
    assert_eq!(
        (form.kind, form.from.address.as_str()),
        (Kind::Person, "eve@x.example")
    );
    assert_eq!(answer("2", "1", "02T11:00").kind, Kind::Own);
}

#[test]
fn what_the_configuration_gets_wrong_is_told_with_its_place() {
    let raw = serde_json::from_str(
        r#"{ "default_tier": "basc", "own_addresses": ["me"], "hours": { "zone": "London", "open":
           [{ "days": "mon-fri", "start": "17:00", "end": "09:00" }], "holidays": ["25.12."] },
           "words": { "EN": { "bug": ["!"] } } }"#,
    );
    let mut problems = Problems::new("support.json");
    config::read(
        &raw.expect("json"),
        &Path::root().key("triage"),
        &mut problems,
    );
    let told = problems.to_string();
    for part in [
        "`triage.default_tier` is \"basc\"",
        "did you mean `basic`?",
        "triage.own_addresses",
        "did you mean `Europe/London`?",
        "triage.hours.open[0].end",
        "triage.hours.holidays[0]",
        "the language `EN`",
        "triage.words.EN.bug[0]",
    ] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
}
