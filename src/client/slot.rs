//! The place of one call in flight: what is sent, and where its end is put.

use std::sync::Arc;

use brokerless_patterns::tap::Gate;
use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::answer::Answer;
use crate::metadata::Metadata;
use crate::wire::{Encoding, Flags, Payload};

/// The name of what is called.
#[derive(Debug, Clone)]
pub(super) enum Path {
    Static(&'static str),
    Shared(Arc<str>),
}

impl std::ops::Deref for Path {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Path::Static(path) => path,
            Path::Shared(path) => path,
        }
    }
}

/// What a call says: the same each time that it is sent.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) path: Path,
    pub(super) payload: Payload,
    pub(super) flags: Flags,
    pub(super) encoding: Encoding,
    pub(super) metadata: Option<Arc<Metadata>>,
    pub(super) deadline: std::time::Instant,
}

#[derive(Debug, Default)]
enum Place {
    /// The call is in flight.
    #[default]
    Empty,
    /// In flight, and its end goes over a channel.
    Channel(Sender<Answer>),
    Full(Answer),
    Taken,
}

/// One call in flight. The table of calls holds it, and whoever waits for it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) request: Request,
    place: Mutex<Place>,
    pub(super) gate: Gate,
}

impl Slot {
    pub(super) fn new(request: Request) -> Self {
        Slot {
            request,
            place: Mutex::default(),
            gate: Gate::new(),
        }
    }

    /// Puts the end in its place, and wakes who waits for it. False if it went over a channel
    /// instead.
    pub(super) fn complete(&self, answer: Answer) -> bool {
        let sender = {
            let mut place = self.place.lock();
            match std::mem::take(&mut *place) {
                Place::Channel(sender) => {
                    *place = Place::Taken;
                    Some((sender, answer))
                }
                Place::Empty => {
                    *place = Place::Full(answer);
                    None
                }
                // Not given out twice by the table.
                taken @ (Place::Full(_) | Place::Taken) => {
                    *place = taken;
                    None
                }
            }
        };
        match sender {
            // It has room for the one; nobody may hold the other end any more.
            Some((sender, answer)) => {
                drop(sender.try_send(answer));
                false
            }
            None => {
                self.gate.wake(1);
                true
            }
        }
    }

    /// The end, once.
    pub(super) fn take(&self) -> Option<Answer> {
        let mut place = self.place.lock();
        match std::mem::replace(&mut *place, Place::Taken) {
            Place::Full(answer) => Some(answer),
            other => {
                *place = other;
                None
            }
        }
    }

    /// Lets the end go over a channel; at once, if it is there: then true is given.
    pub(super) fn divert(&self, sender: Sender<Answer>) -> bool {
        let mut place = self.place.lock();
        match std::mem::take(&mut *place) {
            Place::Full(answer) => {
                *place = Place::Taken;
                drop(place);
                drop(sender.try_send(answer));
                return true;
            }
            Place::Taken => *place = Place::Taken,
            Place::Empty | Place::Channel(_) => *place = Place::Channel(sender),
        }
        false
    }
}
