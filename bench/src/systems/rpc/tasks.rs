//! The driving end of systems that are async: one single-threaded runtime, a task for each call in flight.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, yield_now};

use super::{check_item, check_length, check_sum};
use crate::harness::calls::{
    Calls, NUMBERS_A_STREAM, PAYLOADS_A_STREAM, PAYLOADS_IN_FLIGHT, POOL_WORKERS, Runs,
};
use crate::harness::open::{IN_FLIGHT, Latencies, Open, Schedule};
use crate::harness::scenario::{Load, Workload};
use crate::harness::slice::{Laps, Meter, Outcome, Plan, Share, shares_outcome};
use crate::systems::Driver;

/// A client whose clones share its connection.
pub(super) trait Client: Clone + Send + 'static {
    type Payload: Send + 'static;

    fn add(&self, runs: Runs, x: i64, y: i64) -> impl Future<Output = Result<i64>> + Send;

    fn slow(&self, x: i64, y: i64) -> impl Future<Output = Result<i64>> + Send;

    fn echo(&self, payload: Self::Payload) -> impl Future<Output = Result<Self::Payload>> + Send;

    /// A stream of so many numbers from the server, for as long as `took` wants more of them.
    fn numbers(
        &self,
        count: u64,
        took: impl FnMut(i64) -> Result<()> + Send,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The same, of payloads.
    fn payloads(
        &self,
        count: u64,
        bytes: usize,
        took: impl FnMut(Self::Payload) -> Result<()> + Send,
    ) -> impl Future<Output = Result<()>> + Send;

    /// A stream both ways: one item a lap.
    fn ping_pong(&self, laps: &mut Laps) -> impl Future<Output = Result<()>> + Send;

    fn payload(bytes: usize) -> Self::Payload;

    fn length(payload: &Self::Payload) -> usize;
}

/// What both can: everything, but that a pool with a name of its own is the one that they have, and that a task for each
/// of many calls is what `Calls::Threads` is.
pub(super) fn can(workload: &Workload) -> bool {
    !matches!(
        workload.load,
        Load::Call(Calls::Unary(Runs::InNamedPool) | Calls::Scatter(_))
    )
}

/// The runtime of either side.
pub(super) fn runtime(calls: Calls) -> Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    if calls.shares_a_pool() {
        builder.max_blocking_threads(POOL_WORKERS);
    }
    builder.enable_all().build().context("building a runtime")
}

/// Connects by means of `connect`, within the runtime that the client then stays in.
pub(super) fn driver<C: Client>(
    calls: Calls,
    connect: impl Future<Output = Result<C>>,
) -> Result<Box<dyn Driver>> {
    let runtime = runtime(calls)?;
    let client = runtime.block_on(async {
        let client = connect.await?;
        check_sum(client.add(Runs::Inline, 1, 1).await?, 1)?;
        anyhow::Ok(client)
    })?;
    Ok(Box::new(Tasks {
        runtime,
        client,
        calls,
    }))
}

struct Tasks<C> {
    runtime: Runtime,
    client: C,
    calls: Calls,
}

impl<C: Client> Driver for Tasks<C> {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let client = &self.client;
        self.runtime.block_on(async {
            match self.calls {
                Calls::Unary(runs) => one_at_a_time(client, runs, plan).await,
                Calls::Beside(_) => one_at_a_time(client, Runs::InPool, plan).await,
                Calls::Threads(tasks) | Calls::Pipelined(tasks) => {
                    in_flight(client, tasks, plan, |client, number| async move {
                        check_sum(client.add(Runs::Inline, number, 1).await?, number)
                    })
                    .await
                }
                Calls::Slow(tasks) => {
                    in_flight(client, tasks, plan, |client, number| async move {
                        check_sum(client.slow(number, 1).await?, number)
                    })
                    .await
                }
                Calls::Payload(bytes) => payloads(client, bytes, plan).await,
                Calls::Numbers => numbers(client, plan).await,
                Calls::Payloads(bytes) => streamed_payloads(client, bytes, plan).await,
                Calls::PingPong => {
                    let mut laps = Laps::start(plan)?;
                    client.ping_pong(&mut laps).await?;
                    Ok(laps.outcome())
                }
                Calls::Open | Calls::Scatter(_) => {
                    bail!("{:?} has no slices of this kind", self.calls)
                }
            }
        })
    }

    fn open(&mut self, schedule: &Schedule) -> Result<Latencies> {
        self.runtime.block_on(open_loop(&self.client, schedule))
    }
}

async fn one_at_a_time<C: Client>(client: &C, runs: Runs, plan: &Plan) -> Result<Outcome> {
    let mut laps = Laps::start(plan)?;
    let mut number = 0;
    while laps.running() {
        number += 1;
        check_sum(client.add(runs, number, 1).await?, number)?;
        laps.lap();
    }
    Ok(laps.outcome())
}

/// So many tasks, each of which waits for its own calls.
async fn in_flight<C, F, W>(client: &C, tasks: usize, plan: &Plan, call: F) -> Result<Outcome>
where
    C: Client,
    F: Fn(C, i64) -> W + Copy + Send + 'static,
    W: Future<Output = Result<()>> + Send,
{
    let started = Instant::now();
    let mut set = JoinSet::new();
    for _ in 0..tasks {
        let (client, mut share) = (client.clone(), Share::start(plan, started));
        set.spawn(async move {
            let mut number = 0;
            while share.running() {
                number += 1;
                call(client.clone(), number).await?;
                share.lap();
            }
            anyhow::Ok(share.counted())
        });
    }
    sum(set, plan).await
}

async fn payloads<C: Client>(client: &C, bytes: usize, plan: &Plan) -> Result<Outcome> {
    let started = Instant::now();
    let mut set = JoinSet::new();
    for _ in 0..PAYLOADS_IN_FLIGHT {
        let (client, mut share) = (client.clone(), Share::start(plan, started));
        set.spawn(async move {
            let mut payload = C::payload(bytes);
            while share.running() {
                payload = client.echo(payload).await?;
                check_length(C::length(&payload), bytes)?;
                share.lap();
            }
            anyhow::Ok(share.counted())
        });
    }
    sum(set, plan).await
}

async fn numbers<C: Client>(client: &C, plan: &Plan) -> Result<Outcome> {
    let mut meter = Meter::start(plan, 64);
    while meter.running() {
        let mut next = 0;
        let take = |number| {
            check_item(number, next)?;
            next += 1;
            meter.add(1);
            Ok(())
        };
        client.numbers(NUMBERS_A_STREAM, take).await?;
        check_item(next, NUMBERS_A_STREAM as i64)?;
    }
    Ok(meter.outcome())
}

async fn streamed_payloads<C: Client>(client: &C, bytes: usize, plan: &Plan) -> Result<Outcome> {
    let mut meter = Meter::start(plan, 1);
    while meter.running() {
        let mut items = 0;
        let take = |payload| {
            check_length(C::length(&payload), bytes)?;
            items += 1;
            meter.add(1);
            Ok(())
        };
        client.payloads(PAYLOADS_A_STREAM, bytes, take).await?;
        check_item(items, PAYLOADS_A_STREAM as i64)?;
    }
    Ok(meter.outcome())
}

async fn sum(mut set: JoinSet<Result<u64>>, plan: &Plan) -> Result<Outcome> {
    let mut counted = 0;
    while let Some(joined) = set.join_next().await {
        counted += joined.context("a calling task panicked")??;
    }
    Ok(shares_outcome(plan, counted))
}

async fn open_loop<C: Client>(client: &C, schedule: &Schedule) -> Result<Latencies> {
    let open = Arc::new(Mutex::new(Open::start(schedule)?));
    let lock = || open.lock().unwrap_or_else(PoisonError::into_inner);
    let mut set = JoinSet::new();
    let mut number = 0;
    loop {
        let now = Instant::now();
        while set.len() < IN_FLIGHT {
            let Some(due) = lock().due(now) else { break };
            number += 1;
            let (client, open) = (client.clone(), Arc::clone(&open));
            set.spawn(async move {
                check_sum(client.add(Runs::Inline, number, 1).await?, number)?;
                let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                open.answered(due, Instant::now());
                anyhow::Ok(())
            });
        }
        while let Some(joined) = set.try_join_next() {
            joined.context("a calling task panicked")??;
        }
        if set.is_empty() && lock().is_over(Instant::now()) {
            return Ok(lock().latencies());
        }
        yield_now().await;
    }
}
