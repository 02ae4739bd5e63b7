//! Subscribing: what the socket wants, and who has been told.
//!
//! Topics are counted: publishers are told of the first subscription to one and of the end of the
//! last. Whoever is connected, or connected again, is told of all; changes follow in order, since
//! both are queued under the lock of what is wanted. Nothing is written under it.
//!
//! A SUB drops what nobody has subscribed to: as it comes in, and, after a cancellation, what was
//! queued before it too.
//!
//! # Lock order
//!
//! `wanted`, then `routes`, outboxes, and the other end of a connection within the process, which
//! may answer at once: so `filter` is a lock of its own, under which nothing is taken, and `wanted`
//! is not asked for when a message comes in.
//!
//! # Invariants
//!
//! 1. A publisher that is connected knows what is wanted, however often it was lost, once what is
//!    queued for it has gone out. (test `subscriptions_are_told_anew_to_a_publisher_that_comes_back`)
//! 2. After an `unsubscribe` has returned, nothing is received that nobody wants. (test
//!    `nothing_is_received_of_a_topic_after_its_last_cancellation`)

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::publishing::subscription;
use super::{Core, Part};
use crate::engine::conn::Conn;
use crate::engine::outbox::Told;
use crate::engine::pace;
use crate::engine::pipe::Pipe;
use crate::event::CloseReason;
use crate::message::{Frame, Message};
use crate::socket::error::{Error, SendError, SendRefusal};
use crate::socket::prefix_tree::PrefixTree;
use crate::zmtp::SocketType;

/// What a subscription costs in a queue beside its topic, at the most.
const FRAME_COST: usize = 20;

#[derive(Debug, Default)]
struct Wanted {
    topics: BTreeMap<Box<[u8]>, u64>,
    /// What it takes to tell of all of them.
    bytes: usize,
}

/// What a SUB or XSUB has beside the common part.
#[derive(Debug)]
pub(super) struct Subscriber {
    wanted: Mutex<Wanted>,
    /// What a SUB lets in; an XSUB lets everything in.
    filter: Option<RwLock<PrefixTree<()>>>,
}

impl Subscriber {
    pub(super) fn new(kind: SocketType) -> Self {
        Subscriber {
            wanted: Mutex::default(),
            filter: (kind == SocketType::Sub).then(|| RwLock::new(PrefixTree::new())),
        }
    }

    /// Whether a message is let in.
    pub(super) fn wants(&self, message: &Message) -> bool {
        match &self.filter {
            Some(filter) => filter.read().matches(message.first()),
            None => true,
        }
    }

    /// Counts a subscription, or the end of one; whether publishers have to be told, and whether
    /// there was one to end.
    fn count(&self, wanted: &mut Wanted, begins: bool, topic: &[u8]) -> (bool, bool) {
        let cost = topic.len() + FRAME_COST;
        match (wanted.topics.entry(topic.into()), begins) {
            (Entry::Occupied(mut entry), true) => {
                *entry.get_mut() += 1;
                (false, true)
            }
            (Entry::Occupied(mut entry), false) if *entry.get() > 1 => {
                *entry.get_mut() -= 1;
                (false, true)
            }
            (Entry::Occupied(entry), false) => {
                entry.remove();
                wanted.bytes -= cost;
                if let Some(filter) = &self.filter {
                    let mut filter = filter.write();
                    if let Some(number) = filter.find(topic) {
                        filter.remove(number);
                    }
                }
                (true, true)
            }
            (Entry::Vacant(entry), true) => {
                entry.insert(1);
                wanted.bytes += cost;
                if let Some(filter) = &self.filter {
                    filter.write().insert(topic, || ());
                }
                (true, true)
            }
            (Entry::Vacant(_), false) => (false, false),
        }
    }
}

impl Core {
    pub(super) fn subscriber(&self) -> Option<&Subscriber> {
        match &self.part {
            Part::Subscriber(subscriber) => Some(subscriber),
            Part::Plain | Part::Publisher(_) => None,
        }
    }

    /// Begins or ends a subscription; false if there was none to end.
    pub(crate) fn subscribe(&self, begins: bool, topic: &[u8]) -> Result<bool, Error> {
        self.open()?;
        let Some(subscriber) = self.subscriber() else {
            return Ok(false);
        };
        #[cfg(feature = "zeromq")]
        if self.is_second() && std::str::from_utf8(topic).is_err() {
            return Err(Error::Unsupported {
                what: format!("a topic of {} bytes that is not UTF-8", topic.len()),
                way_out: "choose topics of text, or use an engine of Engine::new",
            });
        }
        let pipes;
        let mut lost = Vec::new();
        {
            let mut wanted = subscriber.wanted.lock();
            let (changed, existed) = subscriber.count(&mut wanted, begins, topic);
            if !changed {
                return Ok(existed);
            }
            // To come back and be told of all of them takes less than reading more than this.
            let bytes_max = self.settings.send_bytes_max.saturating_add(wanted.bytes);
            pipes = self.pipes();
            for pipe in &pipes {
                match pipe.tell(begins, topic, bytes_max) {
                    Told::Queued | Told::Nobody => {}
                    Told::Behind | Told::Refused => lost.push(pipe.clone()),
                }
            }
        }
        if !begins {
            self.inbox.lock().recheck = true;
        }
        for pipe in pipes {
            pipe.flush();
        }
        for pipe in lost {
            self.part_from(&pipe, CloseReason::SubscriptionsUnread);
        }
        Ok(true)
    }

    /// Gives a connection to its pipe; the peer is told of every subscription first.
    pub(super) fn attach_subscriber(
        &self,
        subscriber: &Subscriber,
        pipe: &Arc<Pipe>,
        conn: &Arc<Conn>,
    ) {
        {
            let wanted = subscriber.wanted.lock();
            let mut opening = Vec::with_capacity(wanted.bytes);
            for topic in wanted.topics.keys() {
                pipe.encode_subscription(&mut opening, true, topic);
            }
            pipe.place(conn, opening);
        }
        pipe.flush();
    }

    /// A publisher within the process is there: it is told of every subscription.
    pub(super) fn join_publisher(&self, subscriber: &Subscriber, pipe: &Arc<Pipe>) {
        let told = {
            let wanted = subscriber.wanted.lock();
            pipe.tell_first(wanted.topics.keys().map(|topic| &**topic))
        };
        if !told {
            self.part_from(pipe, CloseReason::SubscriptionsUnread);
        }
    }

    /// Sends a message as an XSUB does: a subscription changes what is wanted, anything else goes
    /// to every publisher that takes it.
    pub(crate) fn send_up(&self, message: Message) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(self.refuse((SendRefusal::Closed, message)));
        }
        if let Some((begins, topic)) = subscription(&message) {
            return match self.subscribe(begins, topic) {
                Ok(_) => Ok(()),
                Err(_) => Err(self.refuse((SendRefusal::Closed, message))),
            };
        }
        let takes = |pipe: &Arc<Pipe>| pipe.peer_type() == Some(SocketType::XPub);
        let pipes: Vec<_> = self.pipes().into_iter().filter(takes).collect();
        let hold = pace::holds();
        for pipe in pipes.iter().filter(|pipe| pipe.is_linked()) {
            // What there is no room for is counted.
            let _ = pipe.offer(&message, hold, false);
        }
        Ok(())
    }

    /// The topics that are subscribed to, in order, and how often.
    pub(crate) fn topics(&self) -> Vec<(Frame, usize)> {
        let Some(subscriber) = self.subscriber() else {
            return Vec::new();
        };
        let wanted = subscriber.wanted.lock();
        let topics = wanted.topics.iter();
        topics
            .map(|(topic, count)| (Frame::copy_from_slice(topic), *count as usize))
            .collect()
    }
}
