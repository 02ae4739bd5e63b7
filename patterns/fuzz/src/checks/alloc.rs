//! Counts the memory that the code under test holds.
//!
//! The allocator counts per thread, and only within [`counted`]: what the check itself needs, such as its model, is
//! left out. Whatever is made within [`counted`] must be dropped within it, or it counts as held.
//!
//! Memory that is made larger counts with the difference: where the system has to move it, the old place may live
//! until the bytes are in the new one.

#![allow(
    unsafe_code,
    reason = "an allocator cannot be written without; every call is handed on as it came"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

#[derive(Clone, Copy)]
struct Count {
    on: bool,
    held: isize,
    peak: isize,
}

thread_local! {
    // Without a destructor and with a constant start, so that the allocator may use it at any time.
    static COUNT: Cell<Count> = const { Cell::new(Count { on: false, held: 0, peak: 0 }) };
}

fn grown(bytes: isize) {
    COUNT.with(|cell| {
        let mut count = cell.get();
        if count.on {
            count.held += bytes;
            count.peak = count.peak.max(count.held);
            cell.set(count);
        }
    });
}

// SAFETY: every function hands its arguments to the system's allocator unchanged, and its answer back; the counting
// neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size() as isize);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size() as isize);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        grown(new_size as isize - layout.size() as isize);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        grown(-(layout.size() as isize));
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

/// Begins anew.
pub(crate) fn start() {
    COUNT.set(Count {
        on: false,
        held: 0,
        peak: 0,
    });
}

/// Runs `work` with the count on.
pub(crate) fn counted<R>(work: impl FnOnce() -> R) -> R {
    switched(true, work)
}

/// Runs `work` with the count off, within [`counted`]: for what a callback of the check does.
pub(crate) fn uncounted<R>(work: impl FnOnce() -> R) -> R {
    switched(false, work)
}

fn switched<R>(on: bool, work: impl FnOnce() -> R) -> R {
    let before = switch(on);
    let result = work();
    switch(before);
    result
}

fn switch(on: bool) -> bool {
    let count = COUNT.get();
    COUNT.set(Count { on, ..count });
    count.on
}

/// The bytes held now.
pub(crate) fn held_bytes() -> usize {
    usize::try_from(COUNT.get().held).expect("nothing is dropped that was not counted")
}

/// The most bytes held at once since [`start`].
pub(crate) fn peak_bytes() -> usize {
    COUNT.get().peak as usize
}
