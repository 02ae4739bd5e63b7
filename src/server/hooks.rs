//! What a server hears from the threads that read: connections that end, and what belongs to
//! streams.
//!
//! Items and windows are picked where they are read, and never queued: they concern one stream,
//! whose handler may be the very thread that reads. All else is received in its turn.
//!
//! # Invariants
//!
//! 1. No lock of the engine is held while something is sent or a stream is cut off. (held by
//!    [`Tap::settle`], where all of that is done)
//! 2. Receiving threads serve other calls while handlers wait for items. (test
//!    `handlers_that_wait_for_items_hold_up_no_other_call`)

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use brokerless_patterns::tap::Tap;
use brokerless_patterns::{CloseReason, Message, Peer};
use parking_lot::Mutex;

use super::serve::Shared;
use super::session::Sessions;
use super::stats::Counts;
use super::stream::{Came, Stream};
use crate::wire::{Envelope, kind};

/// The tap of a server's sockets.
pub(super) struct Hooks {
    /// Not needed while messages are picked: it must not be dropped there.
    shared: OnceLock<Weak<Shared>>,
    sessions: Arc<Sessions>,
    counts: Arc<Counts>,
    blob_bytes_max: u64,
    /// There is something of the following.
    unsettled: AtomicBool,
    gone: Mutex<Vec<u64>>,
    /// What is to be done about streams.
    came: Mutex<Vec<(Arc<Stream>, Came)>>,
}

impl Hooks {
    pub(super) fn new(blob_bytes_max: u64) -> Self {
        Hooks {
            shared: OnceLock::new(),
            sessions: Arc::default(),
            counts: Arc::new(Counts::new()),
            blob_bytes_max,
            unsettled: AtomicBool::new(false),
            gone: Mutex::default(),
            came: Mutex::default(),
        }
    }

    /// What it shares with the server.
    pub(super) fn parts(&self) -> (Arc<Sessions>, Arc<Counts>) {
        (self.sessions.clone(), self.counts.clone())
    }

    /// This is the server.
    pub(super) fn serve(&self, shared: &Arc<Shared>) {
        // It is told once.
        let _ = self.shared.set(Arc::downgrade(shared));
    }
}

impl Tap for Hooks {
    fn takes_messages(&self) -> bool {
        false
    }

    fn wakes_one(&self) -> bool {
        true
    }

    fn take(&self, _: &Peer, _: Message) {}

    /// An array of few fields, whose first says what it is. What is written otherwise, which it may
    /// be, takes the way of all else.
    #[inline]
    fn wants(&self, message: &Message) -> bool {
        const ITEMS: u8 = kind::ITEMS as u8;
        const WINDOW: u8 = kind::WINDOW as u8;
        matches!(message.first().get(..2), Some([0x90..0xa0, ITEMS | WINDOW]))
    }

    fn pick(&self, peer: &Peer, message: Message) -> Option<Message> {
        let session = self.sessions.get(peer.id());
        let session = session.filter(|session| session.version().is_some());
        let Some(session) = session else {
            return Some(message);
        };
        let (stream, mut came) = match Envelope::decode(message.first()) {
            Ok(Envelope::Items(head)) => {
                session.items(&self.counts, &head, message, self.blob_bytes_max)
            }
            Ok(Envelope::Window { id, window }) => session.window(&self.counts, id, window),
            _ => return Some(message),
        };
        if let Some(stream) = stream {
            let later = match &mut came {
                Came::Todo(todo) => {
                    if std::mem::take(&mut todo.wake) {
                        stream.wake();
                    }
                    todo.is_some()
                }
                Came::Broken(_) | Came::Items(..) | Came::Window(_) => true,
            };
            if later {
                self.came.lock().push((stream, came));
                self.unsettled.store(true, Ordering::SeqCst);
            }
        }
        None
    }

    fn gone(&self, peer: &Peer, _: &CloseReason) {
        self.gone.lock().push(peer.id());
        self.unsettled.store(true, Ordering::SeqCst);
    }

    fn settle(&self) {
        if !self.unsettled.load(Ordering::SeqCst) {
            return;
        }
        // Before they are taken: what comes from now on says so again.
        self.unsettled.store(false, Ordering::SeqCst);
        let came = std::mem::take(&mut *self.came.lock());
        let gone = std::mem::take(&mut *self.gone.lock());
        let Some(shared) = self.shared.get().and_then(Weak::upgrade) else {
            return;
        };
        for (stream, came) in came {
            shared.see_to(Some(stream), came);
        }
        for peer in gone {
            shared.gone(peer);
        }
    }
}
