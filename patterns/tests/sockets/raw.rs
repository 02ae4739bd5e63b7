//! A peer made of bytes: says what it is told to, and shows what it is sent.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use brokerless_patterns::Options;
use brokerless_patterns::zmtp::{FLAG_COMMAND, FLAG_LONG, FLAG_MORE, command, metadata};
use rustix::net::sockopt::set_socket_linger;

use crate::support::LIMIT;

/// A frame as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) flags: u8,
    pub(crate) body: Vec<u8>,
}

/// Options for a socket that has a [`Raw`] for its peer: that answers no PINGs.
pub(crate) fn patient() -> Options {
    Options::new()
        .heartbeat_interval(None)
        .handshake_timeout(LIMIT)
}

/// A connected peer, through its handshake.
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects to a `tcp` endpoint as a socket of this type, speaking ZMTP 3.`minor`.
    pub(crate) fn connect(endpoint: &str, socket_type: &str, minor: u8) -> Self {
        let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
        let mut raw = Raw {
            stream: TcpStream::connect(address).unwrap(),
        };
        raw.shake_hands(socket_type, minor);
        raw
    }

    /// Greets on a stream that is connected already.
    pub(crate) fn over(stream: TcpStream, socket_type: &str, minor: u8) -> Self {
        let mut raw = Raw { stream };
        raw.shake_hands(socket_type, minor);
        raw
    }

    fn shake_hands(&mut self, socket_type: &str, minor: u8) {
        self.greet(minor);
        self.say_ready(socket_type, b"");
        self.hear_greeting();
        let ready = self.frame().expect("its READY");
        assert_eq!(ready.flags & FLAG_COMMAND, FLAG_COMMAND);
        assert!(ready.body.starts_with(b"\x05READY"), "{ready:?}");
    }

    fn greet(&mut self, minor: u8) {
        self.stream.set_nodelay(true).unwrap();
        self.stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut greeting = [0; 64];
        greeting[0] = 0xFF;
        greeting[9] = 0x7F;
        greeting[10] = 3;
        greeting[11] = minor;
        greeting[12..16].copy_from_slice(b"NULL");
        self.write(&greeting);
    }

    fn say_ready(&mut self, socket_type: &str, identity: &[u8]) {
        let mut properties = Vec::new();
        let _ = metadata::put(&mut properties, "Socket-Type", socket_type.as_bytes());
        let _ = metadata::put(&mut properties, "Identity", identity);
        let mut ready = Vec::new();
        command::ready(&mut ready, &properties);
        self.write(&ready);
    }

    fn hear_greeting(&mut self) {
        let mut theirs = [0; 64];
        self.stream.read_exact(&mut theirs).unwrap();
    }

    /// Connects as a DEALER of this name, says all that lets it in, and resets the connection at
    /// once: it is gone before it is answered.
    pub(crate) fn leaves_at_the_door(endpoint: &str, identity: &[u8]) {
        let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
        let mut raw = Raw {
            stream: TcpStream::connect(address).unwrap(),
        };
        raw.greet(1);
        raw.hear_greeting();
        set_socket_linger(&raw.stream, Some(Duration::ZERO)).unwrap();
        raw.say_ready("DEALER", identity);
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a message of these frames, each short.
    pub(crate) fn send(&mut self, frames: &[&[u8]]) {
        let mut bytes = Vec::new();
        for (n, frame) in frames.iter().enumerate() {
            let more = if n + 1 < frames.len() { FLAG_MORE } else { 0 };
            bytes.extend_from_slice(&[more, u8::try_from(frame.len()).unwrap()]);
            bytes.extend_from_slice(frame);
        }
        self.write(&bytes);
    }

    /// Subscribes by a message, as 3.0 has it.
    pub(crate) fn subscribe(&mut self, topic: &[u8]) {
        self.send(&[&[&[1], topic].concat()]);
    }

    /// The next frame, but for PINGs; none at the end of the stream.
    pub(crate) fn frame(&mut self) -> Option<Piece> {
        loop {
            let flags = self.bytes(1)?[0];
            let length = if flags & FLAG_LONG == 0 {
                usize::from(self.bytes(1)?[0])
            } else {
                u64::from_be_bytes(self.bytes(8)?.try_into().unwrap()) as usize
            };
            let body = self.bytes(length)?;
            if flags & FLAG_COMMAND == 0 || !body.starts_with(b"\x04PING") {
                return Some(Piece { flags, body });
            }
        }
    }

    /// The same connection, to talk on while this end listens.
    pub(crate) fn twin(&self) -> Self {
        let stream = self.stream.try_clone().unwrap();
        Raw { stream }
    }

    /// What the next PING carries that is measured; all else is passed over.
    pub(crate) fn measured_ping(&mut self) -> Vec<u8> {
        loop {
            let flags = self.bytes(1).expect("a frame")[0];
            let length = self.bytes(1).expect("a short frame")[0];
            let body = self.bytes(usize::from(length)).expect("its body");
            // Behind its name and its time to live.
            if flags == FLAG_COMMAND
                && let Some([_, _, context @ ..]) = body.strip_prefix(b"\x04PING")
                && !context.is_empty()
            {
                return context.to_vec();
            }
        }
    }

    /// Answers a PING that carried this, so long after it came.
    pub(crate) fn pong_after(&mut self, time: Duration, context: &[u8]) {
        let over = crossbeam_channel::after(time);
        over.recv().unwrap();
        let mut pong = Vec::new();
        command::pong(&mut pong, context);
        self.write(&pong);
    }

    fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                None
            }
            Err(error) => panic!("nothing to read: {error}"),
        }
    }

    /// The next message, of one frame.
    pub(crate) fn message(&mut self) -> Vec<u8> {
        let piece = self.frame().expect("a message");
        assert_eq!(piece.flags & (FLAG_COMMAND | FLAG_MORE), 0, "{piece:?}");
        piece.body
    }

    /// Whether the other side has ended the connection, within the limit.
    pub(crate) fn is_closed(&mut self) -> bool {
        while self.frame().is_some() {}
        true
    }

    /// Whether nothing comes for so long.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0];
        let peeked = loop {
            match self.stream.peek(&mut byte).map_err(|error| error.kind()) {
                Err(ErrorKind::Interrupted) => {}
                peeked => break peeked,
            }
        };
        self.stream.set_read_timeout(Some(LIMIT)).unwrap();
        matches!(peeked, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}
