//! The devices, and who talks to each side.

use super::breaches::Peers;

/// The largest message of the tests that need one that is soon too large.
pub(crate) const SMALL: u64 = 1000;

/// A side, as its peers see it.
#[derive(Debug)]
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) peers: Peers,
    /// Whether the good client's messages may go to any peer that is there, in turn.
    pub(crate) shares: bool,
    /// Whether nothing is taken from them.
    pub(crate) only_receives: bool,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) program: &'static str,
    pub(crate) front: Side,
    pub(crate) back: Side,
}

impl Kind {
    pub(crate) fn sides(&self) -> [&Side; 2] {
        [&self.front, &self.back]
    }
}

const fn peers(kind: &'static str, welcome: &'static [&'static str], subscribe: bool) -> Peers {
    Peers {
        kind,
        welcome,
        subscribe,
        frame_bytes_max: SMALL,
        frames_max: 1024,
        message_bytes_max: SMALL,
    }
}

const fn front(kind: &'static str, welcome: &'static [&'static str]) -> Side {
    Side {
        name: "frontend",
        peers: peers(kind, welcome, false),
        shares: false,
        only_receives: false,
    }
}

pub(crate) static QUEUE: Kind = Kind {
    program: "bl-queue",
    front: front("DEALER", &["REQ", "DEALER", "ROUTER"]),
    back: Side {
        name: "backend",
        peers: peers("ROUTER", &["REP", "DEALER", "ROUTER"], false),
        shares: true,
        only_receives: false,
    },
};

pub(crate) static FORWARDER: Kind = Kind {
    program: "bl-forwarder",
    front: front("PUB", &["PUB", "XPUB"]),
    back: Side {
        name: "backend",
        peers: peers("SUB", &["SUB", "XSUB"], true),
        shares: false,
        only_receives: false,
    },
};

pub(crate) static STREAMER: Kind = Kind {
    program: "bl-streamer",
    front: front("PUSH", &["PUSH"]),
    back: Side {
        name: "backend",
        peers: peers("PULL", &["PULL"], false),
        shares: true,
        only_receives: true,
    },
};
