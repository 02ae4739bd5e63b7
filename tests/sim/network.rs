//! The network: connections that are ordered and reliable until they break, and devices that lose,
//! double and reorder.
//!
//! A connection may be slow, stall, be cut in the middle of what is on its way, and be noticed as
//! lost by either end at a time of its own. What it has delivered is never out of order, doubled or
//! with a hole, as with a byte stream.

use std::collections::{BTreeMap, VecDeque};

use brokerless::machine::{Again, CallId, Credit, Flow, Load, NodeId, Ran};

use crate::ledger::Key;
use crate::streams::Form;

/// What processes tell each other: the envelopes, as values. The key is what the ledger knows a
/// call by; the machines do not see it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Message {
    Hello,
    /// The first window, and whether it grants free workers alone.
    Welcome(Credit, bool),
    NotWelcome,
    Call(Call),
    Reply {
        id: CallId,
        key: Key,
        load: Load,
        credit: Option<Credit>,
    },
    Error {
        id: CallId,
        key: Key,
        ran: Ran,
        again: Again,
        retry_after: Option<u64>,
        credit: Option<Credit>,
    },
    Cancel(CallId),
    Bye,
    /// The window from now on, of one that pulls.
    Credit(Credit),
    /// So many calls wait for the credit of one that pulls.
    Wish(u32),
    Items(CallId, Key, Items),
    Window(CallId, Key, Flow),
    Stop(CallId, Key),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) key: Key,
    pub(crate) left: u64,
    pub(crate) bytes: u64,
    pub(crate) used_up: bool,
    /// It takes no worker.
    pub(crate) beside: bool,
    pub(crate) stream: Option<Form>,
}

/// Items of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Items {
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) bytes: u64,
    pub(crate) last: bool,
    pub(crate) window: Option<Flow>,
    /// The first of those that it truly holds, as the ledger numbers them.
    pub(crate) holds: u64,
}

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Caller,
    Replier,
}

impl End {
    pub(crate) fn other(self) -> End {
        match self {
            End::Caller => End::Replier,
            End::Replier => End::Caller,
        }
    }
}

/// What is on its way to one end.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) queue: VecDeque<(u64, Message)>,
    /// When the last message that was sent arrives.
    pub(crate) last: u64,
    /// Whether an event stands for the first message.
    pub(crate) scheduled: bool,
    pub(crate) open: bool,
}

/// A connection between a caller's node and a replier.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) caller: usize,
    pub(crate) node: NodeId,
    /// Which of the caller's nodes that is.
    pub(crate) place: usize,
    pub(crate) replier: usize,
    pub(crate) to_caller: Stream,
    pub(crate) to_replier: Stream,
    pub(crate) broken: bool,
    pub(crate) clogged_until: u64,
    pub(crate) stalled_since: Option<u64>,
    /// What the caller was told of its window, and has in flight: by the messages alone.
    pub(crate) told: Credit,
    pub(crate) outstanding: BTreeMap<CallId, u64>,
    pub(crate) caller_said_bye: bool,
    /// The caller was told that the replier grants free workers alone.
    pub(crate) pulls: bool,
}

impl Connection {
    pub(crate) fn new(caller: usize, node: NodeId, place: usize, replier: usize) -> Connection {
        let stream = || Stream {
            open: true,
            ..Stream::default()
        };
        Connection {
            caller,
            node,
            place,
            replier,
            to_caller: stream(),
            to_replier: stream(),
            broken: false,
            clogged_until: 0,
            stalled_since: None,
            told: Credit::default(),
            outstanding: BTreeMap::new(),
            caller_said_bye: false,
            pulls: false,
        }
    }

    pub(crate) fn to(&mut self, end: End) -> &mut Stream {
        match end {
            End::Caller => &mut self.to_caller,
            End::Replier => &mut self.to_replier,
        }
    }

    /// What the caller has in flight, by the messages alone.
    pub(crate) fn flight(&self) -> Credit {
        let bytes = self.outstanding.values().sum();
        Credit::new(self.outstanding.len() as u32, bytes)
    }

    pub(crate) fn is_over(&self) -> bool {
        !self.to_caller.open && !self.to_replier.open
    }
}

/// A message through a device, which keeps no session: on its own, with its return path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) caller: usize,
    pub(crate) incarnation: u32,
    pub(crate) replier: usize,
    pub(crate) to: End,
    pub(crate) message: Message,
}
