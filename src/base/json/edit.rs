//! Edits that change one value and leave every other byte as it was.
//!
//! A replaced value takes the old one's place; a new member is written as its neighbours are: their
//! line ends, their indentation, their spacing after the colon.

use serde_json::Value as Json;

use super::BOM;
use super::fault::Fault;
use super::path::{Path, Step};
use super::tree::{Node, Tree};

/// Why an edit was not made; the text is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditFault {
    /// The text is not JSON.
    #[error("the document is not JSON: found {}, expected {}", .0.found, .0.expected)]
    Syntax(Fault),
    /// The path leads through something that is no object.
    #[error("`{path}` is {found}, must be an object to hold keys")]
    NoObject {
        /// The way to it.
        path: String,
        /// What it is.
        found: &'static str,
    },
    /// The path names an element that is not there.
    #[error("`{path}` is not there")]
    Absent {
        /// The path.
        path: String,
    },
}

/// A document's text while it is changed.
#[derive(Debug, Clone)]
pub struct Edit {
    bom: bool,
    text: String,
}

/// How a stretch of text is laid out.
struct Style {
    newline: &'static str,
    unit: String,
    colon: String,
}

impl Edit {
    /// Begins to edit `text`.
    pub fn of(text: &[u8]) -> Result<Self, EditFault> {
        let body = text.strip_prefix(BOM).unwrap_or(text);
        let source = String::from_utf8_lossy(body);
        Tree::parse(&source).map_err(EditFault::Syntax)?;
        Ok(Self {
            bom: body.len() < text.len(),
            text: source.into_owned(),
        })
    }

    /// The text as it is now.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut bytes = if self.bom { BOM.to_vec() } else { Vec::new() };
        bytes.extend_from_slice(self.text.as_bytes());
        bytes
    }

    /// The value at `path`, if there is one.
    pub fn get(&self, path: impl Into<Path>) -> Option<Json> {
        let tree = Tree::parse(&self.text).ok()?;
        serde_json::from_str(tree.at(&path.into())?.text()).ok()
    }

    /// Sets the value at `path`. Objects on the way that do not exist are made. A value that is
    /// there already, however it is spelt, is left alone.
    pub fn set(&mut self, path: impl Into<Path>, value: &Json) -> Result<(), EditFault> {
        let path = path.into();
        let tree = Tree::parse(&self.text).map_err(EditFault::Syntax)?;
        let style = Style::of(&tree);
        let (span, text) = match tree.at(&path) {
            Some(node)
                if serde_json::from_str::<Json>(node.text()).ok().as_ref() == Some(value) =>
            {
                return Ok(());
            }
            Some(node) => {
                let indent = indent_at(tree.source(), node.span().start);
                (
                    node.span(),
                    style.render(value, indent, node.text().contains('\n')),
                )
            }
            None => insertion(&tree, &path, value, &style)?,
        };
        self.text.replace_range(span, &text);
        Ok(())
    }

    /// Removes the member or element at `path`; `false` when there is none.
    pub fn remove(&mut self, path: impl Into<Path>) -> Result<bool, EditFault> {
        let path = path.into();
        let tree = Tree::parse(&self.text).map_err(EditFault::Syntax)?;
        let (Some(node), Some((parent, _))) = (tree.at(&path), path.split_last()) else {
            return Ok(false);
        };
        let Some(parent) = tree.at(&parent) else {
            return Ok(false);
        };
        let spans: Vec<_> = parent
            .members()
            .map(|(key, value)| key.span().start..value.span().end)
            .chain(parent.elements().map(Node::span))
            .collect();
        let end = node.span().end;
        let Some(at) = spans.iter().position(|span| span.end == end) else {
            return Ok(false);
        };
        let cut = match (
            at.checked_sub(1).and_then(|at| spans.get(at)),
            spans.get(at + 1),
        ) {
            (Some(before), _) => before.end..end,
            (None, Some(next)) => spans[at].start..next.start,
            (None, None) => parent.span().start + 1..parent.span().end - 1,
        };
        self.text.replace_range(cut, "");
        Ok(true)
    }
}

/// Where a value that is not there yet goes, and its whole text.
fn insertion(
    tree: &Tree<'_>,
    path: &Path,
    value: &Json,
    style: &Style,
) -> Result<(std::ops::Range<usize>, String), EditFault> {
    let absent = || EditFault::Absent {
        path: path.to_string(),
    };
    let (mut way, mut last) = path.split_last().ok_or_else(absent)?;
    let mut value = value.clone();
    let owned: Vec<Step> = path.steps().to_vec();
    let mut depth = owned.len() - 1;
    // Objects on the way that are missing become part of the value.
    while tree.at(&way).is_none() {
        let Step::Key(key) = &owned[depth] else {
            return Err(absent());
        };
        value = Json::Object([(key.clone(), value)].into_iter().collect());
        depth -= 1;
        (way, last) = (way.split_last().ok_or_else(absent)?.0, &owned[depth]);
    }
    let (Some(parent), Step::Key(key)) = (tree.at(&way), last) else {
        return Err(absent());
    };
    if !parent.is_object() {
        return Err(EditFault::NoObject {
            path: way.to_string(),
            found: parent.type_name(),
        });
    }
    let key = Json::String(key.clone());
    let source = tree.source();
    let members: Vec<_> = parent.members().collect();
    let Some((last_key, last_value)) = members.last() else {
        let outer = indent_at(source, parent.span().start);
        let inner = format!("{outer}{}", style.unit);
        let rendered = style.render(&value, &inner, true);
        let Style { newline, colon, .. } = style;
        let text = format!("{{{newline}{inner}{key}{colon}{rendered}{newline}{outer}}}");
        return Ok((parent.span(), text));
    };
    let colon = source
        .get(last_key.span().end..last_value.span().start)
        .unwrap_or(": ");
    let lead = lead_of(source, last_key.span().start);
    let at = last_value.span().end;
    let text = if let Some(line) = lead.rfind('\n') {
        let indent = lead.get(line + 1..).unwrap_or_default();
        let several = members.iter().any(|(_, value)| value.text().contains('\n'));
        let rendered = style.render(&value, indent, several);
        format!(",{}{indent}{key}{colon}{rendered}", style.newline)
    } else {
        let after_colon = colon.trim_start_matches(':');
        let spaced = if members.len() > 1 { lead } else { after_colon };
        let gap = if spaced.is_empty() { "" } else { " " };
        format!(",{gap}{key}{colon}{}", style.render(&value, "", false))
    };
    Ok((at..at, text))
}

/// The white space directly before `offset`.
fn lead_of(source: &str, offset: usize) -> &str {
    let before = source.get(..offset).unwrap_or_default();
    before
        .get(before.trim_end_matches([' ', '\t', '\r', '\n']).len()..)
        .unwrap_or_default()
}

/// The white space at the start of the line that `offset` is in.
fn indent_at(source: &str, offset: usize) -> &str {
    let before = source.get(..offset).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = source.get(line..).unwrap_or_default();
    rest.get(..rest.len() - rest.trim_start_matches([' ', '\t']).len())
        .unwrap_or_default()
}

impl Style {
    fn of(tree: &Tree<'_>) -> Self {
        let source = tree.source();
        let newline = match source.find('\n') {
            Some(at) if source.as_bytes().get(at.wrapping_sub(1)) == Some(&b'\r') => "\r\n",
            _ => "\n",
        };
        let first = tree.root().members().next();
        let unit = first
            .map(|(key, _)| lead_of(source, key.span().start))
            .and_then(|lead| lead.rsplit_once('\n'))
            .map_or("  ", |(_, indent)| indent);
        let colon = first
            .and_then(|(key, value)| source.get(key.span().end..value.span().start))
            .unwrap_or(": ");
        Self {
            newline,
            unit: if unit.is_empty() {
                "  ".into()
            } else {
                unit.to_owned()
            },
            colon: if colon.contains('\n') {
                ": ".into()
            } else {
                colon.to_owned()
            },
        }
    }

    /// `value` as text whose first line stands after `indent`; on several lines where asked for.
    fn render(&self, value: &Json, indent: &str, several: bool) -> String {
        let inner = format!("{indent}{}", self.unit);
        let parts: Vec<String> = match value {
            Json::Object(members) => members
                .iter()
                .map(|(key, value)| {
                    let key = Json::String(key.clone());
                    format!("{key}{}{}", self.colon, self.render(value, &inner, several))
                })
                .collect(),
            Json::Array(elements) => elements
                .iter()
                .map(|value| self.render(value, &inner, several))
                .collect(),
            plain => return plain.to_string(),
        };
        let (open, close) = if value.is_object() {
            ('{', '}')
        } else {
            ('[', ']')
        };
        let flat = || parts.iter().all(|part| !part.contains('\n'));
        if parts.is_empty() {
            format!("{open}{close}")
        } else if !several || (value.is_array() && flat()) {
            let pad = if value.is_object() && self.colon.contains(' ') {
                " "
            } else {
                ""
            };
            let comma = if self.colon.contains(' ') { ", " } else { "," };
            format!("{open}{pad}{}{pad}{close}", parts.join(comma))
        } else {
            let line = self.newline;
            let joined = parts.join(&format!(",{line}{inner}"));
            format!("{open}{line}{inner}{joined}{line}{indent}{close}")
        }
    }
}
