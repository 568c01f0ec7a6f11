//! The rules of incidents, by what goes in and comes out.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::event::{IncidentEvent, Recovery, Reopened};
use super::export::markdown;
use super::logic::{Windows, decide};
use super::model::Incident;
use super::recovery::is_told;
use super::view::Book;
use crate::platform::alerts::{Finding, Record, Severity, What};

fn minute(minute: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
}

fn record(seq: u64, at: i64, key: &str, what: What) -> Record {
    let finding = Finding {
        key: key.to_owned(),
        source: "probes".to_owned(),
        severity: Severity::Error,
        summary: "see https://a.example or www.a.example".to_owned(),
        started_at: minute(at),
        ..Finding::default()
    };
    Record {
        seq,
        at: minute(at),
        what,
        finding: Arc::new(finding),
        fired_at: minute(at),
    }
}

fn take(book: &mut Book, record: &Record) -> usize {
    let windows = Windows {
        join: TimeDelta::minutes(30),
        reopen: TimeDelta::minutes(30),
        flaps: 3,
    };
    let events = decide(book, &windows, record);
    for event in &events {
        book.apply(event, record.at, Some(record.seq));
    }
    events.len()
}

fn only(book: &Book) -> &Arc<Incident> {
    book.newest().next().expect("an incident")
}

#[test]
fn an_acknowledgement_of_old_does_not_come_back_with_a_restart() {
    let mut book = Book::default();
    take(&mut book, &record(1, 0, "probe:web", What::Fired));
    let reopened = Reopened {
        incident: only(&book).id.clone(),
        alert: None,
        by: "desk".to_owned(),
        text: String::new(),
    };
    book.apply(&IncidentEvent::Reopened(reopened), minute(9), None);
    let by = || What::Acknowledged { by: "eve".into() };
    assert_eq!(take(&mut book, &record(2, 5, "probe:web", by())), 0);
    assert_eq!(take(&mut book, &record(3, 9, "probe:web", by())), 1);
}

#[test]
fn the_place_in_a_journal_that_began_again_is_the_new_one() {
    let mut book = Book::default();
    take(&mut book, &record(900, 0, "probe:web", What::Fired));
    take(&mut book, &record(1, 1, "probe:api", What::Fired));
    assert_eq!(book.alert_seq, Some(1));
}

#[test]
fn what_holds_an_action_is_told_once_however_long_the_story() {
    let mut book = Book::default();
    for n in 0..700 {
        let key = format!("probe:{n}");
        take(&mut book, &record(n, 0, &key, What::Fired));
    }
    let limited = IncidentEvent::Limited(Recovery {
        incident: only(&book).id.clone(),
        action: "mark".to_owned(),
        how: "command".to_owned(),
        detail: String::new(),
    });
    assert!(!is_told(only(&book), &limited));
    book.apply(&limited, minute(1), None);
    assert!(is_told(only(&book), &limited));
}

#[test]
fn an_export_has_no_links_of_others() {
    let mut book = Book::default();
    take(&mut book, &record(1, 0, "probe:web", What::Fired));
    let text = markdown(only(&book), None, minute(5));
    assert!(!text.contains("://") && !text.contains("www."), "{text}");
    assert!(
        text.contains(r"https:\//a.example or www\.a.example"),
        "{text}"
    );
}
