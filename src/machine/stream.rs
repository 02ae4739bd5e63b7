//! The items of a call: what may be sent of them, and what came, in order.
//!
//! One side of a stream sends, and owns an [`Outflow`]; the other takes, and owns an [`Inflow`]. A
//! call with items both ways has one of each at either end. What the taker lets the sender send is
//! told as totals since the stream began, so a message that tells it may be lost to a later one,
//! come twice or late.
//!
//! ```text
//!  sender                                        taker
//!  may_send(bytes)? gather(bytes) ... flush()
//!        ---- items: first, count ---->          arrive(first, count, ..)
//!                                                next() ... took(items, bytes)
//!  granted(window)  <---- window ----            due_window(about to wait?)
//!        ---- the last items, or the end ---->   arrive(.., last) or close(); is_ended()
//!  stop()           <---- stop ----              (it wants no more)
//! ```
//!
//! An item goes at once while few batches are on their way. When there are more, the taker is the
//! slower one, and items gather until they are worth a message or a window comes: so what has
//! gathered never waits for longer than a round trip. Items that come one upon the other may gather
//! before, as long as anything is on its way. (test
//! `brisk_items_gather_only_while_something_is_on_its_way`)
//!
//! # Invariants
//!
//! 1. A sender never has more un-taken than the window, but for one item that is larger than it and
//!    goes alone. (proptest `items_arrive_once_in_order_and_within_the_window`)
//! 2. What the taker is given is each item, once, in order, whatever the order in which messages
//!    come. (proptest `items_arrive_once_in_order_and_within_the_window`)
//! 3. What a taker keeps is bounded by its window, whatever the other side sends. (test
//!    `what_is_beyond_the_window_is_a_violation`)
//! 4. A stream that is taken from comes to its end: what has gathered is sent by the next window,
//!    and a taker that is about to wait owes one. (proptest
//!    `items_arrive_once_in_order_and_within_the_window`)
//!
//! # Not here
//!
//! When a stream ends for other reasons: answers, deadlines, lost nodes (`caller`, `session`).

mod inflow;
mod meter;
mod outflow;

pub use inflow::{Inflow, Violation};
pub use meter::Meter;
pub use outflow::{Batch, Outflow};

pub use crate::values::Flow;

#[cfg(test)]
mod tests;
