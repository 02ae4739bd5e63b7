//! A worker: its calls take as long as it is told, and none waits for another.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use brokerless::Server;
use brokerless::client::{Call, Client};
use brokerless::service::Responder;
use brokerless_patterns::balance::{Policy, Random};

use crate::harness::process::{self, Process};

const WITHIN: Duration = Duration::from_secs(20);
/// What a call may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// What is called.
#[brokerless::service(name = "bench.naps.v1")]
pub(super) trait Naps {
    /// Answers when its time has come.
    #[rpc(inline)]
    fn nap(&self, answer: Responder<()>);
}

/// How long calls take: normally distributed, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) mean_us: u64,
    pub(super) spread_us: u64,
}

/// The process, as the parent has it.
pub(super) struct Worker {
    process: Process,
    endpoint: String,
}

impl Worker {
    pub(super) fn start(number: usize, pace: Pace) -> Result<Worker> {
        let mut process = Process::start(format!("worker {number}"), ["worker"])?;
        let endpoint = process.ready(WITHIN)?;
        let mut worker = Worker { process, endpoint };
        worker.pace(pace)?;
        Ok(worker)
    }

    /// From now on calls take so long.
    pub(super) fn pace(&mut self, pace: Pace) -> Result<()> {
        let Pace { mean_us, spread_us } = pace;
        self.process
            .ask(&format!("{mean_us} {spread_us}"), WITHIN)?;
        Ok(())
    }

    /// It does nothing any more, and leaves its connections open.
    pub(super) fn stop(&self) -> Result<()> {
        let pid = i32::try_from(self.process.id()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("the worker has no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::STOP)?;
        Ok(())
    }
}

/// A client of these, each of which has answered it.
pub(super) fn client_of(workers: &[Worker], policy: &Policy) -> Result<NapsClient> {
    let endpoints: Vec<&str> = workers.iter().map(|it| it.endpoint.as_str()).collect();
    let client = Client::builder()
        .policy(policy.clone())
        .timeout(TIMEOUT)
        .connect(&endpoints[..])?;
    let naps = NapsClient::from(client);
    for node in naps.client().nodes() {
        naps.with(Call::new().to(&node).wait_for_ready(true))
            .nap()?;
    }
    Ok(naps)
}

/// The process itself.
pub(super) fn play() -> Result<()> {
    let alarm = Arc::new(Alarm::default());
    let paces = Arc::new((AtomicU64::new(1000), AtomicU64::new(0)));
    let ringer = alarm.clone();
    thread::spawn(move || ringer.ring());
    let sleeper = Sleeper {
        alarm,
        paces: paces.clone(),
        random: Mutex::new(Random::new(std::process::id().into())),
    };
    let server = Server::builder()
        .service(NapsServer::new(sleeper))
        .bind("tcp://127.0.0.1:*")?;
    let endpoints = server.local_endpoints();
    let endpoint = endpoints.first().context("no endpoint")?;
    process::say_ready(&endpoint.to_string())?;
    process::answer_the_parent(|line| {
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        let (Some(Ok(mean)), Some(Ok(spread))) = (numbers.next(), numbers.next()) else {
            bail!("a pace is two numbers: {line:?}");
        };
        paces.0.store(mean, Ordering::Relaxed);
        paces.1.store(spread, Ordering::Relaxed);
        Ok("ok".to_owned())
    })
}

struct Sleeper {
    alarm: Arc<Alarm>,
    paces: Arc<(AtomicU64, AtomicU64)>,
    random: Mutex<Random>,
}

impl Naps for Sleeper {
    fn nap(&self, answer: Responder<()>) {
        let mean = self.paces.0.load(Ordering::Relaxed) as f64;
        let spread = self.paces.1.load(Ordering::Relaxed) as f64;
        let us = mean + spread * self.normal();
        let due = Instant::now() + Duration::from_secs_f64((us / 1e6).max(0.0));
        self.alarm.set(due, answer);
    }
}

impl Sleeper {
    /// One of a standard normal distribution, by Box and Muller.
    fn normal(&self) -> f64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let (one, two) = (1.0 - random.unit(), random.unit());
        (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos()
    }
}

/// Answers that have their time.
#[derive(Default)]
struct Alarm {
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    answers: Vec<Option<Responder<()>>>,
    free: Vec<usize>,
}

impl Alarm {
    fn set(&self, at: Instant, answer: Responder<()>) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let place = table.free.pop().unwrap_or(table.answers.len());
        match table.answers.get_mut(place) {
            Some(free) => *free = Some(answer),
            None => table.answers.push(Some(answer)),
        }
        let first = table
            .due
            .peek()
            .is_none_or(|Reverse((first, _))| at < *first);
        table.due.push(Reverse((at, place)));
        drop(table);
        if first {
            self.changed.notify_one();
        }
    }

    /// Answers each when its time has come. Without end.
    fn ring(&self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            match table.due.peek().map(|Reverse((at, _))| *at) {
                Some(at) if at <= now => {
                    let place = table.due.pop().map_or(0, |Reverse((_, place))| place);
                    let answer = table.answers.get_mut(place).and_then(Option::take);
                    table.free.push(place);
                    drop(table);
                    if let Some(answer) = answer {
                        answer.send(());
                    }
                    table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
                }
                Some(at) => {
                    let waited = self.changed.wait_timeout(table, at - now);
                    table = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    let waited = self.changed.wait(table);
                    table = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}
