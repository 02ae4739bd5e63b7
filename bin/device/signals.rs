//! The end on a signal: the first drains, the second ends at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use brokerless::patterns::device::Handle;

use super::Failure;

/// The exit code of what was ended at once: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// SIGINT, SIGTERM and SIGHUP.
pub(super) struct Signals(Arc<Seen>);

#[derive(Default)]
struct Seen {
    one: AtomicBool,
    device: OnceLock<Handle>,
}

impl Signals {
    /// Takes the signals: before the device is made, so that none ends it unseen.
    pub(super) fn take() -> Result<Self, Failure> {
        let seen = Arc::new(Seen::default());
        let ours = seen.clone();
        ctrlc::set_handler(move || {
            if ours.one.swap(true, Ordering::SeqCst) {
                std::process::exit(INTERRUPTED);
            }
            if let Some(device) = ours.device.get() {
                device.terminate();
            }
        })
        .map_err(|error| Failure::run(format!("cannot take signals: {error}")))?;
        Ok(Signals(seen))
    }

    /// The device that they end; at once, if one has come already.
    pub(super) fn end(&self, device: Handle) {
        let device = self.0.device.get_or_init(|| device);
        if self.0.one.load(Ordering::SeqCst) {
            device.terminate();
        }
    }
}
