//! Inputs made by hand, one per rule: what they are called, and how they must end.
//!
//! They are written to `fuzz/seeds` for the fuzzer to start from (`UPDATE_SEEDS=1`), and checked as they stand here.

mod handshakes;
mod sessions;
mod streams;
mod texts;

use brokerless_patterns::zmtp::{command, metadata};

use crate::checks::Target;

/// An input made by hand.
pub(crate) struct Seed {
    pub(crate) target: Target,
    /// Its file name.
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// The violation, or a part of the error's message; none where all is well.
    pub(crate) refused: Option<&'static str>,
    /// What comes through: messages and commands, handshakes, properties, endpoints.
    pub(crate) taken: usize,
}

/// Every seed.
pub(crate) fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    handshakes::greetings(&mut seeds);
    streams::frames(&mut seeds);
    texts::commands(&mut seeds);
    texts::endpoints(&mut seeds);
    sessions::sessions(&mut seeds);
    seeds
}

/// The greeting of libzmq 4.3.5, of a socket with an identity of `identity_len` bytes.
fn libzmq_greeting(identity_len: u8) -> Vec<u8> {
    let mut bytes = b"\xFF\0\0\0\0\0\0\0\0\x7F\x03\x01NULL".to_vec();
    bytes[8] = identity_len + 1;
    bytes.resize(64, 0);
    bytes
}

/// As captured from libzmq 4.3.5, for each socket type.
const LIBZMQ_READY: [(&str, &[u8]); 11] = [
    ("pair", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PAIR"),
    ("pub", b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03PUB"),
    ("sub", b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03SUB"),
    (
        "req",
        b"\x04\x26\x05READY\x0BSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0",
    ),
    ("rep", b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03REP"),
    (
        "dealer",
        b"\x04\x31\x05READY\x0BSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x08worker-7",
    ),
    (
        "router",
        b"\x04\x29\x05READY\x0BSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0",
    ),
    ("pull", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PULL"),
    ("push", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PUSH"),
    ("xpub", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04XPUB"),
    ("xsub", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04XSUB"),
];

/// The place in `SocketType::ALL` of a type that talks to the one at the same place above.
const COUNTERPART: [u8; 11] = [0, 2, 1, 6, 5, 6, 5, 8, 7, 2, 1];

/// Bytes as they are.
fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut run = vec![0];
    run.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    run.extend_from_slice(bytes);
    run
}

/// `8 * count` bytes of 0x5D.
fn fill(count: u16) -> Vec<u8> {
    let [high, low] = count.to_be_bytes();
    vec![0x55, high, low]
}

fn long(flags: u8, len: u64) -> Vec<u8> {
    let mut header = vec![flags | 2];
    header.extend_from_slice(&len.to_be_bytes());
    header
}

fn ready(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, value) in properties {
        assert!(metadata::put(&mut data, name, value));
    }
    let mut frame = Vec::new();
    command::ready(&mut frame, &data);
    frame
}
