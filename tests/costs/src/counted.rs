//! What something cost, by the counters of this process: allocations, system calls, bytes copied.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use brokerless_patterns::counters::{payload_bytes_copied, system_calls};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Those of this thread.
    static OWN: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    OWN.set(OWN.get() + 1);
}

/// Allocations of the calling thread so far.
pub(crate) fn own_allocations() -> u64 {
    OWN.get()
}

// SAFETY: every call is handed on to the system's allocator as it came; the counter is beside it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What one of many things cost, everything in this process together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) allocations: f64,
    pub(crate) system_calls: f64,
    pub(crate) bytes_copied: f64,
}

impl Cost {
    /// Of each of so many, which `work` does.
    pub(crate) fn of_each(count: usize, work: impl FnOnce()) -> Cost {
        let now = || {
            let allocations = ALLOCATIONS.load(Ordering::SeqCst);
            (allocations, system_calls(), payload_bytes_copied())
        };
        let before = now();
        work();
        let after = now();
        let each = |before: u64, after: u64| (after - before) as f64 / count as f64;
        Cost {
            allocations: each(before.0, after.0),
            system_calls: each(before.1, after.1),
            bytes_copied: each(before.2, after.2),
        }
    }
}
