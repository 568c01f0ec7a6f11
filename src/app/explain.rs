//! A setting explained: what holds, where it comes from, what it hides, what it means. Works on the
//! files alone; what a running daemon has in force is told by the journal of configurations.

use serde_json::Value;

use super::schema_walk::Walk;
use crate::base::json::{Path, Step, Tree};
use crate::base::names;
use crate::platform::config::ConfigKind;

/// Paths that are told where a name fits many.
const MOST_PATHS: usize = 400;
/// Depth of paths that are listed: the deepest setting of ours has 6 steps.
const DEEPEST: usize = 6;

/// A setting that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The file that has it.
    pub file: &'static str,
    /// The way to it.
    pub path: String,
    /// What stands in the file, and where: line and column.
    pub written: Option<(Value, u32, u32)>,
    /// What holds where nothing is written; `None` where there is no such value.
    pub default: Option<Value>,
    /// What it means.
    pub about: String,
    /// What may be written: `integer, 1 to 65536`.
    pub allowed: String,
}

/// What a key turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Match {
    /// One setting.
    One(Box<Setting>),
    /// Several: `file:path` of each.
    Many(Vec<String>),
    /// None; the nearest one there is.
    None(Option<String>),
}

/// A file and its text, as the caller found it; a file that is not there has none.
pub type Texts<'t> = &'t dyn Fn(&str) -> Option<String>;

/// Looks `key` up: `path`, `file:path`, or the end of a path.
pub fn explain(kinds: &[ConfigKind], key: &str, text: Texts<'_>) -> Match {
    let (only, wanted) = match key.split_once(':') {
        Some((file, path)) if file.strip_suffix(".json").is_some() => (Some(file), path),
        _ => (None, key),
    };
    let kinds: Vec<&ConfigKind> = kinds
        .iter()
        .filter(|kind| only.is_none_or(|file| file == kind.file))
        .collect();
    let whole: Vec<Setting> = kinds
        .iter()
        .filter_map(|kind| at(kind, wanted, text(kind.file).as_deref()))
        .collect();
    if let [one] = whole.as_slice() {
        return Match::One(Box::new(one.clone()));
    }
    let named = |one: &Setting| format!("{}:{}", one.file, one.path);
    if !whole.is_empty() {
        return Match::Many(whole.iter().map(named).collect());
    }
    // The end of a longer path.
    let tail = format!(".{wanted}");
    let mut known = Vec::new();
    for kind in &kinds {
        let walk = Walk::new((kind.schema)().to_value());
        let mut paths = Vec::new();
        gather(&walk, walk.root(), "", DEEPEST, &mut paths);
        known.extend(paths.into_iter().map(|path| (*kind, path)));
    }
    let ends: Vec<_> = known
        .iter()
        .filter(|(_, path)| path.ends_with(&tail))
        .collect();
    if let [(kind, path)] = ends.as_slice()
        && let Some(one) = at(kind, path, text(kind.file).as_deref())
    {
        return Match::One(Box::new(one));
    }
    if !ends.is_empty() {
        let all = ends
            .iter()
            .map(|(kind, path)| format!("{}:{path}", kind.file));
        return Match::Many(all.collect());
    }
    let near = names::nearest(wanted, known.iter().map(|(_, path)| path.as_str()));
    let near = near.or_else(|| {
        let last = wanted.rsplit('.').next().unwrap_or(wanted);
        let ends = known.iter().filter_map(|(_, path)| path.rsplit('.').next());
        let near = names::nearest(last, ends)?;
        let mut all = known.iter().map(|(_, path)| path.as_str());
        all.find(|path| path.rsplit('.').next() == Some(near))
    });
    let file = near.and_then(|near| known.iter().find(|(_, path)| path == near));
    Match::None(file.map(|(kind, path)| format!("{}:{path}", kind.file)))
}

/// The setting at `path` of a file, if the file may have one there.
fn at(kind: &ConfigKind, path: &str, text: Option<&str>) -> Option<Setting> {
    let walk = Walk::new((kind.schema)().to_value());
    let document: Value = text
        .and_then(|text| serde_json::from_str(text.trim_start_matches('\u{FEFF}')).ok())
        .unwrap_or(Value::Null);
    let mut steps = Vec::new();
    let mut default = DefaultOf::Unknown;
    let schema = descend(
        &walk,
        walk.root(),
        Some(&document),
        path,
        &mut steps,
        &mut default,
    )?;
    if steps.is_empty() {
        return None;
    }
    let path = steps.iter().fold(Path::root(), |path, step| match step {
        Step::Key(key) => path.key(key),
        Step::Index(index) => path.index(*index),
    });
    let own = walk.word(schema, "default").cloned();
    let whole = text.and_then(|text| {
        let tree = Tree::parse(text).ok()?;
        let node = tree.at(&path)?;
        let place = tree.place(tree.offset_of(&path));
        let value = serde_json::from_str(node.text()).ok()?;
        Some((value, place.line.get(), place.column.get()))
    });
    let about = walk.word(schema, "description").and_then(Value::as_str);
    Some(Setting {
        file: kind.file,
        path: path.to_string(),
        written: whole,
        default: own.or(match default {
            DefaultOf::Known(value) => Some(value),
            DefaultOf::Unknown => None,
        }),
        about: about.unwrap_or_default().replace('\n', " "),
        allowed: allowed(&walk, schema),
    })
}

/// What an outer value's default says of an inner one.
enum DefaultOf {
    Known(Value),
    Unknown,
}

/// Follows `path` as far as the schema, or the document where any name may stand, goes. A key may
/// hold dots: the longest one that fits is taken.
fn descend<'s>(
    walk: &'s Walk,
    schema: &'s Value,
    document: Option<&Value>,
    path: &str,
    steps: &mut Vec<Step>,
    default: &mut DefaultOf,
) -> Option<&'s Value> {
    if path.is_empty() {
        return Some(schema);
    }
    if let Some(rest) = path.strip_prefix('[') {
        let (index, rest) = rest.split_once(']')?;
        let index: usize = index.parse().ok()?;
        let inner = walk.element(schema)?;
        let here = document.and_then(|list| list.get(index));
        steps.push(Step::Index(index));
        *default = DefaultOf::Unknown;
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        return descend(walk, inner, here, rest, steps, default);
    }
    let members = walk.members(schema);
    let named = members.iter().map(|(name, _)| *name);
    let there = document.and_then(Value::as_object);
    let there = there.into_iter().flatten().map(|(name, _)| name.as_str());
    let fits = |name: &&str| {
        let rest = path.strip_prefix(*name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let key = named
        .chain(there)
        .filter(fits)
        .max_by_key(|name| name.len())?
        .to_owned();
    let inner = walk.member(schema, &key)?;
    let rest = path.strip_prefix(key.as_str())?;
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let here = document.and_then(|object| object.get(&key));
    let outer = walk.word(schema, "default").cloned();
    let outer = match std::mem::replace(default, DefaultOf::Unknown) {
        DefaultOf::Known(value) => Some(value),
        DefaultOf::Unknown => outer,
    };
    if let Some(value) = outer.as_ref().and_then(|outer| outer.get(&key)) {
        *default = DefaultOf::Known(value.clone());
    }
    steps.push(Step::Key(key));
    descend(walk, inner, here, rest, steps, default)
}

/// Every path that a schema knows by name.
fn gather(walk: &Walk, schema: &Value, above: &str, deep: usize, found: &mut Vec<String>) {
    if deep == 0 || found.len() >= MOST_PATHS {
        return;
    }
    for (name, inner) in walk.members(schema) {
        if name.starts_with('$') {
            continue;
        }
        let path = match above {
            "" => name.to_owned(),
            above => format!("{above}.{name}"),
        };
        gather(walk, inner, &path, deep - 1, found);
        found.push(path);
    }
}

/// What may be written, in words.
fn allowed(walk: &Walk, schema: &Value) -> String {
    let word = |name: &str| walk.word(schema, name);
    if let Some(choices) = word("enum").and_then(Value::as_array) {
        let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
        return format!("one of {}", choices.join(", "));
    }
    let mut told = match word("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            kinds.join(" or ")
        }
        _ => "one of several forms".to_owned(),
    };
    let bounds = [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " elements"),
    ];
    for (least, most, unit) in bounds {
        match (word(least), word(most)) {
            (Some(least), Some(most)) => told = format!("{told}, {least} to {most}{unit}"),
            (Some(least), None) => told = format!("{told}, at least {least}{unit}"),
            (None, Some(most)) => told = format!("{told}, at most {most}{unit}"),
            (None, None) => {}
        }
    }
    told
}
