//! What a peer did against the protocol.
//!
//! One variant per rule. The peer that broke it is closed; the variant's [`name`](Violation::name) is the counter
//! that says why, and its message carries the numbers, never a payload.
//!
//! # Invariants
//!
//! 1. Every variant has a counter name of its own, in kebab case. (`every_variant_has_a_name_of_its_own`)
//! 2. Text that came from a peer is printable ASCII and at most [`TEXT_MAX`] characters. (`peer_text_is_printable_and_cut`)
//!
//! # Not here
//!
//! Failures of the link itself (reset, time-out), which are no fault of the protocol, and what a caller did wrong.

use std::fmt;

use super::SocketType;

/// Longest text taken from a peer into a [`Violation`], in characters.
pub const TEXT_MAX: usize = 128;

/// A rule of the protocol, or a limit of ours, that a peer broke.
///
/// The connection is of no more use after any of these: close it, and count it under [`name`](Violation::name).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A byte of the greeting's signature is wrong: the peer does not speak ZMTP.
    BadSignature {
        /// Position in the greeting: 0 or 9.
        offset: usize,
        /// What stood there.
        byte: u8,
    },
    /// The peer speaks an older major version.
    UnsupportedVersion {
        /// The version byte of its greeting; 1 and 2 stand for ZMTP 2.
        major: u8,
    },
    /// The mechanism field of the greeting breaks the grammar.
    MalformedMechanism {
        /// Position in the greeting, 12 to 31.
        offset: usize,
        /// What stood there.
        byte: u8,
    },
    /// The peer wants another security mechanism.
    MechanismMismatch {
        /// Ours.
        ours: &'static str,
        /// The peer's, escaped.
        theirs: Box<str>,
    },
    /// The as-server field of the greeting is neither 0 nor 1.
    BadAsServer {
        /// What stood there.
        byte: u8,
    },
    /// A message frame came before the handshake was over.
    MessageBeforeReady,
    /// A command came that has no place here: an unknown one in the handshake, READY a second time.
    UnexpectedCommand {
        /// Its name, escaped and cut.
        name: Box<str>,
    },
    /// A command breaks its grammar.
    MalformedCommand {
        /// Which rule.
        what: &'static str,
    },
    /// The metadata of a READY breaks its grammar.
    MalformedMetadata {
        /// Which rule.
        what: &'static str,
    },
    /// More properties than the limit.
    TooManyProperties {
        /// The limit.
        max: usize,
    },
    /// More bytes of metadata than the limit.
    MetadataTooLarge {
        /// What came.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The READY names no socket type.
    MissingSocketType,
    /// The READY names a socket type that does not exist.
    UnknownSocketType {
        /// Its name, escaped and cut.
        name: Box<str>,
    },
    /// The two socket types do not talk to each other.
    IncompatibleSockets {
        /// Ours.
        ours: SocketType,
        /// The peer's.
        theirs: SocketType,
    },
    /// An identity over 255 bytes.
    IdentityTooLong {
        /// What came.
        bytes: usize,
    },
    /// An identity that starts with a zero byte; those are kept for identities that a router makes up.
    IdentityReserved,
    /// The peer sent ERROR: it refuses us.
    PeerError {
        /// Its reason, escaped and cut.
        reason: Box<str>,
    },
    /// Flag bits that must be zero are set.
    ReservedFlags {
        /// The whole flags byte.
        flags: u8,
    },
    /// A command frame with the MORE flag.
    CommandWithMore,
    /// A frame over the limit; refused from its length.
    FrameTooLarge {
        /// What was announced.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A message of more frames than the limit.
    TooManyFrames {
        /// The limit.
        max: usize,
    },
    /// A message whose frames together are over the limit; refused from the length of the last one.
    MessageTooLarge {
        /// What was announced so far.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A command over the limit; refused from its length.
    CommandTooLarge {
        /// What was announced.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A PING or PONG with a context over 16 bytes.
    PingContextTooLong {
        /// What came.
        bytes: usize,
    },
    /// The top bit of an eight-byte length is set.
    LengthOutOfRange,
    /// A message came where the pattern has none: to a PUSH, or other than a subscription to a PUB.
    UnexpectedMessage {
        /// Our type.
        ours: SocketType,
    },
    /// More topics subscribed to than the limit.
    TooManySubscriptions {
        /// The limit.
        max: usize,
    },
    /// A topic subscribed to that is over the limit.
    TopicTooLong {
        /// What came.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The topics subscribed to are together over the limit.
    TopicsTooLarge {
        /// What they come to.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Bytes were given to the handshake past its end. The driver fed more than
    /// [`wants`](super::Handshake::wants) allowed; the peer did nothing wrong.
    SurplusBytes {
        /// How many.
        bytes: usize,
    },
}

impl Violation {
    /// The counter's name: stable, in kebab case.
    pub fn name(&self) -> &'static str {
        match self {
            Violation::BadSignature { .. } => "bad-signature",
            Violation::UnsupportedVersion { .. } => "unsupported-version",
            Violation::MalformedMechanism { .. } => "malformed-mechanism",
            Violation::MechanismMismatch { .. } => "mechanism-mismatch",
            Violation::BadAsServer { .. } => "bad-as-server",
            Violation::MessageBeforeReady => "message-before-ready",
            Violation::UnexpectedCommand { .. } => "unexpected-command",
            Violation::MalformedCommand { .. } => "malformed-command",
            Violation::MalformedMetadata { .. } => "malformed-metadata",
            Violation::TooManyProperties { .. } => "too-many-properties",
            Violation::MetadataTooLarge { .. } => "metadata-too-large",
            Violation::MissingSocketType => "missing-socket-type",
            Violation::UnknownSocketType { .. } => "unknown-socket-type",
            Violation::IncompatibleSockets { .. } => "incompatible-sockets",
            Violation::IdentityTooLong { .. } => "identity-too-long",
            Violation::IdentityReserved => "identity-reserved",
            Violation::PeerError { .. } => "peer-error",
            Violation::ReservedFlags { .. } => "reserved-flags",
            Violation::CommandWithMore => "command-with-more",
            Violation::FrameTooLarge { .. } => "frame-too-large",
            Violation::TooManyFrames { .. } => "too-many-frames",
            Violation::MessageTooLarge { .. } => "message-too-large",
            Violation::CommandTooLarge { .. } => "command-too-large",
            Violation::PingContextTooLong { .. } => "ping-context-too-long",
            Violation::LengthOutOfRange => "length-out-of-range",
            Violation::UnexpectedMessage { .. } => "unexpected-message",
            Violation::TooManySubscriptions { .. } => "too-many-subscriptions",
            Violation::TopicTooLong { .. } => "topic-too-long",
            Violation::TopicsTooLarge { .. } => "topics-too-large",
            Violation::SurplusBytes { .. } => "surplus-bytes",
        }
    }

    /// Whether the same attempt, made again, must be expected to end the same way.
    ///
    /// True when the peer said ERROR, or when version, mechanism or socket types do not fit: a dialer must not come
    /// back quickly.
    pub fn is_fatal_for_retry(&self) -> bool {
        // No wildcard: a new variant must choose.
        match self {
            Violation::PeerError { .. }
            | Violation::UnsupportedVersion { .. }
            | Violation::MechanismMismatch { .. }
            | Violation::UnknownSocketType { .. }
            | Violation::IncompatibleSockets { .. } => true,
            Violation::BadSignature { .. }
            | Violation::MalformedMechanism { .. }
            | Violation::BadAsServer { .. }
            | Violation::MessageBeforeReady
            | Violation::UnexpectedCommand { .. }
            | Violation::MalformedCommand { .. }
            | Violation::MalformedMetadata { .. }
            | Violation::TooManyProperties { .. }
            | Violation::MetadataTooLarge { .. }
            | Violation::MissingSocketType
            | Violation::IdentityTooLong { .. }
            | Violation::IdentityReserved
            | Violation::ReservedFlags { .. }
            | Violation::CommandWithMore
            | Violation::FrameTooLarge { .. }
            | Violation::TooManyFrames { .. }
            | Violation::MessageTooLarge { .. }
            | Violation::CommandTooLarge { .. }
            | Violation::PingContextTooLong { .. }
            | Violation::LengthOutOfRange
            | Violation::UnexpectedMessage { .. }
            | Violation::TooManySubscriptions { .. }
            | Violation::TopicTooLong { .. }
            | Violation::TopicsTooLarge { .. }
            | Violation::SurplusBytes { .. } => false,
        }
    }

    /// An [`UnexpectedCommand`](Violation::UnexpectedCommand) from the name as it came, escaped and cut.
    pub fn unexpected_command(name: &[u8]) -> Self {
        Violation::UnexpectedCommand {
            name: printable(name),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::BadSignature { offset, byte } => write!(
                f,
                "byte {offset} of the greeting is 0x{byte:02x}, not 0x{:02x}: the peer does not speak ZMTP",
                if *offset == 0 { 0xFF } else { 0x7F }
            ),
            Violation::UnsupportedVersion { major } => write!(
                f,
                "peer's greeting says version {major}; ZMTP 3.0 or later is required"
            ),
            Violation::MalformedMechanism { offset, byte } => write!(
                f,
                "byte {offset} of the greeting is 0x{byte:02x}, which no mechanism name has there"
            ),
            Violation::MechanismMismatch { ours, theirs } => write!(
                f,
                "peer wants mechanism {theirs}, this side uses {ours}; both must use the same"
            ),
            Violation::BadAsServer { byte } => write!(
                f,
                "the as-server byte of the greeting is 0x{byte:02x}, not 0 or 1"
            ),
            Violation::MessageBeforeReady => {
                f.write_str("peer sent a message before the handshake was over")
            }
            Violation::UnexpectedCommand { name } => {
                write!(f, "peer sent command {name}, which has no place here")
            }
            Violation::MalformedCommand { what } => {
                write!(f, "peer sent a malformed command: {what}")
            }
            Violation::MalformedMetadata { what } => {
                write!(f, "peer sent malformed metadata: {what}")
            }
            Violation::TooManyProperties { max } => {
                write!(f, "peer sent more than {max} properties, the limit")
            }
            Violation::MetadataTooLarge { bytes, max } => write!(
                f,
                "peer sent {bytes} bytes of metadata, over the limit of {max}"
            ),
            Violation::MissingSocketType => f.write_str("peer named no socket type"),
            Violation::UnknownSocketType { name } => {
                write!(f, "peer names the unknown socket type {name}")
            }
            Violation::IncompatibleSockets { ours, theirs } => write!(
                f,
                "peer is a {theirs} socket, which does not pair with {ours}"
            ),
            Violation::IdentityTooLong { bytes } => {
                write!(f, "identity of {bytes} bytes, over the limit of 255")
            }
            Violation::IdentityReserved => {
                f.write_str("identity starts with a zero byte, which is reserved")
            }
            Violation::PeerError { reason } if reason.is_empty() => {
                f.write_str("peer refused the connection and gave no reason")
            }
            Violation::PeerError { reason } => {
                write!(f, "peer refused the connection: {reason}")
            }
            Violation::ReservedFlags { flags } => write!(
                f,
                "frame flags 0x{flags:02x} have reserved bits set (only 0x07 may be)"
            ),
            Violation::CommandWithMore => {
                f.write_str("peer sent a command with the MORE flag; commands are one frame")
            }
            Violation::FrameTooLarge { bytes, max } => {
                write!(f, "frame of {bytes} bytes, over the limit of {max}")
            }
            Violation::TooManyFrames { max } => {
                write!(f, "message of more than {max} frames, the limit")
            }
            Violation::MessageTooLarge { bytes, max } => {
                write!(f, "message of {bytes} bytes, over the limit of {max}")
            }
            Violation::CommandTooLarge { bytes, max } => {
                write!(f, "command of {bytes} bytes, over the limit of {max}")
            }
            Violation::PingContextTooLong { bytes } => {
                write!(f, "ping context of {bytes} bytes, over the limit of 16")
            }
            Violation::LengthOutOfRange => {
                f.write_str("frame length has its top bit set; lengths end at 2^63 - 1")
            }
            Violation::UnexpectedMessage { ours } => {
                write!(f, "peer sent a message that a {ours} socket does not take")
            }
            Violation::TooManySubscriptions { max } => {
                write!(f, "peer subscribed to more than {max} topics, the limit")
            }
            Violation::TopicTooLong { bytes, max } => write!(
                f,
                "peer subscribed to a topic of {bytes} bytes, over the limit of {max}"
            ),
            Violation::TopicsTooLarge { bytes, max } => write!(
                f,
                "peer subscribed to topics of {bytes} bytes together, over the limit of {max}"
            ),
            Violation::SurplusBytes { bytes } => {
                write!(f, "{bytes} bytes were fed past the end of the handshake")
            }
        }
    }
}

impl std::error::Error for Violation {}

/// A peer's bytes made fit for a log line: printable ASCII, the rest escaped, cut at [`TEXT_MAX`] characters.
pub(crate) fn printable(bytes: &[u8]) -> Box<str> {
    const CUT: &str = "...";
    let mut text = String::new();
    for &byte in bytes {
        let escaped = std::ascii::escape_default(byte);
        if text.len() + escaped.len() > TEXT_MAX {
            // Room for the mark; all of it is ASCII, so any place is a boundary.
            text.truncate(TEXT_MAX - CUT.len());
            text.push_str(CUT);
            break;
        }
        text.extend(escaped.map(char::from));
    }
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<Violation> {
        vec![
            Violation::BadSignature { offset: 0, byte: 1 },
            Violation::UnsupportedVersion { major: 1 },
            Violation::MalformedMechanism {
                offset: 12,
                byte: 0,
            },
            Violation::MechanismMismatch {
                ours: "NULL",
                theirs: "PLAIN".into(),
            },
            Violation::BadAsServer { byte: 2 },
            Violation::MessageBeforeReady,
            Violation::UnexpectedCommand { name: "X".into() },
            Violation::MalformedCommand { what: "w" },
            Violation::MalformedMetadata { what: "w" },
            Violation::TooManyProperties { max: 1 },
            Violation::MetadataTooLarge { bytes: 2, max: 1 },
            Violation::MissingSocketType,
            Violation::UnknownSocketType { name: "X".into() },
            Violation::IncompatibleSockets {
                ours: SocketType::Pub,
                theirs: SocketType::Pull,
            },
            Violation::IdentityTooLong { bytes: 256 },
            Violation::IdentityReserved,
            Violation::PeerError {
                reason: "no".into(),
            },
            Violation::ReservedFlags { flags: 8 },
            Violation::CommandWithMore,
            Violation::FrameTooLarge { bytes: 2, max: 1 },
            Violation::TooManyFrames { max: 1 },
            Violation::MessageTooLarge { bytes: 2, max: 1 },
            Violation::CommandTooLarge { bytes: 2, max: 1 },
            Violation::PingContextTooLong { bytes: 17 },
            Violation::LengthOutOfRange,
            Violation::UnexpectedMessage {
                ours: SocketType::Push,
            },
            Violation::TooManySubscriptions { max: 1 },
            Violation::TopicTooLong { bytes: 2, max: 1 },
            Violation::TopicsTooLarge { bytes: 2, max: 1 },
            Violation::SurplusBytes { bytes: 1 },
        ]
    }

    #[test]
    fn every_variant_has_a_name_of_its_own() {
        let all = one_of_each();
        let mut names: Vec<_> = all.iter().map(Violation::name).collect();
        for name in &names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn messages_are_lower_case_without_a_full_stop() {
        for violation in one_of_each() {
            let text = violation.to_string();
            assert!(!text.ends_with('.'), "{text}");
            assert!(
                !text.starts_with(|c: char| c.is_ascii_uppercase()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_change_is_fatal_for_a_retry() {
        let fatal: Vec<_> = one_of_each()
            .into_iter()
            .filter(Violation::is_fatal_for_retry)
            .map(|v| v.name())
            .collect();
        assert_eq!(
            fatal,
            [
                "unsupported-version",
                "mechanism-mismatch",
                "unknown-socket-type",
                "incompatible-sockets",
                "peer-error"
            ]
        );
    }

    #[test]
    fn peer_text_is_printable_and_cut() {
        assert_eq!(&*printable(b"plain text"), "plain text");
        assert_eq!(&*printable(b"a\x1b[2J\n\xff"), "a\\x1b[2J\\n\\xff");
        assert_eq!(printable(&[b'x'; TEXT_MAX]).len(), TEXT_MAX);
        for length in 0..300 {
            for byte in [b'x', b'\n', 0xFF] {
                let text = printable(&vec![byte; length]);
                assert!(text.len() <= TEXT_MAX);
                assert!(text.bytes().all(|b| (0x20..0x7F).contains(&b)));
            }
        }
        assert!(printable(&[b'x'; TEXT_MAX + 1]).ends_with("..."));
    }
}
