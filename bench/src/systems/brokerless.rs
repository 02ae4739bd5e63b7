//! Ourselves: `brokerless-patterns`, DEALER and ROUTER with default options.

mod one_way;

use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use brokerless_patterns::device::{Device, Side};
use brokerless_patterns::{Dealer, Router};

use super::{Driver, System, spawn_server};
use crate::harness::scenario::{Load, Workload};
use crate::harness::slice::{
    LARGE, LARGE_IN_FLIGHT, Laps, Meter, Outcome, Plan, Refill, SMALL_IN_FLIGHT, Tally,
    check_large, check_stamp, end_of, one_way_outcome, pour, stamped,
};

#[derive(Debug)]
pub(crate) struct Brokerless;

impl System for Brokerless {
    fn name(&self) -> &'static str {
        "brokerless"
    }

    fn can(&self, _workload: &Workload) -> bool {
        true
    }

    fn notes(&self) -> &'static [&'static str] {
        &[
            "brokerless, senders_*: all threads share one DEALER and its one connection",
            "brokerless, tcp: chooses reno on the loopback; all others have the kernel's default \
             (/proc/sys/net/ipv4/tcp_congestion_control), which matters to echo_1MiB where that is BBR",
            "brokerless, inproc: looks for up to 50 us before it sleeps, as long as that pays",
        ]
    }

    fn serve(
        &self,
        load: Load,
        endpoint: &str,
        ready: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        match load {
            Load::PushPull => return one_way::pull(endpoint, ready),
            Load::PubSub { subscribers } => {
                return one_way::subscribe(endpoint, subscribers, ready);
            }
            _ => {}
        }
        let router = Router::bind(endpoint)?;
        let bound = router.local_endpoints();
        let bound = bound.first().context("the router is bound to nothing")?;
        ready(&bound.to_string())?;
        match load {
            Load::OneWay { .. } => count(&router),
            _ => echo(&router),
        }
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        match load {
            Load::PushPull => return one_way::pusher(endpoint),
            Load::PubSub { subscribers } => return one_way::publisher(endpoint, subscribers),
            _ => {}
        }
        Ok(Box::new(Client {
            dealer: Dealer::connect(endpoint)?,
            load,
            number: 0,
        }))
    }

    fn device(&self, backend: &str, ready: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let device = Device::queue()
            .frontend("tcp://127.0.0.1:*")
            .backend(&format!(">{backend}"))
            .build()?;
        let bound = device.handle().endpoints();
        let front = bound.iter().find(|change| change.side == Side::Frontend);
        let front = front.context("the device has no frontend")?;
        ready(&front.endpoint.to_string())?;
        device.run()?;
        Ok(())
    }

    fn inproc(&self, server_core: usize) -> Result<Box<dyn Driver>> {
        let router = Router::bind("inproc://bench")?;
        spawn_server(server_core, move || echo(&router))?;
        self.connect(Load::RoundTrip, "inproc://bench")
    }
}

pub(crate) fn echo(router: &Router) -> Result<()> {
    loop {
        let (peer, message) = router.recv()?;
        router.send(&peer, message)?;
    }
}

fn count(router: &Router) -> Result<()> {
    let mut tally = Tally::default();
    loop {
        let (peer, message) = router.recv()?;
        if let Some(count) = tally.take(&message[0]) {
            router.send(&peer, &count[..])?;
        }
    }
}

struct Client {
    dealer: Dealer,
    load: Load,
    number: u64,
}

impl Driver for Client {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let (dealer, number) = (&self.dealer, &mut self.number);
        match self.load {
            Load::RoundTrip | Load::Queue => round_trips(dealer, number, plan),
            Load::Pipelined => pipelined(dealer, number, plan),
            Load::Large => large(dealer, plan),
            Load::OneWay { senders } => one_way(dealer, senders, plan),
            Load::PushPull | Load::PubSub { .. } | Load::Call(_) => bail!("not a load of a DEALER"),
        }
    }
}

fn round_trips(dealer: &Dealer, number: &mut u64, plan: &Plan) -> Result<Outcome> {
    let mut laps = Laps::start(plan)?;
    while laps.running() {
        *number += 1;
        dealer.send(&stamped(*number)[..])?;
        check_stamp(&dealer.recv()?[0], *number)?;
        laps.lap();
    }
    Ok(laps.outcome())
}

fn pipelined(dealer: &Dealer, number: &mut u64, plan: &Plan) -> Result<Outcome> {
    let drains = plan.refill == Refill::Drained;
    let mut answered = *number;
    let mut meter = Meter::start(plan, 64);
    loop {
        while meter.running() && *number - answered < SMALL_IN_FLIGHT as u64 {
            *number += 1;
            dealer.send(&stamped(*number)[..])?;
        }
        if answered == *number {
            return Ok(meter.outcome());
        }
        let before = answered;
        let mut answer = Some(dealer.recv()?);
        while let Some(message) = answer {
            answered += 1;
            check_stamp(&message[0], answered)?;
            answer = if drains { dealer.try_recv().ok() } else { None };
        }
        meter.add((answered - before) as usize);
    }
}

fn large(dealer: &Dealer, plan: &Plan) -> Result<Outcome> {
    for _ in 0..LARGE_IN_FLIGHT {
        dealer.send(vec![0x5a; LARGE])?;
    }
    let mut meter = Meter::start(plan, 1);
    let mut in_flight = LARGE_IN_FLIGHT;
    while in_flight > 0 {
        let answer = dealer.recv()?;
        check_large(&answer[0])?;
        in_flight -= 1;
        meter.add(1);
        if meter.running() {
            dealer.send(answer)?;
            in_flight += 1;
        }
    }
    Ok(meter.outcome())
}

fn one_way(dealer: &Dealer, senders: usize, plan: &Plan) -> Result<Outcome> {
    let started = Instant::now();
    let sent = thread::scope(|scope| {
        let threads: Vec<_> = (0..senders)
            .map(|_| scope.spawn(|| pour(plan, started, |body| Ok(dealer.send(&body[..])?))))
            .collect();
        let mut sent = 0;
        for thread in threads {
            match thread.join() {
                Ok(poured) => sent += poured?,
                Err(_) => bail!("a sending thread panicked"),
            }
        }
        Ok(sent)
    })?;
    dealer.send(&end_of(plan)[..])?;
    let count = dealer.recv()?[0].to_vec();
    one_way_outcome(sent, &[count])
}
