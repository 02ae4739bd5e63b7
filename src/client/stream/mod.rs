//! Streams on the calling side: items that a method gives, items that it takes, or both.
//!
//! | file | what |
//! |---|---|
//! | `taking` | [`Stream`]: the items that a method gives |
//! | `giving` | [`Sink`] and [`Feed`]: the items that it takes |
//! | `duplex` | [`Duplex`]: both |
//! | `begin` | how a call that streams is begun |
//!
//! # Not here
//!
//! How much may be sent, and in which order items are ([`crate::machine`]); the bytes
//! ([`crate::wire`]).

mod begin;
mod duplex;
mod giving;
mod taking;

pub use duplex::Duplex;
pub use giving::{Feed, Sink, TrySendError};
pub use taking::{Item, Next, Stream};

use super::Answer;
use crate::CallError;
use crate::wire::{DecodeError, EncodeError, Encoder, Payload};

/// The value of an item.
#[doc(hidden)]
pub type ReadItem<T> = fn(&Payload) -> Result<T, DecodeError>;
/// The bytes of an item, put into a batch.
#[doc(hidden)]
pub type WriteItem<T> = fn(&mut Encoder, T) -> Result<(), EncodeError>;
/// What a call came to.
#[doc(hidden)]
pub type Finish<T, E> = fn(&Answer) -> Result<T, CallError<E>>;
