//! `POST /api/exp/log`, one event.

use super::bench::on_both;
use serde_json::json;

const EVENT: &str = r#"{"event":"signup","user":"user123","exp":"pricing_v2","variant":"A"}"#;
const WITH_ID: &str = r#"{"event":"signup","user":"u","exp":"pricing_v2","variant":"A","id":"i1"}"#;

#[test]
fn an_event_is_a_line_and_a_count() {
    on_both(async |shop| {
        let bench = shop.open();
        let seen = bench.log(EVENT).await;
        let seq = seen.json()["seq"].as_u64().unwrap();
        assert_eq!(seen.body, format!(r#"{{"ok":true,"seq":{seq}}}"#));
        for value in ["2.5", "1e2", "null"] {
            let body = EVENT.replace("\"A\"", &format!("\"A\",\"value\":{value}"));
            assert_eq!(bench.log(&body).await.status, 200);
        }
        let start = r#""exp":"pricing_v2","variant":"A","event":"signup","user":"user123""#;
        let lines = bench.lines("event.logged");
        let expected = ["", ",\"value\":2.5", ",\"value\":100", ""];
        assert_eq!(lines, expected.map(|more| format!("{start}{more}")));
        let counts = bench.counts("pricing_v2").await;
        let event = json!([{"event": "signup", "n": 4, "sum": 102.5, "users": 1}]);
        assert_eq!(counts["variants"][0]["events"], event);
    });
}

#[test]
fn the_same_id_is_one_line_and_the_same_bytes_also_across_restarts() {
    on_both(async |shop| {
        let bench = shop.open();
        let first = bench.log(WITH_ID).await;
        assert_eq!(first.json()["id"], "i1");
        assert_eq!(bench.log(WITH_ID).await, first);
        let spaced = WITH_ID.replace(',', ", ").replace("signup", "s\\u0069gnup");
        assert_eq!(
            bench.log(&spaced).await,
            first,
            "it is the content that counts"
        );
        shop.kill(bench);
        let bench = shop.open();
        assert_eq!(bench.log(WITH_ID).await, first, "after a crash");
        shop.stop(bench);
        let bench = shop.open();
        assert_eq!(bench.log(WITH_ID).await, first, "from the checkpoint");
        for other in [
            WITH_ID.replace("signup", "buy"),
            WITH_ID.replace("\"u\"", "\"v\""),
            WITH_ID.replace("\"A\"", "\"B\""),
            WITH_ID.replace("\"A\"", "\"A\",\"value\":0"),
        ] {
            assert_eq!(
                bench.log(&other).await.error(),
                (409, "id_conflict".to_owned()),
                "{other}"
            );
        }
        assert_eq!(bench.lines("event.logged").len(), 1);
    });
}

#[test]
fn a_repetition_while_the_first_is_in_flight_waits_and_gets_its_answer() {
    on_both(async |shop| {
        let bench = shop.open();
        bench.gate.hold();
        let asked: Vec<_> = (0..20)
            .map(|_| bench.send("/api/exp/log", "application/json", WITH_ID))
            .collect();
        let other = WITH_ID.replace("signup", "buy");
        assert_eq!(
            bench.log(&other).await.error(),
            (409, "id_conflict".to_owned())
        );
        bench.gate.open_up();
        let answers = futures_util::future::join_all(asked).await;
        assert!(
            answers.iter().all(|answer| answer.status == 200),
            "{answers:?}"
        );
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{answers:?}"
        );
        assert_eq!(bench.lines("event.logged").len(), 1);
    });
}

#[test]
fn a_refused_event_is_503_for_all_who_wait_and_its_id_is_free_again() {
    on_both(async |shop| {
        let bench = shop.open();
        bench.gate.hold();
        let send = || bench.send("/api/exp/log", "application/json", WITH_ID);
        let (first, second) = (send(), send());
        bench.gate.refuse();
        for seen in [first.await, second.await, bench.log(WITH_ID).await] {
            assert_eq!(seen.error(), (503, "storage_full".to_owned()));
        }
        bench.gate.open_up();
        assert_eq!(bench.log(WITH_ID).await.status, 200);
        assert_eq!(bench.lines("event.logged").len(), 1);
        assert_eq!(
            bench.counts("pricing_v2").await["variants"][0]["events"][0]["n"],
            1
        );
    });
}

#[test]
fn a_kill_between_write_and_answer_leaves_one_line() {
    on_both(async |shop| {
        let bench = shop.open();
        let never_heard = bench.send("/api/exp/log", "application/json", WITH_ID);
        drop(never_heard);
        shop.kill(bench);
        let bench = shop.open();
        let first = bench.log(WITH_ID).await;
        assert_eq!(first.status, 200);
        assert_eq!(bench.log(WITH_ID).await, first);
        assert_eq!(bench.lines("event.logged").len(), 1);
    });
}

#[test]
fn what_is_not_an_event_is_refused_and_writes_nothing() {
    on_both(async |shop| {
        let bench = shop.open();
        let with = |old: &str, new: &str| EVENT.replace(old, new);
        let more = |more: &str| with("\"A\"", &format!("\"A\",{more}"));
        for (body, status, code) in [
            (
                with("pricing_v2", "pricing_v9"),
                404,
                "experiment_not_found",
            ),
            (with("\"A\"", "\"C\""), 400, "unknown_variant"),
            (with("user123", ""), 400, "bad_user"),
            (with("user123", &"x".repeat(257)), 400, "bad_user"),
            (with("user123", "a\\u0007b"), 400, "bad_user"),
            (with("signup", ""), 400, "bad_event"),
            (with("signup", "-x"), 400, "bad_event"),
            (with("signup", "a b"), 400, "bad_event"),
            (with("signup", &"x".repeat(65)), 400, "bad_event"),
            (with("\"event\":\"signup\",", ""), 400, "missing_member"),
            (more("\"varaint\":1"), 400, "unknown_member"),
            (more("\"value\":\"1\""), 400, "bad_body"),
            (more("\"value\":1e999"), 400, "bad_body"),
            (more("\"value\":NaN"), 400, "bad_body"),
            (more("\"user\":\"again\""), 400, "bad_body"),
            (more("\"id\":\"\""), 400, "bad_id"),
            (
                more(&format!("\"id\":\"{}\"", "x".repeat(129))),
                400,
                "bad_id",
            ),
            (more("\"id\":\"a\\nb\""), 400, "bad_id"),
            (String::new(), 400, "bad_body"),
            ("[]".to_owned(), 400, "bad_body"),
            (format!("{EVENT}{EVENT}"), 400, "bad_body"),
            (
                format!("{EVENT}{}", " ".repeat(65536)),
                413,
                "body_too_large",
            ),
        ] {
            assert_eq!(
                bench.log(&body).await.error(),
                (status, code.to_owned()),
                "{body}"
            );
        }
        let seen = bench.log(&with("\"A\"", "\"C\"")).await.json();
        assert_eq!(seen["allowed"], json!(["A", "B"]));
        let seen = bench.log(&with("\"user\"", "\"usr\"")).await.json();
        assert_eq!(seen["nearest"], "user");
        let seen = bench
            .send("/api/exp/log?mode=all", "application/json", EVENT)
            .await;
        assert_eq!(seen.error(), (400, "unknown_parameter".to_owned()));
        assert!(bench.lines("event.logged").is_empty());
    });
}

#[test]
fn event_names_are_bounded() {
    on_both(async |shop| {
        let bench = shop.open();
        let name = |number: u32| EVENT.replace("signup", &format!("e{number}"));
        let names: Vec<String> = (0..1000).map(name).collect();
        assert_eq!(
            bench.batch("", &names.join("\n")).await.json()["accepted"],
            1000
        );
        let seen = bench.log(&name(1000)).await;
        assert_eq!(seen.error(), (400, "too_many_events".to_owned()));
        assert_eq!(bench.log(&name(999)).await.status, 200, "known ones go on");
        let other = name(5).replace("\"A\"", "\"B\"");
        assert_eq!(bench.log(&other).await.status, 200, "in each variant");
        assert_eq!(bench.lines("event.logged").len(), 1002);
    });
}

#[test]
fn event_names_of_refused_lines_take_no_room() {
    on_both(async |shop| {
        let bench = shop.open();
        let name = |number: u32| EVENT.replace("signup", &format!("e{number}"));
        let names = |numbers: std::ops::Range<u32>| numbers.map(name).collect::<Vec<_>>();
        assert_eq!(bench.log(WITH_ID).await.status, 200);
        // One line that does not fit an id takes the 999 names before it down with it.
        let other_body = WITH_ID.replace("\"A\"", "\"B\"");
        let all = names(0..999).join("\n") + "\n" + &other_body;
        for _ in 0..2 {
            let seen = bench.batch("?mode=all", &all).await;
            assert_eq!(seen.error(), (400, "batch_refused".to_owned()));
            assert_eq!(seen.json()["rejected"], 1, "{}", seen.body);
        }
        assert_eq!(bench.log(&name(999)).await.status, 200, "there is room");
        // On their way to a storage that takes nothing, names count for as long as they are.
        bench.gate.hold();
        let asked = bench.send(
            "/api/exp/log",
            "application/x-ndjson",
            &names(1000..1998).join("\n"),
        );
        let seen = bench.log(&name(0)).await;
        assert_eq!(seen.error(), (400, "too_many_events".to_owned()));
        bench.gate.refuse();
        assert_eq!(asked.await.error(), (503, "storage_full".to_owned()));
        bench.gate.open_up();
        // There is room for as many as if none of that had been, and for no more.
        let seen = bench.batch("", &names(2000..3000).join("\n")).await.json();
        assert_eq!(
            (&seen["accepted"], &seen["rejected"]),
            (&json!(998), &json!(2))
        );
        assert_eq!(bench.log(&name(2000)).await.status, 200, "known ones go on");
        let events = &bench.counts("pricing_v2").await["variants"][0]["events"];
        assert_eq!(events.as_array().unwrap().len(), 1000);
        let of_first = json!({"event": "e2000", "n": 2, "sum": 0.0, "users": 1});
        assert!(events.as_array().unwrap().contains(&of_first), "{events}");
        shop.stop(bench);
        let bench = shop.open();
        let seen = bench.log(&name(0)).await;
        assert_eq!(seen.error(), (400, "too_many_events".to_owned()));
    });
}
