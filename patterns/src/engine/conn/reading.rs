//! Reading what a peer sends, once it is admitted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{COMMANDS_BEHIND_MAX, Conn, Phase, Traffic};
use crate::engine::driver::{Action, Workbench};
use crate::engine::intake::Intake;
use crate::engine::owner::Flow;
use crate::event::CloseReason;
use crate::zmtp::decoder::Plan;

/// Bytes read from one connection before the others have their turn.
const READ_BUDGET: usize = 256 * 1024;

/// What reading has left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Left {
    /// Nothing that was there.
    Nothing,
    /// Perhaps something: reading was paused, or others have their turn.
    Perhaps,
}

impl Conn {
    /// Reads what has come, or a part of it.
    pub(in crate::engine) fn read(
        &self,
        traffic: &mut Traffic,
        bench: &mut Workbench<'_>,
    ) -> Result<Left, CloseReason> {
        self.read_within(READ_BUDGET, traffic, bench)
    }

    /// Takes `n` bytes that were read into the shared buffer, where there was room for `max`, and
    /// reads what else has come.
    pub(in crate::engine) fn read_on(
        &self,
        traffic: &mut Traffic,
        bench: &mut Workbench<'_>,
        offset: usize,
        n: usize,
        max: usize,
    ) -> Result<Left, CloseReason> {
        match self.take_in(traffic, bench, n, Some(offset))? {
            Flow::On if n == max => self.read_within(READ_BUDGET - n, traffic, bench),
            Flow::On => Ok(Left::Nothing),
            Flow::Paused | Flow::Broken(_) => Ok(Left::Perhaps),
        }
    }

    fn read_within(
        &self,
        mut budget: usize,
        traffic: &mut Traffic,
        bench: &mut Workbench<'_>,
    ) -> Result<Left, CloseReason> {
        loop {
            let (n, room, filled) = {
                match traffic.decoder.plan(bench.buffer) {
                    Plan::Shared { offset, max } => {
                        let space = &mut bench.buffer.space()[offset..offset + max];
                        (self.stream.recv(space), max, Some(offset))
                    }
                    Plan::Own(body) => {
                        let room = body.capacity() - body.len();
                        (self.stream.recv_spare(body, room), room, None)
                    }
                }
            };
            let n = match n {
                Ok(0) => return Err(CloseReason::PeerClosed),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Left::Nothing);
                }
                Err(error) => return Err(CloseReason::Io(error.kind())),
            };
            let flow = self.take_in(traffic, bench, n, filled)?;
            budget = budget.saturating_sub(n);
            if budget == 0 || flow == Flow::Paused {
                return Ok(Left::Perhaps);
            }
            if n < room {
                return Ok(Left::Nothing);
            }
        }
    }

    /// Takes `n` bytes that were read: `filled` is where to in the shared buffer, or nothing where
    /// they went into a large frame.
    fn take_in(
        &self,
        traffic: &mut Traffic,
        bench: &mut Workbench<'_>,
        n: usize,
        filled: Option<usize>,
    ) -> Result<Flow, CloseReason> {
        let Some(pipe) = self.pipe.get() else {
            return Ok(Flow::On); // there is no traffic without one
        };
        traffic.last_heard = bench.now;
        if std::mem::take(&mut traffic.asked) {
            self.owner.heard(pipe);
            bench.settle_later(&self.owner);
        }
        if self.tested.load(Ordering::Acquire)
            && let Some(challenger) = self.take_challenger()
        {
            bench.actions.push(Action::Decide {
                challenger,
                admitted: false,
            });
        }
        let mut intake = Intake {
            batch: bench.batch,
            replies: Vec::new(),
            now: bench.now,
            ttl: &mut traffic.ttl,
            pongs: &mut traffic.pongs,
            unanswered: 0,
            round_trip: &mut traffic.round_trip,
            measured: None,
            subscribable: traffic.subscribable,
        };
        let fed = match filled {
            Some(offset) => traffic.decoder.feed(bench.buffer, offset + n, &mut intake),
            None => traffic.decoder.fed_own(bench.buffer, &mut intake),
        };
        let (replies, unanswered) = (intake.replies, intake.unanswered);
        if let Some(round_trip) = intake.measured {
            pipe.set_round_trip(Some(round_trip));
            self.owner.measured(pipe, round_trip);
        }
        let pinged = !replies.is_empty() || unanswered > 0;
        if !replies.is_empty() {
            pipe.command(&replies, COMMANDS_BEHIND_MAX);
        }
        if unanswered > 0 {
            pipe.pings_unanswered(unanswered);
        }
        if pinged {
            traffic.judges = true;
            self.watch_ttl(traffic, bench.now);
        }
        let flow = if bench.batch.is_empty() {
            Flow::On
        } else {
            let flow = self.owner.deliver(pipe, bench.batch, bench.now);
            bench.settle_later(&self.owner);
            flow
        };
        fed.map_err(CloseReason::Violation)?;
        match flow {
            Flow::Broken(violation) => Err(CloseReason::Violation(violation)),
            Flow::On | Flow::Paused => Ok(flow),
        }
    }

    /// Nothing more can be written. What the peer sent before is read first.
    pub(crate) fn failed_to_write(self: &Arc<Self>, bench: &mut Workbench<'_>) {
        let ended = match &mut *self.phase.lock() {
            Phase::Traffic(traffic) => loop {
                match self.read(traffic, bench) {
                    Ok(Left::Perhaps) if self.rest_until_resumed() => return,
                    Ok(Left::Perhaps) => {}
                    Ok(Left::Nothing) => break self.stream_end(),
                    Err(reason) => break reason,
                }
            },
            _ => self.stream_end(),
        };
        self.close(ended, bench);
    }
}
