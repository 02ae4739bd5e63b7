//! The primitives that the hand-over and the write combiner are made of.
//!
//! One place to choose them, so that the interleavings can be explored: with `--cfg loom` the
//! same code runs on loom's versions.

#[cfg(not(loom))]
mod chosen {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
    pub(crate) use std::thread::{Thread, current};

    use std::time::Instant;

    /// Parks this thread until it is unparked, or until the deadline. May return early.
    pub(crate) fn park(deadline: Option<Instant>) {
        match deadline {
            None => std::thread::park(),
            Some(deadline) => {
                std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
            }
        }
    }
}

#[cfg(loom)]
mod chosen {
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
    pub(crate) use loom::thread::{Thread, current};

    use std::time::Instant;

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

    /// Time does not pass in the model: a deadline never comes.
    pub(crate) fn park(_deadline: Option<Instant>) {
        loom::thread::park();
    }
}

pub(crate) use chosen::*;
