//! Labels: names with values, in the order of their names. Alerts come by the ten thousand, so a
//! set is kept in two small pieces of memory rather than in a tree of strings.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names with values, by name; each name once. Made once and seldom changed.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct Labels {
    /// All names and values, one after the other.
    text: Box<str>,
    /// Where each name and each value ends in `text`.
    ends: Box<[u32]>,
}

impl Labels {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Names with values, in the order of the names.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            text: &self.text,
            ends: &self.ends,
            begin: 0,
        }
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.iter();
        all.find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Whether `name` has a value.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Gives `name` the value `value`, in place of another if it has one.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let mut map = self.to_map();
        map.insert(name.into(), value.into());
        *self = map.into();
    }

    /// The same as a map of its own.
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.iter().map(owned).collect()
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(map: BTreeMap<String, String>) -> Self {
        let length = map.iter().map(|(name, value)| name.len() + value.len());
        let mut text = String::with_capacity(length.sum());
        let mut ends = Vec::with_capacity(2 * map.len());
        for (name, value) in &map {
            for part in [name, value] {
                // What would not fit four gigabytes is left away, and the rest stays readable.
                if u32::try_from(text.len() + part.len()).is_ok() {
                    text.push_str(part);
                }
                ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            }
        }
        Self {
            text: text.into(),
            ends: ends.into(),
        }
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> From<[(N, V); COUNT]> for Labels {
    fn from(pairs: [(N, V); COUNT]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let owned = |(name, value): (N, V)| (name.into(), value.into());
        let map: BTreeMap<String, String> = pairs.into_iter().map(owned).collect();
        map.into()
    }
}

/// Goes through labels.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    text: &'a str,
    ends: &'a [u32],
    begin: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[name, value], rest) = self.ends.split_first_chunk()?;
        let (name, value) = (name as usize, value as usize);
        let piece = |from, to| self.text.get(from..to).unwrap_or_default();
        let pair = (piece(self.begin, name), piece(name, value));
        (self.begin, self.ends) = (value, rest);
        Some(pair)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.ends.len() / 2, Some(self.ends.len() / 2))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        BTreeMap::<String, String>::deserialize(from).map(Self::from)
    }
}

impl JsonSchema for Labels {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, String>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_as_a_map_is() {
        let mut labels =
            Labels::from([("job", "api"), ("empty", ""), ("job", "web"), ("é", "ü\0")]);
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(pairs, [("empty", ""), ("job", "web"), ("é", "ü\0")]);
        assert_eq!((labels.len(), labels.get("job")), (3, Some("web")));
        assert_eq!((labels.get("empty"), labels.get("jo")), (Some(""), None));
        labels.insert("job", "db");
        labels.insert("", "x");
        let json = serde_json::to_string(&labels).unwrap();
        assert_eq!(json, r#"{"":"x","empty":"","job":"db","é":"ü\u0000"}"#);
        assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), labels);
        assert_eq!(Labels::from(labels.to_map()), labels);
        assert_eq!(Labels::default(), Labels::from(BTreeMap::new()));
    }
}
