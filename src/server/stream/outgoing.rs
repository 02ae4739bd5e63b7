//! Items that a method sends: those that gather, the one that waits for room, and the iterator
//! while nobody runs it.
//!
//! ```text
//! small ones ──► strip ──┐
//!                        ├─► gathered ──► messages
//! others ────────────────┴──────────────► (one of its own)
//! ```
//!
//! # Invariants
//!
//! 1. An item goes at once while few messages are un-taken, unless one comes upon the other; else it
//!    goes with others, at the latest
//!    when a window comes. (test `items_gather_while_the_caller_is_slow_and_go_when_a_window_comes`)
//! 2. An item with blobs goes alone, so that what it says of them holds. (test
//!    `items_with_blobs_and_raw_ones_go_alone`)
//! 3. What a worker has put on the strip is before all that comes after it: it is gathered before
//!    anything else is done. (held by [`Giving::absorb`])

use std::sync::Arc;
use std::time::Instant;

use super::send::Post;
use super::strip::{Strip, Taken};
use super::turn::Producer;
use crate::chunk::Writer;
use crate::machine::{Flow, Outflow};
use crate::wire::{Blobs, Payload};

/// A body of this length goes alone: it would be copied to go with others.
pub(super) const ALONE: usize = 4 * 1024;
/// Room that a message of small items begins with.
const GATHERED: usize = 1024;
/// So often in a row quickly, and an item is not worth a message of its own any more.
const BRISK: u8 = 8;

/// What one stream sends.
pub(super) struct Giving {
    flow: Outflow,
    /// Where its worker puts small items, once there were any to gather.
    strip: Option<Arc<Strip>>,
    /// What of it has gathered.
    taken: Taken,
    /// Items that go together, one after the other.
    gathered: Vec<u8>,
    /// An item that waits for room.
    held: Option<Payload>,
    /// How often in a row its items were made quickly.
    quick: u8,
    phase: Phase,
}

/// Where the iterator is.
enum Phase {
    /// With a thread, or on its way to one.
    Taken,
    /// In the pool's queue.
    Queued(Producer),
    /// Without a thread, until there is room.
    Parked(Producer, Instant),
}

impl Giving {
    pub(super) fn new(granted: Flow) -> Self {
        Giving {
            flow: Outflow::new(granted),
            strip: None,
            taken: Taken::default(),
            gathered: Vec::new(),
            held: None,
            quick: 0,
            phase: Phase::Taken,
        }
    }

    /// Whether the next item may be made: there is room for one, and none waits.
    pub(super) fn has_room(&self) -> bool {
        self.held.is_none() && self.flow.may_send(1)
    }

    /// Whether so much is on its way that a window is sure to come.
    pub(super) fn is_under_way(&self) -> bool {
        !self.flow.is_quiet()
    }

    /// Takes an item; false if it waits for room. Messages that are complete are posted.
    ///
    /// `raw`: its body is bytes in an encoding of its own, and goes alone, however short.
    pub(super) fn put(&mut self, item: Payload, raw: bool, post: &mut Post<'_>) -> bool {
        let bytes = item.bytes() as u64;
        if !self.flow.may_send(bytes) {
            self.held = Some(item);
            return false;
        }
        let alone = raw || !item.blobs.is_empty() || item.body.len() >= ALONE;
        if alone {
            self.flush(post);
        }
        let goes = self.flow.gather(bytes) || alone;
        if goes && self.flow.gathered() == 1 {
            self.send(item, post);
            return true;
        }
        if self.gathered.is_empty() {
            self.gathered.reserve(GATHERED);
        }
        self.gathered.extend_from_slice(&item.body);
        if goes {
            self.flush(post);
        }
        true
    }

    /// Gathers what the worker has put since. Messages that are complete are posted.
    pub(super) fn absorb(&mut self, post: &mut Post<'_>) {
        let Some(strip) = &self.strip else {
            return;
        };
        let before = self.gathered.len();
        let items = strip.take(&mut self.taken, &mut self.gathered);
        let bytes = (self.gathered.len() - before) as u64;
        if items > 0 && self.flow.gather_run(items, bytes, self.is_brisk()) {
            self.flush(post);
        }
    }

    fn is_brisk(&self) -> bool {
        self.quick >= BRISK
    }

    /// Its worker was quick, or was not, to make what it has made last.
    pub(super) fn was(&mut self, quick: bool) {
        self.quick = if quick {
            self.quick.saturating_add(1)
        } else {
            0
        };
    }

    /// How many items of how many bytes its worker may put on the strip, if any: it begins anew.
    pub(super) fn begin_run(&mut self) -> Option<(Arc<Strip>, Flow)> {
        let room = self.flow.run(self.is_brisk());
        if room.items == 0 || self.held.is_some() {
            return None;
        }
        let strip = self.strip.get_or_insert_with(|| Arc::new(Strip::new()));
        strip.begin(&mut self.taken);
        Some((strip.clone(), room))
    }

    /// Puts the item that waits, if there is room now; false if it waits on.
    pub(super) fn put_held(&mut self, raw: bool, post: &mut Post<'_>) -> bool {
        match self.held.take() {
            Some(item) => self.put(item, raw, post),
            None => true,
        }
    }

    /// What has gathered goes.
    pub(super) fn flush(&mut self, post: &mut Post<'_>) {
        if self.flow.gathered() == 0 {
            return;
        }
        // A few go into the thread's chunk, so that their room serves the next ones.
        let body = if self.gathered.len() <= GATHERED {
            let mut few = Writer::new(self.gathered.len());
            few.put(&self.gathered);
            self.gathered.clear();
            few.finish()
        } else {
            std::mem::take(&mut self.gathered).into()
        };
        let items = Payload {
            body,
            blobs: Blobs::new(),
        };
        self.send(items, post);
    }

    fn send(&mut self, items: Payload, post: &mut Post<'_>) {
        if let Some(batch) = self.flow.flush() {
            post.items(batch, items);
        }
    }

    /// The caller lets more be sent. Whether that is news: what has gathered goes then.
    pub(super) fn granted(&mut self, to: Flow) -> bool {
        let news = self.flow.granted(to);
        if news && let Some(strip) = &self.strip {
            strip.tell();
        }
        news
    }

    /// Whether its iterator, which is parked, may go on.
    pub(super) fn may_go_on(&self) -> bool {
        match &self.held {
            Some(item) => self.flow.may_send(item.bytes() as u64),
            None => self.flow.may_send(1),
        }
    }

    // The iterator.

    /// Nobody runs it until there is room.
    pub(super) fn park(&mut self, producer: Producer, now: Instant) {
        self.phase = Phase::Parked(producer, now);
    }

    /// It goes into its pool's queue.
    pub(super) fn queue(&mut self, producer: Producer) {
        self.phase = Phase::Queued(producer);
    }

    /// If it is parked, it is to be queued: says whether it was.
    pub(super) fn unpark(&mut self) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Taken) {
            Phase::Parked(producer, _) => {
                self.phase = Phase::Queued(producer);
                true
            }
            other => {
                self.phase = other;
                false
            }
        }
    }

    /// Takes the iterator, if it is queued.
    pub(super) fn take(&mut self) -> Option<Producer> {
        match std::mem::replace(&mut self.phase, Phase::Taken) {
            Phase::Queued(producer) => Some(producer),
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// Takes the iterator, wherever it lies.
    pub(super) fn take_away(&mut self) -> Option<Producer> {
        match std::mem::replace(&mut self.phase, Phase::Taken) {
            Phase::Queued(producer) | Phase::Parked(producer, _) => Some(producer),
            Phase::Taken => None,
        }
    }

    pub(super) fn is_parked(&self) -> bool {
        matches!(self.phase, Phase::Parked(..))
    }

    pub(super) fn parked_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Parked(_, at) => Some(at),
            Phase::Taken | Phase::Queued(_) => None,
        }
    }
}
