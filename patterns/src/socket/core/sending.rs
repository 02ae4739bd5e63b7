//! Which peer a message goes to, and what is done while none takes it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::RwLockWriteGuard;

use super::{Core, Place, REFUSALS, Routes, Sent};
use crate::engine::outbox::Refused;
use crate::engine::pace::Hold;
use crate::engine::pipe::Pipe;
use crate::engine::wait::{Drives, wait};
use crate::message::{Headed, Message};
use crate::socket::error::{Error, SendError, SendRefusal};

static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);

/// A number for routes that no routes had before.
pub(super) fn new_version() -> u64 {
    NEXT_VERSION.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    /// The only peer of the socket that this thread sent to last, and the version of the routes
    /// that say so. To look it up and share it would cost more than to encode a message.
    static SOLE: Cell<Option<(u64, Arc<Pipe>)>> = const { Cell::new(None) };
}

/// At the end of a thread there is nowhere to keep it, and no need to.
fn set_sole(version: u64, pipe: Arc<Pipe>) {
    let _ = SOLE.try_with(|sole| sole.set(Some((version, pipe))));
}

impl Core {
    /// The routes, to change who is among them.
    pub(super) fn routes_mut(&self) -> RwLockWriteGuard<'_, Routes> {
        let routes = self.routes.write();
        // Who finds the old one from now on, and asks for the new routes, waits for the lock.
        self.routes_version.store(new_version(), Ordering::SeqCst);
        routes
    }

    pub(super) fn drives(&self) -> Drives {
        // Connections that came in keep the socket driven after its listener has gone.
        let links =
            self.links.load(Ordering::Relaxed) > 0 || self.drives_others.load(Ordering::Relaxed);
        Drives::engine_if(links || self.census.lock().counts().0 > 0)
    }

    /// The next peer in turn, of `count` at the time of the call.
    fn next_pipe(&self) -> Option<(Arc<Pipe>, usize)> {
        let routes = self.routes.read();
        let count = routes.order.len();
        if count == 0 {
            return None;
        }
        if count == 1 {
            let pipe = routes.order[0].clone();
            let version = self.routes_version.load(Ordering::SeqCst);
            set_sole(version, pipe.clone());
            return Some((pipe, count));
        }
        let index = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        Some((routes.order[index].clone(), count))
    }

    /// Sends to the next peer that takes the message, where nobody asks which one.
    #[inline]
    pub(crate) fn try_send(&self, message: Message) -> Sent {
        match SOLE.try_with(Cell::take).ok().flatten() {
            Some((version, pipe))
                if version == self.routes_version.load(Ordering::SeqCst)
                    && !self.immediate
                    && !self.is_closed() =>
            {
                let sent = pipe.send(message);
                set_sole(version, pipe);
                match sent {
                    Ok(()) => Ok(()),
                    Err((Refused::Full, message)) => Err((SendRefusal::Full, message)),
                    Err((Refused::Gone, message)) => self.try_send_any(message).map(drop),
                }
            }
            _ => self.try_send_any(message).map(drop),
        }
    }

    /// Sends to the next peer that takes the message; gives that peer.
    pub(crate) fn try_send_any(
        &self,
        mut message: Message,
    ) -> Result<Arc<Pipe>, (SendRefusal, Message)> {
        if self.is_closed() {
            return Err((SendRefusal::Closed, message));
        }
        let mut tries = 0;
        let mut refusal = SendRefusal::NoPeer;
        loop {
            let Some((pipe, count)) = self.next_pipe() else {
                return Err((refusal, message));
            };
            if self.immediate && !pipe.is_linked() {
                tries += 1;
            } else {
                match pipe.send(message) {
                    Ok(()) => return Ok(pipe),
                    Err((Refused::Full, back)) => {
                        message = back;
                        refusal = SendRefusal::Full;
                    }
                    Err((Refused::Gone, back)) => message = back,
                }
                tries += 1;
            }
            if tries >= count {
                return Err((refusal, message));
            }
        }
    }

    /// Gives the message to this peer, if it takes it now.
    pub(crate) fn push_to(
        &self,
        pipe: &Arc<Pipe>,
        message: Message,
    ) -> Result<(), (Refused, Message)> {
        pipe.send(message)
    }

    pub(crate) fn wake_writers(&self) {
        self.writers.wake(usize::MAX);
    }

    /// Ends the connection that this pipe belongs to.
    pub(crate) fn disconnect_pipe(&self, pipe: &Arc<Pipe>) -> Result<(), Error> {
        self.open()?;
        let mut endpoints = self.endpoints.lock();
        let index = endpoints.iter().position(|(_, place)| match place {
            Place::Dialing(dialer) => dialer
                .pipe
                .as_ref()
                .is_some_and(|own| Arc::ptr_eq(own, pipe)),
            Place::Connected(own) => Arc::ptr_eq(own, pipe),
            #[cfg(feature = "zeromq")]
            Place::Second(second) => second.is_of(pipe),
            Place::Listening(_) | Place::Bound(_) => false,
        });
        let Some(index) = index else { return Ok(()) };
        let (endpoint, place) = endpoints.remove(index);
        drop(endpoints);
        self.leave(&endpoint, place);
        Ok(())
    }

    /// Sends to this peer, if it takes the message now.
    pub(crate) fn try_send_to(&self, pipe: &Arc<Pipe>, message: Message) -> Result<(), SendError> {
        let refused = if self.is_closed() {
            Err((SendRefusal::Closed, message))
        } else {
            self.push_to(pipe, message)
                .map_err(|(refused, message)| match refused {
                    Refused::Full => (SendRefusal::Full, message),
                    Refused::Gone => (SendRefusal::Gone, message),
                })
        };
        refused.map_err(|refused| self.refuse(refused))
    }

    /// The same; the message is held back until somebody flushes the engine.
    pub(crate) fn hold_for(&self, pipe: &Arc<Pipe>, message: Message) -> Result<(), SendError> {
        let refused = if self.is_closed() {
            Err((SendRefusal::Closed, message))
        } else {
            pipe.send_held(message, || Hold::Flush)
                .map_err(|(refused, message)| match refused {
                    Refused::Full => (SendRefusal::Full, message),
                    Refused::Gone => (SendRefusal::Gone, message),
                })
        };
        refused.map_err(|refused| self.refuse(refused))
    }

    /// Sends this to the peer, if it takes it now, held back as [`hold_for`](Self::hold_for) does if
    /// `held`. A refusal is counted.
    pub(crate) fn try_send_headed(
        &self,
        pipe: &Arc<Pipe>,
        message: Headed<'_>,
        held: bool,
    ) -> Result<(), SendRefusal> {
        let refusal = if self.is_closed() {
            SendRefusal::Closed
        } else {
            let sent = match held {
                false => pipe.send(message),
                true => pipe.send_held(message, || Hold::Flush),
            };
            match sent {
                Ok(()) => return Ok(()),
                Err((Refused::Full, _)) => SendRefusal::Full,
                Err((Refused::Gone, _)) => SendRefusal::Gone,
            }
        };
        self.count_refusal(refusal);
        Err(refusal)
    }

    /// Sends with `attempt` until it succeeds or the deadline has come.
    pub(crate) fn send_until(
        &self,
        deadline: Option<Instant>,
        message: Message,
        attempt: impl Fn(Message) -> Sent,
    ) -> Result<(), SendError> {
        let (first, message) = match attempt(message) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        if !matches!(first, SendRefusal::Full | SendRefusal::NoPeer) {
            return Err(self.refuse((first, message)));
        }
        let mut kept = Some(message);
        let outcome = wait(
            self.engine.shared(),
            &[&self.writers],
            self.drives(),
            deadline,
            || match attempt(kept.take()?) {
                Ok(()) => Some(Ok(())),
                Err((SendRefusal::Full | SendRefusal::NoPeer, back)) => {
                    kept = Some(back);
                    None
                }
                Err(refused) => Some(Err(refused)),
            },
        );
        match (outcome, kept) {
            (Some(Ok(())), _) => Ok(()),
            (Some(Err(refused)), _) => Err(self.refuse(refused)),
            (None, Some(message)) => Err(self.refuse((SendRefusal::Timeout, message))),
            (None, None) => Ok(()),
        }
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&self, (reason, message): (SendRefusal, Message)) -> SendError {
        self.count_refusal(reason);
        SendError::new(reason, message)
    }

    fn count_refusal(&self, reason: SendRefusal) {
        if let Some(index) = REFUSALS.iter().position(|(refusal, _)| *refusal == reason) {
            self.refused[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn peer_named(&self, identity: &[u8]) -> Option<Arc<Pipe>> {
        self.routes.read().names.get(identity).cloned()
    }

    pub(crate) fn pipes(&self) -> Vec<Arc<Pipe>> {
        self.routes.read().order.clone()
    }
}
