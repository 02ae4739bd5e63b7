//! One turn of the leader: run what is due, poll, read, write.
//!
//! ```text
//! flush corked --> condemned --> poll --> each ready source, then its actions --> timers
//! ```
//!
//! The driver's buffers belong to whoever leads; its lock is never contended for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alone::Solitude;
use super::conn::Conn;
use super::owner::Owner;
use super::pace::Outlook;
use super::patience::{self, Patience};
use super::poller::Ready;
use super::shared::{Shared, Source};
use super::timers::Timer;
use super::waiter::{LEAVE, READY, Waiter};
use crate::message::Message;
use crate::zmtp::buffer::ReadBuffer;

/// How long what is kept for later may be of no use.
const REST: Duration = Duration::from_secs(1);

/// Something to do once the connection at hand has been let go of.
pub(crate) enum Action {
    /// A contest about an identity is decided.
    Decide {
        challenger: Arc<Conn>,
        admitted: bool,
    },
    /// An owner was told something, and wants to act on it.
    Settle(Arc<dyn Owner>),
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Action::Decide {
                challenger,
                admitted,
            } => write!(f, "Decide({challenger:?}, {admitted})"),
            Action::Settle(_) => f.write_str("Settle"),
        }
    }
}

/// What connections work with during a turn.
pub(crate) struct Workbench<'a> {
    pub(crate) now: Instant,
    pub(crate) buffer: &'a mut ReadBuffer,
    pub(crate) batch: &'a mut Vec<Message>,
    pub(crate) actions: &'a mut Vec<Action>,
}

/// The buffers of whoever leads.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Made by the first leader: an engine without links needs none of this.
    tools: Option<Box<Tools>>,
}

#[derive(Debug)]
pub(super) struct Tools {
    pub(super) patience: Patience,
    pub(super) solitude: Solitude,
    ready: Vec<Ready>,
    buffer: ReadBuffer,
    batch: Vec<Message>,
    actions: Vec<Action>,
    rested: Option<Instant>,
}

impl Driver {
    pub(crate) fn new() -> Self {
        Driver { tools: None }
    }

    fn tools(&mut self) -> &mut Tools {
        self.tools.get_or_insert_with(|| {
            Box::new(Tools {
                patience: Patience::default(),
                solitude: Solitude::default(),
                ready: Vec::new(),
                buffer: ReadBuffer::new(),
                batch: Vec::new(),
                actions: Vec::new(),
                rested: None,
            })
        })
    }
}

impl Workbench<'_> {
    /// Lets the owner act on what it was told, once the connection at hand has been let go of.
    pub(super) fn settle_later(&mut self, owner: &Arc<dyn Owner>) {
        let known =
            |action: &Action| matches!(action, Action::Settle(other) if Arc::ptr_eq(other, owner));
        if owner.settles() && !self.actions.iter().any(known) {
            self.actions.push(Action::Settle(owner.clone()));
        }
    }

    /// Runs what has been left to do, and what comes of it.
    fn act(&mut self) {
        while let Some(action) = self.actions.pop() {
            match action {
                Action::Decide {
                    challenger,
                    admitted,
                } => challenger.decided(admitted, self),
                Action::Settle(owner) => owner.settle(),
            }
        }
    }
}

impl Tools {
    /// Gives back what was of no use lately. Connections that are at rest have timers, too.
    fn rest(&mut self, now: Instant) {
        let rested = *self.rested.get_or_insert(now);
        if now.saturating_duration_since(rested) >= REST {
            self.rested = Some(now);
            self.buffer.rest();
        }
    }

    pub(super) fn with<R>(
        &mut self,
        now: Instant,
        work: impl FnOnce(&mut Workbench<'_>) -> R,
    ) -> R {
        let mut bench = Workbench {
            now,
            buffer: &mut self.buffer,
            batch: &mut self.batch,
            actions: &mut self.actions,
        };
        let result = work(&mut bench);
        bench.act();
        result
    }
}

impl Shared {
    /// Leads until the waiter has a signal, the deadline has come, or there is one to make way for;
    /// gives the time then.
    /// `outlook` is that of a user's thread; the steward has none. `alone` if nothing but the
    /// engine's connections brings what is waited for.
    pub(crate) fn drive(
        self: &Arc<Self>,
        waiter: &Waiter,
        deadline: Option<Instant>,
        mut now: Instant,
        outlook: Option<Outlook>,
        alone: bool,
    ) -> Instant {
        let mut driver = self.driver.lock();
        let tools = driver.tools();
        loop {
            now = match (alone, outlook) {
                (true, Some(outlook)) => self
                    .wait_alone(tools, waiter, deadline, now, outlook)
                    .unwrap_or_else(|| self.turn(tools, waiter, deadline, now, Some(outlook))),
                _ => self.turn(tools, waiter, deadline, now, outlook),
            };
            let over = deadline.is_some_and(|deadline| deadline <= now);
            if over || waiter.has(READY | LEAVE) || self.lead.makes_way() {
                return now;
            }
        }
    }

    /// Does, from any thread, something to a connection that is usually the leader's to do.
    pub(crate) fn with_workbench(&self, work: impl FnOnce(&mut Workbench<'_>)) {
        // Buffers of its own: the leader holds the driver's while it polls.
        let mut bench = Workbench {
            now: Instant::now(),
            buffer: &mut ReadBuffer::new(),
            batch: &mut Vec::new(),
            actions: &mut Vec::new(),
        };
        work(&mut bench);
        bench.act();
    }

    fn turn(
        self: &Arc<Self>,
        tools: &mut Tools,
        waiter: &Waiter,
        deadline: Option<Instant>,
        now: Instant,
        outlook: Option<Outlook>,
    ) -> Instant {
        self.flush_corked();
        for token in self.take_condemned() {
            if let Some(conn) = self.conn(token) {
                tools.with(now, |bench| conn.failed_to_write(bench));
            }
        }
        let began = now;
        let lingers = outlook.is_some_and(|outlook| outlook.streaming)
            && !waiter.has(READY | LEAVE)
            && tools.patience.tries();
        let polled = match lingers.then(|| self.linger(tools, waiter)) {
            Some(Ok(true)) => Ok(()),
            Some(Err(error)) => Err(error),
            Some(Ok(false)) | None => self.poll(tools, waiter, deadline, now, outlook.is_some()),
        };
        if let Err(error) = polled {
            log::error!("the poller failed: {error}");
        }
        let now = Instant::now();
        let mut ready = std::mem::take(&mut tools.ready);
        for ready in ready.drain(..) {
            match self.source(ready.token) {
                Some(Source::Conn(conn)) => tools.with(now, |bench| conn.ready(ready, bench)),
                Some(Source::Listening(listening)) => {
                    tools.solitude.disturbed(now);
                    tools.with(now, |bench| listening.accept(bench));
                }
                None => {}
            }
        }
        tools.ready = ready;
        tools.solitude.polled(began, now);
        self.run_timers(tools, now);
        now
    }

    /// Sleeps in the kernel until something comes, by the alarm at the latest.
    fn poll(
        &self,
        tools: &mut Tools,
        waiter: &Waiter,
        deadline: Option<Instant>,
        now: Instant,
        watched: bool,
    ) -> std::io::Result<()> {
        // A timer that is due ends the poll at once, and runs after it.
        let timeout = self.begin_poll(deadline, now, watched);
        let polled = waiter.polling(|may_block| {
            let timeout = if may_block {
                timeout
            } else {
                Some(Duration::ZERO)
            };
            self.poller.wait(&mut tools.ready, timeout)
        });
        self.end_poll();
        polled
    }

    /// Looks a few times before it sleeps: true if something came. In the middle of a stream the
    /// next chunk is a few microseconds away, and to fall asleep and be woken takes both sides as
    /// long.
    ///
    /// A look uses up the alarm. So this comes before the poll has begun: nobody rings yet, and
    /// what would have been rung for is seen when it begins.
    fn linger(&self, tools: &mut Tools, waiter: &Waiter) -> std::io::Result<bool> {
        let (looked, came) = patience::linger(|| {
            let looked = self.poller.wait(&mut tools.ready, Some(Duration::ZERO));
            let came = looked.is_err() || !tools.ready.is_empty() || waiter.has(READY | LEAVE);
            (looked, came)
        });
        looked?;
        tools.patience.learns(came);
        Ok(came)
    }

    pub(super) fn run_timers(self: &Arc<Self>, tools: &mut Tools, now: Instant) {
        while let Some(timer) = self.pop_timer(now) {
            tools.rest(now);
            tools.with(now, |bench| match timer {
                Timer::Handshake(token) => {
                    if let Some(conn) = self.conn(token) {
                        conn.handshake_due(bench);
                    }
                }
                Timer::Heartbeat(token) => {
                    if let Some(conn) = self.conn(token) {
                        conn.heartbeat(bench);
                    }
                }
                Timer::Ttl(token) => {
                    if let Some(conn) = self.conn(token) {
                        conn.ttl_due(bench);
                    }
                }
                Timer::Probe(token) => {
                    if let Some(conn) = self.conn(token) {
                        conn.probe_due(bench);
                    }
                }
                Timer::Redial(id) => {
                    if let Some(dialer) = self.dialer(id) {
                        dialer.dial(bench);
                    }
                }
                Timer::Accept(token) => {
                    if let Some(Source::Listening(listening)) = self.source(token) {
                        listening.resume();
                    }
                }
            });
        }
    }
}
