//! What a call that streams has beside its slot: items that have come, and items that are to go.
//!
//! ```text
//! thread of the caller                        whoever leads the engine
//! next: pull ── taker.wait (leads) ◄── wake ── items: Inflow
//! send: put ─── giver.wait (leads) ◄── wake ── window: Outflow ── or, if nobody waits, `true`:
//!   └─ next_out ─► message                                        the core sends what has gathered
//! ```
//!
//! # Invariants
//!
//! 1. Messages of items go out one after the other, whichever threads send them. (held by
//!    `Giving::writing`)
//! 2. Items that came before the end are given before it. (test
//!    `what_came_before_the_end_is_given_before_it`)
//! 3. User's code runs without the lock: a batch is taken out while an item is put into it. (held by
//!    [`Conduit::lend`])

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use brokerless_patterns::tap::Gate;
use brokerless_patterns::{Frame, Message};
use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::batch::{Batch, Item};
use super::counts::Counts;
use super::line::Awaited;
use crate::Status;
use crate::client::Answer;
use crate::client::node::Link;
use crate::machine::{Flow, Inflow, Outflow, Violation};
use crate::wire::{self, Encoder, Encoding, Flags, ItemsHead, Payload};

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
    /// Tells the node what it may send.
    pub(super) fn tell(&self, window: Flow) {
        // A connection that has gone needs not be told.
        let frame = wire::encode_window(self.id, window);
        self.link.send(Message::single(frame), false);
    }
}

#[derive(Debug)]
struct Taking {
    flow: Inflow<Batch>,
    /// A thread waits for items, or is about to.
    waits: bool,
    /// Where items go, if they go over a channel.
    channel: Option<Sender<Item>>,
}

#[derive(Debug)]
struct Giving {
    flow: Outflow,
    /// Items that have gathered, unless their sender is at it.
    batch: Option<Gathered>,
    /// The sender has taken the batch out, to put an item into it.
    lent: bool,
    /// An item that there is no room for yet.
    held: Option<Payload>,
    /// Another thread sends.
    writing: bool,
    /// What has gathered is to go now.
    flush: bool,
    /// A thread waits for room, or is about to.
    waits: bool,
    /// Windows that have come.
    windows: u64,
    last: Last,
}

/// Items that go in one message.
#[derive(Debug)]
enum Gathered {
    /// Others may be put behind them.
    Open(Encoder),
    Closed(Payload),
}

/// The end of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    NotYet,
    /// It is to be told once all is sent.
    Due,
    Told,
}

/// Something to send, outside of the lock.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) way: Way,
    pub(super) message: Message,
}

/// What a look for items found.
#[derive(Debug)]
pub(super) enum Pulled {
    /// The next message.
    Items(Batch),
    /// None, and none follow.
    Over,
    /// None yet.
    Nothing,
}

/// Whether items can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Yes,
    /// The method takes no more.
    Stopped,
    /// The call has ended.
    Ended,
    /// The sender has said that no more follow.
    Finished,
}

impl Conduit {
    /// A conduit of this encoding: `window` bounds what is taken, `gives` says whether items are
    /// sent.
    pub(super) fn new(
        window: Option<Flow>,
        gives: bool,
        encoding: Encoding,
        counts: &Arc<Counts>,
    ) -> Conduit {
        let mut first_window = None;
        let taking = window.map(|window| {
            let mut flow = Inflow::new(window);
            first_window = Some(flow.first_window());
            Taking {
                flow,
                waits: false,
                channel: None,
            }
        });
        let giving = gives.then(|| Giving {
            flow: Outflow::new(Flow::default()),
            batch: None,
            lent: false,
            held: None,
            writing: false,
            flush: false,
            waits: false,
            windows: 0,
            last: Last::NotYet,
        });
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

    /// Items have come.
    pub(super) fn arrived(
        self: &Arc<Self>,
        head: &ItemsHead,
        payload: Payload,
    ) -> Result<(), Violation> {
        let items = head.count.into();
        self.counts.items_in.fetch_add(items, Ordering::Relaxed);
        let (wake, channel) = {
            let mut inner = self.inner.lock();
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

    /// The node lets more be sent. Whether there is something to send, and nobody else will.
    pub(super) fn granted(&self, window: Flow) -> bool {
        let mut inner = self.inner.lock();
        let ended = inner.end.is_some();
        let Some(giving) = &mut inner.giving else {
            return false;
        };
        if ended || !giving.flow.granted(window) {
            return false;
        }
        giving.windows += 1;
        giving.flush = true;
        if std::mem::take(&mut giving.waits) {
            drop(inner);
            self.giver.wake(1);
            return false;
        }
        !giving.lent && !giving.writing && giving.has_more()
    }

    /// The node wants no more items.
    pub(super) fn stopped(&self) {
        let mut inner = self.inner.lock();
        let Some(giving) = &mut inner.giving else {
            return;
        };
        giving.drop_all(&self.counts);
        giving.flow.stop();
        if std::mem::take(&mut giving.waits) {
            drop(inner);
            self.giver.wake(1);
        }
    }

    /// The call has ended. The first end holds; false if there is one already.
    pub(in crate::client) fn end(&self, mut answer: Answer) -> bool {
        let (taker, giver, channel) = {
            let mut inner = self.inner.lock();
            if inner.end.is_some() {
                return false;
            }
            let (mut taker, mut giver, mut channel) = (false, false, None);
            if let Some(taking) = &mut inner.taking {
                if let (false, Err(violation)) = (answer.is_error(), taking.flow.close()) {
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

    /// Whether those who see every call are to be told of the end now; true once.
    pub(super) fn tell_end(&self) -> bool {
        !std::mem::replace(&mut self.inner.lock().told, true)
    }

    // Taking.

    /// The next message, after so many items with so many bytes have been taken. With it, what the
    /// node is to be told.
    pub(super) fn pull(&self, items: u32, bytes: u64) -> (Pulled, Option<(Way, Flow)>) {
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
        let window = taking.flow.due_window(next.is_none());
        let due = window.and_then(|window| Some((inner.way.clone()?, window)));
        (next.map_or(Pulled::Nothing, Pulled::Items), due)
    }

    /// The next message; if there is none, this thread is about to wait for it.
    pub(super) fn pull_or_wait(&self) -> Option<Pulled> {
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
    pub(super) fn took(&self, items: u32, bytes: u64, now: bool) -> Option<(Way, Flow)> {
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
    pub(super) fn note(&self, items: u32, bytes: u64) {
        if let Some(taking) = &mut self.inner.lock().taking {
            taking.flow.took(items, bytes);
        }
    }

    /// Items go over this channel from now on.
    pub(super) fn divert(self: &Arc<Self>, channel: Sender<Item>) {
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
    pub(super) fn untake(&self, items: u32, bytes: u64) {
        let mut inner = self.inner.lock();
        let Some(taking) = &mut inner.taking else {
            return;
        };
        taking.channel = None;
        taking.flow.took(items, bytes);
        let left = taking.flow.kept().items;
        self.counts.untaken.fetch_add(left, Ordering::Relaxed);
    }

    // Giving.

    pub(super) fn wanted(&self) -> Wanted {
        let inner = self.inner.lock();
        inner.wanted()
    }

    /// Windows that have come so far.
    pub(super) fn windows(&self) -> u64 {
        let inner = self.inner.lock();
        inner.giving.as_ref().map_or(0, |giving| giving.windows)
    }

    /// Whether the next item would have to wait for room.
    pub(super) fn is_full(&self) -> bool {
        let inner = self.inner.lock();
        let full = |giving: &Giving| giving.held.is_some() || !giving.flow.may_send(1);
        inner.giving.as_ref().is_some_and(full)
    }

    /// A batch, to put an item into. It has to be given back by [`put`](Self::put) or
    /// [`unlend`](Self::unlend).
    pub(super) fn lend(&self) -> Result<Encoder, Wanted> {
        let mut inner = self.inner.lock();
        let wanted = inner.wanted();
        let Some(giving) = inner.giving.as_mut().filter(|_| wanted == Wanted::Yes) else {
            return Err(wanted);
        };
        giving.lent = true;
        match giving.batch.take() {
            // Blobs are counted within their message, so the next one begins anew.
            Some(Gathered::Open(batch)) if batch.blobs() == 0 => return Ok(batch),
            Some(Gathered::Open(batch)) => giving.batch = Some(Gathered::Closed(batch.finish())),
            closed => giving.batch = closed,
        }
        Ok(Encoder::answer())
    }

    /// Gives the batch back as it was; and what is to be sent now.
    pub(super) fn unlend(&self, batch: Encoder) -> Option<Out> {
        let mut inner = self.inner.lock();
        if let Some(giving) = &mut inner.giving {
            giving.lent = false;
            if giving.batch.is_none() && giving.flow.gathered() > 0 {
                giving.batch = Some(Gathered::Open(batch));
            }
        }
        inner.next_out(&self.counts)
    }

    /// Gives the batch back, with an item put into it behind the first so many bytes, or `raw`
    /// instead; and what is to be sent now.
    ///
    /// # Errors
    ///
    /// If the node takes no item of that size. The batch is as it was.
    pub(super) fn put(
        &self,
        batch: Encoder,
        before: usize,
        raw: Option<Frame>,
    ) -> Result<Option<Out>, Status> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let wanted = inner.wanted();
        let Some(giving) = &mut inner.giving else {
            return Ok(None);
        };
        giving.lent = false;
        if wanted != Wanted::Yes {
            self.counts.unsent.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let link = inner.way.as_ref().map(|way| &way.link);
        let most = link.map_or(u64::MAX, |link| link.blob_bytes_max);
        let bytes = match &raw {
            Some(raw) => raw.len(),
            None => batch.bytes() - before,
        } as u64;
        let fits = bytes.saturating_add(before as u64) <= most;
        if fits && raw.is_none() && giving.batch.is_none() && giving.flow.may_send(bytes) {
            let alone = batch.blobs() > 0;
            giving.batch = Some(Gathered::Open(batch));
            giving.flush |= giving.flow.gather(bytes) | alone;
            return Ok(inner.next_out(&self.counts));
        }
        let mut item = match raw {
            Some(raw) => Payload::raw(raw),
            None => batch.finish(),
        };
        if before > 0 {
            // An item without blobs is before, or none.
            giving.batch = Some(Gathered::Closed(Payload::raw(item.body.slice(..before))));
            giving.flush = true;
            item.body = item.body.slice(before..);
        }
        match link.and_then(|link| link.refuses(&item)) {
            Some(status) => Err(status),
            None => {
                giving.held = Some(item);
                Ok(inner.next_out(&self.counts))
            }
        }
    }

    /// Whether an item waits for room.
    pub(super) fn holds(&self) -> bool {
        let inner = self.inner.lock();
        inner
            .giving
            .as_ref()
            .is_some_and(|giving| giving.held.is_some())
    }

    /// Something was sent: what is to be sent next. Wakes who waits for that.
    pub(super) fn sent(&self) -> Option<Out> {
        let mut inner = self.inner.lock();
        let giving = inner.giving.as_mut()?;
        giving.writing = false;
        let waits = std::mem::take(&mut giving.waits);
        let out = inner.next_out(&self.counts);
        drop(inner);
        if waits {
            self.giver.wake(1);
        }
        out
    }

    /// What is to be sent now, unless another thread is at it.
    pub(super) fn next_out(&self) -> Option<Out> {
        self.inner.lock().next_out(&self.counts)
    }

    /// What is to be sent, or how the sender stands: if it has to wait for room, it is about to.
    pub(super) fn out_or_wait(&self) -> Option<Result<Out, Wanted>> {
        let mut inner = self.inner.lock();
        if let Some(out) = inner.next_out(&self.counts) {
            return Some(Ok(out));
        }
        let wanted = inner.wanted();
        let giving = inner.giving.as_mut()?;
        if wanted == Wanted::Yes && giving.held.is_some() {
            giving.waits = true;
            return None;
        }
        Some(Err(wanted))
    }

    /// What is to be sent, or the end, or that more windows have come than these; if there is
    /// none of that, this thread is about to wait for it.
    pub(super) fn out_or_end(&self, windows: u64) -> Option<Option<Out>> {
        let mut inner = self.inner.lock();
        if inner.end.is_some() {
            return Some(None);
        }
        if let Some(out) = inner.next_out(&self.counts) {
            return Some(Some(out));
        }
        let Some(giving) = &mut inner.giving else {
            return Some(None);
        };
        if giving.windows != windows {
            return Some(None);
        }
        giving.waits = true;
        None
    }

    /// No items follow; and what is to be sent now.
    pub(super) fn finish(&self) -> Option<Out> {
        let mut inner = self.inner.lock();
        let giving = inner.giving.as_mut()?;
        if giving.last == Last::NotYet {
            giving.last = Last::Due;
        }
        giving.flush = true;
        inner.next_out(&self.counts)
    }

    /// Items that were given to be sent.
    pub(super) fn given(&self) -> u64 {
        let inner = self.inner.lock();
        let given = |giving: &Giving| giving.flow.items() + u64::from(giving.held.is_some());
        inner.giving.as_ref().map_or(0, given)
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

impl Inner {
    fn wanted(&self) -> Wanted {
        match &self.giving {
            _ if self.end.is_some() => Wanted::Ended,
            None => Wanted::Finished,
            Some(giving) if giving.flow.is_stopped() => Wanted::Stopped,
            Some(giving) if giving.last != Last::NotYet => Wanted::Finished,
            Some(_) => Wanted::Yes,
        }
    }

    /// What is to be sent now. Whoever gets it sends it, and then asks [`Conduit::sent`].
    fn next_out(&mut self, counts: &Counts) -> Option<Out> {
        let way = self.way.as_ref()?;
        let giving = self.giving.as_mut()?;
        if giving.lent || giving.writing || self.end.is_some() || giving.flow.is_stopped() {
            return None;
        }
        let mut payload = Payload::default();
        let (mut first, mut count) = (giving.flow.items(), 0);
        if giving.flush && giving.flow.gathered() > 0 {
            let gathered = giving.flow.flush()?;
            payload = match giving.batch.take()? {
                Gathered::Open(batch) => batch.finish(),
                Gathered::Closed(payload) => payload,
            };
            (first, count) = (gathered.first, gathered.count);
        } else if let Some(item) = &giving.held {
            let bytes = item.bytes() as u64;
            if !giving.flow.may_send(bytes) {
                return None;
            }
            payload = giving.held.take()?;
            (first, count) = (giving.flow.sent(1, bytes), 1);
        }
        giving.flush = giving.last != Last::NotYet;
        let is_last = giving.last == Last::Due
            && giving.held.is_none()
            && giving.flow.gathered() == 0
            // Not before the call has begun: until then it may go elsewhere.
            && giving.windows > 0;
        if count == 0 && !is_last {
            return None;
        }
        if is_last {
            giving.last = Last::Told;
        }
        let taking = self.taking.as_mut();
        let window = taking.and_then(|taking| taking.flow.due_window(true));
        let head = ItemsHead {
            id: way.id,
            first,
            count,
            last: is_last,
            window,
        };
        giving.writing = true;
        counts.items_out.fetch_add(count.into(), Ordering::Relaxed);
        let envelope = wire::encode_items(&head);
        let message = match count {
            0 => Message::single(envelope),
            _ => payload.into_message(envelope),
        };
        Some(Out {
            way: way.clone(),
            message,
        })
    }
}

impl Giving {
    fn has_more(&self) -> bool {
        self.flow.gathered() > 0 || self.held.is_some() || self.last == Last::Due
    }

    fn drop_all(&mut self, counts: &Counts) {
        let unsent = u64::from(self.flow.gathered()) + u64::from(self.held.is_some());
        if unsent > 0 {
            counts.unsent.fetch_add(unsent, Ordering::Relaxed);
        }
        self.flow.stop();
        self.batch = None;
        self.held = None;
    }
}

impl Drop for Conduit {
    fn drop(&mut self) {
        if self.inner.get_mut().end.is_none() {
            self.counts.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Puts an item into a channel, from a thread that must not send.
fn give(channel: &Sender<Item>, item: Item) {
    if let Err(unsent) = channel.send(item) {
        unsent.0.forget();
    }
}
