//! Commands: what peers say to each other beside messages.
//!
//! ```text
//! frame = flags 04, length (1 byte), body      or      flags 06, length (8 bytes, big-endian), body
//! body  = name length (1 byte), name (letters), data
//! ```
//!
//! [`parse`] takes a body that is already whole; the encoders append whole frames.
//!
//! # Invariants
//!
//! 1. What an encoder writes, [`parse`] reads back. (proptest `what_is_written_is_read`)
//! 2. No length is followed past the end of the body. (`cut_bodies_never_read_past_the_end`)
//! 3. PONG never carries more than [`PING_CONTEXT_MAX`] bytes, so a PING cannot be made to return more than it cost.
//!    (`a_long_context_is_refused_and_never_written`)
//!
//! # Not here
//!
//! Whether a command may come now (`super::handshake`, the decoder), and how large one may be (the same two).

use super::violation::printable;
use super::{FLAG_COMMAND, FLAG_LONG, Violation};

/// Longest context of a PING or PONG, in bytes.
pub const PING_CONTEXT_MAX: usize = 16;
/// Longest reason of an ERROR, in bytes.
pub const ERROR_REASON_MAX: usize = 255;

/// The name of READY.
pub const READY: &str = "READY";
/// The name of ERROR.
pub const ERROR: &str = "ERROR";
/// The name of PING.
pub const PING: &str = "PING";
/// The name of PONG.
pub const PONG: &str = "PONG";
/// The name of SUBSCRIBE.
pub const SUBSCRIBE: &str = "SUBSCRIBE";
/// The name of CANCEL.
pub const CANCEL: &str = "CANCEL";

/// A command, borrowed from the body it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The end of the handshake. Its data is metadata, not yet read (see [`metadata::parse`](super::metadata::parse)).
    Ready(&'a [u8]),
    /// The sender refuses the connection.
    Error {
        /// Why, as it came: not escaped, for a program to read.
        reason: &'a [u8],
    },
    /// The sender asks for a PONG.
    Ping {
        /// Silence after which the sender wants to be given up, in tenths of a second; 0 is none.
        ttl_deciseconds: u16,
        /// To be sent back in the PONG; at most 16 bytes.
        context: &'a [u8],
    },
    /// The answer to a PING.
    Pong {
        /// What the PING carried; at most 16 bytes.
        context: &'a [u8],
    },
    /// The sender wants messages that start so.
    Subscribe(&'a [u8]),
    /// The sender takes one such subscription back.
    Cancel(&'a [u8]),
    /// A command that is not known here.
    Other {
        /// Its name: letters only, at most 255.
        name: &'a str,
        /// What follows the name.
        body: &'a [u8],
    },
}

impl<'a> Command<'a> {
    /// The name on the wire.
    pub fn name(&self) -> &'a str {
        match *self {
            Command::Ready(_) => READY,
            Command::Error { .. } => ERROR,
            Command::Ping { .. } => PING,
            Command::Pong { .. } => PONG,
            Command::Subscribe(_) => SUBSCRIBE,
            Command::Cancel(_) => CANCEL,
            Command::Other { name, .. } => name,
        }
    }

    /// The violation of sending this command where it has no place.
    pub fn unexpected(&self) -> Violation {
        Violation::UnexpectedCommand {
            name: printable(self.name().as_bytes()),
        }
    }
}

/// Reads the body of a command frame.
///
/// # Errors
///
/// [`MalformedCommand`](Violation::MalformedCommand) for a name that is empty, not of letters or longer than the body,
/// and for data that is too short for its command; [`PingContextTooLong`](Violation::PingContextTooLong).
pub fn parse(body: &[u8]) -> Result<Command<'_>, Violation> {
    let malformed = |what| Violation::MalformedCommand { what };
    let (&name_len, rest) = body
        .split_first()
        .ok_or(malformed("the command is empty"))?;
    let (name, data) = rest
        .split_at_checked(usize::from(name_len))
        .ok_or(malformed("the command name runs past the end"))?;
    if name.is_empty() {
        return Err(malformed("the command name is empty"));
    }
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .ok_or(malformed("the command name is not of letters"))?;
    Ok(match name {
        READY => Command::Ready(data),
        ERROR => {
            let (&reason_len, rest) = data
                .split_first()
                .ok_or(malformed("the ERROR has no reason length"))?;
            // Bytes after the reason are let pass: the peer refuses us, and that must not turn into a mere
            // mistake of form, after which a dialer would come back.
            let reason = rest
                .get(..usize::from(reason_len))
                .ok_or(malformed("the reason of the ERROR runs past the end"))?;
            Command::Error { reason }
        }
        PING => {
            let (ttl, context) = data
                .split_first_chunk::<2>()
                .ok_or(malformed("the PING is too short for its ttl"))?;
            Command::Ping {
                ttl_deciseconds: u16::from_be_bytes(*ttl),
                context: checked_context(context)?,
            }
        }
        PONG => Command::Pong {
            context: checked_context(data)?,
        },
        SUBSCRIBE => Command::Subscribe(data),
        CANCEL => Command::Cancel(data),
        name => Command::Other { name, body: data },
    })
}

fn checked_context(context: &[u8]) -> Result<&[u8], Violation> {
    if context.len() > PING_CONTEXT_MAX {
        return Err(Violation::PingContextTooLong {
            bytes: context.len(),
        });
    }
    Ok(context)
}

/// Appends a READY frame with this metadata (see [`metadata::put`](super::metadata::put)).
pub fn ready(out: &mut Vec<u8>, metadata: &[u8]) {
    frame(out, READY, &[metadata]);
}

/// Appends an ERROR frame.
///
/// The reason is cut at 255 bytes. The grammar has visible characters only, no spaces: whatever is not one is sent
/// as `-`.
pub fn error(out: &mut Vec<u8>, reason: &str) {
    let reason: Vec<u8> = reason
        .bytes()
        .take(ERROR_REASON_MAX)
        .map(|byte| if byte.is_ascii_graphic() { byte } else { b'-' })
        .collect();
    // `take` keeps it within one byte.
    frame(out, ERROR, &[&[reason.len() as u8], &reason]);
}

/// Appends a PING frame. The context is cut at 16 bytes.
pub fn ping(out: &mut Vec<u8>, ttl_deciseconds: u16, context: &[u8]) {
    frame(
        out,
        PING,
        &[&ttl_deciseconds.to_be_bytes(), cut_context(context)],
    );
}

/// Appends a PONG frame. The context is cut at 16 bytes.
pub fn pong(out: &mut Vec<u8>, context: &[u8]) {
    frame(out, PONG, &[cut_context(context)]);
}

/// Appends a SUBSCRIBE frame.
pub fn subscribe(out: &mut Vec<u8>, prefix: &[u8]) {
    frame(out, SUBSCRIBE, &[prefix]);
}

/// Appends a CANCEL frame.
pub fn cancel(out: &mut Vec<u8>, prefix: &[u8]) {
    frame(out, CANCEL, &[prefix]);
}

/// Appends a message that begins or ends a subscription, as peers of version 3.0 take it.
pub fn subscription_message(out: &mut Vec<u8>, begins: bool, topic: &[u8]) {
    let body = 1 + topic.len();
    out.reserve(9 + body);
    match u8::try_from(body) {
        Ok(short) => out.extend_from_slice(&[0, short]),
        Err(_) => {
            out.push(FLAG_LONG);
            out.extend_from_slice(&(body as u64).to_be_bytes());
        }
    }
    out.push(u8::from(begins));
    out.extend_from_slice(topic);
}

fn cut_context(context: &[u8]) -> &[u8] {
    &context[..context.len().min(PING_CONTEXT_MAX)]
}

/// `name` is one of the constants above, far below 255 bytes.
fn frame(out: &mut Vec<u8>, name: &'static str, data: &[&[u8]]) {
    let body = 1 + name.len() + data.iter().map(|part| part.len()).sum::<usize>();
    out.reserve(9 + body);
    match u8::try_from(body) {
        Ok(short) => out.extend_from_slice(&[FLAG_COMMAND, short]),
        Err(_) => {
            out.push(FLAG_COMMAND | FLAG_LONG);
            out.extend_from_slice(&(body as u64).to_be_bytes());
        }
    }
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
    for part in data {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    /// The body of a frame that was written whole, its length checked.
    fn body(frame: &[u8]) -> &[u8] {
        let (length, body) = match frame[0] {
            0x04 => (u64::from(frame[1]), &frame[2..]),
            0x06 => (
                u64::from_be_bytes(frame[1..9].try_into().unwrap()),
                &frame[9..],
            ),
            flags => panic!("{flags:#x}"),
        };
        assert_eq!(length, body.len() as u64);
        body
    }

    fn what(body: &[u8]) -> &'static str {
        match parse(body) {
            Err(Violation::MalformedCommand { what }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_are_these_bytes() {
        assert_eq!(written(|o| ready(o, b"meta")), b"\x04\x0A\x05READYmeta");
        assert_eq!(written(|o| error(o, "no")), b"\x04\x09\x05ERROR\x02no");
        let message = |begins, topic: &[u8]| written(|o| subscription_message(o, begins, topic));
        assert_eq!(message(true, b"ab"), b"\x00\x03\x01ab");
        assert_eq!(message(false, b""), b"\x00\x01\x00");
        let long = message(true, &[7; 255]);
        assert_eq!(long[..10], [2, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
        assert_eq!(long.len(), 9 + 256);
        assert_eq!(written(|o| error(o, "")), b"\x04\x07\x05ERROR\x00");
        assert_eq!(
            written(|o| ping(o, 0x0102, b"ctx")),
            b"\x04\x0A\x04PING\x01\x02ctx"
        );
        assert_eq!(written(|o| pong(o, b"ctx")), b"\x04\x08\x04PONGctx");
        assert_eq!(written(|o| subscribe(o, b"A")), b"\x04\x0B\x09SUBSCRIBEA");
        assert_eq!(written(|o| cancel(o, b"")), b"\x04\x07\x06CANCEL");
    }

    #[test]
    fn a_body_over_255_bytes_takes_the_long_form() {
        // SUBSCRIBE and its length byte take ten bytes.
        assert_eq!(written(|o| subscribe(o, &[7; 245]))[..2], [0x04, 255]);
        let long = written(|o| subscribe(o, &[7; 246]));
        assert_eq!(long[..9], [0x06, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(parse(body(&long)), Ok(Command::Subscribe(&[7; 246])));
    }

    #[test]
    fn a_long_context_is_refused_and_never_written() {
        let context = [9; 17];
        for frame in [
            written(|o| ping(o, 1, &context)),
            written(|o| pong(o, &context)),
        ] {
            let (Command::Ping { context, .. } | Command::Pong { context }) =
                parse(body(&frame)).unwrap()
            else {
                panic!()
            };
            assert_eq!(context, [9; 16]);
        }
        let refused = Err(Violation::PingContextTooLong { bytes: 17 });
        assert_eq!(parse(&[&b"\x04PING\0\0"[..], &context].concat()), refused);
        assert_eq!(parse(&[&b"\x04PONG"[..], &context].concat()), refused);
    }

    #[test]
    fn an_error_reason_is_visible_characters_and_cut() {
        assert_eq!(
            parse(body(&written(|o| error(o, "a b\u{e9}\n")))),
            Ok(Command::Error { reason: b"a-b---" })
        );
        assert_eq!(
            parse(body(&written(|o| error(o, &"x".repeat(300))))),
            Ok(Command::Error {
                reason: &[b'x'; 255]
            })
        );
        assert_eq!(
            parse(b"\x05ERROR\x02noand more"),
            Ok(Command::Error { reason: b"no" })
        );
    }

    #[test]
    fn each_fault_is_named() {
        assert_eq!(what(b""), "the command is empty");
        assert_eq!(what(b"\x00READY"), "the command name is empty");
        assert_eq!(what(b"\x06READY"), "the command name runs past the end");
        for body in [
            &b"\x05REA Y"[..],
            b"\x05REA1Y",
            b"\x05REA\0Y",
            b"\x05REA\xC3\xA9",
        ] {
            assert_eq!(what(body), "the command name is not of letters");
        }
        assert_eq!(what(b"\x05ERROR"), "the ERROR has no reason length");
        assert_eq!(
            what(b"\x05ERROR\x03no"),
            "the reason of the ERROR runs past the end"
        );
        assert_eq!(what(b"\x04PING\0"), "the PING is too short for its ttl");
    }

    #[test]
    fn an_unknown_command_is_handed_over_with_its_name() {
        let command = parse(b"\x04JOINgroup").unwrap();
        assert_eq!(
            command,
            Command::Other {
                name: "JOIN",
                body: b"group"
            }
        );
        assert_eq!(
            command.unexpected(),
            Violation::UnexpectedCommand {
                name: "JOIN".into()
            }
        );
        // Names are compared as they are.
        assert_eq!(parse(b"\x05readY").unwrap().name(), "readY");
    }

    #[test]
    fn cut_bodies_never_read_past_the_end() {
        for frame in [
            written(|o| ready(o, b"meta")),
            written(|o| error(o, "reason")),
            written(|o| ping(o, 5, b"context")),
            written(|o| pong(o, b"context")),
            written(|o| subscribe(o, b"topic")),
            written(|o| cancel(o, b"topic")),
        ] {
            let body = body(&frame);
            let name_end = 1 + usize::from(body[0]);
            for cut in 0..body.len() {
                let read = parse(&body[..cut]);
                assert!(cut >= name_end || read.is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            data in prop::collection::vec(any::<u8>(), 0..600),
            context in prop::collection::vec(any::<u8>(), 0..=16),
            ttl: u16,
        ) {
            let frame = written(|o| ready(o, &data));
            prop_assert_eq!(parse(body(&frame)), Ok(Command::Ready(&data)));
            let frame = written(|o| subscribe(o, &data));
            prop_assert_eq!(parse(body(&frame)), Ok(Command::Subscribe(&data)));
            let frame = written(|o| cancel(o, &data));
            prop_assert_eq!(parse(body(&frame)), Ok(Command::Cancel(&data)));
            let frame = written(|o| pong(o, &context));
            prop_assert_eq!(parse(body(&frame)), Ok(Command::Pong { context: &context }));
            let frame = written(|o| ping(o, ttl, &context));
            prop_assert_eq!(
                parse(body(&frame)),
                Ok(Command::Ping { ttl_deciseconds: ttl, context: &context })
            );
        }

        #[test]
        fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&body);
        }
    }
}
