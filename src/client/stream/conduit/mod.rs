//! What a call that streams has beside its slot: items that have come, and items that are to go.
//!
//! ```text
//! thread of the caller                        whoever leads the engine
//! next: pull ── taker.wait (leads) ◄── wake ── items: Inflow
//! send: put ─── giver.wait (leads) ◄── wake ── window: Outflow ── or, if nobody waits, `true`:
//!   └─ next_out ─► message                                        the core sends what has gathered
//! ```
//!
//! | file | what |
//! |---|---|
//! | `taking` | items that have come, until they are taken |
//! | `giving` | items that are to go, until they are sent |
//!
//! # Invariants
//!
//! 1. Messages of items go out one after the other, whichever threads send them. (held by
//!    `Giving::writing`)
//! 2. Items that came before the end are given before it. (test
//!    `what_came_before_the_end_is_given_before_it`)
//! 3. User's code runs without the lock: a batch is taken out while an item is put into it. (held by
//!    [`Conduit::lend`])
//! 4. A window that found no room in the socket is told once there is some, whoever takes items. (test
//!    `a_window_that_found_no_room_is_told_later`)

mod giving;
mod taking;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use brokerless_patterns::tap::Gate;
use brokerless_patterns::{Message, SendRefusal};
use parking_lot::Mutex;

use self::giving::Giving;
pub(super) use self::giving::{Out, Wanted};
pub(super) use self::taking::Pulled;
use self::taking::{Taking, give};
use super::batch::Item;
use super::counts::Counts;
use super::line::Awaited;
use crate::client::Answer;
use crate::client::core::Core;
use crate::client::node::Link;
use crate::machine::{Flow, Inflow};
use crate::wire::{self, Encoding, Flags};

/// Both directions of one call.
#[derive(Debug)]
pub(in crate::client) struct Conduit {
    inner: Mutex<Inner>,
    /// Who waits for items, or for the end.
    pub(super) taker: Gate,
    /// Who waits for room, or for the end.
    pub(super) giver: Gate,
    /// What the node may send at first, if it is to send.
    pub(in crate::client) first_window: Option<Flow>,
    pub(super) gives: bool,
    encoding: Encoding,
    begun: AtomicBool,
    counts: Arc<Counts>,
    core: Weak<Core>,
    /// The clerk has it among those that owe their node a window.
    owing: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    /// Where the call runs, once anything has come from there.
    way: Option<Way>,
    taking: Option<Taking>,
    giving: Option<Giving>,
    end: Option<Answer>,
    /// Those who see every call have been told of its end, or are about to be.
    told: bool,
}

/// The connection that a stream goes over, and its number there.
#[derive(Debug, Clone)]
pub(in crate::client) struct Way {
    pub(in crate::client) link: Arc<Link>,
    pub(in crate::client) id: u64,
    /// The node's endpoint.
    pub(in crate::client) node: Arc<str>,
}

impl Way {
    /// Tells the node what it may send; false if there is no room for that.
    fn tell(&self, window: Flow) -> bool {
        let frame = wire::encode_window(self.id, window);
        // Where the connection has gone the call ends by itself.
        self.link.try_send(Message::single(frame), false) != Err(SendRefusal::Full)
    }
}

impl Conduit {
    /// A conduit of this encoding: `window` bounds what is taken, `gives` says whether items are
    /// sent.
    pub(super) fn new(
        window: Option<Flow>,
        gives: bool,
        encoding: Encoding,
        core: &Core,
    ) -> Conduit {
        let counts = &core.streams;
        let mut first_window = None;
        let taking = window.map(|window| {
            let mut flow = Inflow::new(window);
            first_window = Some(flow.first_window());
            Taking::new(flow)
        });
        let giving = gives.then(Giving::new);
        counts.open.fetch_add(1, Ordering::Relaxed);
        counts.opened.fetch_add(1, Ordering::Relaxed);
        Conduit {
            inner: Mutex::new(Inner {
                way: None,
                taking,
                giving,
                end: None,
                told: false,
            }),
            taker: Gate::new(),
            giver: Gate::new(),
            first_window,
            gives,
            encoding,
            begun: AtomicBool::new(false),
            counts: counts.clone(),
            core: core.me.clone(),
            owing: AtomicBool::new(false),
        }
    }

    /// The flags of its call.
    pub(in crate::client) fn flags(&self, mut flags: Flags) -> Flags {
        if self.gives {
            flags = flags.with(Flags::ITEMS_IN);
        }
        if self.first_window.is_some() {
            flags = flags.with(Flags::ITEMS_OUT);
        }
        flags
    }

    /// Whether the method has begun: anything has come from it.
    pub(in crate::client) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// The method has begun, there.
    pub(super) fn begin(&self, way: Way) {
        self.inner.lock().way.get_or_insert(way);
        self.begun.store(true, Ordering::Release);
    }

    // What the node sends. Locks of the engine are held.

    /// The call has ended. The first end holds; false if there is one already.
    pub(in crate::client) fn end(&self, mut answer: Answer) -> bool {
        let (taker, giver, channel) = {
            let mut inner = self.inner.lock();
            if inner.end.is_some() {
                return false;
            }
            let (mut taker, mut giver, mut channel) = (false, false, None);
            if let Some(taking) = &mut inner.taking {
                if !answer.is_error()
                    && let Err(violation) = taking.flow.close()
                {
                    self.counts.violations.fetch_add(1, Ordering::Relaxed);
                    answer = answer.broken(&violation);
                }
                taker = std::mem::take(&mut taking.waits);
                channel = taking.channel.take();
            }
            if let Some(giving) = &mut inner.giving {
                giving.drop_all(&self.counts);
                giver = std::mem::take(&mut giving.waits);
            }
            inner.end = Some(answer);
            self.counts.open.fetch_sub(1, Ordering::Relaxed);
            (taker, giver, channel)
        };
        if taker {
            self.taker.wake(1);
        }
        if giver {
            self.giver.wake(1);
        }
        if let Some(channel) = channel {
            give(&channel, Item::end());
        }
        true
    }

    /// The end, if it is there.
    pub(super) fn ended(&self) -> Option<Answer> {
        self.inner.lock().end.clone()
    }

    /// Tells the node what it may send. If that cannot be now, it is owed that: it is tried again
    /// soon, as whoever took the items may come back for the next ones alone.
    pub(super) fn tell(self: &Arc<Self>, way: &Way, window: Flow) {
        if way.tell(window) {
            return;
        }
        if let Some(taking) = &mut self.inner.lock().taking {
            taking.flow.unheard();
        }
        if let Some(core) = self.core.upgrade()
            && !self.owing.swap(true, Ordering::SeqCst)
        {
            core.clerk.owe(&core.me, self.clone());
        }
    }

    /// Tells the node what it is owed, if it is and the call has not ended.
    pub(in crate::client) fn tell_owed(self: &Arc<Self>) {
        self.owing.store(false, Ordering::SeqCst);
        if self.owes()
            && let Some((way, window)) = self.idle()
        {
            self.tell(&way, window);
        }
    }

    /// Whether those who see every call are to be told of the end now; true once.
    pub(super) fn tell_end(&self) -> bool {
        !std::mem::replace(&mut self.inner.lock().told, true)
    }

    /// Where the call runs, once anything has come from there.
    pub(super) fn way(&self) -> Option<Way> {
        self.inner.lock().way.clone()
    }

    /// The end, or that none is there yet: then this thread is about to wait for it.
    pub(super) fn end_or_wait(&self, awaited: Awaited) -> Option<()> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if inner.end.is_some() {
            return Some(());
        }
        match (awaited, &mut inner.taking, &mut inner.giving) {
            (Awaited::Item, Some(taking), _) => taking.waits = true,
            (Awaited::Room | Awaited::Answer, _, Some(giving)) => giving.waits = true,
            _ => {}
        }
        None
    }
}

impl Drop for Conduit {
    fn drop(&mut self) {
        if self.inner.get_mut().end.is_none() {
            self.counts.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::client::Client;
    use crate::client::testing::node;
    use crate::wire::{Envelope, ItemsHead, Payload};

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_window_that_found_no_room_is_told_later() {
        let (router, link) = node("inproc://conduit-without-room", 1);
        let client = Client::connect("inproc://conduit-nobody").expect("an endpoint");
        let window = Some(Flow::new(1, 100));
        let conduit = Conduit::new(window, false, Encoding::MessagePack, client.core());
        let conduit = Arc::new(conduit);
        let node = Arc::from("by hand");
        conduit.begin(Way {
            link: link.clone(),
            id: 7,
            node,
        });
        // Its items go to a channel, and the one that it was let send has come.
        let (sender, items) = crossbeam_channel::unbounded();
        conduit.divert(sender);
        let body = Payload::raw(vec![1]);
        conduit.arrived(&ItemsHead::new(7, 0, 1), body).unwrap();
        let item = items.try_recv().expect("it has come");
        while link.try_send(Message::single("a call"), false).is_ok() {}
        drop(item);
        let told = loop {
            let (_, message) = router.recv_timeout(PATIENCE).expect("a window");
            if let Ok(Envelope::Window { window, .. }) = Envelope::decode(message.first()) {
                break window.items;
            }
        };
        assert_eq!(told, 2);
        conduit.end(Answer::ended(crate::RpcError::new(
            crate::Status::cancelled("the test is over"),
            crate::Ran::Maybe,
        )));
    }
}
