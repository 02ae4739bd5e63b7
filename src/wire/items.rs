//! Values that stand one after the other in a body, taken apart.

use super::VALUE_DEPTH_MAX;
use super::fault::{Bad, DecodeError};
use super::read::Reader;

/// The bytes of the first value in these, and what follows it.
///
/// # Errors
///
/// Where no whole value stands there, or it is nested too deep.
pub fn first_value(bytes: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let mut reader = Reader::new(bytes);
    match reader.skip(VALUE_DEPTH_MAX) {
        Ok(()) => {
            let (first, rest) = bytes.split_at(bytes.len() - reader.rest().len());
            Ok((first, rest))
        }
        Err(Bad::TooDeep(_)) => Err(DecodeError::TooDeep),
        Err(Bad::Type(came)) => Err(DecodeError::Type(came)),
        Err(_) => Err(DecodeError::Truncated),
    }
}
