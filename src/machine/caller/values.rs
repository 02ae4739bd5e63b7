//! What goes into the calling end and comes out of it, as values.

use std::time::Duration;

use super::{CallId, NodeId};
use crate::machine::Ran;
use crate::machine::credit::Credit;
use crate::machine::load::Load;
use crate::machine::time::Time;

/// What the calling end may hold, and how patient it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// Calls that may wait for credit. Default 65,536.
    pub waiting_max: usize,
    /// The largest window believed, whatever a node grants. Default 16,384 calls, 1 GiB.
    pub window_max: Credit,
    /// How often a call may be picked again. Default 64, at most 250.
    pub repicks_max: u8,
    /// The first rest of a call that every node has turned away. Default 1 ms; doubles.
    pub rest: Duration,
    /// The longest rest, unless the only node of the pool asks for more. Default 100 ms.
    pub rest_max: Duration,
    /// The longest time that a node is left alone because it asked for it. Default 100 ms: it may
    /// have no room for calls of one kind, and some for others.
    pub pause_max: Duration,
    /// How often at most the policy may have a node asked for its load. Default 5 ms.
    pub probe_every: Duration,
}

impl Default for CallerLimits {
    fn default() -> CallerLimits {
        CallerLimits {
            waiting_max: 65_536,
            window_max: Credit::new(16_384, 1 << 30),
            repicks_max: 64,
            rest: Duration::from_millis(1),
            rest_max: Duration::from_millis(100),
            pause_max: Duration::from_millis(100),
            probe_every: Duration::from_millis(5),
        }
    }
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// When it is of no more use.
    pub deadline: Time,
    /// The size of its body and blobs.
    pub bytes: u64,
    /// Nobody waits for its answer. It is answered all the same, for the credit, and is watched.
    pub oneway: bool,
    /// Wait while no node is there and none is being connected to. Otherwise it fails fast.
    pub wait_for_ready: bool,
    /// It goes to this node, or ends: to no other, ever.
    pub only: Option<NodeId>,
    /// The hash of its key, for policies that pick by one.
    pub key: Option<u64>,
    /// It carries items, for as long as it likes: how long it takes says nothing of the node's speed.
    pub lasts: bool,
    /// It takes no worker: a node that grants free workers alone takes it whatever it has granted.
    pub beside: bool,
}

/// What becomes of a call that is submitted.
#[derive(Debug, PartialEq, Eq)]
pub enum Submitted<T> {
    /// It is to be sent now.
    Send(Sending),
    /// It waits for credit, or for a node.
    Waits(CallId),
    /// It has ended, never sent.
    Refused(T, Why),
}

/// A call that is to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sending {
    /// Where to.
    pub node: NodeId,
    /// Under which identifier.
    pub id: CallId,
    /// Whether the window is used up with it: to be told, so that the window grows.
    pub used_up: bool,
}

/// Why a call ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// Its deadline passed.
    Expired,
    /// It was cancelled.
    Cancelled,
    /// No node was there, and it was not to wait for one; or the only one that it may go to is not,
    /// or has left.
    Unavailable,
    /// Too many calls wait already.
    QueueFull,
    /// The node that had it was lost.
    Lost,
    /// The pool is closed.
    Closed,
}

/// A call that ended without an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended<T> {
    /// The identifier of its last attempt.
    pub id: CallId,
    /// What the shell keeps with it.
    pub payload: T,
    /// Why.
    pub why: Why,
    /// Whether it has run. `Yes` never stands here.
    pub ran: Ran,
    /// The node that had it.
    pub node: Option<NodeId>,
    /// Whether that node is to be told by a cancel.
    pub tell: bool,
}

/// Whether a call that was answered `No` may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Again {
    /// The call itself is at fault: no node would run it.
    Never,
    /// Other nodes may know better than this one, once each, as for an unknown method.
    Elsewhere,
    /// Other nodes now, and this one later, as for a full queue.
    Later,
}

impl Again {
    /// By the number of a status code, and whether the node says when to come again.
    ///
    /// What is exhausted for a moment, as a queue or a window, is told from what stays so by that:
    /// a call that is too large will be as large the next time.
    pub const fn of_code(code: u8, says_when: bool) -> Again {
        match code {
            // RESOURCE_EXHAUSTED.
            8 if !says_when => Again::Never,
            // RESOURCE_EXHAUSTED, ABORTED, UNAVAILABLE.
            8 | 10 | 14 => Again::Later,
            // UNIMPLEMENTED.
            12 => Again::Elsewhere,
            _ => Again::Never,
        }
    }
}

/// An error that answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Whether the call ran.
    pub ran: Ran,
    /// If not, whether to try again.
    pub again: Again,
    /// How long the node wishes to be left alone.
    pub retry_after: Option<Duration>,
    /// What it says of the node.
    pub verdict: Verdict,
}

/// What an error says of the node that answers with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The node is well, and the error the call's own: it counts as a reply, and never as a faster one
    /// than the node's replies are.
    Well,
    /// The node is not well: policies keep away from it.
    Unwell,
    /// Neither: the call was cut short, or never got there.
    None,
}

impl Verdict {
    /// By the number of a status code, and whether the node says when to come again.
    ///
    /// An unknown method says that the node is not well, too: it is so fast a refusal that calls
    /// would crowd where nobody can serve them.
    pub const fn of_code(code: u8, says_when: bool) -> Verdict {
        match code {
            // CANCELLED, DEADLINE_EXCEEDED: their caller's time is in it, not the node's.
            1 | 4 => Verdict::None,
            // RESOURCE_EXHAUSTED, ABORTED: full for now, or too large a call, or a clash of two.
            8 | 10 if !says_when => Verdict::Well,
            // Those two, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
            8 | 10 | 12 | 13 | 14 | 15 => Verdict::Unwell,
            // INVALID_ARGUMENT, NOT_FOUND and others, and the method's own.
            _ => Verdict::Well,
        }
    }
}

/// What rides on an answer, of either kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answered {
    /// The node's load.
    pub load: Option<Load>,
    /// The window that it grants from now on.
    pub credit: Option<Credit>,
}

/// What an error does to its call.
#[derive(Debug, PartialEq, Eq)]
pub enum ErrorThen<T> {
    /// The call ends with this error.
    Finished(T),
    /// The call did not run and is picked again: see [`Caller::next_send`](super::Caller::next_send).
    Again,
    /// Its caller has given it up, or it is not known. Counted.
    Late,
}

/// What has come of calls. What was submitted is the sum of the ends, and of `held`, less those
/// given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CallerStats {
    /// Calls submitted.
    pub submitted: u64,
    /// Times a call was sent.
    pub sent: u64,
    /// Ended by a reply.
    pub replied: u64,
    /// Ended by an error that a node answered.
    pub failed: u64,
    /// Ended by their deadline.
    pub expired: u64,
    /// Ended by being cancelled.
    pub cancelled: u64,
    /// Ended because no node was there.
    pub unavailable: u64,
    /// Refused because too many waited.
    pub queue_full: u64,
    /// Ended because their node was lost.
    pub lost: u64,
    /// Ended because the pool was closed.
    pub closed: u64,
    /// Times that a call was picked again.
    pub repicked: u64,
    /// Answers to calls that had been given up.
    pub late: u64,
    /// Answers to no call that is known, or from a node that was not asked.
    pub unknown: u64,
    /// Questions to nodes for their load. They are no calls, and in no other count.
    pub probes: u64,
    /// Calls held now: waiting, resting, in flight, or given up and not yet answered.
    pub held: usize,
    /// Of those, calls that wait or rest.
    pub waiting: usize,
    /// Of those, calls given up and not yet answered.
    pub given_up: usize,
}
