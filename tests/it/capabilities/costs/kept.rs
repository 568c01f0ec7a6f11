//! What was used is on record once, whoever tells it how often; old lines stay readable.

use std::fs;

use serde_json::{Value, json};

use crate::world::{World, at};

const CONFIG: &str = r#"{
  "metered": { "egress": { "unit": "TB", "currency": "EUR", "price": "2" } },
  "models": { "small": { "input_per_million": 1, "output_per_million": 2 } }
}"#;

fn world() -> World {
    let world = World::at(at("2026-11-21T12:00:00Z"));
    world.config("costs.json", CONFIG).start()
}

fn tell(world: &World, body: &Value) -> Value {
    world.post("/api/costs/usage", body).expect(200)
}

fn amount(world: &World, month: &str, item: &str) -> Value {
    let month = world.get(&format!("/api/costs?month={month}")).expect(200);
    let lines = month["lines"].as_array().unwrap();
    let line = lines.iter().find(|line| line["item"] == item);
    line.map_or(Value::Null, |line| line["amount"].clone())
}

#[test]
fn a_use_is_counted_once_also_after_a_restart() {
    let mut world = world();
    let body = json!({"item": "egress", "quantity": "1.5", "id": "a"});
    let told = tell(&world, &body);
    assert_eq!(
        (&told["accepted"], &told["repeated"]),
        (&json!(1), &json!(0))
    );
    for turn in 0..3 {
        let told = tell(&world, &body);
        assert_eq!(
            (&told["accepted"], &told["repeated"]),
            (&json!(0), &json!(1)),
            "{turn}"
        );
        if turn == 0 {
            world.restart();
        } else {
            world.kill();
            world = world.start();
        }
    }
    assert_eq!(amount(&world, "2026-11", "egress"), "3.00");
    assert_eq!(world.journal_of("costs", "usage.recorded").len(), 1);
    let other = json!({"item": "egress", "quantity": "1.6", "id": "a"});
    let refused = world.post("/api/costs/usage", &other).expect(409);
    assert_eq!(refused["error"], "id_conflict");
    let huge = json!({"model": "small", "input_tokens": u64::MAX, "id": "huge"});
    let refused = world.post("/api/costs/usage", &huge).expect(400);
    assert_eq!(refused["error"], "bad_usage");
    // Twice in one call is once; a wrong one among them and none is taken.
    let twice = json!({"usage": [
        {"item": "egress", "quantity": 1, "id": "b"}, {"item": "egress", "quantity": 1, "id": "b"},
    ]});
    assert_eq!(tell(&world, &twice)["accepted"], 1);
    let wrong = json!({"usage": [
        {"item": "egress", "quantity": 1, "id": "c"}, {"item": "egres", "quantity": 1, "id": "d"},
    ]});
    let refused = world.post("/api/costs/usage", &wrong).expect(404);
    assert_eq!(
        (&refused["nearest"], &refused["use"]),
        (&json!("egress"), &json!(2))
    );
    assert_eq!(amount(&world, "2026-11", "egress"), "5.00");
}

#[test]
fn late_usage_counts_in_its_month_and_is_said() {
    let world = world();
    let body = json!({"item": "egress", "quantity": 3, "id": "late", "at": "2026-10-31T23:59:59Z"});
    let told = tell(&world, &body);
    let result = &told["results"][0];
    assert_eq!(
        (&result["late"], &result["month"]),
        (&json!(true), &json!("2026-10"))
    );
    assert_eq!(amount(&world, "2026-10", "egress"), "6.00");
    assert_eq!(amount(&world, "2026-11", "egress"), "0.00");
    let month = world.get("/api/costs?month=2026-10").expect(200);
    assert_eq!(
        (&month["late"], &month["lines"][0]["late"]),
        (&json!(1), &json!(1))
    );
    // What was told too much is taken back.
    let back =
        json!({"item": "egress", "quantity": "-1", "id": "back", "at": "2026-10-31T12:00:00Z"});
    tell(&world, &back);
    assert_eq!(amount(&world, "2026-10", "egress"), "4.00");
    for bad in [
        json!({"item": "egress", "quantity": 1, "id": "x", "at": "2026-11-21T12:06:00Z"}),
        json!({"item": "egress", "quantity": 1, "id": "x", "at": "2020-01-01T00:00:00Z"}),
        json!({"item": "egress", "quantity": 1, "id": ""}),
        json!({"item": "egress", "quantity": 1}),
        json!({"item": "egress", "id": "x"}),
        json!({"item": "egress", "quantity": "1e3", "id": "x"}),
        json!({"item": "egress", "quantity": 0.123_456_789_012_345_68, "id": "x"}),
        json!({"item": "egress", "quantity": 1, "input_tokens": 1, "id": "x"}),
        json!({"model": "a b", "input_tokens": 1, "id": "x"}),
        json!({"model": "small", "id": "x"}),
        json!({"model": "small", "input_tokens": -1, "id": "x"}),
        json!({"usage": []}),
    ] {
        let refused = world.post("/api/costs/usage", &bad).expect(400);
        assert_eq!(refused["ok"], false, "{bad}");
    }
}

#[test]
fn a_model_without_a_price_is_counted_until_it_has_one() {
    let world = world();
    let body = json!({"model": "large", "input_tokens": 2_000_000, "output_tokens": 0, "id": "l"});
    assert_eq!(tell(&world, &body)["results"][0]["unpriced"], true);
    let month = world.get("/api/costs").expect(200);
    assert_eq!(month["unpriced"], json!(["large"]));
    assert_eq!(amount(&world, "2026-11", "large"), Value::Null);
    let priced = CONFIG.replace(
        "\"models\": {",
        "\"models\": { \"large\": { \"input_per_million\": 5, \"output_per_million\": 9 },",
    );
    world.save("costs.json", &priced);
    world.until("the price holds", |world| {
        amount(world, "2026-11", "large") == "10.00"
    });
}

#[test]
fn lines_of_version_1_stay_readable() {
    let golden = include_str!("../../../fixtures/logs/costs.ndjson");
    let world = World::at(at("2026-11-21T12:00:00Z")).config("costs.json", CONFIG);
    fs::create_dir_all(world.home().join("logs")).unwrap();
    fs::write(world.home().join("logs/costs.ndjson"), golden).unwrap();
    let world = world.start();
    assert_eq!(amount(&world, "2026-10", "egress"), "3.00");
    assert_eq!(amount(&world, "2026-10", "small"), "5.00");
    let month = world.get("/api/costs?month=2026-10").expect(200);
    assert_eq!(month["late"], 2);
    let told = tell(
        &world,
        &json!({"item": "egress", "quantity": "1.5", "id": "u-1"}),
    );
    assert_eq!(told["repeated"], 1);
}

#[test]
fn every_fault_of_the_file_is_told_with_its_place() {
    let text = r#"{
  "fixed": { "vm": { "amount": "x", "currency": "EUR" } }
}"#;
    let told = echopilot::app::assemble::config_kinds();
    let kind = told.iter().find(|kind| kind.file == "costs.json").unwrap();
    let problems = (kind.check)("costs.json", text.as_bytes());
    assert_eq!(problems.count(), 1, "{problems:?}");
    let text = r#"{
  "currency": "usd",
  "fixed": { "vm": { "amount": 1, "currency": "EURO", "start": "2026-02-30", "units": ["-x"] },
    "=cmd": { "amount": 1, "currency": "EUR", "start": "2026-02-03", "end": "2026-02-02" } },
  "metered": { "vm": { "unit": "TB", "currency": "EUR", "price": -1, "included": -1, "per": 0 },
    "none": { "unit": "TB", "currency": "EUR" },
    "both": { "unit": "TB", "currency": "EUR", "price": 1, "tiers": [{ "price": 1 }] },
    "tiers": { "unit": "TB", "currency": "EUR",
      "tiers": [{ "up_to": 5, "price": 1 }, { "up_to": 4, "price": 1 }, { "up_to": 9, "price": 1 }] },
    "own": { "unit": "parsec", "currency": "EUR", "price": 1, "source": "own_bandwidth" } },
  "budgets": { "b": { "item": "nothing", "amount": 0, "currency": "EUR", "thresholds_percent": [80, 50] },
    "c": { "item": "vm", "amount": 1, "currency": "USD" } },
  "step_change": { "factor": 1 }
}"#;
    let problems = (kind.check)("costs.json", text.as_bytes());
    let paths: Vec<String> = problems
        .iter()
        .map(|problem| problem.path.clone())
        .collect();
    for expected in [
        "currency",
        "fixed.vm.currency",
        "fixed.vm.start",
        "fixed.vm.units[0]",
        "metered.vm",
        "metered.vm.price",
        "metered.vm.included",
        "metered.vm.per",
        "metered.none.price",
        "metered.both.price",
        "metered.tiers.tiers[1].up_to",
        "metered.tiers.tiers[2].up_to",
        "metered.own.unit",
        "budgets.b.item",
        "budgets.b.amount",
        "budgets.b.thresholds_percent",
        "step_change.factor",
    ] {
        assert!(
            paths.iter().any(|path| path == expected),
            "{expected} in {paths:?}"
        );
    }
    assert!(problems.iter().all(|problem| problem.line > 0));
}
