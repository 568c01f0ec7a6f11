//! JSON as a person writes it: a tree that knows where each thing stands, so that every complaint
//! has a line and a column and every edit leaves the rest of the text as it was.
//!
//! `serde_json` gives neither places of values, nor duplicate keys, nor a bound on depth that we
//! can set; it stays the writer of JSON and the reader of everything that no person writes.

mod check;
mod de;
mod edit;
mod fault;
mod parse;
mod path;
mod shape;
mod tree;

pub use de::Misfit;
pub use edit::{Edit, EditFault};
pub use fault::Fault;
pub use path::{Path, Step};
pub use shape::Shapes;
pub use tree::{Children, Duplicate, Members, Node, Place, Tree, Value};

/// Objects and arrays inside each other, at most. Rule C5 of the reliability notes: deep enough for
/// every document of ours (the deepest has 8), shallow enough for the smallest thread's stack.
pub const MAX_DEPTH: usize = 32;

/// The mark that some editors put before UTF-8 text; read over, kept by edits.
pub const BOM: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod edit_tests;
#[cfg(test)]
mod shape_tests;
#[cfg(test)]
mod tests;
