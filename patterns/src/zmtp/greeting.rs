//! The greeting: the first 64 bytes each side sends.
//!
//! ```text
//! 0     signature: FF, eight bytes of padding, 7F
//! 10    version: major, minor
//! 12    mechanism, 20 bytes, padded with zeros
//! 32    as-server
//! 33    filler, 31 bytes
//! ```
//!
//! # Invariants
//!
//! 1. The first byte that cannot be right ends it: not one more is waited for. (`a_wrong_byte_is_refused_where_it_stands`)
//! 2. What a greeting is refused for does not depend on how it was cut. (`splits_do_not_change_the_verdict`)
//!
//! # Not here
//!
//! The padding and the filler are sent as zeros and not looked at: older libraries put a length into the padding, and
//! the filler is kept for later versions.

use super::Violation;
use super::violation::printable;

/// Length of a greeting in bytes.
pub const GREETING_LEN: usize = 64;
/// Length of the mechanism field in bytes.
pub const MECHANISM_LEN: usize = 20;

const SIGNATURE_END: usize = 9;
const MAJOR: usize = 10;
const MINOR: usize = 11;
const MECHANISM: usize = 12;
const AS_SERVER: usize = MECHANISM + MECHANISM_LEN;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 3 for every version that is taken today.
    pub major: u8,
    /// 0 or 1 today.
    pub minor: u8,
}

impl Version {
    /// What we speak.
    pub const OURS: Version = Version { major: 3, minor: 1 };

    /// Whether subscriptions are commands (3.1), and not messages that start with 1 or 0 (3.0).
    pub fn subscribes_by_command(self) -> bool {
        self >= Version { major: 3, minor: 1 }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What a greeting says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The highest version its sender speaks.
    pub version: Version,
    /// Whether its sender is the server of the mechanism; of no meaning to NULL.
    pub as_server: bool,
}

impl Greeting {
    /// The 64 bytes to send. A mechanism name over 20 bytes is cut there.
    pub fn encode(self, mechanism: &str) -> [u8; GREETING_LEN] {
        let mut bytes = [0; GREETING_LEN];
        bytes[0] = 0xFF;
        bytes[SIGNATURE_END] = 0x7F;
        bytes[MAJOR] = self.version.major;
        bytes[MINOR] = self.version.minor;
        for (to, from) in bytes[MECHANISM..AS_SERVER]
            .iter_mut()
            .zip(mechanism.bytes())
        {
            *to = from;
        }
        bytes[AS_SERVER] = u8::from(self.as_server);
        bytes
    }
}

/// Takes a peer's greeting in any pieces.
#[derive(Clone, Debug)]
pub struct GreetingReader {
    /// The mechanism that the peer must name, too.
    mechanism: &'static str,
    bytes: [u8; GREETING_LEN],
    have: usize,
}

impl GreetingReader {
    /// A reader that takes this mechanism and no other.
    pub fn new(mechanism: &'static str) -> Self {
        GreetingReader {
            mechanism,
            bytes: [0; GREETING_LEN],
            have: 0,
        }
    }

    /// How many bytes are missing.
    pub fn missing(&self) -> usize {
        GREETING_LEN - self.have
    }

    /// Takes bytes, at most as many as are missing, and says how many were taken and, once all are there, what they say.
    ///
    /// # Errors
    ///
    /// The first byte that cannot be right. A mechanism that is not ours is refused when its name has ended, so that
    /// the error can tell it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<Greeting>), Violation> {
        let take = bytes.len().min(self.missing());
        for &byte in &bytes[..take] {
            self.bytes[self.have] = byte;
            self.check(self.have, byte)?;
            self.have += 1;
        }
        let whole = (self.have == GREETING_LEN).then(|| Greeting {
            version: Version {
                major: self.bytes[MAJOR],
                minor: self.bytes[MINOR],
            },
            as_server: self.bytes[AS_SERVER] == 1,
        });
        Ok((take, whole))
    }

    fn check(&self, offset: usize, byte: u8) -> Result<(), Violation> {
        match offset {
            0 if byte != 0xFF => Err(Violation::BadSignature { offset, byte }),
            SIGNATURE_END if byte != 0x7F => Err(Violation::BadSignature { offset, byte }),
            MAJOR if byte < 3 => Err(Violation::UnsupportedVersion { major: byte }),
            MECHANISM..AS_SERVER => self.check_mechanism(offset, byte),
            AS_SERVER if byte > 1 => Err(Violation::BadAsServer { byte }),
            _ => Ok(()),
        }
    }

    fn check_mechanism(&self, offset: usize, byte: u8) -> Result<(), Violation> {
        let before = &self.bytes[MECHANISM..offset];
        let ended = before.last() == Some(&0);
        let legal = if byte == 0 {
            !before.is_empty()
        } else {
            !ended
                && (byte.is_ascii_uppercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'-' | b'_' | b'.' | b'+'))
        };
        if !legal {
            return Err(Violation::MalformedMechanism { offset, byte });
        }
        // The name is known at its first zero, or when the field is full.
        let theirs = match byte {
            0 if !ended => before,
            0 => return Ok(()),
            _ if offset + 1 == AS_SERVER => &self.bytes[MECHANISM..AS_SERVER],
            _ => return Ok(()),
        };
        if theirs == self.mechanism.as_bytes() {
            Ok(())
        } else {
            Err(Violation::MechanismMismatch {
                ours: self.mechanism,
                theirs: printable(theirs),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> [u8; GREETING_LEN] {
        let greeting = Greeting {
            version: Version::OURS,
            as_server: false,
        };
        greeting.encode("NULL")
    }

    fn read(bytes: &[u8]) -> Result<Option<Greeting>, Violation> {
        GreetingReader::new("NULL")
            .feed(bytes)
            .map(|(_, greeting)| greeting)
    }

    fn named(mechanism: &[u8]) -> [u8; GREETING_LEN] {
        let mut bytes = ours();
        bytes[12..32].fill(0);
        bytes[12..12 + mechanism.len()].copy_from_slice(mechanism);
        bytes
    }

    #[test]
    fn a_greeting_is_these_bytes() {
        let mut golden = Vec::new();
        golden.extend_from_slice(b"\xFF\0\0\0\0\0\0\0\0\x7F\x03\x01NULL");
        golden.resize(64, 0);
        assert_eq!(ours()[..], golden[..]);
        let server = Greeting {
            version: Version { major: 3, minor: 0 },
            as_server: true,
        };
        let bytes = server.encode("CURVE");
        assert_eq!(&bytes[10..17], b"\x03\0CURVE");
        assert_eq!(bytes[32], 1);
    }

    #[test]
    fn greetings_of_3_0_3_1_and_later_are_taken() {
        for (major, minor) in [(3, 0), (3, 1), (3, 9), (4, 0), (255, 255)] {
            let mut bytes = ours();
            bytes[10] = major;
            bytes[11] = minor;
            let greeting = read(&bytes).unwrap().unwrap();
            assert_eq!(greeting.version, Version { major, minor });
            assert_eq!(
                greeting.version.subscribes_by_command(),
                (major, minor) != (3, 0)
            );
        }
    }

    #[test]
    fn padding_and_filler_are_not_looked_at() {
        let mut bytes = ours();
        bytes[1..9].fill(0xAA);
        bytes[33..].fill(0xAA);
        assert!(read(&bytes).unwrap().is_some());
    }

    #[test]
    fn a_wrong_byte_is_refused_where_it_stands() {
        // A web client is known by its first byte.
        assert_eq!(
            read(b"G"),
            Err(Violation::BadSignature {
                offset: 0,
                byte: b'G'
            })
        );
        let mut bytes = ours();
        bytes[9] = 0x00;
        assert_eq!(read(&bytes[..9]), Ok(None));
        assert_eq!(
            read(&bytes[..10]),
            Err(Violation::BadSignature { offset: 9, byte: 0 })
        );
        for major in 0..3 {
            let mut bytes = ours();
            bytes[10] = major;
            assert_eq!(
                read(&bytes[..11]),
                Err(Violation::UnsupportedVersion { major })
            );
        }
        let mut bytes = ours();
        bytes[32] = 2;
        assert_eq!(read(&bytes[..32]), Ok(None));
        assert_eq!(read(&bytes[..33]), Err(Violation::BadAsServer { byte: 2 }));
    }

    #[test]
    fn another_mechanism_is_refused_when_its_name_has_ended() {
        let other = |theirs: &str| {
            Err(Violation::MechanismMismatch {
                ours: "NULL",
                theirs: theirs.into(),
            })
        };
        assert_eq!(read(&named(b"PLAIN")[..17]), Ok(None));
        assert_eq!(read(&named(b"PLAIN")[..18]), other("PLAIN"));
        assert_eq!(read(&named(b"CURVE")), other("CURVE"));
        assert_eq!(read(&named(b"NUL")), other("NUL"));
        assert_eq!(read(&named(b"NULLS")), other("NULLS"));
        assert_eq!(
            read(&named(b"ABCDEFGHIJKLMNOPQRST")[..32]),
            other("ABCDEFGHIJKLMNOPQRST")
        );
    }

    #[test]
    fn a_mechanism_name_off_the_alphabet_is_refused() {
        let malformed = |offset, byte| Err(Violation::MalformedMechanism { offset, byte });
        assert_eq!(read(&named(b"")[..13]), malformed(12, 0));
        assert_eq!(read(&named(b"null")[..13]), malformed(12, b'n'));
        assert_eq!(read(&named(b"NU L")[..15]), malformed(14, b' '));
        assert_eq!(read(&named(b"NULL\0X")[..18]), malformed(17, b'X'));
        assert!(
            GreetingReader::new("A-Z_0.9+")
                .feed(&named(b"A-Z_0.9+"))
                .is_ok()
        );
    }

    #[test]
    fn splits_do_not_change_the_verdict() {
        let mut cases = vec![ours(), named(b"PLAIN"), named(b"NULL\0X"), named(b"")];
        for offset in 0..GREETING_LEN {
            let mut bytes = ours();
            bytes[offset] ^= 0x82;
            cases.push(bytes);
        }
        // Two faults: the earlier one counts.
        let mut bytes = named(b"PLAIN");
        bytes[32] = 7;
        cases.push(bytes);
        for bytes in cases {
            let whole = read(&bytes);
            for split in 0..=GREETING_LEN {
                let mut reader = GreetingReader::new("NULL");
                let parts = reader
                    .feed(&bytes[..split])
                    .and_then(|(_, early)| match early {
                        Some(greeting) => Ok(Some(greeting)),
                        None => reader.feed(&bytes[split..]).map(|(_, greeting)| greeting),
                    });
                assert_eq!(parts, whole, "split at {split}");
            }
        }
    }

    #[test]
    fn bytes_after_the_greeting_are_left_alone() {
        let mut bytes = ours().to_vec();
        bytes.extend_from_slice(b"next");
        let (taken, greeting) = GreetingReader::new("NULL").feed(&bytes).unwrap();
        assert_eq!(taken, 64);
        assert!(greeting.is_some());
    }
}
