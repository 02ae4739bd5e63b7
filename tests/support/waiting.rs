//! Waiting for what has to happen, with a limit.

use std::time::{Duration, Instant};

/// How long anything that has to happen may take, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(
            Instant::now() < end,
            "not in time, {PATIENCE:?} at most: {what}"
        );
        std::thread::yield_now();
    }
}
