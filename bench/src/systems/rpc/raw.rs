//! Blocking streams and parked channels that echo the bytes of one call.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, Thread};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::bytes::{self, CALL};
use super::calls;
use crate::harness::calls::{Calls, PAYLOADS_A_STREAM, PAYLOADS_IN_FLIGHT, SLOW};
use crate::harness::scenario::{Load, Workload};
use crate::harness::slice::{Laps, Meter, Outcome, Plan, Share, shares_outcome};
use crate::systems::raw::{Large, Stream, echo_large, nodelay};
use crate::systems::{Driver, System, spawn_server};

#[derive(Debug)]
pub(crate) struct Raw;

impl System for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn can(&self, workload: &Workload) -> bool {
        !matches!(
            workload.load,
            Load::Call(Calls::Pipelined(_) | Calls::Open | Calls::Numbers | Calls::Scatter(_))
        )
    }

    fn notes(&self) -> &'static [&'static str] {
        &[]
    }

    fn serve(
        &self,
        load: Load,
        endpoint: &str,
        ready: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        let calls = calls(load)?;
        let address = address(endpoint)?;
        let listener =
            TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
        ready(&format!("tcp://{}", listener.local_addr()?))?;
        for stream in listener.incoming() {
            let stream = nodelay(stream?)?;
            thread::spawn(move || match calls {
                Calls::Payload(bytes) => echo_large(Stream::Tcp(stream), CALL + bytes),
                Calls::Payloads(bytes) => pour(stream, bytes),
                _ => echo(stream),
            });
        }
        bail!("the listener ended")
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        let connect =
            || -> Result<TcpStream> { Ok(nodelay(TcpStream::connect(address(endpoint)?)?)?) };
        Ok(match calls(load)? {
            Calls::Unary(_) | Calls::Beside(_) | Calls::PingPong => Box::new(Unary {
                stream: connect()?,
                number: 0,
            }),
            Calls::Threads(callers) => Box::new(Callers {
                streams: (0..callers).map(|_| connect()).collect::<Result<_>>()?,
                call: bytes::call,
            }),
            Calls::Slow(in_flight) => Box::new(Callers {
                streams: (0..in_flight).map(|_| connect()).collect::<Result<_>>()?,
                call: bytes::slow_call,
            }),
            Calls::Payload(bytes) => Box::new(Large {
                stream: Stream::Tcp(connect()?),
                bytes: CALL + bytes,
                in_flight: PAYLOADS_IN_FLIGHT,
            }),
            Calls::Payloads(bytes) => Box::new(Poured {
                stream: connect()?,
                bytes,
            }),
            calls @ (Calls::Pipelined(_) | Calls::Open | Calls::Numbers | Calls::Scatter(_)) => {
                bail!("raw has no {calls:?}")
            }
        })
    }

    fn inproc(&self, server_core: usize) -> Result<Box<dyn Driver>> {
        let ((there, calls), (back, answers)) = (unbounded(), unbounded());
        let client = thread::current();
        let (tell, server) = unbounded();
        spawn_server(server_core, move || {
            tell.send(thread::current())?;
            loop {
                back.send(parked(&calls)?)?;
                client.unpark();
            }
        })?;
        Ok(Box::new(Parked {
            server: server.recv()?,
            there,
            answers,
            number: 0,
        }))
    }
}

fn address(endpoint: &str) -> Result<&str> {
    let address = endpoint.strip_prefix("tcp://");
    address.with_context(|| format!("raw knows no {endpoint}"))
}

fn echo(mut stream: TcpStream) -> Result<()> {
    let mut call = [0; CALL];
    loop {
        stream.read_exact(&mut call)?;
        if bytes::is_slow(&call) {
            thread::sleep(SLOW);
        }
        stream.write_all(&call)?;
    }
}

/// A stream of payloads for each call.
fn pour(mut stream: TcpStream, bytes: usize) -> Result<()> {
    let (mut call, payload) = ([0; CALL], vec![0x5a; bytes]);
    loop {
        stream.read_exact(&mut call)?;
        for _ in 0..PAYLOADS_A_STREAM {
            stream.write_all(&payload)?;
        }
    }
}

fn round_trip(stream: &mut TcpStream, call: &[u8; CALL], number: u64) -> Result<()> {
    let mut answer = [0; CALL];
    stream.write_all(call)?;
    stream.read_exact(&mut answer)?;
    bytes::check(&answer, number)
}

#[derive(Debug)]
struct Unary {
    stream: TcpStream,
    number: u64,
}

impl Driver for Unary {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut laps = Laps::start(plan)?;
        while laps.running() {
            self.number += 1;
            round_trip(&mut self.stream, &bytes::call(self.number), self.number)?;
            laps.lap();
        }
        Ok(laps.outcome())
    }
}

/// Streams of payloads, one after the other.
#[derive(Debug)]
struct Poured {
    stream: TcpStream,
    bytes: usize,
}

impl Driver for Poured {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut payload = vec![0; self.bytes];
        let mut meter = Meter::start(plan, 1);
        while meter.running() {
            self.stream.write_all(&bytes::call(0))?;
            for _ in 0..PAYLOADS_A_STREAM {
                self.stream.read_exact(&mut payload)?;
                meter.add(1);
            }
        }
        Ok(meter.outcome())
    }
}

/// A thread and a connection each.
#[derive(Debug)]
struct Callers {
    streams: Vec<TcpStream>,
    call: fn(u64) -> [u8; CALL],
}

impl Driver for Callers {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let (started, call) = (Instant::now(), self.call);
        let counted = super::gather(self.streams.iter_mut().map(|stream| {
            move || {
                let mut share = Share::start(plan, started);
                let mut number = 0;
                while share.running() {
                    number += 1;
                    round_trip(stream, &call(number), number)?;
                    share.lap();
                }
                Ok(share.counted())
            }
        }))?;
        Ok(shares_outcome(plan, counted))
    }
}

/// Waits for a message without a look around first.
fn parked(channel: &Receiver<[u8; CALL]>) -> Result<[u8; CALL]> {
    loop {
        match channel.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Empty) => thread::park(),
            Err(TryRecvError::Disconnected) => bail!("the other end is gone"),
        }
    }
}

#[derive(Debug)]
struct Parked {
    server: Thread,
    there: Sender<[u8; CALL]>,
    answers: Receiver<[u8; CALL]>,
    number: u64,
}

impl Driver for Parked {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut laps = Laps::start(plan)?;
        while laps.running() {
            self.number += 1;
            self.there.send(bytes::call(self.number))?;
            self.server.unpark();
            bytes::check(&parked(&self.answers)?, self.number)?;
            laps.lap();
        }
        Ok(laps.outcome())
    }
}
