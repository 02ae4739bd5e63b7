//! Peak EWMA: who seems to answer soonest.

use std::time::Duration;

/// Options of peak EWMA.
#[derive(Debug, Clone)]
pub(super) struct PeakOptions {
    pub(super) choices: usize,
    pub(super) decay: Duration,
}

impl Default for PeakOptions {
    fn default() -> PeakOptions {
        PeakOptions {
            choices: 2,
            decay: Duration::from_secs(10),
        }
    }
}
