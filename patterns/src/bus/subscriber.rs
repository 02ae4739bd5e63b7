//! The subscribing end: gives each value once, and says how many did not come.
//!
//! # Invariants
//!
//! 1. An update is given once, in its publisher's order, whichever threads receive. (test
//!    `threads_that_share_a_subscriber_take_each_update_once` in `patterns/tests/bus`)
//! 2. What comes is counted once: as received, repeated or refused. (test
//!    `what_does_not_decode_is_named_and_the_next_one_comes` in `patterns/tests/bus`)

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use super::codec;
use super::error::{BusError, UpdateError};
use super::sequence::{Place, PublisherCounts, Publishers};
use super::topic::Topic;
use super::wire::{self, PublisherId};
use crate::link::Endpoint;
use crate::message::Message;
use crate::socket::{Options, Sub, Waitable, WaitsOn};

/// How a subscriber is to be.
#[derive(Debug)]
#[must_use]
pub struct SubscriberBuilder<T> {
    topic: Topic<T>,
    options: Options,
    publishers_max: usize,
}

impl<T> SubscriberBuilder<T> {
    pub(super) fn new(topic: Topic<T>) -> Self {
        SubscriberBuilder {
            topic,
            options: Options::new(),
            publishers_max: 1024,
        }
    }

    /// Options of the socket. Default: those of [`Options::new`].
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Publishers that are remembered; with one more, the one heard of longest ago is forgotten,
    /// which is counted, and what is lost of it until it is heard of again is not seen. Default
    /// 1,024; 1 to 1,000,000. One takes some 200 bytes.
    pub fn publishers_max(mut self, publishers_max: usize) -> Self {
        self.publishers_max = publishers_max;
        self
    }

    /// A subscriber connecting to `endpoint`: a publisher, or the back of a forwarder.
    ///
    /// # Errors
    ///
    /// If an option is out of its bounds; else as [`Sub::connect`].
    pub fn connect(self, endpoint: &str) -> Result<Subscriber<T>, BusError> {
        let subscriber = self.make()?;
        subscriber.socket.connect_to(endpoint)?;
        Ok(subscriber)
    }

    /// A subscriber bound to `endpoint`, for publishers to connect to.
    ///
    /// # Errors
    ///
    /// If an option is out of its bounds; else as [`Sub::bind`].
    pub fn bind(self, endpoint: &str) -> Result<Subscriber<T>, BusError> {
        let subscriber = self.make()?;
        subscriber.socket.bind_to(endpoint)?;
        Ok(subscriber)
    }

    fn make(self) -> Result<Subscriber<T>, BusError> {
        if !(1..=1_000_000).contains(&self.publishers_max) {
            return Err(BusError::Option {
                option: "publishers_max",
                value: self.publishers_max,
                rule: "1 to 1,000,000 publishers",
            });
        }
        let socket = Sub::with(self.options)?;
        socket.subscribe(self.topic.frame())?;
        Ok(Subscriber {
            topic: self.topic,
            socket,
            turn: Mutex::new(()),
            seen: Mutex::new(Seen {
                publishers: Publishers::new(self.publishers_max),
                stats: SubscriberStats::default(),
            }),
        })
    }
}

/// A value that came, and what is known of how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Update<T> {
    /// The value.
    pub value: T,
    /// Who published it.
    pub publisher: PublisherId,
    /// Its number among what that publisher has published on this topic, from 1.
    pub sequence: u64,
    /// How many of this publisher's were lost just before it.
    pub lost: u64,
    /// Whether it is the first that is heard of this publisher: it may be a last value that was
    /// kept for us, published long ago.
    pub is_first: bool,
}

/// What a subscriber has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriberStats {
    /// Updates that came, those whose value did not decode among them.
    pub received: u64,
    /// Updates that did not come, as the gaps in their numbers tell.
    pub lost: u64,
    /// Updates that had come before, and were passed over.
    pub repeated: u64,
    /// Of those received, those whose value did not decode.
    pub undecoded: u64,
    /// Messages that were no updates.
    pub refused: u64,
    /// Publishers that had to be forgotten for the limit.
    pub forgotten: u64,
}

#[derive(Debug)]
struct Seen {
    publishers: Publishers,
    stats: SubscriberStats,
}

/// Receives values of one topic, from all publishers that it is connected to.
///
/// Any number of threads may receive: one waits at the socket, the others in line behind it.
/// [`wait_any`](crate::wait_any) takes it too.
pub struct Subscriber<T> {
    topic: Topic<T>,
    socket: Sub,
    /// Who receives: so that updates are numbered off in the order in which they came. Held while
    /// waiting for a message, taken before every other lock.
    turn: Mutex<()>,
    seen: Mutex<Seen>,
}

impl<T> Subscriber<T> {
    /// The topic.
    pub fn topic(&self) -> &Topic<T> {
        &self.topic
    }

    /// The socket: for more endpoints, its monitor, its stats, closing it. What is received from
    /// it directly is missing here, and counts as lost.
    pub fn socket(&self) -> &Sub {
        &self.socket
    }

    /// Where the socket is bound, wildcards resolved.
    pub fn local_endpoints(&self) -> Vec<Endpoint> {
        self.socket.local_endpoints()
    }

    /// What has been seen so far.
    pub fn stats(&self) -> SubscriberStats {
        let seen = self.seen.lock();
        SubscriberStats {
            forgotten: seen.publishers.forgotten,
            ..seen.stats
        }
    }

    /// The publishers that are remembered, by number.
    pub fn publishers(&self) -> Vec<PublisherCounts> {
        self.seen.lock().publishers.counts()
    }
}

impl<T: DeserializeOwned> Subscriber<T> {
    /// Receives the next value.
    ///
    /// # Errors
    ///
    /// If what came is no update or no value of the topic's type: the next call gives the next
    /// one. And if the socket has been closed.
    ///
    /// # Blocking
    ///
    /// Until an update comes that has not come before.
    pub fn recv(&self) -> Result<Update<T>, UpdateError> {
        self.receive(None)
    }

    /// Receives the next value, waiting for it no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and if the time is over.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Update<T>, UpdateError> {
        self.receive(Instant::now().checked_add(timeout))
    }

    /// Receives the next value, waiting for it no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_deadline(&self, deadline: Instant) -> Result<Update<T>, UpdateError> {
        self.receive(Some(deadline))
    }

    /// Receives a value that is there already.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout). While another thread waits in
    /// [`recv`](Self::recv) there is none: that thread gets it.
    pub fn try_recv(&self) -> Result<Update<T>, UpdateError> {
        self.receive(Some(Instant::now()))
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<Update<T>, UpdateError> {
        let _turn = match deadline {
            None => self.turn.lock(),
            Some(deadline) => match self.turn.try_lock_until(deadline) {
                Some(turn) => turn,
                None => return Err(UpdateError::Timeout),
            },
        };
        loop {
            let message = match deadline {
                None => self.socket.recv()?,
                Some(deadline) => self.socket.recv_deadline(deadline)?,
            };
            if let Some(given) = self.take(&message) {
                return given;
            }
        }
    }

    /// What a message is to the program; nothing, if it has been here before.
    fn take(&self, message: &Message) -> Option<Result<Update<T>, UpdateError>> {
        let (header, bytes) = match wire::parts(message) {
            Ok(parts) => parts,
            Err(fault) => {
                self.seen.lock().stats.refused += 1;
                let topic = self.topic.name().to_owned();
                return Some(Err(UpdateError::Header { topic, fault }));
            }
        };
        let place = {
            let mut seen = self.seen.lock();
            let place = seen.publishers.hear(header.publisher, header.sequence);
            match place {
                Place::Repeat => {
                    seen.stats.repeated += 1;
                    return None;
                }
                Place::First => {}
                Place::Next { lost } => seen.stats.lost = seen.stats.lost.saturating_add(lost),
            }
            seen.stats.received += 1;
            place
        };
        let lost = match place {
            Place::Next { lost } => lost,
            Place::First | Place::Repeat => 0,
        };
        Some(match codec::decode(bytes) {
            Ok(value) => Ok(Update {
                value,
                publisher: header.publisher,
                sequence: header.sequence,
                lost,
                is_first: place == Place::First,
            }),
            Err(fault) => {
                self.seen.lock().stats.undecoded += 1;
                Err(UpdateError::Value {
                    topic: self.topic.name().to_owned(),
                    publisher: header.publisher,
                    sequence: header.sequence,
                    lost,
                    fault,
                })
            }
        })
    }
}

impl<T> Waitable for Subscriber<T> {
    fn waits_on(&self) -> WaitsOn<'_> {
        self.socket.waits_on()
    }
}

impl<T> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscriber({:?})", self.topic.name())
    }
}
