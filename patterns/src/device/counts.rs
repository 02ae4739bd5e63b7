//! What the loop counts, written by its thread alone and read by any.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::statistics::WayStatistics;

/// A direction through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the frontend to the backend.
    FromFrontend,
    /// From the backend to the frontend.
    FromBackend,
}

impl Way {
    pub(super) const BOTH: [Way; 2] = [Way::FromFrontend, Way::FromBackend];
}

/// Why a message was not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drop {
    /// The client has as much queued as it may: it does not read.
    SlowClient,
    /// The client has gone.
    PeerGone,
    /// A reply without a token of this device, or with one that was tampered with.
    UnknownToken,
    /// With its token the message would be over the limit that peers hold each other to.
    OverLimit,
}

impl Drop {
    const ALL: [(Drop, &'static str); 4] = [
        (Drop::SlowClient, "slow-client"),
        (Drop::PeerGone, "peer-gone"),
        (Drop::UnknownToken, "unknown-token"),
        (Drop::OverLimit, "over-limit"),
    ];
}

/// A count with one writer.
#[derive(Debug, Default)]
pub(super) struct Tally(AtomicU64);

impl Tally {
    /// Spares the locked instruction that several writers would need.
    pub(super) fn add(&self, count: u64) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before.wrapping_add(count), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of one direction.
#[derive(Debug, Default)]
pub(super) struct WayCounts {
    messages: Tally,
    bytes: Tally,
    dropped: [Tally; Drop::ALL.len()],
    /// Whether a message waits for room at the other side.
    held: AtomicBool,
}

impl WayCounts {
    pub(super) fn passed(&self, bytes: usize) {
        self.messages.add(1);
        self.bytes.add(bytes as u64);
    }

    pub(super) fn dropped(&self, reason: Drop) {
        self.dropped[reason as usize].add(1);
    }

    pub(super) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    pub(super) fn statistics(&self) -> WayStatistics {
        let dropped = Drop::ALL.iter().zip(&self.dropped);
        WayStatistics {
            messages: self.messages.get(),
            bytes: self.bytes.get(),
            held: u64::from(self.held.load(Ordering::Relaxed)),
            dropped: dropped
                .filter(|(_, count)| count.get() > 0)
                .map(|((_, name), count)| (*name, count.get()))
                .collect(),
        }
    }
}

/// All that the loop counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    ways: [WayCounts; 2],
}

impl Counts {
    pub(super) fn way(&self, way: Way) -> &WayCounts {
        &self.ways[way as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        for (index, (reason, name)) in Drop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            let counts = WayCounts::default();
            counts.dropped(reason);
            assert_eq!(counts.statistics().dropped[name], 1);
        }
    }
}
