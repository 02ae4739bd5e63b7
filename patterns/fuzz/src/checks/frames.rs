//! A stream of frames: whatever pieces it arrives in, the decoder gives what a parser of the whole stream finds,
//! each message as soon as its last byte is there, and holds no more memory than the limits allow.

use std::ops::Range;

use brokerless_patterns::Message;
use brokerless_patterns::zmtp::Violation;
use brokerless_patterns::zmtp::buffer::{READ_BYTES, ReadBuffer};
use brokerless_patterns::zmtp::command::{self, Command};
use brokerless_patterns::zmtp::decoder::{Decoder, GAP_MAX, GROWTH_BYTES, Limits, Plan, Sink};

use super::alloc::{self, counted};
use super::input::Input;
use super::reference::{Next, Walk};
use super::{Pieces, Seen};

/// The limits that an input can choose from.
pub(crate) const LIMITS: [Limits; 5] = [
    limits(40_000, 16, 100_000, 512),
    limits(100, 3, 250, 32),
    // What a socket has by default.
    limits(64 << 20, 1024, 64 << 20, 8 * 1024),
    limits(8 << 20, 64, 8 << 20, 100_000),
    // No limit at all, but for commands.
    limits(u64::MAX, usize::MAX, u64::MAX, u64::MAX),
];

const fn limits(frame: u64, frames: usize, message: u64, command: u64) -> Limits {
    Limits {
        frame_bytes_max: frame,
        frames_max: frames,
        message_bytes_max: message,
        command_bytes_max: command,
    }
}

/// The longest stream.
const WIRE_BYTES_MAX: usize = 160 * 1024;
/// The longest stream with [`LARGE`]: enough for a frame that outgrows its first allocation.
const LARGE_WIRE_BYTES_MAX: usize = GROWTH_BYTES + 96 * 1024;
/// The limits, by their place, that large frames are tried with.
const LARGE: usize = 3;

/// An input: which limits, with the top bit for commands other than PING and PONG being refused; pieces; the stream.
pub(crate) struct Stream<'a> {
    pub(crate) limits: Limits,
    pub(crate) strict: bool,
    pub(crate) pieces: Pieces,
    pub(crate) wire: std::borrow::Cow<'a, [u8]>,
}

impl<'a> Stream<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Self {
        let mut input = Input::new(data);
        let settings = input.byte();
        // One value of the byte, and not every fifth: such streams take a thousand times as long.
        let limits = match usize::from(settings & 0x7F) {
            LARGE => LARGE,
            any => [0, 1, 2, 4][any % 4],
        };
        Stream {
            limits: LIMITS[limits].clone(),
            strict: settings & 0x80 != 0,
            pieces: Pieces::take(&mut input),
            wire: input.wire(if limits == LARGE {
                LARGE_WIRE_BYTES_MAX
            } else {
                WIRE_BYTES_MAX
            }),
        }
    }
}

pub(super) fn check(data: &[u8]) -> Seen {
    run(Stream::parse(data))
}

/// What a parser of the whole stream finds.
struct Expected {
    items: Vec<Item>,
    frames: Vec<Range<usize>>,
    announced_most: u64,
    end: Result<(), Violation>,
}

struct Item {
    /// Where in the stream it is complete.
    end: usize,
    what: What,
}

enum What {
    /// Its frames, by their places in `Expected::frames`.
    Message(Range<usize>),
    Command(Range<usize>),
    /// A command that the sink is to refuse.
    Refused(Range<usize>),
}

impl Expected {
    /// Whether the stream ends with a message.
    fn ends_whole(&self, len: usize) -> bool {
        self.items
            .last()
            .is_some_and(|item| item.end == len && matches!(item.what, What::Message(_)))
    }
}

fn expected(stream: &Stream<'_>) -> Expected {
    let wire = &stream.wire[..];
    let mut walk = Walk::new(stream.limits.clone(), 0);
    let mut all = Expected {
        items: Vec::new(),
        frames: Vec::new(),
        announced_most: 0,
        end: Ok(()),
    };
    loop {
        let next = walk.next(wire);
        all.announced_most = walk.announced_most();
        let what = match next {
            Next::Wait => return all,
            Next::Violation(violation) => {
                all.end = Err(violation);
                return all;
            }
            Next::Message => {
                let first = all.frames.len();
                all.frames.extend_from_slice(&walk.frames);
                What::Message(first..all.frames.len())
            }
            Next::Command(body) => match judge(stream.strict, &wire[body.clone()]) {
                Ok(()) => What::Command(body),
                Err(violation) => {
                    all.end = Err(violation);
                    What::Refused(body)
                }
            },
        };
        all.items.push(Item {
            end: walk.at(),
            what,
        });
        if all.end.is_err() {
            return all;
        }
    }
}

/// What a connection does with a command.
fn judge(strict: bool, body: &[u8]) -> Result<(), Violation> {
    if !strict {
        return Ok(());
    }
    match command::parse(body)? {
        Command::Ping { .. } | Command::Pong { .. } => Ok(()),
        other => Err(other.unexpected()),
    }
}

struct Compare<'a> {
    stream: &'a Stream<'a>,
    expected: &'a Expected,
    next: usize,
}

impl Compare<'_> {
    fn item(&mut self) -> &What {
        let item = self.expected.items.get(self.next);
        self.next += 1;
        &item.expect("nothing more is in the stream").what
    }
}

impl Sink for Compare<'_> {
    fn message(&mut self, message: Message) {
        let (wire, frames) = (&self.stream.wire, &self.expected.frames);
        let What::Message(these) = self.item() else {
            panic!("a command came as a message");
        };
        let these = &frames[these.clone()];
        assert_eq!(message.len(), these.len(), "frames");
        for (found, place) in message.iter().zip(these) {
            assert!(found[..] == wire[place.clone()], "the frame at {place:?}");
        }
    }

    fn command(&mut self, body: &[u8]) -> Result<(), Violation> {
        let (strict, wire) = (self.stream.strict, &self.stream.wire);
        let (What::Command(place) | What::Refused(place)) = self.item() else {
            panic!("a message came as a command");
        };
        assert_eq!(body, &wire[place.clone()]);
        judge(strict, body)
    }
}

/// Reads the stream, piece by piece.
pub(crate) fn run(mut stream: Stream<'_>) -> Seen {
    let mut pieces = stream.pieces;
    stream.pieces = Pieces::of(&[]);
    let expected = expected(&stream);
    let wire = &stream.wire[..];
    let mut sink = Compare {
        stream: &stream,
        expected: &expected,
        next: 0,
    };
    alloc::start();
    let mut buffer = counted(ReadBuffer::new);
    let mut decoder = counted(|| Decoder::new(stream.limits.clone()));
    let (mut at, mut arrived, mut end) = (0, 0, Ok(()));
    while at < wire.len() && end.is_ok() {
        if at == arrived {
            arrived = pieces.end(at, wire.len());
        }
        let (read, fed) =
            counted(|| read(&mut decoder, &mut buffer, &wire[at..arrived], &mut sink));
        at += read;
        end = fed;
        let complete = expected.items.partition_point(|item| item.end <= at);
        let given = sink.next;
        if end.is_ok() {
            assert_eq!(given, complete, "items after {at} bytes");
        }
    }
    let at_rest = end.is_ok() && expected.ends_whole(wire.len());
    // What is kept of large frames goes with the second rest.
    (0..2).for_each(|_| counted(|| buffer.rest()));
    if at_rest {
        assert!(alloc::held_bytes() <= BUFFER_BYTES_AT_REST + DECODER_BYTES_AT_REST);
    }
    counted(|| drop(buffer));
    if at_rest {
        assert!(alloc::held_bytes() <= DECODER_BYTES_AT_REST);
    }
    counted(|| drop(decoder));
    assert_eq!(end, expected.end);
    assert_eq!(sink.next, expected.items.len());
    Seen {
        taken: sink.next - usize::from(matches!(expected.items.last(), Some(item) if matches!(item.what, What::Refused(_)))),
        refused: end.err().map(|violation| violation.name().into()).into_iter().collect(),
        ..Seen::default()
    }
    .measured(bytes_allowed(
        &stream.limits,
        wire.len(),
        expected.announced_most,
    ))
}

/// One read of what has arrived, as a connection does it: how much was taken, and what came of it.
pub(crate) fn read(
    decoder: &mut Decoder,
    buffer: &mut ReadBuffer,
    arrived: &[u8],
    sink: &mut impl Sink,
) -> (usize, Result<(), Violation>) {
    match decoder.plan(buffer) {
        Plan::Shared { offset, max } => {
            let read = max.min(arrived.len());
            assert!(read > 0, "a read of nothing would look like the end");
            buffer.space()[offset..offset + read].copy_from_slice(&arrived[..read]);
            (read, decoder.feed(buffer, offset + read, sink))
        }
        Plan::Own(body) => {
            let room = body.capacity() - body.len();
            // Or memory of one that has come whole.
            let most = body.len().max(LARGE_WIRE_BYTES_MAX);
            assert!(room <= most + GAP_MAX, "{room}");
            let read = room.min(arrived.len());
            assert!(read > 0, "a read of nothing would look like the end");
            body.extend_from_slice(&arrived[..read]);
            (read, decoder.fed_own(buffer, sink))
        }
    }
}

/// What a decoder keeps between two messages.
const DECODER_BYTES_AT_REST: usize = 1024;
/// What a read buffer keeps when no frame is: one at hand, eight for later, and a chunk for small frames.
const BUFFER_BYTES_AT_REST: usize = 9 * READ_BYTES + 8 * 1024;

/// What a read buffer and a decoder may hold at most, given so many bytes from the peer, the largest frame of them
/// announced with `announced`, while messages are not kept.
///
/// A frame pins at most 16 times its bytes; the buffer keeps eight buffers that were once pinned, and has two at hand;
/// a frame under way takes what it announces, but no more than it has sent, or [`GROWTH_BYTES`]; the memory of
/// those that came is kept for others, once.
pub(crate) fn bytes_allowed(limits: &Limits, received: usize, announced: u64) -> usize {
    const FIXED: usize = 16 * 1024;
    let cap = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX).min(received);
    let message = 16 * cap(limits.message_bytes_max);
    let pool = (9 * READ_BYTES).min(16 * received);
    let under_way = announced
        .min(limits.frame_bytes_max)
        .min((received + received.max(GROWTH_BYTES)) as u64) as usize
        + GAP_MAX;
    // Each has more than 16 KiB.
    let spares = received + GAP_MAX * (received / (16 * 1024));
    let carry = (32 * 1024).min(2 * received);
    let frames = 128 * limits.frames_max.min(received / 2);
    FIXED + READ_BYTES + message + pool + under_way + spares + carry + frames
}
