//! JSON held against a type: a value to send, or what does not fit and where.
//!
//! # Invariants
//!
//! 1. What does not fit is named by its place, what was wanted and what came. (test
//!    `what_does_not_fit_is_named_with_its_place`)

use super::input::{Input, SPELLINGS};
use super::json::{BadJson, Json, quoted};
use super::types::Type;
use super::value::Value;

/// The largest whole number up to which every one is a float, too.
const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Where within the argument: `.points[3]`, or nothing.
    pub(super) at: String,
    pub(super) what: String,
    /// Lines that show more of it.
    pub(super) notes: Vec<String>,
}

/// The value of this type that the JSON is.
pub(super) fn check(ty: &Type, json: &Json, input: &Input) -> Result<Value, Misfit> {
    match ty {
        Type::Other => Ok(Value::of(json)),
        Type::Option(_) if *json == Json::Null => Ok(Value::Nil),
        Type::Option(of) => check(of, json, input),
        Type::Unit => match json {
            Json::Null => Ok(Value::Nil),
            other => wrong("null", other),
        },
        Type::Bool => match json {
            Json::Bool(value) => Ok(Value::Bool(*value)),
            other => wrong("true or false", other),
        },
        Type::Int {
            signed,
            bits,
            nonzero,
        } => int(json, *signed, *bits, *nonzero),
        Type::F32 => float(json).map(|number| Value::Single(number as f32)),
        Type::F64 => float(json).map(Value::Float),
        Type::Char => match json {
            Json::Text(text) if text.chars().count() == 1 => Ok(Value::Text(text.clone())),
            other => wrong("a text of one character", other),
        },
        Type::Text => match json {
            Json::Text(text) => Ok(Value::Text(text.clone())),
            other => wrong("text", other),
        },
        Type::Bytes(count) => {
            let bytes = bytes(json, input)?;
            match count {
                Some(count) if bytes.len() != *count => {
                    misfit(format!("it has to be {count} bytes: {} came", bytes.len()))
                }
                _ => Ok(Value::Bytes(bytes)),
            }
        }
        // Where it may stand it has been taken out.
        Type::Blob => bytes(json, input).map(Value::Bytes),
        Type::List(of, count) => list(of, *count, json, input),
        Type::Tuple(of) => match json {
            Json::Array(values) if values.len() == of.len() => {
                let pairs = of.iter().zip(values).enumerate();
                let values = pairs.map(|(index, (ty, value))| {
                    check(ty, value, input).map_err(|misfit| misfit.within(index))
                });
                values.collect::<Result<_, _>>().map(Value::Array)
            }
            other => wrong(&format!("an array of {}", of.len()), other),
        },
        Type::Map(keys, of) => map(keys, of, json, input),
    }
}

/// The bytes that the JSON is, whether they are one argument of many or one by themselves.
pub(super) fn bytes(json: &Json, input: &Input) -> Result<Vec<u8>, Misfit> {
    match json {
        Json::Text(text) => input.bytes(text).or_else(|what| {
            let way_out = if what.starts_with("cannot read") {
                String::new()
            } else {
                format!("; {SPELLINGS}")
            };
            misfit(format!("{what}{way_out}"))
        }),
        Json::Array(values) => {
            let bytes = values.iter().enumerate().map(|(index, value)| match value {
                Json::Uint(number) if *number <= 255 => Ok(*number as u8),
                other => {
                    wrong("a byte, 0 to 255", other).map_err(|misfit: Misfit| misfit.within(index))
                }
            });
            bytes.collect()
        }
        other => wrong(&format!("bytes ({SPELLINGS})"), other),
    }
}

impl Misfit {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Misfit {
            at: String::new(),
            what: what.into(),
            notes: Vec::new(),
        }
    }

    /// What was to be JSON is none.
    pub(super) fn of_json(bad: BadJson) -> Self {
        let mut misfit = Misfit::new(bad.to_string());
        misfit.notes = bad.shown().into();
        misfit
    }

    pub(super) fn within(mut self, index: usize) -> Self {
        self.at.insert_str(0, &format!("[{index}]"));
        self
    }

    fn under(mut self, key: &str) -> Self {
        self.at.insert_str(0, &format!("[{}]", quoted(key)));
        self
    }
}

fn misfit<T>(what: impl Into<String>) -> Result<T, Misfit> {
    Err(Misfit::new(what))
}

fn wrong<T>(wanted: &str, came: &Json) -> Result<T, Misfit> {
    misfit(format!("it has to be {wanted}: {came} came"))
}

fn int(json: &Json, signed: bool, bits: u32, nonzero: bool) -> Result<Value, Misfit> {
    let (least, most) = match (signed, bits) {
        (true, 128) => (i128::MIN, i128::MAX as u128),
        (true, bits) => (-(1i128 << (bits - 1)), (1u128 << (bits - 1)) - 1),
        (false, 128) => (0, u128::MAX),
        (false, bits) => (0, (1u128 << bits) - 1),
    };
    let rule = || format!("a whole number, {least} to {most}");
    let outside = || {
        let but = if nonzero { " and not 0" } else { "" };
        wrong(&(rule() + but), json)
    };
    let (negative, magnitude) = match json {
        Json::Uint(number) => (false, u128::from(*number)),
        Json::Int(number) => (*number < 0, u128::from(number.unsigned_abs())),
        Json::Float(number) if number.fract() == 0.0 && number.abs() < FLOAT_WHOLE_MAX => {
            (*number < 0.0, number.abs() as u128)
        }
        Json::Text(text) if bits == 128 => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            match digits.parse() {
                Ok(magnitude) if !digits.starts_with('+') => (digits.len() < text.len(), magnitude),
                _ => return wrong(&format!("{}, as digits", rule()), json),
            }
        }
        Json::Float(_) if bits == 128 => {
            let way_out = "as text if it has more than 64 bits";
            return wrong(&format!("{}, {way_out}", rule()), json);
        }
        _ => return wrong(&rule(), json),
    };
    let fits = if negative {
        magnitude <= least.unsigned_abs()
    } else {
        magnitude <= most
    };
    if !fits || (nonzero && magnitude == 0) {
        return outside();
    }
    let number = if negative {
        // Of the least one there is no positive counterpart.
        Some(0i128.wrapping_sub_unsigned(magnitude))
    } else {
        i128::try_from(magnitude).ok()
    };
    Ok(match (bits, number) {
        (128, Some(number)) if signed => Value::Long(number),
        (128, _) => Value::UnsignedLong(magnitude),
        (_, Some(number)) => match (u64::try_from(number), i64::try_from(number)) {
            (Ok(number), _) => Value::Uint(number),
            (_, Ok(number)) => Value::Int(number),
            _ => return outside(),
        },
        _ => return outside(),
    })
}

fn float(json: &Json) -> Result<f64, Misfit> {
    match json {
        Json::Uint(number) => Ok(*number as f64),
        Json::Int(number) => Ok(*number as f64),
        Json::Single(number) => Ok(f64::from(*number)),
        Json::Float(number) => Ok(*number),
        Json::Text(text) if text == "NaN" => Ok(f64::NAN),
        Json::Text(text) if text == "Infinity" => Ok(f64::INFINITY),
        Json::Text(text) if text == "-Infinity" => Ok(f64::NEG_INFINITY),
        other => wrong("a number", other),
    }
}

fn list(of: &Type, count: Option<usize>, json: &Json, input: &Input) -> Result<Value, Misfit> {
    match (json, count) {
        (Json::Array(values), Some(count)) if values.len() != count => {
            wrong(&format!("an array of {count}"), json)
        }
        (Json::Array(values), _) => {
            let values = values.iter().enumerate().map(|(index, value)| {
                check(of, value, input).map_err(|misfit| misfit.within(index))
            });
            values.collect::<Result<_, _>>().map(Value::Array)
        }
        (other, _) => wrong("an array", other),
    }
}

fn map(keys: &Type, of: &Type, json: &Json, input: &Input) -> Result<Value, Misfit> {
    let Json::Object(entries) = json else {
        return wrong("an object", json);
    };
    let entry = |(key, value): &(String, Json)| {
        let own = match keys {
            Type::Text | Type::Char | Type::Other => Json::text(&**key),
            // Keys of other kinds are written as text, too.
            _ => Json::read(key).unwrap_or_else(|_| Json::text(&**key)),
        };
        let own = check(keys, &own, input);
        let value = check(of, value, input);
        Ok((
            own.map_err(|misfit| misfit.under(key))?,
            value.map_err(|misfit| misfit.under(key))?,
        ))
    };
    let entries = entries.iter().map(entry);
    entries.collect::<Result<_, _>>().map(Value::Map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(ty: &str, json: &str) -> Result<Value, Misfit> {
        check(&Type::of(ty), &Json::read(json).unwrap(), &Input::default())
    }

    #[test]
    fn json_fits_the_types_that_it_is_of() {
        for (ty, json) in [
            ("i8", "-128"),
            ("u64", "18446744073709551615"),
            ("i64", "-9223372036854775808"),
            ("u8", "2.0"),
            ("i128", "\"-170141183460469231731687303715884105728\""),
            ("u128", "340282366920938463463374607431768211455e0"),
            ("f32", "1"),
            ("f64", "\"NaN\""),
            ("bool", "true"),
            ("char", "\"\u{e4}\""),
            ("&str", "\"\""),
            ("Option<u8>", "null"),
            ("Vec<u8>", "\"AAEC\""),
            ("[u8; 2]", "[1,2]"),
            ("Vec<Option<bool>>", "[null,false]"),
            ("(u8, String)", "[1,\"a\"]"),
            ("HashMap<u8, bool>", "{\"7\":true}"),
            ("HashMap<String, Vec<i8>>", "{\"a\":[-1]}"),
            ("Own", "{\"any\":[1,{}]}"),
            ("()", "null"),
        ] {
            let fits = checked(ty, json);
            // That number is none of 64 bits, and a float would lose digits.
            let lost = json.ends_with("e0");
            assert_eq!(fits.is_ok(), !lost, "{ty} {json}: {fits:?}");
        }
        assert_eq!(checked("u8", "2.0"), Ok(Value::Uint(2)));
        assert_eq!(checked("i64", "-1"), Ok(Value::Int(-1)));
        assert_eq!(
            checked("Vec<u8>", "[0,255]"),
            Ok(Value::Bytes(vec![0, 255]))
        );
        let lowest = checked("i128", "\"-170141183460469231731687303715884105728\"");
        assert_eq!(lowest, Ok(Value::Long(i128::MIN)));
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        for (ty, json, at, what) in [
            (
                "i64",
                "\"3\"",
                "",
                "a whole number, -9223372036854775808 to",
            ),
            ("i64", "2.5", "", "the number 2.5 came"),
            ("u8", "256", "", "0 to 255: the number 256 came"),
            ("u8", "-1", "", "the number -1 came"),
            ("u64", "1e30", "", "0 to 18446744073709551615"),
            ("NonZeroU8", "0", "", "0 to 255 and not 0"),
            ("bool", "1", "", "true or false"),
            ("String", "7", "", "text: the number 7"),
            ("char", "\"ab\"", "", "one character"),
            ("Vec<u64>", "[1,2,null]", "[2]", "null came"),
            (
                "Vec<(u8, Vec<bool>)>",
                "[[1,[true,3]]]",
                "[0][1][1]",
                "true or false",
            ),
            ("(u8, u8)", "[1]", "", "an array of 2: an array of 1 came"),
            ("[f64; 3]", "[1]", "", "an array of 3"),
            ("HashMap<String, u8>", "{\"a\":null}", "[\"a\"]", "0 to 255"),
            ("HashMap<u8, u8>", "{\"a\":1}", "[\"a\"]", "0 to 255"),
            ("Vec<u8>", "\"hello!\"", "", "is no base64"),
            ("Vec<u8>", "[1,256]", "[1]", "a byte"),
            ("[u8; 2]", "\"AAEC\"", "", "2 bytes: 3 came"),
            ("&[u8]", "true", "", "@FILE"),
            ("()", "1", "", "null"),
        ] {
            let misfit = checked(ty, json).unwrap_err();
            assert_eq!(misfit.at, at, "{ty} {json}");
            assert!(misfit.what.contains(what), "{ty} {json}: {}", misfit.what);
        }
    }
}
