//! Bytes in, messages and commands out: the traffic phase of a connection.
//!
//! The decoder says where the next bytes shall be read to ([`Decoder::plan`]), and takes them
//! from there ([`Decoder::feed`], [`Decoder::fed_own`]).
//!
//! ```text
//!            small frames                          a large frame
//! bulk   --> up to READ_BYTES into the shared  --> its rest into its own allocation --> exact
//! exact  --> just what the frame at hand needs, and the next header: no payload byte of a large
//!            frame passes through the shared buffer, none is copied
//! ```
//!
//! With a large frame are read the few bytes from its end to the next large one, where these are as
//! many each time: so a stream of them takes one read each.
//!
//! A message without a large frame leads from exact back to bulk. A connection begins exact.
//!
//! # Invariants
//!
//! 1. Every limit is checked on the frame's header, before its body is read or space for it is
//!    allocated. (test `limits_are_checked_on_the_header`)
//! 2. The result does not depend on where reads are split. (test `every_split_gives_the_same`)
//! 3. For a large frame at most as much again as has come of it is allocated, or [`GROWTH_BYTES`]
//!    at first, unless memory of that size is to spare. (test `an_announced_frame_is_allocated_as_it_arrives`)
//! 4. After a violation the decoder is not fed again; the connection is closed. (held by
//!    `Conn::read`, which ends with it)
//!
//! # Not here
//!
//! Greeting and handshake (`handshake.rs`); what a command means (`command.rs`).

use bytes::Bytes;
use smallvec::SmallVec;

use super::buffer::{Cutter, Lent, READ_BYTES, ReadBuffer};
use super::{FLAG_COMMAND, FLAG_LONG, FLAG_MORE, FLAGS_RESERVED, Violation};
use crate::counters;
use crate::message::{Frame, Message};

/// Bytes of the longest frame header.
pub const HEADER_MAX: usize = 9;
/// The longest way from one large frame to the next that is read along with the first.
pub const GAP_MAX: usize = 128;
/// Unfinished frames up to this many bytes wait in the carry; longer ones get their own space.
const CARRY_MAX: usize = 16 * 1024;
/// Capacity that an empty carry keeps: a connection that is idle holds no more.
const CARRY_KEPT: usize = 1024;
/// Space for a large frame is allocated in steps of at most this many bytes, then by doubling.
pub const GROWTH_BYTES: usize = 1024 * 1024;

/// What a peer may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one frame.
    pub frame_bytes_max: u64,
    /// Frames of one message.
    pub frames_max: usize,
    /// Payload bytes of one message.
    pub message_bytes_max: u64,
    /// Bytes of the body of a command.
    pub command_bytes_max: u64,
}

/// Takes what the decoder finds, in order.
pub trait Sink {
    /// A whole message.
    fn message(&mut self, message: Message);
    /// The body of a command.
    ///
    /// # Errors
    ///
    /// If the command may not come now; the decoder stops and hands the violation on.
    fn command(&mut self, body: &[u8]) -> Result<(), Violation>;
}

/// Where the next bytes shall be read to.
#[derive(Debug)]
pub enum Plan<'a> {
    /// Into the shared buffer from `offset` on, at most `max` bytes; then [`Decoder::feed`].
    Shared {
        /// Bytes at the front of the buffer that are the decoder's already.
        offset: usize,
        /// The most that may be read.
        max: usize,
    },
    /// Into the spare capacity of this vector; then [`Decoder::fed_own`].
    Own(&'a mut Vec<u8>),
}

#[derive(Debug)]
struct Large {
    body: Vec<u8>,
    len: usize,
    more: bool,
}

/// The state of one connection's incoming traffic.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    carry: Vec<u8>,
    large: Option<Large>,
    frames: SmallVec<[Frame; 2]>,
    bytes: u64,
    exact: bool,
    had_large: bool,
    /// Bytes of whole frames since the last large one.
    since: usize,
    /// From the end of a large frame to the body of the next: the last four.
    gaps: [usize; 4],
}

#[derive(Debug, Clone, Copy)]
struct Header {
    flags: u8,
    /// Bytes of the header itself.
    size: usize,
    /// Bytes of the body.
    len: u64,
}

impl Header {
    /// The header at the front of `bytes`, once it is whole.
    fn parse(bytes: &[u8]) -> Result<Option<Header>, Violation> {
        let Some(&flags) = bytes.first() else {
            return Ok(None);
        };
        if flags & FLAGS_RESERVED != 0 {
            return Err(Violation::ReservedFlags { flags });
        }
        if flags & FLAG_COMMAND != 0 && flags & FLAG_MORE != 0 {
            return Err(Violation::CommandWithMore);
        }
        if flags & FLAG_LONG == 0 {
            return Ok(bytes.get(1).map(|&len| Header {
                flags,
                size: 2,
                len: len.into(),
            }));
        }
        let Some(length) = bytes[1..].first_chunk::<8>() else {
            return Ok(None);
        };
        let len = u64::from_be_bytes(*length);
        if len >> 63 != 0 {
            return Err(Violation::LengthOutOfRange);
        }
        Ok(Some(Header {
            flags,
            size: HEADER_MAX,
            len,
        }))
    }
}

/// What the frame at hand needs, and the header after it.
fn needed(carry: &[u8]) -> usize {
    match Header::parse(carry) {
        Ok(Some(header)) => header.size + header.len as usize + HEADER_MAX - carry.len(),
        Ok(None) | Err(_) => HEADER_MAX - carry.len(),
    }
}

impl Decoder {
    /// A decoder at the start of the traffic.
    pub fn new(limits: Limits) -> Self {
        Decoder {
            limits,
            carry: Vec::new(),
            large: None,
            frames: SmallVec::new(),
            bytes: 0,
            exact: true,
            had_large: false,
            since: 0,
            gaps: [HEADER_MAX; 4],
        }
    }

    /// Where the next bytes shall be read to. What the decoder holds back is put in front of
    /// `buffer`.
    pub fn plan<'a>(&'a mut self, buffer: &mut ReadBuffer) -> Plan<'a> {
        let gap = self.gap();
        let Some(large) = &mut self.large else {
            let offset = self.carry.len();
            buffer.space()[..offset].copy_from_slice(&self.carry);
            let max = if self.exact {
                needed(&self.carry)
            } else {
                READ_BYTES - offset
            };
            return Plan::Shared { offset, max };
        };
        if large.body.len() == large.body.capacity() {
            let room = (large.len + gap - large.body.len()).min(large.body.len());
            large.body.reserve_exact(room);
        }
        Plan::Own(&mut large.body)
    }

    /// Bytes that are read with a large frame, of what follows it: as far as the next one, if that
    /// comes as far behind it as those before.
    fn gap(&self) -> usize {
        self.gaps.into_iter().min().unwrap_or(HEADER_MAX)
    }

    /// Takes the first `filled` bytes of `buffer`, those that [`plan`](Self::plan) put there
    /// included.
    ///
    /// # Errors
    ///
    /// What the peer did against the protocol or the limits. What came before it has gone to
    /// `sink`.
    pub fn feed(
        &mut self,
        buffer: &mut ReadBuffer,
        filled: usize,
        sink: &mut impl Sink,
    ) -> Result<(), Violation> {
        self.carry.clear();
        buffer.lend(filled, |lent, cutter| self.cut(lent, cutter, sink))
    }

    /// Takes what was read into the vector that [`plan`](Self::plan) lent.
    ///
    /// # Errors
    ///
    /// As [`feed`](Self::feed).
    pub fn fed_own(
        &mut self,
        buffer: &mut ReadBuffer,
        sink: &mut impl Sink,
    ) -> Result<(), Violation> {
        let Some(mut large) = self.large.take_if(|large| large.body.len() >= large.len) else {
            return Ok(());
        };
        // Whole short frames may be among them.
        let behind: SmallVec<[u8; GAP_MAX]> = SmallVec::from_slice(&large.body[large.len..]);
        large.body.truncate(large.len);
        let room = large.body.capacity();
        let body = Bytes::from(large.body);
        let cutter = buffer.cutter();
        cutter.spares.keep(&body, room);
        self.frame(body.into(), large.more, sink);
        self.since = 0;
        self.cut(Lent::few(&behind), cutter, sink)
    }

    fn cut(
        &mut self,
        lent: Lent<'_>,
        cutter: &mut Cutter,
        sink: &mut impl Sink,
    ) -> Result<(), Violation> {
        let bytes = lent.bytes;
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let Some(header) = Header::parse(rest)? else {
                self.carry.extend_from_slice(rest);
                if rest.is_empty() && self.carry.capacity() > CARRY_KEPT {
                    self.carry = Vec::new();
                }
                return Ok(());
            };
            self.check(&header)?;
            let start = at + header.size;
            let end = start as u64 + header.len;
            if end > bytes.len() as u64 {
                self.keep(&header, rest, cutter);
                return Ok(());
            }
            let end = end as usize;
            if header.flags & FLAG_COMMAND != 0 {
                sink.command(&bytes[start..end])?;
            } else {
                let frame = cutter.cut(lent, start, end);
                self.frame(frame, header.flags & FLAG_MORE != 0, sink);
            }
            self.since += end - at;
            at = end;
        }
    }

    /// Keeps the unfinished frame at the front of `rest` for the next read.
    fn keep(&mut self, header: &Header, rest: &[u8], cutter: &mut Cutter) {
        let body = &rest[header.size..];
        if header.size as u64 + header.len <= CARRY_MAX as u64 {
            counters::copied(body.len());
            self.carry.extend_from_slice(rest);
            return;
        }
        let len = header.len as usize;
        let gap = std::mem::take(&mut self.since) + header.size;
        self.gaps.rotate_right(1);
        self.gaps[0] = if gap <= GAP_MAX { gap } else { HEADER_MAX };
        let gap = self.gap();
        // With less room than that it would be read in more pieces than need be; with more, bytes of
        // the next large frame would be copied.
        let spare = cutter
            .spares
            .take(len.saturating_add(gap - gap / 4), len.saturating_add(gap));
        let mut space = spare
            .unwrap_or_else(|| Vec::with_capacity(len.min(GROWTH_BYTES.max(body.len())) + gap));
        counters::copied(body.len());
        space.extend_from_slice(body);
        self.large = Some(Large {
            body: space,
            len,
            more: header.flags & FLAG_MORE != 0,
        });
        self.carry = Vec::new();
        self.exact = true;
        self.had_large = true;
    }

    fn check(&self, header: &Header) -> Result<(), Violation> {
        let limits = &self.limits;
        if header.flags & FLAG_COMMAND != 0 {
            // A command that does not fit the carry could never be completed.
            let max = limits
                .command_bytes_max
                .min((CARRY_MAX - HEADER_MAX) as u64);
            if header.len > max {
                return Err(Violation::CommandTooLarge {
                    bytes: header.len,
                    max,
                });
            }
            return Ok(());
        }
        if header.len > limits.frame_bytes_max {
            return Err(Violation::FrameTooLarge {
                bytes: header.len,
                max: limits.frame_bytes_max,
            });
        }
        if self.frames.len() >= limits.frames_max {
            return Err(Violation::TooManyFrames {
                max: limits.frames_max,
            });
        }
        let bytes = self.bytes + header.len;
        if bytes > limits.message_bytes_max {
            return Err(Violation::MessageTooLarge {
                bytes,
                max: limits.message_bytes_max,
            });
        }
        Ok(())
    }

    #[inline]
    fn frame(&mut self, frame: Frame, more: bool, sink: &mut impl Sink) {
        if !more && self.frames.is_empty() {
            // Nothing has been counted of it.
            self.exact = std::mem::take(&mut self.had_large);
            sink.message(Message::single(frame));
            return;
        }
        self.bytes += frame.len() as u64;
        self.frames.push(frame);
        if more {
            return;
        }
        self.exact = std::mem::take(&mut self.had_large);
        self.bytes = 0;
        sink.message(Message::from_parts(std::mem::take(&mut self.frames)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::encoder::Encoder;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        frame_bytes_max: 8 << 20,
        frames_max: 8,
        message_bytes_max: 16 << 20,
        command_bytes_max: 512,
    };

    #[derive(Default, Debug, PartialEq)]
    struct Found {
        messages: Vec<Message>,
        commands: Vec<Vec<u8>>,
    }

    impl Sink for Found {
        fn message(&mut self, message: Message) {
            self.messages.push(message);
        }
        fn command(&mut self, body: &[u8]) -> Result<(), Violation> {
            self.commands.push(body.to_vec());
            Ok(())
        }
    }

    /// Feeds `wire`, reading no further than each of `cuts` at a time; counts bytes that landed
    /// in the shared buffer.
    fn decode(
        wire: &[u8],
        cuts: &[usize],
        limits: Limits,
    ) -> (Found, Result<(), Violation>, usize) {
        let mut decoder = Decoder::new(limits);
        let mut buffer = ReadBuffer::new();
        let mut found = Found::default();
        let (mut at, mut shared) = (0, 0);
        let mut cuts = cuts
            .iter()
            .map(|&cut| cut.min(wire.len()))
            .chain(std::iter::once(wire.len()));
        let mut until = cuts.next().unwrap_or(wire.len());
        while at < wire.len() {
            if at >= until {
                until = cuts.next().unwrap_or(wire.len());
                continue;
            }
            let fed = match decoder.plan(&mut buffer) {
                Plan::Shared { offset, max } => {
                    let n = max.min(until - at);
                    assert!(
                        n > 0,
                        "a read of nothing would look like the end of the stream"
                    );
                    buffer.space()[offset..offset + n].copy_from_slice(&wire[at..at + n]);
                    at += n;
                    shared += n;
                    decoder.feed(&mut buffer, offset + n, &mut found)
                }
                Plan::Own(body) => {
                    let n = (body.capacity() - body.len()).min(until - at);
                    assert!(n > 0);
                    body.extend_from_slice(&wire[at..at + n]);
                    at += n;
                    decoder.fed_own(&mut buffer, &mut found)
                }
            };
            if let Err(violation) = fed {
                return (found, Err(violation), shared);
            }
        }
        (found, Ok(()), shared)
    }

    fn encode(messages: &[Message]) -> Vec<u8> {
        let mut encoder = Encoder::default();
        for message in messages {
            encoder.push(message.clone());
        }
        encoder.to_vec()
    }

    #[test]
    fn every_split_gives_the_same() {
        let messages = vec![
            Message::from("a"),
            Message::from([vec![], vec![1; 255], vec![2; 256], vec![3; 700]].map(Frame::from)),
            Message::from(vec![9; 20]),
        ];
        let mut wire = encode(&messages);
        wire.extend_from_slice(&[FLAG_COMMAND, 3, b'a', b'b', b'c']);
        for cut in 0..=wire.len() {
            let (found, result, _) = decode(&wire, &[cut], LIMITS);
            assert_eq!(result, Ok(()));
            assert_eq!(found.messages, messages, "cut at {cut}");
            assert_eq!(found.commands, [b"abc"]);
        }
        let every_byte: Vec<usize> = (0..wire.len()).collect();
        assert_eq!(decode(&wire, &every_byte, LIMITS).0.messages, messages);
    }

    #[test]
    fn a_decoder_between_messages_holds_no_large_carry() {
        let wire = encode(&[Message::from(vec![1; 12_000])]);
        let mut decoder = Decoder::new(LIMITS);
        let mut buffer = ReadBuffer::new();
        let mut found = Found::default();
        let mut read = |bytes: &[u8]| {
            let Plan::Shared { offset, max } = decoder.plan(&mut buffer) else {
                panic!("a small frame")
            };
            assert!(bytes.len() <= max);
            buffer.space()[offset..offset + bytes.len()].copy_from_slice(bytes);
            decoder
                .feed(&mut buffer, offset + bytes.len(), &mut found)
                .unwrap();
            decoder.carry.capacity()
        };
        assert!(read(&wire[..9]) <= CARRY_KEPT);
        assert!(read(&wire[9..9000]) >= 9000, "half of it is held");
        assert!(read(&wire[9000..]) <= CARRY_KEPT, "and then nothing");
    }

    #[test]
    fn large_frames_do_not_pass_through_the_shared_buffer() {
        let messages: Vec<Message> = (0..5)
            .map(|n| Message::from(vec![n; (1 << 20) + n as usize]))
            .collect();
        let wire = encode(&messages);
        let (found, result, shared) = decode(&wire, &[], LIMITS);
        assert_eq!((found.messages, result), (messages, Ok(())));
        assert!(
            shared <= 5 * HEADER_MAX,
            "{shared} bytes, more than the headers"
        );
    }

    #[test]
    fn small_frames_beside_large_ones_do_not_make_them_pass_through_the_shared_buffer() {
        let message = Message::from(
            [vec![1; 20], vec![2; 1 << 20], vec![3; 5], vec![4; 100_000]].map(Frame::from),
        );
        let wire = encode(&[message.clone(), message.clone()]);
        let (found, result, shared) = decode(&wire, &[], LIMITS);
        assert_eq!((found.messages.len(), result), (2, Ok(())));
        assert_eq!(found.messages[1], message);
        assert!(
            shared < 200,
            "{shared} bytes passed through the shared buffer"
        );
    }

    #[test]
    fn a_stream_of_large_frames_takes_one_read_each() {
        let message = |n: u8| {
            let head = Frame::from(vec![n; 20 + usize::from(n / 128)]);
            Message::from([head, Frame::from(vec![n; 70_000])])
        };
        let messages: Vec<Message> = (0..=255).map(message).collect();
        let wire = encode(&messages);
        let (mut decoder, mut buffer) = (Decoder::new(LIMITS), ReadBuffer::new());
        let (mut found, mut at, mut reads) = (Found::default(), 0, 0);
        while at < wire.len() {
            reads += 1;
            let rest = &wire[at..];
            match decoder.plan(&mut buffer) {
                Plan::Shared { offset, max } => {
                    let n = max.min(rest.len());
                    buffer.space()[offset..offset + n].copy_from_slice(&rest[..n]);
                    at += n;
                    decoder.feed(&mut buffer, offset + n, &mut found).unwrap();
                }
                Plan::Own(body) => {
                    let n = (body.capacity() - body.len()).min(rest.len());
                    body.extend_from_slice(&rest[..n]);
                    at += n;
                    decoder.fed_own(&mut buffer, &mut found).unwrap();
                }
            }
        }
        assert_eq!(found.messages, messages);
        // Some more at the beginning, and where the heads become longer.
        assert!(reads <= 256 + 32, "{reads} reads");
    }

    #[test]
    fn a_message_without_a_large_frame_leads_back_to_bulk_reads() {
        let mut decoder = Decoder::new(LIMITS);
        let mut buffer = ReadBuffer::new();
        let mut found = Found::default();
        assert!(matches!(
            decoder.plan(&mut buffer),
            Plan::Shared {
                offset: 0,
                max: HEADER_MAX
            }
        ));
        buffer.space()[..3].copy_from_slice(&[0, 1, 7]);
        decoder.feed(&mut buffer, 3, &mut found).unwrap();
        assert!(matches!(
            decoder.plan(&mut buffer),
            Plan::Shared {
                offset: 0,
                max: READ_BYTES
            }
        ));
    }

    #[test]
    fn limits_are_checked_on_the_header() {
        let long = |flags: u8, len: u64| {
            let mut wire = vec![flags | FLAG_LONG];
            wire.extend_from_slice(&len.to_be_bytes());
            wire
        };
        let refused = |wire: &[u8]| decode(wire, &[], LIMITS).1.unwrap_err();
        assert_eq!(
            refused(&long(0, 1 << 30)),
            Violation::FrameTooLarge {
                bytes: 1 << 30,
                max: 8 << 20
            }
        );
        assert_eq!(refused(&long(0, u64::MAX)), Violation::LengthOutOfRange);
        assert_eq!(
            refused(&long(FLAG_COMMAND, 513)),
            Violation::CommandTooLarge {
                bytes: 513,
                max: 512
            }
        );
        assert_eq!(
            refused(&[FLAG_COMMAND | FLAG_MORE, 0]),
            Violation::CommandWithMore
        );
        assert_eq!(refused(&[0x08]), Violation::ReservedFlags { flags: 8 });
        let nine_frames = [FLAG_MORE, 0].repeat(9);
        assert_eq!(refused(&nine_frames), Violation::TooManyFrames { max: 8 });
        let mut three = long(FLAG_MORE, 8 << 20);
        three.extend(vec![0; 8 << 20]);
        let mut wire = three.repeat(2);
        wire.extend([0, 1]);
        assert_eq!(
            refused(&wire),
            Violation::MessageTooLarge {
                bytes: (16 << 20) + 1,
                max: 16 << 20
            }
        );
    }

    #[test]
    fn an_announced_frame_is_allocated_as_it_arrives() {
        let mut decoder = Decoder::new(LIMITS);
        let mut buffer = ReadBuffer::new();
        let mut header = vec![FLAG_LONG];
        header.extend_from_slice(&(8u64 << 20).to_be_bytes());
        buffer.space()[..9].copy_from_slice(&header);
        decoder.feed(&mut buffer, 9, &mut Found::default()).unwrap();
        let mut sent = 0;
        while sent < 4 << 20 {
            let Plan::Own(body) = decoder.plan(&mut buffer) else {
                panic!("a large frame")
            };
            assert!(body.capacity() <= body.len() + GROWTH_BYTES.max(body.len()) + HEADER_MAX);
            let n = body.capacity() - body.len();
            body.resize(body.capacity(), 0);
            sent += n;
            decoder.fed_own(&mut buffer, &mut Found::default()).unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            wire in proptest::collection::vec(any::<u8>(), 0..2000),
            cuts in proptest::collection::vec(0usize..2000, 0..8),
        ) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (whole, result, _) = decode(&wire, &[], LIMITS);
            let (split, split_result, _) = decode(&wire, &cuts, LIMITS);
            prop_assert_eq!(whole, split);
            prop_assert_eq!(result, split_result);
        }

        #[test]
        fn messages_survive_any_split(
            sizes in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![0usize..300, 4000usize..70_000], 1..4), 1..6),
            cuts in proptest::collection::vec(0usize..400_000, 0..12),
        ) {
            let messages: Vec<Message> = sizes.iter().enumerate().map(|(m, frames)| {
                frames.iter().enumerate().map(|(f, &n)| Frame::from(vec![(m * 16 + f) as u8; n])).collect()
            }).collect();
            let wire = encode(&messages);
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (found, result, _) = decode(&wire, &cuts, LIMITS);
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(found.messages, messages);
        }
    }
}
