//! Calls: their workloads, scenarios and bars.
//!
//! Every system offers the same service: `add` of two numbers, on the thread that receives or in a pool of
//! [`POOL_WORKERS`]; `echo` of a payload; `slow`, which takes [`SLOW`] in that pool; streams of numbers and of payloads, and
//! one both ways that gives back what it is given.
//!
//! # Not here
//!
//! What a workload, a scenario and a bar are, and those of the sockets (`scenario`).

use std::time::Duration;

use super::scenario::{Bar, Figure, Limit, Load, Placement, Scenario, Transport, Workload, bar};
use super::slice::LARGE;

/// Threads of the pool that `Runs::InPool` and `slow` run in.
pub(crate) const POOL_WORKERS: usize = 4;
/// How long a call of `slow` takes.
pub(crate) const SLOW: Duration = Duration::from_millis(2);
/// Items of one stream, however large: another is begun when it has ended.
pub(crate) const NUMBERS_A_STREAM: u64 = 100_000;
pub(crate) const PAYLOADS_A_STREAM: u64 = 1_000;
/// Nodes that tasks are scattered over.
pub(crate) const NODES: usize = 3;
/// Large payloads in flight.
pub(crate) const PAYLOADS_IN_FLIGHT: usize = 16;

/// Where `add` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// On the thread that received it.
    Inline,
    /// In the pool that methods run in unless they say otherwise.
    InPool,
    /// In a pool that the method names, with threads of its own.
    InNamedPool,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// `add`, one at a time on one thread.
    Unary(Runs),
    /// `add` on so many threads, each of which waits for its own; of systems without threads as many tasks.
    Threads(usize),
    /// `add`, so many in flight on one thread.
    Pipelined(usize),
    /// `echo` of a payload of so many bytes, [`PAYLOADS_IN_FLIGHT`] at once on one thread.
    Payload(usize),
    /// `add` in the pool, one at a time, while another process calls `slow` with so many in flight.
    Beside(usize),
    /// That other process.
    Slow(usize),
    /// `add` when its time has come, whatever became of those before.
    Open,
    /// A stream of numbers from the server, one after the other taken by one thread.
    Numbers,
    /// The same, of payloads of so many bytes.
    Payloads(usize),
    /// A stream both ways: one item there and one back at a time.
    PingPong,
    /// So many tasks of one call of `add` each, spread over [`NODES`] servers and gathered.
    Scatter(usize),
}

impl Calls {
    /// Whether the figures are times.
    pub(super) fn are_timed(self) -> bool {
        matches!(
            self,
            Self::Unary(_) | Self::Beside(_) | Self::PingPong | Self::Scatter(_)
        )
    }

    /// Bytes of what is counted, if it is a payload.
    pub(super) fn payload(self) -> Option<usize> {
        match self {
            Self::Payload(bytes) | Self::Payloads(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether it is a stream.
    #[cfg_attr(not(feature = "tarpc"), allow(dead_code, reason = "who has none asks"))]
    pub(crate) fn is_stream(self) -> bool {
        matches!(self, Self::Numbers | Self::Payloads(_) | Self::PingPong)
    }

    /// Whether the server's pool has [`POOL_WORKERS`] threads, and not as many as the system likes.
    pub(crate) fn shares_a_pool(self) -> bool {
        matches!(self, Self::Beside(_) | Self::Slow(_))
    }

    /// The workload of another client, which runs whenever this one does.
    pub(crate) fn neighbour(self) -> Option<&'static Workload> {
        let Self::Beside(in_flight) = self else {
            return None;
        };
        let slow = Load::Call(Self::Slow(in_flight));
        WORKLOADS.iter().find(|workload| workload.load == slow)
    }
}

/// In the order in which they run.
pub(crate) static WORKLOADS: [Workload; 18] = [
    apart("unary", Calls::Unary(Runs::Inline)),
    Workload {
        placement: Placement::Together,
        ..apart("unary_same_core", Calls::Unary(Runs::Inline))
    },
    apart("unary_pooled", Calls::Unary(Runs::InPool)),
    apart("unary_named_pool", Calls::Unary(Runs::InNamedPool)),
    apart("unary_threads_64", Calls::Threads(64)),
    apart("pipelined_256", Calls::Pipelined(256)),
    apart("payload_64KiB", Calls::Payload(64 << 10)),
    apart("payload_1MiB", Calls::Payload(LARGE)),
    Workload {
        transport: Transport::Inproc,
        ..apart("inproc_unary", Calls::Unary(Runs::Inline))
    },
    apart("slow_neighbour", Calls::Beside(1)),
    apart("slow_neighbours_3", Calls::Beside(3)),
    apart("slow_1", Calls::Slow(1)),
    apart("slow_3", Calls::Slow(3)),
    apart("open", Calls::Open),
    apart("stream_items", Calls::Numbers),
    apart("stream_64KiB", Calls::Payloads(64 << 10)),
    apart("bidi_ping_pong", Calls::PingPong),
    apart("scatter_100", Calls::Scatter(100)),
];

/// Over TCP, a core for each side, compared within itself.
const fn apart(name: &'static str, calls: Calls) -> Workload {
    Workload {
        name,
        group: name,
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::Call(calls),
    }
}

const STREAM: &str = "blocking TCP, TCP_NODELAY, the bytes of one call of brokerless echoed";

/// In the order in which they are printed.
pub(crate) static SCENARIOS: [Scenario; 16] = [
    scenario("unary_p50_us", "unary", Figure::P50Us, STREAM),
    scenario("unary_p99_us", "unary", Figure::P99Us, STREAM),
    scenario(
        "unary_same_core_p50_us",
        "unary_same_core",
        Figure::P50Us,
        STREAM,
    ),
    scenario("unary_pooled_p50_us", "unary_pooled", Figure::P50Us, STREAM),
    scenario(
        "unary_named_pool_p50_us",
        "unary_named_pool",
        Figure::P50Us,
        STREAM,
    ),
    scenario(
        "unary_threads_64_per_s",
        "unary_threads_64",
        Figure::MessagesPerS,
        "blocking TCP, TCP_NODELAY, a connection for each thread, a thread for each connection",
    ),
    scenario(
        "pipelined_256_per_s",
        "pipelined_256",
        Figure::MessagesPerS,
        "left out (a stream has no calls to keep in flight)",
    ),
    scenario(
        "payload_64KiB_per_s",
        "payload_64KiB",
        Figure::MessagesPerS,
        "blocking TCP, a writing and a reading thread a side, as few buffers as that takes",
    ),
    scenario(
        "payload_1MiB_MB_per_s",
        "payload_1MiB",
        Figure::MegabytesPerS,
        "blocking TCP, a writing and a reading thread a side, as few buffers as that takes",
    ),
    scenario(
        "inproc_unary_p50_us",
        "inproc_unary",
        Figure::P50Us,
        "two crossbeam channels with the bytes of one call, whose receivers park at once and never spin",
    ),
    scenario(
        "slow_neighbour_p99_us",
        "slow_neighbour",
        Figure::P99Us,
        "blocking TCP, a thread for each connection: no pool to share",
    ),
    scenario(
        "slow_neighbours_3_p99_us",
        "slow_neighbours_3",
        Figure::P99Us,
        "blocking TCP, a thread for each connection: no pool to share",
    ),
    scenario(
        "stream_items_per_s",
        "stream_items",
        Figure::MessagesPerS,
        "left out (a stream of bytes has no items)",
    ),
    scenario(
        "stream_64KiB_MB_per_s",
        "stream_64KiB",
        Figure::MegabytesPerS,
        "blocking TCP, one way: written and read in buffers of that size",
    ),
    scenario(
        "bidi_ping_pong_p50_us",
        "bidi_ping_pong",
        Figure::P50Us,
        STREAM,
    ),
    scenario(
        "scatter_100_p50_us",
        "scatter_100",
        Figure::P50Us,
        "left out (a stream has no pool)",
    ),
];

const fn scenario(
    name: &'static str,
    workload: &'static str,
    figure: Figure,
    raw: &'static str,
) -> Scenario {
    Scenario {
        name,
        workload,
        figure,
        raw,
    }
}

pub(crate) static BARS: [Bar; 18] = [
    Bar {
        aim: Some(1.1),
        ..bar("unary_p50_us", "brokerless/raw", Limit::AtMost(1.25))
    },
    bar("unary_p50_us", "brokerless/tarpc", Limit::AtMost(0.9)),
    Bar {
        aim: Some(1.1),
        ..bar(
            "unary_same_core_p50_us",
            "brokerless/raw",
            Limit::AtMost(1.25),
        )
    },
    bar(
        "unary_same_core_p50_us",
        "brokerless/tarpc",
        Limit::AtMost(0.9),
    ),
    bar("unary_pooled_p50_us", "brokerless/raw", Limit::AtMost(1.8)),
    bar(
        "unary_threads_64_per_s",
        "brokerless/tonic",
        Limit::AtLeast(3.0),
    ),
    bar(
        "unary_threads_64_per_s",
        "brokerless/raw",
        Limit::AtLeast(1.0),
    ),
    bar(
        "pipelined_256_per_s",
        "brokerless/tonic",
        Limit::AtLeast(8.0),
    ),
    Bar {
        aim: Some(2.0),
        ..bar(
            "pipelined_256_per_s",
            "brokerless/libzmq",
            Limit::AtLeast(1.5),
        )
    },
    bar(
        "payload_1MiB_MB_per_s",
        "brokerless/tonic",
        Limit::AtLeast(5.0),
    ),
    bar("inproc_unary_p50_us", "brokerless/raw", Limit::AtMost(2.0)),
    bar("unary_p50_us", "brokerless/in-turn", Limit::AtMost(1.05)),
    bar(
        "pipelined_256_per_s",
        "brokerless/in-turn",
        Limit::AtLeast(0.95),
    ),
    bar("slow_neighbour_p99_us", "brokerless", Limit::AtMost(500.0)),
    bar(
        "stream_items_per_s",
        "brokerless/tonic",
        Limit::AtLeast(5.0),
    ),
    bar(
        "stream_64KiB_MB_per_s",
        "brokerless/tonic",
        Limit::AtLeast(2.0),
    ),
    bar(
        "bidi_ping_pong_p50_us",
        "brokerless/raw",
        Limit::AtMost(1.35),
    ),
    bar(
        "scatter_100_p50_us",
        "brokerless/by-hand",
        Limit::AtMost(1.2),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_beside_a_neighbour_knows_which() {
        for workload in &WORKLOADS {
            let Load::Call(calls) = workload.load else {
                panic!("{} is no workload of calls", workload.name);
            };
            let beside = matches!(calls, Calls::Beside(_));
            assert_eq!(calls.neighbour().is_some(), beside, "{}", workload.name);
        }
    }
}
