//! `POST /api/exp/log`, NDJSON.

use super::bench::on_both;
use serde_json::{Value, json};

fn line(user: &str, more: &str) -> String {
    format!(r#"{{"event":"e","user":"{user}","exp":"pricing_v2","variant":"A"{more}}}"#)
}

/// The line numbers in `results`.
fn listed(body: &Value) -> Vec<u64> {
    body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["line"].as_u64().unwrap())
        .collect()
}

#[test]
fn good_lines_are_written_and_the_others_are_told_one_by_one() {
    on_both(async |shop| {
        let bench = shop.open();
        let bad = line("u", "").replace("pricing_v2", "pricing_v3");
        let text = format!("{}\r\n\n  \n{bad}\n{}\n{{", line("a", ""), line("b", ""));
        let seen = bench.batch("?results=brief", &text).await;
        assert_eq!(seen.status, 200);
        let body = seen.json();
        let (accepted, rejected) = (body["accepted"].as_u64(), body["rejected"].as_u64());
        assert_eq!((accepted, rejected), (Some(2), Some(2)));
        let first = body["first_seq"].as_u64().unwrap();
        assert_eq!(body["last_seq"], first + 1);
        assert_eq!(listed(&body), [4, 6], "blank lines keep their numbers");
        assert_eq!(body["results"][0]["error"], "experiment_not_found");
        assert_eq!(body["results"][0]["nearest"], "pricing_v2");
        assert_eq!(body["results"][1]["error"], "bad_body");
        let lines = bench.lines("event.logged");
        assert!(
            lines.len() == 2 && lines[1].contains("\"user\":\"b\""),
            "{lines:?}"
        );
    });
}

#[test]
fn full_results_list_every_line() {
    on_both(async |shop| {
        let bench = shop.open();
        let text = [
            line("a", ""),
            line("b", r#","id":"x""#),
            line("b", r#","id":"x""#),
        ]
        .join("\n");
        let body = bench.batch("", &text).await.json();
        let first = body["first_seq"].as_u64().unwrap();
        assert_eq!(
            body["results"],
            json!([
                {"line": 1, "ok": true, "seq": first},
                {"line": 2, "ok": true, "seq": first + 1},
                {"line": 3, "ok": true, "seq": first + 1, "duplicate": true},
            ])
        );
    });
}

#[test]
fn all_or_nothing_writes_nothing_when_one_line_is_bad() {
    on_both(async |shop| {
        let bench = shop.open();
        let taken = line("u", r#","id":"taken""#);
        assert_eq!(bench.log(&taken).await.status, 200);
        let good = line("a", r#","id":"new""#);
        let text = [good.clone(), line("", ""), "x".to_owned()].join("\n");
        let seen = bench.batch("?mode=all", &text).await;
        assert_eq!(seen.error(), (400, "batch_refused".to_owned()));
        assert_eq!(listed(&seen.json()), [2, 3], "all of them");
        let conflict = line("other", r#","id":"taken""#);
        let seen = bench
            .batch("?mode=all", &format!("{good}\n{conflict}"))
            .await;
        assert_eq!(seen.error(), (400, "batch_refused".to_owned()));
        assert_eq!(seen.json()["results"][0]["error"], "id_conflict");
        assert_eq!(bench.lines("event.logged").len(), 1);
        let seen = bench
            .batch("?mode=all", &format!("{good}\n{taken}"))
            .await
            .json();
        assert_eq!(
            (seen["accepted"].as_u64(), seen["duplicates"].as_u64()),
            (Some(1), Some(1))
        );
        assert_eq!(
            bench.lines("event.logged").len(),
            2,
            "the id was not used up"
        );
    });
}

#[test]
fn ids_inside_one_batch_and_between_batches_are_one_line_each() {
    on_both(async |shop| {
        let bench = shop.open();
        let id = |id: u32| format!(r#","id":"{id}""#);
        let text = [
            line("a", &id(1)),
            line("a", &id(1)),
            line("b", &id(1)),
            line("b", &id(2)),
        ]
        .join("\n");
        let body = bench.batch("?results=brief", &text).await.json();
        let found = ["accepted", "duplicates", "rejected"].map(|name| body[name].as_u64().unwrap());
        assert_eq!(found, [2, 1, 1]);
        assert_eq!(body["results"][0]["seq"], body["first_seq"]);
        assert_eq!(body["results"][1]["error"], "id_conflict");
        bench.gate.hold();
        let send = || bench.send("/api/exp/log", "application/x-ndjson", &text);
        let (again, once_more) = (send(), send());
        bench.gate.open_up();
        let (again, once_more) = (again.await, once_more.await);
        assert_eq!(again, once_more);
        assert_eq!(again.json()["duplicates"], 3);
        assert_eq!(bench.lines("event.logged").len(), 2);
    });
}

#[test]
fn a_refused_batch_is_503_and_may_be_sent_again() {
    on_both(async |shop| {
        let bench = shop.open();
        let text = [line("a", r#","id":"1""#), line("b", "")].join("\n");
        bench.gate.refuse();
        let seen = bench.batch("", &text).await;
        assert_eq!(seen.error(), (503, "storage_full".to_owned()));
        bench.gate.open_up();
        assert_eq!(bench.batch("", &text).await.json()["accepted"], 2);
        assert_eq!(bench.lines("event.logged").len(), 2);
    });
}

#[test]
fn odd_batches() {
    on_both(async |shop| {
        let bench = shop.open();
        for empty in ["", "\n", "\r\n \n"] {
            let body = bench.batch("", empty).await.json();
            assert_eq!(
                (body["ok"].as_bool(), body["accepted"].as_u64()),
                (Some(true), Some(0))
            );
        }
        let seen = bench.batch("", "x\ny\n").await;
        assert_eq!(
            seen.error(),
            (400, "batch_refused".to_owned()),
            "nothing good in it"
        );
        let many = vec!["{}"; 10_001].join("\n");
        assert_eq!(
            bench.batch("", &many).await.error(),
            (413, "too_many_lines".to_owned())
        );
        for query in ["?mode=some", "?results=all"] {
            let seen = bench.batch(query, &line("a", "")).await;
            assert_eq!(seen.error(), (400, "bad_parameter".to_owned()), "{query}");
        }
        assert!(bench.lines("event.logged").is_empty());
    });
}
