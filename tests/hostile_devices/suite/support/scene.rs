//! A device, a good client beside the hostile peers, and the oracle over both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use brokerless_patterns::{Engine, Options, Req};
use rustix::process::Signal;
use serde_json::Value;

use super::clients::Client;
use super::devices::{ANY, Device, asks};
use super::good::{GoodClient, LOST, Outcome, PACE};
use super::kinds::{Kind, Side};
use super::system::Memory;
use super::{canary, eventually, hold, ms, pass, patience};

/// The worst round that the good client may see.
pub(crate) const WORST: Duration = ms(100);
/// What is sent again after so long: a few workers that are given it and do nothing stay within
/// [`WORST`].
const AGAIN: Duration = ms(10);

/// Where it happens.
pub(crate) struct Scene {
    pub(crate) device: Device,
    pub(crate) good: GoodClient,
    control: Req,
}

impl Scene {
    /// A device with these flags, and a good client that has been served.
    #[track_caller]
    pub(crate) fn set(kind: &Kind, flags: &[&str]) -> Self {
        Self::with(kind, flags, LOST)
    }

    /// The same, where hostile workers may be given what is the good client's.
    #[track_caller]
    pub(crate) fn set_with_workers(kind: &Kind, flags: &[&str]) -> Self {
        Self::with(kind, flags, AGAIN)
    }

    fn with(kind: &Kind, flags: &[&str], again: Duration) -> Self {
        let sides = ["--frontend", ANY, "--backend", ANY, "--control", ANY];
        let arguments = [&sides[..], &["--linger", "100ms"], flags].concat();
        let device = Device::start(kind.program, &arguments);
        let engine = Engine::new().expect("descriptors are free");
        let control = Req::with(Options::new().engine(&engine)).expect("default options");
        control
            .connect_to(device.endpoint("control"))
            .expect("an endpoint");
        let [front, back] = ["frontend", "backend"].map(|side| device.endpoint(side).to_owned());
        let program = kind.program;
        // A publisher or a worker that is not there yet is sent to again.
        let again = if program == "bl-forwarder" {
            ms(50)
        } else {
            again
        };
        let pid = device.pid().as_raw_nonzero().get().cast_unsigned();
        let good = GoodClient::begin(pid, PACE, move || {
            Client::connect(program, &front, &back, again)
        });
        Scene {
            device,
            good,
            control,
        }
    }

    /// `host:port` of a side.
    pub(crate) fn address(&self, side: &Side) -> String {
        let endpoint = self.device.endpoint(side.name);
        endpoint.trim_start_matches("tcp://").to_owned()
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.device.pid().as_raw_nonzero().get().cast_unsigned())
    }

    /// It has held no more than this beyond what it had held `before`.
    #[track_caller]
    pub(crate) fn assert_grown(&self, before: Memory, most_kib: u64) {
        let grown = self.memory().resident_most_kib - before.resident_most_kib;
        assert!(
            grown <= most_kib,
            "{grown} KiB more resident, not {most_kib}"
        );
    }

    /// What the device answers to STATISTICS.
    pub(crate) fn statistics(&self) -> Value {
        let json = asks(&self.control, "STATISTICS");
        serde_json::from_str(&json).expect("an object")
    }

    /// Waits until its statistics are as they shall be, and gives them.
    #[track_caller]
    pub(crate) fn until(
        &self,
        what: &str,
        within: Duration,
        as_wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let (begin, patience) = (Instant::now(), patience(within));
        loop {
            let statistics = self.statistics();
            if as_wanted(&statistics) {
                return statistics;
            }
            if canary::net(begin, Instant::now()) >= patience {
                hold_in_time(&statistics);
                panic!("{what}: not within {patience:?}: {statistics}");
            }
            pass(ms(3));
        }
    }

    /// Waits until connections have ended at a side for exactly these reasons.
    #[track_caller]
    pub(crate) fn until_closed(&self, side: &Side, expected: &BTreeMap<&str, u64>) -> Value {
        let all: u64 = expected.values().sum();
        let statistics = self.until("all closed", ms(2000), |statistics| {
            closes(statistics, side).values().sum::<u64>() >= all
        });
        let found = closes(&statistics, side);
        let found: BTreeMap<&str, u64> = found.iter().map(|(name, n)| (&**name, *n)).collect();
        if found != *expected {
            hold_in_time(&statistics);
        }
        assert_eq!(found, *expected, "at the {}", side.name);
        statistics
    }

    /// Ends it. The oracle: the good client was served throughout, the books balance, the log kept
    /// quiet, and the device ends in order.
    #[track_caller]
    pub(crate) fn end(self) -> (Outcome, Value) {
        self.end_with(WORST)
    }

    /// As [`end`](Self::end), with another bar for the good client.
    #[track_caller]
    pub(crate) fn end_with(self, worst: Duration) -> (Outcome, Value) {
        let Scene {
            device,
            good,
            control,
        } = self;
        // What comes last is seen by the client, too.
        good.until_rounds(5);
        let outcome = good.finish();
        // What is between two counts at this moment is soon in one of them.
        let statistics = eventually("the books balance", ms(2000), || {
            let json = asks(&control, "STATISTICS");
            let statistics = serde_json::from_str(&json).expect("an object");
            is_balanced(&statistics).then_some(statistics)
        });
        device.signal(Signal::TERM);
        let (code, lines, errors) = device.end_and_errors();
        assert_eq!(code, 0, "{lines:?} {errors}");
        // At most a line a second about misbehaving peers, from each side.
        let seconds = count(&statistics, "uptime_ms") / 1000 + 1;
        let complaints = errors.lines().count() as u64;
        assert!(
            complaints <= 2 * seconds && !errors.contains("panicked"),
            "{complaints} lines in {seconds} s: {errors}"
        );
        if !outcome.figures.all_closes().is_empty() {
            hold_in_time(&statistics);
        }
        outcome.assert_served(worst);
        (outcome, statistics)
    }
}

/// Nobody had too little time, as the device sees it, which gives a peer 2 s to come in and 3 s of
/// silence: the machine can make one that late.
#[track_caller]
fn hold_in_time(statistics: &Value) {
    let sides = [&statistics["frontend"], &statistics["backend"]];
    let late = sides.into_iter().any(|side| {
        let closes = &side["closes"];
        ["handshake-timeout", "heartbeat-timeout", "ttl-expired"]
            .iter()
            .any(|reason| closes[reason].as_u64() > Some(0))
    });
    hold(!late, || format!("somebody was late: {statistics}"));
}

/// A count, by its place: `backend.closes.io-error`, `from_frontend.messages`. What is not there
/// is 0.
pub(crate) fn count(statistics: &Value, place: &str) -> u64 {
    let mut value = statistics;
    for part in place.split('.') {
        value = &value[part];
    }
    value.as_u64().unwrap_or(0)
}

/// Every reason for which connections ended at a side, and how many.
pub(crate) fn closes(statistics: &Value, side: &Side) -> BTreeMap<String, u64> {
    counts(&statistics[side.name]["closes"])
}

fn counts(object: &Value) -> BTreeMap<String, u64> {
    let fields = object.as_object().into_iter().flatten();
    let counts = fields.map(|(name, count)| (name.clone(), count.as_u64().unwrap_or(0)));
    counts.collect()
}

/// Whether what the device's documentation promises holds: nothing is lost uncounted.
fn is_balanced(statistics: &Value) -> bool {
    let sides = [("frontend", "from_frontend"), ("backend", "from_backend")];
    sides.into_iter().all(|(side, way)| {
        let of_side = |name: &str| count(statistics, &format!("{side}.{name}"));
        let of_way = |name: &str| count(statistics, &format!("{way}.{name}"));
        let dropped = |reasons: &[&str]| -> u64 {
            let each = reasons.iter();
            each.map(|reason| of_side(&format!("dropped.{reason}")))
                .sum()
        };
        let dropped_on_the_way: u64 = counts(&statistics[way]["dropped"]).values().sum();
        let received = of_way("messages") + of_way("held") + dropped_on_the_way;
        let arrived = of_side("received_messages")
            + of_side("recv_queue_messages")
            + dropped(&["closed", "misfit", "unexpected", "filtered"]);
        let sent = of_side("written_messages")
            + of_side("send_queue_messages")
            + dropped(&["peer-gone", "slow-subscriber", "slow-publisher"]);
        of_side("received_messages") == received
            && of_side("arrived_messages") == arrived
            && of_side("sent_messages") == sent
    })
}
