//! Many calls, and how long they took.
//!
//! # Invariants
//!
//! 1. Every call that was begun is counted, answered or under its error's code. (test
//!    `every_call_is_counted_once`)

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brokerless::client::{Answer, Pending};
use brokerless::service::MethodInfo;
use brokerless::wire::Payload;
use brokerless::{CallError, Code};
use crossbeam_channel::{RecvTimeoutError, bounded};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};

use super::arguments;
use super::fault::{Fault, exit};
use super::flags::Flags;
use super::input::Input;
use super::json::Json;
use super::method::Method;
use super::node::Node;
use super::print;
use super::single::{self, Own, failed, whole};

/// How often the bar is drawn, and it is looked whether an end is wanted.
const TICK: Duration = Duration::from_millis(100);
/// What is told of times, and its name.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

/// What calls came to.
#[derive(Debug, Clone)]
struct Tally {
    answered: u64,
    errors: BTreeMap<&'static str, u64>,
    /// Of those answered, in nanoseconds.
    took: Histogram<u64>,
}

impl Tally {
    fn new() -> Result<Self, Fault> {
        // Three digits are kept.
        let took = Histogram::new(3).map_err(|error| Fault::run(error.to_string()))?;
        Ok(Tally {
            answered: 0,
            errors: BTreeMap::new(),
            took,
        })
    }

    fn answered(&mut self, took: Duration) {
        self.answered += 1;
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // It grows as it has to.
        let _ = self.took.record(took);
    }

    fn failed(&mut self, code: &'static str) {
        *self.errors.entry(code).or_default() += 1;
    }

    fn add(&mut self, other: Tally) {
        self.answered += other.answered;
        for (code, count) in other.errors {
            *self.errors.entry(code).or_default() += count;
        }
        // Both keep as many digits, and grow as they have to.
        let _ = self.took.add(&other.took);
    }

    fn failures(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// What the threads share.
struct Work<'w> {
    node: &'w Node,
    method: &'w Method,
    info: &'static MethodInfo,
    payload: Payload,
    calls: u64,
    begun: AtomicU64,
    done: AtomicU64,
    stop: Arc<AtomicBool>,
    first: parking_lot::Mutex<Option<Fault>>,
}

impl Work<'_> {
    /// Calls until there are enough.
    fn run(&self) -> Result<Tally, Fault> {
        let mut tally = Tally::new()?;
        while !self.stop.load(Ordering::Relaxed)
            && self.begun.fetch_add(1, Ordering::Relaxed) < self.calls
        {
            let began = Instant::now();
            let client = &self.node.client;
            let payload = Ok(self.payload.clone());
            let end = client.begin(self.info, &self.node.call, payload, whole);
            match end.and_then(|pending| self.end_of(pending)) {
                Ok(true) => tally.answered(began.elapsed()),
                // Nobody waited for it any longer.
                Ok(false) => tally.failed(Code::Cancelled.name()),
                Err(error) => self.count(&mut tally, &error),
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(tally)
    }

    /// Waits until it has been answered; false if that is not wanted any more.
    fn end_of(&self, mut pending: Pending<Answer, Own>) -> Result<bool, CallError<Own>> {
        while !self.stop.load(Ordering::Relaxed) {
            if let Some(end) = pending.wait_timeout(TICK) {
                return end.map(|_| true);
            }
        }
        Ok(false)
    }

    fn count(&self, tally: &mut Tally, error: &CallError<Own>) {
        tally.failed(match error {
            CallError::Method(_) => "METHOD",
            other => other.code().name(),
        });
        let mut first = self.first.lock();
        first.get_or_insert_with(|| failed(self.node, self.method, error));
    }
}

/// Makes the calls, and sums them up.
pub(super) fn run(node: &Node, path: &str, flags: &Flags) -> Result<u8, Fault> {
    if flags.output.is_some() {
        return Err(Fault::usage(
            "with --repeat or --parallel no answer is kept: leave --output out",
        ));
    }
    let method = single::method(node, path, flags)?;
    if method.streams() {
        let what =
            "calls that carry items are made one at a time: leave --repeat and --parallel out";
        return Err(Fault::usage(what).about(method.signature()));
    }
    let parallel = flags.parallel.unwrap_or(1);
    let input = Input::default();
    let payload = arguments::encode(&method, &flags.words, flags.data.as_deref(), &input)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(exit::INTERRUPTED.into());
        }
    })
    .map_err(|error| Fault::run(format!("cannot take signals: {error}")))?;
    let work = Work {
        node,
        info: method.info(),
        method: &method,
        payload,
        calls: flags.repeat.unwrap_or(parallel.into()),
        begun: AtomicU64::new(0),
        done: AtomicU64::new(0),
        stop,
        first: parking_lot::Mutex::new(None),
    };
    let began = Instant::now();
    let tally = all(&work, parallel)?;
    let sum = Sum {
        tally,
        parallel,
        took: began.elapsed(),
        wanted: work.calls,
    };
    let text = if flags.json {
        sum.json().print(false) + "\n"
    } else {
        sum.text()
    };
    print(&text)?;
    let first = work.first.into_inner();
    if let Some(fault) = &first {
        let text = if flags.json {
            fault.json().print(false)
        } else {
            format!("the first error: {fault}")
        };
        // With standard error gone, the exit code still tells.
        let _ = writeln!(io::stderr(), "{text}");
    }
    if work.stop.load(Ordering::SeqCst) {
        return Ok(exit::INTERRUPTED);
    }
    Ok(first.map_or(0, |fault| fault.code))
}

/// Runs the threads, and shows how far they are.
fn all(work: &Work<'_>, parallel: u16) -> Result<Tally, Fault> {
    let bar = bar(work.calls);
    let mut sum = Tally::new()?;
    thread::scope(|scope| {
        let (to_us, ended) = bounded(usize::from(parallel));
        let mut started = 0;
        for _ in 0..parallel {
            let to_us = to_us.clone();
            let thread = thread::Builder::new().spawn_scoped(scope, move || {
                // Whoever waits for it is there.
                let _ = to_us.send(work.run());
            });
            match thread {
                Ok(_) => started += 1,
                Err(error) => {
                    work.stop.store(true, Ordering::SeqCst);
                    return Err(Fault::run(format!("the system refused a thread: {error}")));
                }
            }
        }
        while started > 0 {
            match ended.recv_timeout(TICK) {
                Ok(tally) => {
                    sum.add(tally?);
                    started -= 1;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(bar) = &bar {
                        bar.set_position(work.done.load(Ordering::Relaxed).min(work.calls));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    })?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(sum)
}

/// A bar at a terminal. Log lines would tear it.
fn bar(calls: u64) -> Option<ProgressBar> {
    if !io::stderr().is_terminal() || std::env::var_os("RUST_LOG").is_some() {
        return None;
    }
    let bar = ProgressBar::new(calls);
    let style = "{bar:24} {percent:>3} % {pos} of {len}, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    Some(bar)
}

/// All of it.
struct Sum {
    tally: Tally,
    parallel: u16,
    took: Duration,
    wanted: u64,
}

impl Sum {
    fn calls(&self) -> u64 {
        self.tally.answered + self.tally.failures()
    }

    /// Calls a second.
    fn rate(&self) -> f64 {
        self.calls() as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Times of the answered, if any was.
    fn times(&self) -> Vec<(&'static str, Duration)> {
        let took = &self.tally.took;
        if took.is_empty() {
            return Vec::new();
        }
        let quantiles = QUANTILES.iter();
        let mut times: Vec<_> = quantiles
            .map(|(quantile, name)| {
                (
                    *name,
                    Duration::from_nanos(took.value_at_quantile(*quantile)),
                )
            })
            .collect();
        times.push(("max", Duration::from_nanos(took.max())));
        times
    }

    fn text(&self) -> String {
        let calls = self.calls();
        let of = if calls < self.wanted {
            format!(" of {}", self.wanted)
        } else {
            String::new()
        };
        let mut text = format!(
            "calls     {calls}{of} in {:.2} s: {:.0} a second, {} at a time\nanswered  {}\nerrors    {}\n",
            self.took.as_secs_f64(),
            self.rate(),
            self.parallel,
            self.tally.answered,
            self.tally.failures()
        );
        for (code, count) in &self.tally.errors {
            text += &format!("  {code:<20} {count}\n");
        }
        let times = self.times();
        if !times.is_empty() {
            let times: Vec<String> = times
                .iter()
                .map(|(name, time)| format!("{name} {}", milliseconds(*time)))
                .collect();
            text += &format!("latency   {}\n", times.join("   "));
        }
        text
    }

    fn json(&self) -> Json {
        let errors = self.tally.errors.iter();
        let errors = errors.map(|(code, count)| ((*code).to_owned(), Json::Uint(*count)));
        let times = self.times().into_iter();
        let times = times.map(|(name, time)| {
            let us = Json::Float((time.as_secs_f64() * 1e7).round() / 10.0);
            (name.to_owned(), us)
        });
        Json::object([
            ("calls", Json::Uint(self.calls())),
            ("answered", Json::Uint(self.tally.answered)),
            ("errors", Json::Object(errors.collect())),
            ("parallel", Json::Uint(self.parallel.into())),
            ("seconds", Json::Float(self.took.as_secs_f64())),
            ("calls_per_second", Json::Float(self.rate())),
            ("latency_us", Json::Object(times.collect())),
        ])
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_counted_once() {
        let mut one = Tally::new().unwrap();
        let mut other = one.clone();
        one.answered(Duration::from_millis(1));
        one.failed("UNAVAILABLE");
        other.answered(Duration::from_millis(3));
        other.failed("UNAVAILABLE");
        other.failed("METHOD");
        one.add(other);
        let sum = Sum {
            tally: one,
            parallel: 2,
            took: Duration::from_secs(2),
            wanted: 7,
        };
        assert_eq!((sum.calls(), sum.tally.answered), (5, 2));
        let text = sum.text();
        assert!(
            text.starts_with("calls     5 of 7 in 2.00 s: 2 a second, 2 at a time\n"),
            "{text}"
        );
        assert!(text.contains("  UNAVAILABLE          2\n"), "{text}");
        assert!(text.contains("p50 1.000 ms"), "{text}");
        let json = sum.json().print(false);
        assert!(
            json.contains("\"errors\":{\"METHOD\":1,\"UNAVAILABLE\":2}"),
            "{json}"
        );
        assert!(json.contains("\"p99.9\":"), "{json}");
    }

    #[test]
    fn where_nothing_was_answered_no_time_is_told() {
        let mut tally = Tally::new().unwrap();
        tally.failed("DEADLINE_EXCEEDED");
        let sum = Sum {
            tally,
            parallel: 1,
            took: Duration::ZERO,
            wanted: 1,
        };
        assert!(!sum.text().contains("latency"));
        assert!(sum.json().print(false).ends_with("\"latency_us\":{}}"));
    }
}
