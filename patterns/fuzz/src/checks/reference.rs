//! Frames and greetings, read in the plainest way: the whole stream at once, no limits of memory, no speed.

use std::ops::Range;

use brokerless_patterns::zmtp::decoder::Limits;
use brokerless_patterns::zmtp::{SocketType, Violation};

/// The largest command that is ever taken: what the decoder holds for an unfinished frame, less a header.
const COMMAND_MOST: u64 = 16 * 1024 - 9;

/// Walks over a stream of frames that may still grow.
#[derive(Debug)]
pub(crate) struct Walk {
    limits: Limits,
    at: usize,
    /// Where the frames of the message lie; complete after [`Next::Message`].
    pub(crate) frames: Vec<Range<usize>>,
    bytes: u64,
    complete: bool,
    announced_most: u64,
}

/// What comes next in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A message, in [`Walk::frames`].
    Message,
    /// A command, with this body.
    Command(Range<usize>),
    /// Against the rules; the end.
    Violation(Violation),
    /// Not enough bytes.
    Wait,
}

impl Walk {
    pub(crate) fn new(limits: Limits, at: usize) -> Self {
        Walk {
            limits,
            at,
            frames: Vec::new(),
            bytes: 0,
            complete: false,
            announced_most: 0,
        }
    }

    /// Where the last whole frame ended.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The longest frame announced within the limits.
    pub(crate) fn announced_most(&self) -> u64 {
        self.announced_most
    }

    pub(crate) fn next(&mut self, stream: &[u8]) -> Next {
        if std::mem::take(&mut self.complete) {
            self.frames.clear();
            self.bytes = 0;
        }
        loop {
            let rest = &stream[self.at..];
            let Some(&flags) = rest.first() else {
                return Next::Wait;
            };
            if flags > 7 {
                return Next::Violation(Violation::ReservedFlags { flags });
            }
            let (more, long, command) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
            if command && more {
                return Next::Violation(Violation::CommandWithMore);
            }
            let header = if long { 9 } else { 2 };
            if rest.len() < header {
                return Next::Wait;
            }
            let len = rest[1..header]
                .iter()
                .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
            if let Some(violation) = self.judge(command, len) {
                return Next::Violation(violation);
            }
            self.announced_most = self.announced_most.max(len);
            if ((rest.len() - header) as u64) < len {
                return Next::Wait;
            }
            let start = self.at + header;
            self.at = start + len as usize;
            if command {
                return Next::Command(start..self.at);
            }
            self.frames.push(start..self.at);
            self.bytes += len;
            if !more {
                self.complete = true;
                return Next::Message;
            }
        }
    }

    fn judge(&self, command: bool, len: u64) -> Option<Violation> {
        let Limits {
            frame_bytes_max,
            frames_max,
            message_bytes_max,
            command_bytes_max,
        } = self.limits;
        if len > i64::MAX as u64 {
            return Some(Violation::LengthOutOfRange);
        }
        if command {
            let max = command_bytes_max.min(COMMAND_MOST);
            return (len > max).then_some(Violation::CommandTooLarge { bytes: len, max });
        }
        if len > frame_bytes_max {
            return Some(Violation::FrameTooLarge {
                bytes: len,
                max: frame_bytes_max,
            });
        }
        if self.frames.len() == frames_max {
            return Some(Violation::TooManyFrames { max: frames_max });
        }
        let bytes = self.bytes + len;
        (bytes > message_bytes_max).then_some(Violation::MessageTooLarge {
            bytes,
            max: message_bytes_max,
        })
    }
}

/// What a greeting is refused for, if anything, by its first bytes; and its version once it is whole.
pub(crate) fn greeting(bytes: &[u8], ours: &'static str) -> Result<Option<(u8, u8)>, Violation> {
    let bytes = &bytes[..bytes.len().min(64)];
    for (offset, &byte) in bytes.iter().enumerate() {
        let wrong = match offset {
            0 if byte != 0xFF => Some(Violation::BadSignature { offset, byte }),
            9 if byte != 0x7F => Some(Violation::BadSignature { offset, byte }),
            10 if byte < 3 => Some(Violation::UnsupportedVersion { major: byte }),
            12..32 => mechanism(&bytes[12..=offset], ours),
            32 if byte > 1 => Some(Violation::BadAsServer { byte }),
            _ => None,
        };
        if let Some(violation) = wrong {
            return Err(violation);
        }
    }
    Ok((bytes.len() == 64).then(|| (bytes[10], bytes[11])))
}

/// What is wrong with the last byte of a mechanism field that has come so far.
fn mechanism(field: &[u8], ours: &'static str) -> Option<Violation> {
    let name_len = field.iter().position(|&byte| byte == 0);
    let name = &field[..name_len.unwrap_or(field.len())];
    let byte = *field.last()?;
    let legal = match name_len {
        Some(len) => len > 0 && byte == 0,
        None => matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'+'),
    };
    if !legal {
        return Some(Violation::MalformedMechanism {
            offset: 12 + field.len() - 1,
            byte,
        });
    }
    let just_known = name_len == Some(field.len() - 1) || (name_len.is_none() && field.len() == 20);
    (just_known && name != ours.as_bytes()).then(|| Violation::MechanismMismatch {
        ours,
        theirs: String::from_utf8_lossy(name).into(),
    })
}

/// The socket types that talk to each other, each pair both ways.
pub(crate) fn legal_pairs() -> [(SocketType, SocketType); 21] {
    use SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub};
    [
        (Dealer, Router),
        (Router, Dealer),
        (Dealer, Dealer),
        (Router, Router),
        (Req, Rep),
        (Rep, Req),
        (Req, Router),
        (Router, Req),
        (Rep, Dealer),
        (Dealer, Rep),
        (Pair, Pair),
        (Pub, Sub),
        (Sub, Pub),
        (Pub, XSub),
        (XSub, Pub),
        (XPub, Sub),
        (Sub, XPub),
        (XPub, XSub),
        (XSub, XPub),
        (Push, Pull),
        (Pull, Push),
    ]
}
