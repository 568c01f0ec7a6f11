//! Walks a tree along its shapes and tells every misfit.

use serde_json::Value as Json;

use super::path::Path;
use super::shape::{
    ARRAY, Additional, BOOLEAN, Bound, INTEGER, Id, NULL, NUMBER, OBJECT, STRING, Shape, Shapes,
    Span,
};
use super::tree::{Node, Tree, Value};
use crate::base::problems::{Problems, shown};

impl Shapes {
    /// Adds everything in `tree` that does not have this shape.
    pub fn check(&self, tree: &Tree<'_>, problems: &mut Problems) {
        let mut walk = Walk {
            shapes: self,
            way: Vec::new(),
        };
        walk.check(tree.root(), 0, problems);
    }
}

/// One step from the outermost value, not yet a path: paths are only made for problems.
#[derive(Clone, Copy)]
enum Way<'t> {
    Key(&'t str),
    Index(usize),
}

struct Walk<'w, 't> {
    shapes: &'w Shapes,
    way: Vec<Way<'t>>,
}

impl<'t> Walk<'_, 't> {
    fn path(&self) -> Path {
        self.way.iter().fold(Path::root(), |path, way| match way {
            Way::Key(key) => path.key(key),
            Way::Index(index) => path.index(*index),
        })
    }

    fn check(&mut self, node: Node<'t>, id: Id, problems: &mut Problems) {
        let shapes = self.shapes;
        let Some(shape) = shapes.get(id) else {
            return;
        };
        for part in &shape.all_of {
            self.check(node, *part, problems);
        }
        if !shape.any_of.is_empty() {
            self.check_any(node, shape, problems);
        }
        if shape.types != 0 && shape.types & type_of(node) == 0 {
            let allowed = types_in_words(shape.types);
            problems.wrong_type(self.path(), found(node), allowed, type_hint(node, shape));
            return;
        }
        if let Some(choices) = &shape.choices {
            self.check_choice(node, choices, &shape.about, problems);
        }
        match node.value() {
            Value::Number(text) => self.check_number(node, text, shape, problems),
            Value::String(text) => {
                let length = text.chars().count() as u64;
                self.check_span(node, shape.length, length, "characters", shape, problems);
            }
            Value::Array(elements) => {
                let count = elements.clone().count() as u64;
                self.check_span(node, shape.count, count, "elements", shape, problems);
                let Some(items) = shape.items else {
                    return;
                };
                for (index, element) in elements.enumerate() {
                    self.way.push(Way::Index(index));
                    self.check(element, items, problems);
                    self.way.pop();
                }
            }
            Value::Object(_) => self.check_object(node, shape, problems),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_object(&mut self, node: Node<'t>, shape: &Shape, problems: &mut Problems) {
        let mut count = 0;
        for (key, value) in node.members() {
            let name = key.str().unwrap_or_default();
            if name.starts_with('$') {
                continue;
            }
            count += 1;
            self.way.push(Way::Key(name));
            let key_length = name.chars().count() as u64;
            self.check_span(
                key,
                shape.key_length,
                key_length,
                "characters",
                shape,
                problems,
            );
            match (shape.properties.get(name).copied(), shape.additional) {
                (Some(id), _) | (None, Additional::Shaped(id)) => self.check(value, id, problems),
                (None, Additional::Refused) => {
                    let known = shape.order.iter().map(String::as_str);
                    problems.unknown_key(self.path(), known, "");
                }
                (None, Additional::Any) => {}
            }
            self.way.pop();
        }
        self.check_span(node, shape.count, count, "keys", shape, problems);
        for name in &shape.required {
            if node.get(name).is_some() {
                continue;
            }
            let wanted = shape
                .properties
                .get(name)
                .and_then(|id| self.shapes.get(*id));
            let (allowed, hint) = wanted.map_or(("there".into(), ""), |wanted| {
                (self.in_words(wanted), &*wanted.about)
            });
            problems.missing_key(self.path().key(name), allowed, hint);
        }
    }
}

impl<'t> Walk<'_, 't> {
    /// One of several shapes must fit. If none does, the complaints are those of the shape that was
    /// most likely meant: the only one of the value's type, or the one with the fewest misfits.
    fn check_any(&mut self, node: Node<'t>, shape: &Shape, problems: &mut Problems) {
        // A shape of the value's type without further demands fits, and needs no trial.
        let plainly = |id: &Id| {
            self.shapes
                .get(*id)
                .is_some_and(|one| one.is_only(type_of(node)))
        };
        if shape.any_of.iter().any(plainly) {
            return;
        }
        let mut best: Option<(bool, Problems)> = None;
        let mut words = Vec::new();
        for id in &shape.any_of {
            let mut trial = Problems::new("");
            self.check(node, *id, &mut trial);
            if trial.is_empty() {
                return;
            }
            let Some(one) = self.shapes.get(*id) else {
                continue;
            };
            words.extend(self.words_of(one));
            let typed = self.types_of(one, 0) & type_of(node) != 0;
            let better = best.as_ref().is_none_or(|(best_typed, fewest)| {
                (typed, fewest.count()) > (*best_typed, trial.count())
            });
            if better {
                best = Some((typed, trial));
            }
        }
        if let (Value::String(text), false) = (node.value(), words.is_empty()) {
            problems.unknown_word(
                self.path(),
                text,
                words.iter().map(String::as_str),
                &*shape.about,
            );
            return;
        }
        if let Some((true, trial)) = best {
            problems.append(trial.about(problems));
        } else {
            let allowed = self.in_words(shape);
            problems.wrong_type(self.path(), found(node), allowed, type_hint(node, shape));
        }
    }

    fn check_choice(&self, node: Node<'t>, choices: &[Json], about: &str, problems: &mut Problems) {
        let fits = choices.iter().any(|choice| match choice {
            Json::Null => node.is_null(),
            Json::Bool(flag) => node.bool() == Some(*flag),
            Json::String(text) => node.str() == Some(text),
            Json::Number(number) => node
                .f64()
                .is_some_and(|found| Some(found) == number.as_f64()),
            Json::Array(_) | Json::Object(_) => false,
        });
        if fits {
            return;
        }
        let words: Vec<&str> = choices.iter().filter_map(Json::as_str).collect();
        match node.str() {
            Some(text) if !words.is_empty() => {
                problems.unknown_word(self.path(), text, words, about);
            }
            _ => {
                let allowed = choices.iter().map(Json::to_string).collect::<Vec<_>>();
                problems.not_allowed(self.path(), shown(node), allowed.join(" or "), about);
            }
        }
    }

    fn check_number(&self, node: Node<'t>, text: &str, shape: &Shape, problems: &mut Problems) {
        let Some(number) = node.f64() else {
            let allowed = "a number that a double can hold";
            return problems.out_of_range(self.path(), shown(node), allowed, &*shape.about);
        };
        let low =
            |bound: &Bound| number < bound.value || (bound.exclusive && number <= bound.value);
        let high =
            |bound: &Bound| number > bound.value || (bound.exclusive && number >= bound.value);
        // The greatest integers are not doubles: what the type cannot hold is told by its text.
        let unheld = shape.types & NUMBER == 0
            && shape.types & INTEGER != 0
            && text.parse::<i64>().is_err()
            && text.parse::<u64>().is_err();
        let out = shape.least.as_ref().is_some_and(low) || shape.most.as_ref().is_some_and(high);
        if out || unheld {
            problems.out_of_range(
                self.path(),
                shown(node),
                range_in_words(shape),
                &*shape.about,
            );
        }
    }

    fn check_span(
        &self,
        node: Node<'t>,
        span: Span,
        count: u64,
        unit: &str,
        shape: &Shape,
        problems: &mut Problems,
    ) {
        let low = span.least.is_some_and(|least| count < least);
        let high = span.most.is_some_and(|most| count > most);
        if !low && !high {
            return;
        }
        let allowed = match (span.least, span.most) {
            (Some(least), Some(most)) => format!("{least} to {most} {unit} long"),
            (Some(least), None) => format!("at least {least} {unit} long"),
            (_, most) => format!("at most {} {unit} long", most.unwrap_or_default()),
        };
        let what = match node.value() {
            Value::String(_) => shown(node),
            _ => node.type_name().to_owned(),
        };
        let found = format!("{what} of {count} {unit}");
        problems.out_of_range(self.path(), found, allowed, &*shape.about);
    }

    /// All types that a shape lets through, choices followed a few levels down.
    fn types_of(&self, shape: &Shape, depth: u8) -> u8 {
        /// Levels of choices within choices that are followed; our types have two.
        const DEEPEST: u8 = 4;
        if shape.types != 0 || depth == DEEPEST {
            return shape.types;
        }
        if let Some(choices) = &shape.choices {
            return choices
                .iter()
                .fold(0, |bits, choice| bits | type_of_json(choice));
        }
        let parts = shape.any_of.iter().chain(&shape.all_of);
        parts
            .filter_map(|id| self.shapes.get(*id))
            .fold(0, |bits, part| bits | self.types_of(part, depth + 1))
    }

    /// The words among a shape's choices.
    fn words_of(&self, shape: &Shape) -> Vec<String> {
        let own = shape
            .choices
            .iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(str::to_owned);
        let nested = shape
            .all_of
            .iter()
            .filter_map(|id| self.shapes.get(*id))
            .flat_map(|part| part.choices.iter().flatten().filter_map(Json::as_str));
        own.chain(nested.map(str::to_owned)).collect()
    }

    fn in_words(&self, shape: &Shape) -> String {
        let words = self.words_of(shape);
        if !words.is_empty() {
            return format!("one of `{}`", words.join("`, `"));
        }
        types_in_words(self.types_of(shape, 0))
    }
}

fn range_in_words(shape: &Shape) -> String {
    let in_words = |bound: &Bound, inclusive: &str, exclusive: &str| {
        let word = if bound.exclusive {
            exclusive
        } else {
            inclusive
        };
        format!("{word} {}", bound.text)
    };
    let least = shape
        .least
        .as_ref()
        .map(|bound| in_words(bound, "at least", "above"));
    let most = shape
        .most
        .as_ref()
        .map(|bound| in_words(bound, "at most", "below"));
    match (least, most) {
        (Some(least), Some(most)) => format!("{least} and {most}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => format!("between {} and {}", i64::MIN, u64::MAX),
    }
}

/// The value and, where the value alone does not show it, its type.
fn found(node: Node<'_>) -> String {
    match node.value() {
        Value::String(_) => format!("the string {}", shown(node)),
        _ => shown(node),
    }
}

fn type_hint(node: Node<'_>, shape: &Shape) -> String {
    match node.value() {
        Value::String("true" | "false") if shape.types & BOOLEAN != 0 => {
            "write true and false without quotes".into()
        }
        Value::String(text)
            if shape.types & (INTEGER | NUMBER) != 0 && text.parse::<f64>().is_ok() =>
        {
            "write the number without quotes".into()
        }
        Value::Number(_) if shape.types & NUMBER == 0 && shape.types & INTEGER != 0 => {
            "write a whole number, without point and exponent".into()
        }
        _ => shape.about.clone(),
    }
}

fn type_of(node: Node<'_>) -> u8 {
    match node.value() {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(text) if text.bytes().all(|b| b == b'-' || b.is_ascii_digit()) => INTEGER,
        Value::Number(_) => NUMBER,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

fn type_of_json(value: &Json) -> u8 {
    match value {
        Json::Null => NULL,
        Json::Bool(_) => BOOLEAN,
        Json::Number(_) => NUMBER | INTEGER,
        Json::String(_) => STRING,
        Json::Array(_) => ARRAY,
        Json::Object(_) => OBJECT,
    }
}

fn types_in_words(types: u8) -> String {
    const WORDS: [(u8, &str); 7] = [
        (BOOLEAN, "true or false"),
        (NUMBER, "a number"),
        (INTEGER, "a whole number"),
        (STRING, "a string"),
        (ARRAY, "an array"),
        (OBJECT, "an object"),
        (NULL, "null"),
    ];
    let integer_said = types & NUMBER != 0;
    let words: Vec<&str> = WORDS
        .iter()
        .filter(|(bit, _)| types & bit != 0 && !(*bit == INTEGER && integer_said))
        .map(|(_, word)| *word)
        .collect();
    match words.as_slice() {
        [] => "another value".into(),
        words => words.join(" or "),
    }
}
