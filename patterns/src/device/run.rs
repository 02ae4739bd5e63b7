//! The loop: whatever comes on one side goes out on the other.
//!
//! One thread does it all. It takes what both sockets have, a bounded number from each in turn,
//! and only when both have nothing, or what they have cannot be given on, it waits: for all that
//! could change that, at once. Whoever waits drives the engine, so a message is read, passed on
//! and written by the same thread.
//!
//! # Invariants
//!
//! 1. A side that floods does not keep the other one waiting for more than `BUDGET` messages.
//!    (held by `Run::round`)
//! 2. A message that nobody can take now is kept, and nothing behind it is taken. (test
//!    `full_workers_stop_the_reading_of_requests`)
//! 3. The messages taken are those passed, dropped and held. (test
//!    `the_books_of_a_device_balance`)

use std::time::Instant;

use smallvec::SmallVec;

use super::capture::Copies;
use super::counts::Way;
use super::handle::Inner;
use super::place::Side;
use super::state::State;
use super::traffic::{Fate, Traffic};
use crate::engine::wait::{Drives, wait};
use crate::engine::waiter::WaitList;
use crate::message::Message;
use crate::socket::core::Core;

/// Messages passed one way before the other has its turn.
pub(super) const BUDGET: usize = 256;

/// One run of a device.
pub(super) struct Run<'a> {
    pub(super) inner: &'a Inner,
    pub(super) traffic: &'a mut dyn Traffic,
    pub(super) copies: Option<Copies<'a>>,
    held: [Option<Message>; 2],
}

impl<'a> Run<'a> {
    pub(super) fn new(inner: &'a Inner, traffic: &'a mut dyn Traffic, copies: Copies<'a>) -> Self {
        Run {
            inner,
            traffic,
            copies: Some(copies),
            held: [None, None],
        }
    }

    pub(super) fn until_told_to_end(&mut self) {
        let steering = &self.inner.steering;
        let mut is = State::Ready;
        loop {
            let wanted = steering.wanted();
            if wanted >= State::Draining {
                return;
            }
            if is != wanted {
                is = wanted;
                steering.becomes(is);
            }
            if is == State::Paused {
                self.wait(is, [false; 2], None);
            } else if self.round() == 0 {
                self.wait(is, [true; 2], None);
            }
        }
    }

    fn round(&mut self) -> usize {
        self.pass(Way::FromFrontend, BUDGET) + self.pass(Way::FromBackend, BUDGET)
    }

    /// Passes on up to so many messages; gives how many were taken or given.
    pub(super) fn pass(&mut self, way: Way, budget: usize) -> usize {
        for count in 0..budget {
            let taken = match self.held[way as usize].take() {
                Some(message) => Some(Ok(message)),
                None => self.traffic.take(way),
            };
            match taken {
                None => return count,
                Some(Err(reason)) => self.inner.counts.way(way).dropped(reason),
                Some(Ok(message)) => {
                    if !self.hand_over(way, message) {
                        return count;
                    }
                }
            }
        }
        budget
    }

    /// Gives a message on; false if it has to wait.
    fn hand_over(&mut self, way: Way, message: Message) -> bool {
        let counts = self.inner.counts.way(way);
        let copy = self.inner.ends.captures().then(|| message.clone());
        let held = match self.traffic.give(way, message) {
            Fate::Passed(bytes) => {
                counts.passed(bytes);
                if let (Some(copies), Some(copy)) = (&self.copies, copy) {
                    copies.offer(way, copy);
                }
                None
            }
            Fate::Dropped(reason) => {
                counts.dropped(reason);
                None
            }
            Fate::Held(message) => Some(message),
        };
        let waits = held.is_some();
        self.held[way as usize] = held;
        counts.hold(waits);
        !waits
    }

    /// Whether a message waits for room.
    pub(super) fn holds(&self) -> usize {
        self.held.iter().flatten().count()
    }

    /// Whether one that goes this way does.
    pub(super) fn holds_of(&self, way: Way) -> bool {
        self.held[way as usize].is_some()
    }

    /// Waits until there is something to do in the `reading` ways, something else than `is` is
    /// wanted, or the deadline has come: then false.
    pub(super) fn wait(
        &mut self,
        is: State,
        reading: [bool; 2],
        deadline: Option<Instant>,
    ) -> bool {
        let inner = self.inner;
        let mut lists: SmallVec<[&WaitList; 3]> = SmallVec::new();
        lists.push(inner.steering.waiting());
        for way in Way::BOTH {
            let (source, target) = cores(inner, way);
            if !reading[way as usize] {
                continue;
            }
            lists.push(match self.held[way as usize] {
                Some(_) => target.writers(),
                None => source.readers(),
            });
        }
        let (front, back) = cores(inner, Way::FromFrontend);
        // Not their connections alone: it is told what is wanted by other threads, too.
        let drives = if front.needs_driving() || back.needs_driving() {
            Drives::Engine
        } else {
            Drives::Nothing
        };
        let ready = || {
            let active = Way::BOTH.into_iter().any(|way| {
                reading[way as usize]
                    && match self.held[way as usize].take() {
                        Some(message) => self.hand_over(way, message),
                        None => cores(inner, way).0.has_message(),
                    }
            });
            (active || inner.steering.wanted() != is).then_some(())
        };
        wait(inner.engine.shared(), &lists, drives, deadline, ready).is_some()
    }
}

/// Where messages that go this way come from, and where they go.
fn cores(inner: &Inner, way: Way) -> (&Core, &Core) {
    let (front, back) = (
        inner.ends.core(Side::Frontend),
        inner.ends.core(Side::Backend),
    );
    match way {
        Way::FromFrontend => (front, back),
        Way::FromBackend => (back, front),
    }
}
