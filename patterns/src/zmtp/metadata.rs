//! Metadata: the properties that a READY carries, name and value.
//!
//! ```text
//! property = name length (1 byte), name, value length (4 bytes, big-endian), value
//! ```
//!
//! # Invariants
//!
//! 1. No length is followed past the end of what came. (`cut_metadata_is_refused_at_every_byte`)
//! 2. Never more than `properties_max` properties are held, nor read from more than `bytes_max` bytes.
//!    (`the_caps_hold_to_the_property_and_to_the_byte`)
//!
//! # Not here
//!
//! What the properties mean (`super::handshake`).

use smallvec::SmallVec;

use super::Violation;

/// The property that names the socket type.
pub const SOCKET_TYPE: &str = "Socket-Type";
/// The property that carries the identity.
pub const IDENTITY: &str = "Identity";
/// The property by which a peer says that it judges silence: it pings, and expects to hear of us.
/// Ours alone; others leave unknown properties aside.
pub const HEARTBEATS: &str = "X-Heartbeats";

/// Longest name of a property, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest value of a property, in bytes.
pub const VALUE_BYTES_MAX: usize = 0x7FFF_FFFF;

/// Properties that were read, borrowed from the bytes they came in, in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    list: SmallVec<[(&'a str, &'a [u8]); 4]>,
}

impl<'a> Properties<'a> {
    /// The value of a property; its name is taken in any case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.list
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|&(_, value)| value)
    }

    /// Name and value of each, in the order they came, names in the case they came in.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + '_ {
        self.list.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// Appends a property.
///
/// Returns `false`, and appends nothing, if the name is empty, over 255 bytes or off the alphabet (letters, digits,
/// `-`, `_`, `.`, `+`), or if the value is over 2^31 - 1 bytes.
#[must_use]
pub fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) -> bool {
    let (Ok(name_len), Ok(value_len)) = (u8::try_from(name.len()), u32::try_from(value.len()))
    else {
        return false;
    };
    if name.is_empty() || !name.bytes().all(is_name_byte) || value.len() > VALUE_BYTES_MAX {
        return false;
    }
    out.reserve(1 + name.len() + 4 + value.len());
    out.push(name_len);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&value_len.to_be_bytes());
    out.extend_from_slice(value);
    true
}

/// Reads all of `bytes` as properties.
///
/// # Errors
///
/// What breaks the grammar or a cap: a length past the end, an empty name or one off the alphabet, a name that comes
/// twice (whichever of the two we took, another reader might take the other), more than `properties_max` properties,
/// more than `bytes_max` bytes.
pub fn parse(
    bytes: &[u8],
    properties_max: usize,
    bytes_max: usize,
) -> Result<Properties<'_>, Violation> {
    if bytes.len() > bytes_max {
        return Err(Violation::MetadataTooLarge {
            bytes: bytes.len() as u64,
            max: bytes_max as u64,
        });
    }
    let malformed = |what| Violation::MalformedMetadata { what };
    let mut properties = Properties::default();
    let mut rest = bytes;
    while let Some((&name_len, after)) = rest.split_first() {
        if properties.len() == properties_max {
            return Err(Violation::TooManyProperties {
                max: properties_max,
            });
        }
        let (name, after) = after
            .split_at_checked(usize::from(name_len))
            .ok_or(malformed("a property name runs past the end"))?;
        if name.is_empty() {
            return Err(malformed("a property name is empty"));
        }
        let name = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.bytes().all(is_name_byte))
            .ok_or(malformed("a property name has an illegal character"))?;
        let (value_len, after) = after
            .split_first_chunk::<4>()
            .ok_or(malformed("a value length runs past the end"))?;
        let value_len = usize::try_from(u32::from_be_bytes(*value_len))
            .ok()
            .filter(|&length| length <= VALUE_BYTES_MAX)
            .ok_or(malformed("a value length is over 2^31 - 1"))?;
        let (value, after) = after
            .split_at_checked(value_len)
            .ok_or(malformed("a property value runs past the end"))?;
        if properties.get(name).is_some() {
            return Err(malformed("a property comes twice"));
        }
        properties.list.push((name, value));
        rest = after;
    }
    Ok(properties)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(list: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in list {
            assert!(put(&mut out, name, value));
        }
        out
    }

    fn what(bytes: &[u8]) -> &'static str {
        match parse(bytes, 64, 8192) {
            Err(Violation::MalformedMetadata { what }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_property_is_these_bytes() {
        assert_eq!(
            encoded(&[("Socket-Type", b"DEALER"), ("Identity", b"")]),
            b"\x0BSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0"
        );
    }

    #[test]
    fn names_are_found_in_any_case() {
        let bytes = encoded(&[("sOcKeT-tYpE", b"REP"), ("X-a.b_c+1", b"v")]);
        let properties = parse(&bytes, 64, 8192).unwrap();
        assert_eq!(properties.get(SOCKET_TYPE), Some(&b"REP"[..]));
        assert_eq!(properties.get("x-A.B_C+1"), Some(&b"v"[..]));
        assert_eq!(properties.get(IDENTITY), None);
        assert_eq!(properties.iter().next(), Some(("sOcKeT-tYpE", &b"REP"[..])));
    }

    #[test]
    fn no_metadata_is_no_properties() {
        assert!(parse(b"", 0, 0).unwrap().is_empty());
    }

    #[test]
    fn cut_metadata_is_refused_at_every_byte() {
        let bytes = encoded(&[("Socket-Type", b"DEALER"), ("Identity", b"me")]);
        let first = encoded(&[("Socket-Type", b"DEALER")]).len();
        for cut in 0..bytes.len() {
            let result = parse(&bytes[..cut], 64, 8192);
            assert_eq!(result.is_ok(), cut == 0 || cut == first, "cut at {cut}");
        }
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(what(b"\x05Iden"), "a property name runs past the end");
        assert_eq!(what(b"\x00\0\0\0\0"), "a property name is empty");
        for name in [
            &b"\x03a b\0\0\0\0"[..],
            b"\x03a\0b\0\0\0\0",
            b"\x03a\xC3\xA9\0\0\0\0",
        ] {
            assert_eq!(what(name), "a property name has an illegal character");
        }
        assert_eq!(what(b"\x01a\0\0\0"), "a value length runs past the end");
        assert_eq!(what(b"\x01a\x80\0\0\0"), "a value length is over 2^31 - 1");
        assert_eq!(
            what(b"\x01a\x7F\xFF\xFF\xFFb"),
            "a property value runs past the end"
        );
        assert_eq!(
            what(b"\x01a\0\0\0\0\x01A\0\0\0\0"),
            "a property comes twice"
        );
    }

    #[test]
    fn the_caps_hold_to_the_property_and_to_the_byte() {
        let bytes = encoded(&[("a", b""), ("b", b""), ("c", b"")]);
        assert_eq!(parse(&bytes, 3, bytes.len()).unwrap().len(), 3);
        assert_eq!(
            parse(&bytes, 2, bytes.len()),
            Err(Violation::TooManyProperties { max: 2 })
        );
        assert_eq!(
            parse(&bytes, 3, bytes.len() - 1),
            Err(Violation::MetadataTooLarge {
                bytes: bytes.len() as u64,
                max: bytes.len() as u64 - 1
            })
        );
    }

    #[test]
    fn an_illegal_property_is_not_written() {
        let mut out = Vec::new();
        assert!(!put(&mut out, "", b""));
        assert!(!put(&mut out, "a b", b""));
        assert!(!put(&mut out, "é", b""));
        assert!(!put(&mut out, &"n".repeat(256), b""));
        assert!(out.is_empty());
        assert!(put(&mut out, &"n".repeat(255), b""));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            list in prop::collection::btree_map("[a-z0-9._+-]{1,20}", prop::collection::vec(any::<u8>(), 0..50), 0..20)
        ) {
            let list: Vec<(&str, &[u8])> = list.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
            let bytes = encoded(&list);
            let read: Vec<_> = parse(&bytes, 64, 8192).unwrap().iter().collect();
            prop_assert_eq!(read, list);
        }

        #[test]
        fn arbitrary_metadata_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), max in 0usize..10) {
            if let Ok(properties) = parse(&bytes, max, 200) {
                prop_assert!(properties.len() <= max && bytes.len() <= 200);
            }
        }
    }
}
