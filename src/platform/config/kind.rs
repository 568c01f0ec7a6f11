//! What a configuration document is: its file, its shipped text, how it becomes rules.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde::de::DeserializeOwned;

use crate::base::json::{Shapes, Tree};
use crate::base::problems::Problems;

/// A document of the configuration folder, and the rules that are made of it.
pub trait Config: Send + Sync + 'static {
    /// File name, such as `flags.json`.
    const FILE: &'static str;
    /// The text that is written where the file does not exist.
    const SHIPPED: &'static str;
    /// What the text becomes once it is checked.
    type Rules: Send + Sync + 'static;

    /// Reads the rules and adds everything wrong to `problems`; `Some` only if nothing was added.
    /// Most implementations read a raw type with [`typed`] and then check what a shape cannot say.
    fn read(tree: &Tree<'_>, problems: &mut Problems) -> Option<Self::Rules>;

    /// The published schema; usually [`schema_of`] the raw type.
    fn schema() -> Schema;

    /// Keys that differ between the rules the process started with and those in force now, and that
    /// take effect only at the next start.
    fn restart_needed(_started_with: &Self::Rules, _now: &Self::Rules) -> Vec<&'static str> {
        Vec::new()
    }
}

/// Reads the whole document as a `T`: first its shape, every misfit at once, then its values. Keys
/// that begin with `$` are not seen.
pub fn typed<T>(tree: &Tree<'_>, problems: &mut Problems) -> Option<T>
where
    T: DeserializeOwned + JsonSchema + 'static,
{
    let before = problems.count();
    shapes_of::<T>().check(tree, problems);
    if problems.count() > before {
        return None;
    }
    match tree.root().read::<T>() {
        Ok(value) => Some(value),
        Err(misfit) => {
            let offset = misfit.offset.unwrap_or_default();
            problems.at_offset(tree, offset, misfit.message);
            None
        }
    }
}

/// The compiled shapes of a type; made once and kept, for reloads are on the clock.
fn shapes_of<T: JsonSchema + 'static>() -> Arc<Shapes> {
    static KNOWN: LazyLock<Mutex<HashMap<TypeId, Arc<Shapes>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let shapes = known
        .entry(TypeId::of::<T>())
        .or_insert_with(|| Arc::new(Shapes::of(schemars::schema_for!(T).as_value())));
    Arc::clone(shapes)
}

/// The schema of a raw type as it is published: JSON Schema 2020-12, with `$` keys let through in
/// every object, as the reader does.
pub fn schema_of<T: JsonSchema>() -> Schema {
    let mut schema = schemars::schema_for!(T);
    LetNotesThrough.transform(&mut schema);
    schema
}

/// Allows keys that begin with `$` where other unknown keys are refused or shaped.
#[derive(Debug, Clone)]
struct LetNotesThrough;

impl Transform for LetNotesThrough {
    fn transform(&mut self, schema: &mut Schema) {
        if schema.get("additionalProperties").is_some() {
            let notes = serde_json::json!({ "^\\$": true });
            schema.insert("patternProperties".into(), notes);
        }
        transform_subschemas(self, schema);
    }
}

/// Reads `text` as `C`; `named` is how the document is called in problems.
pub fn read<C: Config>(named: &str, text: &[u8]) -> Result<C::Rules, Problems> {
    let mut problems = Problems::new(named);
    if text.iter().all(u8::is_ascii_whitespace) {
        problems.unreadable(
            "the file is empty",
            "an empty document is never taken for \"no settings\"; write `{}` for that",
        );
        return Err(problems);
    }
    let Some(tree) = problems.parse(text) else {
        return Err(problems);
    };
    let rules = C::read(&tree, &mut problems);
    problems.locate(&tree);
    match rules {
        Some(rules) if problems.is_empty() => Ok(rules),
        _ => {
            if problems.is_empty() {
                problems.unreadable("the rules could not be made", "please report this");
            }
            Err(problems)
        }
    }
}

/// A row of the list of all configurations, for `check`, the schema files and their test.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKind {
    /// File name, such as `flags.json`.
    pub file: &'static str,
    /// The text that is written where the file does not exist.
    pub shipped: &'static str,
    /// What is wrong with a text, under the name it goes by.
    pub check: fn(named: &str, text: &[u8]) -> Problems,
    /// The published schema.
    pub schema: fn() -> Schema,
}

/// The row of `C`.
pub const fn kind<C: Config>() -> ConfigKind {
    ConfigKind {
        file: C::FILE,
        shipped: C::SHIPPED,
        check: |named, text| match read::<C>(named, text) {
            Ok(_) => Problems::new(named),
            Err(problems) => problems,
        },
        schema: C::schema,
    }
}

/// The schema files of `kinds`, name and text: `flags.schema.json` for `flags.json`.
pub fn schemas(kinds: &[ConfigKind]) -> Vec<(String, String)> {
    kinds
        .iter()
        .map(|kind| {
            let name = kind.file.strip_suffix(".json").unwrap_or(kind.file);
            let mut text = serde_json::to_string_pretty(&(kind.schema)()).unwrap_or_default();
            text.push('\n');
            (format!("{name}.schema.json"), text)
        })
        .collect()
}
