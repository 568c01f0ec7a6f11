//! Three months that were kept by hand, equal to the cent.

use serde_json::{Value, json};

use crate::world::{World, at};

/// A machine that is replaced by another within the window, a domain and a licence by the year,
/// support in a currency without cents, traffic with a quota, mail in tiers, a language model.
fn config() -> String {
    json!({
        "fixed": {
            "vm": {"amount": "4.15", "currency": "EUR", "start": "2028-02-17"},
            "old-vm": {"amount": "12.90", "currency": "EUR", "end": "2028-03-09"},
            "domain": {"amount": "15.00", "currency": "USD", "period": "yearly"},
            "licence": {"amount": 100, "currency": "USD", "period": "yearly", "start": "2028-03-16"},
            "support": {"amount": "3300", "currency": "JPY", "start": "2028-04-11"},
        },
        "metered": {
            "egress": {"unit": "TB", "currency": "EUR", "included": 20, "price": "1.19"},
            "mail": {"unit": "mail", "currency": "USD", "included": 3000, "per": 1000, "tiers": [
                {"up_to": 10000, "price": "0.40"},
                {"up_to": 50000, "price": "0.30"},
                {"price": "0.20"},
            ]},
        },
        "models": {
            "gpt-4o-mini": {
                "input_per_million": "0.15", "output_per_million": "0.60",
                "cached_per_million": "0.075",
            },
        },
    })
    .to_string()
}

/// What was used, as it was told.
fn used(world: &World) {
    let item = |id: &str, item: &str, at: &str, quantity: Value| json!({"id": id, "item": item, "at": at, "quantity": quantity});
    let model = |id: &str, at: &str, [input, output, cached]: [u64; 3]| {
        json!({"id": id, "model": "gpt-4o-mini", "at": at, "input_tokens": input,
            "output_tokens": output, "cached_tokens": cached})
    };
    let usage = [
        item("e1", "egress", "2028-02-03T10:00:00Z", json!("19.25")),
        item("e2", "egress", "2028-02-29T23:59:59.999Z", json!("0.25")),
        item("e3", "egress", "2028-03-01T00:00:00Z", json!("12.25")),
        item("e4", "egress", "2028-03-17T10:00:00Z", json!("9.5")),
        item("e5", "egress", "2028-03-31T23:00:00Z", json!(0.75)),
        item("e6", "egress", "2028-04-20T10:00:00Z", json!("20.004")),
        item("m1", "mail", "2028-02-10T10:00:00Z", json!(2999)),
        item("m2", "mail", "2028-03-10T10:00:00Z", json!(18000)),
        item("m3", "mail", "2028-04-10T10:00:00Z", json!(75321)),
        model("t1", "2028-02-20T10:00:00Z", [1_234_567, 345_678, 900_001]),
        model("t2", "2028-03-20T10:00:00Z", [33, 0, 0]),
        model(
            "t3",
            "2028-04-20T10:00:00Z",
            [10_000_000, 2_500_000, 4_000_000],
        ),
    ];
    let told = world.post("/api/costs/usage", &json!({"usage": usage}));
    assert_eq!(told.expect(200)["accepted"], 12);
}

fn lines(month: &Value) -> Vec<(&str, &str, &str)> {
    let lines = month["lines"].as_array().unwrap().iter();
    lines
        .map(|line| {
            let [item, amount, currency] =
                ["item", "amount", "currency"].map(|name| line[name].as_str().unwrap());
            (item, amount, currency)
        })
        .collect()
}

fn totals(month: &Value) -> Vec<String> {
    let total = |total: &Value| {
        let (amount, currency) = (total["amount"].as_str(), total["currency"].as_str());
        format!("{} {}", amount.unwrap(), currency.unwrap())
    };
    month["totals"]
        .as_array()
        .unwrap()
        .iter()
        .map(total)
        .collect()
}

#[test]
fn three_hand_kept_months_are_equal_to_the_cent() {
    let world = World::at(at("2028-04-30T23:00:00Z")).config("costs.json", &config());
    let mut world = world.start();
    used(&world);
    for turn in ["as told", "after a restart"] {
        // February of a leap year has 29 days.
        //   vm       17th to 29th are 13 days: 4.15 × 13/29 = 53.95/29 = 1.86034… → 1.86
        //   old-vm   the whole month: 12.90
        //   domain   15.00 / 12 = 1.25
        //   egress   19.25 + 0.25 = 19.5 of 20 TB: nothing
        //   mail     2,999 of 3,000: nothing
        //   tokens   1.234567 × 0.15 + 0.345678 × 0.60 + 0.900001 × 0.075
        //            = 0.18518505 + 0.2074068 + 0.067500075 = 0.460091925 → 0.46
        //   EUR      1.86 + 12.90 + 0.00 = 14.76;  USD 1.25 + 0.00 + 0.46 = 1.71
        let month = world.get("/api/costs?month=2028-02").expect(200);
        let expected = [
            ("domain", "1.25", "USD"),
            ("egress", "0.00", "EUR"),
            ("gpt-4o-mini", "0.46", "USD"),
            ("mail", "0.00", "USD"),
            ("old-vm", "12.90", "EUR"),
            ("vm", "1.86", "EUR"),
        ];
        assert_eq!(lines(&month), expected, "{turn}");
        assert_eq!(totals(&month), ["14.76 EUR", "1.71 USD"]);
        assert_eq!(
            (&month["closed"], &month["through"]),
            (&json!(true), &json!("2028-02-29"))
        );

        // March has 31 days.
        //   vm       4.15
        //   old-vm   1st to 9th are 9 days: 12.90 × 9/31 = 116.1/31 = 3.74516… → 3.75
        //   domain   1.25
        //   licence  16th to 31st are 16 days: 100/12 × 16/31 = 133.333…/31 = 4.30107… → 4.30
        //   egress   12.25 + 9.5 + 0.75 = 22.5, 2.5 beyond: 2.5 × 1.19 = 2.975 → 2.98
        //   mail     15,000 beyond: 10 × 0.40 + 5 × 0.30 = 5.50
        //   tokens   33 × 0.00000015 = 0.00000495 → 0.00
        //   EUR      4.15 + 3.75 + 2.98 = 10.88;  USD 1.25 + 4.30 + 5.50 + 0.00 = 11.05
        let month = world.get("/api/costs?month=2028-03").expect(200);
        let expected = [
            ("domain", "1.25", "USD"),
            ("egress", "2.98", "EUR"),
            ("gpt-4o-mini", "0.00", "USD"),
            ("licence", "4.30", "USD"),
            ("mail", "5.50", "USD"),
            ("old-vm", "3.75", "EUR"),
            ("vm", "4.15", "EUR"),
        ];
        assert_eq!(lines(&month), expected, "{turn}");
        assert_eq!(totals(&month), ["10.88 EUR", "11.05 USD"]);

        // April has 30 days.
        //   vm       4.15;  old-vm is gone
        //   domain   1.25;  licence 100/12 = 8.333… → 8.33
        //   support  11th to 30th are 20 days: 3300 × 20/30 = 2200 yen
        //   egress   0.004 beyond: 0.004 × 1.19 = 0.00476 → 0.00
        //   mail     72,321 beyond: 10 × 0.40 + 40 × 0.30 + 22.321 × 0.20
        //            = 4.00 + 12.00 + 4.4642 = 20.4642 → 20.46
        //   tokens   10 × 0.15 + 2.5 × 0.60 + 4 × 0.075 = 1.50 + 1.50 + 0.30 = 3.30
        //   EUR      4.15 + 0.00 = 4.15;  USD 1.25 + 8.33 + 20.46 + 3.30 = 33.34
        let month = world.get("/api/costs").expect(200);
        let expected = [
            ("domain", "1.25", "USD"),
            ("egress", "0.00", "EUR"),
            ("gpt-4o-mini", "3.30", "USD"),
            ("licence", "8.33", "USD"),
            ("mail", "20.46", "USD"),
            ("support", "2200", "JPY"),
            ("vm", "4.15", "EUR"),
        ];
        assert_eq!(lines(&month), expected, "{turn}");
        assert_eq!(totals(&month), ["4.15 EUR", "2200 JPY", "33.34 USD"]);
        assert_eq!(
            (&month["month"], &month["closed"]),
            (&json!("2028-04"), &json!(false))
        );
        world.restart();
    }
}

#[test]
fn the_first_days_of_a_month_have_cost_their_part_of_it() {
    let world = World::at(at("2028-04-10T12:00:00Z")).config("costs.json", &config());
    let world = world.start();
    let month = world.get("/api/costs").expect(200);
    // 10 of 30 days: vm 4.15/3 = 1.38, domain 1.25/3 = 0.42, licence 8.333/3 = 2.78; support
    // begins tomorrow.
    let expected = [
        ("domain", "0.42", "USD"),
        ("egress", "0.00", "EUR"),
        ("gpt-4o-mini", "0.00", "USD"),
        ("licence", "2.78", "USD"),
        ("mail", "0.00", "USD"),
        ("support", "0", "JPY"),
        ("vm", "1.38", "EUR"),
    ];
    assert_eq!(lines(&month), expected);
    for bad in ["2028-13", "2028", "2028-4", "x", "2028-04-01"] {
        let refused = world.get(&format!("/api/costs?month={bad}")).expect(400);
        assert_eq!(refused["error"], "bad_parameter", "{bad}");
    }
}
