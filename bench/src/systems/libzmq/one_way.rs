//! PUSH to PULL, and PUB to many SUBs.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use zmq::{Context, Message, PUB, PULL, PUSH, SUB, Socket};

use super::bound;
use crate::harness::crowd::{self, Gather, Subscriber};
use crate::harness::slice::{Count, Outcome, Plan, Refill, Tally, end_of, one_way_outcome, pour};
use crate::systems::Driver;

const A_MOMENT_MS: i64 = 1;

pub(super) fn pull(endpoint: &str, ready: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let context = Context::new();
    let (pull, counts) = (context.socket(PULL)?, context.socket(PUSH)?);
    pull.bind(endpoint)?;
    counts.bind("tcp://127.0.0.1:*")?;
    ready(&crowd::join(&[bound(&pull)?, bound(&counts)?]))?;
    let mut tally = Tally::default();
    let mut body = Message::new();
    loop {
        pull.recv(&mut body, 0)?;
        if let Some(count) = tally.take(&body) {
            counts.send(&count[..], 0)?;
        }
    }
}

pub(super) fn subscribe(
    endpoint: &str,
    subscribers: usize,
    ready: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let context = Context::new();
    let counts = context.socket(PUSH)?;
    counts.bind("tcp://127.0.0.1:*")?;
    let (ended, ends) = mpsc::channel::<(usize, u32, Count)>();
    let mut told = Vec::new();
    for number in 0..subscribers {
        let sub = context.socket(SUB)?;
        sub.set_subscribe(b"")?;
        sub.bind(endpoint)?;
        told.push(bound(&sub)?);
        let ended = ended.clone();
        thread::spawn(move || {
            let mut subscriber = Subscriber::default();
            let mut body = Message::new();
            while sub.recv(&mut body, 0).is_ok() {
                if let Some((slice, count)) = subscriber.take(&body)
                    && ended.send((number, slice, count)).is_err()
                {
                    return;
                }
            }
        });
    }
    told.push(bound(&counts)?);
    ready(&crowd::join(&told))?;
    let mut gather = Gather::new(subscribers);
    for (number, slice, count) in ends {
        if let Some(sum) = gather.add(number, slice, &count) {
            counts.send(&sum[..], 0)?;
        }
    }
    Ok(())
}

/// What sends, and what hears the counts.
struct Ends {
    out: Socket,
    counts: Socket,
}

impl Ends {
    fn new(kind: zmq::SocketType, told: &str) -> Result<Self> {
        let (data, counts_at) = crowd::split(told)?;
        let context = Context::new();
        let (out, counts) = (context.socket(kind)?, context.socket(PULL)?);
        for endpoint in data {
            out.connect(endpoint)?;
        }
        counts.connect(counts_at)?;
        Ok(Self { out, counts })
    }
}

struct Pusher(Ends);

pub(super) fn pusher(told: &str) -> Result<Box<dyn Driver>> {
    Ok(Box::new(Pusher(Ends::new(PUSH, told)?)))
}

impl Driver for Pusher {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let Ends { out, counts } = &self.0;
        let sent = pour(plan, Instant::now(), |body| Ok(out.send(&body[..], 0)?))?;
        out.send(&end_of(plan)[..], 0)?;
        one_way_outcome(sent, &[counts.recv_bytes(0)?])
    }
}

struct Publisher {
    ends: Ends,
    subscribers: usize,
}

pub(super) fn publisher(told: &str, subscribers: usize) -> Result<Box<dyn Driver>> {
    let ends = Ends::new(PUB, told)?;
    let publisher = Publisher { ends, subscribers };
    // Everybody has subscribed once everybody hears.
    let plan = Plan::new(0, Duration::from_millis(1), Refill::Each);
    publisher.finish(&crowd::rehearsal(&plan))?;
    Ok(Box::new(publisher))
}

impl Publisher {
    fn finish(&self, plan: &Plan) -> Result<Vec<u8>> {
        let Ends { out, counts } = &self.ends;
        let say = |end: &[u8]| Ok(out.send(end, 0)?);
        let hear = || match counts.poll(zmq::POLLIN, A_MOMENT_MS)? {
            0 => Ok(None),
            _ => Ok(Some(counts.recv_bytes(0)?)),
        };
        crowd::finish(plan, say, hear)
    }
}

impl Driver for Publisher {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let out = &self.ends.out;
        let sent = pour(plan, Instant::now(), |body| Ok(out.send(&body[..], 0)?))?;
        crowd::crowd_outcome(sent, self.subscribers, self.finish(plan)?)
    }
}
