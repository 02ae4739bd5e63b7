//! Who sees to the workers while the work goes on: kills one of them, starts again what died, shows
//! how far it is, and ends it all when the user wants an end.
//!
//! # Invariants
//!
//! 1. Every task is gathered exactly once, whoever dies, stops or is slow. (tests
//!    `a_killed_worker_costs_no_word_and_comes_back`, `one_killed_from_outside_is_replaced`,
//!    `one_stopped_one_killed_and_one_slow_cost_no_word_and_little_time`)

use std::time::{Duration, Instant};

use brokerless::client::{NodeReport, NodeState};
use brokerless::scatter::Canceller;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use parking_lot::Mutex;

use super::args::DemoArgs;
use super::board::Board;
use super::crew::Crew;
use super::heart::WordCountClient;
use super::progress::Progress;
use super::report::Killed;
use super::{Failure, Stop};

/// How often it looks around.
const TICK: Duration = Duration::from_millis(20);
/// Workers that listen are connected sooner.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// Workers that may die of themselves and are started again.
const RESTARTS_MAX: u32 = 5;
/// The heaviest worker is killed at this part of the work, and comes back at that.
pub(super) const KILL_AT: f64 = 0.35;
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

/// Sees to the workers.
pub(super) struct Minder<'a> {
    pub(super) crew: Crew,
    client: WordCountClient,
    board: &'a Mutex<Board>,
    stop: &'a Stop,
    canceller: Canceller,
    progress: Progress,
    victim: usize,
    fate: Fate,
    restarts: u32,
    /// Calls that were in flight at each worker when it was lost.
    lost: Vec<u64>,
}

impl<'a> Minder<'a> {
    pub(super) fn new(
        args: &DemoArgs,
        crew: Crew,
        client: &WordCountClient,
        board: &'a Mutex<Board>,
        stop: &'a Stop,
        canceller: &Canceller,
    ) -> Self {
        let weights = &args.workers.0;
        let victim = (0..weights.len()).rev().max_by_key(|&index| weights[index]);
        let total = board.lock().report.bytes_in_all;
        Minder {
            client: client.clone(),
            board,
            stop,
            canceller: canceller.clone(),
            progress: Progress::new(total),
            victim: victim.unwrap_or_default(),
            fate: if args.no_kill {
                Fate::Spared
            } else {
                Fate::Ahead
            },
            restarts: 0,
            lost: vec![0; crew.workers.len()],
            crew,
        }
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

    /// Waits until all workers are connected, so that none has a start on the others.
    pub(super) fn connect(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + CONNECT_TIME;
        while !self.stop.is_set() {
            let stats = self.client.client().stats();
            let away = |node: &&NodeReport| node.state != NodeState::Up;
            let Some(missing) = stats.nodes.iter().find(away) else {
                break;
            };
            if Instant::now() >= deadline {
                return Err(Failure::run(format!(
                    "no connection to the worker at {} within {CONNECT_TIME:?}: {}",
                    missing.endpoint, missing.last_error
                )));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.note(&self.roll_call());
        Ok(())
    }

    /// Looks around now and then, and when it is called, until the work is over: the channel ends
    /// then. What cannot go on is cancelled.
    pub(super) fn mind(&mut self, calls: &Receiver<()>) -> Result<(), Failure> {
        let mut minded = Ok(());
        while calls.recv_timeout(TICK) != Err(RecvTimeoutError::Disconnected) {
            if self.canceller.is_cancelled() {
                continue;
            }
            minded = self.look_around();
            if minded.is_err() {
                self.canceller.cancel();
            }
            if self.stop.is_set() {
                self.note("interrupted: the workers are being stopped");
                self.canceller.cancel();
            }
        }
        self.tell_of_the_lost(&self.client.client().stats().nodes);
        let mut board = self.board.lock();
        board.report.interrupted = self.stop.is_set();
        for (worker, tally) in self.crew.workers.iter().zip(&mut board.report.workers) {
            tally.pids.clone_from(&worker.pids);
        }
        minded
    }

    fn look_around(&mut self) -> Result<(), Failure> {
        let stats = self.client.client().stats();
        self.tell_of_the_lost(&stats.nodes);
        self.steer(&stats.nodes)?;
        self.start_again()?;
        let (done, rows, line) = {
            let board = self.board.lock();
            (board.report.bytes, board.rows(&stats), board.line())
        };
        self.progress.table(done, &rows, &line);
        Ok(())
    }

    /// Says whose connection has ended, and how many tasks it had.
    fn tell_of_the_lost(&mut self, nodes: &[NodeReport]) {
        for (index, worker) in self.crew.workers.iter().enumerate() {
            let node = nodes.iter().find(|node| node.endpoint == worker.endpoint);
            let (Some(node), Some(before)) = (node, self.lost.get_mut(index)) else {
                continue;
            };
            let lost = node
                .lost
                .saturating_sub(std::mem::replace(before, node.lost));
            if lost == 0 {
                continue;
            }
            self.board.lock().report.stranded(index, lost);
            let (name, why) = (worker.name, &node.last_error);
            self.progress.note(&format!(
                "{name} is lost, {lost} tasks are given out again: {why}"
            ));
        }
    }

    /// Kills the heaviest worker when the time has come, and brings it back.
    fn steer(&mut self, nodes: &[NodeReport]) -> Result<(), Failure> {
        if matches!(self.fate, Fate::Spared | Fate::Back) {
            return Ok(());
        }
        let part = self.board.lock().part();
        let alone = self.crew.workers.len() == 1;
        let Some(victim) = self.crew.workers.get_mut(self.victim) else {
            return Ok(());
        };
        let node = nodes.iter().find(|node| node.endpoint == victim.endpoint);
        let in_flight = node.map_or(0, |node| node.in_flight);
        let name = victim.name;
        match self.fate {
            Fate::Ahead if part >= KILL_AT && in_flight > 0 => {
                if let Some(pid) = victim.kill() {
                    self.fate = Fate::Down(Instant::now());
                    self.board.lock().report.killed = Some(Killed::new(name, pid, part));
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
                let back = |node: &NodeReport| node.state == NodeState::Up && node.name == pid;
                if node.is_some_and(back) {
                    let down = since.elapsed().as_secs_f64();
                    self.fate = Fate::Back;
                    if let Some(killed) = &mut self.board.lock().report.killed {
                        killed.down_seconds = Some(down);
                    }
                    self.note(&format!("{name} is back after {down:.2} s"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Starts workers again that died of themselves.
    fn start_again(&mut self) -> Result<(), Failure> {
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
}
