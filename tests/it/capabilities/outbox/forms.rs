//! The form of each channel: what is sent, with which key, and that no secret leaves by another
//! way.

use echopilot::capabilities::alerts::channels::button;
use echopilot::capabilities::alerts::model::Reason;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use super::bench::{SIGNING, TELEGRAM, TOKEN, alert};
use super::*;
use crate::world::noon;

/// Every channel over HTTP, by name.
fn all() -> Value {
    json!({
        "slack": { "slack": {} }, "telegram": { "telegram": {} }, "resend": { "resend": {} },
        "discord": { "discord": {} }, "ntfy": { "ntfy": {} }, "pagerduty": { "pagerduty": {} },
        "hook": { "webhook": {} },
    })
}

const DISCORD: &str = "https://discord.com/api/webhooks/1/planted-discord?wait=true";
const RESEND: &str = "https://api.resend.com/emails";
const NTFY: &str = "https://ntfy.sh/";
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

#[test]
fn each_channel_is_told_in_its_own_form_with_its_own_key() {
    let bench = Bench::new(&all());
    for url in [SLACK, TELEGRAM, DISCORD, RESEND, NTFY, PAGERDUTY, WEBHOOK] {
        bench.works(url);
    }
    for channel in [
        "slack",
        "telegram",
        "resend",
        "discord",
        "ntfy",
        "pagerduty",
        "hook",
    ] {
        let mut notice = firing(&format!("n-{channel}"), channel, "g<1>", noon());
        notice.incident = "inc-20261121-1".into();
        notice.causes = vec!["flag `pay.live` was set to true 3 min before".into()];
        bench.queue(vec![notice]);
    }
    assert_eq!(bench.lines_of("notice.sent").len(), 7, "{:?}", bench.told());
    let one = |url: &str| bench.requests(url).remove(0);

    let telegram = body(&one(TELEGRAM));
    assert_eq!(
        telegram["text"],
        "🚨 EchoPilot Incident Detected\n• `probe:g&lt;1&gt;` answers 500\n\
         Likely cause: flag `pay.live` was set to true 3 min before\nIncident: inc-20261121-1"
    );
    let pressed = telegram
        .pointer("/reply_markup/inline_keyboard/0/0/callback_data")
        .unwrap();
    assert_eq!(*pressed, button("g<1>"));
    assert!(pressed.as_str().unwrap().len() <= 64);
    assert_eq!(telegram["parse_mode"], "HTML");

    let slack = body(&one(SLACK));
    assert_eq!(slack["attachments"][0]["color"], "#d0342c");
    assert_eq!(slack["text"], "🚨 EchoPilot Incident Detected");
    assert_eq!(body(&one(DISCORD))["allowed_mentions"]["parse"], json!([]));

    let resend = one(RESEND);
    assert_eq!(resend.headers["idempotency-key"], "n-resend");
    assert_eq!(
        resend.headers["authorization"],
        "Bearer re_planted_resend_key"
    );
    let mail = body(&resend);
    assert_eq!(mail["headers"]["Auto-Submitted"], "auto-generated");
    assert_eq!(mail["to"], json!(["owner@example.com"]));

    let ntfy = one(NTFY);
    assert_eq!(ntfy.headers["authorization"], "Bearer tk_planted_ntfy");
    assert_eq!(
        (&body(&ntfy)["topic"], &body(&ntfy)["priority"]),
        (&json!("planted-topic"), &json!(4))
    );
    let pager = body(&one(PAGERDUTY));
    assert_eq!(
        (&pager["event_action"], &pager["dedup_key"]),
        (&json!("trigger"), &json!("g<1>"))
    );
}

#[test]
fn a_webhook_is_signed_by_the_standard_and_has_the_shape_of_alertmanagers() {
    let bench = Bench::new(&all());
    bench.works(WEBHOOK);
    bench.queue(vec![firing("n1", "hook", "web", noon())]);
    let request = bench.requests(WEBHOOK).remove(0);
    let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    let key = openssl::base64::decode_block(SIGNING.trim_start_matches("whsec_")).unwrap();
    let key = PKey::hmac(&key).unwrap();
    let mut content = format!("n1.{}.", header("webhook-timestamp")).into_bytes();
    content.extend_from_slice(&request.body);
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let proof = signer.sign_oneshot_to_vec(&content).unwrap();
    let proof = format!("v1,{}", openssl::base64::encode_block(&proof));
    assert_eq!(header("webhook-signature"), proof);
    let body = body(&request);
    assert_eq!(body["type"], "alert.notice");
    let data = &body["data"];
    assert_eq!(
        (&data["version"], &data["groupKey"], &data["status"]),
        (&json!("4"), &json!("web"), &json!("firing"))
    );
    assert_eq!(data["alerts"][0]["labels"]["alertname"], "Down");
    assert_eq!(data["alerts"][0]["startsAt"], "2026-11-21T11:59:00.000Z");
    assert_eq!(data["commonLabels"]["source"], "probes");
}

#[test]
fn a_thousand_alerts_fit_every_channel() {
    let bench = Bench::new(&all());
    for url in [SLACK, TELEGRAM, DISCORD, RESEND, NTFY, PAGERDUTY, WEBHOOK] {
        bench.works(url);
    }
    let long = "<&>\u{1b}[31m\u{202e}😀".repeat(100);
    for channel in ["slack", "telegram", "discord", "ntfy", "pagerduty", "hook"] {
        let mut notice = firing(&format!("n-{channel}"), channel, &"g".repeat(300), noon());
        notice.alerts = (0..1_000)
            .map(|number| {
                let mut one = alert(&format!("probe:{number}"));
                one.summary = format!("{number} {long}");
                one
            })
            .collect();
        bench.queue(vec![notice]);
    }
    let sent = |url: &str| body(&bench.requests(url).remove(0));
    let telegram = sent(TELEGRAM);
    let text = telegram["text"].as_str().unwrap();
    let shown = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let units: usize = shown.chars().map(char::len_utf16).sum();
    assert!(units <= 4_096, "{units}");
    assert!(text.contains("… and ") && !text.contains(['\u{1b}', '\u{202e}']));
    let hook = bench.requests(WEBHOOK).remove(0);
    assert!(hook.body.len() <= 20_000, "{}", hook.body.len());
    let data = body(&hook)["data"].clone();
    let listed = data["alerts"].as_array().unwrap().len();
    assert_eq!(data["truncatedAlerts"], json!(1_000 - listed));
    assert!(sent(PAGERDUTY)["dedup_key"].as_str().unwrap().len() <= 255);
    let ntfy = sent(NTFY);
    assert!(ntfy["message"].as_str().unwrap().len() < 4_096);
    let discord = sent(DISCORD);
    let description = discord["embeds"][0]["description"].as_str().unwrap();
    assert!(description.chars().count() <= 4_096);
    let slack = sent(SLACK);
    let text = slack["attachments"][0]["blocks"][0]["text"]["text"]
        .as_str()
        .unwrap();
    assert!(text.chars().count() <= 3_000, "{}", text.chars().count());
}

#[test]
fn an_end_is_told_as_one_line_and_ends_the_incident_over_there() {
    let bench = Bench::new(&all());
    for url in [TELEGRAM, PAGERDUTY] {
        bench.works(url);
    }
    let at = noon() + chrono::TimeDelta::seconds(61 * 60 + 5);
    bench.queue(vec![
        resolved("t", "telegram", "web", at),
        resolved("p", "pagerduty", "web", at),
    ]);
    let telegram = body(&bench.requests(TELEGRAM)[0]);
    assert_eq!(
        telegram["text"],
        "✅ probe:web resolved, was down 1 h 2 min\n• it answers 200 again"
    );
    assert_eq!(telegram.get("reply_markup"), None);
    let pager = body(&bench.requests(PAGERDUTY)[0]);
    assert_eq!(
        (&pager["event_action"], &pager["dedup_key"]),
        (&json!("resolve"), &json!("web"))
    );
}

#[test]
fn the_first_line_says_why_it_is_told() {
    let bench = Bench::new(&all());
    bench.works(TELEGRAM);
    let rows = [
        (Reason::First, "🔴 ERROR: probe:web"),
        (Reason::Repeat, "🔴 ERROR, still: probe:web"),
        (
            Reason::Escalation,
            "⏫ ERROR, nobody has taken it up: probe:web",
        ),
        (Reason::Worse, "🔴 Now ERROR: probe:web"),
    ];
    for (number, (reason, _)) in rows.iter().enumerate() {
        let mut notice = firing(&format!("n{number}"), "telegram", "web", noon());
        notice.reason = *reason;
        bench.queue(vec![notice]);
        bench.advance(5 * SECOND);
    }
    let requests = bench.requests(TELEGRAM);
    for ((_, title), request) in rows.iter().zip(&requests) {
        let body = body(request);
        assert_eq!(body["text"].as_str().unwrap().lines().next(), Some(*title));
    }
}

/// A service that repeats what it was sent, as some do in their errors.
#[test]
fn h14_no_secret_is_in_any_line_or_error() {
    let planted = [
        "planted-slack-secret",
        "planted-path-secret",
        "planted-telegram-token",
        "planted_resend_key",
        "planted-discord",
        "planted_ntfy",
        "planted-routing-key",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ];
    for status in [400, 401, 404, 500] {
        let bench = Bench::new(&all());
        for url in [SLACK, TELEGRAM, DISCORD, RESEND, NTFY, PAGERDUTY, WEBHOOK] {
            let secret = match url {
                TELEGRAM => TOKEN,
                RESEND => "re_planted_resend_key",
                NTFY => "tk_planted_ntfy",
                PAGERDUTY => "planted-routing-key",
                DISCORD => "https://discord.com/api/webhooks/1/planted-discord",
                other => other,
            };
            bench.answers(
                url,
                status,
                &[],
                &format!("{{\"message\":\"no {secret}\"}}"),
            );
        }
        let names = [
            "slack",
            "telegram",
            "resend",
            "discord",
            "ntfy",
            "pagerduty",
            "hook",
        ];
        for channel in names {
            bench.queue(vec![firing(
                &format!("n-{channel}"),
                channel,
                "web",
                noon(),
            )]);
        }
        let lines: Vec<String> = bench.lines().iter().map(ToString::to_string).collect();
        let trouble = bench.outbox().trouble().unwrap_or_default();
        for secret in planted {
            let found: Vec<&String> = lines.iter().filter(|line| line.contains(secret)).collect();
            assert!(found.is_empty(), "{status}: {found:?}");
            assert!(!trouble.contains(secret), "{trouble}");
        }
    }
}

#[test]
fn a_test_notice_asks_nobody_to_take_anything_up() {
    let bench = Bench::new(&all());
    bench.works(TELEGRAM);
    let mut notice = firing("t1", "telegram", "test:1", noon());
    notice.reason = Reason::Test;
    bench.queue(vec![notice]);
    bench.queue(vec![firing("n1", "telegram", "web", noon())]);
    bench.advance(SECOND * 10);
    let sent: Vec<_> = bench.requests(TELEGRAM).iter().map(body).collect();
    assert_eq!(sent.len(), 2);
    let has_button = |body: &Value| body.get("reply_markup").is_some();
    let told = |body: &Value| body["text"].as_str().unwrap().contains("test notice");
    for body in &sent {
        assert_eq!(has_button(body), !told(body), "{body}");
    }
}
