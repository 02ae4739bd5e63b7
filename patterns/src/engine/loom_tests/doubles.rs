//! What the engine stands on in the models: a kernel, connections, and somebody to wait for.

use loom::sync::Condvar;

use crate::engine::outbox::{After, Link, Outbox, Wrote};
use crate::engine::sync::{Arc, AtomicBool, AtomicU32, Mutex, Ordering};
use crate::engine::waiter::{Alarm, WaitList, Waiter};
use crate::zmtp::encoder::Encoder;

/// The poller, with what has come in for two sockets.
#[derive(Default)]
pub(super) struct Kernel {
    state: Mutex<(bool, Vec<usize>)>,
    changed: Condvar,
}

impl Kernel {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Ends when something has come in, or by the alarm.
    pub(super) fn poll(&self, may_block: bool) -> Vec<usize> {
        let mut state = self.state.lock();
        while may_block && !state.0 && state.1.is_empty() {
            state = self.changed.wait(state).expect("no thread has panicked");
        }
        state.0 = false;
        std::mem::take(&mut state.1)
    }

    pub(super) fn comes_in(&self, socket: usize) {
        self.state.lock().1.push(socket);
        self.changed.notify_one();
    }
}

impl Alarm for Kernel {
    fn ring(&self) {
        self.state.lock().0 = true;
        self.changed.notify_one();
    }
}

pub(super) fn new_waiter(kernel: &Arc<Kernel>) -> Arc<Waiter> {
    Arc::new(Waiter::new(kernel.clone()))
}

/// A pause without polling, by a thread that has all the time.
pub(super) fn parks(waiter: &Waiter) -> impl FnMut(bool) -> bool {
    |_| {
        waiter.park(None);
        false
    }
}

/// Messages that wait to be taken, and who waits for them.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) messages: Mutex<usize>,
    pub(super) readers: WaitList,
    pub(super) closed: AtomicBool,
}

impl Inbox {
    pub(super) fn deliver(&self) {
        *self.messages.lock() += 1;
        self.readers.wake(1);
    }

    pub(super) fn take(&self) -> Option<()> {
        let mut messages = self.messages.lock();
        *messages = messages.checked_sub(1)?;
        Some(())
    }
}

/// A connection that takes some bytes, and then is blocked until it is given more room.
#[derive(Clone, Default)]
pub(super) struct Wire(pub(super) Arc<WireState>);

#[derive(Default)]
pub(super) struct WireState {
    room: AtomicU32,
    watched: AtomicBool,
    in_use: AtomicBool,
    pub(super) broken: AtomicBool,
    pub(super) condemned: AtomicBool,
    taken: std::sync::Mutex<Vec<u8>>,
}

impl Wire {
    pub(super) fn with_room(room: u32) -> Self {
        let wire = Wire::default();
        wire.0.room.store(room, Ordering::SeqCst);
        wire
    }

    pub(super) fn is_watched(&self) -> bool {
        self.0.watched.load(Ordering::SeqCst)
    }

    /// As the leader does for each connection that the poller reports.
    pub(super) fn becomes_writable(&self, outbox: &Outbox<Wire>) -> After {
        self.0.room.store(1000, Ordering::SeqCst);
        if self.is_watched() {
            outbox.writable(self)
        } else {
            After::default()
        }
    }

    /// The messages that went out whole.
    pub(super) fn messages(&self) -> Vec<u8> {
        let taken = self.0.taken.lock().expect("no thread has panicked");
        let whole = taken.chunks_exact(3);
        whole
            .map(|frame| {
                assert_eq!(frame[..2], [0, 1], "frames are not torn");
                frame[2]
            })
            .collect()
    }
}

impl Link for Wire {
    fn write(&self, batch: &mut Encoder) -> (usize, Wrote) {
        let wire = &self.0;
        assert!(
            !wire.in_use.swap(true, Ordering::SeqCst),
            "one thread writes at a time"
        );
        let bytes = batch.to_vec();
        let n = bytes.len().min(wire.room.load(Ordering::SeqCst) as usize);
        // A broken link takes its bytes, and fails after them.
        wire.room.fetch_sub(n as u32, Ordering::SeqCst);
        let mut taken = wire.taken.lock().expect("no thread has panicked");
        taken.extend_from_slice(&bytes[..n]);
        drop(taken);
        let whole = batch.advance(n);
        let wrote = match batch.is_empty() {
            true => Wrote::All,
            false if wire.broken.load(Ordering::SeqCst) => Wrote::Failed,
            false => Wrote::Blocked,
        };
        wire.in_use.store(false, Ordering::SeqCst);
        (whole, wrote)
    }

    fn watch(&self, blocked: bool) {
        self.0.watched.store(blocked, Ordering::SeqCst);
    }

    fn condemn(&self) {
        self.0.condemned.store(true, Ordering::SeqCst);
    }

    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
