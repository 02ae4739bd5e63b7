//! PUSH to PULL, and PUB to many SUBs.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use brokerless_patterns::{Pub, Pull, Push, RecvError, Sub};

use crate::harness::crowd::{self, Gather, Subscriber};
use crate::harness::slice::{Count, Outcome, Plan, Refill, Tally, end_of, one_way_outcome, pour};
use crate::systems::Driver;

const A_MOMENT: Duration = Duration::from_millis(1);

/// A socket for the counts, and where it is bound.
fn counts() -> Result<(Push, String)> {
    let counts = Push::bind("tcp://127.0.0.1:*")?;
    let at = counts.local_endpoints();
    let at = at.first().context("bound to nothing")?.to_string();
    Ok((counts, at))
}

pub(super) fn pull(endpoint: &str, ready: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let pull = Pull::bind(endpoint)?;
    let at = pull.local_endpoints();
    let (counts, counts_at) = counts()?;
    let at = at.first().context("bound to nothing")?.to_string();
    ready(&crowd::join(&[at, counts_at]))?;
    let mut tally = Tally::default();
    loop {
        if let Some(count) = tally.take(&pull.recv()?[0]) {
            counts.send(&count[..])?;
        }
    }
}

pub(super) fn subscribe(
    endpoint: &str,
    subscribers: usize,
    ready: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let (counts, counts_at) = counts()?;
    let (ended, ends) = mpsc::channel::<(usize, u32, Count)>();
    let mut told = Vec::new();
    for number in 0..subscribers {
        let sub = Sub::bind(endpoint)?;
        sub.subscribe("")?;
        told.extend(sub.local_endpoints().iter().map(ToString::to_string));
        let ended = ended.clone();
        thread::spawn(move || {
            let mut subscriber = Subscriber::default();
            while let Ok(message) = sub.recv() {
                if let Some((slice, count)) = subscriber.take(&message[0])
                    && ended.send((number, slice, count)).is_err()
                {
                    return;
                }
            }
        });
    }
    told.push(counts_at);
    ready(&crowd::join(&told))?;
    let mut gather = Gather::new(subscribers);
    for (number, slice, count) in ends {
        if let Some(sum) = gather.add(number, slice, &count) {
            counts.send(&sum[..])?;
        }
    }
    Ok(())
}

struct Pusher {
    push: Push,
    counts: Pull,
}

pub(super) fn pusher(told: &str) -> Result<Box<dyn Driver>> {
    let (data, counts) = crowd::split(told)?;
    Ok(Box::new(Pusher {
        push: Push::connect(data[0])?,
        counts: Pull::connect(counts)?,
    }))
}

impl Driver for Pusher {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let sent = pour(plan, Instant::now(), |body| {
            Ok(self.push.send(&body[..])?)
        })?;
        self.push.send(&end_of(plan)[..])?;
        let count = self.counts.recv()?[0].to_vec();
        one_way_outcome(sent, &[count])
    }
}

struct Publisher {
    publisher: Pub,
    counts: Pull,
    subscribers: usize,
}

pub(super) fn publisher(told: &str, subscribers: usize) -> Result<Box<dyn Driver>> {
    let (data, counts) = crowd::split(told)?;
    let publisher = Pub::connect(data[0])?;
    for endpoint in &data[1..] {
        publisher.connect_to(endpoint)?;
    }
    let publisher = Publisher {
        publisher,
        counts: Pull::connect(counts)?,
        subscribers,
    };
    // Everybody has subscribed once everybody hears.
    publisher.finish(&crowd::rehearsal(&Plan::new(0, A_MOMENT, Refill::Each)))?;
    Ok(Box::new(publisher))
}

impl Publisher {
    fn finish(&self, plan: &Plan) -> Result<Vec<u8>> {
        let say = |end: &[u8]| Ok(self.publisher.send(end)?);
        let hear = || match self.counts.recv_timeout(A_MOMENT) {
            Ok(count) => Ok(Some(count[0].to_vec())),
            Err(RecvError::Timeout) => Ok(None),
            Err(error) => Err(error.into()),
        };
        crowd::finish(plan, say, hear)
    }
}

impl Driver for Publisher {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let publish = |body: &[u8; 64]| Ok(self.publisher.send(&body[..])?);
        let sent = pour(plan, Instant::now(), publish)?;
        crowd::crowd_outcome(sent, self.subscribers, self.finish(plan)?)
    }
}
