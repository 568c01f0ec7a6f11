//! The tree: nodes in one arena, in the order of the text, each with its span.
//!
//! A container's children follow it directly and each node knows where its subtree ends, so the
//! whole document costs one allocation and 20 bytes a node.

use std::num::NonZeroU32;

use super::fault::Fault;
use super::path::{Path, Step};

/// What a node is, and for strings how its text is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    False,
    True,
    Number,
    /// A string without escapes: its text lies in the source.
    Plain,
    /// A string with escapes: its text lies in the arena at `Raw::text`.
    Escaped,
    Array,
    Object,
}

/// One node in the arena.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw {
    pub(super) kind: Kind,
    /// Byte offsets in the source, quotes and brackets included.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Index of the first node after this one's subtree.
    pub(super) after: u32,
    /// For `Escaped`: index of its text.
    pub(super) text: u32,
}

/// A key that an object holds twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate {
    /// Byte offset of the key's first appearance.
    pub first: usize,
    /// Byte offset of the later one.
    pub second: usize,
    pub(super) key: u32,
}

/// A parsed document. Borrows the source.
#[derive(Debug)]
pub struct Tree<'s> {
    pub(super) source: &'s str,
    pub(super) nodes: Vec<Raw>,
    pub(super) texts: Vec<Box<str>>,
    pub(super) duplicates: Vec<Duplicate>,
}

/// A place in a text as an editor shows it, both counted from 1; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: NonZeroU32,
    /// Column.
    pub column: NonZeroU32,
}

impl Place {
    /// The place of byte `offset` in `source`; an offset beyond the end is the end.
    pub fn of(source: &str, offset: usize) -> Self {
        let offset = source.floor_char_boundary(offset);
        let before = source.get(..offset).unwrap_or(source);
        let line_start = memchr::memrchr(b'\n', before.as_bytes()).map_or(0, |at| at + 1);
        let lines = memchr::memchr_iter(b'\n', before.as_bytes()).count();
        let columns = before.get(line_start..).unwrap_or_default().chars().count();
        Self {
            line: counted(lines),
            column: counted(columns),
        }
    }
}

fn counted(before: usize) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(u32::try_from(before).unwrap_or(u32::MAX))
}

impl<'s> Tree<'s> {
    /// Parses a whole document. A BOM at the start is dropped and counts in no offset.
    /// Duplicate keys are no fault here: ask [`Tree::duplicates`].
    pub fn parse(source: &'s str) -> Result<Self, Fault> {
        super::parse::parse(source.strip_prefix('\u{FEFF}').unwrap_or(source))
    }

    /// The text, without a BOM; offsets count in it.
    pub fn source(&self) -> &'s str {
        self.source
    }

    /// The outermost value.
    pub fn root(&self) -> Node<'_> {
        Node {
            tree: self,
            index: 0,
        }
    }

    /// Keys that appear twice in one object.
    pub fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// The text of a duplicate's key.
    pub fn duplicate_key(&self, duplicate: &Duplicate) -> &str {
        self.node(duplicate.key).str().unwrap_or_default()
    }

    /// Where byte `offset` stands.
    pub fn place(&self, offset: usize) -> Place {
        Place::of(self.source, offset)
    }

    /// The value at `path`.
    pub fn at(&self, path: &Path) -> Option<Node<'_>> {
        let mut node = self.root();
        for step in path.steps() {
            node = node.step(step)?.1;
        }
        Some(node)
    }

    /// Byte offset that a complaint about `path` points to: the key of a member, the value of an
    /// element; where the path ends early, the last thing that is there.
    pub fn offset_of(&self, path: &Path) -> usize {
        let (mut node, mut offset) = (self.root(), self.root().span().start);
        for step in path.steps() {
            let Some((key, value)) = node.step(step) else {
                break;
            };
            offset = key.unwrap_or(value).span().start;
            node = value;
        }
        offset
    }

    fn node(&self, index: u32) -> Node<'_> {
        Node { tree: self, index }
    }

    fn raw(&self, index: u32) -> Raw {
        const NOTHING: Raw = Raw {
            kind: Kind::Null,
            start: 0,
            end: 0,
            after: u32::MAX,
            text: 0,
        };
        self.nodes.get(index as usize).copied().unwrap_or(NOTHING)
    }
}

/// One value in a [`Tree`]; cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Node<'t> {
    pub(super) tree: &'t Tree<'t>,
    pub(super) index: u32,
}

/// A value's form, one level deep.
#[derive(Debug, Clone)]
pub enum Value<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(&'t str),
    /// A string, escapes resolved.
    String(&'t str),
    /// An array's elements.
    Array(Children<'t>),
    /// An object's members, in the order of the text.
    Object(Members<'t>),
}

impl<'t> Node<'t> {
    fn raw(self) -> Raw {
        self.tree.raw(self.index)
    }

    /// Byte offsets in the source; quotes and brackets are inside.
    pub fn span(self) -> std::ops::Range<usize> {
        let raw = self.raw();
        raw.start as usize..raw.end as usize
    }

    /// The value as it is written.
    pub fn text(self) -> &'t str {
        self.tree.source.get(self.span()).unwrap_or_default()
    }

    /// Where it begins.
    pub fn place(self) -> Place {
        self.tree.place(self.span().start)
    }

    /// Its form, to be matched.
    pub fn value(self) -> Value<'t> {
        let raw = self.raw();
        let (tree, next, end) = (self.tree, self.index + 1, raw.after);
        match raw.kind {
            Kind::Null => Value::Null,
            Kind::False => Value::Bool(false),
            Kind::True => Value::Bool(true),
            Kind::Number => Value::Number(self.text()),
            Kind::Plain | Kind::Escaped => Value::String(self.str().unwrap_or_default()),
            Kind::Array => Value::Array(Children { tree, next, end }),
            Kind::Object => Value::Object(Members { tree, next, end }),
        }
    }

    /// The string, escapes resolved.
    pub fn str(self) -> Option<&'t str> {
        let raw = self.raw();
        match raw.kind {
            Kind::Plain => {
                let inside = raw.start as usize + 1..(raw.end as usize).saturating_sub(1);
                self.tree.source.get(inside)
            }
            Kind::Escaped => self.tree.texts.get(raw.text as usize).map(|text| &**text),
            _ => None,
        }
    }

    /// The boolean.
    pub fn bool(self) -> Option<bool> {
        match self.raw().kind {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.raw().kind == Kind::Null
    }

    /// The number as it is written.
    pub fn number(self) -> Option<&'t str> {
        (self.raw().kind == Kind::Number).then(|| self.text())
    }

    /// The whole number, where it is one and fits.
    pub fn i64(self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    /// The whole number, where it is one, not negative, and fits.
    pub fn u64(self) -> Option<u64> {
        self.number()?.parse().ok()
    }

    /// The number as the nearest double, where it is in range.
    pub fn f64(self) -> Option<f64> {
        let number: f64 = self.number()?.parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// The members, where this is an object; otherwise none.
    pub fn members(self) -> Members<'t> {
        match self.value() {
            Value::Object(members) => members,
            _ => Members {
                tree: self.tree,
                next: 0,
                end: 0,
            },
        }
    }

    /// Whether this is an object.
    pub fn is_object(self) -> bool {
        self.raw().kind == Kind::Object
    }

    /// Whether this is an array.
    pub fn is_array(self) -> bool {
        self.raw().kind == Kind::Array
    }

    /// The elements, where this is an array; otherwise none.
    pub fn elements(self) -> Children<'t> {
        match self.value() {
            Value::Array(elements) => elements,
            _ => Children {
                tree: self.tree,
                next: 0,
                end: 0,
            },
        }
    }

    /// The value under `key`; linear in the members.
    pub fn get(self, key: &str) -> Option<Node<'t>> {
        self.members()
            .find(|(name, _)| name.str() == Some(key))
            .map(|(_, value)| value)
    }

    /// Key (of a member) and value one step down.
    fn step(self, step: &Step) -> Option<(Option<Node<'t>>, Node<'t>)> {
        match step {
            Step::Index(index) => Some((None, self.elements().nth(*index)?)),
            Step::Key(key) => self
                .members()
                .find(|(name, _)| name.str() == Some(key))
                .map(|(name, value)| (Some(name), value)),
        }
    }

    /// What it is, in words: `a number`, `an object`.
    pub fn type_name(self) -> &'static str {
        match self.raw().kind {
            Kind::Null => "null",
            Kind::False | Kind::True => "a boolean",
            Kind::Number => "a number",
            Kind::Plain | Kind::Escaped => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        }
    }
}

/// The elements of an array.
#[derive(Debug, Clone)]
pub struct Children<'t> {
    tree: &'t Tree<'t>,
    next: u32,
    end: u32,
}

impl<'t> Iterator for Children<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        if self.next >= self.end {
            return None;
        }
        let node = self.tree.node(self.next);
        self.next = node.raw().after;
        Some(node)
    }
}

/// The members of an object, key and value, in the order of the text.
#[derive(Debug, Clone)]
pub struct Members<'t> {
    tree: &'t Tree<'t>,
    next: u32,
    end: u32,
}

impl<'t> Iterator for Members<'t> {
    type Item = (Node<'t>, Node<'t>);

    fn next(&mut self) -> Option<(Node<'t>, Node<'t>)> {
        if self.next >= self.end {
            return None;
        }
        let value = self.tree.node(self.next + 1);
        let pair = (self.tree.node(self.next), value);
        self.next = value.raw().after;
        Some(pair)
    }
}
