//! Publishing: who has subscribed, and what goes to them.
//!
//! ```text
//! publish: last values --> table (read) --> selection; unlocked: offered to each
//! deliver: last values --> table (write) --> queued for that peer; unlocked: written
//! ```
//!
//! A publish never waits: a peer whose queue is full is passed over, and that is counted, or it is
//! parted from, as the options have it.
//!
//! Where last values are kept, their lock makes one step of keeping a message and finding out to
//! whom it goes; and of a subscription, and of queueing the last values for the subscriber. So
//! what was published before a subscription is among the values queued with it, and what is
//! published after it comes behind them. It is taken under `Conn.phase` and under an end of a
//! connection within the process, and before the table, outboxes and other sockets' inboxes.
//!
//! # Invariants
//!
//! 1. A new subscriber is sent the last value of a topic and then each one published since, each
//!    once and in order. (test
//!    `last_values_and_what_is_published_meanwhile_come_in_order_without_a_gap`)

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::{Core, Part};
use crate::engine::outbox::Offered;
use crate::engine::owner::Flow;
use crate::engine::pace::{self, Hold};
use crate::engine::pipe::Pipe;
use crate::event::CloseReason;
use crate::message::{Frame, Message};
use crate::socket::error::{SendError, SendRefusal};
use crate::socket::last_values::LastValues;
use crate::socket::options::{Options, SlowSubscriber};
use crate::socket::subscriptions::{Selection, Subscriptions, Telling, TopicLimits};
use crate::zmtp::{SocketType, Violation};

thread_local! {
    /// Whom the message at hand goes to; its memory serves every publish of this thread.
    static SELECTION: RefCell<Selection<Arc<Pipe>>> = const { RefCell::new(Selection::new()) };
}

/// What a PUB or XPUB has beside the common part.
#[derive(Debug)]
pub(super) struct Publisher {
    table: RwLock<Subscriptions<Arc<Pipe>>>,
    limits: TopicLimits,
    slow: SlowSubscriber,
    welcome: Option<Message>,
    last: Option<Mutex<LastValues>>,
    published: AtomicU64,
    pub(super) unmatched: AtomicU64,
}

/// What a publisher shows of itself.
#[derive(Debug, Default)]
pub(super) struct PublisherCounts {
    pub(super) published: u64,
    pub(super) unmatched: u64,
    pub(super) untold: u64,
    pub(super) kept: usize,
    pub(super) evicted: u64,
}

/// The subscription that a message stands for: whether it begins, and its topic.
pub(crate) fn subscription(message: &Message) -> Option<(bool, &[u8])> {
    if message.len() != 1 {
        return None;
    }
    match message.first().split_first() {
        Some((1, topic)) => Some((true, topic)),
        Some((0, topic)) => Some((false, topic)),
        _ => None,
    }
}

impl Publisher {
    pub(super) fn new(kind: SocketType, options: &Options) -> Self {
        let telling = match kind {
            SocketType::XPub => options.telling(),
            _ => Telling::Nothing,
        };
        Publisher {
            table: RwLock::new(Subscriptions::new(telling)),
            limits: options.topic_limits(),
            slow: options.slow_subscriber,
            welcome: options.welcome.clone(),
            last: (options.last_values > 0).then(|| {
                let bytes_max = options.last_values_bytes_max;
                Mutex::new(LastValues::new(options.last_values, bytes_max))
            }),
            published: AtomicU64::new(0),
            unmatched: AtomicU64::new(0),
        }
    }

    /// Keeps a message as its topic's last, if that is done, and finds whom it goes to.
    fn select(&self, message: &Message, selection: &mut Selection<Arc<Pipe>>) {
        let mut last = self.last.as_ref().map(Mutex::lock);
        if let Some(last) = &mut last {
            last.keep(message);
        }
        self.table.read().select(message.first(), selection);
    }

    pub(super) fn has_news(&self) -> bool {
        self.table.read().has_news()
    }

    pub(super) fn count_of(&self, pipe: &Pipe) -> usize {
        self.table.read().count_of(pipe.id)
    }

    pub(super) fn counts(&self) -> PublisherCounts {
        let last = self.last.as_ref().map(|last| last.lock().counts());
        let (kept, evicted) = last.unwrap_or_default();
        PublisherCounts {
            published: self.published.load(Ordering::Relaxed),
            unmatched: self.unmatched.load(Ordering::Relaxed),
            untold: self.table.read().untold(),
            kept,
            evicted,
        }
    }
}

impl Core {
    pub(super) fn publisher(&self) -> Option<&Publisher> {
        match &self.part {
            Part::Publisher(publisher) => Some(publisher),
            Part::Plain | Part::Subscriber(_) => None,
        }
    }

    /// Sends a message to everybody who has subscribed to it.
    pub(crate) fn publish(&self, message: Message) -> Result<(), SendError> {
        let Some(publisher) = self.publisher() else {
            return Err(self.refuse((SendRefusal::OutOfTurn, message)));
        };
        if self.is_closed() {
            return Err(self.refuse((SendRefusal::Closed, message)));
        }
        publisher.published.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "zeromq")]
        if self.is_second() {
            self.publish_second(publisher, &message);
            return Ok(());
        }
        // At the end of its thread a new one, for this message alone.
        let own = SELECTION.try_with(|own| own.replace(Selection::new()));
        let mut selection = own.unwrap_or_else(|_| Selection::new());
        publisher.select(&message, &mut selection);
        let peers = selection.peers();
        let mut slow = Vec::new();
        if peers.is_empty() {
            publisher.unmatched.fetch_add(1, Ordering::Relaxed);
        } else {
            let hold = pace::holds();
            for subscriber in peers {
                let offered = subscriber.peer.offer(&message, hold, false);
                if offered == Offered::PassedOver && publisher.slow == SlowSubscriber::Disconnect {
                    slow.push(subscriber.peer.clone());
                }
            }
            if peers.len() > 1 {
                // However many they are: to send to all is no pause.
                pace::wrote();
            }
        }
        selection.clear();
        let _ = SELECTION.try_with(|own| own.replace(selection));
        for pipe in slow {
            self.part_from(&pipe, CloseReason::SlowSubscriber);
        }
        Ok(())
    }

    /// Ends a peer's connection, for this reason. Not to be called under any lock.
    pub(super) fn part_from(&self, pipe: &Arc<Pipe>, reason: CloseReason) {
        match pipe.conn() {
            Some(conn) => {
                let shared = self.engine.shared();
                shared.with_workbench(|bench| conn.close(reason, bench));
            }
            // Within the process there is no connection: the pipe is all there is.
            None if pipe.is_inproc() && !pipe.is_closed() => {
                self.count_close(&reason, "inproc");
                self.gone_from(pipe);
                self.retire(pipe);
            }
            None => {}
        }
    }

    /// Takes the subscriptions out of what a peer has sent; what else there is stays, or is
    /// refused.
    pub(super) fn hear(
        &self,
        publisher: &Publisher,
        pipe: &Arc<Pipe>,
        batch: &mut Vec<Message>,
    ) -> Flow {
        let mut broken = None;
        let mut unexpected = 0;
        batch.retain(|message| {
            if broken.is_some() {
                return false;
            }
            match subscription(message) {
                Some((begins, topic)) => {
                    broken = self.subscribed(publisher, pipe, begins, topic).err();
                    false
                }
                None if self.kind == SocketType::Pub => {
                    unexpected += 1;
                    broken = Some(Violation::UnexpectedMessage { ours: self.kind });
                    false
                }
                None => true,
            }
        });
        if unexpected > 0 {
            let mut inbox = self.inbox.lock();
            inbox.arrived += unexpected;
            inbox.unexpected += unexpected;
        }
        if publisher.has_news() {
            self.readers.wake(usize::MAX);
        }
        match broken {
            Some(violation) => Flow::Broken(violation),
            None => Flow::On,
        }
    }

    /// A peer's subscription begins or ends.
    pub(super) fn subscribed(
        &self,
        publisher: &Publisher,
        pipe: &Arc<Pipe>,
        begins: bool,
        topic: &[u8],
    ) -> Result<(), Violation> {
        if !begins {
            publisher.table.write().cancel(pipe.id, topic);
            return Ok(());
        }
        let last = publisher.last.as_ref().map(Mutex::lock);
        let mut first = Vec::new();
        {
            let mut table = publisher.table.write();
            if pipe.is_closed() {
                return Ok(()); // its subscriptions have been let go of already
            }
            let begun = table.subscribe(pipe.id, pipe, topic, &publisher.limits)?;
            if let Some(welcome) = &publisher.welcome
                && welcome.first().starts_with(topic)
                && table.welcome(pipe.id)
            {
                first.push(welcome.clone());
            }
            if begun.is_new
                && let Some(last) = &last
            {
                let news = last.of(topic).filter(|message| {
                    // What it has subscribed to in other words it has been sent before.
                    !table.is_covered(pipe.id, message.first(), begun.topic)
                });
                first.extend(news.cloned());
            }
        }
        if !first.is_empty() {
            // All of it, however much is kept: to whom there is room for the first.
            let beyond = pipe.has_room();
            for message in &first {
                // What there is no room for is counted.
                let _ = pipe.offer(message, Hold::Flush, beyond);
            }
            drop(last);
            pipe.flush();
        }
        Ok(())
    }

    /// The next subscription that the program is told of, as a message.
    pub(crate) fn next_news(&self) -> Option<Message> {
        let publisher = self.publisher()?;
        if !publisher.has_news() {
            return None;
        }
        let (begins, topic) = publisher.table.write().next_news()?;
        let mut body = Vec::with_capacity(1 + topic.len());
        body.push(u8::from(begins));
        body.extend_from_slice(&topic);
        let message = Message::from(body);
        let mut inbox = self.inbox.lock();
        inbox.arrived += 1;
        inbox.arrived_bytes += message.bytes() as u64;
        inbox.received += 1;
        Some(message)
    }

    /// Every topic that is subscribed to, with the number of its subscribers, in order.
    pub(crate) fn subscriptions(&self) -> Vec<(Frame, usize)> {
        let Some(publisher) = self.publisher() else {
            return Vec::new();
        };
        let mut topics: Vec<_> = publisher
            .table
            .read()
            .topics()
            .map(|(topic, count)| (Frame::from(topic), count))
            .collect();
        topics.sort_unstable();
        topics
    }

    /// A peer's subscriptions go with its connection.
    pub(super) fn gone_from(&self, pipe: &Arc<Pipe>) {
        let Some(publisher) = self.publisher() else {
            return;
        };
        let has_news = {
            let mut table = publisher.table.write();
            table.leave(pipe.id);
            table.has_news()
        };
        if has_news {
            self.readers.wake(usize::MAX);
        }
    }
}
