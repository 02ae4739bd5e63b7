//! The deadline that the calls of this thread inherit.
//!
//! While a handler runs, the deadline of the call that it serves stands here; every call that the
//! thread makes meanwhile ends by it, whatever its own timeout. A handler that goes on in another
//! thread takes it along:
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use brokerless::deadline::{self, Scope};
//!
//! let outer = Instant::now() + Duration::from_secs(1);
//! let scope = Scope::enter(outer);
//! std::thread::scope(|threads| {
//!     let inherited = deadline::current();
//!     threads.spawn(move || {
//!         let _scope = inherited.map(Scope::enter);
//!         assert_eq!(deadline::current(), Some(outer));
//!     });
//! });
//! drop(scope);
//! assert_eq!(deadline::current(), None);
//! ```
//!
//! # Invariants
//!
//! 1. A scope never lengthens the time of the one around it. (test
//!    `a_scope_within_another_only_shortens_the_time`)
//! 2. The end of a scope brings back what stood before, also when a handler panics. (test
//!    `a_panic_ends_the_scope`)

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Instant;

thread_local! {
    static CURRENT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The instant by which calls made by this thread have to end; none where it serves nothing.
pub fn current() -> Option<Instant> {
    CURRENT.get()
}

/// A stretch of this thread's work with a deadline. It ends when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Scope {
    before: Option<Instant>,
    /// It belongs to the thread that entered it.
    own: PhantomData<*const ()>,
}

impl Scope {
    /// Holds this thread's calls to `deadline`, or to that of the scope around this one if it is
    /// earlier.
    pub fn enter(deadline: Instant) -> Scope {
        let before = CURRENT.get();
        let deadline = before.map_or(deadline, |before| before.min(deadline));
        CURRENT.set(Some(deadline));
        Scope {
            before,
            own: PhantomData,
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_scope_within_another_only_shortens_the_time() {
        let now = Instant::now();
        let (near, far) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        assert_eq!(current(), None);
        let outer = Scope::enter(near);
        {
            let _inner = Scope::enter(far);
            assert_eq!(current(), Some(near));
            let _shorter = Scope::enter(now);
            assert_eq!(current(), Some(now));
        }
        assert_eq!(current(), Some(near));
        drop(outer);
        assert_eq!(current(), None);
    }

    #[test]
    fn a_panic_ends_the_scope() {
        let ended = std::panic::catch_unwind(|| {
            let _scope = Scope::enter(Instant::now());
            panic!("as a handler may");
        });
        assert!(ended.is_err());
        assert_eq!(current(), None);
    }

    #[test]
    fn another_thread_inherits_nothing_by_itself() {
        let _scope = Scope::enter(Instant::now());
        let other = std::thread::spawn(current).join();
        assert_eq!(other.ok(), Some(None));
    }
}
