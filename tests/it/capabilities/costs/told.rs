//! Budgets, forecasts, steps, daily lines and the ledger's keys, over days on a stepped clock.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, at};

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

const CONFIG: &str = r#"{
  "currency": "EUR",
  "fixed": { "vm": { "amount": "30", "currency": "EUR" } },
  "metered": { "egress": { "unit": "TB", "currency": "EUR", "included": 10, "price": "1" } },
  "budgets": { "all": { "amount": "40", "currency": "EUR" } }
}"#;

fn world(now: &str) -> World {
    World::at(at(now)).config("costs.json", CONFIG).start()
}

fn used(world: &World, day: &str, quantity: u32) {
    let id = format!("egress-{day}");
    let at = format!("{day}T00:30:00Z");
    let body = json!({"item": "egress", "quantity": quantity, "id": id, "at": at});
    world.post("/api/costs/usage", &body).expect(200);
}

/// Waits until the alert events whose keys begin with `prefix` are `expected`.
#[track_caller]
fn hold(world: &World, prefix: &str, expected: &[&str]) {
    world.until(&format!("{expected:?} hold"), |world| {
        let told = world.get("/api/alerts").expect(200);
        let keys = told["alerts"].as_array().unwrap().iter();
        let keys = keys.filter_map(|alert| alert["key"].as_str());
        keys.filter(|key| key.starts_with(prefix))
            .eq(expected.iter().copied())
    });
}

/// Runs a task and waits for its end.
fn run(world: &World, task: &str) {
    let path = format!("/api/tasks/{task}/run?wait=20s");
    let ran = world.post(&path, &Value::Null).expect(200);
    assert_eq!(ran["record"]["outcome"], "ok", "{ran}");
}

fn fired(world: &World, key: &str) -> usize {
    let lines = world.journal_of("alerts", "alert.fired");
    lines.iter().filter(|line| line["key"] == key).count()
}

#[test]
fn a_budget_is_told_once_for_each_threshold_and_month() {
    let mut world = world("2026-10-10T12:00:00Z");
    world.advance(Duration::from_mins(1));
    // 10 of 31 days of the machine: 9.68 of 40.
    hold(&world, "costs:", &[]);
    used(&world, "2026-10-10", 25);
    world.advance(Duration::from_mins(2));
    // And 15 beyond the quota: 24.68, more than half.
    hold(&world, "costs:", &["costs:budget:all:50"]);
    used(&world, "2026-10-09", 16);
    world.advance(Duration::from_mins(2));
    // 40.68 of 40.
    // Of the two that this crosses at once the higher alone is told.
    let [half, most, whole] = [50, 80, 100].map(|percent| format!("costs:budget:all:{percent}"));
    hold(&world, "costs:", &[&whole, &half]);
    world.restart();
    world.kill();
    world = world.start();
    world.pass(HOUR * 5, HOUR);
    for (key, times) in [(&half, 1), (&most, 0), (&whole, 1)] {
        assert_eq!(fired(&world, key), times, "{key}");
    }
    assert_eq!(world.journal_of("costs", "budget.reached").len(), 3);
    let reached = world.journal_of("costs", "budget.reached");
    assert_eq!(
        (&reached[0]["spent"], &reached[0]["month"]),
        (&json!("24.68"), &json!("2026-10"))
    );
    // The end of the month ends them; the next one begins anew.
    world.pass(DAY * 21, HOUR * 8);
    world.advance(HOUR * 8);
    hold(&world, "costs:", &[]);
    used(&world, "2026-11-01", 50);
    world.advance(Duration::from_mins(2));
    hold(&world, "costs:", &[&whole]);
    for (key, times) in [(&half, 1), (&most, 0), (&whole, 2)] {
        assert_eq!(fired(&world, key), times, "{key}");
    }
}

#[test]
fn a_forecast_says_how_sure_it_is_and_warns_of_a_budget() {
    let world = world("2026-10-03T12:00:00Z");
    used(&world, "2026-10-01", 1);
    let told = world.get("/api/costs/forecast").expect(200);
    let egress = &told["items"][0];
    assert_eq!(egress["linear"], Value::Null);
    assert_eq!(egress["linear_reason"], "whole days known: 2, needed: 3");
    assert_eq!(
        told["totals"][0]["linear"],
        Value::Null,
        "no part of it is left out"
    );
    // What is fixed is known from the first day on.
    assert_eq!(told["items"][1]["linear"]["amount"]["amount"], "30.00");
    for (day, quantity) in [("2026-10-02", 1), ("2026-10-03", 1)] {
        used(&world, day, quantity);
    }
    world.advance(DAY);
    let told = world.get("/api/costs/forecast").expect(200);
    let egress = &told["items"][0];
    // 3 TB in 3 days, 28 days left: 31 TB, 21 beyond the quota. All days are alike.
    for way in ["linear", "last_7_days"] {
        assert_eq!(egress[way]["amount"]["amount"], "21.00", "{egress}");
        assert_eq!(egress[way]["low"]["amount"], "21.00");
        assert_eq!(egress[way]["high"]["amount"], "21.00");
        assert_eq!(told["totals"][0][way]["amount"]["amount"], "51.00");
    }
    assert!(told["formula"].as_str().unwrap().contains("t(n-1)"));
    world.advance(Duration::from_mins(1));
    hold(&world, "costs:", &["costs:forecast:all"]);
    // A day without any: not all days are alike, and the interval says so.
    world.advance(DAY);
    let told = world.get("/api/costs/forecast").expect(200);
    let linear = &told["items"][0]["linear"];
    let minor = |name: &str| linear[name]["amount_minor"].as_i64().unwrap();
    assert!(
        minor("low") < minor("amount") && minor("amount") < minor("high"),
        "{linear}"
    );
    // 3 TB in 4 days: mean 0.75, 27 days left: 3 + 20.25 = 23.25, so 13.25; s = 0.5,
    // t(3) = 3.182: ± 3.182 × 0.5 × √(27 + 729/4) = ± 23.0146
    assert_eq!(minor("amount"), 1325);
    assert_eq!((minor("low"), minor("high")), (0, 3626));
}

#[test]
fn a_day_that_doubles_is_told_with_what_was_released_before() {
    let world = world("2026-10-15T08:00:00Z");
    for day in 1..=14 {
        used(&world, &format!("2026-10-{day:02}"), 3 + day % 3);
    }
    used(&world, "2026-10-15", 9);
    world.advance(HOUR);
    let flag = json!({"key": "ui.new_dashboard", "value": true});
    world.post("/api/flags/set", &flag).expect(200);
    world.pass(HOUR * 17, HOUR);
    hold(&world, "costs:step:", &["costs:step:egress"]);
    let told = world.journal_of("alerts", "alert.fired");
    let told = told
        .iter()
        .find(|line| line["key"] == "costs:step:egress")
        .unwrap();
    let summary = told["summary"].as_str().unwrap();
    assert!(summary.contains("2.2 times the median"), "{summary}");
    assert!(summary.contains("ui.new_dashboard"), "{summary}");
    assert!(summary.contains("2026-10-15 09:00 UTC"), "{summary}");
    assert!(told["annotations"]["changes"].is_string());
    // The next day is like the others.
    used(&world, "2026-10-16", 4);
    world.pass(DAY, HOUR * 6);
    hold(&world, "costs:step:", &[]);
}

#[test]
fn each_day_leaves_a_line_of_each_item_and_late_usage_revises_it() {
    let world = world("2026-10-31T00:00:30Z");
    used(&world, "2026-10-30", 12);
    world.advance(HOUR * 2);
    let lines = world.journal_of("costs", "cost.recorded");
    let shown = lines.iter().map(|line| {
        (
            line["item"].clone(),
            line["day"].clone(),
            line["amount"].clone(),
        )
    });
    let shown: Vec<_> = shown.collect();
    // 2 TB beyond the quota; a 31st of the machine.
    let expected = [
        (json!("egress"), json!("2026-10-30"), json!("2")),
        (json!("vm"), json!("2026-10-30"), json!("0.967741935")),
    ];
    assert_eq!(shown, expected);
    // Three days of silence are made up for, also over the end of the month.
    world.advance(DAY * 3);
    let days = |world: &World| {
        let lines = world.journal_of("costs", "cost.recorded");
        let of_vm = lines.iter().filter(|line| line["item"] == "vm");
        let days = of_vm.map(|line| line["day"].as_str().unwrap().to_owned());
        days.collect::<Vec<_>>()
    };
    world.until("the days are there", |world| days(world).len() == 4);
    let expected = ["2026-10-30", "2026-10-31", "2026-11-01", "2026-11-02"];
    assert_eq!(days(&world), expected);
    used(&world, "2026-10-31", 5);
    world.advance(DAY);
    let revised = world.journal_of("costs", "cost.revised");
    assert_eq!(revised.len(), 1, "{revised:?}");
    assert_eq!(
        (&revised[0]["before"], &revised[0]["amount"]),
        (&json!("0"), &json!("5"))
    );
}

#[test]
fn the_ledger_gets_its_keys_and_never_a_guess() {
    let world = world("2026-11-30T00:30:00Z");
    for day in 1..=29 {
        used(&world, &format!("2026-11-{day:02}"), 1);
    }
    run(&world, "ledger-sync");
    let keys = || -> Value {
        let text = fs::read_to_string(world.home().join("logs/ledger_keys.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let told = keys();
    // 30 days: the machine's November, and 19 TB beyond its quota.
    assert_eq!(told["infra_cost_30d"], 49.0);
    assert_eq!(told["openai_cost_30d"], 0.0);
    assert_eq!(told["stripe_revenue_30d"], Value::Null);
    assert_eq!(
        told["reasons"]["stripe_revenue_30d"],
        "no connection to Stripe"
    );
    assert_eq!(told["infra_cost_30d_forecast"], Value::Null);
    assert!(told["reasons"]["infra_cost_30d_forecast"].is_string());
    assert_eq!(world.journal_of("costs", "ledger.synced").len(), 1);
    // It is a Monday: at 02:10 there is an outlook, and within an hour a forecast.
    world.pass(HOUR * 2, HOUR / 2);
    run(&world, "ledger-sync");
    let told = keys();
    assert!(
        told["infra_cost_30d_forecast"].as_f64().unwrap() > 29.0,
        "{told}"
    );
    assert_eq!(told["infra_cost_30d"], 49.0, "a forecast never is a fact");
    let outlook = fs::read_to_string(world.home().join("logs/cost_prediction.json")).unwrap();
    let outlook: Value = serde_json::from_str(&outlook).unwrap();
    let parts = outlook["parts"].as_array().unwrap();
    let part = |name: &str| parts.iter().find(|part| part["part"] == name).unwrap();
    assert_eq!(
        part("vm")["projected_30d"].as_str().unwrap().get(..2),
        Some("29")
    );
    assert!(
        part("compute")["reason"].is_string(),
        "one day says nothing"
    );
    for name in ["storage", "bandwidth", "egress"] {
        assert_eq!(part(name)["part"], name);
    }
    // Another currency is told beside it, and never added.
    let mixed = CONFIG.replace(
        "\"fixed\": {",
        "\"fixed\": { \"name\": { \"amount\": 12, \"currency\": \"USD\", \"period\": \"yearly\" },",
    );
    world.save("costs.json", &mixed);
    world.until("it holds", |world| {
        world.get("/api/costs").body["totals"][1].is_object()
    });
    run(&world, "ledger-sync");
    let told = keys();
    assert_eq!(told["infra_cost_30d"], Value::Null);
    assert_eq!(
        told["by_currency"]["infra_cost_30d"],
        json!({"EUR": "49.00", "USD": "1.00"})
    );
}

#[test]
fn a_report_shows_how_each_budget_stands() {
    let home = crate::cli::begun();
    let config = r#"{
      "fixed": { "vm": { "amount": "30", "currency": "EUR" },
                 "domain": { "amount": "12", "currency": "USD" } },
      "budgets": { "all": { "amount": "40", "currency": "EUR" },
                   "names": { "item": "domain", "amount": "10", "currency": "USD" } }
    }"#;
    fs::write(home.path().join("configs/costs.json"), config).unwrap();
    // A month that is over has all its days in it.
    let month = ["costs", "report", "--month", "2026-01"];
    let ran = crate::cli::run(home.path(), &month).expect(0);
    assert!(
        ran.out
            .contains("budget `all`: 30.00 of 40.00 EUR, 50 % reached\n"),
        "{ran:#?}"
    );
    assert!(
        ran.out
            .contains("budget `names`: 12.00 of 10.00 USD, 100 % reached\n"),
        "{ran:#?}"
    );
    let ran = crate::cli::run(home.path(), &[&month[..], &["--json"]].concat()).expect(0);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["budgets"][0]["spent"]["amount"], "30.00", "{told}");
}

#[test]
fn a_report_says_that_the_file_on_disk_is_not_what_it_goes_by() {
    let world = world("2026-10-10T12:00:00Z");
    assert_eq!(
        world.get("/api/costs").expect(200).get("refused"),
        None,
        "all is well"
    );
    world.save("costs.json", r#"{ "fixed": { "vm": { "amount": "-1" } } }"#);
    world.until("the file is refused", |world| {
        world.get("/api/costs").expect(200).get("refused").is_some()
    });
    let told = world.get("/api/costs").expect(200);
    let refused = told["refused"].as_str().unwrap();
    assert!(
        refused.contains("`costs.json` on disk is not in force"),
        "{refused}"
    );
    assert_eq!(
        told["lines"].as_array().unwrap().len(),
        2,
        "as before: {told}"
    );

    // The command line says it too, with what is wrong with the file in reach.
    let home = crate::cli::begun();
    let file = home.path().join("configs/costs.json");
    fs::write(&file, CONFIG).unwrap();
    drop(crate::daemon::Daemon::start(home.path()));
    fs::write(&file, r#"{ "fixd": {} }"#).unwrap();
    let ran = crate::cli::run(home.path(), &["costs", "report"]).expect(0);
    assert!(
        ran.err.contains("is not in force") && ran.err.contains("hint: `echopilot check`"),
        "{ran:#?}"
    );
    assert!(ran.out.contains("vm"), "{ran:#?}");
}
