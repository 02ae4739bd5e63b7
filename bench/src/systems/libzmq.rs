//! libzmq, the C++ library, through the `zmq` package and its bundled source.

mod one_way;

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use zmq::{Context, DEALER, DONTWAIT, Message, ROUTER, SNDMORE, Socket};

use super::{Driver, System, spawn_server};
use crate::harness::scenario::{Load, Workload};
use crate::harness::slice::{
    LARGE, LARGE_IN_FLIGHT, Laps, Meter, Outcome, Plan, Refill, SMALL_IN_FLIGHT, Tally,
    check_large, check_stamp, end_of, one_way_outcome, pour, stamped,
};

#[derive(Debug)]
pub(crate) struct Libzmq;

impl System for Libzmq {
    fn name(&self) -> &'static str {
        "libzmq"
    }

    fn can(&self, _workload: &Workload) -> bool {
        true
    }

    fn notes(&self) -> &'static [&'static str] {
        &[
            "libzmq: its I/O thread shares the core of its process, as every thread of every system does (--free lets all roam)",
            "libzmq, senders_16: threads cannot share a socket, so each thread has a DEALER and a connection of its own",
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
        let context = Context::new();
        let router = context.socket(ROUTER)?;
        router.bind(endpoint)?;
        ready(&bound(&router)?)?;
        match load {
            Load::OneWay { .. } => count(&router),
            _ => echo(&router),
        }
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        let context = Context::new();
        let dealer = || -> Result<Socket> {
            let dealer = context.socket(DEALER)?;
            dealer.connect(endpoint)?;
            Ok(dealer)
        };
        let driver: Box<dyn Driver> = match load {
            Load::PushPull => one_way::pusher(endpoint)?,
            Load::PubSub { subscribers } => one_way::publisher(endpoint, subscribers)?,
            Load::RoundTrip | Load::Queue => Box::new(Small {
                dealer: dealer()?,
                number: 0,
            }),
            Load::Pipelined => Box::new(Pipelined {
                dealer: dealer()?,
                number: 0,
            }),
            Load::Large => Box::new(Large { dealer: dealer()? }),
            Load::OneWay { senders } => Box::new(Senders {
                dealers: (0..senders).map(|_| dealer()).collect::<Result<_>>()?,
            }),
            Load::Call(_) => bail!("not a load of messages"),
        };
        Ok(driver)
    }

    fn device(&self, backend: &str, ready: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let context = Context::new();
        let (front, back) = (context.socket(ROUTER)?, context.socket(DEALER)?);
        back.connect(backend)?;
        front.bind("tcp://127.0.0.1:*")?;
        ready(&bound(&front)?)?;
        Ok(zmq::proxy(&front, &back)?)
    }

    fn inproc(&self, server_core: usize) -> Result<Box<dyn Driver>> {
        let context = Context::new();
        let (bound, is_bound) = mpsc::channel();
        spawn_server(server_core, {
            let context = context.clone();
            move || {
                let router = context.socket(ROUTER)?;
                router.bind("inproc://bench")?;
                bound.send(())?;
                echo(&router)
            }
        })?;
        is_bound.recv().context("the server thread ended")?;
        let dealer = context.socket(DEALER)?;
        dealer.connect("inproc://bench")?;
        Ok(Box::new(Small { dealer, number: 0 }))
    }
}

/// Where a socket was bound last.
pub(super) fn bound(socket: &Socket) -> Result<String> {
    match socket.get_last_endpoint()? {
        Ok(bound) => Ok(bound),
        Err(_) => bail!("libzmq is bound to an address that is not text"),
    }
}

pub(super) fn echo(router: &Socket) -> Result<()> {
    loop {
        let frame = router.recv_msg(0)?;
        let flags = if frame.get_more() { SNDMORE } else { 0 };
        router.send(frame, flags)?;
    }
}

fn count(router: &Socket) -> Result<()> {
    let mut tally = Tally::default();
    let mut body = Message::new();
    loop {
        let peer = router.recv_msg(0)?;
        router.recv(&mut body, 0)?;
        if let Some(count) = tally.take(&body) {
            router.send(peer, SNDMORE)?;
            router.send(&count[..], 0)?;
        }
    }
}

struct Small {
    dealer: Socket,
    number: u64,
}

impl Driver for Small {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut answer = Message::new();
        let mut laps = Laps::start(plan)?;
        while laps.running() {
            self.number += 1;
            self.dealer.send(&stamped(self.number)[..], 0)?;
            self.dealer.recv(&mut answer, 0)?;
            check_stamp(&answer, self.number)?;
            laps.lap();
        }
        Ok(laps.outcome())
    }
}

struct Pipelined {
    dealer: Socket,
    number: u64,
}

impl Driver for Pipelined {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let drains = plan.refill == Refill::Drained;
        let mut answer = Message::new();
        let mut answered = self.number;
        let mut meter = Meter::start(plan, 64);
        loop {
            while meter.running() && self.number - answered < SMALL_IN_FLIGHT as u64 {
                self.number += 1;
                self.dealer.send(&stamped(self.number)[..], 0)?;
            }
            if answered == self.number {
                return Ok(meter.outcome());
            }
            let before = answered;
            self.dealer.recv(&mut answer, 0)?;
            loop {
                answered += 1;
                check_stamp(&answer, answered)?;
                if !drains {
                    break;
                }
                match self.dealer.recv(&mut answer, DONTWAIT) {
                    Ok(()) => {}
                    Err(zmq::Error::EAGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            meter.add((answered - before) as usize);
        }
    }
}

struct Large {
    dealer: Socket,
}

impl Driver for Large {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        for _ in 0..LARGE_IN_FLIGHT {
            self.dealer.send(vec![0x5a; LARGE], 0)?;
        }
        let mut meter = Meter::start(plan, 1);
        let mut in_flight = LARGE_IN_FLIGHT;
        while in_flight > 0 {
            let answer = self.dealer.recv_msg(0)?;
            check_large(&answer)?;
            in_flight -= 1;
            meter.add(1);
            if meter.running() {
                self.dealer.send(answer, 0)?;
                in_flight += 1;
            }
        }
        Ok(meter.outcome())
    }
}

struct Senders {
    dealers: Vec<Socket>,
}

impl Driver for Senders {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let started = Instant::now();
        let sent = thread::scope(|scope| {
            let threads: Vec<_> = self
                .dealers
                .iter_mut()
                .map(|dealer| {
                    scope.spawn(move || -> Result<u64> {
                        pour(plan, started, |body| Ok(dealer.send(&body[..], 0)?))
                    })
                })
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
        for dealer in &self.dealers {
            dealer.send(&end_of(plan)[..], 0)?;
        }
        let counts = self
            .dealers
            .iter()
            .map(|dealer| Ok(dealer.recv_bytes(0)?))
            .collect::<Result<Vec<_>>>()?;
        one_way_outcome(sent, &counts)
    }
}
