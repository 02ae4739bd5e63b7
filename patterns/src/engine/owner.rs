//! What the engine asks of a socket, and what it is told by it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::conn::{Conn, Origin};
use super::inproc::Allowance;
use super::pipe::Pipe;
use crate::event::{CloseReason, Event};
use crate::link::{LinkOptions, RemoteAddr};
use crate::message::Message;
use crate::zmtp::decoder::Limits;
use crate::zmtp::{HandshakeLimits, PeerInfo, SocketType, Violation};

/// Heartbeats of a socket's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) ttl: Duration,
}

/// What all connections of a socket are held to.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) handshake: HandshakeLimits,
    pub(crate) handshake_timeout: Duration,
    pub(crate) handshakes_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) reconnect_interval: Duration,
    pub(crate) reconnect_interval_max: Duration,
    pub(crate) link: LinkOptions,
    pub(crate) send_messages_max: usize,
    pub(crate) send_bytes_max: usize,
    pub(crate) recv_messages_max: usize,
    pub(crate) recv_bytes_max: usize,
    /// Whether only the last message is kept, each way.
    pub(crate) conflate: bool,
    /// Nothing comes back for what is sent: a flood of it may be gathered further.
    pub(crate) one_way: bool,
}

/// What becomes of a peer that is ready.
pub(crate) enum Verdict {
    /// It comes in, with this pipe.
    Admitted(Arc<Pipe>),
    /// It does not.
    Refused(CloseReason),
    /// Its identity is this connection's; which of the two stays has to be found out.
    Contested(Arc<Conn>),
}

/// Whether a connection's peer may go on sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flow {
    On,
    /// The receive limit is reached: reading has been paused.
    Paused,
    /// It sent what the socket's pattern does not allow.
    Broken(Violation),
}

/// A socket, as the engine sees it.
pub(crate) trait Owner: Send + Sync + 'static {
    /// What its connections are held to.
    fn settings(&self) -> &Settings;
    /// Its type and the identity that it announces.
    fn local(&self) -> (SocketType, Bytes);
    /// Its connections, counted.
    fn census(&self) -> &Mutex<Census>;
    /// Decides about a peer that is ready.
    fn admit(&self, conn: &Arc<Conn>, peer: &PeerInfo) -> Verdict;
    /// Decides about a peer within the process.
    fn admit_inproc(&self, identity: Bytes) -> Result<Arc<Pipe>, CloseReason>;
    /// Takes in a peer on the second engine.
    #[cfg(feature = "zeromq")]
    fn enrol(&self, pipe: &Arc<Pipe>, identity: Bytes);
    /// Takes messages that came in, by this time at the latest; leaves `batch` empty.
    fn deliver(&self, pipe: &Arc<Pipe>, batch: &mut Vec<Message>, came: Instant) -> Flow;
    /// Takes one message from within the process, unless more than is allowed beyond the socket's
    /// own limits is queued already.
    fn take(&self, pipe: &Arc<Pipe>, message: Message, allowance: Allowance)
    -> Result<(), Message>;
    /// A peer is through its handshake: its pipe is given the connection.
    fn attach(&self, pipe: &Arc<Pipe>, conn: &Arc<Conn>) {
        pipe.place(conn, Vec::new());
        pipe.flush();
    }
    /// A peer that was admitted does not come in after all: its connection ends just then, for
    /// this reason, which is counted elsewhere. `told` if it was attached before that was seen.
    fn turns_back(&self, pipe: &Arc<Pipe>, reason: &CloseReason, told: bool);
    /// A peer within the process is there.
    fn joined(&self, _pipe: &Arc<Pipe>) {}
    /// Whether [`settle`](Self::settle) is to be called.
    fn settles(&self) -> bool {
        false
    }
    /// Messages were taken, or peers came or went; no lock is held now.
    fn settle(&self) {}
    /// Some peer takes messages again, or for the first time.
    fn room(&self);
    /// A peer of which nothing was heard lately was asked for a sign of life, which is late after
    /// this time.
    fn asked(&self, _pipe: &Arc<Pipe>, _within: Duration) {}
    /// Something was heard of a peer that had been asked. What it is comes after this.
    fn heard(&self, _pipe: &Arc<Pipe>) {}
    /// The round trip to a peer is found to be another than it was known to be.
    fn measured(&self, _pipe: &Arc<Pipe>, _round_trip: Duration) {}
    /// A peer's connection has ended; the reason is counted.
    fn gone(&self, pipe: &Arc<Pipe>, reason: &CloseReason);
    /// Something happened.
    fn report(&self, event: Event);
    /// Moves messages on to the channel that `receiver()` gave out; true if some are left.
    fn pump(&self) -> bool;
}

/// The connections of one socket, counted against its limits.
#[derive(Debug, Default)]
pub(crate) struct Census {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Accepted, not through their handshake, the oldest first.
    pending: BTreeMap<u64, u64>,
    serial: u64,
}

impl Census {
    /// Counts a connection that came in, or says which limit it meets.
    pub(crate) fn enter(
        &mut self,
        settings: &Settings,
        remote: &RemoteAddr,
    ) -> Result<u64, CloseReason> {
        if self.total >= settings.connections_max {
            return Err(CloseReason::ConnectionLimit);
        }
        if let Some(address) = remote.limit_key() {
            let count = self.by_address.entry(address).or_default();
            if *count >= settings.connections_per_address_max {
                return Err(CloseReason::AddressLimit);
            }
            *count += 1;
        }
        self.total += 1;
        self.serial += 1;
        Ok(self.serial)
    }

    /// The connection has a token and begins its handshake.
    pub(crate) fn begins(&mut self, serial: u64, token: u64) {
        self.pending.insert(serial, token);
    }

    /// The token of the oldest connection in its handshake, if there are more than `keep`.
    pub(crate) fn oldest_pending(&self, keep: usize) -> Option<u64> {
        if self.pending.len() <= keep {
            return None;
        }
        self.pending.first_key_value().map(|(_, token)| *token)
    }

    /// The connection is through its handshake.
    pub(crate) fn settled(&mut self, conn: &Conn) {
        if let Origin::Accepted { serial } = conn.origin {
            self.pending.remove(&serial);
        }
    }

    /// The connection has ended.
    pub(crate) fn left(&mut self, conn: &Conn) {
        let Origin::Accepted { serial } = conn.origin else {
            return;
        };
        self.pending.remove(&serial);
        self.leave(&conn.remote);
    }

    /// One connection fewer from there.
    pub(crate) fn leave(&mut self, remote: &RemoteAddr) {
        self.total = self.total.saturating_sub(1);
        if let Some(address) = remote.limit_key()
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// Tokens of the connections in their handshake, the oldest first.
    pub(crate) fn pending(&self) -> Vec<u64> {
        self.pending.values().copied().collect()
    }

    /// Connections that came in, and how many of them are in their handshake.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.total, self.pending.len())
    }
}
