//! Where the items of a stream's message lie in its body.
//!
//! # Invariants
//!
//! 1. An item that is no value of its type costs the others nothing: each is found without being
//!    read. (test `an_item_that_does_not_decode_leaves_the_others`)
//! 2. What is found lies within the body. (test
//!    `items_that_are_cut_off_end_the_message`)
//!
//! # Not here
//!
//! Their order and the window (`machine::stream`); an item to a value (`value.rs`).

use std::ops::Range;

use super::envelope::{Encoding, ItemsHead};
use super::fault::{Bad, DecodeError};
use super::read::Reader;

/// A place in the items of one message. It borrows nothing, so it can be kept beside them.
///
/// ```
/// use brokerless::wire::{Encoding, ItemCursor, ItemsHead, decode_value};
///
/// let mut cursor = ItemCursor::new(&ItemsHead::new(7, 40, 2), Encoding::MessagePack);
/// let body = b"\x05\xa3six";
/// assert_eq!(cursor.index(), 40);
/// assert_eq!(decode_value::<u8>(cursor.next(body).unwrap()?)?, 5);
/// assert_eq!(cursor.index(), 41);
/// assert_eq!(decode_value::<&str>(cursor.next(body).unwrap()?)?, "six");
/// assert!(cursor.next(body).is_none());
/// # Ok::<(), brokerless::wire::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemCursor {
    index: u64,
    left: u32,
    at: usize,
    /// Whether the item is the whole body, whatever it is.
    raw: bool,
    broken: bool,
}

impl ItemCursor {
    /// Before the first item of this message. In an encoding other than MessagePack the body is
    /// one item.
    pub const fn new(head: &ItemsHead, encoding: Encoding) -> ItemCursor {
        ItemCursor {
            index: head.first,
            left: head.count,
            at: 0,
            raw: !matches!(encoding, Encoding::MessagePack),
            broken: false,
        }
    }

    /// The index in its stream of the item that comes next.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Items that are not taken yet.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// The bytes of the next item, to be read by [`decode_value`](super::decode_value),
    /// [`decode_blob`](super::decode_blob) or their like. `body` is the same at each call.
    ///
    /// # Errors
    ///
    /// Where the body is not as many values as its head says. It is the last that is given: what
    /// follows cannot be found, so the stream cannot go on.
    #[inline]
    pub fn next<'r>(&mut self, body: &'r [u8]) -> Option<Result<&'r [u8], DecodeError>> {
        let found = self.next_range(body)?;
        Some(found.map(|range| body.get(range).unwrap_or_default()))
    }

    /// The same, as a range of the body: to cut a frame by.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    #[inline]
    pub fn next_range(&mut self, body: &[u8]) -> Option<Result<Range<usize>, DecodeError>> {
        if self.left == 0 || self.broken {
            return None;
        }
        let range = self.find(body);
        match &range {
            Ok(range) => {
                self.at = range.end;
                self.left -= 1;
                self.index += 1;
            }
            Err(_) => self.broken = true,
        }
        Some(range)
    }

    #[inline]
    fn find(&self, body: &[u8]) -> Result<Range<usize>, DecodeError> {
        if self.raw {
            // The first of several would be all of them.
            return match self.left {
                1 => Ok(0..body.len()),
                _ => Err(DecodeError::Truncated),
            };
        }
        let mut reader = Reader::new(body.get(self.at..).unwrap_or_default());
        // One that is nested too deep is refused by its reader, and found here as any other.
        reader.pass().map_err(fault)?;
        let end = body.len() - reader.rest().len();
        if self.left == 1 && end < body.len() {
            return Err(DecodeError::Trailing);
        }
        Ok(self.at..end)
    }
}

#[cold]
fn fault(bad: Bad) -> DecodeError {
    match bad {
        Bad::Type(came) => DecodeError::Type(came),
        _ => DecodeError::Truncated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{VALUE_DEPTH_MAX, decode_value};

    fn cursor(count: u32) -> ItemCursor {
        ItemCursor::new(&ItemsHead::new(1, 10, count), Encoding::MessagePack)
    }

    #[test]
    fn an_item_that_does_not_decode_leaves_the_others() {
        let mut body = b"\x01\xa1x\x82\x01\x02\x03\x04".to_vec();
        // Nested far too deep: it is refused as any other.
        body.extend([0x91; 10 * VALUE_DEPTH_MAX]);
        body.extend(b"\xc0\x02");
        let mut cursor = cursor(5);
        let read = std::iter::from_fn(|| {
            let index = cursor.index();
            let item = cursor.next(&body)?.expect("it is found");
            Some((index, decode_value::<u8>(item).ok()))
        });
        let read: Vec<_> = read.collect();
        let expected = [
            (10, Some(1)),
            (11, None),
            (12, None),
            (13, None),
            (14, Some(2)),
        ];
        assert_eq!(read, expected);
        assert_eq!((cursor.index(), cursor.left()), (15, 0));
    }

    #[test]
    fn items_that_are_cut_off_end_the_message() {
        let body = b"\x01\xa5hello\x93\x01\x02\xcd\x01\x00\xdc\x00\x01\xc2";
        for len in 0..body.len() {
            let mut cursor = cursor(4);
            let mut left = cursor.left();
            let error = loop {
                match cursor.next(&body[..len]) {
                    Some(Ok(_)) => left -= 1,
                    Some(Err(error)) => break error,
                    None => panic!("cut at {len} all of it was there"),
                }
            };
            assert_eq!(error, DecodeError::Truncated);
            assert_eq!((cursor.left(), cursor.next(body)), (left, None));
        }
        let surplus = cursor(1).next(b"\x01\x02");
        assert_eq!(surplus, Some(Err(DecodeError::Trailing)));
        let long = cursor(1).next(b"\xdd\xff\xff\xff\xff\x01");
        assert_eq!(long, Some(Err(DecodeError::Truncated)));
    }

    #[test]
    fn a_raw_body_is_one_item() {
        let raw = |count| ItemCursor::new(&ItemsHead::new(1, 0, count), Encoding::Raw);
        let mut cursor = raw(1);
        assert_eq!(cursor.next(b"\xc1any"), Some(Ok(&b"\xc1any"[..])));
        assert_eq!((cursor.next(b"\xc1any"), cursor.index()), (None, 1));
        assert_eq!(raw(1).next(b""), Some(Ok(&b""[..])));
        assert_eq!(raw(0).next(b""), None);
        assert_eq!(raw(2).next(b"two"), Some(Err(DecodeError::Truncated)));
    }
}
