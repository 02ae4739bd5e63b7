//! libzmq: a bare DEALER and ROUTER that echo the bytes of one call.
//!
//! A call is one frame, whatever it is of: fewer frames is what suits libzmq. A payload is a frame of its own behind it, so
//! that nobody copies it.

use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use zmq::{Context, DEALER, DONTWAIT, Message, ROUTER, SNDMORE, Socket};

use super::bytes::{call, check};
use super::{calls, check_length};
use crate::harness::calls::{Calls, PAYLOADS_IN_FLIGHT, Runs};
use crate::harness::scenario::{Load, Workload};
use crate::harness::slice::{Laps, Meter, Outcome, Plan, Refill, Share, shares_outcome};
use crate::systems::libzmq::{bound, echo};
use crate::systems::{Driver, System, spawn_server};

#[derive(Debug)]
pub(crate) struct Libzmq;

impl System for Libzmq {
    fn name(&self) -> &'static str {
        "libzmq"
    }

    fn can(&self, workload: &Workload) -> bool {
        matches!(
            workload.load,
            Load::Call(
                Calls::Unary(Runs::Inline)
                    | Calls::Threads(_)
                    | Calls::Pipelined(_)
                    | Calls::Payload(_)
            )
        )
    }

    fn notes(&self) -> &'static [&'static str] {
        &[
            "libzmq: a bare DEALER and ROUTER, without types, deadlines or pools; a call is one frame, with its payload two",
            "libzmq: its I/O thread shares the core of its process, as every thread of every system does (--free lets all roam)",
            "libzmq, unary_threads_64: threads cannot share a socket, so each has a DEALER and a connection of its own",
        ]
    }

    fn serve(
        &self,
        load: Load,
        endpoint: &str,
        ready: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        calls(load)?;
        let context = Context::new();
        let router = context.socket(ROUTER)?;
        router.bind(endpoint)?;
        ready(&bound(&router)?)?;
        echo(&router)
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        let context = Context::new();
        let dealer = || -> Result<Socket> {
            let dealer = context.socket(DEALER)?;
            dealer.connect(endpoint)?;
            Ok(dealer)
        };
        Ok(match calls(load)? {
            Calls::Unary(_) => Box::new(Unary {
                dealer: dealer()?,
                number: 0,
            }),
            Calls::Threads(callers) => Box::new(Callers {
                dealers: (0..callers).map(|_| dealer()).collect::<Result<_>>()?,
            }),
            Calls::Pipelined(in_flight) => Box::new(Pipelined {
                dealer: dealer()?,
                in_flight: in_flight as u64,
                number: 0,
            }),
            Calls::Payload(bytes) => Box::new(Payload {
                dealer: dealer()?,
                bytes,
            }),
            calls @ (Calls::Beside(_)
            | Calls::Slow(_)
            | Calls::Open
            | Calls::Numbers
            | Calls::Payloads(_)
            | Calls::PingPong
            | Calls::Scatter(_)) => {
                bail!("libzmq has no {calls:?}")
            }
        })
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
        Ok(Box::new(Unary { dealer, number: 0 }))
    }
}

fn round_trip(dealer: &Socket, answer: &mut Message, number: u64) -> Result<()> {
    dealer.send(&call(number)[..], 0)?;
    dealer.recv(answer, 0)?;
    check(answer, number)
}

struct Unary {
    dealer: Socket,
    number: u64,
}

impl Driver for Unary {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut answer = Message::new();
        let mut laps = Laps::start(plan)?;
        while laps.running() {
            self.number += 1;
            round_trip(&self.dealer, &mut answer, self.number)?;
            laps.lap();
        }
        Ok(laps.outcome())
    }
}

/// A thread and a socket each.
struct Callers {
    dealers: Vec<Socket>,
}

impl Driver for Callers {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let started = Instant::now();
        let counted = super::gather(self.dealers.iter_mut().map(|dealer| {
            move || {
                let mut answer = Message::new();
                let mut share = Share::start(plan, started);
                let mut number = 0;
                while share.running() {
                    number += 1;
                    round_trip(dealer, &mut answer, number)?;
                    share.lap();
                }
                Ok(share.counted())
            }
        }))?;
        Ok(shares_outcome(plan, counted))
    }
}

struct Pipelined {
    dealer: Socket,
    in_flight: u64,
    number: u64,
}

impl Driver for Pipelined {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let drains = plan.refill == Refill::Drained;
        let mut answer = Message::new();
        let mut answered = self.number;
        let mut meter = Meter::start(plan, 64);
        loop {
            while meter.running() && self.number - answered < self.in_flight {
                self.number += 1;
                self.dealer.send(&call(self.number)[..], 0)?;
            }
            if answered == self.number {
                return Ok(meter.outcome());
            }
            let before = answered;
            self.dealer.recv(&mut answer, 0)?;
            loop {
                answered += 1;
                check(&answer, answered)?;
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

struct Payload {
    dealer: Socket,
    bytes: usize,
}

impl Payload {
    fn send(&self, payload: Message, number: u64) -> Result<()> {
        self.dealer.send(&call(number)[..], SNDMORE)?;
        Ok(self.dealer.send(payload, 0)?)
    }
}

impl Driver for Payload {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut number = 0;
        while number < PAYLOADS_IN_FLIGHT as u64 {
            number += 1;
            self.send(vec![0x5a; self.bytes].into(), number)?;
        }
        let mut meter = Meter::start(plan, 1);
        let mut answered = 0;
        while answered < number {
            let head = self.dealer.recv_msg(0)?;
            answered += 1;
            check(&head, answered)?;
            ensure!(head.get_more(), "answer {answered} has no payload");
            let payload = self.dealer.recv_msg(0)?;
            check_length(payload.len(), self.bytes)?;
            meter.add(1);
            if meter.running() {
                number += 1;
                self.send(payload, number)?;
            }
        }
        Ok(meter.outcome())
    }
}
