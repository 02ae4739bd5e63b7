//! The primitives that the hand-over and the write combiner are made of.
//!
//! One place to choose them, so that the interleavings can be explored: in tests with `--cfg loom`
//! the same code runs on loom's versions (`loom_tests.rs`).
//!
//! What is counted by reference only is counted by the standard `Arc` there too: nothing depends
//! on when a count reaches zero, and the other modules' `Arc`s stay the same type.

#[cfg(not(all(test, loom)))]
mod chosen {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
    #[cfg(not(target_os = "linux"))]
    pub(crate) use std::thread::{Thread, current};

    #[cfg(not(target_os = "linux"))]
    use std::time::Instant;

    /// Parks this thread until it is unparked, or until the deadline. May return early.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn park(deadline: Option<Instant>) {
        match deadline {
            None => std::thread::park(),
            Some(deadline) => {
                std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }
}

#[cfg(all(test, loom))]
mod chosen {
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::thread::{Thread, current};

    use std::cell::Cell;
    use std::time::Instant;

    use loom::sync::atomic::fence;

    use super::Ordering;

    /// loom's mutex with the signature of the one that is used outside the model.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            match self.0.lock() {
                Ok(guard) => guard,
                Err(poisoned) => poisoned.into_inner(),
            }
        }
    }

    /// In the model a deadline comes at once.
    pub(crate) fn park(deadline: Option<Instant>) {
        if deadline.is_none() {
            loom::thread::park();
        }
    }

    /// loom takes a `SeqCst` access for an `AcqRel` one, and would report races that cannot
    /// happen. Its `SeqCst` fences are exact. What the pattern "write mine, then look at yours"
    /// needs is one between the two: it can be had from the write or from the look. Models are
    /// explored with each in turn, so that neither makes up for a weaker order of the other.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Fences {
        AfterWrites,
        BeforeReads,
    }

    thread_local! {
        static FENCES: Cell<Fences> = const { Cell::new(Fences::AfterWrites) };
    }

    /// Chooses for the models that this thread explores.
    pub(crate) fn place(fences: Fences) {
        FENCES.set(fences);
    }

    fn fence_at(place: Fences, order: Ordering) {
        if order == Ordering::SeqCst && FENCES.get() == place {
            fence(Ordering::SeqCst);
        }
    }

    macro_rules! atomic {
        ($name:ident, $value:ty, $($read_modify_write:ident),*) => {
            #[derive(Debug, Default)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            #[allow(dead_code)] // each type has the same operations
            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    $name(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    fence_at(Fences::BeforeReads, order);
                    self.0.load(order)
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    // loom lets a swap overlook a store that another thread has made meanwhile,
                    // but not another swap.
                    self.0.swap(value, order);
                    fence_at(Fences::AfterWrites, order);
                }

                $(pub(crate) fn $read_modify_write(&self, value: $value, order: Ordering) -> $value {
                    fence_at(Fences::BeforeReads, order);
                    let before = self.0.$read_modify_write(value, order);
                    fence_at(Fences::AfterWrites, order);
                    before
                })*
            }
        };
    }

    atomic!(AtomicBool, bool, swap);
    atomic!(
        AtomicU32, u32, swap, fetch_or, fetch_and, fetch_add, fetch_sub
    );
    atomic!(AtomicU64, u64, swap);
}

pub(crate) use chosen::*;
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;
