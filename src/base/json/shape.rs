//! The shape of a document: the part of JSON Schema that `schemars` writes for our types, compiled
//! once, and checked so that every misfit is told with its place and the nearest known name.
//!
//! Understood: type, properties, required, additionalProperties, patternProperties for `^\$` only,
//! items, enum, const, minimum, maximum and their exclusive forms, minLength, maxLength, minItems,
//! maxItems, minProperties, maxProperties, propertyNames (lengths), anyOf, oneOf, allOf, $ref into
//! $defs, and integer formats. Anything else is a note for editors and is not checked here.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

/// Index of a shape in its [`Shapes`].
pub(super) type Id = usize;

/// All shapes of one schema.
#[derive(Debug, Default)]
pub struct Shapes {
    all: Vec<Shape>,
    /// `$defs` by name, to let types refer to each other and to themselves.
    named: HashMap<String, Id>,
}

/// What is said about members that `properties` does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Additional {
    Any,
    Refused,
    Shaped(Id),
}

/// One schema, ready to be checked.
#[derive(Debug)]
pub(super) struct Shape {
    /// Bits of [`type_bit`]; 0 = any type.
    pub(super) types: u8,
    pub(super) properties: HashMap<String, Id>,
    /// Names of `properties` in the order of the schema.
    pub(super) order: Vec<String>,
    pub(super) required: Vec<String>,
    pub(super) additional: Additional,
    pub(super) items: Option<Id>,
    pub(super) choices: Option<Vec<Json>>,
    pub(super) least: Option<Bound>,
    pub(super) most: Option<Bound>,
    pub(super) length: Span,
    pub(super) count: Span,
    pub(super) key_length: Span,
    pub(super) any_of: Vec<Id>,
    pub(super) all_of: Vec<Id>,
    /// The first sentence of the description: what the value is for.
    pub(super) about: String,
}

/// A numeric bound, as a number and as it was written.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) value: f64,
    pub(super) text: String,
    pub(super) exclusive: bool,
}

/// Least and most of a length or a count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

pub(super) const NULL: u8 = 1;
pub(super) const BOOLEAN: u8 = 2;
pub(super) const INTEGER: u8 = 4;
pub(super) const NUMBER: u8 = 8;
pub(super) const STRING: u8 = 16;
pub(super) const ARRAY: u8 = 32;
pub(super) const OBJECT: u8 = 64;

fn type_bit(name: &str) -> u8 {
    match name {
        "null" => NULL,
        "boolean" => BOOLEAN,
        "integer" => INTEGER,
        "number" => NUMBER | INTEGER,
        "string" => STRING,
        "array" => ARRAY,
        "object" => OBJECT,
        _ => 0,
    }
}

impl Shapes {
    /// Compiles a whole schema, `$defs` included.
    pub fn of(schema: &Json) -> Self {
        let mut shapes = Self::default();
        shapes.all.push(Shape::any());
        if let Some(defs) = schema.get("$defs").and_then(Json::as_object) {
            for name in defs.keys() {
                shapes.named.insert(name.clone(), shapes.all.len());
                shapes.all.push(Shape::any());
            }
            for (name, def) in defs {
                let (id, shape) = (shapes.named[name], shapes.compile(def));
                shapes.all[id] = shape;
            }
        }
        let root = shapes.compile(schema);
        shapes.all[0] = root;
        shapes
    }

    pub(super) fn get(&self, id: Id) -> Option<&Shape> {
        self.all.get(id)
    }

    fn add(&mut self, schema: &Json) -> Id {
        if let Some(id) = self.referred(schema) {
            return id;
        }
        let shape = self.compile(schema);
        self.all.push(shape);
        self.all.len() - 1
    }

    /// The shape that a schema only points to.
    fn referred(&self, schema: &Json) -> Option<Id> {
        let pointer = schema.get("$ref")?.as_str()?;
        if pointer == "#" {
            return Some(0);
        }
        self.named.get(pointer.strip_prefix("#/$defs/")?).copied()
    }

    fn add_each(&mut self, schema: &Map<String, Json>, keyword: &str) -> Vec<Id> {
        let list = schema.get(keyword).and_then(Json::as_array);
        list.into_iter()
            .flatten()
            .map(|one| self.add(one))
            .collect()
    }

    fn compile(&mut self, schema: &Json) -> Shape {
        let mut shape = Shape::any();
        let Some(members) = schema.as_object() else {
            if schema == &Json::Bool(false) {
                shape.choices = Some(Vec::new());
            }
            return shape;
        };
        shape.types = match members.get("type") {
            Some(Json::String(name)) => type_bit(name),
            Some(Json::Array(names)) => names
                .iter()
                .filter_map(Json::as_str)
                .fold(0, |bits, name| bits | type_bit(name)),
            _ => 0,
        };
        if let Some(properties) = members.get("properties").and_then(Json::as_object) {
            for (name, property) in properties {
                let id = self.add(property);
                shape.properties.insert(name.clone(), id);
                shape.order.push(name.clone());
            }
        }
        shape.required = strings(members.get("required"));
        shape.additional = match members.get("additionalProperties") {
            Some(Json::Bool(false)) => Additional::Refused,
            Some(more @ Json::Object(_)) => Additional::Shaped(self.add(more)),
            _ => Additional::Any,
        };
        shape.items = members.get("items").map(|items| self.add(items));
        shape.choices = match (members.get("enum"), members.get("const")) {
            (Some(Json::Array(choices)), _) => Some(choices.clone()),
            (_, Some(only)) => Some(vec![only.clone()]),
            _ => None,
        };
        shape.bounds(members);
        shape.any_of = self.add_each(members, "anyOf");
        if shape.any_of.is_empty() {
            shape.any_of = self.add_each(members, "oneOf");
        }
        shape.all_of = self.add_each(members, "allOf");
        shape.all_of.extend(self.referred(schema));
        shape
    }
}

impl Shape {
    fn any() -> Self {
        Self {
            types: 0,
            properties: HashMap::new(),
            order: Vec::new(),
            required: Vec::new(),
            additional: Additional::Any,
            items: None,
            choices: None,
            least: None,
            most: None,
            length: Span::default(),
            count: Span::default(),
            key_length: Span::default(),
            any_of: Vec::new(),
            all_of: Vec::new(),
            about: String::new(),
        }
    }

    /// Whether every value of `type_bit` fits: nothing but a type is asked for.
    pub(super) fn is_only(&self, type_bit: u8) -> bool {
        let unbounded = |span: Span| span.least.is_none() && span.most.is_none();
        self.types & type_bit != 0
            && type_bit & (NULL | BOOLEAN | STRING) != 0
            && self.choices.is_none()
            && unbounded(self.length)
            && self.any_of.is_empty()
            && self.all_of.is_empty()
    }

    fn bounds(&mut self, members: &Map<String, Json>) {
        let bound = |keyword: &str, exclusive: bool| {
            let number = members.get(keyword)?;
            Some(Bound {
                value: number.as_f64()?,
                text: plainly(number),
                exclusive,
            })
        };
        let count = |keyword: &str| members.get(keyword).and_then(Json::as_u64);
        let format = members
            .get("format")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let (lowest, highest) = format_bounds(format).unzip();
        self.least = bound("exclusiveMinimum", true)
            .or_else(|| bound("minimum", false))
            .or(lowest);
        self.most = bound("exclusiveMaximum", true)
            .or_else(|| bound("maximum", false))
            .or(highest);
        self.length = Span {
            least: count("minLength"),
            most: count("maxLength"),
        };
        self.count = Span {
            least: count("minItems").or_else(|| count("minProperties")),
            most: count("maxItems").or_else(|| count("maxProperties")),
        };
        if let Some(names) = members.get("propertyNames").and_then(Json::as_object) {
            let count = |keyword: &str| names.get(keyword).and_then(Json::as_u64);
            self.key_length = Span {
                least: count("minLength"),
                most: count("maxLength"),
            };
        }
        let about = members
            .get("description")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let sentence = about.split(". ").next().unwrap_or_default();
        self.about = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        self.about.truncate(self.about.trim_end_matches('.').len());
    }
}

/// The range of a Rust integer, by the format name that `schemars` gives it.
fn format_bounds(format: &str) -> Option<(Bound, Bound)> {
    let (least, most) = match format {
        "uint8" => (0, u64::from(u8::MAX)),
        "uint16" => (0, u64::from(u16::MAX)),
        "uint32" => (0, u64::from(u32::MAX)),
        "uint64" | "uint" => (0, u64::MAX),
        "int8" => (i64::from(i8::MIN), i8::MAX as u64),
        "int16" => (i64::from(i16::MIN), i16::MAX as u64),
        "int32" => (i64::from(i32::MIN), i32::MAX as u64),
        "int64" | "int" => (i64::MIN, i64::MAX as u64),
        _ => return None,
    };
    let bound = |value: f64, text: String| Bound {
        value,
        text,
        exclusive: false,
    };
    Some((
        bound(least as f64, least.to_string()),
        bound(most as f64, most.to_string()),
    ))
}

/// A bound without a needless `.0`.
fn plainly(number: &Json) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn strings(list: Option<&Json>) -> Vec<String> {
    let list = list.and_then(Json::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .map(str::to_owned)
        .collect()
}
