//! Blocking streams and a parked queue: what the sockets are measured against.
//!
//! 64-byte messages are 64 bytes on the stream, large ones 1 MiB; there is no framing.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::{Context, Result, bail};

use super::{Driver, System, spawn_server};
use crate::harness::scenario::{Load, Workload};
use crate::harness::slice::{
    LARGE, LARGE_IN_FLIGHT, Laps, Meter, Outcome, Plan, SMALL, check_stamp, stamped,
};

#[derive(Debug)]
pub(crate) struct Raw;

impl System for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn can(&self, workload: &Workload) -> bool {
        matches!(workload.load, Load::RoundTrip | Load::Large)
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
        let serve: fn(Stream) -> Result<()> = match load {
            Load::RoundTrip => echo_small,
            Load::Large => |stream| echo_large(stream, LARGE),
            Load::Pipelined
            | Load::OneWay { .. }
            | Load::PushPull
            | Load::PubSub { .. }
            | Load::Queue
            | Load::Call(_) => bail!("raw has no {load:?}"),
        };
        if let Some(address) = endpoint.strip_prefix("tcp://") {
            let listener =
                TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
            ready(&format!("tcp://{}", listener.local_addr()?))?;
            serve(Stream::Tcp(nodelay(listener.accept()?.0)?))
        } else if let Some(path) = endpoint.strip_prefix("ipc://") {
            let listener =
                UnixListener::bind(path).with_context(|| format!("listening on {path}"))?;
            ready(endpoint)?;
            serve(Stream::Unix(listener.accept()?.0))
        } else {
            bail!("raw cannot listen on {endpoint}")
        }
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        let stream = if let Some(address) = endpoint.strip_prefix("tcp://") {
            Stream::Tcp(nodelay(TcpStream::connect(address)?)?)
        } else if let Some(path) = endpoint.strip_prefix("ipc://") {
            Stream::Unix(UnixStream::connect(path)?)
        } else {
            bail!("raw cannot connect to {endpoint}")
        };
        match load {
            Load::RoundTrip => Ok(Box::new(Small { stream, number: 0 })),
            Load::Large => Ok(Box::new(Large {
                stream,
                bytes: LARGE,
                in_flight: LARGE_IN_FLIGHT,
            })),
            Load::Pipelined
            | Load::OneWay { .. }
            | Load::PushPull
            | Load::PubSub { .. }
            | Load::Queue
            | Load::Call(_) => bail!("raw has no {load:?}"),
        }
    }

    fn inproc(&self, server_core: usize) -> Result<Box<dyn Driver>> {
        let (there, back) = (Arc::new(Queue::default()), Arc::new(Queue::default()));
        spawn_server(server_core, {
            let (there, back) = (Arc::clone(&there), Arc::clone(&back));
            move || {
                loop {
                    back.push(there.pop());
                }
            }
        })?;
        Ok(Box::new(Parked {
            there,
            back,
            number: 0,
        }))
    }
}

pub(super) fn nodelay(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Either kind of stream.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn echo_small(mut stream: Stream) -> Result<()> {
    let mut body = [0; SMALL];
    loop {
        stream.read_exact(&mut body)?;
        stream.write_all(&body)?;
    }
}

/// Two buffers: one is read into while the other is written from.
pub(super) fn echo_large(mut stream: Stream, bytes: usize) -> Result<()> {
    let mut writer = stream.try_clone()?;
    let (filled, to_write) = mpsc::channel::<Vec<u8>>();
    let (written, free) = mpsc::channel::<Vec<u8>>();
    for _ in 0..2 {
        written.send(vec![0x5a; bytes])?;
    }
    thread::spawn(move || -> Result<()> {
        for body in to_write {
            writer.write_all(&body)?;
            written.send(body)?;
        }
        Ok(())
    });
    for mut body in free {
        stream.read_exact(&mut body)?;
        filled.send(body)?;
    }
    bail!("the writing thread ended")
}

#[derive(Debug)]
struct Small {
    stream: Stream,
    number: u64,
}

impl Driver for Small {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut laps = Laps::start(plan)?;
        let mut answer = [0; SMALL];
        while laps.running() {
            self.number += 1;
            self.stream.write_all(&stamped(self.number))?;
            self.stream.read_exact(&mut answer)?;
            check_stamp(&answer, self.number)?;
            laps.lap();
        }
        Ok(laps.outcome())
    }
}

#[derive(Debug)]
pub(super) struct Large {
    pub(super) stream: Stream,
    pub(super) bytes: usize,
    pub(super) in_flight: usize,
}

/// The writing thread writes the same bytes as often as it is allowed to, the reading one reads into the same buffer.
impl Driver for Large {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut writer = self.stream.try_clone()?;
        let (permit, permits) = mpsc::channel::<()>();
        let bytes = self.bytes;
        let writing = thread::spawn(move || -> Result<()> {
            let body = vec![0x5a; bytes];
            for () in permits {
                writer.write_all(&body)?;
            }
            Ok(())
        });
        for _ in 0..self.in_flight {
            permit.send(())?;
        }
        let mut body = vec![0; bytes];
        let mut meter = Meter::start(plan, 1);
        let mut in_flight = self.in_flight;
        while in_flight > 0 {
            self.stream.read_exact(&mut body)?;
            in_flight -= 1;
            meter.add(1);
            if meter.running() {
                permit.send(())?;
                in_flight += 1;
            }
        }
        drop(permit);
        match writing.join() {
            Ok(wrote) => wrote?,
            Err(_) => bail!("the writing thread panicked"),
        }
        Ok(meter.outcome())
    }
}

/// A queue whose receiver parks at once.
#[derive(Debug, Default)]
struct Queue {
    messages: Mutex<VecDeque<Vec<u8>>>,
    filled: Condvar,
}

impl Queue {
    fn push(&self, message: Vec<u8>) {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(message);
        self.filled.notify_one();
    }

    fn pop(&self) -> Vec<u8> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(message) = messages.pop_front() {
                return message;
            }
            messages = self
                .filled
                .wait(messages)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[derive(Debug)]
struct Parked {
    there: Arc<Queue>,
    back: Arc<Queue>,
    number: u64,
}

impl Driver for Parked {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let mut laps = Laps::start(plan)?;
        while laps.running() {
            self.number += 1;
            self.there.push(stamped(self.number).to_vec());
            check_stamp(&self.back.pop(), self.number)?;
            laps.lap();
        }
        Ok(laps.outcome())
    }
}
