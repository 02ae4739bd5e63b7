//! What a client's streams have done.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counts, as they are kept.
#[derive(Debug, Default)]
pub(in crate::client) struct Counts {
    pub(super) open: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) items_in: AtomicU64,
    pub(super) items_out: AtomicU64,
    pub(super) unsent: AtomicU64,
    pub(super) untaken: AtomicU64,
    pub(super) late: AtomicU64,
    pub(super) violations: AtomicU64,
}

impl Counts {
    pub(in crate::client) fn report(&self) -> StreamStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        StreamStats {
            open: of(&self.open),
            opened: of(&self.opened),
            items_in: of(&self.items_in),
            items_out: of(&self.items_out),
            unsent: of(&self.unsent),
            untaken: of(&self.untaken),
            late: of(&self.late),
            violations: of(&self.violations),
        }
    }
}

/// What a client's streams have done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// Streams whose call has not ended.
    pub open: u64,
    /// Streams begun, those open among them.
    pub opened: u64,
    /// Items that came.
    pub items_in: u64,
    /// Items that were sent.
    pub items_out: u64,
    /// Items that were given to be sent, and were not, because the call had ended or the method
    /// took no more.
    pub unsent: u64,
    /// Items that came and that nobody took, because their stream was dropped.
    pub untaken: u64,
    /// Messages of streams that had ended.
    pub late: u64,
    /// Streams that ended because their node broke the rules: items over the window, twice, out of
    /// their message's bounds, or missing at the end.
    pub violations: u64,
}
