//! A typed bus: topics of one type of value each, over publishing sockets and MessagePack.
//!
//! | file | what |
//! |---|---|
//! | `topic` | a name and a type |
//! | `publisher`, `subscriber` | the two ends |
//! | `sequence` | what has been lost, what has come before |
//! | `wire` | frames, byte by byte |
//! | `codec` | values to MessagePack and back |
//! | `error` | what can go wrong |
//!
//! ```
//! use brokerless_patterns::bus::Topic;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Price {
//!     cents: u64,
//! }
//!
//! let topic = Topic::<Price>::new("prices.eur")?;
//! let publisher = topic.publisher().bind("inproc://bus-example")?;
//! publisher.publish(&Price { cents: 100 })?; // nobody is there yet
//!
//! let subscriber = topic.subscriber().connect("inproc://bus-example")?;
//! let update = subscriber.recv()?; // the last value, on joining
//! assert_eq!((update.value.cents, update.sequence), (100, 1));
//!
//! publisher.publish(&Price { cents: 101 })?;
//! let update = subscriber.recv()?;
//! assert_eq!((update.value.cents, update.sequence, update.lost), (101, 2, 0));
//! assert_eq!(update.publisher, publisher.id());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//!
//! Publishing never waits, so a subscriber that does not keep up loses values; but never without
//! being told: each publisher numbers what it publishes, and [`Update::lost`] says how many did
//! not come. Losing a connection is the same. Whoever joins late has lost nothing.
//!
//! A publisher keeps its last value, and sends it to whoever joins. One that a subscriber has
//! had before, as after a connection came back, is not given to it again.
//!
//! Between the two may stand any number of devices that pass on what they do not read, such as
//! [`Device::forwarder`](crate::device::Device::forwarder). One that keeps last values itself has
//! to ask for everything from the start, as that does.
//!
//! The wire is described in `docs/BUS.md`.
//!
//! # Not here
//!
//! Who has subscribed to what, and the last values (`crate::socket`).

mod codec;
mod error;
mod publisher;
mod sequence;
mod subscriber;
mod topic;
mod wire;

pub use codec::ValueFault;
pub use error::{BusError, NameFault, PublishError, UpdateError};
pub use publisher::{Publisher, PublisherBuilder};
pub use sequence::PublisherCounts;
pub use subscriber::{Subscriber, SubscriberBuilder, SubscriberStats, Update};
pub use topic::Topic;
pub use wire::{HeaderFault, PublisherId};
