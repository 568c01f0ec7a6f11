//! What was changed before, ranked, and told with the alert at once.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{MINUTE, all, id, only, quiet, raise, world};
use crate::world::World;

fn flip(world: &World, key: &str, value: bool) {
    let body = json!({ "key": key, "value": value, "create": true });
    world.post("/api/flags/set", &body).expect(200);
}

fn names(incident: &Value) -> Vec<String> {
    let suspects = incident["suspects"].as_array().unwrap();
    let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
    suspects.iter().map(name).collect()
}

fn whole(world: &World, id: &str) -> Value {
    world.get(&format!("/api/incidents/{id}")).expect(200)
}

#[test]
fn a_flag_that_was_flipped_just_before_is_named_first() {
    let mut world = world();
    flip(&world, "checkout.v2", false);
    world.advance(MINUTE * 70);
    flip(&world, "ui.new_dashboard", true);
    world.advance(MINUTE * 20);
    let edited = r#"{ "workers_max": 7 }"#;
    world.save("autoscale.json", edited);
    world.until("the file is in force", |world| {
        let accepted = world.journal_of("configs", "config.accepted");
        let own = accepted
            .iter()
            .filter(|line| line["file"] == "autoscale.json");
        own.count() > 1
    });
    world.advance(MINUTE);
    flip(&world, "checkout.v2", true);
    world.advance(MINUTE * 2);
    raise(&world, "slo:checkout:page", &[("series", "checkout")]);
    let name = id(&only(&world));
    let shown = whole(&world, &name);
    let ranked = names(&shown);
    assert_eq!(
        ranked,
        ["checkout.v2", "autoscale.json", "ui.new_dashboard"],
        "{shown}"
    );
    let first = &shown["suspects"][0];
    assert_eq!(first["kind"], "flag");
    assert_eq!(first["actor"], "desk");
    assert!(
        first["summary"]
            .as_str()
            .unwrap()
            .contains("from false to true"),
        "{first}"
    );
    let reasons = first["reasons"].to_string();
    assert!(
        reasons.contains("2 min before the first bad sample"),
        "{reasons}"
    );
    assert!(reasons.contains("names `checkout`"), "{reasons}");
    let told = world
        .app()
        .alerts
        .attachment("slo:checkout:page")
        .expect("causes");
    assert_eq!(told.incident, name);
    assert!(told.causes[0].contains("`checkout.v2`"), "{told:?}");
    assert_eq!(told.causes.len(), 3);
    // The past is known after a restart.
    world.restart();
    world.advance(Duration::from_secs(5));
    raise(&world, "probe:web", &[]);
    let newest = id(&all(&world)[0]);
    assert_eq!(names(&whole(&world, &newest))[0], "checkout.v2");
}

#[test]
fn what_the_first_text_makes_is_no_change() {
    let mut world = world();
    world.advance(MINUTE);
    raise(&world, "slo:checkout:page", &[("series", "checkout")]);
    let shown = whole(&world, &id(&only(&world)));
    assert_eq!(names(&shown), [""; 0], "{shown}");
    // Nor after the journal was folded again; what somebody makes is one, also by hand.
    world.restart();
    let flags = world.home().join("configs/flags.json");
    let text = fs::read_to_string(flags).unwrap();
    let text = text.replacen("true", "false", 1);
    world.save("flags.json", &text);
    world.until("it is on record", |world| {
        !world.journal_of("feature_flags", "flag.changed").is_empty()
    });
    flip(&world, "shop.new", true);
    world.advance(MINUTE * 20);
    raise(&world, "probe:web", &[]);
    let shown = whole(&world, &id(&all(&world)[0]));
    assert_eq!(names(&shown).len(), 2, "{shown}");
    assert!(names(&shown).contains(&"shop.new".to_owned()), "{shown}");
}

#[test]
fn a_flag_whose_variants_fail_differently_goes_before_a_nearer_one() {
    let mut world = world();
    for flag in ["basket.v2", "ui.theme"] {
        flip(&world, flag, false);
    }
    world.advance(MINUTE * 70);
    flip(&world, "basket.v2", true);
    world.advance(MINUTE * 9);
    flip(&world, "ui.theme", true);
    world.advance(MINUTE);
    let push = |basket: &str, theme: &str, good: u64, bad: u64| {
        let flags = json!({ "basket.v2": basket, "ui.theme": theme });
        let body = json!({ "series": "web", "good": good, "bad": bad, "flags": flags });
        world
            .post("/api/slo/samples?create_series=true", &body)
            .expect(202);
    };
    // Whether the theme is new makes no difference; the basket does.
    for theme in ["true", "false"] {
        push("true", theme, 60, 40);
        push("false", theme, 100, 0);
    }
    let body = json!({ "series": "web", "good": 1, "flags": { "a": "" } });
    let refused = world.post("/api/slo/samples", &body).expect(400);
    assert_eq!(refused["error"], "bad_flags", "{refused}");
    raise(&world, "probe:elsewhere", &[]);
    let shown = whole(&world, &id(&only(&world)));
    assert_eq!(names(&shown), ["basket.v2", "ui.theme"], "{shown}");
    let reasons = shown["suspects"][0]["reasons"].to_string();
    let told = "40.0 % of requests that saw `true` failed, 0.0 % of those that saw `false`";
    assert!(reasons.contains(told), "{reasons}");
    world.restart();
}

#[test]
fn a_flip_followed_by_errors_is_an_incident_within_a_minute() {
    /// Requests in a push.
    const REQUESTS: u64 = 200;
    let slo = json!({ "objectives": { "shop": {
        "series": "shop", "kind": "availability", "target_percent": 99.9,
    } } });
    let world = quiet(World::with_config("slo.json", &slo.to_string()).start());
    let push = |bad: u64| {
        let body = json!({ "series": "shop", "good": REQUESTS - bad, "bad": bad });
        world
            .post("/api/slo/samples?create_series=true", &body)
            .expect(202);
    };
    for _ in 0..30 {
        push(0);
        world.advance(MINUTE);
    }
    flip(&world, "shop.fast_path", false);
    world.advance(Duration::from_secs(5));
    flip(&world, "shop.fast_path", true);
    world.advance(Duration::from_secs(5));
    let begun = world.now();
    let mut waited = 0;
    while all(&world).is_empty() {
        assert!(waited < 130, "no incident within two minutes");
        push(REQUESTS / 2);
        world.advance(Duration::from_secs(5));
        // Samples, objective, alert, incident.
        world.drain(4);
        waited += 5;
    }
    let incident = only(&world);
    let shown = whole(&world, &id(&incident));
    assert_eq!(names(&shown)[0], "shop.fast_path", "{shown}");
    let took = (world.now() - begun).num_seconds();
    assert!(took <= MOST_SECS, "{took} s");
    assert!(shown["impact"]["failed"].as_u64() > Some(0), "{shown}");
    fs::metadata(world.home().join("logs/incidents.ndjson")).expect("the journal");
}

/// From the first error to the incident, in seconds: what this issue promises.
const MOST_SECS: i64 = 60;
