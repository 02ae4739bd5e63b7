//! What the flags and the file give together. Flags outrank the file.

use std::time::Duration;

use brokerless::patterns::device::{CaptureType, Place, Places, Side};
use brokerless::patterns::{Options, SlowSubscriber};

use super::Failure;
use super::file;
use super::flags::Flags;

/// What has been given in one place: on the command line or in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) places: [Option<Vec<Place>>; Side::ALL.len()],
    pub(super) linger: Option<Duration>,
    pub(super) stats: Option<Duration>,
    pub(super) capture_type: Option<CaptureType>,
    pub(super) limits: Limits,
}

/// What the sockets are made with, and keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) queue_messages: Option<usize>,
    pub(super) queue_bytes: Option<u64>,
    pub(super) message_bytes: Option<u64>,
    pub(super) connections: Option<usize>,
    pub(super) last_values: Option<usize>,
    pub(super) slow_subscriber: Option<SlowSubscriber>,
}

impl Given {
    /// What is given here, and what is not from there.
    fn or(self, other: Given) -> Given {
        let [mut ours, theirs] = [self.places, other.places];
        for (own, their) in ours.iter_mut().zip(theirs) {
            *own = own.take().or(their);
        }
        let (limits, others) = (self.limits, other.limits);
        Given {
            places: ours,
            linger: self.linger.or(other.linger),
            stats: self.stats.or(other.stats),
            capture_type: self.capture_type.or(other.capture_type),
            limits: Limits {
                queue_messages: limits.queue_messages.or(others.queue_messages),
                queue_bytes: limits.queue_bytes.or(others.queue_bytes),
                message_bytes: limits.message_bytes.or(others.message_bytes),
                connections: limits.connections.or(others.connections),
                last_values: limits.last_values.or(others.last_values),
                slow_subscriber: limits.slow_subscriber.or(others.slow_subscriber),
            },
        }
    }
}

/// What the device is run with.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) places: Places,
    pub(super) linger: Duration,
    pub(super) stats: Option<Duration>,
    pub(super) capture_type: CaptureType,
    pub(super) is_from_file: bool,
    limits: Limits,
}

impl Settings {
    /// From the flags, and the file that they name.
    pub(super) fn read(flags: &Flags) -> Result<Self, Failure> {
        let mut given = flags.given();
        if let Some(path) = &flags.config {
            given = given.or(file::read(path, flags.publishes)?);
        }
        let mut places = Places::new();
        for (side, list) in Side::ALL.into_iter().zip(given.places) {
            places.set(side, list.unwrap_or_default());
        }
        for side in [Side::Frontend, Side::Backend] {
            if places.of(side).is_empty() {
                return Err(Failure::usage(format!(
                    "the {side} has no endpoint; give at least one with --{side} or as `{side}` \
                     in the file of --config, such as tcp://127.0.0.1:5559"
                )));
            }
        }
        Ok(Settings {
            places,
            linger: given.linger.unwrap_or(Duration::from_secs(5)),
            stats: given.stats,
            capture_type: given.capture_type.unwrap_or_default(),
            is_from_file: flags.config.is_some(),
            limits: given.limits,
        })
    }

    /// The options of the sockets.
    pub(super) fn options(&self) -> Options {
        let mut options = Options::new();
        let limits = self.limits;
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        if let Some(messages) = limits.queue_messages {
            options = options
                .send_messages_max(messages)
                .recv_messages_max(messages);
        }
        if let Some(size) = limits.queue_bytes {
            options = options
                .send_bytes_max(bytes(size))
                .recv_bytes_max(bytes(size));
        }
        if let Some(size) = limits.message_bytes {
            options = options.frame_bytes_max(size).message_bytes_max(size);
        }
        if let Some(connections) = limits.connections {
            options = options.connections_max(connections);
        }
        if let Some(topics) = limits.last_values {
            options = options.last_values(topics);
        }
        if let Some(policy) = limits.slow_subscriber {
            options = options.slow_subscriber(policy);
        }
        options
    }

    /// Whether only such things differ as may change while the device runs.
    pub(super) fn changes_at_run_time(&self, before: &Settings) -> Result<(), String> {
        if (self.limits, self.capture_type) == (before.limits, before.capture_type) {
            return Ok(());
        }
        Err(
            "only endpoints, linger and stats change while the device runs; restart it to change \
             the rest"
                .into(),
        )
    }
}
