//! JSON as it is read and printed: objects keep their order, and where a text is wrong is known.
//!
//! # Invariants
//!
//! 1. A text that is no JSON is told with its line and column, and shown there. (test
//!    `what_is_wrong_with_a_text_is_shown_where_it_is`)
//! 2. A key that stands twice is wrong. (same test)

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Characters of a line that are shown around what is wrong.
const SHOWN: usize = 60;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Uint(u64),
    /// A negative one.
    Int(i64),
    Single(f32),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a text that is one value.
    pub(super) fn read(text: &str) -> Result<Json, BadJson> {
        serde_json::from_str(text).map_err(|error| BadJson::of(text, &error))
    }

    pub(super) fn text(text: impl Into<String>) -> Json {
        Json::Text(text.into())
    }

    /// An object of these.
    pub(super) fn object<const N: usize>(of: [(&str, Json); N]) -> Json {
        Json::Object(of.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// Its text, in one line or in several.
    pub(super) fn print(&self, pretty: bool) -> String {
        let text = if pretty {
            serde_json::to_string_pretty(self)
        } else {
            serde_json::to_string(self)
        };
        // A tree of these kinds has no text to be refused.
        text.unwrap_or_else(|_| "null".to_owned())
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Json {
        Json::Uint(number)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Json {
        u64::try_from(number).map_or(Json::Int(number), Json::Uint)
    }
}

/// What it is, for those who expected something else.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Uint(number) => write!(f, "the number {number}"),
            Json::Int(number) => write!(f, "the number {number}"),
            Json::Single(number) => write!(f, "the number {number:?}"),
            Json::Float(number) => write!(f, "the number {number:?}"),
            Json::Text(text) => write!(f, "the text {}", quoted(text)),
            Json::Array(values) => write!(f, "an array of {}", values.len()),
            Json::Object(entries) => write!(f, "an object of {}", entries.len()),
        }
    }
}

/// A text in quotes, cut if it is long.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    format!("{shown:?}")
}

/// Why a text is no JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadJson {
    line: usize,
    column: usize,
    what: String,
    /// What stands there.
    shown: String,
    /// How many characters before it are shown.
    before: usize,
}

impl BadJson {
    fn of(text: &str, error: &serde_json::Error) -> BadJson {
        // Text that is cut off is so behind what there is of it, not behind the line breaks of a file.
        let line = match error.is_eof() {
            true => text.trim_end().lines().count(),
            false => error.line(),
        };
        let column = error.column();
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or(&what).to_owned();
        let all = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        // Columns are counted in bytes.
        let upto = all.get(..column.saturating_sub(1)).unwrap_or(all);
        let at = match error.is_eof() {
            true => all.chars().count(),
            false => upto.chars().count(),
        };
        let from = at.saturating_sub(SHOWN);
        BadJson {
            line,
            column: at + 1,
            what,
            shown: all.chars().skip(from).take(2 * SHOWN).collect(),
            before: at - from,
        }
    }

    /// The text at fault, with a mark below.
    pub(super) fn shown(&self) -> [String; 2] {
        let mark = format!("{}^", " ".repeat(self.before));
        [self.shown.clone(), mark]
    }
}

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no JSON: ")?;
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}: {}", self.column, self.what)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => to.serialize_unit(),
            Json::Bool(value) => to.serialize_bool(*value),
            Json::Uint(number) => to.serialize_u64(*number),
            Json::Int(number) => to.serialize_i64(*number),
            Json::Single(number) => to.serialize_f32(*number),
            Json::Float(number) => to.serialize_f64(*number),
            Json::Text(text) => to.serialize_str(text),
            Json::Array(values) => {
                let mut list = to.serialize_seq(Some(values.len()))?;
                values
                    .iter()
                    .try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Json::Object(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                entries
                    .iter()
                    .try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Json, E> {
                Ok(Json::Uint(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Json, E> {
                Ok(Json::from(number))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Json, E> {
                Ok(Json::Float(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
                Ok(Json::text(text))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Json, E> {
                Ok(Json::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Json::Array(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut entries = Vec::new();
                let mut keys = std::collections::HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !keys.insert(key.clone()) {
                        let what = format!("the key {} stands twice", quoted(&key));
                        return Err(de::Error::custom(what));
                    }
                    entries.push((key, map.next_value()?));
                }
                Ok(Json::Object(entries))
            }
        }
        from.deserialize_any(Values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_keep_their_order_and_numbers_their_kind() {
        let text = r#"{"b":1,"a":[-2,2.5,18446744073709551615,null,true],"":"x"}"#;
        let read = Json::read(text).unwrap();
        assert_eq!(read.print(false), text);
        assert!(read.print(true).contains("\n  \"b\": 1,\n"));
        assert_eq!(Json::Single(0.1).print(false), "0.1");
        assert_eq!(Json::read(" 7 "), Ok(Json::Uint(7)));
    }

    #[test]
    fn what_is_wrong_with_a_text_is_shown_where_it_is() {
        let bad = Json::read(r#"{"x":,"y":3}"#).unwrap_err();
        assert_eq!(bad.to_string(), "no JSON: column 6: expected value");
        assert_eq!(bad.shown(), [r#"{"x":,"y":3}"#, "     ^"]);
        let bad = Json::read("{\n \"\u{e4}\": ?\n}").unwrap_err();
        assert!(
            bad.to_string().starts_with("no JSON: line 2, column "),
            "{bad}"
        );
        let bad = Json::read("{\n \"x\":\n\n").unwrap_err();
        let what = "no JSON: line 2, column 6: EOF while parsing a value";
        assert_eq!(bad.to_string(), what);
        assert_eq!(bad.shown(), [" \"x\":", "     ^"]);
        let bad = Json::read(r#"{"x":1,"x":2}"#).unwrap_err();
        assert!(bad.to_string().contains("\"x\" stands twice"), "{bad}");
        for bad in [
            "",
            "{",
            "[1,",
            "2 3",
            "tru",
            "\"a",
            "'a'",
            &"[".repeat(10_000),
        ] {
            let error = Json::read(bad).unwrap_err();
            assert!(error.shown()[0].chars().count() <= 2 * SHOWN, "{error}");
        }
    }

    #[test]
    fn long_text_is_cut_where_it_is_shown() {
        assert_eq!(Json::text("a\nb").to_string(), "the text \"a\\nb\"");
        assert!(Json::text("\u{e4}".repeat(500)).to_string().len() < 200);
    }
}
