//! Writing MessagePack, as far as envelopes need it: the shortest form of each value.
//!
//! # Invariants
//!
//! 1. What is written is the shortest form, and what rmp writes. (proptest
//!    `what_is_written_is_what_rmp_writes`)

use brokerless_patterns::Frame;
use rmp::Marker;

use crate::chunk::Writer;

/// Where bytes are written to.
pub(super) trait Put {
    /// Writes bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Put for Writer {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        Writer::put(self, bytes);
    }
}

/// A short envelope while it is written.
#[derive(Debug)]
pub(super) struct Short {
    bytes: [u8; SHORT_BYTES],
    len: usize,
}

/// Bytes of the longest short envelope.
pub(super) const SHORT_BYTES: usize = 96;

impl Short {
    #[inline]
    pub(super) fn new() -> Self {
        let bytes = [0; SHORT_BYTES];
        Short { bytes, len: 0 }
    }

    #[inline]
    fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// It goes into the chunk as a whole, which is cheaper than value by value.
    #[inline]
    pub(super) fn finish(&self) -> Frame {
        let mut to = Writer::new(self.len);
        to.put(self.written());
        to.finish()
    }
}

/// An envelope that has been written, to be lent to the socket: no frame, where it is short.
#[derive(Debug)]
pub struct Written(Kept);

#[derive(Debug)]
enum Kept {
    Short(Short),
    Long(Frame),
}

impl Written {
    #[inline]
    pub(super) fn short(short: Short) -> Self {
        Written(Kept::Short(short))
    }

    pub(super) fn long(frame: Frame) -> Self {
        Written(Kept::Long(frame))
    }

    /// The frame of it, in the thread's chunk.
    #[inline]
    pub fn into_frame(self) -> Frame {
        match self.0 {
            Kept::Short(short) => short.finish(),
            Kept::Long(frame) => frame,
        }
    }
}

impl std::ops::Deref for Written {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Kept::Short(short) => short.written(),
            Kept::Long(frame) => frame,
        }
    }
}

impl Put for Short {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        let room = self.bytes.get_mut(self.len..end);
        debug_assert!(room.is_some(), "an envelope of {end} bytes is not short");
        if let Some(room) = room {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }
}

/// Bytes of the longest integer.
pub(super) const UINT_BYTES_MAX: usize = 9;

#[inline]
pub(super) fn uint(to: &mut impl Put, number: u64) {
    if number < 0x80 {
        to.put(&[number as u8]);
    } else if number <= u64::from(u8::MAX) {
        to.put(&[Marker::U8.to_u8(), number as u8]);
    } else if number <= u64::from(u16::MAX) {
        let [a, b] = (number as u16).to_be_bytes();
        to.put(&[Marker::U16.to_u8(), a, b]);
    } else if number <= u64::from(u32::MAX) {
        let [a, b, c, d] = (number as u32).to_be_bytes();
        to.put(&[Marker::U32.to_u8(), a, b, c, d]);
    } else {
        let mut bytes = [Marker::U64.to_u8(); 9];
        bytes[1..].copy_from_slice(&number.to_be_bytes());
        to.put(&bytes);
    }
}

pub(super) fn nil(to: &mut impl Put) {
    to.put(&[Marker::Null.to_u8()]);
}

pub(super) fn bool(to: &mut impl Put, value: bool) {
    let marker = if value { Marker::True } else { Marker::False };
    to.put(&[marker.to_u8()]);
}

#[inline]
pub(super) fn str(to: &mut impl Put, text: &str) {
    let len = text.len();
    if len < 32 {
        to.put(&[Marker::FixStr(len as u8).to_u8()]);
    } else {
        length(to, [Marker::Str8, Marker::Str16, Marker::Str32], len);
    }
    to.put(text.as_bytes());
}

pub(super) fn bin(to: &mut impl Put, bytes: &[u8]) {
    let forms = [Marker::Bin8, Marker::Bin16, Marker::Bin32];
    length(to, forms, bytes.len());
    to.put(bytes);
}

#[inline]
pub(super) fn array(to: &mut impl Put, len: usize) {
    if len < 16 {
        to.put(&[Marker::FixArray(len as u8).to_u8()]);
    } else {
        wide(to, [Marker::Array16, Marker::Array32], len);
    }
}

pub(super) fn map(to: &mut impl Put, len: usize) {
    if len < 16 {
        to.put(&[Marker::FixMap(len as u8).to_u8()]);
    } else {
        wide(to, [Marker::Map16, Marker::Map32], len);
    }
}

fn length(to: &mut impl Put, [short, medium, long]: [Marker; 3], len: usize) {
    if len <= usize::from(u8::MAX) {
        to.put(&[short.to_u8(), len as u8]);
    } else {
        wide(to, [medium, long], len);
    }
}

fn wide(to: &mut impl Put, [medium, long]: [Marker; 2], len: usize) {
    if len <= usize::from(u16::MAX) {
        let [a, b] = (len as u16).to_be_bytes();
        to.put(&[medium.to_u8(), a, b]);
    } else {
        let [a, b, c, d] = (len as u32).to_be_bytes();
        to.put(&[long.to_u8(), a, b, c, d]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rmp::encode;

    fn ours(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut to = Writer::new(0);
        write(&mut to);
        to.finish().to_vec()
    }

    fn check(number: u64) {
        let mut theirs = Vec::new();
        encode::write_uint(&mut theirs, number).unwrap();
        assert_eq!(ours(|to| uint(to, number)), theirs);
        let len = number as u32;
        theirs.clear();
        encode::write_array_len(&mut theirs, len).unwrap();
        assert_eq!(ours(|to| array(to, len as usize)), theirs);
        theirs.clear();
        encode::write_map_len(&mut theirs, len).unwrap();
        assert_eq!(ours(|to| map(to, len as usize)), theirs);
    }

    #[test]
    fn every_form_begins_where_the_shorter_one_ends() {
        for bits in [0, 4, 5, 7, 8, 16, 32, 63] {
            let edge = 1u64 << bits;
            for number in [edge - 1, edge, edge + 1] {
                check(number);
            }
        }
        check(u64::MAX);
        for len in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let text = "a".repeat(len);
            let mut theirs = Vec::new();
            encode::write_str(&mut theirs, &text).unwrap();
            assert_eq!(ours(|to| str(to, &text)), theirs);
            theirs.clear();
            encode::write_bin(&mut theirs, text.as_bytes()).unwrap();
            assert_eq!(ours(|to| bin(to, text.as_bytes())), theirs);
        }
        assert_eq!(ours(nil), b"\xc0");
        assert_eq!(ours(|to| bool(to, true)), b"\xc3");
        assert_eq!(ours(|to| bool(to, false)), b"\xc2");
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_rmp_writes(number: u64, shift in 0u32..64) {
            check(number >> shift);
        }
    }
}
