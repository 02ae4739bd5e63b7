//! A body to a value: the answer to a call, or a method's own error.
//!
//! # Invariants
//!
//! 1. A value is read whole: nothing is left over. (test
//!    `a_body_that_is_no_value_of_the_type_is_refused_by_its_kind`)
//! 2. A blob is the frame that came. (test `a_blob_travels_as_the_frame_it_was`)

use std::fmt;

use brokerless_patterns::Frame;
use rmp_serde::decode::{Error as Rmp, ReadRefReader};
use serde::de::{self, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

use super::VALUE_DEPTH_MAX;
use super::fault::DecodeError;
use super::read::Reader;
use crate::blob::Blob;

pub(super) type Values<'r> = rmp_serde::Deserializer<ReadRefReader<'r, [u8]>>;

/// Values that follow each other in these bytes.
#[inline]
pub(super) fn values(bytes: &[u8]) -> Values<'_> {
    let mut values = rmp_serde::Deserializer::from_read_ref(bytes);
    values.set_max_depth(VALUE_DEPTH_MAX);
    values
}

/// Reads a body that is one value. Text and bytes may be borrowed from it.
///
/// # Errors
///
/// Where it is no value of the type, or something follows it.
pub fn decode_value<'r, T: Deserialize<'r>>(body: &'r [u8]) -> Result<T, DecodeError> {
    let mut values = values(body);
    let value = match T::deserialize(&mut values) {
        Ok(value) => value,
        // What serde makes of no bytes is an empty array.
        Err(error) if body == [0x90] => return no_bytes().map_err(|_| fault(error, body)),
        Err(error) => return Err(fault(error, body)),
    };
    // The deserializer does not tell how far it came, but that nothing more is to be read.
    match IgnoredAny::deserialize(&mut values) {
        Err(Rmp::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(DecodeError::Trailing),
    }
}

/// Reads what a cursor has found to be one value: nothing can follow it.
#[inline]
pub(crate) fn decode_found<'r, T: Deserialize<'r>>(item: &'r [u8]) -> Result<T, DecodeError> {
    match T::deserialize(&mut values(item)) {
        Ok(value) => Ok(value),
        Err(_) => decode_value(item),
    }
}

/// The value that no bytes are, of a type that takes any bytes; text does not.
pub(super) fn no_bytes<'r, T: Deserialize<'r>>() -> Result<T, Rmp> {
    T::deserialize(&mut values(&[0xc4, 1, 0xff]))?;
    T::deserialize(&mut values(&[0xc4, 0]))
}

/// Reads a body that is a blob.
///
/// # Errors
///
/// Where it is not the number of one of these blobs, nor bytes.
pub fn decode_blob(body: &[u8], blobs: &[Frame]) -> Result<Blob, DecodeError> {
    decode_value::<Place<'_>>(body)?.blob(blobs)
}

/// Reads a body that is a blob or `nil`.
///
/// # Errors
///
/// As [`decode_blob`].
pub fn decode_optional_blob(body: &[u8], blobs: &[Frame]) -> Result<Option<Blob>, DecodeError> {
    decode_value::<Option<Place<'_>>>(body)?
        .map(|place| place.blob(blobs))
        .transpose()
}

/// Reads a body that is an array of blobs.
///
/// # Errors
///
/// As [`decode_blob`], or where it is no array.
pub fn decode_blobs(body: &[u8], blobs: &[Frame]) -> Result<Vec<Blob>, DecodeError> {
    let places = decode_value::<Vec<Place<'_>>>(body)?;
    places.into_iter().map(|place| place.blob(blobs)).collect()
}

/// Bytes that are owned: `bin`, which is copied as a whole, or an array of numbers.
#[doc(hidden)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnedBytes(pub Vec<u8>);

impl<'de> Deserialize<'de> for OwnedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = OwnedBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(OwnedBytes(bytes.to_vec()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                // As many as there are, not as many as are announced.
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(OwnedBytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// What stands for a blob: the number of its frame, or its bytes, from peers that have no frames
/// to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'r> {
    Frame(u64),
    Bytes(&'r [u8]),
}

impl Place<'_> {
    /// The blob: a frame as it came, or a copy of the bytes.
    pub(super) fn blob(self, blobs: &[Frame]) -> Result<Blob, DecodeError> {
        let index = match self {
            Place::Frame(index) => index,
            Place::Bytes(bytes) => return Ok(Blob::copy_from_slice(bytes)),
        };
        let frame = usize::try_from(index).ok().and_then(|at| blobs.get(at));
        match frame {
            Some(frame) => Ok(Blob::from(frame.clone())),
            None => Err(DecodeError::Blob {
                index,
                blobs: blobs.len(),
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Place<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Places;
        impl<'de> Visitor<'de> for Places {
            type Value = Place<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of a blob, or bytes")
            }

            fn visit_u64<E: de::Error>(self, index: u64) -> Result<Self::Value, E> {
                Ok(Place::Frame(index))
            }

            fn visit_i64<E: de::Error>(self, index: i64) -> Result<Self::Value, E> {
                u64::try_from(index)
                    .map(Place::Frame)
                    .map_err(|_| E::custom("negative"))
            }

            fn visit_borrowed_bytes<E: de::Error>(
                self,
                bytes: &'de [u8],
            ) -> Result<Self::Value, E> {
                Ok(Place::Bytes(bytes))
            }
        }
        deserializer.deserialize_any(Places)
    }
}

/// What went wrong with the value that begins these bytes. What serde says may quote them, so
/// only what it says of the type is kept.
#[cold]
pub(super) fn fault(error: Rmp, value: &[u8]) -> DecodeError {
    match error {
        Rmp::InvalidMarkerRead(_) | Rmp::InvalidDataRead(_) => DecodeError::Truncated,
        Rmp::DepthLimitExceeded => DecodeError::TooDeep,
        Rmp::Utf8Error(_) => DecodeError::NotUtf8,
        Rmp::Syntax(words) if words.starts_with("missing field `") => {
            let name = words.split('`').nth(1).unwrap_or_default();
            DecodeError::Missing(format!("field `{name}`").into())
        }
        _ => DecodeError::Type(Reader::new(value).came()),
    }
}
