//! Reading MessagePack, as far as envelopes need it: borrowed, bounded, without recursion over
//! what a peer says.
//!
//! # Invariants
//!
//! 1. Nothing is reserved for a length that was announced, and nothing is read beyond the bytes.
//!    (test `a_length_beyond_the_bytes_is_refused`)
//! 2. What is passed over is nested no deeper than the caller allows. (test
//!    `what_is_nested_too_deep_is_not_passed_over`)

use rmp::Marker;

use super::fault::{Bad, Came};

/// The bytes that are not read yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'f>(&'f [u8]);

/// What a marker and the length behind it announce.
enum Announced {
    /// So many bytes of content, and none nested.
    Flat(usize),
    /// So many values.
    Nested(u64),
}

/// Bytes of a value that begins with this one, where that says it all; else 0.
const FLAT: [u8; 256] = {
    let mut flat = [0; 256];
    let mut first = 0;
    while first < flat.len() {
        flat[first] = match first as u8 {
            0..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 1,
            0xcc | 0xd0 => 2,
            0xcd | 0xd1 => 3,
            0xce | 0xd2 | 0xca => 5,
            0xcf | 0xd3 | 0xcb => 9,
            text @ 0xa0..=0xbf => 1 + (text & 0x1f),
            _ => 0,
        };
        first += 1;
    }
    flat
};

impl<'f> Reader<'f> {
    pub(super) fn new(bytes: &'f [u8]) -> Self {
        Reader(bytes)
    }

    pub(super) fn rest(&self) -> &'f [u8] {
        self.0
    }

    fn peek(&self) -> Option<Marker> {
        self.0.first().map(|byte| Marker::from_u8(*byte))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, Bad> {
        let (byte, rest) = self.0.split_first().ok_or(Bad::Truncated)?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(Bad::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }

    #[inline]
    fn take(&mut self, bytes: usize) -> Result<&'f [u8], Bad> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Bad::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The type that stands next.
    pub(super) fn came(&self) -> Came {
        let mut ahead = *self;
        let Some(marker) = ahead.peek() else {
            return Came::Nothing;
        };
        match marker {
            Marker::Null => Came::Nil,
            Marker::True | Marker::False => Came::Bool,
            Marker::FixPos(_)
            | Marker::FixNeg(_)
            | Marker::U8
            | Marker::U16
            | Marker::U32
            | Marker::U64
            | Marker::I8
            | Marker::I16
            | Marker::I32
            | Marker::I64 => Came::Integer,
            Marker::F32 | Marker::F64 => Came::Float,
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                ahead.str_len().map_or(Came::Nothing, Came::Str)
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                ahead.bin_len().map_or(Came::Nothing, Came::Bin)
            }
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                ahead.array().map_or(Came::Nothing, Came::Array)
            }
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                ahead.map().map_or(Came::Nothing, Came::Map)
            }
            Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16
            | Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32 => Came::Ext,
            Marker::Reserved => Came::Invalid,
        }
    }

    /// Takes a `nil`, if it stands next.
    #[inline]
    pub(super) fn nil(&mut self) -> bool {
        match self.0.split_first() {
            Some((0xc0, rest)) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_str(&self) -> bool {
        matches!(
            self.peek(),
            Some(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32)
        )
    }

    pub(super) fn is_bin(&self) -> bool {
        matches!(
            self.peek(),
            Some(Marker::Bin8 | Marker::Bin16 | Marker::Bin32)
        )
    }

    pub(super) fn is_array(&self) -> bool {
        matches!(
            self.peek(),
            Some(Marker::FixArray(_) | Marker::Array16 | Marker::Array32)
        )
    }

    /// An integer that is not negative, in whichever form it comes.
    #[inline]
    pub(super) fn uint(&mut self) -> Result<u64, Bad> {
        let (number, rest) = match *self.0 {
            [number @ 0..0x80, ref rest @ ..] | [0xcc, number, ref rest @ ..] => {
                (number.into(), rest)
            }
            [0xcd, a, b, ref rest @ ..] => (u16::from_be_bytes([a, b]).into(), rest),
            [0xce, a, b, c, d, ref rest @ ..] => (u32::from_be_bytes([a, b, c, d]).into(), rest),
            // The numbers of calls.
            [0xcf, a, b, c, d, e, f, g, h, ref rest @ ..] => {
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), rest)
            }
            _ => return self.other_uint(),
        };
        self.0 = rest;
        Ok(number)
    }

    /// The forms that are rare, and what is none.
    #[cold]
    fn other_uint(&mut self) -> Result<u64, Bad> {
        let before = *self;
        match Marker::from_u8(self.byte()?) {
            Marker::I8 => positive(i8::from_be_bytes(self.array_of()?)),
            Marker::I16 => positive(i16::from_be_bytes(self.array_of()?)),
            Marker::I32 => positive(i32::from_be_bytes(self.array_of()?)),
            Marker::I64 => positive(i64::from_be_bytes(self.array_of()?)),
            Marker::FixNeg(_) => Err(Bad::OutOfRange),
            // Of a form that is read above, cut off.
            Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => Err(Bad::Truncated),
            _ => Err(Bad::Type(before.came())),
        }
    }

    pub(super) fn bool(&mut self) -> Result<bool, Bad> {
        let before = *self;
        match Marker::from_u8(self.byte()?) {
            Marker::True => Ok(true),
            Marker::False => Ok(false),
            _ => Err(Bad::Type(before.came())),
        }
    }

    #[inline]
    fn str_len(&mut self) -> Result<u32, Bad> {
        match self.0 {
            [byte @ 0xa0..0xc0, rest @ ..] => {
                self.0 = rest;
                Ok((byte & 0x1f).into())
            }
            _ => self.long_str_len(),
        }
    }

    #[cold]
    fn long_str_len(&mut self) -> Result<u32, Bad> {
        let before = *self;
        match Marker::from_u8(self.byte()?) {
            Marker::FixStr(len) => Ok(len.into()),
            Marker::Str8 => self.byte().map(u32::from),
            Marker::Str16 => self
                .array_of()
                .map(|bytes| u16::from_be_bytes(bytes).into()),
            Marker::Str32 => self.array_of().map(u32::from_be_bytes),
            _ => Err(Bad::Type(before.came())),
        }
    }

    fn bin_len(&mut self) -> Result<u32, Bad> {
        let before = *self;
        match Marker::from_u8(self.byte()?) {
            Marker::Bin8 => self.byte().map(u32::from),
            Marker::Bin16 => self
                .array_of()
                .map(|bytes| u16::from_be_bytes(bytes).into()),
            Marker::Bin32 => self.array_of().map(u32::from_be_bytes),
            _ => Err(Bad::Type(before.came())),
        }
    }

    /// Text of at most so many bytes.
    #[inline]
    pub(super) fn str(&mut self, bytes_max: usize) -> Result<&'f str, Bad> {
        let len = self.str_len()? as usize;
        if len > bytes_max {
            return Err(Bad::TooLong(len, bytes_max));
        }
        std::str::from_utf8(self.take(len)?).map_err(|_| Bad::NotUtf8)
    }

    /// Bytes, at most so many.
    pub(super) fn bin(&mut self, bytes_max: usize) -> Result<&'f [u8], Bad> {
        let len = self.bin_len()? as usize;
        if len > bytes_max {
            return Err(Bad::TooLong(len, bytes_max));
        }
        self.take(len)
    }

    /// How many values an array announces.
    #[inline]
    pub(super) fn array(&mut self) -> Result<u32, Bad> {
        match self.0 {
            [byte @ 0x90..0xa0, rest @ ..] => {
                self.0 = rest;
                Ok((byte & 0x0f).into())
            }
            _ => self.long_array(),
        }
    }

    #[cold]
    fn long_array(&mut self) -> Result<u32, Bad> {
        let before = *self;
        match Marker::from_u8(self.byte()?) {
            Marker::FixArray(len) => Ok(len.into()),
            Marker::Array16 => self
                .array_of()
                .map(|bytes| u16::from_be_bytes(bytes).into()),
            Marker::Array32 => self.array_of().map(u32::from_be_bytes),
            _ => Err(Bad::Type(before.came())),
        }
    }

    /// How many keys a map announces.
    pub(super) fn map(&mut self) -> Result<u32, Bad> {
        let before = *self;
        match Marker::from_u8(self.byte()?) {
            Marker::FixMap(len) => Ok(len.into()),
            Marker::Map16 => self
                .array_of()
                .map(|bytes| u16::from_be_bytes(bytes).into()),
            Marker::Map32 => self.array_of().map(u32::from_be_bytes),
            _ => Err(Bad::Type(before.came())),
        }
    }

    /// Passes over a value that is nested at most `depth_max` deep; a flat one is 0 deep.
    pub(super) fn skip(&mut self, depth_max: usize) -> Result<(), Bad> {
        self.skip_within(depth_max, depth_max)
    }

    /// Passes over a value, however deep it is nested: without recursion, so that it need not be
    /// bounded.
    #[inline]
    pub(super) fn pass(&mut self) -> Result<(), Bad> {
        let first = self.0.first().ok_or(Bad::Truncated)?;
        match FLAT[usize::from(*first)] {
            0 => self.pass_any(),
            bytes => self.take(bytes.into()).map(drop),
        }
    }

    fn pass_any(&mut self) -> Result<(), Bad> {
        let mut due = 1u64;
        while due > 0 {
            due -= 1;
            match self.announced()? {
                Announced::Flat(bytes) => self.take(bytes).map(drop)?,
                Announced::Nested(values) => {
                    due = due.saturating_add(values);
                    // Each value takes a byte at least.
                    if due > self.0.len() as u64 {
                        return Err(Bad::Truncated);
                    }
                }
            }
        }
        Ok(())
    }

    fn skip_within(&mut self, left: usize, depth_max: usize) -> Result<(), Bad> {
        match self.announced()? {
            Announced::Flat(bytes) => self.take(bytes).map(drop),
            Announced::Nested(values) => {
                let left = left.checked_sub(1).ok_or(Bad::TooDeep(depth_max))?;
                // Each value takes a byte at least, so this ends with the bytes.
                for _ in 0..values {
                    self.skip_within(left, depth_max)?;
                }
                Ok(())
            }
        }
    }

    fn announced(&mut self) -> Result<Announced, Bad> {
        let before = *self;
        let flat = |bytes: u32| Ok(Announced::Flat(bytes as usize));
        // An extension has a byte for its type before its content.
        let ext = |bytes: u32| Ok(Announced::Flat(bytes as usize + 1));
        let marker = Marker::from_u8(self.byte()?);
        match marker {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
                flat(0)
            }
            Marker::U8 | Marker::I8 => flat(1),
            Marker::U16 | Marker::I16 => flat(2),
            Marker::U32 | Marker::I32 | Marker::F32 => flat(4),
            Marker::U64 | Marker::I64 | Marker::F64 => flat(8),
            Marker::FixStr(bytes) => flat(bytes.into()),
            Marker::Str8 | Marker::Bin8 => flat(self.byte()?.into()),
            Marker::Str16 | Marker::Bin16 => flat(u16::from_be_bytes(self.array_of()?).into()),
            Marker::Str32 | Marker::Bin32 => flat(u32::from_be_bytes(self.array_of()?)),
            Marker::FixExt1 => ext(1),
            Marker::FixExt2 => ext(2),
            Marker::FixExt4 => ext(4),
            Marker::FixExt8 => ext(8),
            Marker::FixExt16 => ext(16),
            Marker::Ext8 => ext(self.byte()?.into()),
            Marker::Ext16 => ext(u16::from_be_bytes(self.array_of()?).into()),
            Marker::Ext32 => ext(u32::from_be_bytes(self.array_of()?)),
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                *self = before;
                Ok(Announced::Nested(self.array()?.into()))
            }
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                *self = before;
                Ok(Announced::Nested(u64::from(self.map()?) * 2))
            }
            Marker::Reserved => Err(Bad::Type(Came::Invalid)),
        }
    }
}

fn positive(number: impl TryInto<u64>) -> Result<u64, Bad> {
    number.try_into().map_err(|_| Bad::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    #[test]
    fn a_length_beyond_the_bytes_is_refused() {
        for len in [6, 255, 65_536, u32::MAX] {
            let [a, b, c, d] = len.to_be_bytes();
            let str = [0xdb, a, b, c, d, b'h', b'e', b'l', b'l', b'o'];
            assert_eq!(Reader::new(&str).str(usize::MAX), Err(Bad::Truncated));
            assert_eq!(Reader::new(&str).skip(0), Err(Bad::Truncated));
            let bin = [0xc6, a, b, c, d, 1, 2, 3, 4, 5];
            assert_eq!(Reader::new(&bin).bin(usize::MAX), Err(Bad::Truncated));
            for marker in [0xdd, 0xdf] {
                let nested = [marker, a, b, c, d, 1, 2, 3, 4, 5];
                assert_eq!(Reader::new(&nested).skip(5), Err(Bad::Truncated));
            }
        }
        let long = Reader::new(b"\xa5hello").str(4);
        assert_eq!(long, Err(Bad::TooLong(5, 4)));
    }

    #[test]
    fn what_is_nested_too_deep_is_not_passed_over() {
        for depth in [0, 1, 5, 64] {
            let mut bytes = vec![0x91; depth];
            bytes.push(0x07);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.skip(depth), Ok(()));
            assert_eq!(reader.rest(), b"");
            if depth > 0 {
                let max = depth - 1;
                assert_eq!(Reader::new(&bytes).skip(max), Err(Bad::TooDeep(max)));
            }
        }
        // The bound stands before the bytes: a megabyte of openings ends at once.
        let bytes = vec![0x81; 1 << 20];
        assert_eq!(Reader::new(&bytes).skip(64), Err(Bad::TooDeep(64)));
    }

    proptest! {
        /// What is passed over is as long as what another reader takes for a value.
        #[test]
        fn what_is_passed_over_is_what_rmp_reads(mut bytes: Vec<u8>) {
            bytes.truncate(64);
            let mut reader = Reader::new(&bytes);
            let skipped = reader.skip(40);
            let mut passing = Reader::new(&bytes);
            let passed = passing.pass();
            if skipped.is_ok() {
                prop_assert_eq!(&passed, &skipped);
                prop_assert_eq!(passing.rest(), reader.rest());
            }
            let mut theirs = &bytes[..];
            let mut deserializer = rmp_serde::Deserializer::new(&mut theirs);
            deserializer.set_max_depth(1000);
            let read: Result<IgnoredAny, _> = serde::Deserialize::deserialize(&mut deserializer);
            if read.is_ok() {
                prop_assert_eq!(skipped, Ok(()));
                prop_assert_eq!(reader.rest(), theirs);
            }
        }
    }
}
