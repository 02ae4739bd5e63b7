//! A greeting and the handshake behind it: whatever pieces the bytes arrive in, the end is the same, it is the one
//! that a plain reading of the bytes gives, not a byte of the traffic is touched, and memory stays within the limits.

use std::borrow::Cow;

use brokerless_patterns::zmtp::command::{self, Command};
use brokerless_patterns::zmtp::greeting::{GREETING_LEN, GreetingReader};
use brokerless_patterns::zmtp::handshake::check_identity;
use brokerless_patterns::zmtp::{
    Handshake, HandshakeLimits, Local, PeerInfo, Progress, SocketType, Violation, metadata,
};

use super::alloc::{self, counted};
use super::input::Input;
use super::{Pieces, Seen, reference};

/// The limits that an input can choose from; the handshake holds them to its own bounds.
const LIMITS: [HandshakeLimits; 4] = [
    limits(8 * 1024, 64),
    limits(512, 2),
    limits(0, 0),
    limits(usize::MAX, usize::MAX),
];

const fn limits(command: usize, properties: usize) -> HandshakeLimits {
    HandshakeLimits {
        command_bytes_max: command,
        properties_max: properties,
    }
}

/// Mechanisms for the reader of greetings alone: the handshake knows NULL.
const MECHANISMS: [&str; 4] = ["NULL", "PLAIN", "CURVE", "A-MECHANISM_OF.20+CH"];

const WIRE_BYTES_MAX: usize = 72 * 1024;

/// An input: our socket type, bit 4 for the accepting side; limits, and a mechanism in bits 2 and 3; pieces; the bytes.
pub(crate) struct Opening<'a> {
    local: SocketType,
    responder: bool,
    limits: HandshakeLimits,
    mechanism: &'static str,
    pub(crate) pieces: Pieces,
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl<'a> Opening<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Self {
        let mut input = Input::new(data);
        let (side, rules) = (input.byte(), input.byte());
        let types = SocketType::ALL;
        Opening {
            local: types[usize::from(side & 15) % types.len()],
            responder: side & 16 != 0,
            limits: LIMITS[usize::from(rules & 3)],
            mechanism: MECHANISMS[usize::from(rules >> 2 & 3)],
            pieces: Pieces::take(&mut input),
            bytes: input.wire(WIRE_BYTES_MAX),
        }
    }

    fn handshake(&self) -> Handshake {
        let local = Local {
            socket_type: self.local,
            identity: bytes::Bytes::from_static(b"me"),
            heartbeats: false,
            responder: self.responder,
        };
        Handshake::new(local, self.limits)
    }
}

pub(super) fn check(data: &[u8]) -> Seen {
    run(Opening::parse(data))
}

/// How a handshake ended, and how many bytes it took for that.
#[derive(Debug, PartialEq, Eq)]
enum End {
    More,
    Ready(usize, PeerInfo),
    Broken(Violation),
}

/// Runs the bytes through a reader of greetings and through a handshake.
pub(crate) fn run(opening: Opening<'_>) -> Seen {
    let bytes = &opening.bytes[..];
    alloc::start();
    read_greeting(&opening);
    let expected = expected(&opening);
    let mut handshake = counted(|| opening.handshake());
    let end = in_pieces(&mut handshake, opening.pieces, bytes);
    assert_eq!(end, expected);
    let output = counted(|| handshake.take_output());
    behind_the_end(&opening, &mut handshake, &end);
    counted(|| drop(handshake));

    let mut handshake = counted(|| opening.handshake());
    let whole = match counted(|| handshake.consume(bytes)) {
        Ok((taken, Progress::More)) => {
            assert_eq!(taken, bytes.len());
            End::More
        }
        Ok((taken, Progress::Ready(peer))) => End::Ready(taken, peer),
        Err(violation) => End::Broken(violation),
    };
    assert_eq!(whole, end);
    let output_at_once = counted(|| handshake.take_output());
    assert_eq!(output, output_at_once);

    let mut seen = Seen::default();
    match &end {
        End::More => {}
        End::Ready(..) => seen.taken = 1,
        End::Broken(violation) => seen.refused.push(violation.name().into()),
    }
    counted(|| drop((handshake, output, output_at_once, whole, end)));
    seen.measured(bytes_allowed(opening.limits, bytes.len()))
}

/// The reader of greetings alone, with a mechanism of the input's choice.
fn read_greeting(opening: &Opening<'_>) {
    let bytes = &opening.bytes[..];
    let mut pieces = opening.pieces;
    let mut reader = GreetingReader::new(opening.mechanism);
    let mut at = 0;
    let found = loop {
        assert_eq!(reader.missing(), GREETING_LEN - at);
        let end = pieces.end(at, bytes.len());
        let piece = &bytes[at..end];
        match counted(|| reader.feed(piece)) {
            Ok((taken, None)) => {
                assert_eq!(taken, piece.len());
                at = end;
                if at == bytes.len() {
                    break Ok(None);
                }
            }
            Ok((taken, Some(greeting))) => {
                assert_eq!(at + taken, GREETING_LEN);
                assert_eq!(greeting.as_server, bytes[32] == 1);
                break Ok(Some((greeting.version.major, greeting.version.minor)));
            }
            Err(violation) => break Err(violation),
        }
    };
    assert_eq!(found, reference::greeting(bytes, opening.mechanism));
    counted(|| drop(found));
}

/// Feeds no more than is wanted, as a connection does.
fn in_pieces(handshake: &mut Handshake, mut pieces: Pieces, bytes: &[u8]) -> End {
    let (mut at, mut arrived) = (0, 0);
    while at < bytes.len() {
        if at == arrived {
            arrived = pieces.end(at, bytes.len());
        }
        let wanted = handshake.wants();
        assert!(wanted > 0, "not at its end, and wants nothing");
        let until = arrived.min(at + wanted);
        let progress = counted(|| handshake.feed(&bytes[at..until]));
        at = until;
        match progress {
            Ok(Progress::More) => {}
            Ok(Progress::Ready(peer)) => return End::Ready(at, peer),
            Err(violation) => return End::Broken(violation),
        }
    }
    End::More
}

/// What holds once it is over.
fn behind_the_end(opening: &Opening<'_>, handshake: &mut Handshake, end: &End) {
    assert!(!handshake.has_output());
    let greeted = handshake.peer_version().is_some();
    match end {
        End::More => assert!(handshake.wants() > 0),
        End::Ready(..) => {
            assert_eq!(handshake.wants(), 0);
            counted(|| handshake.admit());
            // A dialing side has long said READY.
            assert_eq!(handshake.has_output(), opening.responder);
            counted(|| drop(handshake.take_output()));
        }
        End::Broken(violation) => {
            assert_eq!(handshake.wants(), 0);
            let again = counted(|| handshake.feed(b"\0")).expect_err("it is final");
            assert_eq!(again, *violation);
            counted(|| {
                drop(again);
                handshake.admit();
            });
            assert!(!handshake.has_output());
        }
    }
    counted(|| handshake.refuse("no more"));
    assert_eq!(handshake.has_output(), greeted);
    let word = counted(|| handshake.take_output());
    assert!(word.is_empty() || word == b"\x04\x0E\x05ERROR\x07no-more");
    counted(|| drop(word));
}

/// The handshake as one reads it off the page, from all the bytes at once.
fn expected(opening: &Opening<'_>) -> End {
    let bytes = &opening.bytes[..];
    let broken = |what: &'static str| End::Broken(Violation::MalformedCommand { what });
    let version = match reference::greeting(bytes, "NULL") {
        Ok(Some(version)) => version,
        Ok(None) => return End::More,
        Err(violation) => return End::Broken(violation),
    };
    let frame = &bytes[GREETING_LEN..];
    let Some(&flags) = frame.first() else {
        return End::More;
    };
    match flags {
        4 | 6 => {}
        5 | 7 => return End::Broken(Violation::CommandWithMore),
        0..=3 => return End::Broken(Violation::MessageBeforeReady),
        _ => return End::Broken(Violation::ReservedFlags { flags }),
    }
    let header = if flags == 6 { 9 } else { 2 };
    if header == 9 && frame.len() > 1 && frame[1] > 0x7F {
        return End::Broken(Violation::LengthOutOfRange);
    }
    if frame.len() < header {
        return End::More;
    }
    let len = frame[1..header]
        .iter()
        .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    let max = opening.limits.command_bytes_max.clamp(512, 64 * 1024);
    if len == 0 {
        return broken("the command is empty");
    }
    if len > max as u64 {
        return End::Broken(Violation::CommandTooLarge {
            bytes: len,
            max: max as u64,
        });
    }
    let Some(body) = frame[header..].get(..len as usize) else {
        return End::More;
    };
    // Commands and metadata have a check of their own.
    let data = match command::parse(body) {
        Ok(Command::Ready(data)) => data,
        Ok(Command::Error { reason }) => {
            return End::Broken(Violation::PeerError {
                reason: escaped(reason),
            });
        }
        Ok(other) => return End::Broken(other.unexpected()),
        Err(violation) => return End::Broken(violation),
    };
    match peer(opening, data, version) {
        Ok(peer) => End::Ready(GREETING_LEN + header + body.len(), peer),
        Err(violation) => End::Broken(violation),
    }
}

fn peer(
    opening: &Opening<'_>,
    data: &[u8],
    (major, minor): (u8, u8),
) -> Result<PeerInfo, Violation> {
    let most = opening.limits.properties_max.clamp(2, 1024);
    let properties = metadata::parse(data, most, usize::MAX)?;
    let (mut socket_type, mut identity, mut others) = (None, &b""[..], Vec::new());
    for (name, value) in properties.iter() {
        match &name.to_ascii_lowercase()[..] {
            "socket-type" => socket_type = Some(value),
            "identity" => identity = value,
            _ => others.push((name.into(), bytes::Bytes::copy_from_slice(value))),
        }
    }
    let theirs = socket_type.ok_or(Violation::MissingSocketType)?;
    let theirs = SocketType::ALL
        .into_iter()
        .find(|known| known.name().as_bytes() == theirs)
        .ok_or_else(|| Violation::UnknownSocketType {
            name: escaped(theirs),
        })?;
    if !reference::legal_pairs().contains(&(opening.local, theirs)) {
        return Err(Violation::IncompatibleSockets {
            ours: opening.local,
            theirs,
        });
    }
    check_identity(identity)?;
    assert!(identity.len() <= 255 && identity.first() != Some(&0));
    Ok(PeerInfo {
        version: brokerless_patterns::zmtp::Version { major, minor },
        socket_type: theirs,
        identity: bytes::Bytes::copy_from_slice(identity),
        properties: others,
    })
}

/// A peer's text as it may stand in a log: at most 128 characters, the last three dots where it was cut.
fn escaped(bytes: &[u8]) -> Box<str> {
    let mut text = String::new();
    for &byte in bytes {
        let next = std::ascii::escape_default(byte).to_string();
        if text.len() + next.len() > 128 {
            text.truncate(125);
            return (text + "...").into();
        }
        text += &next;
    }
    text.into()
}

/// What a handshake may hold at most, given so many bytes from the peer: the command, what is kept of the peer, the list
/// of its properties while it is read, and output.
pub(crate) fn bytes_allowed(limits: HandshakeLimits, received: usize) -> usize {
    const FIXED: usize = 4 * 1024;
    let command = limits.command_bytes_max.clamp(512, 64 * 1024);
    let kept = command.min(received);
    let properties = limits.properties_max.clamp(2, 1024).min(received / 6);
    FIXED + command + kept + 192 * properties
}
