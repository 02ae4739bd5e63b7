//! The bounds of what a device is given, for flags, file and help alike.
//!
//! # Invariants
//!
//! 1. The sockets take what is within, and nothing else. (test `the_sockets_have_the_same_bounds`)

use super::bounds_of::{Bounds, TIB, linger};

pub(super) use super::bounds_of::STATS;

pub(super) const QUEUE_MESSAGES: Bounds = Bounds::count(1, 10_000_000, "1000");
pub(super) const QUEUE_BYTES: Bounds = Bounds::size(1 << 10, TIB, "64MiB");
pub(super) const MESSAGE_BYTES: Bounds = Bounds::size(1, TIB, "64MiB");
pub(super) const CONNECTIONS: Bounds = Bounds::count(1, 1_000_000, "16384");
pub(super) const LAST_VALUES: Bounds = Bounds::count(0, 10_000_000, "0");
pub(super) const LINGER: Bounds = linger("5s");

#[cfg(test)]
mod tests {
    use brokerless::patterns::Options;

    use super::*;

    #[test]
    fn the_sockets_have_the_same_bounds() {
        type Set = fn(Options, u64) -> Options;
        let all: [(Bounds, Set); 5] = [
            (QUEUE_MESSAGES, |to, it| to.send_messages_max(it as usize)),
            (QUEUE_BYTES, |to, it| to.send_bytes_max(it as usize)),
            (MESSAGE_BYTES, |to, it| {
                to.frame_bytes_max(it).message_bytes_max(it)
            }),
            (CONNECTIONS, |to, it| to.connections_max(it as usize)),
            (LAST_VALUES, |to, it| to.last_values(it as usize)),
        ];
        for (bounds, set) in all {
            let fits = |value| set(Options::new(), value).check().is_ok();
            assert!(fits(bounds.least) && fits(bounds.most), "{bounds}");
            assert!(!fits(bounds.most + 1), "{bounds}");
            if let Some(less) = bounds.least.checked_sub(1) {
                assert!(!fits(less), "{bounds}");
            }
        }
    }
}
