//! The way to a value: `limits.per_ip`, `rules[2].when`, `"payments.live".value`.

use std::fmt;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into an object.
    Key(String),
    /// Into an array, counted from 0.
    Index(usize),
}

/// Steps from the outermost value.
///
/// From text, dots separate keys and `[2]` is an index; a key that holds a dot itself comes in as
/// an array of keys, `["payments.live", "value"]`, or by [`Path::key`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path(Vec<Step>);

impl Path {
    /// The outermost value itself.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// This path and one key more.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    /// This path and one index more.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this is the outermost value.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path without its last step, and that step.
    pub fn split_last(&self) -> Option<(Path, &Step)> {
        let (last, front) = self.0.split_last()?;
        Some((Self(front.to_vec()), last))
    }
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let mut pieces = part.split('[');
            if let Some(key) = pieces.next().filter(|key| !key.is_empty()) {
                steps.push(Step::Key(key.to_owned()));
            }
            for piece in pieces {
                match piece.strip_suffix(']').map(str::parse) {
                    Some(Ok(index)) => steps.push(Step::Index(index)),
                    _ => steps.push(Step::Key(piece.to_owned())),
                }
            }
        }
        Self(steps)
    }
}

impl<const N: usize> From<[&str; N]> for Path {
    fn from(keys: [&str; N]) -> Self {
        Self::from(keys.as_slice())
    }
}

impl From<&[&str]> for Path {
    fn from(keys: &[&str]) -> Self {
        Self(
            keys.iter()
                .map(|key| Step::Key((*key).to_owned()))
                .collect(),
        )
    }
}

impl From<&Path> for Path {
    fn from(path: &Path) -> Self {
        path.clone()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    // A lone key needs no quotes to be understood; within a longer path they keep
                    // its dots apart from the path's own.
                    if self.0.len() > 1 && !key.bytes().all(plain) {
                        write!(f, "{key:?}")?;
                    } else {
                        f.write_str(key)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$') || !byte.is_ascii()
}
