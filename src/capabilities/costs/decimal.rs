//! Decimals as they are written in `configs/costs.json` and in calls: `"0.023"`, or `0.023`.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::base::money::Ratio;

/// An exact decimal. A bare JSON number with more digits than a double holds is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal(pub(super) Ratio);

/// Significant digits that a double always gives back as they were written.
const EXACT_DIGITS: usize = 15;

struct Read;

impl Visitor<'_> for Read {
    type Value = Decimal;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal, such as \"0.023\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Decimal, E> {
        Ratio::parse(text)
            .map(Decimal)
            .map_err(|bad| E::custom(format!("\"{text}\" is {bad}")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Decimal, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Decimal, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Decimal, E> {
        // The shortest text that reads back the same: what was written, if it was short.
        let text = number.to_string();
        let digits = text.trim_start_matches(['-', '0', '.']);
        if digits.bytes().filter(u8::is_ascii_digit).count() > EXACT_DIGITS {
            let told = format!("{text} has too many digits for a bare number: put it in quotes");
            return Err(E::custom(told));
        }
        self.visit_str(&text)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Read)
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"] })
    }
}
