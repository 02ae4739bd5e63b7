//! The queue: requests from a ROUTER in front to a DEALER at the back, and their replies.
//!
//! ```text
//! client:  [a, b]  -->  worker: [token, a, b]
//! client:  [c]     <--  worker: [token, c]
//! ```
//!
//! The token names the connection that the request came by. A REQ puts an empty frame first, so
//! a REP at the back sees an envelope of one address, as behind any ROUTER.
//!
//! # Invariants
//!
//! 1. A reply reaches the connection that asked, or is dropped and counted. (test
//!    `a_reply_reaches_the_connection_that_asked_or_nobody`)
//! 2. A client that does not read costs the others nothing. (test
//!    `a_client_that_does_not_read_is_dropped_for_alone`)
//! 3. While no worker takes more, nothing is taken from the clients. (test
//!    `full_workers_stop_the_reading_of_requests`)

use std::sync::Arc;

use super::clients::{Clients, TOKEN_BYTES, Table};
use super::counts::{Drop, Way};
use super::traffic::{Fate, Rest, Traffic, pass_on};
use crate::message::Message;
use crate::socket::{Dealer, Options, Peer, Router, Waitable};

/// Requests and replies.
pub(super) struct Queue {
    front: Arc<Router>,
    back: Arc<Dealer>,
    clients: Clients,
    /// How often each worker has answered.
    answers: Table<u64>,
    frames_max: usize,
    bytes_max: usize,
}

impl Queue {
    pub(super) fn new(front: Arc<Router>, back: Arc<Dealer>, options: &Options) -> Self {
        Queue {
            front,
            back,
            clients: Clients::new(),
            answers: Table::new(),
            frames_max: options.frames_max,
            bytes_max: usize::try_from(options.message_bytes_max).unwrap_or(usize::MAX),
        }
    }

    fn request(&mut self) -> Option<Result<Message, Drop>> {
        let (pipe, mut message) = self.front.waits_on().core().try_receive()?;
        // One that comes in at the limit would have the worker cut its connection, and with it
        // everybody's.
        if message.len() >= self.frames_max || message.bytes() + TOKEN_BYTES > self.bytes_max {
            return Some(Err(Drop::OverLimit));
        }
        message.push_front(self.clients.token(&Peer::new(pipe)));
        Some(Ok(message))
    }

    fn reply(&mut self) -> Option<Result<Message, Drop>> {
        let (pipe, message) = self.back.waits_on().core().try_receive()?;
        *self.answers.entry(&Peer::new(pipe), || 0) += 1;
        Some(Ok(message))
    }

    fn answer(&self, mut message: Message) -> Fate {
        // A message of one frame has nothing behind its token.
        let Some(token) = message.pop_front() else {
            return Fate::Dropped(Drop::UnknownToken);
        };
        let peer = match self.clients.find(&token) {
            Ok(peer) => peer,
            Err(reason) => return Fate::Dropped(reason),
        };
        let bytes = message.bytes();
        match self.front.send(peer, message) {
            Ok(()) => Fate::Passed(bytes),
            Err(refused) if refused.is_full() => Fate::Dropped(Drop::SlowClient),
            Err(_) => Fate::Dropped(Drop::PeerGone),
        }
    }

    fn ask(&self, message: Message) -> Fate {
        let bytes = message.bytes() - TOKEN_BYTES;
        pass_on(self.back.waits_on().core(), message, bytes)
    }
}

impl Traffic for Queue {
    fn take(&mut self, way: Way) -> Option<Result<Message, Drop>> {
        match way {
            Way::FromFrontend => self.request(),
            Way::FromBackend => self.reply(),
        }
    }

    fn give(&mut self, way: Way, message: Message) -> Fate {
        match way {
            Way::FromFrontend => self.ask(message),
            Way::FromBackend => self.answer(message),
        }
    }

    fn rest(&self) -> Rest {
        Rest::Arrived
    }

    /// What the workers that are connected were sent and have not answered. Exact where each
    /// request has one reply.
    fn awaited(&self) -> u64 {
        let workers = self.back.stats().peers;
        let owes = workers.iter().map(|worker| {
            let answers = self.answers.get(worker.id).map_or(0, |(_, count)| *count);
            worker.sent_messages.saturating_sub(answers)
        });
        owes.sum()
    }
}
