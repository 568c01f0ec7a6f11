//! Walking a document beside its schema: which member a key is, what it means, what it is when
//! nobody sets it. For verbs that explain settings and name the secrets that they ask for.

use serde_json::Value;

/// References that are followed before it is given up: a schema of ours needs three.
const MOST_STEPS: usize = 8;

/// A published schema.
#[derive(Debug)]
pub struct Walk {
    root: Value,
}

impl Walk {
    /// Over a whole schema.
    pub fn new(root: Value) -> Self {
        Self { root }
    }

    /// The schema itself.
    pub const fn root(&self) -> &Value {
        &self.root
    }

    /// `node` and every schema that it points to or leaves the choice of, but for `null`.
    pub fn alternatives<'s>(&'s self, node: &'s Value) -> Vec<&'s Value> {
        let mut found = Vec::new();
        self.gather(node, MOST_STEPS, &mut found);
        found
    }

    fn gather<'s>(&'s self, node: &'s Value, steps: usize, found: &mut Vec<&'s Value>) {
        if steps == 0 || node.get("type").is_some_and(|kind| kind == "null") {
            return;
        }
        found.push(node);
        let pointed = node.get("$ref").and_then(Value::as_str);
        let pointed = pointed.and_then(|to| self.root.pointer(to.strip_prefix('#')?));
        if let Some(pointed) = pointed {
            self.gather(pointed, steps - 1, found);
        }
        for word in ["anyOf", "oneOf", "allOf"] {
            let choices = node.get(word).and_then(Value::as_array);
            for choice in choices.into_iter().flatten() {
                self.gather(choice, steps - 1, found);
            }
        }
    }

    /// The members that are known by name, each with its schema.
    pub fn members<'s>(&'s self, node: &'s Value) -> Vec<(&'s str, &'s Value)> {
        let mut found: Vec<(&str, &Value)> = Vec::new();
        for one in self.alternatives(node) {
            let members = one.get("properties").and_then(Value::as_object);
            for (name, schema) in members.into_iter().flatten() {
                if found.iter().all(|(known, _)| known != name) {
                    found.push((name, schema));
                }
            }
        }
        found
    }

    /// The schema of the member `key`, also where any name may be one.
    pub fn member<'s>(&'s self, node: &'s Value, key: &str) -> Option<&'s Value> {
        let known = self
            .members(node)
            .into_iter()
            .find(|(name, _)| *name == key);
        known.map(|(_, schema)| schema).or_else(|| {
            let mut all = self.alternatives(node).into_iter();
            all.find_map(|one| {
                one.get("additionalProperties")
                    .filter(|more| more.is_object())
            })
        })
    }

    /// The schema of an array's elements.
    pub fn element<'s>(&'s self, node: &'s Value) -> Option<&'s Value> {
        let mut all = self.alternatives(node).into_iter();
        all.find_map(|one| one.get("items"))
    }

    /// Whether a value may be left out without anything taking its place.
    pub fn is_optional(&self, node: &Value) -> bool {
        let null = |one: &Value| one.get("type").is_some_and(|kind| kind == "null");
        let choices = node.get("anyOf").and_then(Value::as_array);
        let default = node.get("default").is_some_and(Value::is_null);
        default || choices.is_some_and(|all| all.iter().any(null))
    }

    /// What is said of a value: `description`, `type` and their like, from `node` or else from what
    /// it points to.
    pub fn word<'s>(&'s self, node: &'s Value, name: &str) -> Option<&'s Value> {
        let mut all = self.alternatives(node).into_iter();
        all.find_map(|one| one.get(name))
    }
}
