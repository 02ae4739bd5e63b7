//! Values as they travel: what arguments are encoded from, and answers decoded to.
//!
//! # Invariants
//!
//! 1. What comes is shown, whatever it is. (test `every_kind_of_messagepack_becomes_json`)

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::json::Json;
use super::types::Type;

/// A value of MessagePack.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// What serde has no smaller form for: 16 bytes.
    Long(i128),
    UnsignedLong(u128),
    Single(f32),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// What JSON says of itself, where no type says more.
    pub(super) fn of(json: &Json) -> Value {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(value) => Value::Bool(*value),
            Json::Uint(number) => Value::Uint(*number),
            Json::Int(number) => Value::Int(*number),
            Json::Single(number) => Value::Single(*number),
            Json::Float(number) => Value::Float(*number),
            Json::Text(text) => Value::Text(text.clone()),
            Json::Array(values) => Value::Array(values.iter().map(Value::of).collect()),
            Json::Object(entries) => {
                let entries = entries.iter();
                let own =
                    |(key, value): &(String, Json)| (Value::Text(key.clone()), Value::of(value));
                Value::Map(entries.map(own).collect())
            }
        }
    }

    /// As JSON; the type tells bytes and long numbers from what looks like them.
    pub(super) fn json(self, ty: &Type) -> Json {
        match (self, ty.required()) {
            (Value::Nil, _) => Json::Null,
            (Value::Bool(value), _) => Json::Bool(value),
            (Value::Int(number), _) => Json::from(number),
            (Value::Uint(number), _) => Json::Uint(number),
            (Value::Long(number), _) => long(number.unsigned_abs(), number < 0),
            (Value::UnsignedLong(number), _) => long(number, false),
            (Value::Single(number), _) if number.is_finite() => Json::Single(number),
            (Value::Single(number), _) => odd(f64::from(number)),
            (Value::Float(number), _) if number.is_finite() => Json::Float(number),
            (Value::Float(number), _) => odd(number),
            (Value::Text(text), _) => Json::Text(text),
            (Value::Bytes(bytes), Type::Int { signed, .. }) => match <[u8; 16]>::try_from(bytes) {
                Ok(bytes) if *signed => {
                    let number = i128::from_be_bytes(bytes);
                    long(number.unsigned_abs(), number < 0)
                }
                Ok(bytes) => long(u128::from_be_bytes(bytes), false),
                Err(bytes) => base64(&bytes),
            },
            (Value::Bytes(bytes), _) => base64(&bytes),
            (Value::Array(values), Type::Bytes(_)) => match bytes(&values) {
                Some(bytes) => base64(&bytes),
                None => array(values, |_| &Type::Other),
            },
            (Value::Array(values), Type::List(of, _)) => array(values, |_| of),
            (Value::Array(values), Type::Tuple(of)) => {
                array(values, |index| of.get(index).unwrap_or(&Type::Other))
            }
            (Value::Array(values), _) => array(values, |_| &Type::Other),
            (Value::Map(entries), Type::Map(keys, of)) => object(entries, keys, of),
            (Value::Map(entries), _) => object(entries, &Type::Other, &Type::Other),
        }
    }
}

/// Bytes as JSON has them.
pub(super) fn base64(bytes: &[u8]) -> Json {
    Json::Text(BASE64_STANDARD.encode(bytes))
}

/// A number that may have more digits than readers of JSON can tell.
fn long(magnitude: u128, negative: bool) -> Json {
    let sign = if negative { "-" } else { "" };
    match u64::try_from(magnitude) {
        Ok(number) if !negative => Json::Uint(number),
        Ok(number) if number <= i64::MAX.unsigned_abs() => Json::Int(-(number.cast_signed())),
        _ => Json::Text(format!("{sign}{magnitude}")),
    }
}

/// A number that JSON has not got.
fn odd(number: f64) -> Json {
    Json::text(if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    })
}

fn bytes(values: &[Value]) -> Option<Vec<u8>> {
    let byte = |value: &Value| match value {
        Value::Uint(number) => u8::try_from(*number).ok(),
        _ => None,
    };
    values.iter().map(byte).collect()
}

fn array<'t>(values: Vec<Value>, of: impl Fn(usize) -> &'t Type) -> Json {
    let values = values.into_iter().enumerate();
    Json::Array(values.map(|(index, value)| value.json(of(index))).collect())
}

fn object(entries: Vec<(Value, Value)>, keys: &Type, of: &Type) -> Json {
    let own = |(key, value): (Value, Value)| {
        let key = match key.json(keys) {
            Json::Text(text) => text,
            other => other.print(false),
        };
        (key, value.json(of))
    };
    Json::Object(entries.into_iter().map(own).collect())
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Nil => to.serialize_unit(),
            Value::Bool(value) => to.serialize_bool(*value),
            Value::Int(number) => to.serialize_i64(*number),
            Value::Uint(number) => to.serialize_u64(*number),
            Value::Long(number) => to.serialize_i128(*number),
            Value::UnsignedLong(number) => to.serialize_u128(*number),
            Value::Single(number) => to.serialize_f32(*number),
            Value::Float(number) => to.serialize_f64(*number),
            Value::Text(text) => to.serialize_str(text),
            Value::Bytes(bytes) => to.serialize_bytes(bytes),
            Value::Array(values) => {
                let mut list = to.serialize_seq(Some(values.len()))?;
                values
                    .iter()
                    .try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Value::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                entries
                    .iter()
                    .try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        Value::deserialize(from)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(u64::try_from(number).map_or(Value::Int(number), Value::Uint))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Uint(number))
    }

    fn visit_f32<E: de::Error>(self, number: f32) -> Result<Value, E> {
        Ok(Value::Single(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(bytes))
    }

    /// An extension: its number, and its bytes.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(Values)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brokerless::wire::{Encoder, decode_value};

    fn shown(body: &[u8], ty: &str) -> String {
        let value: Value = decode_value(body).unwrap();
        value.json(&Type::of(ty)).print(false)
    }

    #[test]
    fn every_kind_of_messagepack_becomes_json() {
        for (body, ty, json) in [
            (&[0xc0][..], "Option<u8>", "null"),
            (&[0xc3], "bool", "true"),
            (&[0xff], "i64", "-1"),
            (
                &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
                "u64",
                "18446744073709551615",
            ),
            (&[0xca, 0x3d, 0xcc, 0xcc, 0xcd], "f32", "0.1"),
            (&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0], "f64", "\"NaN\""),
            (&[0xca, 0xff, 0x80, 0, 0], "f32", "\"-Infinity\""),
            (&[0xa2, b'a', b'"'], "String", "\"a\\\"\""),
            (&[0xc4, 3, 0, 1, 2], "Vec<u8>", "\"AAEC\""),
            (&[0x93, 0, 1, 2], "Vec<u8>", "\"AAEC\""),
            (&[0x93, 0, 1, 2], "Numbers", "[0,1,2]"),
            (
                &[0x92, 0xc4, 1, 255, 0xc0],
                "(Vec<u8>, ())",
                "[\"/w==\",null]",
            ),
            (
                &[0x82, 1, 2, 0xc2, 3],
                "HashMap<u8, u8>",
                "{\"1\":2,\"false\":3}",
            ),
            (&[0x81, 0xa1, b'a', 0x90], "Own", "{\"a\":[]}"),
            (&[0xd4, 5, 7], "Ext", "[5,\"Bw==\"]"),
            (&[0xa1, 0xff], "String", "\"/w==\""),
        ] {
            assert_eq!(shown(body, ty), json, "{ty}");
        }
    }

    #[test]
    fn long_numbers_are_text_where_readers_of_json_would_lose_digits() {
        for (value, json) in [
            (Value::Long(-7), "-7"),
            (
                Value::Long(i128::MIN),
                "\"-170141183460469231731687303715884105728\"",
            ),
        ] {
            let mut encoder = Encoder::answer();
            encoder.put(&value).unwrap();
            assert_eq!(shown(&encoder.finish().body, "i128"), json);
        }
        let mut encoder = Encoder::answer();
        encoder.put(&Value::UnsignedLong(u128::MAX)).unwrap();
        let body = encoder.finish().body;
        assert_eq!(shown(&body, "u128"), format!("\"{}\"", u128::MAX));
        let read: u128 = decode_value(&body).unwrap();
        assert_eq!(read, u128::MAX);
    }

    #[test]
    fn json_passes_through_to_types_that_are_not_known() {
        let json = Json::read(r#"{"a":[1,-2,2.5,"x",null,{"b":true}]}"#).unwrap();
        let mut encoder = Encoder::answer();
        encoder.put(&Value::of(&json)).unwrap();
        let read: Value = decode_value(&encoder.finish().body).unwrap();
        assert_eq!(read.json(&Type::Other), json);
    }
}
