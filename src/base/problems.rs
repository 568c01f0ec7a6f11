//! Problems: everything wrong with a document, told at once, each with its place, what was found,
//! what is allowed, the nearest known name and the cure.

use std::fmt::{self, Display};
use std::sync::Arc;

use serde::Serialize;

use super::json::{BOM, Fault, Node, Path, Place, Step, Tree};
use super::names;

/// Problems kept with their text; more are only counted. A page of them is as much as anyone mends
/// in one go, and a hostile document must not cost more than its own size.
const MAX_KEPT: usize = 100;

/// Characters of a value that are shown.
const MAX_SHOWN: usize = 60;

/// One thing wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Stable machine word: `syntax`, `unknown_key`, `missing_key`, `duplicate_key`, `wrong_type`,
    /// `out_of_range`, `not_allowed`, `unreadable`.
    pub code: &'static str,
    /// The document, as it was named.
    #[serde(serialize_with = "as_text")]
    pub file: Arc<str>,
    /// Line, counted from 1; 0 = the document as a whole.
    #[serde(skip_serializing_if = "is_nowhere")]
    pub line: u32,
    /// Column in characters, counted from 1; 0 = the document as a whole.
    #[serde(skip_serializing_if = "is_nowhere")]
    pub column: u32,
    /// The way to the value, such as `limits.per_ip`; empty for the document as a whole.
    pub path: String,
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub allowed: String,
    /// The known name that was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// The whole matter in one clause.
    pub message: String,
    /// The cure; may be empty.
    pub hint: String,
    #[serde(skip)]
    steps: Path,
}

/// Whether a line or column tells no place.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_nowhere(number: &u32) -> bool {
    *number == 0
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: cannot apply `{}`", self.file)?;
        if self.line > 0 {
            write!(f, ", line {}, column {}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// Everything wrong with one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: Arc<str>,
    kept: Vec<Problem>,
    count: usize,
}

impl Problems {
    /// No problems yet with `file`.
    pub fn new(file: impl Into<Arc<str>>) -> Self {
        Self {
            file: file.into(),
            kept: Vec::new(),
            count: 0,
        }
    }

    /// The document they are about.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many, kept or only counted.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The problems in the order of the text; at most 100 of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.kept.iter()
    }

    /// A number outside its bounds, `allowed` such as `at least 0` or `1..=100`.
    pub fn out_of_range(
        &mut self,
        path: impl Into<Path>,
        found: impl Display,
        allowed: impl Display,
        hint: impl Into<String>,
    ) {
        self.value("out_of_range", path.into(), &found, &allowed, hint.into());
    }

    /// A value of the wrong JSON type, `found` such as `a string`.
    pub fn wrong_type(
        &mut self,
        path: impl Into<Path>,
        found: impl Display,
        allowed: impl Display,
        hint: impl Into<String>,
    ) {
        self.value("wrong_type", path.into(), &found, &allowed, hint.into());
    }

    /// A value of the right type that is refused for another reason.
    pub fn not_allowed(
        &mut self,
        path: impl Into<Path>,
        found: impl Display,
        allowed: impl Display,
        hint: impl Into<String>,
    ) {
        self.value("not_allowed", path.into(), &found, &allowed, hint.into());
    }

    /// A word that should be one of `candidates`.
    pub fn unknown_word<'c>(
        &mut self,
        path: impl Into<Path>,
        found: &str,
        candidates: impl IntoIterator<Item = &'c str>,
        hint: impl Into<String>,
    ) {
        let candidates: Vec<&str> = candidates.into_iter().collect();
        let nearest = names::nearest(found, candidates.iter().copied());
        let shown = format!("\"{}\"", clipped(found));
        let (path, hint) = (path.into(), hint.into());
        self.value("not_allowed", path, &shown, &listed(&candidates), hint);
        self.mean(nearest);
    }

    /// The key at the end of `path` is not one of `candidates`.
    pub fn unknown_key<'c>(
        &mut self,
        path: impl Into<Path>,
        candidates: impl IntoIterator<Item = &'c str>,
        hint: impl Into<String>,
    ) {
        let (path, candidates): (Path, Vec<&str>) = (path.into(), candidates.into_iter().collect());
        let key = match path.steps().last() {
            Some(Step::Key(key)) => key.clone(),
            _ => String::new(),
        };
        let nearest = names::nearest(&key, candidates.iter().copied());
        let message = format!("unknown key `{}`", clipped(&path.to_string()));
        let hint = match (hint.into(), nearest) {
            (hint, Some(_)) => hint,
            (hint, None) if !hint.is_empty() => hint,
            _ => format!("known keys are {}", names_listed(&candidates)),
        };
        self.add("unknown_key", path, message, hint, |problem| {
            problem.found = format!("the key `{}`", clipped(&key));
            problem.allowed = listed(&candidates);
        });
        self.mean(nearest);
    }

    /// The key at the end of `path` must be there and is not.
    pub fn missing_key(
        &mut self,
        path: impl Into<Path>,
        allowed: impl Display,
        hint: impl Into<String>,
    ) {
        let path = path.into();
        let message = format!("`{path}` is missing, must be {allowed}");
        self.add("missing_key", path, message, hint.into(), |problem| {
            problem.found = "nothing".into();
            problem.allowed = allowed.to_string();
        });
    }

    /// The document as a whole cannot be read: `message` says why.
    pub fn unreadable(&mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.add(
            "unreadable",
            Path::root(),
            message.into(),
            hint.into(),
            |_| {},
        );
        if let Some(problem) = self.kept.last_mut() {
            (problem.line, problem.column) = (0, 0);
        }
    }

    /// The text is not JSON.
    pub fn syntax(&mut self, source: &str, fault: &Fault) {
        let message = format!("found {}, expected {}", fault.found, fault.expected);
        self.add(
            "syntax",
            Path::root(),
            message,
            fault.hint.clone(),
            |problem| {
                problem.found.clone_from(&fault.found);
                problem.allowed.clone_from(&fault.expected);
            },
        );
        self.place_last(Place::of(source, fault.offset));
    }

    /// A problem at a byte offset for which no path is known.
    pub fn at_offset(&mut self, tree: &Tree<'_>, offset: usize, message: impl Into<String>) {
        self.add(
            "not_allowed",
            Path::root(),
            message.into(),
            String::new(),
            |_| {},
        );
        self.place_last(tree.place(offset));
    }

    /// Parses `text`: what is wrong with its form is added here. Keys that appear twice are
    /// problems too, and the tree is given all the same, so that the rest can be checked.
    pub fn parse<'s>(&mut self, text: &'s [u8]) -> Option<Tree<'s>> {
        let text = text.strip_prefix(BOM).unwrap_or(text);
        let source = match std::str::from_utf8(text) {
            Ok(source) => source,
            Err(error) => {
                self.not_utf8(text, error.valid_up_to());
                return None;
            }
        };
        match Tree::parse(source) {
            Ok(tree) => {
                self.duplicates(&tree);
                Some(tree)
            }
            Err(fault) => {
                self.syntax(source, &fault);
                None
            }
        }
    }

    fn not_utf8(&mut self, text: &[u8], offset: usize) {
        let byte = text.get(offset).copied().unwrap_or_default();
        let valid = text.get(..offset).unwrap_or_default();
        let fault = (
            format!("found the byte 0x{byte:02X}, expected UTF-8 text"),
            "save the file as UTF-8".to_owned(),
        );
        self.add("syntax", Path::root(), fault.0, fault.1, |problem| {
            problem.found = format!("the byte 0x{byte:02X}");
            problem.allowed = "UTF-8 text".into();
        });
        self.place_last(Place::of(&String::from_utf8_lossy(valid), offset));
    }

    fn duplicates(&mut self, tree: &Tree<'_>) {
        for duplicate in tree.duplicates() {
            let key = clipped(tree.duplicate_key(duplicate));
            if self.count >= MAX_KEPT {
                self.count += 1;
                continue;
            }
            let Place { line, column } = tree.place(duplicate.first);
            let message =
                format!("the key `{key}` appears twice, first at line {line}, column {column}");
            let hint = "readers disagree on which one counts; remove one".to_owned();
            self.add("duplicate_key", Path::root(), message, hint, |problem| {
                problem.path.clone_from(&key);
                problem.found = "the key twice".into();
                problem.allowed = "each key once".into();
            });
            self.place_last(tree.place(duplicate.second));
        }
    }

    /// Gives each problem that has only a path its line and column, and sorts by place.
    pub fn locate(&mut self, tree: &Tree<'_>) {
        for problem in &mut self.kept {
            if problem.line == 0 && problem.code != "unreadable" {
                let place = tree.place(tree.offset_of(&problem.steps));
                (problem.line, problem.column) = (place.line.get(), place.column.get());
            }
        }
        self.kept
            .sort_by_key(|problem| (problem.line, problem.column));
    }

    /// The same problems, told of the document that `whose` is about.
    #[must_use]
    pub fn about(mut self, whose: &Problems) -> Self {
        self.file = Arc::clone(&whose.file);
        for problem in &mut self.kept {
            problem.file = Arc::clone(&whose.file);
        }
        self
    }

    /// Adds all of `other`, as they are.
    pub fn append(&mut self, other: Problems) {
        self.count += other.count;
        let room = MAX_KEPT.saturating_sub(self.kept.len());
        self.kept.extend(other.kept.into_iter().take(room));
    }

    fn value(
        &mut self,
        code: &'static str,
        path: Path,
        found: &dyn Display,
        allowed: &dyn Display,
        hint: String,
    ) {
        let (found, allowed) = (clipped(&found.to_string()), allowed.to_string());
        let message = if path.is_root() {
            format!("the document is {found}, must be {allowed}")
        } else {
            format!(
                "`{}` is {found}, must be {allowed}",
                clipped(&path.to_string())
            )
        };
        self.add(code, path, message, hint, |problem| {
            problem.found = found;
            problem.allowed = allowed;
        });
    }

    fn add(
        &mut self,
        code: &'static str,
        steps: Path,
        message: String,
        hint: String,
        fill: impl FnOnce(&mut Problem),
    ) {
        self.count += 1;
        if self.count > MAX_KEPT {
            return;
        }
        let mut problem = Problem {
            code,
            file: Arc::clone(&self.file),
            line: 0,
            column: 0,
            path: steps.to_string(),
            found: String::new(),
            allowed: String::new(),
            nearest: None,
            message,
            hint,
            steps,
        };
        fill(&mut problem);
        self.kept.push(problem);
    }

    /// Names the known word that the last problem's was probably meant to be.
    fn mean(&mut self, nearest: Option<&str>) {
        let (Some(nearest), true) = (nearest, self.count <= MAX_KEPT) else {
            return;
        };
        if let Some(problem) = self.kept.last_mut() {
            problem.nearest = Some(nearest.to_owned());
            let meant = format!("did you mean `{nearest}`?");
            problem.hint = match &*problem.hint {
                "" => meant,
                hint => format!("{meant} {hint}"),
            };
        }
    }

    fn place_last(&mut self, place: Place) {
        if self.count > MAX_KEPT {
            return;
        }
        if let Some(problem) = self.kept.last_mut() {
            (problem.line, problem.column) = (place.line.get(), place.column.get());
        }
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.kept.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.count.saturating_sub(self.kept.len()) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more problems"),
        }
    }
}

impl std::error::Error for Problems {}

impl Serialize for Problems {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.kept.serialize(serializer)
    }
}

fn as_text<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// The value as it is written, short enough to be shown; containers by their name only.
pub fn shown(node: Node<'_>) -> String {
    if node.is_object() || node.is_array() {
        node.type_name().to_owned()
    } else {
        clipped(node.text())
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => "a known name, and there is none".to_owned(),
        [only] => format!("`{only}`"),
        _ => format!("one of {}", names_listed(words)),
    }
}

fn names_listed(words: &[&str]) -> String {
    /// Names in a list, one line of text: what follows is only hinted at.
    const MOST: usize = 12;
    let mut text = words
        .iter()
        .take(MOST)
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if words.len() > MOST {
        text.push_str(", …");
    }
    text
}
