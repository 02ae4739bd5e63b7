//! A connected peer, as a program holds it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::pipe::Pipe;
use crate::message::Frame;

/// One connection of a socket: where a message came from, and where an answer goes.
///
/// It stands for the connection, not for the name that the peer announced: what is sent to it
/// reaches that connection or nobody, whoever claims the same identity later. Cloning it costs a
/// counter.
#[derive(Clone)]
pub struct Peer {
    pipe: Arc<Pipe>,
}

impl Peer {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        Peer { pipe }
    }

    pub(crate) fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    /// The connection's number: never used again in this process.
    pub fn id(&self) -> u64 {
        self.pipe.id
    }

    /// The identity that the peer announced, a claim; empty is none.
    pub fn identity(&self) -> Frame {
        self.pipe.identity()
    }

    /// The address that a peer over tcp has: `host:port`. `None` over ipc and within the process,
    /// and once it has gone.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.pipe.remote()
    }

    /// Whether it is a socket of this process, over `inproc://`: it is given the frames themselves.
    pub fn is_inproc(&self) -> bool {
        self.pipe.is_inproc()
    }

    /// How long it takes to the peer and back: the least time in which it answered a PING within the
    /// last five minutes, or, until it has answered one, what the handshake took from our greeting
    /// to its READY. So what delays single answers is no distance; nor is what either end does with
    /// messages. Zero for a socket of this process.
    ///
    /// `None` where nobody measures: heartbeats are off
    /// ([`heartbeat_interval`](crate::Options::heartbeat_interval)), the peer speaks ZMTP 3.0, which
    /// has none, it is on the second engine, or it has gone.
    pub fn round_trip(&self) -> Option<Duration> {
        self.pipe.round_trip()
    }

    /// Whether the peer is connected now.
    pub fn is_connected(&self) -> bool {
        self.pipe.is_linked()
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.pipe.id == other.pipe.id
    }
}

impl Eq for Peer {}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pipe.id.hash(state);
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}", self.pipe.id)?;
        let identity = self.pipe.identity();
        if !identity.is_empty() {
            write!(f, " {identity:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
