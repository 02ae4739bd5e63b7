//! One DEALER over many servers, each with its weight and its credit.
//!
//! Towards each server it is a DEALER of its own: a connection and a queue that nobody else
//! shares. One picker chooses, by smooth weighted round-robin, among the servers that are
//! connected, have room in their queue, and have credit.
//!
//! Credit is what a server may have unanswered: each message sent takes one, each message that
//! comes from the server gives one back. So a server that stops strands at most its credit. What
//! was lost with a connection is not given back by itself: the program knows whether it has given
//! it to another, and says so by [`WeightedDealer::forgive`].
//!
//! # Not here
//!
//! Heed of silence: who hangs is picked until it has no credit or room, or is closed. The fabric's
//! client is what leaves a silent node alone sooner, by `tap::Tap` and its picker.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::common::{Handle, deadline_in};
use super::core::Core;
use super::error::{Error, RecvError, SendError, SendRefusal};
use super::options::Options;
use super::stats::{SocketStats, Unsent};
use crate::balance::SmoothWeighted;
use crate::engine::pipe::Pipe;
use crate::event::Event;
use crate::link::Endpoint;
use crate::message::Message;
use crate::zmtp::SocketType;

/// One server of a [`WeightedDealer`].
#[derive(Clone)]
pub struct Server {
    pipe: Arc<Pipe>,
    endpoint: Arc<Endpoint>,
}

impl Server {
    /// The endpoint connected to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.pipe.id == other.pipe.id
    }
}

impl Eq for Server {}

impl std::hash::Hash for Server {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pipe.id.hash(state);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.endpoint)
    }
}

/// A server, as the picker sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerStats {
    /// Which one.
    pub server: Server,
    /// Its weight.
    pub weight: u32,
    /// Whether it is connected.
    pub connected: bool,
    /// What it may have unanswered; `None` is without limit.
    pub credit_max: Option<u32>,
    /// Messages sent to it that no message from it has answered yet.
    pub outstanding: u32,
    /// Messages that it was picked for.
    pub picked: u64,
    /// Messages received from it.
    pub received: u64,
    /// Messages that wait to go out to it.
    pub queued: usize,
}

#[derive(Debug)]
struct Member {
    server: Server,
    credit_max: Option<u32>,
    outstanding: u32,
    picked: u64,
    received: u64,
}

#[derive(Debug, Default)]
struct Pool {
    turns: SmoothWeighted,
    members: Vec<Member>,
}

/// A socket that spreads what it sends over servers by weight, and receives from all of them.
///
/// Servers that are down, full or without credit are passed over; their share goes to the others
/// by the same weights. Servers, weights and credit may change at any time, from any thread.
///
/// # A server that hangs
///
/// One that is stopped, or behind a link that has died without a word, is connected, for all that can
/// be known, until heartbeats close it: it is picked in its turn **until then**, also while it has not
/// answered a PING. By default that takes 3 s ([`heartbeat_timeout`](Options::heartbeat_timeout)), and
/// without heartbeats for ever. What it was given waits, in its queue or on its connection, for its
/// answer or for its next connection, and is not sent to another by itself. So:
///
/// - bound what it can strand by [`set_credit`](Self::set_credit), which is without limit by default:
///   without it a server may be given `send_messages_max` messages and what the connection holds;
/// - notice it sooner: `heartbeat_interval` of 100 ms and `heartbeat_timeout` of 300 ms take half a
///   second, for ten PINGs a second to each server that is idle;
/// - when [`monitor`](Self::monitor) tells of its end, or an answer is overdue, send what it had to
///   another, and [`forgive`](Self::forgive) it: else it has that much less credit when it is back.
///
/// `examples/weighted_pool.rs` does all of it.
///
/// ```
/// use brokerless_patterns::{Router, WeightedDealer};
///
/// let (a, b) = (Router::bind("inproc://a")?, Router::bind("inproc://b")?);
/// let pool = WeightedDealer::new()?;
/// let big = pool.add("inproc://a", 2)?;
/// let small = pool.add("inproc://b", 1)?;
///
/// let picks: Vec<_> = (0..3).map(|_| pool.send("task")).collect::<Result<_, _>>()?;
/// assert_eq!(picks, [big.clone(), small, big]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WeightedDealer {
    core: Handle,
    pool: Mutex<Pool>,
}

impl WeightedDealer {
    /// A socket with the default options and no servers.
    ///
    /// # Errors
    ///
    /// If the system gives no poller.
    pub fn new() -> Result<Self, Error> {
        Self::with(Options::new())
    }

    /// A socket with these options and no servers.
    ///
    /// # Errors
    ///
    /// If an option is out of its bounds, or the system gives no poller.
    pub fn with(options: Options) -> Result<Self, Error> {
        let core = Core::new(SocketType::Dealer, &options)?;
        Ok(WeightedDealer {
            core: Handle(core),
            pool: Mutex::default(),
        })
    }

    /// Adds a server with this weight of at most 1,000,000, and begins to connect to it. One of
    /// weight 0 is not picked. There is no limit to its credit until one is set.
    ///
    /// # Errors
    ///
    /// If the endpoint is malformed or not one to connect to.
    pub fn add(&self, endpoint: &str, weight: u32) -> Result<Server, Error> {
        let (endpoint, pipe) = self.core.connect(endpoint)?;
        let Some(pipe) = pipe else {
            return Err(Error::NotFound { endpoint });
        };
        // Answers of busy servers are received in the same shares.
        self.core.set_weight(&pipe, weight.clamp(1, 1_000_000));
        let server = Server {
            pipe,
            endpoint: Arc::new(endpoint),
        };
        let mut pool = self.pool.lock();
        pool.turns.push(weight.min(1_000_000));
        pool.members.push(Member {
            server: server.clone(),
            credit_max: None,
            outstanding: 0,
            picked: 0,
            received: 0,
        });
        drop(pool);
        self.core.wake_writers();
        Ok(server)
    }

    /// Takes a server out. Messages queued for it are dropped and counted; answers under way are
    /// lost.
    ///
    /// # Errors
    ///
    /// If it has been taken out before.
    pub fn remove(&self, server: &Server) -> Result<(), Error> {
        {
            let mut pool = self.pool.lock();
            let Some(index) = pool.index(server) else {
                return Err(Error::NotFound {
                    endpoint: server.endpoint().clone(),
                });
            };
            pool.turns.remove(index);
            pool.members.remove(index);
        }
        self.core.disconnect_pipe(&server.pipe)
    }

    /// Gives a server another weight of at most 1,000,000. False if it is not in the pool.
    pub fn set_weight(&self, server: &Server, weight: u32) -> bool {
        self.core
            .set_weight(&server.pipe, weight.clamp(1, 1_000_000));
        self.change(server, |pool, index| {
            pool.turns.set_weight(index, weight.min(1_000_000))
        })
    }

    /// Limits what a server may have unanswered, and so what one that hangs can strand; `None`, as
    /// at first, is without limit. False if it is not in the pool.
    pub fn set_credit(&self, server: &Server, credit_max: Option<u32>) -> bool {
        self.change(server, |pool, index| {
            pool.members[index].credit_max = credit_max
        })
    }

    fn change(&self, server: &Server, change: impl FnOnce(&mut Pool, usize)) -> bool {
        let mut pool = self.pool.lock();
        let index = pool.index(server);
        if let Some(index) = index {
            change(&mut pool, index);
        }
        drop(pool);
        self.core.wake_writers();
        index.is_some()
    }

    /// Sends a message to the server whose turn it is; says which.
    ///
    /// # Errors
    ///
    /// If the socket has been closed. The message comes back.
    ///
    /// # Blocking
    ///
    /// While no server can take it.
    pub fn send(&self, message: impl Into<Message>) -> Result<Server, SendError> {
        self.send_by(None, message.into())
    }

    /// Sends a message, waiting for a server that can take it no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and if the time is over.
    pub fn send_timeout(
        &self,
        message: impl Into<Message>,
        timeout: Duration,
    ) -> Result<Server, SendError> {
        self.send_by(deadline_in(timeout), message.into())
    }

    /// Sends a message if a server can take it now.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and if none can.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<Server, SendError> {
        self.attempt(message.into())
            .map_err(|refused| self.core.refuse(refused))
    }

    fn send_by(&self, deadline: Option<Instant>, message: Message) -> Result<Server, SendError> {
        let taker = std::cell::RefCell::new(None);
        self.core.send_until(deadline, message, |message| {
            *taker.borrow_mut() = Some(self.attempt(message)?);
            Ok(())
        })?;
        match taker.into_inner() {
            Some(server) => Ok(server),
            None => unreachable!("a message that was sent was taken by a server"),
        }
    }

    fn attempt(&self, mut message: Message) -> Result<Server, (SendRefusal, Message)> {
        if self.core.is_closed() {
            return Err((SendRefusal::Closed, message));
        }
        let mut pool = self.pool.lock();
        let Pool { turns, members } = &mut *pool;
        // A server that was found able may be full a moment later: then the next is picked.
        for _ in 0..members.len() {
            let Some(index) = turns.pick(|index| members[index].is_able()) else {
                break;
            };
            let member = &mut members[index];
            match self.core.push_to(&member.server.pipe, message) {
                Ok(()) => {
                    member.outstanding += 1;
                    member.picked += 1;
                    return Ok(member.server.clone());
                }
                Err((_, back)) => message = back,
            }
        }
        let refusal = if members.is_empty() {
            SendRefusal::NoPeer
        } else {
            SendRefusal::Full
        };
        Err((refusal, message))
    }

    /// Receives the next message, with the server that it came from.
    ///
    /// # Errors
    ///
    /// If the socket has been closed by another thread.
    ///
    /// # Blocking
    ///
    /// Until a message comes.
    pub fn recv(&self) -> Result<(Server, Message), RecvError> {
        self.receive(None)
    }

    /// Receives the next message, waiting for it no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and if the time is over.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<(Server, Message), RecvError> {
        self.receive(deadline_in(timeout))
    }

    /// Receives a message that is there already.
    ///
    /// # Errors
    ///
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn try_recv(&self) -> Result<(Server, Message), RecvError> {
        self.receive(Some(Instant::now()))
    }

    fn receive(&self, deadline: Option<Instant>) -> Result<(Server, Message), RecvError> {
        self.core.receive_with(deadline, || {
            loop {
                let (pipe, message) = self.core.try_receive()?;
                let server = {
                    let mut pool = self.pool.lock();
                    let member = pool
                        .members
                        .iter_mut()
                        .find(|m| Arc::ptr_eq(&m.server.pipe, &pipe));
                    member.map(|member| {
                        member.outstanding = member.outstanding.saturating_sub(1);
                        member.received += 1;
                        member.server.clone()
                    })
                };
                match server {
                    Some(server) => {
                        self.core.wake_writers();
                        return Some((server, message));
                    }
                    // From a server that has been taken out.
                    None => self.core.misfit(&pipe),
                }
            }
        })
    }

    /// Gives a server its whole credit back: what it had unanswered is no longer expected.
    /// False if it is not in the pool.
    ///
    /// A program calls this when it gives those messages to another server, after this one was
    /// lost: see [`Event::Disconnected`].
    pub fn forgive(&self, server: &Server) -> bool {
        self.change(server, |pool, index| pool.members[index].outstanding = 0)
    }

    /// The server whose connection has this number, as events name it.
    pub fn server(&self, peer: u64) -> Option<Server> {
        let pool = self.pool.lock();
        let member = pool
            .members
            .iter()
            .find(|member| member.server.pipe.id == peer);
        member.map(|member| member.server.clone())
    }

    /// The servers, as the picker sees them.
    pub fn servers(&self) -> Vec<ServerStats> {
        let pool = self.pool.lock();
        let members = pool.members.iter().enumerate();
        members
            .map(|(index, member)| ServerStats {
                server: member.server.clone(),
                weight: pool.turns.weight(index),
                connected: member.server.pipe.is_linked(),
                credit_max: member.credit_max,
                outstanding: member.outstanding,
                picked: member.picked,
                received: member.received,
                queued: member.server.pipe.counts().queued,
            })
            .collect()
    }

    /// A channel of what happens to the connections: as [`Dealer::monitor`](crate::Dealer::monitor).
    pub fn monitor(&self) -> crossbeam_channel::Receiver<Event> {
        self.core.monitor()
    }

    /// What the socket has done so far.
    pub fn stats(&self) -> SocketStats {
        self.core.stats()
    }

    /// Closes the socket: as [`Dealer::close`](crate::Dealer::close).
    pub fn close(&self) -> Unsent {
        self.core.close(self.core.linger())
    }
}

impl Pool {
    fn index(&self, server: &Server) -> Option<usize> {
        self.members
            .iter()
            .position(|member| member.server == *server)
    }
}

impl Member {
    fn is_able(&self) -> bool {
        let credit = self.credit_max.is_none_or(|max| self.outstanding < max);
        credit && self.server.pipe.is_linked() && self.server.pipe.has_room()
    }
}

impl fmt::Debug for WeightedDealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightedDealer")
            .field("servers", &self.servers())
            .finish()
    }
}

impl super::Waitable for WeightedDealer {
    fn waits_on(&self) -> super::WaitsOn<'_> {
        super::WaitsOn::new(&self.core)
    }
}
