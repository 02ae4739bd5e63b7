//! Streams on the calling side: items that a method gives, items that it takes, or both.
//!
//! | file | what |
//! |---|---|
//! | `taking` | [`Stream`]: the items that a method gives |
//! | `giving` | [`Sink`] and [`Feed`]: the items that it takes |
//! | `duplex` | [`Duplex`]: both |
//! | `begin` | how a call that streams is begun |
//! | `line` | what the halves of a call share: waiting, deadlines, cancelling |
//! | `conduit` | what has come and what is to go, between threads |
//! | `batch` | a message of items, taken apart |
//! | `hearing` | what nodes tell of streams |
//! | `counts` | what a client's streams have done |
//!
//! # Not here
//!
//! How much may be sent, and in which order items are ([`crate::machine`]); the bytes
//! ([`crate::wire`]).

mod batch;
mod begin;
mod conduit;
mod counts;
mod duplex;
mod giving;
mod hearing;
mod line;
mod taking;

pub use batch::Item;
pub(super) use conduit::Conduit;
pub(super) use counts::Counts;
pub use counts::StreamStats;
pub use duplex::Duplex;
pub use giving::{Feed, Sink, TrySendError};
pub use taking::{Next, Stream};

use super::Answer;
use crate::CallError;
pub use crate::service::support::{PutItem as WriteItem, TakeItem as ReadItem};

/// What a call came to.
#[doc(hidden)]
pub type Finish<T, E> = fn(&Answer) -> Result<T, CallError<E>>;
