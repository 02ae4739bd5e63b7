//! The `zeromq` package: async, here on one single-threaded tokio runtime a side.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use zeromq::{
    DealerSocket, PullSocket, PushSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage,
};

use super::{Driver, System};
use crate::harness::crowd;
use crate::harness::scenario::{Load, Transport, Workload};
use crate::harness::slice::{
    LARGE, LARGE_IN_FLIGHT, Laps, Meter, Outcome, Plan, Pour, Refill, SMALL, SMALL_IN_FLIGHT,
    Tally, check_large, check_stamp, end_of, one_way_outcome, pour, stamped,
};

/// Messages that wait between the sending threads and the task that owns the socket.
const HANDED_OVER: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Zeromq;

impl System for Zeromq {
    fn name(&self) -> &'static str {
        "zeromq"
    }

    fn can(&self, workload: &Workload) -> bool {
        workload.transport != Transport::Inproc
            && !matches!(workload.load, Load::PubSub { .. } | Load::Queue)
    }

    fn notes(&self) -> &'static [&'static str] {
        &[
            "zeromq: one single-threaded tokio runtime a side; it has no inproc",
            "zeromq: left out of pubsub (a bound SUB hears nobody) and queue_rtt (no device that is a process)",
            "zeromq, senders_*: the socket belongs to one task, which threads reach through a bounded tokio channel (1,000 messages)",
        ]
    }

    fn serve(
        &self,
        load: Load,
        endpoint: &str,
        ready: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        if load == Load::PushPull {
            return runtime()?.block_on(pull(endpoint, ready));
        }
        runtime()?.block_on(async {
            let mut router = RouterSocket::new();
            let bound = router.bind(endpoint).await?;
            ready(&bound.to_string())?;
            match load {
                Load::OneWay { .. } => count(router).await,
                _ => loop {
                    let message = router.recv().await?;
                    router.send(message).await?;
                },
            }
        })
    }

    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>> {
        let runtime = runtime()?;
        if load == Load::PushPull {
            let (data, counts_at) = crowd::split(endpoint)?;
            let (mut push, mut counts) = (PushSocket::new(), PullSocket::new());
            runtime.block_on(async {
                push.connect(data[0]).await?;
                counts.connect(counts_at).await
            })?;
            return Ok(Box::new(Pusher {
                runtime,
                push,
                counts,
            }));
        }
        let dealer = runtime.block_on(async {
            let mut dealer = DealerSocket::new();
            dealer.connect(endpoint).await?;
            anyhow::Ok(dealer)
        })?;
        Ok(Box::new(Client {
            runtime,
            dealer,
            load,
            number: 0,
        }))
    }

    fn inproc(&self, _server_core: usize) -> Result<Box<dyn Driver>> {
        bail!("zeromq has no inproc")
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("building a runtime")
}

async fn count(mut router: RouterSocket) -> Result<()> {
    let mut tally = Tally::default();
    loop {
        let message = router.recv().await?;
        let body = message.get(1).context("a message without a body")?;
        if let Some(count) = tally.take(body) {
            let mut answer = ZmqMessage::from(count.to_vec());
            let peer = message.get(0).context("a message from nobody")?;
            answer.push_front(peer.clone());
            router.send(answer).await?;
        }
    }
}

async fn pull(endpoint: &str, ready: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let (mut pull, mut counts) = (PullSocket::new(), PushSocket::new());
    let at = pull.bind(endpoint).await?;
    let counts_at = counts.bind("tcp://127.0.0.1:0").await?;
    ready(&crowd::join(&[at.to_string(), counts_at.to_string()]))?;
    let mut tally = Tally::default();
    loop {
        if let Some(count) = tally.take(body(&pull.recv().await?)?) {
            counts.send(count.to_vec().into()).await?;
        }
    }
}

struct Pusher {
    runtime: Runtime,
    push: PushSocket,
    counts: PullSocket,
}

impl Driver for Pusher {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let (push, counts) = (&mut self.push, &mut self.counts);
        self.runtime.block_on(async {
            let mut pour = Pour::new(plan, Instant::now());
            while let Some(body) = pour.next() {
                push.send(body.to_vec().into()).await?;
            }
            push.send(end_of(plan).to_vec().into()).await?;
            let count = body(&counts.recv().await?)?.to_vec();
            one_way_outcome(pour.sent(), &[count])
        })
    }
}

struct Client {
    runtime: Runtime,
    dealer: DealerSocket,
    load: Load,
    number: u64,
}

impl Driver for Client {
    fn slice(&mut self, plan: &Plan) -> Result<Outcome> {
        let (dealer, number) = (&mut self.dealer, &mut self.number);
        match self.load {
            Load::RoundTrip | Load::Queue => {
                self.runtime.block_on(round_trips(dealer, number, plan))
            }
            Load::Pipelined => self.runtime.block_on(pipelined(dealer, number, plan)),
            Load::Large => self.runtime.block_on(large(dealer, plan)),
            Load::OneWay { senders } => one_way(&self.runtime, dealer, senders, plan),
            Load::PushPull | Load::PubSub { .. } | Load::Call(_) => bail!("not a load of a DEALER"),
        }
    }
}

async fn round_trips(dealer: &mut DealerSocket, number: &mut u64, plan: &Plan) -> Result<Outcome> {
    let mut laps = Laps::start(plan)?;
    while laps.running() {
        *number += 1;
        dealer.send(stamped(*number).to_vec().into()).await?;
        check_stamp(body(&dealer.recv().await?)?, *number)?;
        laps.lap();
    }
    Ok(laps.outcome())
}

async fn pipelined(dealer: &mut DealerSocket, number: &mut u64, plan: &Plan) -> Result<Outcome> {
    let drains = plan.refill == Refill::Drained;
    let mut answered = *number;
    let mut meter = Meter::start(plan, 64);
    loop {
        while meter.running() && *number - answered < SMALL_IN_FLIGHT as u64 {
            *number += 1;
            dealer.send(stamped(*number).to_vec().into()).await?;
        }
        if answered == *number {
            return Ok(meter.outcome());
        }
        let before = answered;
        let mut answer = Some(dealer.recv().await?);
        while let Some(message) = answer {
            answered += 1;
            check_stamp(body(&message)?, answered)?;
            answer = if drains {
                if_ready(dealer.recv()).await.transpose()?
            } else {
                None
            };
        }
        meter.add((answered - before) as usize);
    }
}

async fn large(dealer: &mut DealerSocket, plan: &Plan) -> Result<Outcome> {
    for _ in 0..LARGE_IN_FLIGHT {
        dealer.send(vec![0x5a; LARGE].into()).await?;
    }
    let mut meter = Meter::start(plan, 1);
    let mut in_flight = LARGE_IN_FLIGHT;
    while in_flight > 0 {
        let answer = dealer.recv().await?;
        check_large(body(&answer)?)?;
        in_flight -= 1;
        meter.add(1);
        if meter.running() {
            dealer.send(answer).await?;
            in_flight += 1;
        }
    }
    Ok(meter.outcome())
}

fn one_way(
    runtime: &Runtime,
    dealer: &mut DealerSocket,
    senders: usize,
    plan: &Plan,
) -> Result<Outcome> {
    let (handing, mut handed) = mpsc::channel::<[u8; SMALL]>(HANDED_OVER);
    let started = Instant::now();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..senders)
            .map(|_| {
                let handing = handing.clone();
                scope.spawn(move || pour(plan, started, |body| Ok(handing.blocking_send(*body)?)))
            })
            .collect();
        drop(handing);
        // The task owns the channel's end, so that its failure frees the threads.
        let count = runtime.block_on(async move {
            while let Some(body) = handed.recv().await {
                dealer.send(body.to_vec().into()).await?;
            }
            dealer.send(end_of(plan).to_vec().into()).await?;
            anyhow::Ok(body(&dealer.recv().await?)?.to_vec())
        })?;
        let mut sent = 0;
        for thread in threads {
            match thread.join() {
                Ok(poured) => sent += poured?,
                Err(_) => bail!("a sending thread panicked"),
            }
        }
        one_way_outcome(sent, &[count])
    })
}

fn body(message: &ZmqMessage) -> Result<&[u8]> {
    Ok(message.get(0).context("an empty answer")?)
}

/// The future's value if it has one at once.
async fn if_ready<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}
