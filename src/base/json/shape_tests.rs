//! The shape check tells every misfit, each with its place, what is allowed and what was meant.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Shapes;
use crate::base::problems::Problems;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their shape matters here")]
struct Raw {
    /// Spend at which new paid calls are refused, in cents. More text.
    cap_cents_per_day: u32,
    /// Percent of the cap that warns.
    #[schemars(range(min = 1, max = 100))]
    #[serde(default)]
    warn_percent: u8,
    mode: Option<Mode>,
    #[serde(default)]
    limits: BTreeMap<String, Limit>,
    ratio: Option<f64>,
    names: Option<Vec<String>>,
    #[schemars(length(min = 1, max = 3))]
    tag: Option<String>,
    value: Option<Many>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Counts only.
    Observe,
    /// Refuses.
    Enforce,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their shape matters here")]
struct Limit {
    per_minute: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only their shape matters here")]
enum Many {
    Flag(bool),
    Text(String),
    Limit(Limit),
}

/// What is wrong with `text`, one line each: place, message, hint.
fn told(text: &str) -> Vec<String> {
    let shapes = Shapes::of(schemars::schema_for!(Raw).as_value());
    let mut problems = Problems::new("configs/costs.json");
    let tree = problems.parse(text.as_bytes()).expect(text);
    shapes.check(&tree, &mut problems);
    problems.locate(&tree);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_fitting_document_has_no_problems() {
    for text in [
        r#"{ "cap_cents_per_day": 0 }"#,
        r#"{ "$schema": "x", "cap_cents_per_day": 4294967295, "warn_percent": 100,
            "mode": "observe", "limits": {
            "$comment": 1, "a": { "per_minute": 18446744073709551615, "$w": [] } },
            "ratio": 1, "names": [], "tag": "äöü", "value": { "per_minute": 1 } }"#,
        r#"{ "cap_cents_per_day": 1, "mode": null, "ratio": null, "value": "text" }"#,
    ] {
        assert_eq!(told(text), Vec::<String>::new());
    }
}

#[test]
fn every_misfit_is_told_in_the_order_of_the_text() {
    let text = r#"{
  "cap_cents_per_day": -5,
  "warn_precent": 80,
  "mode": "enforced",
  "limits": { "a": { "per_minute": 1.5 }, "b": { "per_min": 1 }, "c": 7 },
  "ratio": "0.5",
  "names": ["x", 2],
  "tag": "long",
  "value": { "per_minute": "many" }
}"#;
    let told = told(text);
    let expected = [
        "error: cannot apply `configs/costs.json`, line 2, column 3: `cap_cents_per_day` is -5, \
         must be at least 0 and at most 4294967295\n\
         hint: Spend at which new paid calls are refused, in cents",
        "line 3, column 3: unknown key `warn_precent`\nhint: did you mean `warn_percent`?",
        "line 4, column 3: `mode` is \"enforced\", must be one of `observe`, `enforce`\n\
         hint: did you mean `enforce`?",
        "line 5, column 22: `limits.a.per_minute` is 1.5, must be a whole number\n\
         hint: write a whole number",
        "line 5, column 43: `limits.b.per_minute` is missing, must be a whole number",
        "line 5, column 50: unknown key `limits.b.per_min`\nhint: did you mean `per_minute`?",
        "line 5, column 66: `limits.c` is 7, must be an object",
        "line 6, column 3: `ratio` is the string \"0.5\", must be a number or null\n\
         hint: write the number without quotes",
        "line 7, column 18: `names[1]` is 2, must be a string",
        "line 8, column 3: `tag` is \"long\" of 4 characters, must be 1 to 3 characters long",
        "line 9, column 14: `value.per_minute` is the string \"many\", must be a whole number",
    ];
    for (found, expected) in told.iter().zip(expected) {
        assert!(found.contains(expected), "\n{found}\nis not\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn a_missing_key_is_told_at_the_object_that_lacks_it() {
    assert_eq!(
        told("{\n}"),
        [
            "error: cannot apply `configs/costs.json`, line 1, column 1: `cap_cents_per_day` is \
             missing, must be a whole number\n\
             hint: Spend at which new paid calls are refused, in cents"
        ]
    );
    assert!(told("[]")[0].contains("the document is an array, must be an object"));
}

#[test]
fn of_a_thousand_misfits_a_hundred_are_told_and_all_are_counted() {
    let many: Vec<_> = (0..1000).map(|n| format!("\"k{n}\": 0")).collect();
    let text = format!("{{\"cap_cents_per_day\": 1, {}}}", many.join(","));
    let shapes = Shapes::of(schemars::schema_for!(Raw).as_value());
    let mut problems = Problems::new("x");
    let tree = problems.parse(text.as_bytes()).expect("JSON");
    shapes.check(&tree, &mut problems);
    assert_eq!((problems.count(), problems.iter().count()), (1000, 100));
    assert!(problems.to_string().ends_with("and 900 more problems"));
}
