//! Items that have come, until they are taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;

use super::{Conduit, Way};
use crate::client::stream::batch::{Batch, Item};
use crate::machine::{Flow, Inflow, Violation};
use crate::wire::{ItemsHead, Payload};

/// The side of a call that takes items.
#[derive(Debug)]
pub(super) struct Taking {
    pub(super) flow: Inflow<Batch>,
    /// A thread waits for items, or is about to.
    pub(super) waits: bool,
    /// Where items go, if they go over a channel.
    pub(super) channel: Option<Sender<Item>>,
}

impl Taking {
    pub(super) fn new(flow: Inflow<Batch>) -> Taking {
        Taking {
            flow,
            waits: false,
            channel: None,
        }
    }
}

/// What a look for items found.
#[derive(Debug)]
pub(in crate::client::stream) enum Pulled {
    /// The next message.
    Items(Batch),
    /// None, and none follow.
    Over,
    /// None yet.
    Nothing,
}

impl Conduit {
    /// Items have come.
    pub(in crate::client::stream) fn arrived(
        self: &Arc<Self>,
        head: &ItemsHead,
        payload: Payload,
    ) -> Result<(), Violation> {
        let items = head.count.into();
        let (wake, channel) = {
            let mut inner = self.inner.lock();
            if inner.end.is_some() {
                // It has just been given up.
                self.counts.late.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            self.counts.items_in.fetch_add(items, Ordering::Relaxed);
            let Some(taking) = &mut inner.taking else {
                return Err(Violation::Items(items, 0));
            };
            let bytes = payload.bytes() as u64;
            let batch = Batch::new(head, payload, self.encoding);
            let flow = &mut taking.flow;
            flow.arrive(head.first, head.count, bytes, head.last, batch)?;
            let wake = std::mem::take(&mut taking.waits);
            (wake, taking.channel.clone())
        };
        if wake {
            self.taker.wake(1);
        }
        if let Some(channel) = channel {
            self.hand_over(&channel);
        }
        Ok(())
    }

    /// The next message, after so many items with so many bytes have been taken. With it, what the
    /// node is to be told in any case; there may be more to tell before [waiting](Self::idle).
    pub(in crate::client::stream) fn pull(
        &self,
        items: u32,
        bytes: u64,
    ) -> (Pulled, Option<(Way, Flow)>) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let Some(taking) = &mut inner.taking else {
            return (Pulled::Over, None);
        };
        if items > 0 {
            taking.flow.took(items, bytes);
        }
        let next = taking.flow.next();
        if inner.end.is_some() {
            let pulled = next.map_or(Pulled::Over, Pulled::Items);
            return (pulled, None);
        }
        let window = taking.flow.due_window(false);
        let due = window.and_then(|window| Some((inner.way.clone()?, window)));
        (next.map_or(Pulled::Nothing, Pulled::Items), due)
    }

    /// Whether the node is to be told something before this thread waits.
    pub(in crate::client::stream) fn owes(&self) -> bool {
        let inner = self.inner.lock();
        let taking = inner.taking.as_ref();
        inner.end.is_none() && taking.is_some_and(|taking| taking.flow.owes_window())
    }

    /// Whether the node can do without it for a while.
    pub(in crate::client::stream) fn owes_little(&self) -> bool {
        let inner = self.inner.lock();
        let taking = inner.taking.as_ref();
        taking.is_some_and(|taking| taking.flow.owes_little())
    }

    /// What the node is to be told as this thread is about to wait.
    pub(in crate::client::stream) fn idle(&self) -> Option<(Way, Flow)> {
        self.took(0, 0, true)
    }

    /// The next message; if there is none, this thread is about to wait for it.
    pub(in crate::client::stream) fn pull_or_wait(&self) -> Option<Pulled> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let Some(taking) = &mut inner.taking else {
            return Some(Pulled::Over);
        };
        if let Some(next) = taking.flow.next() {
            return Some(Pulled::Items(next));
        }
        if inner.end.is_some() {
            return Some(Pulled::Over);
        }
        taking.waits = true;
        None
    }

    /// So many items with so many bytes have been taken; what the node is to be told, at once if
    /// `now`, or if all that came has been taken.
    pub(in crate::client::stream) fn took(
        &self,
        items: u32,
        bytes: u64,
        now: bool,
    ) -> Option<(Way, Flow)> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let taking = inner.taking.as_mut()?;
        taking.flow.took(items, bytes);
        if inner.end.is_some() {
            return None;
        }
        let idle = now || taking.flow.kept().items == 0;
        let window = taking.flow.due_window(idle)?;
        Some((inner.way.clone()?, window))
    }

    /// So many items with so many bytes have been taken.
    pub(in crate::client::stream) fn note(&self, items: u32, bytes: u64) {
        if let Some(taking) = &mut self.inner.lock().taking {
            taking.flow.took(items, bytes);
        }
    }

    /// Items go over this channel from now on.
    pub(in crate::client::stream) fn divert(self: &Arc<Self>, channel: Sender<Item>) {
        loop {
            let next = {
                let mut inner = self.inner.lock();
                let inner = &mut *inner;
                let Some(taking) = &mut inner.taking else {
                    return;
                };
                let next = taking.flow.next();
                if next.is_none() && inner.end.is_none() {
                    taking.channel = Some(channel);
                    return;
                }
                next
            };
            match next {
                Some(batch) => batch.apart(self, |item| give(&channel, item)),
                None => return give(&channel, Item::end()),
            }
        }
    }

    /// Gives what is in order to a channel.
    fn hand_over(self: &Arc<Self>, channel: &Sender<Item>) {
        let next = || self.inner.lock().taking.as_mut()?.flow.next();
        while let Some(batch) = next() {
            batch.apart(self, |item| give(channel, item));
        }
    }

    /// Nobody takes items any more, after these.
    pub(in crate::client::stream) fn untake(&self, items: u32, bytes: u64) {
        let mut inner = self.inner.lock();
        let Some(taking) = &mut inner.taking else {
            return;
        };
        taking.channel = None;
        taking.flow.took(items, bytes);
        let left = taking.flow.kept().items;
        self.counts.untaken.fetch_add(left, Ordering::Relaxed);
    }
}

/// Puts an item into a channel, from a thread that must not send.
pub(super) fn give(channel: &Sender<Item>, item: Item) {
    if let Err(unsent) = channel.send(item) {
        unsent.0.forget();
    }
}
