//! Buttons of Telegram messages: who presses one has taken the alerts up, from our chat alone.

use echopilot::capabilities::alerts::channels::button;
use echopilot::platform::alerts::Finding;

use super::bench::TELEGRAM;
use super::*;
use crate::world::noon;

const UPDATES: &str = "https://api.telegram.org/bot123456:planted-telegram-token/getUpdates";
const ANSWER: &str =
    "https://api.telegram.org/bot123456:planted-telegram-token/answerCallbackQuery";

fn pressed(update: i64, chat: i64, data: &str) -> String {
    json!({ "ok": true, "result": [{ "update_id": update, "callback_query": {
        "id": format!("q{update}"), "data": data, "from": { "id": 7, "username": "alice" },
        "message": { "message_id": 1, "chat": { "id": chat } },
    } }] })
    .to_string()
}

fn bench() -> Bench {
    let bench = Bench::new(&json!({ "telegram": { "telegram": {} } }));
    bench.works(TELEGRAM);
    bench.works(ANSWER);
    bench.answers(UPDATES, 200, &[], r#"{"ok":true,"result":[]}"#);
    let finding = Finding {
        key: "probe:web".into(),
        source: "probes".into(),
        started_at: noon(),
        ..Finding::default()
    };
    bench.alerts.raise(finding, noon());
    bench
}

#[test]
fn a_button_in_our_chat_acknowledges_the_group() {
    let bench = bench();
    assert_eq!(
        bench.requests(UPDATES).len(),
        0,
        "nothing can be acknowledged yet"
    );
    bench.queue(vec![firing("n1", "telegram", "web", noon())]);
    assert_eq!(bench.requests(UPDATES).len(), 1);
    bench.answers(UPDATES, 200, &[], &pressed(41, -666, &button("web")));
    bench.advance(SECOND);
    let taken = || bench.alerts.find("probe:web").unwrap().acknowledged;
    assert_eq!(taken(), None, "another chat may not");
    bench.answers(
        UPDATES,
        200,
        &[],
        &pressed(42, -100_200_300, &button("web")),
    );
    bench.advance(SECOND);
    assert_eq!(taken().unwrap().1, "telegram:alice");
    let answers = bench.requests(ANSWER);
    let last = body(answers.last().unwrap());
    assert_eq!(last["text"], "Acknowledged");
    bench.advance(SECOND);
    let asked = bench.requests(UPDATES);
    assert_eq!(
        body(asked.last().unwrap())["offset"],
        43,
        "a press is heard once"
    );
}

#[test]
fn nobody_listens_where_a_page_does_it_or_when_all_is_over() {
    let bench = bench();
    let mut notice = firing("n1", "telegram", "web", noon());
    notice.ack_url = Some("https://ops.example.com/ack?t=1".into());
    bench.queue(vec![notice]);
    bench.advance(61 * SECOND);
    assert_eq!(bench.requests(UPDATES).len(), 0);
    let button = body(&bench.requests(TELEGRAM)[0])
        .pointer("/reply_markup/inline_keyboard/0/0/url")
        .cloned();
    assert_eq!(button, Some(json!("https://ops.example.com/ack?t=1")));
    bench.queue(vec![firing("n2", "telegram", "db", noon())]);
    bench.advance(SECOND);
    assert!(!bench.requests(UPDATES).is_empty());
    bench.queue(vec![resolved("n3", "telegram", "db", noon())]);
    bench.advance(SECOND);
    let before = bench.requests(UPDATES).len();
    for _ in 0..10 {
        bench.advance(SECOND);
    }
    assert_eq!(bench.requests(UPDATES).len(), before);
}

#[test]
fn a_bot_that_cannot_be_listened_to_is_left_in_peace() {
    let bench = bench();
    bench.answers(
        UPDATES,
        409,
        &[],
        r#"{"description":"terminated by other getUpdates"}"#,
    );
    bench.queue(vec![firing("n1", "telegram", "web", noon())]);
    for _ in 0..60 {
        bench.advance(SECOND);
    }
    let asked = bench.requests(UPDATES).len();
    assert!((3..=6).contains(&asked), "{asked}");
}
