//! Items that are to go, until they are sent.

use std::sync::atomic::Ordering;

use brokerless_patterns::{Frame, Message};

use super::{Conduit, Inner, Way};
use crate::Status;
use crate::client::stream::counts::Counts;
use crate::machine::{Flow, Outflow};
use crate::wire::{self, Encoder, ItemsHead, Payload};

/// The side of a call that gives items.
#[derive(Debug)]
pub(super) struct Giving {
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
    pub(super) waits: bool,
    /// Windows that have come.
    windows: u64,
    last: Last,
}

/// Items that go in one message.
#[derive(Debug)]
pub(super) enum Gathered {
    /// Others may be put behind them.
    Open(Encoder),
    Closed(Payload),
}

/// The end of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    NotYet,
    /// It is to be told once all is sent.
    Due,
    Told,
}

impl Giving {
    pub(super) fn new() -> Giving {
        Giving {
            flow: Outflow::new(Flow::default()),
            batch: None,
            lent: false,
            held: None,
            writing: false,
            flush: false,
            waits: false,
            windows: 0,
            last: Last::NotYet,
        }
    }
}

/// Something to send, outside of the lock.
#[derive(Debug)]
pub(in crate::client::stream) struct Out {
    pub(in crate::client::stream) way: Way,
    pub(in crate::client::stream) message: Message,
}

/// What has become of an item that was put into a batch.
#[derive(Debug)]
pub(in crate::client::stream) struct Put {
    pub(in crate::client::stream) out: Option<Out>,
    /// It may have to wait for room, or it was not wanted any more.
    pub(in crate::client::stream) waits: bool,
}

impl Put {
    fn of(out: Option<Out>, waits: bool) -> Put {
        Put { out, waits }
    }
}

/// Whether items can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::client::stream) enum Wanted {
    Yes,
    /// The method takes no more.
    Stopped,
    /// The call has ended.
    Ended,
    /// The sender has said that no more follow.
    Finished,
}

impl Conduit {
    /// The node lets more be sent. Whether there is something to send, and nobody else will.
    pub(in crate::client::stream) fn granted(&self, window: Flow) -> bool {
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
    pub(in crate::client::stream) fn stopped(&self) {
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

    pub(in crate::client::stream) fn wanted(&self) -> Wanted {
        let inner = self.inner.lock();
        inner.wanted()
    }

    /// Windows that have come so far.
    pub(in crate::client::stream) fn windows(&self) -> u64 {
        let inner = self.inner.lock();
        inner.giving.as_ref().map_or(0, |giving| giving.windows)
    }

    /// Whether the next item would have to wait for room.
    pub(in crate::client::stream) fn is_full(&self) -> bool {
        let inner = self.inner.lock();
        let full = |giving: &Giving| giving.held.is_some() || !giving.flow.may_send(1);
        inner.giving.as_ref().is_some_and(full)
    }

    /// A batch, to put an item into. It has to be given back by [`put`](Self::put) or
    /// [`unlend`](Self::unlend).
    pub(in crate::client::stream) fn lend(&self) -> Result<Encoder, Wanted> {
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
    pub(in crate::client::stream) fn unlend(&self, batch: Encoder) -> Option<Out> {
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
    pub(in crate::client::stream) fn put(
        &self,
        batch: Encoder,
        before: usize,
        raw: Option<Frame>,
    ) -> Result<Put, Status> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let wanted = inner.wanted();
        let Some(giving) = &mut inner.giving else {
            return Ok(Put::of(None, true));
        };
        giving.lent = false;
        if wanted != Wanted::Yes {
            self.counts.unsent.fetch_add(1, Ordering::Relaxed);
            return Ok(Put::of(None, true));
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
            let flush = giving.flush;
            let out = flush.then(|| inner.next_out(&self.counts)).flatten();
            return Ok(Put::of(out, false));
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
                Ok(Put::of(inner.next_out(&self.counts), true))
            }
        }
    }

    /// Something was sent: what is to be sent next. Wakes who waits for that.
    pub(in crate::client::stream) fn sent(&self) -> Option<Out> {
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
    pub(in crate::client::stream) fn next_out(&self) -> Option<Out> {
        self.inner.lock().next_out(&self.counts)
    }

    /// What is to be sent, or how the sender stands: if it has to wait for room, it is about to.
    pub(in crate::client::stream) fn out_or_wait(&self) -> Option<Result<Out, Wanted>> {
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
    pub(in crate::client::stream) fn out_or_end(&self, windows: u64) -> Option<Option<Out>> {
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
    pub(in crate::client::stream) fn finish(&self) -> Option<Out> {
        let mut inner = self.inner.lock();
        let giving = inner.giving.as_mut()?;
        if giving.last == Last::NotYet {
            giving.last = Last::Due;
        }
        giving.flush = true;
        inner.next_out(&self.counts)
    }

    /// Items that were given to be sent.
    pub(in crate::client::stream) fn given(&self) -> u64 {
        let inner = self.inner.lock();
        let given = |giving: &Giving| giving.flow.items() + u64::from(giving.held.is_some());
        inner.giving.as_ref().map_or(0, given)
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

    pub(super) fn drop_all(&mut self, counts: &Counts) {
        let unsent = u64::from(self.flow.gathered()) + u64::from(self.held.is_some());
        if unsent > 0 {
            counts.unsent.fetch_add(unsent, Ordering::Relaxed);
        }
        self.flow.stop();
        self.batch = None;
        self.held = None;
    }
}
