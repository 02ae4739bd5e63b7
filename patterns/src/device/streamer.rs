//! The streamer: work from a PULL in front to a PUSH at the back.
//!
//! # Invariants
//!
//! 1. While no worker takes more, nothing is taken in: nothing is dropped. (test
//!    `work_waits_for_workers_and_none_of_it_is_lost`)
//! 2. At the end all work that had been sent is handed on, if there is time. (test
//!    `an_end_hands_on_the_work_that_was_sent`)

use std::sync::Arc;

use super::counts::{Drop, Way};
use super::traffic::{Fate, Rest, Traffic, pass_on};
use crate::message::Message;
use crate::socket::{Pull, Push, Waitable};

/// Work, one way.
pub(super) struct Streamer {
    front: Arc<Pull>,
    back: Arc<Push>,
}

impl Streamer {
    pub(super) fn new(front: Arc<Pull>, back: Arc<Push>) -> Self {
        Streamer { front, back }
    }
}

impl Traffic for Streamer {
    fn take(&mut self, way: Way) -> Option<Result<Message, Drop>> {
        match way {
            Way::FromFrontend => {
                let (_, message) = self.front.waits_on().core().try_receive()?;
                Some(Ok(message))
            }
            Way::FromBackend => None,
        }
    }

    fn give(&mut self, _: Way, message: Message) -> Fate {
        let bytes = message.bytes();
        pass_on(self.back.waits_on().core(), message, bytes)
    }

    fn rest(&self) -> Rest {
        Rest::UntilQuiet
    }

    fn awaited(&self) -> u64 {
        0
    }
}
