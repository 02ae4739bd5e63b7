//! The publishing end: numbers each value and sends it to whoever has subscribed.
//!
//! The socket is a PUB: peers can send it nothing but subscriptions, within its limits.
//!
//! Several publishers may share one socket, each with a topic of its own or the same one: each
//! has its number and counts for itself.
//!
//! # Invariants
//!
//! 1. Updates go out in the order of their numbers, whichever threads publish. (test
//!    `threads_that_share_a_publisher_lose_and_repeat_nothing` in `patterns/tests/bus`)
//! 2. A value that is refused takes no number. (test `a_value_that_is_refused_takes_no_number` in
//!    `patterns/tests/bus`)

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::codec;
use super::error::{BusError, PublishError};
use super::topic::Topic;
use super::wire::{self, Header, PublisherId};
use crate::link::Endpoint;
use crate::socket::{Options, Pub};

/// How a publisher is to be.
#[derive(Debug)]
#[must_use]
pub struct PublisherBuilder<T> {
    topic: Topic<T>,
    options: Options,
}

impl<T> PublisherBuilder<T> {
    pub(super) fn new(topic: Topic<T>) -> Self {
        let options = Options::new().last_values(1);
        PublisherBuilder { topic, options }
    }

    /// Options of the socket. Default: those of [`Options::new`] with one last value kept, which
    /// whoever joins is sent; with options of your own, as they say
    /// ([`Options::last_values`]).
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// A publisher bound to `endpoint`.
    ///
    /// # Errors
    ///
    /// As [`Pub::bind`].
    pub fn bind(self, endpoint: &str) -> Result<Publisher<T>, BusError> {
        let socket = Pub::with(self.options)?;
        socket.bind_to(endpoint)?;
        Ok(Publisher::new(self.topic, Arc::new(socket)))
    }

    /// A publisher connecting to `endpoint`: the front of a forwarder, as a rule.
    ///
    /// # Errors
    ///
    /// As [`Pub::connect`].
    pub fn connect(self, endpoint: &str) -> Result<Publisher<T>, BusError> {
        let socket = Pub::with(self.options)?;
        socket.connect_to(endpoint)?;
        Ok(Publisher::new(self.topic, Arc::new(socket)))
    }

    /// A publisher on a socket that is there, bound and connected as it is: for many topics on one
    /// endpoint. Last values are the socket's to keep: [`Options::last_values`] is the number of
    /// topics.
    pub fn on(self, socket: Arc<Pub>) -> Publisher<T> {
        Publisher::new(self.topic, socket)
    }
}

/// Publishes values of one topic. Any number of threads may do so.
pub struct Publisher<T> {
    topic: Topic<T>,
    socket: Arc<Pub>,
    id: PublisherId,
    /// The number of the last update. Held while it goes out, which never waits: taken before all
    /// locks of the socket, and by nobody else.
    sequence: Mutex<u64>,
}

impl<T> Publisher<T> {
    fn new(topic: Topic<T>, socket: Arc<Pub>) -> Self {
        // Keys of its own each time, from the system's randomness.
        let id = PublisherId(RandomState::new().hash_one(std::process::id()));
        Publisher {
            topic,
            socket,
            id,
            sequence: Mutex::new(0),
        }
    }

    /// The topic.
    pub fn topic(&self) -> &Topic<T> {
        &self.topic
    }

    /// The number by which subscribers know this publisher from others, and from one that was
    /// started anew.
    pub fn id(&self) -> PublisherId {
        self.id
    }

    /// The number of the value that was published last; 0 before the first.
    pub fn sequence(&self) -> u64 {
        *self.sequence.lock()
    }

    /// The socket: for more endpoints, its monitor, its stats, closing it.
    pub fn socket(&self) -> &Arc<Pub> {
        &self.socket
    }

    /// Where the socket is bound, wildcards resolved.
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.socket.local_endpoints()
    }
}

impl<T: Serialize> Publisher<T> {
    /// Publishes a value; gives its number.
    ///
    /// That it is published means that it is queued for those who have subscribed, not that it
    /// arrived. A value nested 64 deep or deeper is refused by every subscriber.
    ///
    /// # Errors
    ///
    /// If the value cannot be written as MessagePack, or the socket has been closed. It took no
    /// number then.
    ///
    /// # Blocking
    ///
    /// Never for a subscriber; several threads publish one after the other.
    pub fn publish(&self, value: &T) -> Result<u64, PublishError> {
        let bytes = codec::encode(value).map_err(|_| PublishError::Encode)?;
        let mut sequence = self.sequence.lock();
        let header = Header {
            publisher: self.id,
            sequence: *sequence + 1,
        };
        self.socket
            .send(wire::update(self.topic.frame(), header, bytes))
            .map_err(|error| PublishError::Refused(error.reason()))?;
        *sequence = header.sequence;
        Ok(header.sequence)
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publisher({:?}, {})", self.topic.name(), self.id)
    }
}
