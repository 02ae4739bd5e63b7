//! One direction of a connection: what was sent, the bytes on the line, and what came of them.

use std::collections::VecDeque;
use std::sync::LazyLock;

use brokerless_patterns::zmtp::Violation;
use brokerless_patterns::zmtp::command::{self, Command};
use brokerless_patterns::zmtp::decoder::{Limits, Sink};
use brokerless_patterns::zmtp::encoder::BY_REFERENCE_MIN;
use brokerless_patterns::{Frame, Message};

use super::alloc::uncounted;
use super::reference::{Next, Walk};
use super::session::assert_same;

/// Bytes without a period, for payloads.
static NOISE: LazyLock<&'static [u8]> = LazyLock::new(|| {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let bytes: Vec<u8> = (0..150_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect();
    bytes.leak()
});

/// A message as the model knows it: sizes, and a number that its bytes follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    number: u32,
    sizes: Vec<usize>,
}

impl Text {
    /// No sizes are one empty frame.
    pub(super) fn new(number: u32, sizes: impl Iterator<Item = usize>) -> Self {
        let mut sizes: Vec<usize> = sizes.collect();
        if sizes.is_empty() {
            sizes.push(0);
        }
        Text { number, sizes }
    }

    pub(super) fn bytes(&self) -> usize {
        self.sizes.iter().sum()
    }

    pub(super) fn frames(&self) -> impl Iterator<Item = &'static [u8]> {
        let noise = *NOISE;
        let number = self.number as usize;
        self.sizes.iter().enumerate().map(move |(index, &size)| {
            let at = (number * 131 + index * 17) % 9000;
            &noise[at..at + size]
        })
    }

    pub(super) fn message(&self) -> Message {
        self.frames().map(Frame::from_static).collect()
    }
}

/// Something sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Message(Text),
    Ping {
        ttl_deciseconds: u16,
        context: Box<[u8]>,
    },
    Pong {
        context: Box<[u8]>,
    },
}

impl Item {
    /// The frame of a command; nothing for a message.
    pub(super) fn write_command(&self, out: &mut Vec<u8>) {
        match self {
            Item::Message(_) => {}
            Item::Ping {
                ttl_deciseconds,
                context,
            } => command::ping(out, *ttl_deciseconds, context),
            Item::Pong { context } => command::pong(out, context),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Item::Message(text) = self else {
            return self.write_command(out);
        };
        let last = text.sizes.len() - 1;
        for (index, frame) in text.frames().enumerate() {
            let more = u8::from(index < last);
            match u8::try_from(frame.len()) {
                Ok(short) => out.extend_from_slice(&[more, short]),
                Err(_) => {
                    out.push(more | 2);
                    out.extend_from_slice(&(frame.len() as u64).to_be_bytes());
                }
            }
            out.extend_from_slice(frame);
        }
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Line {
    /// What the encoder's stream must be, since it was last empty.
    stream: Vec<u8>,
    written: usize,
    /// Messages not written whole: where each ends in `stream`.
    unwritten: VecDeque<(usize, Text)>,
    /// Where the first of those begins.
    begin: usize,
    /// Everything on the line since the connection began.
    log: Vec<u8>,
    read: usize,
    foul: bool,
    /// What the other side has still to get, as long as the line is not foul.
    due: VecDeque<Item>,
    walk: Walk,
    /// For the limits of memory.
    received_most: usize,
    announced_most: u64,
    gathered: usize,
    gathered_most: usize,
    items_most: usize,
    frames_most: usize,
}

impl Line {
    pub(super) fn new(limits: &Limits) -> Self {
        Line {
            stream: Vec::new(),
            written: 0,
            unwritten: VecDeque::new(),
            begin: 0,
            log: Vec::new(),
            read: 0,
            foul: false,
            due: VecDeque::new(),
            walk: Walk::new(limits.clone(), 0),
            received_most: 0,
            announced_most: 0,
            gathered: 0,
            gathered_most: 0,
            items_most: 0,
            frames_most: 0,
        }
    }

    /// A new connection, beginning with these bytes.
    pub(super) fn restart(&mut self, greeting: &[u8]) {
        self.emptied();
        self.unwritten.clear();
        self.due.clear();
        self.log.clear();
        self.read = 0;
        self.foul = false;
        self.plain(greeting);
    }

    fn emptied(&mut self) {
        self.stream.clear();
        (self.written, self.begin, self.gathered) = (0, 0, 0);
    }

    /// Bytes of the handshake: straight onto the line.
    pub(super) fn plain(&mut self, bytes: &[u8]) {
        self.log.extend_from_slice(bytes);
    }

    /// The encoder was given this.
    pub(super) fn pushed(&mut self, item: Item, limits: &Limits) {
        let before = self.stream.len();
        item.write(&mut self.stream);
        let mut gathered = self.stream.len() - before;
        if let Item::Message(text) = &item {
            let large = |size: &&usize| **size >= BY_REFERENCE_MIN;
            gathered -= text.sizes.iter().filter(large).sum::<usize>();
            self.frames_most += text.sizes.len();
            self.foul |= text.sizes.len() > limits.frames_max
                || text.bytes() as u64 > limits.message_bytes_max
                || text
                    .sizes
                    .iter()
                    .any(|&size| size as u64 > limits.frame_bytes_max);
            self.unwritten.push_back((self.stream.len(), text.clone()));
        }
        self.gathered += gathered;
        self.gathered_most = self.gathered_most.max(self.gathered);
        self.items_most += 1;
        self.due.push_back(item);
    }

    pub(super) fn unwritten_bytes(&self) -> usize {
        self.stream.len() - self.written
    }

    pub(super) fn unwritten_stream(&self) -> &[u8] {
        &self.stream[self.written..]
    }

    /// Messages not written whole, each with the place where it ends.
    pub(super) fn unwritten(&self) -> &VecDeque<(usize, Text)> {
        &self.unwritten
    }

    /// Whether the first message not written whole has been begun, and has a large frame: it may be lost.
    pub(super) fn first_is_cut(&self) -> bool {
        let large = |text: &Text| text.sizes.iter().any(|&size| size >= BY_REFERENCE_MIN);
        self.written > self.begin && self.unwritten.front().is_some_and(|(_, text)| large(text))
    }

    /// The system took these bytes.
    pub(super) fn wrote(&mut self, bytes: &[u8]) {
        let expected = &self.stream[self.written..self.written + bytes.len()];
        assert!(bytes == expected, "not what was pushed");
        self.written += bytes.len();
        self.log.extend_from_slice(bytes);
    }

    /// How many messages have gone out whole since the last time.
    pub(super) fn went_out(&mut self) -> usize {
        let mut whole = 0;
        while let Some(&(end, _)) = self.unwritten.front() {
            if end > self.written {
                break;
            }
            self.begin = end;
            self.unwritten.pop_front();
            whole += 1;
        }
        if self.written == self.stream.len() {
            self.emptied();
        }
        whole
    }

    pub(super) fn inject(&mut self, bytes: &[u8]) {
        self.foul |= !bytes.is_empty();
        self.log.extend_from_slice(bytes);
    }

    pub(super) fn corrupt(&mut self, back: usize, flip: u8) {
        let unread = self.log.len() - self.read;
        if back < unread && flip != 0 {
            let at = self.log.len() - 1 - back;
            self.log[at] ^= flip;
            self.foul = true;
        }
    }

    /// From now on what is read is not what was sent.
    pub(super) fn taint(&mut self) {
        self.foul = true;
    }

    pub(super) fn is_foul(&self) -> bool {
        self.foul
    }

    pub(super) fn unread(&self) -> usize {
        self.log.len() - self.read
    }

    /// The next bytes, for the handshake.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let from = self.read;
        self.read += count;
        self.received_most = self.received_most.max(self.read);
        &self.log[from..self.read]
    }

    /// What is read from here on is frames.
    pub(super) fn traffic_begins(&mut self, limits: &Limits) {
        self.announced_most = self.announced_most();
        self.walk = Walk::new(limits.clone(), self.read);
    }

    pub(super) fn all_arrived(&self) -> bool {
        self.due.is_empty() && self.unread() == 0
    }

    pub(super) fn received_most(&self) -> usize {
        self.received_most
    }

    pub(super) fn announced_most(&self) -> u64 {
        self.announced_most.max(self.walk.announced_most())
    }

    /// What an encoder may hold: what was gathered, in a vector that doubles; where messages end and large frames
    /// lie; and for a reconnect copies of the messages.
    pub(super) fn encoder_bytes_allowed(&self) -> usize {
        3 * self.gathered_most + 256 * self.items_most + 256 * self.frames_most
    }

    /// The bytes to read next, and what takes what they bring.
    pub(super) fn intake(&mut self, most: usize) -> (&[u8], Intake<'_>) {
        let end = self.log.len().min(self.read + most);
        let arrived = &self.log[self.read..end];
        let intake = Intake {
            log: &self.log[..end],
            read: &mut self.read,
            received_most: &mut self.received_most,
            walk: &mut self.walk,
            due: (!self.foul).then_some(&mut self.due),
            replies: Vec::new(),
            refused: None,
            messages: 0,
        };
        (arrived, intake)
    }
}

/// Compares what comes out of a decoder.
pub(super) struct Intake<'a> {
    log: &'a [u8],
    read: &'a mut usize,
    received_most: &'a mut usize,
    walk: &'a mut Walk,
    due: Option<&'a mut VecDeque<Item>>,
    replies: Vec<Item>,
    refused: Option<Violation>,
    messages: usize,
}

impl Intake<'_> {
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// After so many bytes: all that was complete has come, and the end is the right one. Gives what to answer.
    pub(super) fn done(self, read: usize, fed: &Result<(), Violation>) -> Vec<Item> {
        *self.read += read;
        *self.received_most = (*self.received_most).max(*self.read);
        match fed {
            Ok(()) => assert_eq!(self.walk.next(&self.log[..*self.read]), Next::Wait),
            Err(violation) if self.refused.is_some() => {
                assert_eq!(Some(violation), self.refused.as_ref());
            }
            Err(violation) => {
                let next = self.walk.next(&self.log[..*self.read]);
                assert_eq!(next, Next::Violation(violation.clone()));
            }
        }
        self.replies
    }

    fn compare(&mut self, message: &Message) {
        assert_eq!(self.walk.next(self.log), Next::Message);
        assert_eq!(message.len(), self.walk.frames.len(), "frames");
        for (found, place) in message.iter().zip(&self.walk.frames) {
            assert!(found[..] == self.log[place.clone()], "frame at {place:?}");
        }
        if let Some(due) = &mut self.due {
            match due.pop_front() {
                Some(Item::Message(text)) => assert_same(message, &text),
                other => panic!("a message came where {other:?} was due"),
            }
        }
    }

    fn judge(&mut self, body: &[u8]) -> Result<(), Violation> {
        match self.walk.next(self.log) {
            Next::Command(place) => assert_eq!(body, &self.log[place]),
            other => panic!("a command came where {other:?} was due"),
        }
        let parsed = command::parse(body);
        if let Some(due) = &mut self.due {
            let due = due.pop_front();
            match (&parsed, &due) {
                (
                    Ok(Command::Ping {
                        ttl_deciseconds,
                        context,
                    }),
                    Some(Item::Ping {
                        ttl_deciseconds: ttl,
                        context: sent,
                    }),
                ) if ttl == ttl_deciseconds && **sent == **context => {}
                (Ok(Command::Pong { context }), Some(Item::Pong { context: sent }))
                    if **sent == **context => {}
                _ => panic!("{parsed:?} came where {due:?} was due"),
            }
        }
        match parsed? {
            Command::Ping { context, .. } => {
                self.replies.push(Item::Pong {
                    context: context.into(),
                });
                Ok(())
            }
            Command::Pong { .. } => Ok(()),
            other => Err(other.unexpected()),
        }
    }
}

impl Sink for Intake<'_> {
    fn message(&mut self, message: Message) {
        uncounted(|| self.compare(&message));
        self.messages += 1;
    }

    fn command(&mut self, body: &[u8]) -> Result<(), Violation> {
        let judged = uncounted(|| self.judge(body));
        if let Err(violation) = &judged {
            self.refused = Some(uncounted(|| violation.clone()));
        }
        judged
    }
}
