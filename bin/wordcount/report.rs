//! What came out of it, for a reader and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::args::{CountArgs, DemoArgs};
use super::progress::Progress;
use super::text::Selection;
use super::words::Table;
use super::{Failure, INTERRUPTED, Stop};

/// What a worker did.
#[derive(Debug, Serialize)]
pub(super) struct Tally {
    pub(super) name: char,
    pub(super) weight: u32,
    /// Tasks that it answered.
    pub(super) tasks: u64,
    /// Their text.
    pub(super) bytes: u64,
    /// Its part of all tasks.
    pub(super) share: f64,
    /// What a task took, from its call to its answer.
    pub(super) round_trip_ms: RoundTrip,
    /// The processes it has been.
    pub(super) pids: Vec<u32>,
    /// Tasks that each of them answered.
    pub(super) tasks_by_pid: BTreeMap<u32, u64>,
}

/// What became of the worker that was killed.
#[derive(Debug, Serialize)]
pub(super) struct Killed {
    pub(super) name: char,
    pub(super) pid: u32,
    /// The part of the work done by then.
    pub(super) at: f64,
    /// Tasks that it had.
    pub(super) stranded: u64,
    /// From its death to the connection to the one in its place.
    pub(super) down_seconds: Option<f64>,
}

impl Killed {
    pub(super) fn new(name: char, pid: u32, at: f64) -> Self {
        Killed {
            name,
            pid,
            at,
            stranded: 0,
            down_seconds: None,
        }
    }
}

/// Times in milliseconds from the last call for a task to its answer.
#[derive(Debug, Default, Serialize)]
pub(super) struct RoundTrip {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl RoundTrip {
    pub(super) fn of(micros: &Histogram<u64>) -> Self {
        let ms = |micros: u64| micros as f64 / 1e3;
        RoundTrip {
            p50: ms(micros.value_at_quantile(0.5)),
            p99: ms(micros.value_at_quantile(0.99)),
            max: ms(micros.max()),
        }
    }
}

/// The count that it is checked against.
#[derive(Debug, Serialize)]
pub(super) struct SingleThread {
    pub(super) seconds: f64,
    pub(super) mb_per_s: f64,
}

/// What the demo found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) interrupted: bool,
    /// Whether a single thread counted the same.
    pub(super) equal: bool,
    /// A word that it did not, with the workers' count and its own.
    pub(super) difference: Option<(String, u64, u64)>,
    pub(super) files: usize,
    pub(super) files_skipped: u64,
    pub(super) cut_short: bool,
    pub(super) passes: u32,
    /// Text counted, all passes together.
    pub(super) bytes: u64,
    pub(super) bytes_in_all: u64,
    pub(super) words: u64,
    pub(super) distinct: usize,
    pub(super) tasks: u64,
    pub(super) task_bytes: u64,
    pub(super) depth: u32,
    pub(super) seconds: f64,
    pub(super) mb_per_s: f64,
    pub(super) words_per_s: f64,
    pub(super) round_trip_ms: RoundTrip,
    pub(super) single_thread: Option<SingleThread>,
    pub(super) workers: Vec<Tally>,
    pub(super) killed: Option<Killed>,
    /// Calls made again for tasks whose worker was lost, or turned them away.
    pub(super) sent_again: u64,
    pub(super) top: Vec<(String, u64)>,
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn amount(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", mb(bytes)),
    }
}

fn rate(amount: f64, elapsed: Duration) -> f64 {
    amount / elapsed.as_secs_f64().max(1e-9)
}

fn part(of: u64, all: u64) -> f64 {
    of as f64 / all.max(1) as f64
}

impl Report {
    pub(super) fn new(args: &DemoArgs, selection: &Selection) -> Self {
        let weights = &args.workers.0;
        let workers = ('A'..).zip(weights).map(|(name, &weight)| Tally {
            name,
            weight,
            tasks: 0,
            bytes: 0,
            share: 0.0,
            round_trip_ms: RoundTrip::default(),
            pids: Vec::new(),
            tasks_by_pid: BTreeMap::new(),
        });
        Report {
            interrupted: false,
            equal: false,
            difference: None,
            files: selection.files(),
            files_skipped: selection.skipped,
            cut_short: selection.cut_short,
            passes: args.passes,
            bytes: 0,
            bytes_in_all: selection.bytes.saturating_mul(args.passes.into()),
            words: 0,
            distinct: 0,
            tasks: 0,
            task_bytes: args.task_bytes,
            depth: args.depth(),
            seconds: 0.0,
            mb_per_s: 0.0,
            words_per_s: 0.0,
            round_trip_ms: RoundTrip::default(),
            single_thread: None,
            workers: workers.collect(),
            killed: None,
            sent_again: 0,
            top: Vec::new(),
        }
    }

    /// What the program ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match (self.interrupted, self.equal) {
            (true, _) => INTERRUPTED,
            (false, true) => 0,
            (false, false) => 1,
        }
    }

    /// A worker has answered a task.
    pub(super) fn credit(&mut self, worker: usize, pid: u32, bytes: u64) {
        let tally = &mut self.workers[worker];
        tally.tasks += 1;
        tally.bytes += bytes;
        *tally.tasks_by_pid.entry(pid).or_default() += 1;
        self.bytes += bytes;
    }

    /// A worker had these tasks when its connection ended.
    pub(super) fn stranded(&mut self, worker: usize, tasks: u64) {
        if let Some(killed) = &mut self.killed
            && killed.name == self.workers[worker].name
        {
            killed.stranded += tasks;
        }
    }

    /// How far it is, in a line.
    pub(super) fn line(&self, elapsed: Duration) -> String {
        let tasks = |tally: &Tally| format!("{} {}", tally.name, tally.tasks);
        let tasks: Vec<String> = self.workers.iter().map(tasks).collect();
        format!(
            "of {}, {:.0} MB/s, tasks: {}",
            amount(self.bytes_in_all),
            rate(mb(self.bytes), elapsed),
            tasks.join(", ")
        )
    }

    /// Everything has come in, or nothing more will.
    pub(super) fn summarise(
        &mut self,
        elapsed: Duration,
        table: &Table,
        round_trips: &Histogram<u64>,
        top: usize,
    ) {
        self.tasks = self.workers.iter().map(|tally| tally.tasks).sum();
        self.words = table.words();
        self.distinct = table.distinct();
        self.seconds = elapsed.as_secs_f64();
        self.mb_per_s = rate(mb(self.bytes), elapsed);
        self.words_per_s = rate(self.words as f64, elapsed);
        self.round_trip_ms = RoundTrip::of(round_trips);
        for tally in &mut self.workers {
            tally.share = part(tally.tasks, self.tasks);
        }
        self.top = table.top(top);
    }

    /// How long a single thread took for one pass.
    pub(super) fn single_thread(&mut self, bytes: u64, elapsed: Duration) {
        self.single_thread = Some(SingleThread {
            seconds: elapsed.as_secs_f64(),
            mb_per_s: rate(mb(bytes), elapsed),
        });
    }

    fn verdict(&self) -> String {
        match (&self.single_thread, &self.difference) {
            (None, _) => "not checked: interrupted".to_owned(),
            (Some(alone), None) => format!(
                "equal to a single thread's, which took {:.2} s, {:.0} MB/s{}",
                alone.seconds,
                alone.mb_per_s,
                if self.passes > 1 {
                    ", for one pass"
                } else {
                    ""
                }
            ),
            (Some(_), Some((word, ours, alone))) => format!(
                "NOT EQUAL to a single thread's: {word:?} {ours} times by the workers, {alone} \
                 times by the thread"
            ),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = match self.files_skipped {
            0 => String::new(),
            skipped => format!(", {skipped} left out"),
        };
        let passes = match self.passes {
            1 => String::new(),
            passes => format!(", {passes} times over"),
        };
        writeln!(
            f,
            "text         {} in {} files{skipped}{passes}{}",
            amount(self.bytes_in_all),
            self.files,
            if self.cut_short {
                ", cut at --max-bytes"
            } else {
                ""
            }
        )?;
        if self.interrupted {
            let done = 100.0 * part(self.bytes, self.bytes_in_all);
            writeln!(f, "interrupted  after {done:.0} %: what follows is partial")?;
        }
        writeln!(
            f,
            "words        {}, {} of them distinct",
            self.words, self.distinct
        )?;
        writeln!(f, "totals       {}", self.verdict())?;
        writeln!(
            f,
            "throughput   {:.0} MB/s, {:.1} million words/s, {} tasks of about {} KiB in {:.2} s",
            self.mb_per_s,
            self.words_per_s / 1e6,
            self.tasks,
            self.task_bytes / 1024,
            self.seconds
        )?;
        writeln!(
            f,
            "round trip   p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms; up to {} tasks in flight \
             at a worker",
            self.round_trip_ms.p50, self.round_trip_ms.p99, self.round_trip_ms.max, self.depth
        )?;
        if let Some(killed) = &self.killed {
            let back = match killed.down_seconds {
                Some(down) => format!("back after {down:.2} s"),
                None => "not back before the end".to_owned(),
            };
            writeln!(
                f,
                "killed       {} (pid {}) at {:.0} %, with {} tasks; {back}",
                killed.name,
                killed.pid,
                100.0 * killed.at,
                killed.stranded
            )?;
        }
        writeln!(
            f,
            "called again {} tasks, of workers that were lost or had no room",
            self.sent_again
        )?;
        writeln!(
            f,
            "\nworker  weight     tasks   share    p50 ms    p99 ms  processes"
        )?;
        for tally in &self.workers {
            let by_pid = tally.pids.iter().map(|pid| {
                let tasks = tally.tasks_by_pid.get(pid).copied().unwrap_or(0);
                format!("{pid}: {tasks}")
            });
            writeln!(
                f,
                "{:<6}  {:>6}  {:>8}  {:>4.1} %  {:>8.2}  {:>8.2}  {}",
                tally.name,
                tally.weight,
                tally.tasks,
                100.0 * tally.share,
                tally.round_trip_ms.p50,
                tally.round_trip_ms.p99,
                by_pid.collect::<Vec<_>>().join(", ")
            )?;
        }
        write_top(f, &self.top)
    }
}

fn write_top(f: &mut fmt::Formatter<'_>, top: &[(String, u64)]) -> fmt::Result {
    if top.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n   count  word")?;
    for (word, count) in top {
        writeln!(f, "{count:>8}  {word}")?;
    }
    Ok(())
}

/// What a single thread found.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    pub(super) interrupted: bool,
    pub(super) files: usize,
    pub(super) files_skipped: u64,
    pub(super) cut_short: bool,
    pub(super) bytes: u64,
    pub(super) words: u64,
    pub(super) distinct: usize,
    pub(super) seconds: f64,
    pub(super) mb_per_s: f64,
    pub(super) top: Vec<(String, u64)>,
}

impl Counted {
    /// Counts on this thread.
    pub(super) fn run(args: &CountArgs, stop: &Stop) -> Result<Self, Failure> {
        let selection = Selection::find(&args.dirs, args.max_bytes, stop)?;
        let mut progress = Progress::new(selection.bytes);
        let started = Instant::now();
        let mut bytes = 0;
        let table = selection.count(stop, |done| {
            bytes = done;
            progress.at(done, || format!("of {}", amount(selection.bytes)));
        });
        let elapsed = started.elapsed();
        Ok(Counted {
            interrupted: stop.is_set(),
            files: selection.files(),
            files_skipped: selection.skipped,
            cut_short: selection.cut_short,
            bytes,
            words: table.words(),
            distinct: table.distinct(),
            seconds: elapsed.as_secs_f64(),
            mb_per_s: rate(mb(bytes), elapsed),
            top: table.top(args.top),
        })
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "text         {} in {} files, {} left out{}{}",
            amount(self.bytes),
            self.files,
            self.files_skipped,
            if self.cut_short {
                ", cut at --max-bytes"
            } else {
                ""
            },
            if self.interrupted {
                ", interrupted"
            } else {
                ""
            }
        )?;
        writeln!(
            f,
            "words        {}, {} of them distinct",
            self.words, self.distinct
        )?;
        writeln!(
            f,
            "throughput   {:.0} MB/s in {:.2} s",
            self.mb_per_s, self.seconds
        )?;
        write_top(f, &self.top)
    }
}
