//! Scenarios, workloads and bars; those of the sockets.
//!
//! A workload is what runs; a scenario is a figure that is read off it. Workloads of one group are interleaved with each
//! other, so that ratios between them are taken within a round.
//!
//! # Not here
//!
//! Those of the calls (`calls`).

use super::calls::{self, Calls};
use super::slice::{LARGE, Outcome};

/// What both processes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// One small message at a time, echoed.
    RoundTrip,
    /// 256 small messages in flight on one thread, echoed.
    Pipelined,
    /// 16 large messages in flight, echoed.
    Large,
    /// Small messages from so many threads on one socket, one way.
    OneWay {
        /// Sending threads.
        senders: usize,
    },
    /// Small messages from a PUSH to a PULL.
    PushPull,
    /// Small messages from a PUB to so many SUBs, a thread each; what they get is counted.
    PubSub {
        /// Subscribers, in one process.
        subscribers: usize,
    },
    /// As `RoundTrip`, through a queue device in a process of its own, on the server's core.
    Queue,
    /// Calls, not messages.
    Call(Calls),
}

/// What lies between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    /// One process, two threads.
    Inproc,
}

/// Where client and server run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// A core for each.
    Apart,
    /// Both on one.
    Together,
}

#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) group: &'static str,
    pub(crate) transport: Transport,
    pub(crate) placement: Placement,
    pub(crate) load: Load,
}

impl Workload {
    /// Whether its figures are times: then rounds in which the machine stalled are left out.
    pub(crate) fn is_latency(&self) -> bool {
        match self.load {
            Load::RoundTrip | Load::Queue => true,
            Load::Call(calls) => calls.are_timed(),
            _ => false,
        }
    }

    /// Bytes of one of what is counted, where they are.
    fn payload(&self) -> usize {
        match self.load {
            Load::Call(calls) => calls.payload().unwrap_or(LARGE),
            _ => LARGE,
        }
    }

    /// Of the sockets or of the calls: no name is in both.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        let mut all = WORKLOADS.iter().chain(&calls::WORKLOADS);
        all.find(|workload| workload.name == name)
    }
}

/// In the order in which they run.
pub(crate) static WORKLOADS: [Workload; 11] = [
    Workload {
        name: "rtt",
        group: "rtt",
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::RoundTrip,
    },
    Workload {
        name: "rtt_same_core",
        group: "rtt_same_core",
        transport: Transport::Tcp,
        placement: Placement::Together,
        load: Load::RoundTrip,
    },
    Workload {
        name: "pipelined",
        group: "pipelined",
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::Pipelined,
    },
    Workload {
        name: "echo_1MiB",
        group: "echo_1MiB",
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::Large,
    },
    Workload {
        name: "senders_1",
        group: "senders",
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::OneWay { senders: 1 },
    },
    Workload {
        name: "senders_16",
        group: "senders",
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::OneWay { senders: 16 },
    },
    Workload {
        name: "pushpull",
        group: "pushpull",
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::PushPull,
    },
    Workload {
        name: "pubsub",
        group: "pubsub",
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::PubSub { subscribers: 10 },
    },
    Workload {
        name: "queue_rtt",
        group: "queue_rtt",
        transport: Transport::Tcp,
        placement: Placement::Apart,
        load: Load::Queue,
    },
    Workload {
        name: "ipc_rtt",
        group: "ipc_rtt",
        transport: Transport::Ipc,
        placement: Placement::Apart,
        load: Load::RoundTrip,
    },
    Workload {
        name: "inproc_rtt",
        group: "inproc_rtt",
        transport: Transport::Inproc,
        placement: Placement::Apart,
        load: Load::RoundTrip,
    },
];

/// Which number of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    P50Us,
    P99Us,
    MessagesPerS,
    MegabytesPerS,
}

#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) figure: Figure,
    /// What `raw` is here, or why there is none.
    pub(crate) raw: &'static str,
}

/// In the order in which they are printed.
pub(crate) static SCENARIOS: [Scenario; 12] = [
    Scenario {
        name: "rtt_64B_p50_us",
        workload: "rtt",
        figure: Figure::P50Us,
        raw: "blocking TCP, TCP_NODELAY",
    },
    Scenario {
        name: "rtt_64B_p99_us",
        workload: "rtt",
        figure: Figure::P99Us,
        raw: "blocking TCP, TCP_NODELAY",
    },
    Scenario {
        name: "rtt_64B_same_core_p50_us",
        workload: "rtt_same_core",
        figure: Figure::P50Us,
        raw: "blocking TCP, TCP_NODELAY",
    },
    Scenario {
        name: "pipelined_64B_msgs_per_s",
        workload: "pipelined",
        figure: Figure::MessagesPerS,
        raw: "left out (a stream has no messages to keep in flight)",
    },
    Scenario {
        name: "echo_1MiB_MB_per_s",
        workload: "echo_1MiB",
        figure: Figure::MegabytesPerS,
        raw: "blocking TCP, a writing and a reading thread a side, as few buffers as that takes",
    },
    Scenario {
        name: "senders_1_64B_msgs_per_s",
        workload: "senders_1",
        figure: Figure::MessagesPerS,
        raw: "left out (threads cannot share a stream without a queue)",
    },
    Scenario {
        name: "senders_16_64B_msgs_per_s",
        workload: "senders_16",
        figure: Figure::MessagesPerS,
        raw: "left out (threads cannot share a stream without a queue)",
    },
    Scenario {
        name: "pushpull_64B_msgs_per_s",
        workload: "pushpull",
        figure: Figure::MessagesPerS,
        raw: "left out (a stream has no messages)",
    },
    Scenario {
        name: "pubsub_64B_msgs_per_s",
        workload: "pubsub",
        figure: Figure::MessagesPerS,
        raw: "left out (a stream has no subscribers)",
    },
    Scenario {
        name: "queue_rtt_64B_p50_us",
        workload: "queue_rtt",
        figure: Figure::P50Us,
        raw: "left out (a stream has no queue)",
    },
    Scenario {
        name: "ipc_rtt_64B_p50_us",
        workload: "ipc_rtt",
        figure: Figure::P50Us,
        raw: "blocking Unix stream socket",
    },
    Scenario {
        name: "inproc_rtt_64B_p50_us",
        workload: "inproc_rtt",
        figure: Figure::P50Us,
        raw: "two queues (std Mutex and Condvar), whose receivers park at once and never spin",
    },
];

impl Scenario {
    pub(crate) fn workload(&self) -> &'static Workload {
        Workload::named(self.workload).expect("a scenario names a workload of the table")
    }

    pub(crate) fn unit(&self) -> &'static str {
        match self.figure {
            Figure::P50Us | Figure::P99Us => "us",
            Figure::MessagesPerS => "1/s",
            Figure::MegabytesPerS => "MB/s",
        }
    }

    pub(crate) fn more_is_better(&self) -> bool {
        matches!(self.figure, Figure::MessagesPerS | Figure::MegabytesPerS)
    }

    /// Reads the figure off an outcome of its workload.
    pub(crate) fn read(&self, outcome: &Outcome) -> Option<f64> {
        match (self.figure, outcome) {
            (Figure::P50Us, Outcome::Latency { p50_us, .. }) => Some(*p50_us),
            (Figure::P99Us, Outcome::Latency { p99_us, .. }) => Some(*p99_us),
            (Figure::MessagesPerS, Outcome::Rate { per_s, .. }) => Some(*per_s),
            (Figure::MegabytesPerS, Outcome::Rate { per_s, .. }) => {
                Some(per_s * self.workload().payload() as f64 / 1e6)
            }
            _ => None,
        }
    }
}

/// Which side of the bar is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    pub(crate) fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }

    /// On the same side, elsewhere.
    pub(crate) fn moved(self, to: f64) -> Self {
        match self {
            Self::AtMost(_) => Self::AtMost(to),
            Self::AtLeast(_) => Self::AtLeast(to),
        }
    }
}

/// What must hold.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) scenario: &'static str,
    /// The name of a ratio; that of a system stands for its figure.
    pub(crate) of: &'static str,
    pub(crate) limit: Limit,
    /// What is wanted beyond the bar. Missing it is printed, and no failure.
    pub(crate) aim: Option<f64>,
}

pub(crate) static BARS: [Bar; 13] = [
    bar("rtt_64B_p50_us", "brokerless/raw", Limit::AtMost(1.25)),
    bar(
        "rtt_64B_same_core_p50_us",
        "brokerless/raw",
        Limit::AtMost(1.25),
    ),
    bar(
        "pipelined_64B_msgs_per_s",
        "brokerless/libzmq",
        Limit::AtLeast(2.5),
    ),
    bar(
        "pipelined_64B_msgs_per_s",
        "brokerless/zeromq",
        Limit::AtLeast(2.0),
    ),
    bar("echo_1MiB_MB_per_s", "brokerless/raw", Limit::AtLeast(0.85)),
    bar(
        "echo_1MiB_MB_per_s",
        "brokerless/libzmq",
        Limit::AtLeast(0.95),
    ),
    bar(
        "senders_16_64B_msgs_per_s",
        "brokerless:senders_16/senders_1",
        Limit::AtLeast(1.5),
    ),
    bar(
        "pushpull_64B_msgs_per_s",
        "brokerless/libzmq",
        Limit::AtLeast(1.3),
    ),
    bar(
        "pushpull_64B_msgs_per_s",
        "brokerless/zeromq",
        Limit::AtLeast(1.3),
    ),
    bar(
        "pubsub_64B_msgs_per_s",
        "brokerless/libzmq",
        Limit::AtLeast(1.3),
    ),
    bar(
        "queue_rtt_64B_p50_us",
        "brokerless/libzmq",
        Limit::AtMost(0.8),
    ),
    bar("ipc_rtt_64B_p50_us", "brokerless/raw", Limit::AtMost(1.3)),
    bar(
        "inproc_rtt_64B_p50_us",
        "brokerless/raw",
        Limit::AtMost(1.0),
    ),
];

pub(super) const fn bar(scenario: &'static str, of: &'static str, limit: Limit) -> Bar {
    Bar {
        scenario,
        of,
        limit,
        aim: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_workload_has_the_name_of_another() {
        let all = || WORKLOADS.iter().chain(&calls::WORKLOADS);
        for workload in all() {
            let alike = all().filter(|other| other.name == workload.name);
            assert_eq!(alike.count(), 1, "{}", workload.name);
        }
    }

    #[test]
    fn every_scenario_reads_its_figure_off_its_workload() {
        let latency = Outcome::Latency {
            p50_us: 1.0,
            p99_us: 2.0,
            worst_us: 3.0,
            round_trips: 4,
        };
        let rate = Outcome::Rate {
            per_s: 1.0,
            messages: 1,
            lost: 0,
        };
        for scenario in SCENARIOS.iter().chain(&calls::SCENARIOS) {
            let outcome = if scenario.workload().is_latency() {
                latency
            } else {
                rate
            };
            assert!(scenario.read(&outcome).is_some(), "{}", scenario.name);
        }
    }

    #[test]
    fn every_bar_names_a_scenario() {
        let named = |scenarios: &[Scenario], bars: &[Bar]| {
            for bar in bars {
                let mut scenarios = scenarios.iter();
                let known = scenarios.any(|scenario| scenario.name == bar.scenario);
                assert!(known, "{}", bar.scenario);
            }
        };
        named(&SCENARIOS, &BARS);
        named(&calls::SCENARIOS, &calls::BARS);
    }

    #[test]
    fn a_bar_holds_on_its_line() {
        assert!(Limit::AtMost(1.25).holds(1.25) && !Limit::AtMost(1.25).holds(1.26));
        assert!(Limit::AtLeast(2.5).holds(2.5) && !Limit::AtLeast(2.5).holds(2.49));
    }
}
