//! The socket as the engine sees it: who comes in, what arrives, who has gone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::TrySendError;
use parking_lot::Mutex;

use super::publishing::subscription;
use super::{Core, Inbox};
use crate::engine::conn::{Conn, Origin};
use crate::engine::inproc::Allowance;
use crate::engine::owner::{Census, Flow, Owner, Settings, Verdict};
use crate::engine::parking::gather;
use crate::engine::pipe::Pipe;
use crate::event::{CloseReason, Event};
use crate::message::Message;
use crate::socket::peer::Peer;
use crate::socket::tap::SharedTap;
use crate::zmtp::{PeerInfo, SocketType, Violation};

impl Owner for Core {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn local(&self) -> (SocketType, Bytes) {
        (self.kind, self.identity.clone())
    }

    fn census(&self) -> &Mutex<Census> {
        &self.census
    }

    fn admit(&self, conn: &Arc<Conn>, peer: &PeerInfo) -> Verdict {
        if self.is_closed() && matches!(conn.origin, Origin::Accepted { .. }) {
            return Verdict::Refused(CloseReason::Local);
        }
        let kept = match &conn.origin {
            Origin::Dialed(dialer) => dialer.pipe.clone(),
            Origin::Accepted { .. } => None,
        };
        let named = self.kind == SocketType::Router && !peer.identity.is_empty();
        let mut routes = self.routes_mut();
        if named
            && let Some(holder) = routes.names.get(&peer.identity)
            && !holder.is_closed()
        {
            return match holder.conn() {
                Some(conn) => Verdict::Contested(conn),
                // A peer of this process is there as long as its pipe is.
                None => Verdict::Refused(CloseReason::IdentityInUse),
            };
        }
        if self.is_taken(&routes, kept.as_ref()) {
            return Verdict::Refused(CloseReason::PairTaken);
        }
        let pipe = kept.unwrap_or_else(|| {
            let shared = self.engine.shared().clone();
            let pipe = Pipe::stream(self.weak_owner(), &self.settings, shared, false);
            routes.order.push(pipe.clone());
            pipe
        });
        pipe.set_identity(peer.identity.clone().into());
        if named {
            routes.names.insert(peer.identity.clone(), pipe.clone());
        }
        Verdict::Admitted(pipe)
    }

    fn admit_inproc(&self, identity: Bytes) -> Result<Arc<Pipe>, CloseReason> {
        if self.is_closed() {
            return Err(CloseReason::Local);
        }
        let mut routes = self.routes_mut();
        let named = self.kind == SocketType::Router && !identity.is_empty();
        if named
            && routes
                .names
                .get(&identity)
                .is_some_and(|holder| !holder.is_closed())
        {
            return Err(CloseReason::IdentityInUse);
        }
        if self.is_taken(&routes, None) {
            return Err(CloseReason::PairTaken);
        }
        let pipe = Pipe::inproc(self.weak_owner(), &self.settings);
        pipe.set_identity(identity.clone().into());
        routes.order.push(pipe.clone());
        if named {
            routes.names.insert(identity, pipe.clone());
        }
        Ok(pipe)
    }

    #[cfg(feature = "zeromq")]
    fn enrol(&self, pipe: &Arc<Pipe>, identity: Bytes) {
        self.enrol_second(pipe, identity);
    }

    fn deliver(&self, pipe: &Arc<Pipe>, batch: &mut Vec<Message>, came: Instant) -> Flow {
        if let Some(publisher) = self.publisher()
            && !self.is_closed()
        {
            let flow = self.hear(publisher, pipe, batch);
            if batch.is_empty() {
                return flow;
            }
            if flow != Flow::On {
                self.queue(pipe, batch);
                return flow;
            }
        }
        if self.tap_takes
            && let Some(tap) = &self.tap
        {
            self.give(tap, pipe, batch, came);
            return Flow::On;
        }
        self.let_pick(pipe, batch);
        self.queue(pipe, batch)
    }

    fn take(
        &self,
        pipe: &Arc<Pipe>,
        message: Message,
        allowance: Allowance,
    ) -> Result<(), Message> {
        if let Some(publisher) = self.publisher()
            && let Some((begins, topic)) = subscription(&message)
        {
            if let Err(violation) = self.subscribed(publisher, pipe, begins, topic) {
                // The other side is told by its message coming back, and parts.
                self.count_close(&CloseReason::Violation(violation), "inproc");
                return Err(message);
            }
            if publisher.has_news() {
                self.readers.wake(usize::MAX);
            }
            return Ok(());
        }
        if self.tap_takes
            && let Some(tap) = &self.tap
        {
            if self.is_closed() {
                return Err(message);
            }
            {
                let mut inbox = self.inbox.lock();
                inbox.arrived += 1;
                inbox.arrived_bytes += message.bytes() as u64;
                inbox.received += 1;
            }
            tap.take(&Peer::new(pipe.clone()), message);
            return Ok(());
        }
        let message = match &self.tap {
            Some(tap) if tap.wants(&message) && !self.is_closed() => {
                let bytes = message.bytes();
                match tap.pick(&Peer::new(pipe.clone()), message) {
                    Some(message) => message,
                    None => {
                        self.picked(1, bytes);
                        return Ok(());
                    }
                }
            }
            _ => message,
        };
        {
            let mut inbox = self.inbox.lock();
            let bytes = message.bytes();
            let slot = Self::slot_of(&mut inbox, pipe);
            let (queued, queued_bytes) = inbox.queue.load(slot);
            let conflates = allowance.conflates || self.settings.conflate;
            let messages_max = self.settings.recv_messages_max;
            let bytes_max = self.settings.recv_bytes_max;
            let full = !conflates
                && (queued >= messages_max.saturating_add(allowance.messages_max)
                    || (queued > 0
                        && queued_bytes as usize + bytes
                            > bytes_max.saturating_add(allowance.bytes_max)));
            if full || self.is_closed() {
                inbox.queue.set_paused(slot, true);
                return Err(message);
            }
            inbox.arrived += 1;
            inbox.arrived_bytes += bytes as u64;
            if self.kind == SocketType::Push || self.kind == SocketType::Pub {
                inbox.unexpected += 1;
                return Ok(());
            }
            if !self.wants(&message) {
                inbox.filtered += 1;
                return Ok(());
            }
            inbox.put(slot, message, bytes, conflates);
        }
        // The sender's end is locked: nobody may be told of room, whose end may be, too.
        self.arrived(1, false);
        Ok(())
    }

    fn attach(&self, pipe: &Arc<Pipe>, conn: &Arc<Conn>) {
        match self.subscriber() {
            Some(subscriber) => self.attach_subscriber(subscriber, pipe, conn),
            None => {
                pipe.place(conn, Vec::new());
                pipe.flush();
            }
        }
        if let Some(tap) = &self.tap {
            tap.came(&Peer::new(pipe.clone()));
        }
    }

    fn turns_back(&self, pipe: &Arc<Pipe>, reason: &CloseReason, told: bool) {
        // One that is kept waits for the next connection.
        if !pipe.keeps() {
            self.retire(pipe);
        }
        if told && let Some(tap) = &self.tap {
            tap.gone(&Peer::new(pipe.clone()), reason);
        }
    }

    fn joined(&self, pipe: &Arc<Pipe>) {
        if let Some(subscriber) = self.subscriber() {
            self.join_publisher(subscriber, pipe);
        }
        if let Some(tap) = &self.tap {
            tap.came(&Peer::new(pipe.clone()));
        }
    }

    fn room(&self) {
        self.writers.wake(usize::MAX);
    }

    fn settles(&self) -> bool {
        self.tap.is_some()
    }

    fn settle(&self) {
        if let Some(tap) = &self.tap {
            tap.settle();
        }
    }

    fn asked(&self, pipe: &Arc<Pipe>, within: Duration) {
        if let Some(tap) = &self.tap {
            tap.asked(&Peer::new(pipe.clone()), within);
        }
    }

    fn heard(&self, pipe: &Arc<Pipe>) {
        if let Some(tap) = &self.tap {
            tap.heard(&Peer::new(pipe.clone()));
        }
    }

    fn measured(&self, pipe: &Arc<Pipe>, round_trip: Duration) {
        if let Some(tap) = &self.tap {
            tap.measured(&Peer::new(pipe.clone()), round_trip);
        }
    }

    fn gone(&self, pipe: &Arc<Pipe>, reason: &CloseReason) {
        self.gone_from(pipe);
        let keeps = pipe.keeps();
        let counted = pipe.is_stream().then_some(reason);
        if !keeps {
            // Before anybody hears of it: who has heard sends nothing to it any more.
            self.retire_counting(pipe, counted);
        } else if let Some(reason) = counted {
            self.count(reason);
        }
        if let Some(tap) = &self.tap {
            tap.gone(&Peer::new(pipe.clone()), reason);
        }
        // One that is kept waits for the next connection, unless the socket is closing and waits
        // for this.
        if keeps && self.is_closed() {
            self.writers.wake(usize::MAX);
        }
    }

    fn report(&self, event: Event) {
        log::debug!("{} socket: {event:?}", self.kind);
        match &event {
            Event::HandshakeFailed { reason, remote, .. } => self.count_close(reason, remote),
            #[cfg(feature = "zeromq")]
            Event::Disconnected { reason, remote, .. } if self.is_second() => {
                self.count_close(reason, remote);
            }
            // Counted when it went.
            Event::Disconnected { reason, remote, .. } => self.log_close(reason, remote),
            _ => {}
        }
        if let Some(tap) = &self.tap {
            match &event {
                Event::HandshakeFailed { reason, .. } => tap.failed(reason),
                Event::ConnectFailed { error, .. } => tap.failed(error),
                _ => {}
            }
        }
        let mut monitor = self.monitor.lock();
        let Some(sender) = monitor.as_ref() else {
            return;
        };
        match sender.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.events_missed.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => *monitor = None,
        }
    }

    fn pump(&self) -> bool {
        if self.wakes_one && self.channel.get().is_none() {
            // In this order: what comes from now on asks anew.
            self.looked_after.store(false, Ordering::SeqCst);
            let left = self.inbox.lock().queue.len() > 0;
            if left {
                self.looked_after.store(true, Ordering::SeqCst);
                self.readers.wake(1);
            }
            return left;
        }
        self.fill_channel(true)
    }
}

impl Inbox {
    /// Queues a message; where one `conflates`, in the place of the peer's last one.
    fn put(&mut self, slot: u32, message: Message, bytes: usize, conflates: bool) {
        let message = if conflates {
            match self.queue.replace_last(slot, message, bytes) {
                Ok(()) => {
                    self.conflated += 1;
                    return;
                }
                Err(message) => message,
            }
        } else {
            message
        };
        self.queue.push(slot, message, bytes);
    }
}

impl Core {
    /// Gives messages that came in to the tap, and leaves `batch` empty.
    fn give(&self, tap: &SharedTap, pipe: &Arc<Pipe>, batch: &mut Vec<Message>, came: Instant) {
        let count = batch.len() as u64;
        {
            let mut inbox = self.inbox.lock();
            inbox.arrived += count;
            inbox.arrived_bytes += batch.iter().map(Message::bytes).sum::<usize>() as u64;
            if self.is_closed() {
                inbox.dropped_closed += count;
                batch.clear();
                return;
            }
            inbox.received += count;
        }
        let peer = Peer::new(pipe.clone());
        gather(|| tap.take_all(&peer, batch.drain(..), came));
    }

    /// Lets the tap pick from messages that came in.
    #[inline]
    fn let_pick(&self, pipe: &Arc<Pipe>, batch: &mut Vec<Message>) {
        if let Some(tap) = &self.tap
            && batch.iter().any(|message| tap.wants(message))
            && !self.is_closed()
        {
            self.give_some(tap, pipe, batch);
        }
    }

    #[inline(never)]
    fn give_some(&self, tap: &SharedTap, pipe: &Arc<Pipe>, batch: &mut Vec<Message>) {
        let peer = Peer::new(pipe.clone());
        let (mut count, mut sum) = (0, 0);
        let mut left = Vec::new();
        gather(|| {
            for message in batch.drain(..) {
                if !tap.wants(&message) {
                    left.push(message);
                    continue;
                }
                let bytes = message.bytes();
                match tap.pick(&peer, message) {
                    Some(message) => left.push(message),
                    None => {
                        count += 1;
                        sum += bytes;
                    }
                }
            }
        });
        batch.append(&mut left);
        self.picked(count, sum);
    }

    /// Counts messages that the tap has picked.
    fn picked(&self, count: u64, bytes: usize) {
        let mut inbox = self.inbox.lock();
        inbox.arrived += count;
        inbox.arrived_bytes += bytes as u64;
        inbox.received += count;
    }

    /// Queues messages that came in, and leaves `batch` empty.
    fn queue(&self, pipe: &Arc<Pipe>, batch: &mut Vec<Message>) -> Flow {
        let count = batch.len();
        let mut queued = 0;
        let paused = {
            let mut inbox = self.inbox.lock();
            inbox.arrived += count as u64;
            if self.is_closed() {
                inbox.dropped_closed += count as u64;
                batch.clear();
                return Flow::On;
            }
            if self.kind == SocketType::Push {
                inbox.unexpected += count as u64;
                batch.clear();
                return Flow::Broken(Violation::UnexpectedMessage { ours: self.kind });
            }
            let slot = Self::slot_of(&mut inbox, pipe);
            for message in batch.drain(..) {
                let bytes = message.bytes();
                inbox.arrived_bytes += bytes as u64;
                if !self.wants(&message) {
                    inbox.filtered += 1;
                    continue;
                }
                inbox.put(slot, message, bytes, self.settings.conflate);
                queued += 1;
            }
            let (messages, bytes) = inbox.queue.load(slot);
            let full = messages >= self.settings.recv_messages_max
                || bytes >= self.settings.recv_bytes_max as u64;
            // One message is all that a conflating socket keeps, whatever its size.
            let full = full && !self.settings.conflate;
            if full {
                inbox.queue.set_paused(slot, true);
                // Under the lock, so that it cannot come after the resumption.
                pipe.pause();
            }
            full
        };
        self.arrived(queued, true);
        if paused { Flow::Paused } else { Flow::On }
    }

    /// Tells those who receive that so many messages have been queued. `may_resume` if peers that
    /// had to pause may be told that they need not.
    fn arrived(&self, count: usize, may_resume: bool) {
        if count == 0 {
            return;
        }
        if self.channel.get().is_some() {
            if self.fill_channel(may_resume) {
                self.engine.shared().pump_later(self.weak_owner());
            }
        } else if self.wakes_one {
            self.readers.wake(1);
            if count > 1 && !self.looked_after.swap(true, Ordering::SeqCst) {
                self.engine.shared().pump_later(self.weak_owner());
                self.engine.shared().steward.nudge();
            }
        } else {
            self.readers.wake(count);
        }
    }

    /// Moves messages on to the channel that `receiver()` gave out; true if some are left.
    fn fill_channel(&self, may_resume: bool) -> bool {
        let Some(channel) = self.channel.get() else {
            return false;
        };
        loop {
            let resume = {
                let mut inbox = self.inbox.lock();
                // Only senders under this lock fill the channel, so room stays room.
                if channel.is_full() {
                    return inbox.queue.len() > 0;
                }
                if !may_resume && inbox.queue.next_is_paused() {
                    return true;
                }
                let Some(popped) = inbox.pop(Arc::clone, &self.settings) else {
                    return false;
                };
                let Some(message) = inbox.queue.take(&popped) else {
                    return false;
                };
                let unwanted = inbox.recheck && self.filter(&mut inbox, &message);
                let (pipe, resume) = popped.key;
                if !unwanted && channel.try_send((Peer::new(pipe), message)).is_err() {
                    // The receiver has been dropped: nobody will ask for these.
                    inbox.received -= 1;
                    inbox.dropped_closed += 1;
                }
                resume
            };
            if let Some(pipe) = resume {
                pipe.resume();
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::{Dealer, Engine, Options, Router};

    #[test]
    fn a_channel_that_is_full_is_looked_after_once() {
        let engine = Engine::new().unwrap();
        let router = Router::with(Options::new().engine(&engine)).unwrap();
        router.bind_to("inproc://looked-after-once").unwrap();
        let receiver = router.receiver();
        let dealer = Dealer::connect("inproc://looked-after-once").unwrap();
        for index in 0..900u16 {
            dealer.send(index.to_be_bytes().to_vec()).unwrap();
        }
        assert!(receiver.is_full());
        let pumps = engine.shared().pumps();
        assert!(pumps <= 1, "{pumps} entries of one socket");
        assert_eq!(receiver.iter().take(900).count(), 900);
    }
}
