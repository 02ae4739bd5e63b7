//! The socket types, their names on the wire, and which of them talk to each other.
//!
//! # Invariants
//!
//! 1. Pairing is symmetric. (`pairing_is_symmetric`)
//! 2. A type's name reads back as that type. (`names_read_back`)

use std::fmt;

/// What kind of socket stands at an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketType {
    /// One peer, both ways.
    Pair,
    /// Publishes to subscribers.
    Pub,
    /// Subscribes to publishers.
    Sub,
    /// Asks, then waits for the answer.
    Req,
    /// Answers one request at a time.
    Rep,
    /// Spreads messages over its peers, fair-queues what they send.
    Dealer,
    /// Addresses each message to one peer.
    Router,
    /// Takes work off a pipeline.
    Pull,
    /// Puts work on a pipeline.
    Push,
    /// Publishes, and sees the subscriptions.
    XPub,
    /// Subscribes, by messages of its own.
    XSub,
}

impl SocketType {
    /// Every type, in the order of declaration.
    pub const ALL: [SocketType; 11] = [
        SocketType::Pair,
        SocketType::Pub,
        SocketType::Sub,
        SocketType::Req,
        SocketType::Rep,
        SocketType::Dealer,
        SocketType::Router,
        SocketType::Pull,
        SocketType::Push,
        SocketType::XPub,
        SocketType::XSub,
    ];

    /// The name on the wire, upper case.
    pub fn name(self) -> &'static str {
        match self {
            SocketType::Pair => "PAIR",
            SocketType::Pub => "PUB",
            SocketType::Sub => "SUB",
            SocketType::Req => "REQ",
            SocketType::Rep => "REP",
            SocketType::Dealer => "DEALER",
            SocketType::Router => "ROUTER",
            SocketType::Pull => "PULL",
            SocketType::Push => "PUSH",
            SocketType::XPub => "XPUB",
            SocketType::XSub => "XSUB",
        }
    }

    /// The type of that name; exactly as on the wire, upper case.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|socket| socket.name().as_bytes() == name)
    }

    /// Whether a socket of this type talks to a peer of that type.
    ///
    /// # Examples
    ///
    /// ```
    /// use brokerless_patterns::zmtp::SocketType;
    ///
    /// assert!(SocketType::Req.accepts(SocketType::Router));
    /// assert!(!SocketType::Req.accepts(SocketType::Dealer));
    /// ```
    pub fn accepts(self, peer: SocketType) -> bool {
        use SocketType::{Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub};
        // No wildcard on our own side: a new type must say whom it talks to.
        match self {
            Pair => matches!(peer, Pair),
            Pub | XPub => matches!(peer, Sub | XSub),
            Sub | XSub => matches!(peer, Pub | XPub),
            Req => matches!(peer, Rep | Router),
            Rep => matches!(peer, Req | Dealer),
            Dealer => matches!(peer, Rep | Dealer | Router),
            Router => matches!(peer, Req | Dealer | Router),
            Pull => matches!(peer, Push),
            Push => matches!(peer, Pull),
        }
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for socket in SocketType::ALL {
            assert_eq!(
                SocketType::from_name(socket.name().as_bytes()),
                Some(socket)
            );
            assert_eq!(socket.to_string(), socket.name());
        }
        for name in [&b""[..], b"dealer", b"DEALER ", b"DEALE", b"STREAM"] {
            assert_eq!(SocketType::from_name(name), None);
        }
    }

    #[test]
    fn pairing_is_symmetric() {
        for a in SocketType::ALL {
            for b in SocketType::ALL {
                assert_eq!(a.accepts(b), b.accepts(a), "{a} {b}");
            }
        }
    }

    #[test]
    fn exactly_the_specified_pairs_talk() {
        let mut pairs = Vec::new();
        for (i, a) in SocketType::ALL.into_iter().enumerate() {
            for b in SocketType::ALL.into_iter().skip(i) {
                if a.accepts(b) {
                    pairs.push(format!("{a}-{b}"));
                }
            }
        }
        assert_eq!(
            pairs.join(" "),
            "PAIR-PAIR PUB-SUB PUB-XSUB SUB-XPUB REQ-REP REQ-ROUTER REP-DEALER DEALER-DEALER DEALER-ROUTER \
             ROUTER-ROUTER PULL-PUSH XPUB-XSUB"
        );
    }
}
