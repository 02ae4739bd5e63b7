//! Waiting for what shall happen, with a limit, and letting time pass.

use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::canary;

/// How long is waited at least for what has to come: a loaded machine is no fault. Whether it came
/// too late is for [`Lasted`](super::canary::Lasted) to say.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a panic begins with that says that a bar on a measure was missed: the machine may have been
/// the cause, and another round shows it.
pub(crate) const MISSED: &str = "a bar was missed: ";

/// Holds what was measured to its bar.
///
/// # Panics
///
/// With what was seen, behind [`MISSED`], if it does not hold.
#[track_caller]
pub(crate) fn hold(holds: bool, seen: impl FnOnce() -> String) {
    assert!(holds, "{MISSED}{}", seen());
}

/// How long is waited for what should come `within` this time.
pub(crate) fn patience(within: Duration) -> Duration {
    within.max(PATIENCE)
}

/// Looks again and again until there is something, and gives it.
///
/// # Panics
///
/// If there is nothing though it should have come `within` this time, and was waited for with
/// [`patience`].
#[track_caller]
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let (begin, patience) = (Instant::now(), patience(within));
    loop {
        if let Some(found) = look() {
            return found;
        }
        // The machine's own stalls are no fault of what is awaited.
        assert!(
            canary::net(begin, Instant::now()) < patience,
            "not within {within:?}, nor {patience:?}: {what}"
        );
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Lets `time` pass: how long a siege lasts, never what is waited for.
pub(crate) fn pass(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// Milliseconds.
pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The longest that a test may run: one that hangs would hang the rest.
const LONGEST: Duration = Duration::from_secs(150);

/// Ends the program if it is not dropped in time.
pub(crate) struct Watch {
    _alive: crossbeam_channel::Sender<()>,
}

impl Watch {
    pub(crate) fn over(test: &'static str) -> Self {
        let (alive, over) = crossbeam_channel::bounded(0);
        std::thread::spawn(move || {
            let begin = Instant::now();
            while over.recv_timeout(ms(500)) == Err(RecvTimeoutError::Timeout) {
                // A machine that stands still is not a test that hangs.
                if canary::net(begin, Instant::now()) > LONGEST {
                    eprintln!("{test} hangs: over after {LONGEST:?}");
                    std::process::abort();
                }
            }
        });
        Watch { _alive: alive }
    }
}
