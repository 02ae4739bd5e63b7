//! The ZMTP 3.1 protocol (ZeroMQ RFC 37), without I/O.
//!
//! Bytes go in, bytes and results come out. Nothing in here knows a socket, a thread, a clock or a source of
//! randomness; whoever owns the connection drives it. Peers that speak 3.0 are taken too, older ones are refused.
//!
//! | room | what it is for |
//! |---|---|
//! | [`greeting`] | the first 64 bytes: signature, version, mechanism |
//! | [`handshake`] | from the first byte to the peer's READY; what a connection starts with |
//! | [`command`] | command frames, in both directions |
//! | [`metadata`] | the properties that a READY carries |
//! | [`socket_type`] | the socket types and which of them pair |
//! | [`violation`] | everything a peer can do wrong, with a name for each |
//! | `spares` | memory of large frames, for the next ones |
//! | `mechanism` | the seam between the handshake and a security mechanism |
//!
//! # Invariants
//!
//! 1. However a peer's bytes are cut, the outcome is the same. (`every_split_of_a_dialogue_ends_the_same`,
//!    proptest `arbitrary_bytes_end_the_same_in_any_split`)
//! 2. Nothing is allocated for a length that is over its limit. (`a_command_over_the_limit_is_refused_from_its_length`)
//! 3. No input panics. (proptest `arbitrary_bytes_stay_within_the_caps`)

pub mod buffer;
pub mod command;
pub mod decoder;
pub mod encoder;
pub mod greeting;
pub mod handshake;
pub(crate) mod mechanism;
pub mod metadata;
pub mod socket_type;
mod spares;
pub mod violation;

pub use command::Command;
pub use greeting::{Greeting, Version};
pub use handshake::{Handshake, HandshakeLimits, Local, PeerInfo, Progress};
pub use socket_type::SocketType;
pub use violation::Violation;

/// Frame flag: another frame of the same message follows.
pub const FLAG_MORE: u8 = 0x01;
/// Frame flag: the length takes eight bytes, not one.
pub const FLAG_LONG: u8 = 0x02;
/// Frame flag: the frame is a command.
pub const FLAG_COMMAND: u8 = 0x04;
/// Frame flags that must be zero.
pub const FLAGS_RESERVED: u8 = !(FLAG_MORE | FLAG_LONG | FLAG_COMMAND);
