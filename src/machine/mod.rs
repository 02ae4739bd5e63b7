//! The fabric's state machines: what a caller and a replier decide, without I/O.
//!
//! A machine is given the time and what happened, and gives back what is to be done. It names no
//! socket, thread, clock or source of randomness, so that the same code runs under the blocking
//! client and server and under the simulator's virtual clock and network (`tests/sim`). Its shell
//! holds one lock around it, and none while it writes or calls back.
//!
//! | room | what |
//! |---|---|
//! | `caller` | the calling end: a pool of nodes, calls in flight, those that wait |
//! | `session` | the replying end's view of one caller: admission, cancellation, drain |
//! | `stream` | the items of a call: what may be sent, and what came, in order |
//! | `window` | the credit that a replier grants one caller |
//! | `idle` | worker-pull: which callers hold the credit of free workers |
//! | `load` | what a replier reports of its load |
//! | `scatter` | which task goes next and where, what an end means, when it is over |
//! | `credit`, `time` | the values they exchange |
//!
//! # Not here
//!
//! What all rooms speak of (`values`), the envelope (`wire`), the status codes' names (`status`), threads and sockets (`client`,
//! `server`).

#[macro_use]
mod planted;
mod caller;
mod credit;
mod idle;
mod load;
mod scatter;
mod session;
mod stream;
mod time;
mod window;

pub use caller::{
    Again, Answered, Ask, CallId, Caller, CallerLimits, CallerStats, Ended, ErrorThen, Failure,
    NodeId, NodeState, NodeStats, Sending, Submitted, Verdict, Why,
};
pub use credit::Credit;
pub use idle::IdleQueue;
pub use load::{Load, LoadTracker};
#[cfg(planted)]
pub use planted::{Bug, plant};
pub use scatter::{
    Over, Scatter, ScatterCounts, ScatterLimits, Spread, Standing, Step, TaskEnd, TaskFailure,
    TaskState, TaskThen,
};
pub use session::{
    Admit, Arrival, Cancelled, Finish, HelloRefused, Refusal, Session, SessionLimits, SessionStats,
    Start, Terms, Ticket, Versions,
};
pub use stream::{Batch, Flow, Inflow, Meter, Outflow, Violation};
pub use time::Time;
pub use window::{Window, WindowLimits};

pub use crate::values::Ran;
