//! From the journal to the channel and back: order, restarts, pauses.

use std::time::Duration;

use echopilot::seams::outbound::FakeAnswer;

use super::bench::TELEGRAM;
use super::*;
use crate::world::noon;

#[test]
fn a_notice_is_on_record_before_it_is_sent_and_marked_after() {
    let bench = Bench::new(&two());
    bench.works(SLACK);
    bench.queue(vec![firing("n1", "slack", "web", noon())]);
    assert_eq!(bench.told(), ["queued n1", "sent n1"]);
    assert_eq!(bench.requests(SLACK).len(), 1);
    let sent = bench.lines_of("notice.sent");
    assert_eq!(
        (&sent[0]["channel"], &sent[0]["attempt"]),
        (&json!("slack"), &json!(1))
    );

    bench.queue(vec![firing("n1", "slack", "web", noon())]);
    assert_eq!(
        bench.told().len(),
        2,
        "an id that is on record is passed over"
    );
    assert_eq!(bench.requests(SLACK).len(), 1);
}

#[test]
fn storage_that_refuses_keeps_a_notice_back_and_an_outcome_in_mind() {
    let bench = Bench::new(&two());
    bench.works(SLACK);
    bench.gate.refuse();
    let refused = bench.runtime().block_on(bench.outbox().queue(vec![firing(
        "n1",
        "slack",
        "web",
        noon(),
    )]));
    assert!(refused.is_err());
    bench.turn();
    assert_eq!(
        bench.requests(SLACK).len(),
        0,
        "nothing leaves that is not on record"
    );
    bench.gate.open_up();
    bench.answers(SLACK, 503, &[], "");
    bench.queue(vec![firing("n1", "slack", "web", noon())]);
    bench.gate.refuse();
    bench.works(SLACK);
    bench.advance(3 * SECOND);
    assert_eq!(bench.requests(SLACK).len(), 2, "it is sent all the same");
    assert!(bench.outbox().trouble().unwrap().contains("storage"));
    bench.advance(30 * SECOND);
    assert_eq!(bench.requests(SLACK).len(), 2, "and once");
    bench.gate.open_up();
    bench.advance(2 * SECOND);
    assert_eq!(bench.told(), ["queued n1", "failed n1", "sent n1"]);
    assert_eq!(bench.outbox().trouble(), None);
}

/// Advances by `span` in steps of a tenth of a second; gives after how many the next request came.
fn next_after(bench: &Bench, url: &str, most: Duration) -> Duration {
    let before = bench.requests(url).len();
    let step = Duration::from_millis(100);
    let mut passed = Duration::ZERO;
    while bench.requests(url).len() == before {
        assert!(passed < most, "no try within {most:?}");
        bench.advance(step);
        passed += step;
    }
    passed
}

#[test]
fn what_a_channel_asks_for_beats_our_own_pause_to_the_tenth() {
    /// Status, headers and body of an answer, and seconds until the next try.
    type Row = (
        u16,
        &'static [(&'static str, &'static str)],
        &'static str,
        f64,
    );
    let rows: [Row; 4] = [
        (429, &[("retry-after", "7")], "", 7.0),
        (
            503,
            &[("retry-after", "Sat, 21 Nov 2026 12:00:07 GMT")],
            "",
            7.0,
        ),
        (429, &[], r#"{"retry_after": 0.7}"#, 0.7),
        (429, &[("retry-after", "900")], "", 900.0),
    ];
    for (status, headers, text, secs) in rows {
        let bench = Bench::new(&two());
        bench.answers(SLACK, status, headers, text);
        bench.queue(vec![
            firing("n1", "slack", "web", noon()),
            firing("n2", "slack", "db", noon()),
        ]);
        assert_eq!(
            bench.requests(SLACK).len(),
            1,
            "the other group waits as well"
        );
        bench.works(SLACK);
        let passed = next_after(&bench, SLACK, Duration::from_hours(1)).as_secs_f64();
        assert!((passed - secs).abs() < 0.15, "{passed} s instead of {secs}");
        bench.advance(2 * SECOND);
        assert_eq!(bench.lines_of("notice.sent").len(), 2);
    }
}

#[test]
fn telegram_asks_in_the_body_and_moves_its_chats() {
    let bench = Bench::new(&json!({ "telegram": { "telegram": {} } }));
    let flood = r#"{"ok":false,"error_code":429,"parameters":{"retry_after":7}}"#;
    bench.answers(TELEGRAM, 429, &[], flood);
    bench.queue(vec![firing("n1", "telegram", "web", noon())]);
    let moved = r#"{"ok":false,"parameters":{"migrate_to_chat_id":-100999}}"#;
    bench.answers(TELEGRAM, 400, &[], moved);
    let passed = next_after(&bench, TELEGRAM, Duration::from_mins(1));
    assert_eq!(passed, 7 * SECOND);
    let chats: Vec<Value> = bench
        .requests(TELEGRAM)
        .iter()
        .map(|one| body(one)["chat_id"].clone())
        .collect();
    assert_eq!(chats, ["-100200300", "-100200300", "-100999"]);
}

#[test]
fn a_dead_channel_delays_no_other_and_its_own_news_shows_when_it_works() {
    let bench = Bench::new(&two());
    bench
        .outbound
        .answers(&format!("POST {SLACK}"), FakeAnswer::hangs());
    bench.works(WEBHOOK);
    for number in 0..5 {
        let (slack, hook) = (format!("s{number}"), format!("h{number}"));
        let group = format!("g{number}");
        bench.queue(vec![
            firing(&slack, "slack", &group, noon()),
            firing(&hook, "hook", &group, noon()),
        ]);
    }
    assert_eq!(
        bench.requests(WEBHOOK).len(),
        5,
        "at once, though Slack hangs"
    );
    assert_eq!(bench.requests(SLACK).len(), 1);
    bench.advance(16 * SECOND);
    assert_eq!(bench.lines_of("notice.failed").len(), 1);
    bench.works(SLACK);
    for _ in 0..20 {
        bench.advance(10 * SECOND);
    }
    let mut sent = bench.lines_of("notice.sent");
    sent.retain(|line| line["channel"] == "slack");
    assert_eq!(sent.len(), 5);
}

#[test]
fn own_pauses_grow_and_a_webhook_climbs_its_ladder() {
    let bench = Bench::new(&two());
    bench.answers(WEBHOOK, 500, &[], "");
    bench.queue(vec![firing("n1", "hook", "web", noon())]);
    let mut passed = Vec::new();
    for _ in 0..3 {
        passed.push(next_after(&bench, WEBHOOK, Duration::from_mins(40)).as_secs_f64());
    }
    for (passed, full) in passed.iter().zip([5.0, 300.0, 1_800.0]) {
        assert!(
            (full * 0.74..full + 0.2).contains(passed),
            "{passed} of {full}"
        );
    }
}

#[test]
fn a_group_is_told_in_order_and_the_worst_group_first() {
    let bench = Bench::new(&two());
    bench.answers(SLACK, 503, &[], "");
    bench.queue(vec![firing("first", "slack", "web", noon())]);
    let mut worse = firing("second", "slack", "web", noon());
    worse.reason = echopilot::capabilities::alerts::model::Reason::Worse;
    worse.severity = echopilot::platform::alerts::Severity::Critical;
    let mut mild = firing("mild", "slack", "disk", noon());
    mild.severity = echopilot::platform::alerts::Severity::Warning;
    bench.queue(vec![mild, worse]);
    bench.works(SLACK);
    for _ in 0..70 {
        bench.advance(SECOND);
    }
    let sent = bench.lines_of("notice.sent");
    let sent: Vec<&str> = sent
        .iter()
        .map(|line| line["id"].as_str().unwrap())
        .collect();
    let at = |id: &str| sent.iter().position(|one| *one == id).unwrap();
    assert_eq!(sent.len(), 3);
    assert!(at("first") < at("second"), "{sent:?}");
}

#[test]
fn a_restart_forgets_nothing_and_keeps_to_what_was_asked_for() {
    let mut bench = Bench::new(&two());
    bench.answers(SLACK, 429, &[("retry-after", "60")], "");
    bench.queue(vec![firing("n1", "slack", "web", noon())]);
    bench.advance(20 * SECOND);
    bench.kill();
    bench.works(SLACK);
    let passed = next_after(&bench, SLACK, Duration::from_mins(2));
    assert_eq!(passed, 40 * SECOND);
    assert_eq!(bench.told(), ["queued n1", "failed n1", "sent n1"]);
    bench.kill();
    bench.advance(SECOND);
    assert_eq!(bench.requests(SLACK).len(), 2, "what arrived stays arrived");
    let told = bench.outbox().told("web", "slack").unwrap();
    assert_eq!(told.alerts.len(), 1, "what it was told is known");
    assert_eq!(bench.outbox().told("web", "hook"), None);
}

#[test]
fn killed_at_any_step_the_same_notice_goes_out_with_the_same_id_and_body() {
    // Killed after each number of steps of the scheduler, from before the record to after the mark.
    for steps in 0..60 {
        let mut bench = Bench::new(&two());
        bench.works(WEBHOOK);
        let notice = firing("n1", "hook", "web", noon());
        let outbox = std::sync::Arc::clone(bench.outbox());
        bench.runtime().spawn(async move {
            drop(outbox.queue(vec![notice]).await);
        });
        bench.runtime().block_on(async {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
        });
        bench.kill();
        // Who was not told that it is on record says it again, as the router does.
        bench.queue(vec![firing("n1", "hook", "web", noon())]);
        bench.advance(SECOND);
        let requests = bench.requests(WEBHOOK);
        assert!((1..=2).contains(&requests.len()), "{steps}");
        for one in &requests {
            assert_eq!(one.headers["webhook-id"], "n1");
            assert_eq!(one.body, requests[0].body);
        }
        let lines = bench.told();
        assert_eq!(lines.first().unwrap(), "queued n1", "{steps}: {lines:?}");
        assert_eq!(lines.last().unwrap(), "sent n1", "{steps}: {lines:?}");
    }
}

#[test]
fn resolved_overtakes_what_was_not_sent_and_one_line_goes_out() {
    let bench = Bench::new(&two());
    bench.answers(SLACK, 503, &[], "");
    bench.queue(vec![firing("down", "slack", "web", noon())]);
    let over = noon() + chrono::TimeDelta::minutes(3);
    bench.queue(vec![resolved("up", "slack", "web", over)]);
    bench.works(SLACK);
    for _ in 0..70 {
        bench.advance(SECOND);
    }
    let texts: Vec<Value> = bench
        .requests(SLACK)
        .iter()
        .map(|one| body(one)["text"].clone())
        .collect();
    assert_eq!(texts.len(), 2, "one failed, one went out");
    assert_eq!(texts[1], "✅ probe:web resolved, was down 4 min");
    let superseded = bench.lines_of("notice.superseded");
    assert_eq!(
        (&superseded[0]["id"], &superseded[0]["by"]),
        (&json!("down"), &json!("up"))
    );
    assert_eq!(
        bench.outbox().told("web", "slack"),
        None,
        "a finished group is forgotten"
    );
}
