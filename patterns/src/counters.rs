//! Counts of what costs: payload bytes copied in user space.
//!
//! Compiled in with the feature `counters`, for tests and benches; otherwise every call here is
//! empty. One process-wide counter: a test that asserts on it runs alone in its process.

#[cfg(feature = "counters")]
mod kept {
    use std::sync::atomic::{AtomicU64, Ordering};

    static COPIED: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn copied(bytes: usize) {
        COPIED.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Payload bytes copied in user space by this process so far.
    pub fn payload_bytes_copied() -> u64 {
        COPIED.load(Ordering::Relaxed)
    }
}

#[cfg(feature = "counters")]
pub use kept::payload_bytes_copied;

#[cfg(feature = "counters")]
pub(crate) use kept::copied;

#[cfg(not(feature = "counters"))]
#[inline(always)]
pub(crate) fn copied(_bytes: usize) {}
