//! The loop that sends tasks, receives answers, and sees to the workers.
//!
//! A task stays in the ledger from its first sending to its first answer, so a worker may vanish
//! at any moment: when its connection ends, what it had is given to the others. The loop hands
//! answers on without reading more than their head. Were they to queue up here, the socket would
//! take as much from every worker, and each would seem as fast as any other.
//!
//! # Invariants
//!
//! 1. Every task is gathered exactly once, whoever dies. (tests
//!    `a_killed_worker_costs_no_word_and_comes_back`, `one_killed_from_outside_is_replaced`)
//! 2. While every worker has credit, tasks are spread exactly by weight. (test
//!    `tasks_within_the_credit_are_spread_exactly_by_weight`)

use std::time::{Duration, Instant};

use brokerless::patterns::{Event, Message, Options, RecvError, Server, WeightedDealer};
use crossbeam_channel::{Receiver, Sender, TryRecvError};
use hdrhistogram::Histogram;

use super::args::DemoArgs;
use super::crew::Crew;
use super::ledger::{Answer, Ledger};
use super::progress::Progress;
use super::report::{Killed, Report};
use super::text::{Selection, Task};
use super::wire::{self, AnswerHead};
use super::{Failure, Stop};

/// How often the loop looks at what makes no sound: signals, processes, the time.
const TICK: Duration = Duration::from_millis(20);
/// An answer that takes longer is taken for lost. Connections that die are noticed sooner.
const TASK_TIME: Duration = Duration::from_secs(10);
/// The longest round trip that is told from longer ones: an hour.
const ROUND_TRIP_MAX_US: u64 = 3_600_000_000;
/// Sendings of one task, before it is taken for the reason that workers die.
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

/// The socket, the workers, and what is under way between them.
pub(super) struct Driver<'a> {
    stop: &'a Stop,
    progress: Progress,
    tasks: Receiver<Result<Task, Failure>>,
    /// Whether the last task has been cut.
    cut_all: bool,
    /// A task that nobody could take yet.
    held: Option<Task>,
    // The socket goes before the workers: so none of them is waited for in vain.
    pool: WeightedDealer,
    monitor: Receiver<Event>,
    servers: Vec<Server>,
    crew: Crew,
    ledger: Ledger,
    answers: Sender<(AnswerHead, Message)>,
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
        tasks: Receiver<Result<Task, Failure>>,
        answers: Sender<(AnswerHead, Message)>,
    ) -> Result<Self, Failure> {
        let socket = |error: brokerless::patterns::Error| Failure::run(error.to_string());
        let weights = &args.workers.0;
        let crew = Crew::start(weights, args.transport)?;
        // What is left for a dead worker at the end is of no use to anybody.
        let options = Options::new()
            .linger(Some(Duration::ZERO))
            .reconnect_interval(Duration::from_millis(20))
            .reconnect_interval_max(Duration::from_millis(100));
        let pool = WeightedDealer::with(options).map_err(socket)?;
        let monitor = pool.monitor();
        let mut servers = Vec::new();
        for worker in &crew.workers {
            let server = pool.add(&worker.endpoint, worker.weight).map_err(socket)?;
            pool.set_credit(&server, Some(args.credit * worker.weight));
            servers.push(server);
        }
        let report = Report::new(args, selection);
        let victim = (0..weights.len()).rev().max_by_key(|&index| weights[index]);
        let round_trips = Histogram::new_with_bounds(1, ROUND_TRIP_MAX_US, 3);
        Ok(Driver {
            stop,
            progress: Progress::new(report.bytes_in_all),
            tasks,
            cut_all: false,
            held: None,
            pool,
            monitor,
            servers,
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

    /// Waits until all workers are connected, so that the first tasks are spread by weight too.
    pub(super) fn connect(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + CONNECT_TIME;
        while !self.stop.is_set() {
            let servers = self.pool.servers();
            let Some(missing) = servers.iter().find(|server| !server.connected) else {
                return Ok(());
            };
            if Instant::now() >= deadline {
                return Err(Failure::run(format!(
                    "no connection to the worker at {} within {CONNECT_TIME:?}",
                    missing.server.endpoint()
                )));
            }
            if let Ok(event) = self.monitor.recv_timeout(TICK) {
                self.heed(&event)?;
            }
        }
        Ok(())
    }

    /// Sends and receives until every task has its answer.
    pub(super) fn drive(&mut self) -> Result<(), Failure> {
        self.note(&self.roll_call());
        self.started = Instant::now();
        while !self.stop.is_set() {
            while let Ok(event) = self.monitor.try_recv() {
                self.heed(&event)?;
            }
            self.send_some()?;
            if self.cut_all && self.held.is_none() && self.ledger.is_settled() {
                return Ok(());
            }
            self.steer()?;
            match self.pool.recv_timeout(TICK) {
                Ok((server, message)) => self.take(&server, message)?,
                Err(RecvError::Timeout) => {}
                Err(error) => return Err(Failure::run(error.to_string())),
            }
            self.look_around()?;
        }
        self.note("interrupted: the workers are being stopped");
        Ok(())
    }

    /// Sends tasks for as long as somebody can take one.
    fn send_some(&mut self) -> Result<(), Failure> {
        while let Some(task) = self.next_task()? {
            match self.pool.try_send(task.message.clone()) {
                Ok(server) => {
                    let Some(worker) = self.index(&server) else {
                        continue; // no server is ever taken out
                    };
                    if self.ledger.sent(&task, worker, Instant::now()) > SENDINGS_MAX {
                        return Err(Failure::run(format!(
                            "task {} of {} bytes was sent {SENDINGS_MAX} times without an \
                             answer; RUST_LOG=info tells why",
                            task.id, task.bytes
                        )));
                    }
                }
                Err(refused) if refused.is_full() => {
                    self.held = Some(task);
                    return Ok(());
                }
                Err(refused) => return Err(Failure::run(refused.to_string())),
            }
        }
        Ok(())
    }

    fn next_task(&mut self) -> Result<Option<Task>, Failure> {
        if let Some(held) = self.held.take()
            && !self.ledger.is_done(held.id)
        {
            return Ok(Some(held));
        }
        if let Some(again) = self.ledger.again() {
            return Ok(Some(again));
        }
        if self.cut_all {
            return Ok(None);
        }
        match self.tasks.try_recv() {
            Ok(task) => task.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => {
                self.cut_all = true;
                Ok(None)
            }
        }
    }

    /// Takes an answer.
    fn take(&mut self, server: &Server, message: Message) -> Result<(), Failure> {
        let Some(worker) = self.index(server) else {
            return Ok(());
        };
        let name = self.crew.workers[worker].name;
        let head = match wire::read_answer(&message) {
            Ok(head) => head,
            Err(why) => {
                log::warn!("worker {name} sent no answer: {why}");
                return Ok(());
            }
        };
        if let Some(why) = &head.refused {
            return Err(Failure::run(format!(
                "worker {name} refuses task {}: {why}",
                head.task
            )));
        }
        match self.ledger.answered(head.task, Instant::now()) {
            Answer::First { bytes, round_trip } => {
                let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
                self.round_trips.saturating_record(micros);
                self.report.credit(worker, head.pid, bytes);
                let (report, started) = (&self.report, self.started);
                self.progress
                    .at(report.bytes, || report.line(started.elapsed()));
                if self.answers.send((head, message)).is_err() {
                    return Err(Failure::run("the answers are no longer gathered"));
                }
            }
            Answer::Twice => log::debug!("worker {name} answered task {} again", head.task),
            Answer::Unasked => log::warn!("worker {name} answered a task that was never sent"),
        }
        Ok(())
    }

    /// Heeds what happened to a connection.
    fn heed(&mut self, event: &Event) -> Result<(), Failure> {
        log::info!("{event:?}");
        match event {
            Event::Disconnected { peer, reason, .. } => {
                if let Some(worker) = self.index_of_peer(*peer) {
                    self.give_up_on(worker, &reason.to_string());
                }
            }
            Event::Connected { peer, .. } => {
                if let Fate::Starting(since) = self.fate
                    && self.index_of_peer(*peer) == Some(self.victim)
                {
                    self.fate = Fate::Back;
                    let down = since.elapsed();
                    let name = self.crew.workers[self.victim].name;
                    self.note(&format!("{name} is back after {:.2} s", down.as_secs_f64()));
                    if let Some(killed) = &mut self.report.killed {
                        killed.down_seconds = Some(down.as_secs_f64());
                    }
                }
            }
            Event::GivenUp { endpoint } => {
                return Err(Failure::run(format!(
                    "what listens at {endpoint} refuses to talk to a DEALER; RUST_LOG=info tells why"
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// What a worker has not answered goes to the others.
    fn give_up_on(&mut self, worker: usize, reason: &str) {
        let stranded = self.ledger.lost(worker);
        self.pool.forgive(&self.servers[worker]);
        self.report.stranded(worker, stranded as u64);
        let name = self.crew.workers[worker].name;
        self.note(&format!(
            "{name} is lost, {stranded} tasks are given out again: {reason}"
        ));
    }

    /// Kills the heaviest worker when the time has come, and brings it back.
    fn steer(&mut self) -> Result<(), Failure> {
        let part = self.report.bytes as f64 / self.report.bytes_in_all.max(1) as f64;
        let victim = &mut self.crew.workers[self.victim];
        match self.fate {
            Fate::Ahead if part >= KILL_AT && self.ledger.outstanding(self.victim) > 0 => {
                let name = victim.name;
                if let Some(pid) = victim.kill() {
                    self.fate = Fate::Down(Instant::now());
                    self.report.killed = Some(Killed::new(name, pid, part));
                    self.note(&format!("{name} (pid {pid}) is killed"));
                }
            }
            Fate::Down(since)
                if part >= BACK_AT || self.servers.len() == 1 || since.elapsed() >= DOWN_TIME =>
            {
                victim.start()?;
                self.fate = Fate::Starting(since);
            }
            _ => {}
        }
        Ok(())
    }

    /// Looks for workers that died of themselves, and for answers that do not come.
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
        for worker in self.ledger.overdue(Instant::now(), TASK_TIME) {
            self.give_up_on(worker, &format!("no answer for {TASK_TIME:?}"));
        }
        Ok(())
    }

    /// Stops the workers; tells what was done.
    pub(super) fn finish(mut self) -> Driven {
        log::info!("{:?}", self.pool.stats());
        self.report.interrupted = self.stop.is_set();
        for (worker, tally) in self.crew.workers.iter().zip(&mut self.report.workers) {
            tally.pids.clone_from(&worker.pids);
        }
        self.report.tasks = self.ledger.done();
        self.report.sent_again = self.ledger.sent_again();
        self.report.answered_twice = self.ledger.twice();
        Driven {
            report: self.report,
            round_trips: self.round_trips,
            started: self.started,
        }
    }

    fn index(&self, server: &Server) -> Option<usize> {
        self.servers.iter().position(|known| known == server)
    }

    fn index_of_peer(&self, peer: u64) -> Option<usize> {
        self.index(&self.pool.server(peer)?)
    }
}
