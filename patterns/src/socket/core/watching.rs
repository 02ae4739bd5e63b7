//! What a socket shows of itself: events, counts, a line in the log.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::Receiver;

use super::{Core, EVENTS_MAX, LOG_PAUSE, REFUSALS};
use crate::event::{CloseReason, Event};
use crate::socket::stats::{PeerStats, SocketStats};
use crate::zmtp::SocketType;

impl Core {
    pub(crate) fn monitor(&self) -> Receiver<Event> {
        let (sender, receiver) = crossbeam_channel::bounded(EVENTS_MAX);
        *self.monitor.lock() = Some(sender);
        receiver
    }

    pub(crate) fn stats(&self) -> SocketStats {
        let mut stats = SocketStats::default();
        // In this order: a connection is counted as closed before it leaves the census.
        (stats.connections, stats.handshakes) = self.census.lock().counts();
        let (pipes, mut total) = {
            let mut routes = self.routes.write();
            stats.closes = self.closes.lock().clone();
            routes.settle();
            let mut total = routes.gone;
            routes
                .fading
                .iter()
                .for_each(|pipe| total.add(&pipe.counts()));
            (routes.order.clone(), total)
        };
        for pipe in pipes {
            let counts = pipe.counts();
            total.add(&counts);
            let (messages, bytes) = pipe
                .slot()
                .map_or((0, 0), |slot| self.inbox.lock().queue.load(slot));
            stats.peers.push(PeerStats {
                id: pipe.id,
                identity: pipe.identity(),
                connected: pipe.is_linked(),
                sent_messages: counts.pushed,
                sent_bytes: counts.pushed_bytes,
                written_messages: counts.written,
                send_queue_messages: counts.queued,
                send_queue_bytes: counts.queued_bytes,
                dropped_messages: counts.dropped,
                passed_over_messages: counts.passed_over,
                conflated_messages: counts.conflated,
                subscriptions: self
                    .publisher()
                    .map_or(0, |publisher| publisher.count_of(&pipe)),
                recv_queue_messages: messages,
                recv_queue_bytes: bytes,
                pings_unanswered: pipe.unanswered_pings(),
                round_trip: pipe.round_trip(),
            });
        }
        stats.sent_messages = total.pushed;
        stats.sent_bytes = total.pushed_bytes;
        stats.written_messages = total.written;
        stats.send_queue_messages = total.queued;
        stats.send_queue_bytes = total.queued_bytes;
        let slow = match self.kind {
            SocketType::XSub => "slow-publisher",
            _ => "slow-subscriber",
        };
        {
            let inbox = self.inbox.lock();
            stats.arrived_messages = inbox.arrived;
            stats.arrived_bytes = inbox.arrived_bytes;
            stats.received_messages = inbox.received;
            stats.recv_queue_messages = inbox.queue.len();
            for (reason, count) in [
                ("peer-gone", total.dropped),
                (slow, total.passed_over),
                ("conflated", total.conflated),
                ("conflated-unread", inbox.conflated),
                ("filtered", inbox.filtered),
                ("closed", inbox.dropped_closed),
                ("misfit", inbox.misfits),
                ("unexpected", inbox.unexpected),
            ] {
                if count > 0 {
                    stats.dropped.insert(reason, count);
                }
            }
        }
        for ((_, name), count) in REFUSALS.iter().zip(&self.refused) {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                stats.refused.insert(name, count);
            }
        }
        if let Some(publisher) = self.publisher() {
            let counts = publisher.counts();
            stats.published_messages = counts.published;
            stats.unmatched_messages = counts.unmatched;
            stats.subscriptions_untold = counts.untold;
            stats.last_values = counts.kept;
            stats.last_values_evicted = counts.evicted;
        }
        stats.events_missed = self.events_missed.load(Ordering::Relaxed);
        stats
    }

    /// One line about a misbehaving peer, and about those that had none since the last.
    fn log_misbehaviour(&self, remote: &str, reason: &CloseReason) {
        let now = Instant::now();
        let mut gate = self.log_gate.lock();
        if gate
            .last
            .is_some_and(|last| now.duration_since(last) < LOG_PAUSE)
        {
            gate.held_back += 1;
            return;
        }
        gate.last = Some(now);
        let held_back = std::mem::take(&mut gate.held_back);
        drop(gate);
        log::warn!("closed {remote}: {reason} ({held_back} like it since the last line)");
    }

    /// Counts why a connection has ended.
    pub(super) fn count(&self, reason: &CloseReason) {
        *self.closes.lock().entry(reason.name()).or_default() += 1;
    }

    pub(super) fn count_close(&self, reason: &CloseReason, remote: &str) {
        self.count(reason);
        self.log_close(reason, remote);
    }

    pub(super) fn log_close(&self, reason: &CloseReason, remote: &str) {
        if reason.is_misbehaviour() {
            self.log_misbehaviour(remote, reason);
        }
    }
}
