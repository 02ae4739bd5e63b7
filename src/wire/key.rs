//! Where a call's key lies among its arguments.

use brokerless_patterns::balance::hash;

use super::payload::Payload;
use super::read::Reader;
use super::{Encoding, VALUE_DEPTH_MAX};

/// The hash of the argument at this index, as it is encoded; of all bytes, where these are the
/// method's own. None if there is no such argument.
///
/// The same value has the same hash in any process and version: policies that pick by key lead it to
/// the same node from anywhere.
pub(crate) fn key_of(payload: &Payload, encoding: Encoding, index: usize) -> Option<u64> {
    if encoding != Encoding::MessagePack {
        return Some(hash(&payload.body));
    }
    let mut reader = Reader::new(&payload.body);
    let count = reader.array().ok()?;
    (index < count as usize).then_some(())?;
    for _ in 0..index {
        reader.skip(VALUE_DEPTH_MAX).ok()?;
    }
    let from = reader.rest();
    reader.skip(VALUE_DEPTH_MAX).ok()?;
    let length = from.len() - reader.rest().len();
    Some(hash(from.get(..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Encoder;

    #[test]
    fn a_key_is_the_argument_alone_whatever_stands_around_it() {
        let payload = |before: &str, key: &str, after: u64| {
            let mut encoder = Encoder::arguments(3);
            encoder.put(before).expect("a string");
            encoder.put(key).expect("a string");
            encoder.put(&after).expect("a number");
            encoder.finish()
        };
        let key = |payload: &Payload| key_of(payload, Encoding::MessagePack, 1);
        let ann = key(&payload("x", "ann", 1));
        // Of a string of three bytes: it is what another language makes of it, too.
        assert_eq!(ann, Some(hash(b"\xa3ann")));
        assert_eq!(key(&payload("much longer", "ann", u64::MAX)), ann);
        assert_ne!(key(&payload("x", "bob", 1)), ann);
        assert_eq!(
            key_of(&payload("x", "ann", 1), Encoding::MessagePack, 3),
            None
        );
        let raw = Payload::raw(b"ann".to_vec());
        assert_eq!(key_of(&raw, Encoding::Raw, 0), Some(hash(b"ann")));
        assert_eq!(key_of(&raw, Encoding::MessagePack, 0), None);
    }
}
