//! The seam between the handshake and a security mechanism.
//!
//! The handshake owns the bytes: greeting, frames, limits, ERROR in both directions, and what the metadata means. A
//! mechanism sees commands only, and says when it has got the peer's metadata:
//!
//! ```text
//! handshake                             mechanism
//! both greetings are there   start  ->  commands out (the dialing side speaks first)
//! a command came             command->  commands out, and Step::More or Step::Metadata
//! the peer may come in       admit  ->  its last command out; until then it holds that back
//! ```
//!
//! To add one: a variant of [`Mechanism`], a type with these four functions, and a constructor of the handshake that
//! takes it. Nobody who drives a handshake changes.
//!
//! # Not here
//!
//! What a mechanism does to traffic after the handshake. NULL does nothing; one that encrypts hands its keys over with
//! the metadata, and the frame codec uses them.

use std::borrow::Cow;

use super::command::{self, Command};
use super::greeting::Greeting;
use super::violation::Violation;

/// What a command from the peer led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Another command must come.
    #[allow(
        dead_code,
        reason = "NULL is done after one command; the others take two"
    )]
    More,
    /// The peer's metadata: borrowed when it came in clear, owned when it was deciphered.
    Metadata(Cow<'a, [u8]>),
}

/// The mechanism of a connection, with its progress.
#[derive(Debug)]
pub(crate) enum Mechanism {
    Null(Null),
}

impl Mechanism {
    /// The name for the greeting.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Mechanism::Null(_) => "NULL",
        }
    }

    /// Whether our greeting says that we are the mechanism's server, which is no matter of who dialed.
    pub(crate) fn as_server(&self) -> bool {
        match self {
            Mechanism::Null(_) => false,
        }
    }

    /// Both greetings are there, and name this mechanism. `metadata` is ours.
    pub(crate) fn start(
        &mut self,
        _peer: &Greeting,
        metadata: Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        match self {
            Mechanism::Null(null) => {
                null.start(metadata, out);
                Ok(())
            }
        }
    }

    /// The peer sent a command; never ERROR.
    pub(crate) fn command<'a>(
        &mut self,
        command: &Command<'a>,
        _out: &mut Vec<u8>,
    ) -> Result<Step<'a>, Violation> {
        match self {
            Mechanism::Null(null) => null.command(command),
        }
    }

    /// The peer may come in. May be called at any time; counts once.
    pub(crate) fn admit(&mut self, out: &mut Vec<u8>) {
        match self {
            Mechanism::Null(null) => null.admit(out),
        }
    }
}

/// No security: one READY each way.
#[derive(Debug, Default)]
pub(crate) struct Null {
    admitted: bool,
    /// Our metadata, from the start until READY is written.
    unsent: Option<Vec<u8>>,
}

impl Null {
    fn start(&mut self, metadata: Vec<u8>, out: &mut Vec<u8>) {
        self.unsent = Some(metadata);
        self.flush(out);
    }

    fn command<'a>(&mut self, command: &Command<'a>) -> Result<Step<'a>, Violation> {
        match *command {
            Command::Ready(metadata) => Ok(Step::Metadata(Cow::Borrowed(metadata))),
            ref other => Err(other.unexpected()),
        }
    }

    fn admit(&mut self, out: &mut Vec<u8>) {
        self.admitted = true;
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if self.admitted
            && let Some(metadata) = self.unsent.take()
        {
            command::ready(out, &metadata);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::Version;

    const PEER: Greeting = Greeting {
        version: Version::OURS,
        as_server: false,
    };

    #[test]
    fn null_writes_ready_once_when_started_and_admitted_in_either_order() {
        for admit_first in [false, true] {
            let mut out = Vec::new();
            let mut null = Mechanism::Null(Null::default());
            if admit_first {
                null.admit(&mut out);
                assert!(out.is_empty());
            }
            null.start(&PEER, b"m".to_vec(), &mut out).unwrap();
            assert_eq!(out.is_empty(), !admit_first);
            null.admit(&mut out);
            null.admit(&mut out);
            assert_eq!(out, b"\x04\x07\x05READYm");
        }
    }

    #[test]
    fn null_takes_ready_and_nothing_else() {
        let mut null = Mechanism::Null(Null::default());
        let mut out = Vec::new();
        let step = null.command(&Command::Ready(b"m"), &mut out);
        assert_eq!(step, Ok(Step::Metadata(Cow::Borrowed(b"m"))));
        for body in [&b"\x05HELLOu"[..], b"\x04PING\0\0", b"\x09SUBSCRIBE"] {
            let command = command::parse(body).unwrap();
            assert_eq!(null.command(&command, &mut out), Err(command.unexpected()));
        }
    }
}
