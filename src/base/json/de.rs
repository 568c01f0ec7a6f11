//! serde over the tree. Keys that begin with `$` are not seen: they are the reader's and the
//! editor's (`$schema`, `$comment`), never ours.

use std::fmt;

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::tree::{Children, Members, Node, Value};

/// Why a tree does not fit a type, and where.
#[derive(Debug, Clone)]
pub struct Misfit {
    /// What serde said.
    pub message: String,
    /// Byte offset of the innermost value that did not fit.
    pub offset: Option<usize>,
}

impl Misfit {
    fn at(mut self, node: Node<'_>) -> Self {
        self.offset.get_or_insert(node.span().start);
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            offset: None,
        }
    }
}

impl<'t> Node<'t> {
    /// Reads the value into a type.
    pub fn read<T: de::Deserialize<'t>>(self) -> Result<T, Misfit> {
        T::deserialize(self).map_err(|misfit| misfit.at(self))
    }
}

impl<'t> de::Deserializer<'t> for Node<'t> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value() {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(elements) => visitor.visit_seq(Elements(elements)),
            Value::Object(members) => visitor.visit_map(Pairs {
                members,
                value: None,
            }),
            Value::Number(text) => {
                if let Some(number) = self.u64() {
                    visitor.visit_u64(number)
                } else if let Some(number) = self.i64().filter(|number| *number != 0) {
                    visitor.visit_i64(number)
                } else if let Some(number) = self.f64() {
                    visitor.visit_f64(number)
                } else {
                    Err(de::Error::custom(format!("{text} is out of range")))
                }
            }
        }
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        if let Some(text) = self.str() {
            return visitor.visit_enum(text.into_deserializer());
        }
        let mut members = self.members().filter(own);
        match (members.next(), members.next()) {
            (Some((key, value)), None) => visitor.visit_enum(Variant { key, value }),
            _ => Err(de::Error::custom(
                "a string or an object with one key is needed",
            )),
        }
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Whether a member is ours to read.
fn own((key, _): &(Node<'_>, Node<'_>)) -> bool {
    !key.str().unwrap_or_default().starts_with('$')
}

struct Elements<'t>(Children<'t>);

impl<'t> de::SeqAccess<'t> for Elements<'t> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        let Some(node) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(node)
            .map(Some)
            .map_err(|misfit| misfit.at(node))
    }
}

struct Pairs<'t> {
    members: Members<'t>,
    value: Option<Node<'t>>,
}

impl<'t> de::MapAccess<'t> for Pairs<'t> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        let Some((key, value)) = self.members.find(own) else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(key)
            .map(Some)
            .map_err(|misfit| misfit.at(key))
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some(value) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(value).map_err(|misfit| misfit.at(value))
    }
}

struct Variant<'t> {
    key: Node<'t>,
    value: Node<'t>,
}

impl<'t> de::EnumAccess<'t> for Variant<'t> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<(S::Value, Self), Misfit> {
        let name = seed
            .deserialize(self.key)
            .map_err(|misfit| misfit.at(self.key))?;
        Ok((name, self))
    }
}

impl<'t> de::VariantAccess<'t> for Variant<'t> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        self.value.read()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<S::Value, Misfit> {
        seed.deserialize(self.value)
            .map_err(|misfit| misfit.at(self.value))
    }

    fn tuple_variant<V: Visitor<'t>>(self, _len: usize, visitor: V) -> Result<V::Value, Misfit> {
        de::Deserializer::deserialize_any(self.value, visitor)
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        de::Deserializer::deserialize_any(self.value, visitor)
    }
}
