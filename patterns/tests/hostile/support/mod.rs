//! What the tests stand on: processes, raw peers, a good client, a watch over the machine.
//!
//! | file | what |
//! |---|---|
//! | `process` | the other processes, as the tests hold them |
//! | `router`, `dealer` | what runs in them |
//! | `figures` | the counts of a socket, and whether they add up |
//! | `raw` | a peer made of bytes, which keeps to no rule |
//! | `client` | a good client, and how it fared |
//! | `canary` | stalls of the machine, to be left out of latencies |
//! | `scene` | a router, a good client beside the hostile peers, and the oracle over both |

pub(crate) mod canary;
pub(crate) mod client;
pub(crate) mod dealer;
pub(crate) mod figures;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod router;
pub(crate) mod scene;

use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

/// Looks again and again until there is something, and gives it.
///
/// # Panics
///
/// If there is nothing `within` this time.
#[track_caller]
pub(crate) fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        // The machine's own stalls are no fault of what is awaited.
        assert!(
            canary::net(begin, Instant::now()) < within,
            "not within {within:?}: {what}"
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
const LONGEST: Duration = Duration::from_secs(30);

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
