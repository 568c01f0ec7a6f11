//! What goes wrong around the outbox: the end of the process, the clock, a fault of ours.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use echopilot::capabilities::alerts::model::{Notice, Reason, Status};
use echopilot::capabilities::alerts::outbox::event::Event;
use echopilot::capabilities::alerts::outbox::state::{Clocks, State};
use echopilot::seams::clock::Clock as _;
use echopilot::seams::outbound::{
    Allow, Call, Contact, FakeAnswer, FakeOutbound, Found, Host, Limits, Opened, Outbound,
    Question, Request, Response, Target,
};

use super::bench::alert;
use super::*;
use crate::world::noon;

#[test]
fn what_ended_while_its_first_word_was_on_the_way_is_told_as_over_only() {
    let bench = Bench::new(&two());
    bench
        .outbound
        .answers(&format!("POST {SLACK}"), FakeAnswer::hangs());
    bench.queue(vec![firing("n1", "slack", "web", noon())]);
    bench.queue(vec![resolved("n2", "slack", "web", noon())]);
    bench.advance(16 * SECOND);
    bench.works(SLACK);
    for _ in 0..10 {
        bench.advance(SECOND);
    }
    let told = [
        "queued n1",
        "queued n2",
        "failed n1",
        "superseded n1",
        "sent n2",
    ];
    assert_eq!(bench.told(), told);
    assert_eq!(bench.lines_of("notice.superseded")[0]["by"], "n2");
}

#[test]
fn outcomes_are_on_record_before_the_process_ends() {
    let mut bench = Bench::new(&two());
    for url in [SLACK, WEBHOOK] {
        let answer = FakeAnswer::http(200, "ok");
        let after = if url == SLACK { SECOND } else { 2 * SECOND };
        bench
            .outbound
            .answers(&format!("POST {url}"), answer.after(after));
    }
    let both = ["slack", "hook"];
    bench.queue(both.map(|one| firing(one, one, "web", noon())).into());
    bench.gate.hold();
    bench.advance(SECOND);
    bench.advance(SECOND);
    bench.stop();
    bench.gate.open_up();
    bench.turn();
    bench.kill();
    bench.advance(3 * SECOND);
    assert_eq!(bench.lines_of("notice.sent").len(), 2);
    assert_eq!(bench.requests(SLACK).len(), 1);
    assert_eq!(bench.requests(WEBHOOK).len(), 1, "nobody is told twice");
}

#[test]
fn a_clock_that_was_ahead_delays_nothing_once_it_is_right() {
    let mut bench = Bench::new(&two());
    bench.clock.step_wall(TimeDelta::days(30));
    bench.answers(SLACK, 503, &[], "");
    let ahead = bench.clock.now();
    bench.queue(vec![firing("n1", "slack", "web", ahead)]);
    bench.clock.step_wall(TimeDelta::days(-30));
    bench.works(SLACK);
    bench.kill();
    bench.advance(3 * SECOND);
    assert_eq!(bench.told(), ["queued n1", "failed n1", "sent n1"]);
}

#[test]
fn a_digest_is_on_record_before_what_it_sums_up_is_over() {
    let bench = Bench::new(&two());
    bench.answers(SLACK, 503, &[], "");
    bench.queue(vec![firing("n1", "slack", "web", noon())]);
    for _ in 0..75 {
        bench.advance(300 * SECOND);
    }
    let told = bench.told();
    let place = |what: &str| told.iter().position(|one| one.starts_with(what));
    let digest = place("queued digest-").unwrap();
    assert!(digest < place("expired n1").unwrap(), "{told:?}");
}

#[test]
fn another_try_of_an_old_notice_changes_nothing_of_what_is_known_now() {
    let bench = Bench::new(&two());
    bench
        .outbound
        .answers(&format!("POST {SLACK}"), FakeAnswer::hangs());
    bench.queue(vec![firing("now", "slack", "db", noon())]);
    bench.queue(vec![firing("wait", "slack", "web", noon())]);
    let known = bench.outbox().all_told();
    let again = |notice: Notice| Notice {
        via: vec!["slack".into()],
        ..notice
    };
    bench.queue(vec![
        again(resolved("over", "slack", "web", noon())),
        again(firing("held", "slack", "disk", noon())),
    ]);
    assert_eq!(bench.outbox().all_told().len(), known.len());
    assert!(bench.lines_of("notice.superseded").is_empty());
}

#[test]
fn what_is_known_of_a_group_stays_small_however_long_it_lives() {
    let now = Clocks {
        wall: noon(),
        uptime: Duration::ZERO,
    };
    let mut state = State::default();
    let mut queue = |number: u64, status: Status| {
        let at = noon() + TimeDelta::minutes(i64::try_from(number).unwrap());
        let mut notice = firing(&format!("n{number}-{status:?}"), "slack", "web", at);
        notice.reason = Reason::NewAlerts;
        let mut other = alert(&format!("probe:{number}"));
        other.status = status;
        notice.alerts.push(other);
        state.fold(number, at, Event::Queued(Box::new(notice)), now);
        state.told("web", "slack").unwrap().alerts.len()
    };
    for number in 0..3_000 {
        queue(number, Status::Firing);
        let count = queue(number, Status::Resolved);
        assert!(count <= 1_002, "{count}");
    }
}

/// A door behind which Slack makes us fall over and all else works.
#[derive(Debug)]
struct Trap(FakeOutbound);

impl Outbound for Trap {
    fn http<'a>(&'a self, allow: &'a Allow, request: &'a Request) -> Call<'a, Response> {
        assert!(!request.url.origin().contains("slack"), "a planted fault");
        self.0.http(allow, request)
    }

    fn tcp<'a>(&'a self, allow: &'a Allow, to: &'a Target, limits: Limits) -> Call<'a, Contact> {
        self.0.tcp(allow, to, limits)
    }

    fn tls<'a>(
        &'a self,
        allow: &'a Allow,
        to: &'a Target,
        name: Option<&'a Host>,
        limits: Limits,
    ) -> Call<'a, Contact> {
        self.0.tls(allow, to, name, limits)
    }

    fn open<'a>(
        &'a self,
        allow: &'a Allow,
        to: &'a Target,
        secure: bool,
        limits: Limits,
    ) -> Call<'a, Opened> {
        self.0.open(allow, to, secure, limits)
    }

    fn secure<'a>(&'a self, opened: Opened, to: &'a Target, limits: Limits) -> Call<'a, Opened> {
        self.0.secure(opened, to, limits)
    }

    fn dns<'a>(
        &'a self,
        allow: &'a Allow,
        question: &'a Question,
        limits: Limits,
    ) -> Call<'a, Found> {
        self.0.dns(allow, question, limits)
    }
}

#[test]
fn a_channel_that_makes_us_fall_over_takes_no_other_with_it() {
    let first = Bench::new(&two());
    let door = FakeOutbound::new(Arc::clone(&first.clock) as _);
    door.answers(&format!("POST {WEBHOOK}"), FakeAnswer::http(200, "ok"));
    let secrets = first.secrets.clone();
    let bench = Bench::through(&two(), secrets, Some(Arc::new(Trap(door))));
    for channel in ["slack", "hook"] {
        bench.queue(vec![firing(channel, channel, "web", noon())]);
    }
    let kinds: BTreeMap<String, String> = bench
        .lines()
        .iter()
        .map(|line| (line["id"].to_string(), line["kind"].to_string()))
        .collect();
    assert_eq!(kinds["\"hook\""], "\"notice.sent\"");
    assert_eq!(kinds["\"slack\""], "\"notice.failed\"");
}
