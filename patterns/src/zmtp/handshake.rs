//! The handshake: from the first byte to the peer's READY.
//!
//! ```text
//! dialing side                         accepting side
//! greeting  ------------------------>
//!           <------------------------  greeting          both are sent at once, whole
//! READY     ------------------------>  Progress::Ready   who asks to come in?
//!                                      admit()           or refuse(): ERROR
//! Progress::Ready  <-----------------  READY
//! ```
//!
//! The owner of the connection drives it: writes what [`take_output`](Handshake::take_output) gives, reads at most
//! [`wants`](Handshake::wants) bytes and [`feed`](Handshake::feed)s them. The clock is the owner's, too.
//!
//! # Invariants
//!
//! 1. However the bytes are cut, the outcome is the same. (`every_split_of_a_dialogue_ends_the_same`, proptest
//!    `arbitrary_bytes_end_the_same_in_any_split`)
//! 2. Not a byte past the peer's READY is taken. (`traffic_behind_ready_is_left_alone`)
//! 3. Memory held for a peer is at most `command_bytes_max` and a fixed part, and is taken as the bytes come.
//!    (`a_command_over_the_limit_is_refused_from_its_length`, proptest `arbitrary_bytes_stay_within_the_caps`)
//! 4. After a violation nothing is taken any more; until `refuse`, it is reported again. (`a_violation_is_final`)
//! 5. An accepting side says READY only after [`admit`](Handshake::admit). (`a_responder_holds_its_ready_until_admit`)
//!
//! # Not here
//!
//! Time-outs, caps on handshakes under way, clashes of identities: the engine. What NULL sends: `super::mechanism`.

use bytes::Bytes;

use super::command::{self, Command};
use super::greeting::{Greeting, GreetingReader, Version};
use super::mechanism::{Mechanism, Null, Step};
use super::metadata::{self, HEARTBEATS, IDENTITY, SOCKET_TYPE};
use super::violation::printable;
use super::{FLAG_COMMAND, FLAG_LONG, FLAG_MORE, FLAGS_RESERVED, SocketType, Violation};

/// Longest identity, in bytes.
pub const IDENTITY_BYTES_MAX: usize = 255;

/// Our end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Our socket's type.
    pub socket_type: SocketType,
    /// Our identity; empty is none. To be checked by [`check_identity`] where it is set.
    pub identity: Bytes,
    /// Whether we judge silence, and say so: a peer that cannot read for a while then shows life all the same.
    pub heartbeats: bool,
    /// Whether this is the accepting side, which says READY only after [`Handshake::admit`].
    pub responder: bool,
}

/// What a peer may cost us before it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// Largest command, in bytes. Default 8 KiB; 512 bytes to 64 KiB, held to these bounds by [`Handshake::new`].
    ///
    /// Worst-case memory of a handshake under way is this and the output of less than 1 KiB.
    pub command_bytes_max: usize,
    /// Most properties in the peer's metadata. Default 64; 2 to 1,024, held to these bounds by [`Handshake::new`].
    pub properties_max: usize,
}

impl HandshakeLimits {
    /// Least `command_bytes_max`: a READY with the longest identity fits.
    pub const COMMAND_BYTES_LEAST: usize = 512;
    /// Most `command_bytes_max`.
    pub const COMMAND_BYTES_MOST: usize = 64 * 1024;
    /// Least `properties_max`: socket type and identity.
    pub const PROPERTIES_LEAST: usize = 2;
    /// Most `properties_max`.
    pub const PROPERTIES_MOST: usize = 1024;

    fn bounded(self) -> Self {
        HandshakeLimits {
            command_bytes_max: self
                .command_bytes_max
                .clamp(Self::COMMAND_BYTES_LEAST, Self::COMMAND_BYTES_MOST),
            properties_max: self
                .properties_max
                .clamp(Self::PROPERTIES_LEAST, Self::PROPERTIES_MOST),
        }
    }
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        HandshakeLimits {
            command_bytes_max: 8 * 1024,
            properties_max: 64,
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// The version in its greeting; may be above ours.
    pub version: Version,
    /// Its socket's type; it pairs with ours.
    pub socket_type: SocketType,
    /// The identity it announced, a claim; empty is none.
    pub identity: Bytes,
    /// Every other property, in the order it came, names in the case they came in.
    pub properties: Vec<(Box<str>, Bytes)>,
}

/// How far a handshake has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    More,
    /// The peer said READY, and fits. Once.
    ///
    /// A dialing side is through. An accepting side decides now, by [`Handshake::admit`] or [`Handshake::refuse`].
    Ready(PeerInfo),
}

/// One connection's handshake.
///
/// # Examples
///
/// ```
/// use brokerless_patterns::zmtp::{Handshake, HandshakeLimits, Local, Progress, SocketType};
///
/// let local = |socket_type, responder| Local {
///     socket_type,
///     identity: Default::default(),
///     heartbeats: true,
///     responder,
/// };
/// let mut dialer = Handshake::new(local(SocketType::Dealer, false), HandshakeLimits::default());
/// let mut router = Handshake::new(local(SocketType::Router, true), HandshakeLimits::default());
///
/// // A link would carry these bytes, in any pieces.
/// router.feed(&dialer.take_output())?; // greeting
/// dialer.feed(&router.take_output())?;
/// let Progress::Ready(peer) = router.feed(&dialer.take_output())? else { panic!("no READY") };
/// assert_eq!(peer.socket_type, SocketType::Dealer);
/// router.admit();
/// assert!(matches!(dialer.feed(&router.take_output())?, Progress::Ready(_)));
/// # Ok::<(), brokerless_patterns::zmtp::Violation>(())
/// ```
#[derive(Debug)]
pub struct Handshake {
    local: Local,
    limits: HandshakeLimits,
    mechanism: Mechanism,
    version: Option<Version>,
    state: State,
    out: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Greeting(GreetingReader),
    Header {
        bytes: [u8; 9],
        have: usize,
    },
    Body {
        bytes: Vec<u8>,
        length: usize,
    },
    /// The peer's READY was taken.
    Ready,
    /// We refused; what still comes is thrown away.
    Refused,
    Broken(Violation),
}

const AWAIT_FRAME: State = State::Header {
    bytes: [0; 9],
    have: 0,
};

impl PeerInfo {
    /// Whether the peer says that it judges silence.
    pub fn judges_silence(&self) -> bool {
        let said = |(name, _): &(Box<str>, Bytes)| name.eq_ignore_ascii_case(HEARTBEATS);
        self.properties.iter().any(said)
    }
}

impl Handshake {
    /// Begins a handshake under the NULL mechanism. Our greeting is in the output at once.
    pub fn new(local: Local, limits: HandshakeLimits) -> Self {
        Self::with_mechanism(local, limits, Mechanism::Null(Null::default()))
    }

    fn with_mechanism(local: Local, limits: HandshakeLimits, mut mechanism: Mechanism) -> Self {
        let greeting = Greeting {
            version: Version::OURS,
            as_server: mechanism.as_server(),
        };
        let mut out = greeting.encode(mechanism.name()).to_vec();
        if !local.responder {
            mechanism.admit(&mut out);
        }
        Handshake {
            state: State::Greeting(GreetingReader::new(mechanism.name())),
            limits: limits.bounded(),
            local,
            mechanism,
            version: None,
            out,
        }
    }

    /// The bytes to send now; may be none.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Whether there is something to send.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// The most bytes to read and feed now without touching what follows the handshake.
    ///
    /// 0 once the peer's READY was taken, after [`refuse`](Self::refuse), and after a violation.
    pub fn wants(&self) -> usize {
        match &self.state {
            State::Greeting(reader) => reader.missing(),
            State::Header { bytes, have } => header_len(bytes, *have) - have,
            State::Body { bytes, length } => length - bytes.len(),
            State::Ready | State::Refused | State::Broken(_) => 0,
        }
    }

    /// The version in the peer's greeting, once that is there.
    pub fn peer_version(&self) -> Option<Version> {
        self.version
    }

    /// Takes bytes from the peer, at most [`wants`](Self::wants), in any pieces.
    ///
    /// More than that is no harm as long as all of it belongs to the handshake (see [`consume`](Self::consume)).
    ///
    /// # Errors
    ///
    /// What the peer did. The connection is to be closed; where the peer's greeting was whole,
    /// [`refuse`](Self::refuse) can tell it first. [`SurplusBytes`](Violation::SurplusBytes) if bytes are left over when the peer's
    /// READY was taken: they would be lost.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Violation> {
        let (taken, progress) = self.consume(bytes)?;
        if taken < bytes.len() {
            return Err(self.fail(Violation::SurplusBytes {
                bytes: bytes.len() - taken,
            }));
        }
        Ok(progress)
    }

    /// Takes as many of the bytes as belong to the handshake, and says how many those were.
    ///
    /// What is left is the beginning of the traffic. For an owner that reads ahead.
    ///
    /// # Errors
    ///
    /// As [`feed`](Self::feed), without the last.
    pub fn consume(&mut self, bytes: &[u8]) -> Result<(usize, Progress), Violation> {
        let mut rest = bytes;
        loop {
            match &self.state {
                State::Broken(violation) => return Err(violation.clone()),
                State::Refused => return Ok((bytes.len(), Progress::More)),
                State::Ready => break,
                _ if rest.is_empty() => break,
                _ => {}
            }
            match self.step(&mut rest) {
                Ok(Progress::More) => {}
                Ok(ready) => return Ok((bytes.len() - rest.len(), ready)),
                Err(violation) => return Err(self.fail(violation)),
            }
        }
        Ok((bytes.len() - rest.len(), Progress::More))
    }

    /// Lets the peer in: queues READY, on an accepting side.
    ///
    /// Counts once, and not after [`refuse`](Self::refuse) or a violation. Before the peer's greeting it is remembered.
    pub fn admit(&mut self) {
        if !matches!(self.state, State::Refused | State::Broken(_)) {
            self.mechanism.admit(&mut self.out);
        }
    }

    /// Turns the peer away: queues ERROR. Then write the output, and close.
    ///
    /// The reason is cut at 255 bytes; a space, and all else that is no visible ASCII character, goes out as `-`
    /// ([`Violation::name`] is a fit reason). Nothing is queued unless the peer's greeting was whole and fit: ERROR is a
    /// word of a mechanism that both have named.
    ///
    /// A peer that gets ERROR does not come back. Where it may (too many connections, shutting down), close without.
    pub fn refuse(&mut self, reason: &str) {
        if self.version.is_some() && !matches!(self.state, State::Refused) {
            command::error(&mut self.out, reason);
        }
        self.state = State::Refused;
    }

    fn fail(&mut self, violation: Violation) -> Violation {
        self.state = State::Broken(violation.clone());
        violation
    }

    /// Takes what the present state can use off the front of `rest`, which is not empty.
    fn step(&mut self, rest: &mut &[u8]) -> Result<Progress, Violation> {
        match &mut self.state {
            State::Greeting(reader) => {
                let (taken, greeting) = reader.feed(rest)?;
                *rest = &rest[taken..];
                if let Some(greeting) = greeting {
                    self.greeted(&greeting)?;
                }
            }
            State::Header { bytes, have } => {
                let taken = (header_len(bytes, *have) - *have).min(rest.len());
                for &byte in &rest[..taken] {
                    bytes[*have] = byte;
                    check_header_byte(*have, bytes)?;
                    *have += 1;
                }
                *rest = &rest[taken..];
                if *have == header_len(bytes, *have) {
                    let length = announced(bytes);
                    self.state = State::Body {
                        bytes: Vec::new(),
                        length: self.checked_length(length)?,
                    };
                }
            }
            State::Body { bytes, length } => {
                let taken = (*length - bytes.len()).min(rest.len());
                if bytes.is_empty() {
                    // Exactly: doubling could go over the limit. Not at the header: announcing is free.
                    bytes.reserve_exact(*length);
                }
                bytes.extend_from_slice(&rest[..taken]);
                *rest = &rest[taken..];
                if bytes.len() == *length {
                    let body = std::mem::take(bytes);
                    self.state = AWAIT_FRAME;
                    return self.command(&body);
                }
            }
            State::Ready | State::Refused | State::Broken(_) => {}
        }
        Ok(Progress::More)
    }

    fn greeted(&mut self, peer: &Greeting) -> Result<(), Violation> {
        self.version = Some(peer.version);
        self.state = AWAIT_FRAME;
        let mut ours = Vec::new();
        // The names are legal; an identity over 2^31 - 1 bytes would go missing, and `check_identity` has long
        // refused it.
        let _ = metadata::put(
            &mut ours,
            SOCKET_TYPE,
            self.local.socket_type.name().as_bytes(),
        );
        // Others send it from these types even when it is empty, and leave it out from the rest.
        if matches!(
            self.local.socket_type,
            SocketType::Req | SocketType::Dealer | SocketType::Router
        ) {
            let _ = metadata::put(&mut ours, IDENTITY, &self.local.identity);
        }
        if self.local.heartbeats {
            let _ = metadata::put(&mut ours, HEARTBEATS, b"");
        }
        self.mechanism.start(peer, ours, &mut self.out)
    }

    /// A command must have a name, hence a byte at least; this also keeps [`Handshake::wants`] above 0.
    fn checked_length(&self, length: u64) -> Result<usize, Violation> {
        let max = self.limits.command_bytes_max;
        match usize::try_from(length) {
            Ok(0) => Err(Violation::MalformedCommand {
                what: "the command is empty",
            }),
            Ok(length) if length <= max => Ok(length),
            _ => Err(Violation::CommandTooLarge {
                bytes: length,
                max: max as u64,
            }),
        }
    }

    fn command(&mut self, body: &[u8]) -> Result<Progress, Violation> {
        let command = command::parse(body)?;
        if let Command::Error { reason } = command {
            return Err(Violation::PeerError {
                reason: printable(reason),
            });
        }
        match self.mechanism.command(&command, &mut self.out)? {
            Step::More => Ok(Progress::More),
            Step::Metadata(metadata) => {
                let peer = self.peer(&metadata)?;
                self.state = State::Ready;
                Ok(Progress::Ready(peer))
            }
        }
    }

    fn peer(&self, metadata: &[u8]) -> Result<PeerInfo, Violation> {
        let found = metadata::parse(
            metadata,
            self.limits.properties_max,
            self.limits.command_bytes_max,
        )?;
        let name = found.get(SOCKET_TYPE).ok_or(Violation::MissingSocketType)?;
        let socket_type =
            SocketType::from_name(name).ok_or_else(|| Violation::UnknownSocketType {
                name: printable(name),
            })?;
        if !self.local.socket_type.accepts(socket_type) {
            return Err(Violation::IncompatibleSockets {
                ours: self.local.socket_type,
                theirs: socket_type,
            });
        }
        let identity = found.get(IDENTITY).unwrap_or_default();
        check_identity(identity)?;
        let others = found.iter().filter(|(name, _)| {
            !name.eq_ignore_ascii_case(SOCKET_TYPE) && !name.eq_ignore_ascii_case(IDENTITY)
        });
        Ok(PeerInfo {
            version: self.version.unwrap_or(Version::OURS),
            socket_type,
            // Copies: a few bytes, which live as long as the peer and would pin the whole command.
            identity: Bytes::copy_from_slice(identity),
            properties: others
                .map(|(name, value)| (name.into(), Bytes::copy_from_slice(value)))
                .collect(),
        })
    }
}

/// Whether these bytes can be an identity. Empty is none, and can.
///
/// # Errors
///
/// Over 255 bytes, or a first byte of zero.
pub fn check_identity(identity: &[u8]) -> Result<(), Violation> {
    if identity.len() > IDENTITY_BYTES_MAX {
        return Err(Violation::IdentityTooLong {
            bytes: identity.len(),
        });
    }
    if identity.first() == Some(&0) {
        return Err(Violation::IdentityReserved);
    }
    Ok(())
}

/// Length of a frame header, as far as is known: any header has 2 bytes, and the flags may say more.
fn header_len(bytes: &[u8; 9], have: usize) -> usize {
    if have >= 1 && bytes[0] & FLAG_LONG != 0 {
        9
    } else {
        2
    }
}

/// Checks byte `at`, the last that came.
fn check_header_byte(at: usize, bytes: &[u8; 9]) -> Result<(), Violation> {
    let flags = bytes[0];
    match at {
        0 if flags & FLAGS_RESERVED != 0 => Err(Violation::ReservedFlags { flags }),
        0 if flags & FLAG_COMMAND == 0 => Err(Violation::MessageBeforeReady),
        0 if flags & FLAG_MORE != 0 => Err(Violation::CommandWithMore),
        1 if flags & FLAG_LONG != 0 && bytes[1] & 0x80 != 0 => Err(Violation::LengthOutOfRange),
        _ => Ok(()),
    }
}

fn announced(header: &[u8; 9]) -> u64 {
    let [flags, length @ ..] = *header;
    if flags & FLAG_LONG != 0 {
        u64::from_be_bytes(length)
    } else {
        u64::from(length[0])
    }
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
