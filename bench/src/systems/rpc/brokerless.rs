//! Ourselves: a `#[service]` behind a `Server`, and its client, with default options.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use brokerless::client::Pending;
use brokerless::server::{Pool, Server};
use brokerless::service::{Incoming, Items};
use brokerless::{Blob, Policy, scatter};

use super::{calls, check_item, check_length, check_sum};
use crate::harness::calls::{
    Calls, NODES, NUMBERS_A_STREAM, PAYLOADS_A_STREAM, PAYLOADS_IN_FLIGHT, POOL_WORKERS, Runs, SLOW,
};
use crate::harness::open::{IN_FLIGHT, Latencies, Open, Schedule};
use crate::harness::scenario::{Load, Transport, Workload};
use crate::harness::slice::{Laps, Meter, Outcome, Plan, Refill, Share, shares_outcome};
use crate::systems::{Driver, System, spawn_server};

/// Ourselves, and what we are measured against besides others.
#[derive(Debug)]
pub(crate) struct Brokerless {
    name: &'static str,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As it comes.
    Default,
    /// Tasks are not scattered, but begun one by one and waited for in order.
    ByHand,
    /// Nodes are called in turn, whatever is known of them.
    InTurn,
}

impl Brokerless {
    pub(crate) const DEFAULT: Brokerless = Brokerless {
        name: "brokerless",
        way: Way::Default,
    };
    /// What scattering is measured against.
    pub(crate) const BY_HAND: Brokerless = Brokerless {
        name: "by-hand",
        way: Way::ByHand,
    };
    /// What the default policy is measured against.
    pub(crate) const IN_TURN: Brokerless = Brokerless {
        name: "in-turn",
        way: Way::InTurn,
    };
}

impl System for Brokerless {
    fn name(&self) -> &'static str {
        self.name
    }

    fn can(&self, workload: &Workload) -> bool {
        let Load::Call(calls) = workload.load else {
            return false;
        };
        match self.way {
            Way::Default => true,
            Way::ByHand => matches!(calls, Calls::Scatter(_)),
            Way::InTurn => {
                workload.transport == Transport::Tcp
                    && matches!(
                        calls,
                        Calls::Unary(_) | Calls::Threads(_) | Calls::Pipelined(_)
                    )
            }
        }
    }

    fn notes(&self) -> &'static [&'static str] {
        &[
            "brokerless: default options, but for slow_neighbour*, whose pool has as many workers as everybody's",
            "brokerless, unary_threads_64: all threads share one client and its one connection",
            "brokerless, scatter_100: all begun at once, to the node that the client's policy picks; by-hand: the same by begin and wait",
            "in-turn: brokerless with the policy round-robin, as the default one knows more of each call",
            "brokerless, pooled: the default pool, whose threads receive calls themselves; named pool: threads of its own",
            "brokerless, tcp: chooses reno on the loopback; all others have the kernel's default \
             (/proc/sys/net/ipv4/tcp_congestion_control), which matters to payload_* where that is BBR",
        ]
    }

    fn serve(
        &self,
        load: Load,
        endpoint: &str,
        ready: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        // The library's word for any free port.
        let endpoint = endpoint.replace("127.0.0.1:0", "127.0.0.1:*");
        let calls = calls(load)?;
        let nodes = match calls {
            Calls::Scatter(_) => NODES,
            _ => 1,
        };
        let mut servers = Vec::with_capacity(nodes);
        for _ in 0..nodes {
            servers.push(server(calls, &endpoint)?);
        }
        let bound = servers.iter().flat_map(Server::local_endpoints);
        let bound: Vec<String> = bound.map(|endpoint| endpoint.to_string()).collect();
        ready(&bound.join(SEPARATOR))?;
        let server = servers.pop().context("no node at all")?;
        let report = server.run();
        bail!("the server ended: {report:?}")
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        let nodes: Vec<&str> = endpoint.split(SEPARATOR).collect();
        let policy = match self.way {
            Way::InTurn => Policy::round_robin(),
            Way::Default | Way::ByHand => Policy::adaptive(),
        };
        let client: CalculatorClient = brokerless::Client::builder()
            .policy(policy)
            .connect(nodes)?
            .into();
        check_sum(client.add(1, 1)?, 1)?;
        Ok(Box::new(Client {
            client,
            calls: calls(load)?,
            by_hand: self.way == Way::ByHand,
            number: 0,
        }))
    }

    fn inproc(&self, server_core: usize) -> Result<Box<dyn Driver>> {
        const ENDPOINT: &str = "inproc://bench";
        let calls = Calls::Unary(Runs::Inline);
        let (bound, is_bound) = mpsc::channel();
        // Built where it runs, so that its threads inherit the core.
        spawn_server(server_core, move || {
            let server = server(calls, ENDPOINT)?;
            bound.send(())?;
            let report = server.run();
            bail!("the server ended: {report:?}")
        })?;
        is_bound.recv().context("the server thread ended")?;
        self.connect(Load::Call(calls), ENDPOINT)
    }
}

/// Between the endpoints of several nodes.
const SEPARATOR: &str = ",";

fn server(calls: Calls, endpoint: &str) -> Result<Server> {
    let mut builder = Server::builder()
        .service(CalculatorServer::new(Calc))
        .pool("own", Pool::new());
    if calls.shares_a_pool() {
        builder = builder.workers(POOL_WORKERS);
    }
    Ok(builder.bind(endpoint)?)
}

/// What is called.
#[brokerless::service(name = "calc.v1")]
trait Calculator {
    #[rpc(inline)]
    fn add(&self, x: i64, y: i64) -> i64;
    fn add_pooled(&self, x: i64, y: i64) -> i64;
    #[rpc(pool = "own")]
    fn add_apart(&self, x: i64, y: i64) -> i64;
    fn slow(&self, x: i64, y: i64) -> i64;
    #[rpc(inline)]
    fn echo(&self, payload: Blob) -> Blob;
    fn numbers(&self, count: u64) -> Items<'_, i64>;
    fn payloads(&self, count: u64, bytes: u64) -> Items<'_, Blob>;
    fn ping_pong(&self, numbers: Incoming<i64>) -> Items<'_, i64>;
}

struct Calc;

impl Calculator for Calc {
    fn add(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn add_pooled(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn add_apart(&self, x: i64, y: i64) -> i64 {
        x + y
    }

    fn slow(&self, x: i64, y: i64) -> i64 {
        thread::sleep(SLOW);
        x + y
    }

    fn echo(&self, payload: Blob) -> Blob {
        payload
    }

    fn numbers(&self, count: u64) -> Items<'_, i64> {
        Items::new(0..count as i64)
    }

    fn payloads(&self, count: u64, bytes: u64) -> Items<'_, Blob> {
        let payload = Blob::from(vec![0x5a; bytes as usize]);
        Items::new((0..count).map(move |_| payload.clone()))
    }

    fn ping_pong(&self, numbers: Incoming<i64>) -> Items<'_, i64> {
        Items::fallible(numbers)
    }
}

struct Client {
    client: CalculatorClient,
    calls: Calls,
    by_hand: bool,
    number: i64,
}

impl Driver for Client {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let client = &self.client;
        match self.calls {
            Calls::Unary(Runs::Inline) => {
                one_at_a_time(&mut self.number, plan, |x| Ok(client.add(x, 1)?))
            }
            Calls::Unary(Runs::InPool) | Calls::Beside(_) => {
                one_at_a_time(&mut self.number, plan, |x| Ok(client.add_pooled(x, 1)?))
            }
            Calls::Unary(Runs::InNamedPool) => {
                one_at_a_time(&mut self.number, plan, |x| Ok(client.add_apart(x, 1)?))
            }
            Calls::Threads(callers) => threads(callers, plan, |x| Ok(client.add(x, 1)?)),
            Calls::Slow(callers) => threads(callers, plan, |x| Ok(client.slow(x, 1)?)),
            Calls::Pipelined(in_flight) => pipelined(client, in_flight, &mut self.number, plan),
            Calls::Payload(bytes) => payloads(client, bytes, plan),
            Calls::Numbers => numbers(client, plan),
            Calls::Payloads(bytes) => streamed_payloads(client, bytes, plan),
            Calls::PingPong => ping_pong(client, plan),
            Calls::Scatter(tasks) if self.by_hand => begun_by_hand(client, tasks, plan),
            Calls::Scatter(tasks) => scattered(client, tasks, plan),
            Calls::Open => bail!("an open loop has no slices of this kind"),
        }
    }

    fn open(&mut self, schedule: &Schedule) -> Result<Latencies> {
        open_loop(&self.client, &mut self.number, schedule)
    }
}

fn one_at_a_time(
    number: &mut i64,
    plan: &Plan,
    add: impl Fn(i64) -> Result<i64>,
) -> Result<Outcome> {
    let mut laps = Laps::start(plan)?;
    while laps.running() {
        *number += 1;
        check_sum(add(*number)?, *number)?;
        laps.lap();
    }
    Ok(laps.outcome())
}

/// So many threads with the same client.
fn threads(
    callers: usize,
    plan: &Plan,
    add: impl Fn(i64) -> Result<i64> + Sync,
) -> Result<Outcome> {
    let (started, add) = (Instant::now(), &add);
    let counted = super::gather((0..callers).map(|_| {
        move || {
            let mut share = Share::start(plan, started);
            let mut number = 0;
            while share.running() {
                number += 1;
                check_sum(add(number)?, number)?;
                share.lap();
            }
            Ok(share.counted())
        }
    }))?;
    Ok(shares_outcome(plan, counted))
}

fn pipelined(
    client: &CalculatorClient,
    in_flight: usize,
    number: &mut i64,
    plan: &Plan,
) -> Result<Outcome> {
    let drains = plan.refill == Refill::Drained;
    let mut pending: VecDeque<(i64, Pending<i64>)> = VecDeque::with_capacity(in_flight);
    let mut meter = Meter::start(plan, 64);
    loop {
        while meter.running() && pending.len() < in_flight {
            *number += 1;
            pending.push_back((*number, client.begin().add(*number, 1)?));
        }
        let Some((x, call)) = pending.pop_front() else {
            return Ok(meter.outcome());
        };
        check_sum(call.wait()?, x)?;
        let mut answered = 1;
        while drains && let Some((x, call)) = pending.front_mut() {
            let Some(sum) = call.try_wait() else { break };
            check_sum(sum?, *x)?;
            answered += 1;
            pending.pop_front();
        }
        meter.add(answered);
    }
}

fn payloads(client: &CalculatorClient, bytes: usize, plan: &Plan) -> Result<Outcome> {
    let mut pending: VecDeque<Pending<Blob>> = VecDeque::with_capacity(PAYLOADS_IN_FLIGHT);
    for _ in 0..PAYLOADS_IN_FLIGHT {
        pending.push_back(client.begin().echo(Blob::from(vec![0x5a; bytes]))?);
    }
    let mut meter = Meter::start(plan, 1);
    while let Some(call) = pending.pop_front() {
        let payload = call.wait()?;
        check_length(payload.len(), bytes)?;
        meter.add(1);
        if meter.running() {
            pending.push_back(client.begin().echo(payload)?);
        }
    }
    Ok(meter.outcome())
}

fn numbers(client: &CalculatorClient, plan: &Plan) -> Result<Outcome> {
    let mut meter = Meter::start(plan, 64);
    while meter.running() {
        let mut next = 0;
        for number in client.numbers(NUMBERS_A_STREAM)? {
            check_item(number?, next)?;
            next += 1;
            meter.add(1);
        }
        check_item(next, NUMBERS_A_STREAM as i64)?;
    }
    Ok(meter.outcome())
}

fn streamed_payloads(client: &CalculatorClient, bytes: usize, plan: &Plan) -> Result<Outcome> {
    let mut meter = Meter::start(plan, 1);
    while meter.running() {
        let mut items = 0;
        for payload in client.payloads(PAYLOADS_A_STREAM, bytes as u64)? {
            check_length(payload?.len(), bytes)?;
            items += 1;
            meter.add(1);
        }
        check_item(items, PAYLOADS_A_STREAM as i64)?;
    }
    Ok(meter.outcome())
}

fn ping_pong(client: &CalculatorClient, plan: &Plan) -> Result<Outcome> {
    let mut both = client.ping_pong()?;
    let mut laps = Laps::start(plan)?;
    let mut number = 0;
    while laps.running() {
        number += 1;
        both.send(number)?;
        check_item(both.next().context("the stream ended")??, number)?;
        laps.lap();
    }
    both.finish_sending();
    ensure!(both.next().is_none(), "items without end");
    Ok(laps.outcome())
}

fn begun_by_hand(client: &CalculatorClient, tasks: usize, plan: &Plan) -> Result<Outcome> {
    let mut laps = Laps::start(plan)?;
    let mut pending = Vec::with_capacity(tasks);
    while laps.running() {
        for number in 0..tasks as i64 {
            pending.push((number, client.begin().add_pooled(number, 1)?));
        }
        for (number, call) in pending.drain(..) {
            check_sum(call.wait()?, number)?;
        }
        laps.lap();
    }
    Ok(laps.outcome())
}

fn scattered(client: &CalculatorClient, tasks: usize, plan: &Plan) -> Result<Outcome> {
    let mut laps = Laps::start(plan)?;
    while laps.running() {
        let running = scatter(0..tasks as i64)
            .over(client)
            .policy(tasks)
            .run(|client, number| client.begin().add_pooled(*number, 1))?;
        let sums = running.gather().into_values()?;
        for (number, sum) in sums.into_iter().enumerate() {
            check_sum(sum, number as i64)?;
        }
        laps.lap();
    }
    Ok(laps.outcome())
}

/// One connection and inline calls: answers come in the order of their calls.
fn open_loop(
    client: &CalculatorClient,
    number: &mut i64,
    schedule: &Schedule,
) -> Result<Latencies> {
    let mut open = Open::start(schedule)?;
    let mut pending: VecDeque<(Instant, i64, Pending<i64>)> = VecDeque::with_capacity(IN_FLIGHT);
    loop {
        let now = Instant::now();
        while pending.len() < IN_FLIGHT
            && let Some(due) = open.due(now)
        {
            *number += 1;
            pending.push_back((due, *number, client.begin().add(*number, 1)?));
        }
        while let Some((due, x, call)) = pending.front_mut() {
            let Some(sum) = call.try_wait() else { break };
            open.answered(*due, Instant::now());
            check_sum(sum?, *x)?;
            pending.pop_front();
        }
        if pending.is_empty() && open.is_over(Instant::now()) {
            return Ok(open.latencies());
        }
    }
}
