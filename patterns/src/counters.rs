//! Counts of what costs: payload bytes copied in user space, and system calls.
//!
//! Compiled in with the feature `counters`, for tests and benches; otherwise every call here is
//! empty. The counters are the process's: a test that asserts on them runs alone in its process.

#[cfg(feature = "counters")]
mod kept {
    use std::sync::atomic::{AtomicU64, Ordering};

    static COPIED: AtomicU64 = AtomicU64::new(0);
    static CALLS: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn copied(bytes: usize) {
        COPIED.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn system_call() {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }

    /// Payload bytes copied in user space by this process so far.
    pub fn payload_bytes_copied() -> u64 {
        COPIED.load(Ordering::Relaxed)
    }

    /// System calls made so far to read, write, poll, park and wake.
    pub fn system_calls() -> u64 {
        CALLS.load(Ordering::Relaxed)
    }
}

#[cfg(feature = "counters")]
pub use kept::{payload_bytes_copied, system_calls};

#[cfg(feature = "counters")]
pub(crate) use kept::{copied, system_call};

#[cfg(not(feature = "counters"))]
#[inline(always)]
pub(crate) fn copied(_bytes: usize) {}

#[cfg(not(feature = "counters"))]
#[inline(always)]
pub(crate) fn system_call() {}
