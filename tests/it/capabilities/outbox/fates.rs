//! What becomes of a notice that does not simply arrive: refusals, fallbacks, dry runs, digests.

use chrono::TimeDelta;
use echopilot::capabilities::alerts::model::{Reason, Status};
use echopilot::platform::secrets::Secrets;

use super::bench::{alert, channels};
use super::*;
use crate::world::noon;

#[test]
fn a_refusal_is_final_and_the_next_channel_takes_it_over() {
    let mut bench = Bench::new(&json!({
        "slack": { "slack": {}, "fallback": ["hook"] },
        "hook": { "webhook": {} },
    }));
    bench.answers(SLACK, 404, &[], "no_service");
    bench.works(WEBHOOK);
    bench.queue(vec![firing("n1", "slack", "web", noon())]);
    let told = ["queued n1", "queued n1~hook", "dead n1", "sent n1~hook"];
    assert_eq!(bench.told(), told);
    let dead = &bench.lines_of("notice.dead")[0];
    assert_eq!(
        (&dead["why"], &dead["fallback"]),
        (&json!("answered 404: no_service"), &json!("hook"))
    );
    let text = body(&bench.requests(WEBHOOK)[0])["data"]["text"].clone();
    let text = text.as_str().unwrap();
    assert!(text.contains("Sent here because `slack` could not take it"));
    let trouble = "channel `slack` is broken: answered 404: no_service";
    assert_eq!(bench.outbox().trouble().unwrap(), trouble);
    bench.kill();
    assert_eq!(
        bench.outbox().trouble().unwrap(),
        trouble,
        "a restart mends nothing"
    );
    bench.works(SLACK);
    bench.queue(vec![firing("n2", "slack", "web", noon())]);
    assert_eq!(bench.outbox().trouble(), None, "a send that works does");
}

#[test]
fn who_is_told_anyway_takes_nothing_over_and_a_circle_ends() {
    let bench = Bench::new(&json!({
        "slack": { "slack": {}, "fallback": ["hook"] },
        "hook": { "webhook": {}, "fallback": ["slack"] },
    }));
    bench.answers(SLACK, 404, &[], "no_service");
    bench.works(WEBHOOK);
    bench.queue(vec![
        firing("s1", "slack", "web", noon()),
        firing("h1", "hook", "web", noon()),
    ]);
    assert_eq!(bench.requests(WEBHOOK).len(), 1, "a person is told once");
    bench.answers(WEBHOOK, 400, &[], "");
    bench.queue(vec![firing("s2", "slack", "db", noon())]);
    bench.advance(SECOND);
    let dead = bench.lines_of("notice.dead");
    let last = dead.last().unwrap();
    assert_eq!(last["id"], "s2~hook");
    assert_eq!(last.get("fallback"), None, "it has been there");
}

#[test]
fn gone_means_no_more_calls_until_the_channel_is_another() {
    let text =
        json!({ "hook": { "webhook": {}, "fallback": ["slack"] }, "slack": { "slack": {} } });
    let mut bench = Bench::new(&text);
    bench.answers(WEBHOOK, 410, &[], "");
    bench.works(SLACK);
    bench.queue(vec![firing("n1", "hook", "web", noon())]);
    bench.queue(vec![firing("n2", "hook", "db", noon())]);
    bench.kill();
    bench.queue(vec![firing("n3", "hook", "disk", noon())]);
    bench.advance(5 * SECOND);
    assert_eq!(bench.requests(WEBHOOK).len(), 1, "it was said once");
    assert_eq!(bench.lines_of("notice.dead").len(), 3);
    assert_eq!(bench.requests(SLACK).len(), 3, "others have them");
    let mut other = text.clone();
    other["hook"]["expiry_secs"] = json!(600);
    *bench.rules.lock().unwrap() = channels(&other);
    bench.works(WEBHOOK);
    bench.outbox().reload();
    bench.queue(vec![firing("n4", "hook", "web", noon())]);
    assert_eq!(bench.requests(WEBHOOK).len(), 2);
}

#[test]
fn without_its_secret_a_channel_runs_dry_and_nothing_is_a_success() {
    let bench = Bench::with(&two(), Secrets::default());
    bench.queue(vec![
        firing("n1", "slack", "web", noon()),
        firing("n2", "hook", "web", noon()),
    ]);
    assert_eq!(bench.outbound.asked().len(), 0);
    assert!(bench.lines_of("notice.sent").is_empty());
    let mut reasons: Vec<Value> = bench
        .lines_of("notice.dry_run")
        .iter()
        .map(|line| line["reason"].clone())
        .collect();
    reasons.sort_by_key(ToString::to_string);
    assert_eq!(reasons, ["no ALERT_WEBHOOK_URL", "no SLACK_WEBHOOK_URL"]);
    assert_eq!(bench.outbox().trouble(), None, "it is no fault");
}

#[test]
fn what_comes_too_late_is_one_digest_even_when_that_waits_too() {
    let mut bench = Bench::new(&two());
    bench.answers(SLACK, 503, &[], "");
    for number in 0..4 {
        let (id, group) = (format!("n{number}"), format!("g{number}"));
        bench.queue(vec![firing(&id, "slack", &group, bench_now(&bench))]);
    }
    let over = bench_now(&bench) + TimeDelta::minutes(9);
    bench.queue(vec![resolved("over", "slack", "g0", over)]);
    for _ in 0..75 {
        bench.advance(300 * SECOND);
    }
    let mut expired = bench.lines_of("notice.expired");
    expired.retain(|line| !line["id"].as_str().unwrap().starts_with("digest-"));
    assert_eq!(expired.len(), 4);
    let again = firing("late", "slack", "g9", bench_now(&bench));
    bench.queue(vec![again]);
    for _ in 0..75 {
        bench.advance(300 * SECOND);
    }
    bench.kill();
    let before = bench.requests(SLACK).len();
    bench.works(SLACK);
    for _ in 0..10 {
        bench.advance(100 * SECOND);
    }
    let requests = bench.requests(SLACK);
    let texts: Vec<Value> = requests[before..]
        .iter()
        .map(|one| body(one)["text"].clone())
        .collect();
    assert_eq!(
        texts,
        ["🗞 Could not be told in time: 5 alerts, summed up"],
        "one for all"
    );
    let all = requests[before].body.to_vec();
    let all = String::from_utf8(all).unwrap();
    assert!(
        all.contains("`probe:g1` answers 500") && all.contains("`probe:g9` answers 500"),
        "{all}"
    );
    assert!(all.contains("was down 10 min"), "{all}");
}

fn bench_now(bench: &Bench) -> chrono::DateTime<chrono::Utc> {
    use echopilot::seams::clock::Clock as _;
    bench.clock.now()
}

#[test]
fn a_flood_is_told_as_the_newest_and_a_sum_and_costs_a_bounded_memory() {
    let bench = Bench::new(&two());
    bench.outbound.answers(
        &format!("POST {SLACK}"),
        echopilot::seams::outbound::FakeAnswer::hangs(),
    );
    for start in 0..20 {
        let notices = (0..100).map(|one| {
            let number = start * 100 + one;
            firing(
                &format!("n{number}"),
                "slack",
                &format!("g{number}"),
                noon(),
            )
        });
        bench.queue(notices.collect());
    }
    let expired = bench.lines_of("notice.expired").len();
    assert!((1_400..1_600).contains(&expired), "{expired}");
    bench.works(SLACK);
    for _ in 0..700 {
        bench.advance(SECOND);
    }
    let sent = bench.lines_of("notice.sent");
    let digests = sent
        .iter()
        .filter(|line| line["id"].as_str().unwrap().starts_with("digest-"));
    assert_eq!(digests.count(), 1);
    assert!((500..520).contains(&sent.len()), "{}", sent.len());
}

#[test]
fn a_channel_that_is_not_configured_any_more_takes_nothing_with_it() {
    let bench = Bench::new(&two());
    bench.answers(SLACK, 503, &[], "");
    bench.queue(vec![firing("n1", "slack", "web", noon())]);
    *bench.rules.lock().unwrap() = channels(&json!({ "hook": { "webhook": {} } }));
    bench.outbox().reload();
    bench.turn();
    let dead = bench.lines_of("notice.dead");
    assert_eq!(dead[0]["why"], "there is no channel `slack` any more");
    assert_eq!(bench.outbox().trouble(), None);
}

#[test]
fn a_group_is_known_by_what_was_told_of_it_and_forgotten_when_all_is_over() {
    let bench = Bench::new(&two());
    bench.works(SLACK);
    let mut two_alerts = firing("n1", "slack", "web", noon());
    two_alerts.alerts.push(alert("probe:db"));
    bench.queue(vec![two_alerts]);
    let mut partly = firing("n2", "slack", "web", noon());
    partly.reason = Reason::NewResolved;
    partly.alerts[0].status = Status::Resolved;
    partly.alerts.push(alert("probe:db"));
    bench.queue(vec![partly]);
    let told = bench.outbox().told("web", "slack").unwrap();
    let statuses: Vec<Status> = told.alerts.values().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [Status::Firing, Status::Resolved]);
    assert_eq!(
        bench.outbox().all_told(),
        [("web".to_owned(), "slack".to_owned())]
    );
    let mut over = resolved("n3", "slack", "web", noon());
    let mut db = alert("probe:db");
    db.status = Status::Resolved;
    over.alerts.push(db);
    bench.queue(vec![over]);
    assert_eq!(bench.outbox().all_told(), []);
}
