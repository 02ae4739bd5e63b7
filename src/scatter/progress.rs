//! How far a scatter is, and how another thread ends it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use crate::client::Group;

/// How far a scatter is: what [`progress`](super::Scatter::progress) is told.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Tasks in all, where their iterator says exactly how many are left; or all have been drawn.
    pub tasks: Option<usize>,
    /// Tasks drawn so far.
    pub drawn: usize,
    /// In flight.
    pub in_flight: usize,
    /// To be called again.
    pub again: usize,
    /// Done.
    pub done: usize,
    /// Failed for good.
    pub failed: usize,
    /// Since it began.
    pub elapsed: Duration,
    /// The task that has just ended, and what its last call took.
    pub last: (usize, Duration),
    /// Each node's share, in the order in which they joined the pool.
    pub nodes: &'a [Share],
}

/// What one node has done of a scatter's tasks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Share {
    /// Where it is.
    pub endpoint: Arc<str>,
    /// It takes calls.
    pub is_up: bool,
    /// In flight there; not known where the client's policy picks.
    pub in_flight: u32,
    /// Tasks that it has done.
    pub done: u64,
    /// Calls there that ended with an error.
    pub errors: u64,
    /// What its tasks took in all, from call to answer.
    pub busy: Duration,
}

/// Ends a scatter from another thread.
///
/// ```
/// use brokerless::scatter::Canceller;
///
/// let canceller = Canceller::new();
/// let other = canceller.clone();
/// std::thread::spawn(move || other.cancel());
/// // scatter(tasks).over(&pool).cancelled_by(&canceller)
/// ```
#[derive(Clone, Default)]
pub struct Canceller {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    waiting: Mutex<Vec<Weak<Group>>>,
}

impl Canceller {
    /// One that has cancelled nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends each scatter that it was given to, and each that it will be given to.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        let waiting = std::mem::take(&mut *self.inner.waiting.lock());
        for group in waiting.iter().filter_map(Weak::upgrade) {
            group.ring();
        }
    }

    /// Whether it has cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    /// Rings this bell when it cancels. It may have done so already.
    pub(super) fn rings(&self, group: &Arc<Group>) {
        let mut waiting = self.inner.waiting.lock();
        waiting.retain(|group| group.strong_count() > 0);
        waiting.push(Arc::downgrade(group));
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
