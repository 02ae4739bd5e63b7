//! The loop that calls, takes answers, and sees to the workers.
//!
//! A task stays in the ledger from its first call to its answer, so a worker may vanish at any
//! moment: the calls that it had end, and say whether they ran. Those that did not, or may have,
//! are made again. Which worker takes which task is the client's business: by weight, past those
//! without credit.
//!
//! # Invariants
//!
//! 1. Every task is gathered exactly once, whoever dies. (tests
//!    `a_killed_worker_costs_no_word_and_comes_back`, `one_killed_from_outside_is_replaced`)
//! 2. While every worker has credit, tasks are spread exactly by weight. (test
//!    `tasks_within_the_credit_are_spread_exactly_by_weight`)

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use brokerless::client::{Client, NodeReport, NodeState, Pending};
use brokerless::patterns::Options;
use brokerless::{CallError, Ran};
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use hdrhistogram::Histogram;

use super::args::DemoArgs;
use super::crew::Crew;
use super::ledger::Ledger;
use super::progress::Progress;
use super::report::{Killed, Report};
use super::service::{Counts, WordCountClient};
use super::text::{Selection, Task};
use super::{Failure, Stop};

/// How often the loop looks at what makes no sound: signals, processes, the time.
const TICK: Duration = Duration::from_millis(20);
/// How long it waits for one call before it looks at the others.
const LOOK_TIME: Duration = Duration::from_millis(5);
/// An answer that takes longer is taken for lost. Connections that die are noticed sooner.
const TASK_TIME: Duration = Duration::from_secs(10);
/// The longest round trip that is told from longer ones: an hour.
const ROUND_TRIP_MAX_US: u64 = 3_600_000_000;
/// Calls for one task, before it is taken for the reason that workers die.
const SENDINGS_MAX: u32 = 10;
/// Workers that may die of themselves and are started again.
const RESTARTS_MAX: u32 = 5;
/// Workers that listen are connected sooner.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// The heaviest worker is killed at this part of the work, and comes back at that.
const KILL_AT: f64 = 0.35;
const BACK_AT: f64 = 0.55;
/// It comes back by then, whatever the others have done.
const DOWN_TIME: Duration = Duration::from_secs(1);

/// What becomes of the worker to be killed.
#[derive(Debug)]
enum Fate {
    Spared,
    Ahead,
    /// Dead since then.
    Down(Instant),
    /// Started again; not yet connected.
    Starting(Instant),
    /// Connected again.
    Back,
}

/// What came of it, when every answer has been handed on.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) report: Report,
    /// In microseconds.
    pub(super) round_trips: Histogram<u64>,
    /// When the first task was sent.
    pub(super) started: Instant,
}

/// A call in flight.
struct Flight {
    task: u64,
    pending: Pending<Counts>,
}

/// The client, the workers, and what is under way between them.
pub(super) struct Driver<'a> {
    stop: &'a Stop,
    progress: Progress,
    tasks: Receiver<Task>,
    /// Whether the last task has been cut.
    cut_all: bool,
    // Calls and client go before the workers: so none of them is waited for in vain.
    flights: VecDeque<Flight>,
    /// Calls to have in flight: what all workers together take.
    flights_max: usize,
    client: WordCountClient,
    crew: Crew,
    ledger: Ledger,
    answers: Sender<Counts>,
    round_trips: Histogram<u64>,
    report: Report,
    started: Instant,
    last_look: Instant,
    victim: usize,
    fate: Fate,
    restarts: u32,
}

impl<'a> Driver<'a> {
    /// Starts the workers, and begins to connect to them.
    pub(super) fn new(
        args: &DemoArgs,
        stop: &'a Stop,
        selection: &Selection,
        tasks: Receiver<Task>,
        answers: Sender<Counts>,
    ) -> Result<Self, Failure> {
        let weights = &args.workers.0;
        let crew = Crew::start(weights, args.credit, args.transport)?;
        let options = Options::new()
            .reconnect_interval(Duration::from_millis(20))
            .reconnect_interval_max(Duration::from_millis(100));
        let mut client = Client::builder()
            .name("bl-wordcount demo")
            .timeout(TASK_TIME)
            .wait_for_ready(true)
            .options(options);
        for worker in &crew.workers {
            client = client.node(&worker.endpoint, worker.weight);
        }
        let client = client.connect([""; 0]);
        let client = client.map_err(|error| Failure::run(error.to_string()))?;
        let flights_max = crew.workers.iter().map(|worker| worker.window as usize);
        let flights_max = flights_max.sum();
        let report = Report::new(args, selection);
        let victim = (0..weights.len()).rev().max_by_key(|&index| weights[index]);
        let round_trips = Histogram::new_with_bounds(1, ROUND_TRIP_MAX_US, 3);
        Ok(Driver {
            stop,
            progress: Progress::new(report.bytes_in_all),
            tasks,
            cut_all: false,
            flights: VecDeque::new(),
            flights_max,
            client: client.into(),
            crew,
            ledger: Ledger::default(),
            answers,
            round_trips: round_trips.map_err(|error| Failure::run(error.to_string()))?,
            report,
            started: Instant::now(),
            last_look: Instant::now(),
            victim: victim.unwrap_or_default(),
            fate: if args.no_kill {
                Fate::Spared
            } else {
                Fate::Ahead
            },
            restarts: 0,
        })
    }

    fn note(&self, text: &str) {
        log::debug!("{text}");
        self.progress.note(text);
    }

    fn roll_call(&self) -> String {
        let workers = self.crew.workers.iter().map(|worker| {
            let pid = worker.pids.last().copied().unwrap_or_default();
            format!("{} weight {} pid {pid}", worker.name, worker.weight)
        });
        format!("workers: {}", workers.collect::<Vec<_>>().join(", "))
    }

    /// How the client sees a worker.
    fn node(&self, worker: usize) -> Option<NodeReport> {
        let endpoint = &self.crew.workers.get(worker)?.endpoint;
        let mut nodes = self.client.client().stats().nodes.into_iter();
        nodes.find(|node| node.endpoint == *endpoint)
    }

    /// Waits until all workers are connected, so that the first tasks are spread by weight too.
    pub(super) fn connect(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + CONNECT_TIME;
        while !self.stop.is_set() {
            let stats = self.client.client().stats();
            let away = |node: &&NodeReport| node.state != NodeState::Up;
            let Some(missing) = stats.nodes.iter().find(away) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Failure::run(format!(
                    "no connection to the worker at {} within {CONNECT_TIME:?}: {}",
                    missing.endpoint, missing.last_error
                )));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Calls until every task has its answer.
    pub(super) fn drive(&mut self) -> Result<(), Failure> {
        self.note(&self.roll_call());
        self.started = Instant::now();
        while !self.stop.is_set() {
            self.call_some()?;
            if self.cut_all && self.flights.is_empty() && self.ledger.is_settled() {
                return Ok(());
            }
            self.steer()?;
            self.take_some()?;
            self.look_around()?;
        }
        self.note("interrupted: the workers are being stopped");
        Ok(())
    }

    /// Begins calls for as long as there is a task, and room for it.
    fn call_some(&mut self) -> Result<(), Failure> {
        while self.flights.len() < self.flights_max {
            let Some(task) = self.next_task() else {
                return Ok(());
            };
            if self.ledger.sent(&task, Instant::now()) > SENDINGS_MAX {
                return Err(Failure::run(format!(
                    "task {} of {} bytes was called {SENDINGS_MAX} times and got no answer; \
                     RUST_LOG=info tells why",
                    task.id, task.bytes
                )));
            }
            match self.client.begin().count(task.pieces) {
                Ok(pending) => self.flights.push_back(Flight {
                    task: task.id,
                    pending,
                }),
                Err(error) => {
                    self.failed(task.id, &error)?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn next_task(&mut self) -> Option<Task> {
        if let Some(again) = self.ledger.again() {
            return Some(again);
        }
        if self.cut_all {
            return None;
        }
        match self.tasks.try_recv() {
            Ok(task) => Some(task),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.cut_all = true;
                None
            }
        }
    }

    /// Waits for the oldest call, and takes the ends of all that have ended by then.
    fn take_some(&mut self) -> Result<(), Failure> {
        let mut lost = vec![0; self.crew.workers.len()];
        let mut reason = String::new();
        let mut patience = LOOK_TIME;
        if self.flights.is_empty() {
            // The next task is still being cut.
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..self.flights.len() {
            let Some(mut flight) = self.flights.pop_front() else {
                break;
            };
            let end = flight.pending.wait_timeout(patience);
            patience = Duration::ZERO;
            match end {
                // One that is stuck goes behind the others.
                None => self.flights.push_back(flight),
                Some(Ok(counts)) => self.answered(flight.task, counts)?,
                Some(Err(error)) => {
                    if let Some(worker) = self.failed(flight.task, &error)? {
                        lost[worker] += 1;
                        reason = error.to_string();
                    }
                }
            }
        }
        for (worker, lost) in lost.into_iter().enumerate().filter(|(_, lost)| *lost > 0) {
            self.report.stranded(worker, lost);
            let name = self.crew.workers[worker].name;
            self.note(&format!(
                "{name} is lost, {lost} tasks are given out again: {reason}"
            ));
        }
        Ok(())
    }

    /// A call has been answered.
    fn answered(&mut self, task: u64, counts: Counts) -> Result<(), Failure> {
        let workers = &mut self.crew.workers.iter();
        let worker = workers.position(|worker| worker.pids.contains(&counts.pid));
        let Some(worker) = worker else {
            return Err(Failure::run(format!(
                "process {} has answered, and is no worker",
                counts.pid
            )));
        };
        let Some(done) = self.ledger.answered(task, Instant::now()) else {
            return Err(Failure::run(format!("task {task} was answered twice")));
        };
        let micros = u64::try_from(done.round_trip.as_micros()).unwrap_or(u64::MAX);
        self.round_trips.saturating_record(micros);
        self.report.credit(worker, counts.pid, done.bytes);
        let (report, started) = (&self.report, self.started);
        self.progress
            .at(report.bytes, || report.line(started.elapsed()));
        if self.answers.send(counts).is_err() {
            return Err(Failure::run("the answers are no longer gathered"));
        }
        Ok(())
    }

    /// A call has failed: its task is called again, unless the worker has said no. Gives the
    /// worker that may have run it.
    fn failed(&mut self, task: u64, error: &CallError) -> Result<Option<usize>, Failure> {
        log::info!("task {task}: {error}");
        if !self.ledger.failed(task, error.ran()) {
            return Err(Failure::run(format!("task {task} is refused: {error}")));
        }
        let at = error.rpc().and_then(|error| error.node());
        let mut workers = self.crew.workers.iter();
        let worker = workers.position(|worker| Some(&*worker.endpoint) == at);
        Ok(worker.filter(|_| error.ran() == Ran::Maybe))
    }

    /// Kills the heaviest worker when the time has come, and brings it back.
    fn steer(&mut self) -> Result<(), Failure> {
        if matches!(self.fate, Fate::Spared | Fate::Back) {
            return Ok(());
        }
        let part = self.report.bytes as f64 / self.report.bytes_in_all.max(1) as f64;
        let node = self.node(self.victim);
        let in_flight = node.as_ref().map_or(0, |node| node.in_flight);
        let alone = self.crew.workers.len() == 1;
        let victim = &mut self.crew.workers[self.victim];
        match self.fate {
            Fate::Ahead if part >= KILL_AT && in_flight > 0 => {
                let name = victim.name;
                if let Some(pid) = victim.kill() {
                    self.fate = Fate::Down(Instant::now());
                    self.report.killed = Some(Killed::new(name, pid, part));
                    self.note(&format!("{name} (pid {pid}) is killed"));
                }
            }
            Fate::Down(since) if part >= BACK_AT || alone || since.elapsed() >= DOWN_TIME => {
                victim.start()?;
                self.fate = Fate::Starting(since);
            }
            Fate::Starting(since) => {
                let pid = victim.pids.last().copied().unwrap_or_default().to_string();
                // It tells its name when it is connected.
                let back = |node: NodeReport| node.state == NodeState::Up && node.name == pid;
                if node.is_some_and(back) {
                    let name = victim.name;
                    let down = since.elapsed().as_secs_f64();
                    self.fate = Fate::Back;
                    if let Some(killed) = &mut self.report.killed {
                        killed.down_seconds = Some(down);
                    }
                    self.note(&format!("{name} is back after {down:.2} s"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks for workers that died of themselves.
    fn look_around(&mut self) -> Result<(), Failure> {
        if self.last_look.elapsed() < TICK {
            return Ok(());
        }
        self.last_look = Instant::now();
        for (worker, status) in self.crew.ended() {
            let name = self.crew.workers[worker].name;
            let how = match status {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            self.restarts += 1;
            if self.restarts > RESTARTS_MAX {
                return Err(Failure::run(format!(
                    "worker {name} ended ({how}), after {RESTARTS_MAX} others had been started again"
                )));
            }
            self.note(&format!("{name} ended ({how}), and is started again"));
            self.crew.workers[worker].start()?;
        }
        Ok(())
    }

    /// Stops the workers; tells what was done.
    pub(super) fn finish(mut self) -> Driven {
        let stats = self.client.client().stats();
        log::info!("{stats:?}");
        self.report.interrupted = self.stop.is_set();
        for (worker, tally) in self.crew.workers.iter().zip(&mut self.report.workers) {
            tally.pids.clone_from(&worker.pids);
        }
        self.report.tasks = self.ledger.done();
        self.report.sent_again_maybe = self.ledger.may_have_run();
        self.report.sent_again_no = self.ledger.not_run();
        self.report.answered_late = stats.calls.late;
        Driven {
            report: self.report,
            round_trips: self.round_trips,
            started: self.started,
        }
    }
}
