//! A peer made of bytes, which keeps to no rule unless it wants to.
//!
//! The bytes are written out here, not taken from the library: what the library says of itself
//! proves nothing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::canary::Lasted;

pub(crate) const MORE: u8 = 1;
pub(crate) const LONG: u8 = 2;
pub(crate) const COMMAND: u8 = 4;

/// How long a read may take before the test is over.
const PATIENCE: Duration = Duration::from_secs(60);

/// A greeting of version 3.1 under NULL.
pub(crate) fn greeting() -> Vec<u8> {
    greeting_with(3, 1, b"NULL")
}

/// A greeting of this version and mechanism.
pub(crate) fn greeting_with(major: u8, minor: u8, mechanism: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0x7F, major, minor];
    bytes.extend_from_slice(mechanism);
    bytes.resize(64, 0);
    bytes
}

/// A frame with these flags; the length as long as it has to be.
pub(crate) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = match u8::try_from(body.len()) {
        Ok(short) => vec![flags, short],
        Err(_) => announce(flags, body.len() as u64),
    };
    bytes.extend_from_slice(body);
    bytes
}

/// The header of a long frame, whatever follows it.
pub(crate) fn announce(flags: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![flags | LONG];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes
}

/// The body of a command.
pub(crate) fn command_body(name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = vec![name.len() as u8];
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    body
}

/// A command frame.
pub(crate) fn command(name: &str, data: &[u8]) -> Vec<u8> {
    frame(COMMAND, &command_body(name, data))
}

/// A property of a READY.
pub(crate) fn property(name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![name.len() as u8];
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// A READY frame.
pub(crate) fn ready(socket_type: &str, identity: &[u8]) -> Vec<u8> {
    let mut metadata = property("Socket-Type", socket_type.as_bytes());
    metadata.extend(property("Identity", identity));
    command("READY", &metadata)
}

/// All that a peer sends before its first message.
pub(crate) fn opening(socket_type: &str, identity: &[u8]) -> Vec<u8> {
    [greeting(), ready(socket_type, identity)].concat()
}

/// A PING with this time to live, in tenths of a second.
pub(crate) fn ping(ttl: u16, context: &[u8]) -> Vec<u8> {
    command("PING", &[&ttl.to_be_bytes(), context].concat())
}

/// The connection of such a peer.
#[derive(Debug)]
pub(crate) struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// Connects, and says nothing.
    #[track_caller]
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the router listens");
        Raw::on(stream)
    }

    pub(crate) fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an option of every stream");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("an option of every stream");
        Raw { stream }
    }

    /// Connects and goes through the handshake, as a DEALER with this identity.
    #[track_caller]
    pub(crate) fn dealer(address: &str, identity: &[u8]) -> Self {
        Raw::of("DEALER", address, identity)
    }

    /// The same, as a socket of this type.
    #[track_caller]
    pub(crate) fn of(socket_type: &str, address: &str, identity: &[u8]) -> Self {
        let mut raw = Raw::connect(address);
        raw.send(&opening(socket_type, identity));
        raw.skip_greeting();
        let (flags, body) = raw.frame().expect("the router says READY");
        assert!(
            flags & COMMAND != 0 && body.starts_with(b"\x05READY"),
            "{body:?}"
        );
        raw
    }

    /// Reads the other side's greeting.
    #[track_caller]
    pub(crate) fn skip_greeting(&mut self) {
        let mut greeting = [0; 64];
        self.stream
            .read_exact(&mut greeting)
            .expect("the router greets");
        assert_eq!((greeting[0], greeting[9], greeting[10]), (0xFF, 0x7F, 3));
    }

    /// Sends; a router that has closed the connection already is no error.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends each byte by itself.
    pub(crate) fn dribble(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(std::slice::from_ref(byte));
        }
    }

    /// The next frame: its flags and its body.
    ///
    /// # Errors
    ///
    /// If the connection ends, or nothing comes for long.
    pub(crate) fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut flags = [0];
        self.stream.read_exact(&mut flags)?;
        let length = if flags[0] & LONG == 0 {
            let mut length = [0];
            self.stream.read_exact(&mut length)?;
            u64::from(length[0])
        } else {
            let mut length = [0; 8];
            self.stream.read_exact(&mut length)?;
            u64::from_be_bytes(length)
        };
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body)?;
        Ok((flags[0], body))
    }

    /// The next frame that is no command.
    pub(crate) fn message(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let (flags, body) = self.frame()?;
            if flags & COMMAND == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads until the router has closed the connection; gives the time that took.
    #[track_caller]
    pub(crate) fn until_closed(&mut self, within: Duration) -> Lasted {
        let begin = Instant::now();
        let mut sink = [0; 4096];
        loop {
            match self.stream.read(&mut sink) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                // This process was stopped for a while.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => panic!("still open after {PATIENCE:?}: {error}"),
            }
        }
        let lasted = Lasted::since(begin);
        lasted.assert_within(within, "the connection was open for");
        lasted
    }

    /// Whether the router has closed the connection; what it had to say is thrown away.
    pub(crate) fn is_closed(&self) -> bool {
        let mut sink = [0; 4096];
        self.stream
            .set_nonblocking(true)
            .expect("an option of every stream");
        let closed = loop {
            match (&self.stream).read(&mut sink) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
            }
        };
        self.stream
            .set_nonblocking(false)
            .expect("an option of every stream");
        closed
    }

    /// Throws away what has come.
    pub(crate) fn drain(&self) {
        self.is_closed();
    }

    /// Says that it sends no more; goes on listening.
    pub(crate) fn finish(&self) {
        // A connection that the router has closed has ended anyway.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        set_socket_linger(&self.stream, Some(Duration::ZERO)).expect("an option of every stream");
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Another hold on the same connection.
    pub(crate) fn clone(&self) -> Self {
        Raw {
            stream: self.stream.try_clone().expect("a descriptor is free"),
        }
    }
}
