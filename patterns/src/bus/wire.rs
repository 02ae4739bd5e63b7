//! An update on the wire: three frames.
//!
//! ```text
//! 0  the topic's name, then a zero byte
//! 1  version 1 | flags 1 | publisher 8 | sequence 8       big endian, 18 bytes or more
//! 2  the value in MessagePack
//! ```
//!
//! A subscription is to a beginning of frame 0; names hold no zero byte, so the one that ends
//! `a` and stands in the subscription keeps `ab` out.
//!
//! # Invariants
//!
//! 1. What is written is read back, whatever follows the header. (proptest
//!    `a_header_is_read_back`)
//! 2. Other bytes are refused, and nothing panics. (proptest `any_header_is_read_or_refused`)
//! 3. The bytes are those of `docs/BUS.md`. (test `the_wire_is_that_of_the_page` in
//!    `patterns/tests/bus`)

use std::fmt;

use crate::message::{Frame, Message};

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u8 = 1;
/// Bytes of a header that have a meaning.
const HEADER_BYTES: usize = 18;
/// What ends a topic's name in its frame.
pub(super) const TERMINATOR: u8 = 0;

/// A publisher's number: 64 random bits, drawn when it is made. A publisher that was started anew
/// has another one.
///
/// It is a claim: whoever may publish may take another's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublisherId(pub u64);

impl fmt::Display for PublisherId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why a message is no update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderFault {
    /// An update has three frames.
    Frames(usize),
    /// A header has 18 bytes or more.
    Short(usize),
    /// The header is of a version that is not known here.
    Version(u8),
    /// Sequences begin with 1.
    Sequence,
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderFault::Frames(frames) => write!(f, "{frames} frames; an update has 3"),
            HeaderFault::Short(bytes) => write!(
                f,
                "a header of {bytes} bytes; it has at least {HEADER_BYTES}"
            ),
            HeaderFault::Version(version) => write!(
                f,
                "version {version}; this side reads version {VERSION}: bring both to the same"
            ),
            HeaderFault::Sequence => f.write_str("sequence 0; the first is 1"),
        }
    }
}

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) publisher: PublisherId,
    pub(super) sequence: u64,
}

impl Header {
    pub(super) fn encode(self) -> Frame {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION;
        // Byte 1: flags, of which none has a meaning yet.
        bytes[2..10].copy_from_slice(&self.publisher.0.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.sequence.to_be_bytes());
        Frame::copy_from_slice(&bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Header, HeaderFault> {
        let Some((&version, _)) = bytes.split_first() else {
            return Err(HeaderFault::Short(0));
        };
        if version != VERSION {
            return Err(HeaderFault::Version(version));
        }
        let (Some(publisher), Some(sequence)) = (number(bytes, 2), number(bytes, 10)) else {
            return Err(HeaderFault::Short(bytes.len()));
        };
        if sequence == 0 {
            return Err(HeaderFault::Sequence);
        }
        Ok(Header {
            publisher: PublisherId(publisher),
            sequence,
        })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// Makes an update of its parts.
pub(super) fn update(topic: &Frame, header: Header, value: Vec<u8>) -> Message {
    Message::from([topic.clone(), header.encode(), Frame::from(value)])
}

/// Takes an update apart: what stands before the value, and the value's bytes.
pub(super) fn parts(message: &Message) -> Result<(Header, &Frame), HeaderFault> {
    match message.frames() {
        [_, header, value] => Ok((Header::decode(header)?, value)),
        frames => Err(HeaderFault::Frames(frames.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_is_read_back(
            publisher: u64,
            sequence in 1u64..,
            flags: u8,
            more in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            let header = Header { publisher: PublisherId(publisher), sequence };
            let mut bytes = header.encode().to_vec();
            bytes[1] = flags;
            bytes.extend(more);
            prop_assert_eq!(Header::decode(&bytes), Ok(header));
        }

        #[test]
        fn any_header_is_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            let _ = Header::decode(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let read = Header::decode(&bytes);
            prop_assert_eq!(
                matches!(read, Err(HeaderFault::Short(_))),
                bytes.len() < HEADER_BYTES
            );
        }
    }

    #[test]
    fn sequence_0_and_other_versions_are_refused() {
        let header = Header {
            publisher: PublisherId(1),
            sequence: 1,
        };
        let mut bytes = header.encode().to_vec();
        bytes[17] = 0;
        assert_eq!(Header::decode(&bytes), Err(HeaderFault::Sequence));
        bytes[0] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderFault::Version(2)));
    }
}
