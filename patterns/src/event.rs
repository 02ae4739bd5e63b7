//! What happens to a socket's connections, as its monitor reports it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::link::Endpoint;
use crate::zmtp::Violation;

/// Why a connection ended, or never came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed it.
    PeerClosed,
    /// The system reports a failure.
    Io(std::io::ErrorKind),
    /// The peer broke the protocol or a limit.
    Violation(Violation),
    /// The handshake was not done in time.
    HandshakeTimeout,
    /// The peer was silent for the heartbeat timeout.
    HeartbeatTimeout,
    /// The peer was silent for longer than it had announced in its PING.
    TtlExpired,
    /// Another peer holds the identity that this one announced, and is alive.
    IdentityInUse,
    /// Another peer announced this one's identity, and this one no longer answered.
    Superseded,
    /// As many connections as the socket takes.
    ConnectionLimit,
    /// As many connections from that address as the socket takes.
    AddressLimit,
    /// Too many handshakes under way: this was the oldest.
    Evicted,
    /// The socket is a PAIR, and has its peer.
    PairTaken,
    /// It does not read what is published, and the socket is to part from such peers.
    SlowSubscriber,
    /// It does not read which topics are subscribed to: it is told anew when it comes back.
    SubscriptionsUnread,
    /// The socket itself connected to itself, by an ephemeral port.
    SelfConnect,
    /// This side closed it.
    Local,
}

impl CloseReason {
    /// A stable name, for counters and logs.
    pub fn name(&self) -> &'static str {
        match self {
            CloseReason::PeerClosed => "peer-closed",
            CloseReason::Io(_) => "io-error",
            CloseReason::Violation(violation) => violation.name(),
            CloseReason::HandshakeTimeout => "handshake-timeout",
            CloseReason::HeartbeatTimeout => "heartbeat-timeout",
            CloseReason::TtlExpired => "ttl-expired",
            CloseReason::IdentityInUse => "identity-in-use",
            CloseReason::Superseded => "superseded",
            CloseReason::ConnectionLimit => "connection-limit",
            CloseReason::AddressLimit => "address-limit",
            CloseReason::Evicted => "evicted",
            CloseReason::PairTaken => "pair-taken",
            CloseReason::SlowSubscriber => "slow-subscriber",
            CloseReason::SubscriptionsUnread => "subscriptions-unread",
            CloseReason::SelfConnect => "self-connect",
            CloseReason::Local => "local",
        }
    }

    /// Whether it was the peer's doing, and against the rules.
    pub fn is_misbehaviour(&self) -> bool {
        matches!(
            self,
            CloseReason::Violation(_) | CloseReason::HandshakeTimeout | CloseReason::Evicted
        )
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::PeerClosed => f.write_str("the peer closed the connection"),
            CloseReason::Io(kind) => write!(f, "the connection failed: {kind}"),
            CloseReason::Violation(violation) => violation.fmt(f),
            CloseReason::HandshakeTimeout => f.write_str("the handshake was not done in time"),
            CloseReason::HeartbeatTimeout => f.write_str("silent for the heartbeat timeout"),
            CloseReason::TtlExpired => {
                f.write_str("silent for longer than the time to live that it announced")
            }
            CloseReason::IdentityInUse => {
                f.write_str("its identity is in use by another peer, which is alive")
            }
            CloseReason::Superseded => {
                f.write_str("a newer peer announced its identity, and it did not answer")
            }
            CloseReason::ConnectionLimit => {
                f.write_str("the socket's limit of connections is reached")
            }
            CloseReason::AddressLimit => {
                f.write_str("the limit of connections from one address is reached")
            }
            CloseReason::Evicted => {
                f.write_str("too many handshakes under way; the oldest gave place")
            }
            CloseReason::PairTaken => {
                f.write_str("the socket is a PAIR and has a peer; it takes one at a time")
            }
            CloseReason::SlowSubscriber => {
                f.write_str("the subscriber does not read what is published, and its queue is full")
            }
            CloseReason::SubscriptionsUnread => {
                f.write_str("the publisher does not read what is subscribed to")
            }
            CloseReason::SelfConnect => f.write_str("the connection led back to itself"),
            CloseReason::Local => f.write_str("closed by this side"),
        }
    }
}

/// Something that happened to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The socket listens.
    Listening {
        /// The endpoint as bound, wildcards resolved.
        endpoint: Endpoint,
    },
    /// The socket no longer listens there.
    Unbound {
        /// The endpoint as bound.
        endpoint: Endpoint,
    },
    /// A listener could not accept; it tries again.
    AcceptFailed {
        /// The listener's endpoint.
        endpoint: Endpoint,
        /// What the system said.
        error: std::io::ErrorKind,
    },
    /// A connection came in; its handshake begins.
    Accepted {
        /// The listener's endpoint.
        endpoint: Endpoint,
        /// The other side's address.
        remote: Arc<str>,
    },
    /// A connection was refused or ended before the peer was ready.
    HandshakeFailed {
        /// The endpoint bound or connected to.
        endpoint: Endpoint,
        /// The other side's address.
        remote: Arc<str>,
        /// Why.
        reason: CloseReason,
    },
    /// A peer is ready.
    Connected {
        /// The endpoint bound or connected to.
        endpoint: Endpoint,
        /// The other side's address.
        remote: Arc<str>,
        /// The number of the peer's connection: that of [`Peer::id`](crate::Peer::id).
        peer: u64,
    },
    /// A ready peer's connection ended.
    Disconnected {
        /// The endpoint bound or connected to.
        endpoint: Endpoint,
        /// The other side's address.
        remote: Arc<str>,
        /// The number of the peer's connection.
        peer: u64,
        /// Why.
        reason: CloseReason,
    },
    /// An attempt to connect failed.
    ConnectFailed {
        /// The endpoint connected to.
        endpoint: Endpoint,
        /// What the system said.
        error: std::io::ErrorKind,
    },
    /// The next attempt to connect is planned.
    Retried {
        /// The endpoint connected to.
        endpoint: Endpoint,
        /// Attempts since the last success.
        attempt: u32,
        /// Time until the next one.
        delay: Duration,
    },
    /// The peer's refusal is final: no further attempt is made.
    GivenUp {
        /// The endpoint connected to.
        endpoint: Endpoint,
    },
}
