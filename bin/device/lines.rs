//! What goes to standard output, in lines that programs can read as well as people.

use std::fmt::Write as _;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use brokerless::patterns::device::{Change, Handle, Report, Statistics, WayStatistics};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::Failure;
use super::program::print;

/// A line `frontend tcp://127.0.0.1:41234` for each endpoint, then `ready`.
pub(super) fn endpoints(endpoints: &[Change]) {
    let mut text = String::new();
    for one in endpoints {
        text += &format!("{} {}\n", one.side, one.endpoint);
    }
    print(&(text + "ready\n"));
}

/// What was moved, and what is left.
pub(super) fn report(report: &Report) {
    let statistics = &report.statistics;
    let mut moved = String::from("moved");
    for (name, way) in ways(statistics) {
        // Writing to a string cannot fail.
        let _ = write!(moved, " {name}={} {name}_bytes={}", way.messages, way.bytes);
    }
    dropped(&mut moved, statistics);
    let left = &report.left;
    print(&format!(
        "{moved}\nleft unread={} unsent={} unanswered={} took_ms={}\n",
        left.unread,
        left.unsent,
        left.unanswered,
        report.took.as_millis()
    ));
}

fn ways(statistics: &Statistics) -> [(&'static str, &WayStatistics); 2] {
    [
        ("from_frontend", &statistics.from_frontend),
        ("from_backend", &statistics.from_backend),
    ]
}

fn dropped(line: &mut String, statistics: &Statistics) {
    let dropped = statistics.dropped();
    let _ = write!(line, " dropped={}", dropped.values().sum::<u64>());
    for (reason, count) in dropped {
        let _ = write!(line, " dropped.{reason}={count}");
    }
}

/// One line: what has moved since the beginning, and how fast since the last line.
fn line(now: &Statistics, before: &Statistics) -> String {
    let seconds = now.uptime.saturating_sub(before.uptime).as_secs_f64();
    let rate = |now: u64, before: u64| {
        let more = now.saturating_sub(before) as f64;
        if seconds > 0.0 { more / seconds } else { 0.0 }
    };
    let mut line = format!("stats state={}", now.state);
    for ((name, way), (_, earlier)) in ways(now).into_iter().zip(ways(before)) {
        let _ = write!(
            line,
            " {name}={} {name}_bytes={} {name}_rate={:.1} {name}_byte_rate={:.1}",
            way.messages,
            way.bytes,
            rate(way.messages, earlier.messages),
            rate(way.bytes, earlier.bytes),
        );
    }
    let _ = write!(line, " queued={}", now.queued());
    dropped(&mut line, now);
    let (front, back) = (now.frontend.peers, now.backend.peers);
    let _ = writeln!(line, " frontend_peers={front} backend_peers={back}");
    line
}

/// What the printing thread is told: to print so often, or to end.
type Told = Option<Option<Duration>>;

/// Prints statistics, from a thread of its own: the device has the main one.
pub(super) struct Ticker {
    tell: Sender<Told>,
    told: Receiver<Told>,
}

impl Ticker {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        let (tell, told) = crossbeam_channel::unbounded();
        let ticker = Ticker { tell, told };
        ticker.set(interval);
        ticker
    }

    /// Prints this often from now on.
    pub(super) fn set(&self, interval: Option<Duration>) {
        // There is a receiver: its own.
        let _ = self.tell.send(Some(interval));
    }

    pub(super) fn stop(&self) {
        let _ = self.tell.send(None);
    }

    pub(super) fn start(&self, device: Handle) -> Result<JoinHandle<()>, Failure> {
        let told = self.told.clone();
        std::thread::Builder::new()
            .name("brokerless-stats".into())
            .spawn(move || ticks(&told, &device))
            .map_err(|error| Failure::run(format!("the system gave no thread: {error}")))
    }
}

fn ticks(told: &Receiver<Told>, device: &Handle) {
    let mut before = device.statistics();
    let mut next: Option<(Instant, Duration)> = None;
    loop {
        let told = match next {
            Some((at, _)) => told.recv_deadline(at),
            None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match told {
            Ok(Some(interval)) => {
                next = interval.map(|interval| (Instant::now() + interval, interval));
            }
            Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let now = device.statistics();
                print(&line(&now, &before));
                before = now;
                // Of ticks that were slept through, one is made up for.
                next = next.map(|(at, interval)| ((at + interval).max(Instant::now()), interval));
            }
        }
    }
}
