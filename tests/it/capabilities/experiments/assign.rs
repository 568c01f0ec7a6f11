//! `GET /api/exp/assign`.

use std::time::Duration;

use echopilot::platform::config::{Config, DaemonConfig};
use echopilot::storage::engine::Durability;
use serde_json::json;

use super::bench::{on_both, rules};

#[test]
fn an_assignment_is_answered_in_the_legacy_form() {
    on_both(async |shop| {
        let bench = shop.open();
        let seen = bench
            .get("/api/exp/assign?user=user123&exp=pricing_v2")
            .await;
        assert_eq!(
            seen.body,
            concat!(
                r#"{"ok":true,"user":"user123","experiment":"pricing_v2","variant":"A","#,
                r#""description":"Test new pricing page design"}"#
            )
        );
        let seen = bench
            .get("/api/exp/assign?exp=pricing_v2&user=test%40example.com")
            .await;
        assert_eq!(seen.json()["variant"], "A");
        assert_eq!(seen.json()["user"], "test@example.com");
        let seen = bench
            .get("/api/exp/assign?exp=onboarding_flow&user=%22q%22+%5C")
            .await;
        assert_eq!(seen.json()["user"], "\"q\" \\", "quotes survive");
    });
}

#[test]
fn the_first_exposure_is_one_line_and_later_ones_are_none() {
    on_both(async |shop| {
        let bench = shop.open();
        for _ in 0..3 {
            bench
                .get("/api/exp/assign?user=user123&exp=pricing_v2")
                .await;
        }
        let line = r#""exp":"pricing_v2","variant":"A","user":"user123","revision":""#;
        let lines = bench.lines("exposure.recorded");
        assert!(lines.len() == 1 && lines[0].starts_with(line), "{lines:?}");
        shop.kill(bench);
        let bench = shop.open();
        bench
            .get("/api/exp/assign?user=user123&exp=pricing_v2")
            .await;
        assert_eq!(
            bench.lines("exposure.recorded").len(),
            1,
            "also after a restart"
        );
        bench
            .get("/api/exp/assign?user=user123&exp=onboarding_flow")
            .await;
        assert_eq!(
            bench.lines("exposure.recorded").len(),
            2,
            "each experiment for itself"
        );
    });
}

#[test]
fn a_hundred_first_assignments_at_once_are_one_line() {
    on_both(async |shop| {
        let bench = shop.open();
        bench.gate.hold();
        let asked: Vec<_> = (0..100)
            .map(|_| bench.send("/api/exp/assign?user=u&exp=pricing_v2", "", ""))
            .collect();
        bench.gate.open_up();
        for seen in futures_util::future::join_all(asked).await {
            assert_eq!((seen.status, seen.degraded), (200, None));
        }
        assert_eq!(bench.lines("exposure.recorded").len(), 1);
    });
}

#[test]
fn a_refused_exposure_degrades_the_answer_and_is_made_up_later() {
    on_both(async |shop| {
        let bench = shop.open();
        let target = "/api/exp/assign?user=u&exp=pricing_v2";
        bench.gate.hold();
        let (first, second) = (bench.send(target, "", ""), bench.send(target, "", ""));
        bench.gate.refuse();
        for seen in [first.await, second.await, bench.get(target).await] {
            assert_eq!(
                seen.status, 200,
                "flags of the application must not fall over"
            );
            assert_eq!(seen.degraded.as_deref(), Some("storage_full"));
        }
        assert_eq!(
            bench.counts("pricing_v2").await["variants"][0]["exposures"],
            0
        );
        bench.gate.open_up();
        assert_eq!(bench.get(target).await.degraded, None);
        assert_eq!(bench.lines("exposure.recorded").len(), 1);
    });
}

#[test]
fn what_is_not_an_assignment_is_refused_and_writes_nothing() {
    on_both(async |shop| {
        let bench = shop.open();
        let long = "x".repeat(257);
        let full = format!("user={long}&exp=pricing_v2");
        for (query, status, code) in [
            ("user=u&exp=pricing_v3", 404, "experiment_not_found"),
            ("user=&exp=pricing_v2", 400, "bad_user"),
            (&*full, 400, "bad_user"),
            ("user=a%0Ab&exp=pricing_v2", 400, "bad_user"),
            ("user=a%C2%85b&exp=pricing_v2", 400, "bad_user"),
            ("user=%ff&exp=pricing_v2", 400, "bad_encoding"),
            ("user=u", 400, "missing_parameter"),
            ("exp=pricing_v2", 400, "missing_parameter"),
            ("user=u&user=v&exp=pricing_v2", 400, "duplicate_parameter"),
            ("user=u&exp=pricing_v2&x=1", 400, "unknown_parameter"),
        ] {
            let seen = bench.get(&format!("/api/exp/assign?{query}")).await;
            assert_eq!(seen.error(), (status, code.to_owned()), "{query}");
        }
        let seen = bench.get("/api/exp/assign?user=u&exp=pricing_v3").await;
        assert_eq!(seen.json()["nearest"], "pricing_v2");
        let longest = format!("/api/exp/assign?user={}&exp=pricing_v2", "x".repeat(256));
        assert_eq!(bench.get(&longest).await.status, 200);
        assert_eq!(bench.lines("exposure.recorded").len(), 1);
    });
}

#[test]
fn a_user_whose_variant_changed_is_counted_apart() {
    on_both(async |shop| {
        let bench = shop.open();
        bench
            .get("/api/exp/assign?user=user123&exp=pricing_v2")
            .await;
        bench.configure(&shop.config.replace(r#"["A", "B"]"#, r#"["B", "A"]"#));
        bench
            .get("/api/exp/assign?user=user123&exp=pricing_v2")
            .await;
        let counts = bench.counts("pricing_v2").await;
        assert_eq!(counts["exposed_to_several"], 1);
        assert_eq!(
            counts["variants"][0],
            json!({"name": "B", "exposures": 1, "events": []})
        );
    });
}

#[test]
fn drafts_and_stopped_experiments_assign_nobody() {
    on_both(async |shop| {
        let bench = shop.open();
        for (status, code) in [
            ("draft", "experiment_draft"),
            ("stopped", "experiment_stopped"),
        ] {
            let text =
                format!(r#"{{"pricing_v2":{{"variants":["A"],"salt":"s","status":"{status}"}}}}"#);
            bench.configure(&text);
            let seen = bench.get("/api/exp/assign?user=u&exp=pricing_v2").await;
            assert_eq!(seen.error(), (409, code.to_owned()));
            let body = r#"{"event":"e","user":"u","exp":"pricing_v2","variant":"A"}"#;
            assert_eq!(bench.log(body).await.error(), (409, code.to_owned()));
            assert_eq!(bench.counts("pricing_v2").await["status"], status);
        }
        assert!(bench.lines("exposure.recorded").is_empty());
    });
}

#[test]
fn the_file_is_checked_as_a_whole() {
    use echopilot::capabilities::experiments::ExperimentsConfig;
    use echopilot::platform::config::read;
    assert_eq!(rules("{}").iter().count(), 0);
    for (text, expected) in [
        (r#"{"e":{"variants":[],"salt":"s"}}"#, "e.variants"),
        (r#"{"e":{"variants":["A","A"],"salt":"s"}}"#, "e.variants"),
        (r#"{"e":{"variants":["A b"],"salt":"s"}}"#, "e.variants"),
        (r#"{"e":{"variants":["A"],"salt":"s","hash":2}}"#, "e.hash"),
        (r#"{"e":{"variants":["A"],"salt":"s","hash":0}}"#, "e.hash"),
        (r#"{"e":{"variants":["A"],"sallt":"s"}}"#, "`salt`"),
        (
            r#"{"e":{"variants":["A"],"salt":"s","status":"runing"}}"#,
            "`running`",
        ),
        (r#"{"e f":{"variants":["A"],"salt":"s"}}"#, "e f"),
        (r#"{"e":{"variants":["A"]}}"#, "e.salt"),
        ("[]", "object"),
    ] {
        let problems = read::<ExperimentsConfig>("experiments.json", text.as_bytes()).unwrap_err();
        let told = format!("{:?}", problems.iter().collect::<Vec<_>>());
        let found = told.contains(expected) || told.contains(expected.trim_matches('`'));
        assert!(found, "{text}: {told}");
    }
}

#[test]
fn an_exposure_is_as_durable_as_the_settings_in_force_say() {
    let second = Durability::Interval(Duration::from_secs(1));
    let shipped = DaemonConfig::SHIPPED;
    on_both(async |shop| {
        let bench = shop.open();
        let settings = |exposures: &str| {
            format!(r#"{{"journals":{{"durability":{{"exposures":"{exposures}"}}}}}}"#)
        };
        for (round, (text, expected)) in [
            ("{}".to_owned(), second),
            (settings("os"), Durability::Os),
            (settings("always"), Durability::Always),
            (shipped.to_owned(), second),
        ]
        .into_iter()
        .enumerate()
        {
            bench.settle(&text);
            bench.gate.asked();
            let path = format!("/api/exp/assign?user=u{round}&exp=pricing_v2");
            assert_eq!(bench.get(&path).await.status, 200);
            assert_eq!(bench.gate.asked(), [Some(expected)], "{text}");
        }
    });
}
