//! Two sides of ours, from the first byte on: what one sends is what the other gets, in order and each once, however
//! the bytes are cut on their way and whatever happens in between.
//!
//! ```text
//! push -> Encoder -> write(n) -> log of the line -> read(n) -> Handshake, Decoder -> compared
//!            |                        ^
//!            v                        | inject, corrupt: from now on the line is foul, and what is read
//!       take_unsent at a reconnect    | off it is compared with a parser of the log, not with what was sent
//! ```
//!
//! The input is a list of [`Operation`]s, read by hand and not derived, so that seeds can be written by hand too, and
//! the corpora keep their meaning.

use brokerless_patterns::Message;
use brokerless_patterns::zmtp::buffer::{READ_BYTES, ReadBuffer};
use brokerless_patterns::zmtp::decoder::{Decoder, Limits};
use brokerless_patterns::zmtp::encoder::{BY_REFERENCE_MIN, Encoder};
use brokerless_patterns::zmtp::{Handshake, HandshakeLimits, Local, Progress, SocketType};

use super::Seen;
use super::alloc::{self, counted};
use super::input::Input;
use super::line::{Item, Line, Text};
use super::{frames, greeting, reference};

/// Payload that one input may send, and bytes that it may put on the two lines.
const PAYLOAD_BYTES_MAX: usize = 300 * 1024;
/// Operations of one input.
const OPERATIONS_MAX: usize = 256;
/// A command is not queued behind this many bytes.
const COMMANDS_BEHIND_MAX: usize = 64 * 1024;
/// Slices of one vectored write.
const SLICES_MAX: usize = 64;

/// Sizes of frames that a byte from 216 on stands for; below, it is the size.
const SIZES: [usize; 40] = [
    216, 217, 253, 254, 255, 256, 257, 258, 300, 500, 511, 512, 513, 514, 1000, 2000, 4000, 4086,
    4087, 4088, 4094, 4095, 4096, 4097, 4098, 5000, 8192, 12_000, 16_374, 16_375, 16_376, 16_384,
    20_000, 32_768, 60_000, 65_526, 65_527, 65_536, 70_000, 140_000,
];

/// How much a write or a read takes.
const AMOUNTS: [usize; 16] = [
    1,
    2,
    3,
    7,
    9,
    10,
    17,
    64,
    100,
    255,
    1000,
    4096,
    16_384,
    65_536,
    100_000,
    usize::MAX,
];

/// One thing that happens. `side` 0 dials, 1 accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// A message of frames of these sizes is sent.
    Send { side: usize, sizes: &'a [u8] },
    /// A message of this many frames of one size.
    SendMany { side: usize, count: u8, size: u8 },
    /// A PING is sent.
    Ping {
        side: usize,
        ttl_deciseconds: u16,
        context: &'a [u8],
    },
    /// The system takes this much from the side.
    Write { side: usize, most: usize },
    /// The side reads this much.
    Read { side: usize, most: usize },
    /// All that the side has goes out, and is read by the other.
    Shuttle { side: usize },
    /// Garbage on the line from this side.
    Inject { side: usize, bytes: &'a [u8] },
    /// A byte not read yet is changed, counted from the newest.
    Corrupt { side: usize, back: usize, flip: u8 },
    /// The connection breaks; what was not written whole goes over the next.
    Reconnect,
    /// The accepting side will not let the peer in by itself.
    Hold,
    /// The accepting side lets the peer in, perhaps before it came.
    Admit,
    /// The accepting side turns the peer away.
    Refuse,
    /// The side gives up buffers that it does not need.
    Release { side: usize },
    /// Everything is written and read until nothing moves.
    Settle,
}

impl<'a> Operation<'a> {
    /// Bits 0 to 2 say what, bit 3 which side, bits 4 to 7 are a detail; more may follow.
    pub(crate) fn take(input: &mut Input<'a>) -> Self {
        let code = input.byte();
        let side = usize::from(code >> 3 & 1);
        let detail = usize::from(code >> 4);
        match code & 7 {
            0 if detail == 15 => Operation::SendMany {
                side,
                count: input.byte(),
                size: input.byte(),
            },
            0 => Operation::Send {
                side,
                sizes: input.take(detail % 6 + 1),
            },
            1 => Operation::Ping {
                side,
                ttl_deciseconds: input.number(),
                // Over 16 bytes once, which the encoder cuts.
                context: input.take(if detail == 15 { 20 } else { detail }),
            },
            2 => Operation::Write {
                side,
                most: AMOUNTS[detail],
            },
            3 => Operation::Read {
                side,
                most: AMOUNTS[detail],
            },
            4 => Operation::Shuttle { side },
            5 => {
                let count = if detail == 15 {
                    usize::from(input.byte())
                } else {
                    detail + 1
                };
                Operation::Inject {
                    side,
                    bytes: input.take(count),
                }
            }
            6 => match detail {
                0 | 1 => Operation::Reconnect,
                2 | 3 => Operation::Hold,
                4 | 5 => Operation::Admit,
                6 | 7 => Operation::Refuse,
                8 | 9 => Operation::Release { side },
                _ => Operation::Settle,
            },
            _ => Operation::Corrupt {
                side,
                back: detail,
                flip: input.byte(),
            },
        }
    }
}

/// An input: a pair of socket types, limits, then operations.
pub(super) fn check(data: &[u8]) -> Seen {
    run(data, usize::MAX)
}

/// As [`check`], but no read or write takes more than `most` bytes.
pub(crate) fn run(data: &[u8], most: usize) -> Seen {
    let mut input = Input::new(data);
    let mut world = World::new(input.byte(), input.byte(), most);
    for _ in 0..OPERATIONS_MAX {
        if input.is_empty() {
            break;
        }
        world.apply(Operation::take(&mut input));
    }
    world.finish()
}

enum Phase {
    Handshake(Box<Handshake>),
    /// The peer said READY and was not let in yet.
    Held(Box<Handshake>),
    Traffic(Box<Decoder>),
    Closed,
}

/// One end.
struct Side {
    socket_type: SocketType,
    phase: Phase,
    encoder: Encoder,
    /// Sent without a connection, or not written whole over the last.
    backlog: Vec<Text>,
}

struct World {
    sides: [Side; 2],
    /// `lines[i]` carries what side `i` sends.
    lines: [Line; 2],
    /// One for all connections, as in an engine.
    buffer: ReadBuffer,
    limits: Limits,
    legal: bool,
    hold: bool,
    /// The accepting side's READY has gone out before the dialing side's came.
    admitted_early: bool,
    refused: bool,
    /// No write and no read takes more.
    most: usize,
    sent: u32,
    payload: usize,
    delivered: usize,
    violations: Vec<String>,
}

impl World {
    fn new(pair: u8, rules: u8, most: usize) -> Self {
        let legal = reference::legal_pairs();
        let types = match usize::from(pair) {
            few if few < 128 => legal[few % legal.len()],
            any => (
                SocketType::ALL[any % 11],
                SocketType::ALL[(any - 128) / 11 % 11],
            ),
        };
        let limits = frames::LIMITS[usize::from(rules) % frames::LIMITS.len()].clone();
        let side = |socket_type| Side {
            socket_type,
            phase: Phase::Closed,
            encoder: Encoder::default(),
            backlog: Vec::new(),
        };
        alloc::start();
        let mut world = World {
            sides: [side(types.0), side(types.1)],
            lines: [Line::new(&limits), Line::new(&limits)],
            buffer: counted(ReadBuffer::new),
            legal: legal.contains(&types),
            limits,
            hold: false,
            admitted_early: false,
            refused: false,
            most,
            sent: 0,
            payload: 0,
            delivered: 0,
            violations: Vec::new(),
        };
        world.open();
        world
    }

    /// A new connection.
    fn open(&mut self) {
        self.refused = false;
        self.admitted_early = false;
        for (index, side) in self.sides.iter_mut().enumerate() {
            let local = Local {
                socket_type: side.socket_type,
                identity: bytes::Bytes::from_static(if index == 0 { b"dialer" } else { b"" }),
                heartbeats: false,
                responder: index == 1,
            };
            let mut handshake =
                counted(|| Box::new(Handshake::new(local, HandshakeLimits::default())));
            let greeting = counted(|| handshake.take_output());
            self.lines[index].restart(&greeting);
            counted(|| drop(greeting));
            side.phase = Phase::Handshake(handshake);
        }
    }

    fn apply(&mut self, operation: Operation<'_>) {
        match operation {
            Operation::Send { side, sizes } => {
                self.send(side, sizes.iter().map(|&code| size(code)))
            }
            Operation::SendMany {
                side,
                count,
                size: code,
            } => {
                self.send(side, (0..count).map(|_| size(code)));
            }
            Operation::Ping {
                side,
                ttl_deciseconds,
                context,
            } => self.ping(side, ttl_deciseconds, context),
            Operation::Write { side, most } => self.write(side, most.min(self.most)),
            Operation::Read { side, most } => self.read(side, most.min(self.most)),
            Operation::Shuttle { side } => {
                self.write_all(side);
                self.read_all(1 - side);
            }
            Operation::Inject { side, bytes } => self.lines[side].inject(bytes),
            Operation::Corrupt { side, back, flip } => self.lines[side].corrupt(back, flip),
            Operation::Reconnect => {
                self.disconnect();
                self.open();
            }
            Operation::Hold => self.hold = true,
            Operation::Admit => self.admit(),
            Operation::Refuse => self.refuse("enough"),
            Operation::Release { side } => {
                let encoder = &mut self.sides[side].encoder;
                if encoder.is_empty() {
                    counted(|| encoder.release());
                }
            }
            Operation::Settle => self.settle(),
        }
    }

    fn send(&mut self, side: usize, sizes: impl Iterator<Item = usize>) {
        let text = Text::new(self.sent, sizes);
        if self.payload + text.bytes() > PAYLOAD_BYTES_MAX {
            return;
        }
        self.payload += text.bytes();
        self.sent += 1;
        if matches!(self.sides[side].phase, Phase::Traffic(_)) {
            self.push(side, text);
        } else {
            self.sides[side].backlog.push(text);
        }
    }

    fn push(&mut self, side: usize, text: Text) {
        let message = text.message();
        let encoder = &mut self.sides[side].encoder;
        counted(|| encoder.push(message));
        self.lines[side].pushed(Item::Message(text), &self.limits);
        self.books(side);
    }

    fn ping(&mut self, side: usize, ttl_deciseconds: u16, context: &[u8]) {
        let item = Item::Ping {
            ttl_deciseconds,
            context: context[..context.len().min(16)].into(),
        };
        self.command(side, &[item]);
    }

    /// Queues commands as one piece, unless there is no connection or much is waiting.
    fn command(&mut self, side: usize, items: &[Item]) {
        let Side { phase, encoder, .. } = &mut self.sides[side];
        if items.is_empty()
            || !matches!(phase, Phase::Traffic(_))
            || encoder.len() >= COMMANDS_BEHIND_MAX
        {
            return;
        }
        let mut piece = Vec::new();
        for item in items {
            item.write_command(&mut piece);
        }
        counted(|| encoder.push_command(&piece));
        for item in items {
            self.lines[side].pushed(item.clone(), &self.limits);
        }
        self.books(side);
    }

    /// The encoder's counts agree with the model's.
    fn books(&self, side: usize) {
        let (encoder, line) = (&self.sides[side].encoder, &self.lines[side]);
        assert_eq!(encoder.len(), line.unwritten_bytes());
        assert_eq!(encoder.is_empty(), line.unwritten_bytes() == 0);
        assert_eq!(encoder.messages(), line.unwritten().len());
    }

    /// One vectored write, of which the system takes this much.
    fn write(&mut self, side: usize, most: usize) {
        let encoder = &mut self.sides[side].encoder;
        let line = &mut self.lines[side];
        let slices = counted(|| encoder.slices());
        assert!(slices.len() <= SLICES_MAX, "{} slices", slices.len());
        assert_eq!(slices.is_empty(), line.unwritten_bytes() == 0);
        let mut taken = 0;
        for slice in &slices {
            assert!(!slice.is_empty());
            let part = &slice[..slice.len().min(most - taken)];
            line.wrote(part);
            taken += part.len();
        }
        counted(|| drop(slices));
        let whole = counted(|| encoder.advance(taken));
        assert_eq!(whole, line.went_out());
        self.books(side);
    }

    fn write_all(&mut self, side: usize) {
        while !self.sides[side].encoder.is_empty() {
            self.write(side, self.most);
        }
    }

    fn read_all(&mut self, side: usize) -> bool {
        let mut moved = false;
        loop {
            let before = self.lines[1 - side].unread();
            self.read(side, self.most);
            if self.lines[1 - side].unread() == before {
                return moved;
            }
            moved = true;
        }
    }

    /// Reads at most this much of what is on the line.
    fn read(&mut self, side: usize, most: usize) {
        let mut budget = most;
        while budget > 0 {
            let unread = self.lines[1 - side].unread().min(budget);
            let read = match &self.sides[side].phase {
                _ if unread == 0 => 0,
                Phase::Handshake(_) => self.shake(side, unread),
                Phase::Traffic(_) => self.traffic(side, unread),
                Phase::Held(_) | Phase::Closed => 0,
            };
            if read == 0 {
                return;
            }
            budget -= read;
        }
    }

    fn shake(&mut self, side: usize, most: usize) -> usize {
        let Phase::Handshake(handshake) = &mut self.sides[side].phase else {
            return 0;
        };
        let line = &mut self.lines[1 - side];
        let read = handshake.wants().min(most);
        assert!(read > 0, "not at its end, and wants nothing");
        let fed = counted(|| handshake.feed(line.take(read)));
        let output = counted(|| handshake.take_output());
        self.lines[side].plain(&output);
        counted(|| drop(output));
        match fed {
            Ok(Progress::More) => {}
            Ok(Progress::Ready(peer)) => {
                let line = &mut self.lines[1 - side];
                if !line.is_foul() {
                    assert!(self.legal && !self.refused);
                    assert_eq!(peer.socket_type, self.sides[1 - side].socket_type);
                    let identity: &[u8] = if side == 1 { b"dialer" } else { b"" };
                    let types = [SocketType::Req, SocketType::Dealer, SocketType::Router];
                    if types.contains(&peer.socket_type) {
                        assert_eq!(peer.identity, identity);
                    }
                }
                counted(|| drop(peer));
                self.ready(side);
            }
            Err(violation) => {
                let known = self.lines[1 - side].is_foul() || !self.legal || self.refused;
                assert!(known, "{violation} on a clean line");
                self.violations.push(violation.name().into());
                let Phase::Handshake(handshake) = &mut self.sides[side].phase else {
                    return 0;
                };
                counted(|| handshake.refuse(violation.name()));
                let output = counted(|| handshake.take_output());
                self.lines[side].plain(&output);
                counted(|| drop((output, violation)));
                self.turned_away(side);
            }
        }
        read
    }

    /// The peer said READY: a dialing side is through, an accepting side decides.
    fn ready(&mut self, side: usize) {
        let phase = std::mem::replace(&mut self.sides[side].phase, Phase::Closed);
        let Phase::Handshake(handshake) = phase else {
            return;
        };
        self.sides[side].phase = Phase::Held(handshake);
        if side == 0 || !self.hold {
            self.let_in(side);
        }
    }

    fn let_in(&mut self, side: usize) {
        let Phase::Held(handshake) = &mut self.sides[side].phase else {
            return;
        };
        counted(|| handshake.admit());
        let output = counted(|| handshake.take_output());
        self.lines[side].plain(&output);
        counted(|| drop(output));
        self.close(side);
        let decoder = counted(|| Box::new(Decoder::new(self.limits.clone())));
        self.sides[side].phase = Phase::Traffic(decoder);
        self.lines[1 - side].traffic_begins(&self.limits);
        for text in std::mem::take(&mut self.sides[side].backlog) {
            self.push(side, text);
        }
    }

    fn admit(&mut self) {
        self.hold = false;
        match &mut self.sides[1].phase {
            Phase::Handshake(handshake) => {
                self.admitted_early = true;
                counted(|| handshake.admit());
                let output = counted(|| handshake.take_output());
                self.lines[1].plain(&output);
                counted(|| drop(output));
            }
            Phase::Held(_) => self.let_in(1),
            Phase::Traffic(_) | Phase::Closed => {}
        }
    }

    fn refuse(&mut self, reason: &str) {
        if let Phase::Handshake(handshake) | Phase::Held(handshake) = &mut self.sides[1].phase {
            counted(|| handshake.refuse(reason));
            let output = counted(|| handshake.take_output());
            self.lines[1].plain(&output);
            counted(|| drop(output));
            self.turned_away(1);
        }
    }

    /// ERROR has gone out from this side; behind a READY it is out of place.
    fn turned_away(&mut self, side: usize) {
        self.refused = true;
        if side == 0 || self.admitted_early {
            self.lines[side].taint();
        }
        self.close(side);
    }

    fn close(&mut self, side: usize) {
        let phase = std::mem::replace(&mut self.sides[side].phase, Phase::Closed);
        counted(|| drop(phase));
    }

    fn traffic(&mut self, side: usize, most: usize) -> usize {
        let Phase::Traffic(decoder) = &mut self.sides[side].phase else {
            return 0;
        };
        let buffer = &mut self.buffer;
        let (arrived, mut intake) = self.lines[1 - side].intake(most);
        let (read, fed) = counted(|| frames::read(decoder, buffer, arrived, &mut intake));
        self.delivered += intake.messages();
        let replies = intake.done(read, &fed);
        self.command(side, &replies);
        if let Err(violation) = fed {
            self.violations.push(violation.name().into());
            counted(|| drop(violation));
            self.close(side);
        }
        read
    }

    /// Both ends go; what was not written whole waits for the next connection.
    fn disconnect(&mut self) {
        for index in 0..2 {
            self.close(index);
            let Side {
                encoder, backlog, ..
            } = &mut self.sides[index];
            let line = &mut self.lines[index];
            assert!(encoder.to_vec() == line.unwritten_stream());
            let (unsent, lost) = counted(|| encoder.take_unsent());
            assert!(encoder.is_empty() && encoder.messages() == 0);
            let queued = line.unwritten();
            assert_eq!(unsent.len() + lost, queued.len());
            assert!(lost <= usize::from(line.first_is_cut()), "{lost} lost");
            for (message, (_, text)) in unsent.iter().zip(queued.iter().skip(lost)) {
                assert_same(message, text);
            }
            let back = queued.iter().skip(lost).map(|(_, text)| text.clone());
            backlog.splice(0..0, back);
            counted(|| drop(unsent));
        }
    }

    fn settle(&mut self) {
        loop {
            self.write_all(0);
            self.write_all(1);
            let moved = [self.read_all(0), self.read_all(1)];
            if moved == [false, false] && self.sides.iter().all(|side| side.encoder.is_empty()) {
                return;
            }
        }
    }

    /// In the end, everything that was sent over a clean line has come through.
    fn finish(mut self) -> Seen {
        self.settle();
        if self.hold {
            self.admit();
            self.settle();
        }
        let through = |side: &Side| matches!(side.phase, Phase::Traffic(_));
        let foul = self.lines.iter().any(Line::is_foul);
        if !foul {
            let open = self.sides.iter().filter(|side| through(side)).count();
            if self.legal && !self.refused {
                assert_eq!(open, 2, "a clean connection of a legal pair");
            }
            if !self.legal {
                assert!(!through(&self.sides[1]), "an illegal pair");
            }
            for (index, line) in self.lines.iter().enumerate() {
                if through(&self.sides[1 - index]) {
                    assert!(line.all_arrived(), "something was sent and did not come");
                }
            }
        }
        let allowed_bytes = self.bytes_allowed();
        self.disconnect();
        let World {
            buffer,
            sides,
            delivered,
            violations,
            ..
        } = self;
        counted(|| drop(buffer));
        for side in sides {
            counted(|| drop(side.encoder));
        }
        Seen {
            taken: delivered,
            refused: violations,
            peak_bytes: 0,
        }
        .measured(allowed_bytes)
    }

    /// What both sides may hold: a handshake or a decoder each, and what their encoders have gathered.
    fn bytes_allowed(&self) -> usize {
        let each = self.lines.iter().map(|line| {
            let received = line.received_most();
            greeting::bytes_allowed(HandshakeLimits::default(), received)
                + frames::bytes_allowed(&self.limits, received, line.announced_most())
                + line.encoder_bytes_allowed()
        });
        each.sum::<usize>() - READ_BYTES
    }
}

fn size(code: u8) -> usize {
    match usize::from(code).checked_sub(216) {
        None => code.into(),
        Some(large) => SIZES[large],
    }
}

/// The message is this text, byte for byte.
pub(super) fn assert_same(message: &Message, text: &Text) {
    assert_eq!(message.len(), text.frames().count());
    for (found, sent) in message.iter().zip(text.frames()) {
        assert!(found[..] == *sent, "a frame of {} bytes", sent.len());
    }
}

const _: () = assert!(BY_REFERENCE_MIN == 4096, "sizes around it are in `SIZES`");
