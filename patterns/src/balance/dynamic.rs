//! Weights that follow the nodes' reports.

use std::time::Duration;

/// Options of weights that follow reports.
#[derive(Debug, Clone)]
pub(super) struct DynamicOptions {
    pub(super) blackout: Duration,
    pub(super) expiry: Duration,
    pub(super) period: Duration,
    pub(super) penalty: f64,
}

impl Default for DynamicOptions {
    fn default() -> DynamicOptions {
        DynamicOptions {
            blackout: Duration::from_secs(10),
            expiry: Duration::from_secs(180),
            period: Duration::from_secs(1),
            penalty: 1.0,
        }
    }
}
