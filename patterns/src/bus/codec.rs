//! Values to MessagePack and back: structs as maps by field name, bytes as `bin`.
//!
//! # Invariants
//!
//! 1. A value that is read is read whole: nothing is left over. (test
//!    `what_is_no_value_of_the_type_is_refused_by_its_kind`)
//! 2. Nesting is bounded before anything is built. (same test)
//! 3. A fault says nothing of the payload. (held by `ValueFault` having no field)

use std::fmt;

use rmp_serde::config::BytesMode;
use rmp_serde::decode::Error as Decode;
use rmp_serde::{Deserializer, Serializer};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Nesting at which a value is refused.
const DEPTH: usize = 64;

/// Why bytes are no value of a topic's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueFault {
    /// They end in the middle of it.
    Truncated,
    /// More bytes follow it.
    Trailing,
    /// It is nested 64 deep or deeper.
    TooDeep,
    /// It is a value of another type: a field is missing, or is something else.
    Type,
}

impl fmt::Display for ValueFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ValueFault::Truncated => "it ends too early",
            ValueFault::Trailing => "bytes follow it",
            ValueFault::TooDeep => "it is nested 64 deep or deeper",
            ValueFault::Type => "it is not of the topic's type",
        })
    }
}

pub(super) fn encode<T: Serialize + ?Sized>(
    value: &T,
) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut bytes = Vec::with_capacity(64);
    let mut serializer = Serializer::new(&mut bytes)
        .with_struct_map()
        .with_bytes(BytesMode::ForceAll);
    value.serialize(&mut serializer)?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ValueFault> {
    let mut deserializer = Deserializer::new(bytes);
    deserializer.set_max_depth(DEPTH);
    let value = T::deserialize(&mut deserializer).map_err(|error| match error {
        Decode::InvalidMarkerRead(_) | Decode::InvalidDataRead(_) => ValueFault::Truncated,
        Decode::DepthLimitExceeded => ValueFault::TooDeep,
        // What it says may quote the payload.
        _ => ValueFault::Type,
    })?;
    if deserializer.get_ref().is_empty() {
        Ok(value)
    } else {
        Err(ValueFault::Trailing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        name: String,
        bytes: Vec<u8>,
        at: Option<i64>,
        list: Vec<(u8, f64)>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Nest(Vec<Nest>);

    #[test]
    fn a_value_comes_back_with_bytes_as_bin_and_fields_by_name() {
        let sample = Sample {
            name: "n".into(),
            bytes: vec![0xfe, 0xff],
            at: None,
            list: vec![(1, 0.5)],
        };
        let bytes = encode(&sample).unwrap();
        assert!(bytes.starts_with(b"\x84\xa4name\xa1n\xa5bytes\xc4\x02\xfe\xff"));
        assert_eq!(decode::<Sample>(&bytes), Ok(sample));
    }

    #[test]
    fn a_field_more_is_passed_over() {
        assert_eq!(decode::<()>(b"\xc0"), Ok(()));
        #[derive(Debug, PartialEq, Deserialize)]
        struct Old {
            a: u8,
        }
        let bytes = b"\x82\xa1b\xa1x\xa1a\x05";
        assert_eq!(decode::<Old>(bytes), Ok(Old { a: 5 }));
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused_by_its_kind() {
        assert_eq!(decode::<u32>(b""), Err(ValueFault::Truncated));
        assert_eq!(decode::<u32>(b"\xce\0"), Err(ValueFault::Truncated));
        assert_eq!(decode::<u32>(b"\x01\x02"), Err(ValueFault::Trailing));
        assert_eq!(decode::<u32>(b"\xa3abc"), Err(ValueFault::Type));
        // 4 billion elements are announced and none is there: nothing is reserved for them.
        assert_eq!(
            decode::<Vec<u64>>(b"\xdd\xff\xff\xff\xff"),
            Err(ValueFault::Truncated)
        );
        let nest = |depth: usize| {
            let mut bytes = vec![0x91; depth - 1];
            bytes.push(0x90);
            decode::<Nest>(&bytes).map(drop)
        };
        assert_eq!(nest(10), Ok(()));
        assert_eq!(nest(65), Err(ValueFault::TooDeep));
        assert_eq!(nest(1_000_000), Err(ValueFault::TooDeep));
    }
}
