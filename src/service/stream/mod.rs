//! Methods whose calls carry items: one after the other, in either direction or both.
//!
//! ```text
//! fn lines(&self, ..) -> Items<'_, Line>        Items ── Produce ──► server: encoded, sent as
//!                                               there is room, by turns
//! fn total(&self, values: Incoming<i64>) -> i64 server ── RawIncoming ──► Incoming: waits, decodes
//! ```
//!
//! | file | what |
//! |---|---|
//! | `items.rs` | what a method sends |
//! | `incoming.rs` | what a method is sent |
//!
//! # Not here
//!
//! Room, order, deadlines, threads: the server.

mod incoming;
mod items;

pub(crate) use incoming::TakeItem;
pub use incoming::{Batch, Incoming, Item, RawIncoming, RawItem, Supply};
pub use items::{Items, Produce, Produced};
pub(crate) use items::{Producer, PutItem};
