//! What one read of a connection brings: messages for the owner, commands to be answered here.
//!
//! A SUBSCRIBE or CANCEL takes its place among the messages, in the form that peers of version 3.0
//! send it in: so its order is kept, and the owner knows one form only.

use std::time::{Duration, Instant};

use super::round_trip::RoundTrip;
use crate::message::{Frame, Message};
use crate::zmtp::Violation;
use crate::zmtp::command::{self, Command};
use crate::zmtp::decoder::Sink;

/// PINGs answered to one peer in a second; more are counted, not answered.
const PONGS_A_SECOND: u32 = 100;

/// At most so many in a second.
pub(super) struct Rate {
    since: Instant,
    count: u32,
}

impl Rate {
    pub(super) fn new(since: Instant) -> Self {
        Rate { since, count: 0 }
    }

    fn allows(&mut self, now: Instant, max: u32) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            *self = Rate::new(now);
        }
        self.count += 1;
        self.count <= max
    }
}

/// Takes what one read has brought.
pub(super) struct Intake<'a> {
    pub(super) batch: &'a mut Vec<Message>,
    pub(super) replies: Vec<u8>,
    pub(super) now: Instant,
    pub(super) ttl: &'a mut Option<Duration>,
    pub(super) pongs: &'a mut Rate,
    pub(super) unanswered: u64,
    pub(super) round_trip: &'a mut RoundTrip,
    /// What the round trip has become by this.
    pub(super) measured: Option<Duration>,
    /// Whether the owner takes subscriptions.
    pub(super) subscribable: bool,
}

impl Intake<'_> {
    fn subscription(&mut self, first: u8, topic: &[u8]) {
        let mut body = Vec::with_capacity(1 + topic.len());
        body.push(first);
        body.extend_from_slice(topic);
        self.batch.push(Message::single(Frame::from(body)));
    }
}

impl Sink for Intake<'_> {
    fn message(&mut self, message: Message) {
        self.batch.push(message);
    }

    fn command(&mut self, body: &[u8]) -> Result<(), Violation> {
        match command::parse(body)? {
            Command::Ping {
                ttl_deciseconds,
                context,
            } => {
                let ttl = Duration::from_millis(u64::from(ttl_deciseconds) * 100);
                *self.ttl = (!ttl.is_zero()).then_some(ttl);
                if self.pongs.allows(self.now, PONGS_A_SECOND) {
                    command::pong(&mut self.replies, context);
                } else {
                    self.unanswered += 1;
                }
                Ok(())
            }
            Command::Pong { context } => {
                // By the clock, not by when the turn began: an answer that came since would seem nearer.
                let measured = self.round_trip.answered(context, Instant::now());
                self.measured = measured.or(self.measured);
                Ok(())
            }
            Command::Subscribe(topic) if self.subscribable => {
                self.subscription(1, topic);
                Ok(())
            }
            Command::Cancel(topic) if self.subscribable => {
                self.subscription(0, topic);
                Ok(())
            }
            other => Err(other.unexpected()),
        }
    }
}
