//! The leader's turn where the engine has a single connection.
//!
//! A poll and then a read are two system calls for what one can do: the leader waits in the
//! connection's own receive call. Nobody can end that call but the peer, so it lasts
//! [`Stream::WAIT_MAX`](crate::link::Stream::WAIT_MAX) at most, and is made only where everything else can wait that long:
//!
//! | what could come meanwhile | why it can wait, or does not come |
//! |---|---|
//! | a message from within the process, or for another wait | then a thread does not wait [`Connections`](super::wait::Drives::Connections) |
//! | room in a queue that is full | the connection is watched for writing: not alone |
//! | a connection to accept, the end of connecting | the poller is looked at each [`LOOK_EVERY`]; and not for a while after one has come |
//! | timers, the closing of the socket | late by a few milliseconds |
//! | nothing | after a wait that was not quick the poller takes over, and the process is idle |
//!
//! # Invariants
//!
//! 1. The connection's state is not locked while its bytes are waited for; only the leader reads,
//!    so the place that the decoder named stays the right one. (held by `Conn::receive_alone`)
//! 2. An idle connection is left to the poller.
//!    (test `a_connection_that_was_busy_costs_no_wakeups_once_it_is_idle`)
//! 3. Whoever else wants to come in does, however busy the connection is.
//!    (test `a_newcomer_is_let_in_beside_a_busy_peer`)
//! 4. Of those that come one after another, the first few at most have to wait for it.
//!    (test `who_comes_after_another_is_let_in_at_once`)

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conn::{Conn, Phase};
use super::driver::{Tools, Workbench};
use super::pace::Outlook;
use super::patience;
use super::shared::Shared;
use super::waiter::{LEAVE, READY, Waiter};
use crate::event::CloseReason;
use crate::link::Stream;
use crate::zmtp::decoder::Plan;

/// The poller is looked at this often, however busy the connection is.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A wait that took less than this was quick.
const QUICK: Duration = Duration::from_millis(1);
/// Who has to be on time to less than this does not wait in a receive call.
const PRECISE: Duration = Duration::from_millis(50);
/// Others may come right after one that did.
const COMPANY: Duration = Duration::from_millis(20);
/// They do: one came while a connection was waited for alone, and had to wait for that.
const MUCH_COMPANY: Duration = Duration::from_secs(1);

/// What the leader remembers of its last waits.
#[derive(Debug, Default)]
pub(super) struct Solitude {
    /// The last wait was quick: the next one may be, too.
    quick: bool,
    /// When the poller is to be looked at again.
    look_again: Option<Instant>,
    /// The last wait was for one connection alone, and was not quick.
    dawdled: bool,
    /// Until then others are likely to come.
    company: Option<Instant>,
}

impl Solitude {
    /// The poller has been waited for.
    pub(super) fn polled(&mut self, began: Instant, now: Instant) {
        self.quick = now < began + QUICK;
        self.look_again = Some(now + LOOK_EVERY);
        self.dawdled = false;
    }

    /// Somebody wants to come in.
    pub(super) fn disturbed(&mut self, now: Instant) {
        let much = self.dawdled || self.expects(now + COMPANY);
        let company = if much { MUCH_COMPANY } else { COMPANY };
        self.company = Some(now + company);
    }

    fn expects(&self, now: Instant) -> bool {
        self.company.is_some_and(|company| now < company)
    }

    fn serves(&self, now: Instant, deadline: Option<Instant>) -> bool {
        self.quick
            && self.look_again.is_some_and(|again| now < again)
            && !self.expects(now)
            && deadline.is_none_or(|deadline| now + PRECISE < deadline)
    }
}

impl Shared {
    /// Waits for the only connection, and reads what comes; gives the time then. Nothing, if that
    /// is not to be done now.
    pub(super) fn wait_alone(
        self: &Arc<Self>,
        tools: &mut Tools,
        waiter: &Waiter,
        deadline: Option<Instant>,
        now: Instant,
        outlook: Outlook,
    ) -> Option<Instant> {
        if !tools.solitude.serves(now, deadline) {
            return None;
        }
        let conn = self.lone_conn()?;
        self.flush_corked();
        let lingers = outlook.streaming && tools.patience.tries();
        let mut patience = std::mem::take(&mut tools.patience);
        let look = |stream: &Stream, space: &mut [u8]| {
            if lingers {
                let looked = linger(stream, space, waiter);
                patience.learns(!would_block(&looked));
                if !would_block(&looked) {
                    return looked;
                }
            }
            waiter.polling(|may_block| match may_block {
                true => stream.recv_waiting(space),
                false => stream.recv(space),
            })
        };
        let received = tools.with(now, |bench| conn.receive_alone(bench, look));
        tools.patience = patience;
        let after = received?;
        tools.solitude.quick = after < now + QUICK;
        tools.solitude.dawdled = !tools.solitude.quick;
        self.run_timers(tools, after);
        Some(after)
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Looks a few times before it waits: see `Shared::linger`.
fn linger(stream: &Stream, space: &mut [u8], waiter: &Waiter) -> io::Result<usize> {
    let (looked, _) = patience::linger(|| {
        let looked = stream.recv(space);
        let over = !would_block(&looked) || waiter.has(READY | LEAVE);
        (looked, over)
    });
    looked
}

impl Conn {
    /// Reads what `look` gets for it; gives the time afterwards. Nothing, if this connection
    /// cannot be waited for so.
    fn receive_alone(
        self: &Arc<Self>,
        bench: &mut Workbench<'_>,
        look: impl FnOnce(&Stream, &mut [u8]) -> io::Result<usize>,
    ) -> Option<Instant> {
        {
            let watched = self.watched.lock();
            if !watched.on || !watched.interest.read || watched.interest.write {
                return None;
            }
        }
        let (offset, max) = match &mut *self.phase.lock() {
            Phase::Traffic(traffic) => match traffic.decoder.plan(bench.buffer) {
                Plan::Shared { offset, max } => (offset, max),
                Plan::Own(_) => return None,
            },
            _ => return None,
        };
        if !self.stream.lets_wait() {
            return None;
        }
        let looked = look(
            &self.stream,
            &mut bench.buffer.space()[offset..offset + max],
        );
        bench.now = Instant::now();
        let ended = match looked {
            Ok(0) => Some(CloseReason::PeerClosed),
            Ok(n) => match &mut *self.phase.lock() {
                Phase::Traffic(traffic) => self.read_on(traffic, bench, offset, n, max).err(),
                _ => None, // closed meanwhile
            },
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => None,
                kind => Some(CloseReason::Io(kind)),
            },
        };
        if let Some(reason) = ended {
            self.close(reason, bench);
        }
        Some(bench.now)
    }
}
