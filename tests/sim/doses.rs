//! How much of everything a seed gets: drawn once, in one place.

use brokerless::balance::Policy;

use crate::policies;
use crate::random::Random;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// What a seed is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing goes wrong: every call is answered.
    Calm,
    /// Repliers leave and come back, one at a time, and nothing else: no call fails.
    Rolling,
    /// Everything.
    Chaos,
}

/// The doses of one seed. Chances are parts per million.
#[derive(Debug, Clone)]
pub(crate) struct Doses {
    pub(crate) kind: Kind,
    /// What callers pick by.
    pub(crate) policy: Policy,
    pub(crate) callers: usize,
    pub(crate) repliers: usize,
    /// Callers that have a path through a device beside their sessions.
    pub(crate) through_device: bool,
    /// Callers that live in a replier, for its handlers.
    pub(crate) nested: bool,
    pub(crate) workers: usize,
    /// Of a replier, that it pulls: it grants callers its free workers, and no more.
    pub(crate) pull: u64,
    /// Of a call, that it asks for the health of a replier, which takes no worker.
    pub(crate) beside: u64,
    pub(crate) queue_max: usize,
    pub(crate) window_start: u32,
    pub(crate) window_max: u32,
    pub(crate) waiting_max: usize,
    pub(crate) delay: (u64, u64),
    /// How long handlers take at most.
    pub(crate) handler_max: u64,
    /// The time between two bursts of a caller, and the calls in one.
    pub(crate) pause_between: u64,
    pub(crate) burst_max: u64,
    pub(crate) deadline: (u64, u64),
    pub(crate) cancel: u64,
    pub(crate) oneway: u64,
    pub(crate) watched: u64,
    pub(crate) wait_for_ready: u64,
    /// Of a call, that it has items.
    pub(crate) streams: u64,
    /// The window of a stream.
    pub(crate) stream_window: (u64, u64),
    /// Of a message of a stream, that one thread of a replier takes it later than another the next.
    pub(crate) disorder: u64,
    /// Of a message through a device.
    pub(crate) loss: u64,
    pub(crate) duplicate: u64,
    /// Of a connection, a tick.
    pub(crate) clog: u64,
    pub(crate) cut: u64,
    /// Of a pair of processes, a tick.
    pub(crate) partition: u64,
    pub(crate) heal: u64,
    /// Of a process, a tick.
    pub(crate) stop: u64,
    pub(crate) crash: u64,
    pub(crate) drain: u64,
    pub(crate) drain_timeout: u64,
    pub(crate) unsent: u64,
    /// When faults end, and when calls do.
    pub(crate) heal_at: u64,
    pub(crate) settled_at: u64,
    pub(crate) calls_until: u64,
    pub(crate) over_at: u64,
}

/// A tick: how often faults are drawn.
pub(crate) const TICK: u64 = 20 * MS;
/// After this much silence an end gives its connection up.
pub(crate) const SILENCE_MAX: u64 = 300 * MS;

impl Doses {
    pub(crate) fn draw(random: &mut Random) -> Doses {
        let kind = random.one(&[
            Kind::Calm,
            Kind::Rolling,
            Kind::Rolling,
            Kind::Chaos,
            Kind::Chaos,
            Kind::Chaos,
            Kind::Chaos,
        ]);
        let chaos = kind == Kind::Chaos;
        // Each fault is off in some seeds, so that it cannot hide what another brings to light.
        let some = |random: &mut Random, most: u64| match chaos && random.chance(700_000) {
            true => random.between(0, most + 1),
            false => 0,
        };
        let (loss, duplicate) = (some(random, 300_000), some(random, 500_000));
        let (clog, cut) = (some(random, 20_000), some(random, 10_000));
        let partition = some(random, 30_000);
        let (stop, crash) = (some(random, 4_000), some(random, 4_000));
        let unsent = some(random, 20_000);
        let drain = match kind {
            Kind::Calm => 0,
            Kind::Rolling => 1_000_000,
            Kind::Chaos => some(random, 5_000),
        };
        let slow = random.chance(250_000);
        let long = random.between(0, 30 * MS);
        let delay_min = random.one(&[0, MS / 20, MS, long]);
        let long = random.between(30, 100) * MS;
        let jitter = random.one(&[0, MS / 10, 5 * MS, if chaos { long } else { MS }]);
        let burst_max = if chaos { random.one(&[1, 2, 8, 40]) } else { 3 };
        let heal_at = random.between(300, 1_500) * MS;
        let settled_at = heal_at + 2 * SECOND;
        let calls_until = settled_at + 300 * MS;
        // Calls that are to be answered in any case are given the time.
        let patient = (40 * SECOND, 40 * SECOND + 1);
        let deadline = match chaos {
            true => random.one(&[(MS, 50 * MS), (100 * MS, SECOND), (SECOND, 2 * SECOND)]),
            false => patient,
        };
        let streams = random.one(&[0, 100_000, 300_000]);
        let stream_window = (
            random.one(&[1, 2, 8, 64, 1024]),
            random.one(&[100, 4_000, 1 << 20]),
        );
        let disorder = random.one(&[0, 100_000, 500_000]);
        let pull = random.one(&[0, 0, 500_000, 1_000_000]);
        let beside = random.one(&[0, 100_000]);
        Doses {
            streams,
            stream_window,
            disorder,
            kind,
            policy: policies::draw(random),
            callers: random.between(1, 4) as usize,
            repliers: match kind {
                Kind::Rolling => random.between(2, 5) as usize,
                _ => random.between(1, 5) as usize,
            },
            through_device: chaos && random.chance(300_000),
            nested: random.chance(300_000),
            // A worker that is granted waits for a call while others could run theirs.
            workers: match pull {
                0 => random.one(&[1, 2, 4, 16]),
                _ => random.one(&[3, 4, 16]),
            },
            pull,
            beside,
            queue_max: match chaos {
                true => random.one(&[0, 1, 4, 64, 1024]),
                false => 1024,
            },
            window_start: random.one(&[1, 2, 16, 16]),
            window_max: random.one(&[4, 64, 1024]),
            waiting_max: match chaos {
                true => random.one(&[0, 1, 8, 10_000]),
                false => 10_000,
            },
            delay: (delay_min, delay_min + jitter + 1),
            handler_max: if slow { 20 * MS } else { 2 * MS },
            pause_between: if chaos {
                random.between(burst_max / 2 + 1, 30)
            } else if pull > 0 {
                60
            } else {
                20
            } * MS,
            burst_max,
            deadline,
            cancel: if chaos {
                random.one(&[0, 50_000, 300_000])
            } else {
                0
            },
            oneway: random.one(&[0, 100_000]),
            watched: random.one(&[0, 500_000, 1_000_000]),
            wait_for_ready: match chaos {
                true => random.one(&[0, 500_000, 1_000_000]),
                false => 1_000_000,
            },
            loss,
            duplicate,
            clog,
            cut,
            partition,
            heal: random.between(10_000, 100_000),
            stop,
            crash,
            drain,
            drain_timeout: match chaos {
                true => random.between(1, 500) * MS,
                false => 30 * SECOND,
            },
            unsent,
            heal_at,
            settled_at,
            calls_until,
            over_at: calls_until + if chaos { 8 } else { 60 } * SECOND,
        }
    }
}
