//! The forwarder: publications from an XSUB in front to an XPUB at the back, and subscriptions the
//! other way.
//!
//! Publishers hear of each topic once, however many subscribe to it, and no more of it once the
//! last has gone. A publisher limits what one peer may subscribe to, and the forwarder is one peer
//! for all of its subscribers: so of topics over that limit it asks for everything instead, for as
//! long as there are any. It lets through what was subscribed to, here as ever.
//!
//! Where last values are kept it asks for everything from the start: they have to be there before
//! the first who wants them.
//!
//! # Invariants
//!
//! 1. Publishers are asked for what the subscribers want, at the most as often as one peer may.
//!    (tests `topics_over_the_limit_are_asked_for_as_everything`,
//!    `subscriptions_go_up_once_and_are_taken_back`)
//! 2. A subscriber that does not read costs the others nothing. (test
//!    `a_subscriber_that_does_not_read_is_dropped_for_alone`)

use std::sync::Arc;

use super::counts::{Drop, Way};
use super::traffic::{Fate, Rest, Traffic};
use crate::message::Message;
use crate::socket::{Error, Options, Waitable, XPub, XSub};

/// Publications, and subscriptions to them.
pub(super) struct Forwarder {
    front: Arc<XSub>,
    back: Arc<XPub>,
    told: Told,
}

impl Forwarder {
    pub(super) fn new(front: Arc<XSub>, back: Arc<XPub>, options: &Options) -> Result<Self, Error> {
        let keeps_last = options.last_values > 0;
        if keeps_last {
            front.subscribe("")?;
        }
        let told = Told {
            // One is left for everything.
            topics_max: options.subscriptions_max.saturating_sub(1),
            bytes_max: options.topics_bytes_max,
            ..Told::default()
        };
        Ok(Forwarder { front, back, told })
    }

    /// What a subscriber sends goes up.
    fn up(&mut self, message: Message) -> Fate {
        let bytes = message.bytes();
        let told = match (message.len(), message.first().split_first()) {
            (1, Some((1, topic))) => self.told.begins(&self.front, topic),
            (1, Some((0, topic))) => self.told.ends(&self.front, topic),
            _ => self.front.send(message).is_ok(),
        };
        fate(told, bytes)
    }
}

/// Sockets that publish take everything; only once the device has ended they do not.
fn fate(taken: bool, bytes: usize) -> Fate {
    if taken {
        Fate::Passed(bytes)
    } else {
        Fate::Dropped(Drop::PeerGone)
    }
}

impl Traffic for Forwarder {
    fn take(&mut self, way: Way) -> Option<Result<Message, Drop>> {
        match way {
            Way::FromFrontend => {
                let (_, message) = self.front.waits_on().core().try_receive()?;
                Some(Ok(message))
            }
            Way::FromBackend => {
                let core = self.back.waits_on().core();
                let news = core.next_news();
                news.or_else(|| core.try_receive().map(|(_, message)| message))
                    .map(Ok)
            }
        }
    }

    fn give(&mut self, way: Way, message: Message) -> Fate {
        match way {
            Way::FromFrontend => {
                let bytes = message.bytes();
                fate(self.back.send(message).is_ok(), bytes)
            }
            Way::FromBackend => self.up(message),
        }
    }

    fn rest(&self) -> Rest {
        Rest::UntilQuiet
    }

    fn awaited(&self) -> u64 {
        0
    }
}

/// What publishers have been told of the subscriptions.
#[derive(Debug, Default)]
struct Told {
    topics: usize,
    bytes: usize,
    /// Topics that they have not been told of: for those everything is asked for.
    untold: usize,
    topics_max: usize,
    bytes_max: usize,
}

impl Told {
    /// The first subscription to a topic; false if the socket has been closed.
    fn begins(&mut self, front: &XSub, topic: &[u8]) -> bool {
        // Everything is asked for as often as it is wanted: it counts once.
        if topic.is_empty() {
            return front.subscribe(topic).is_ok();
        }
        if self.topics < self.topics_max && self.bytes + topic.len() <= self.bytes_max {
            self.topics += 1;
            self.bytes += topic.len();
            return front.subscribe(topic).is_ok();
        }
        self.untold += 1;
        if self.untold > 1 {
            return true;
        }
        log::warn!(
            "subscribers want more than {} topics or {} bytes of them: asking for everything",
            self.topics_max,
            self.bytes_max
        );
        front.subscribe("").is_ok()
    }

    /// The last subscription to a topic is taken back.
    fn ends(&mut self, front: &XSub, topic: &[u8]) -> bool {
        let was_told = front.unsubscribe(topic);
        match was_told {
            Ok(_) if topic.is_empty() => true,
            Ok(true) => {
                self.topics = self.topics.saturating_sub(1);
                self.bytes = self.bytes.saturating_sub(topic.len());
                true
            }
            Ok(false) if self.untold > 0 => {
                self.untold -= 1;
                self.untold > 0 || front.unsubscribe("").is_ok()
            }
            Ok(false) => true,
            Err(_) => false,
        }
    }
}
