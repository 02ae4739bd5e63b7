//! The engine: the only place with threads, polling and timers.
//!
//! There is no I/O thread. The thread that waits on any socket of an engine takes the lead: it
//! polls, reads and parses for all of them, keeps its own message, wakes each thread that has got
//! one, and gives the lead up. A sender writes straight to the connection.
//!
//! ```text
//!  thread A: recv ----- lead: poll, read, parse ------> its message
//!  thread B: recv ----- parked ----------------+-----> woken with its message
//!  thread C: send ----- write                  |
//!  steward : ---------- ticks or sleeps --- leads only while nobody else does
//! ```
//!
//! | file | what |
//! |---|---|
//! | `wait` | how a thread waits: leading or following |
//! | `pace` | what a thread's pace says about holding messages back |
//! | `patience` | looking before sleeping, where it pays |
//! | `lead`, `waiter` | the hand-over, free of polling |
//! | `parking` | where threads sleep, and are woken together |
//! | `steward` | who looks after things while nobody waits |
//! | `driver` | one turn of the leader |
//! | `alone` | the same, where there is a single connection |
//! | `conn`, `intake`, `conn_link`, `listen`, `dial` | connections, and where they come from |
//! | `heartbeat`, `round_trip` | signs of life, and how far away they come from |
//! | `pipe`, `outbox`, `inproc` | what goes out to a peer |
//! | `owner` | what a socket is to the engine |
//! | `alarm` | until when a poll may sleep, and who has to end it |
//! | `timers`, `poller`, `sync` | tools |
//! | `second` | another engine, by the `zeromq` crate, in place of all of this |

pub(crate) mod alarm;
mod alone;
pub(crate) mod conn;
pub(crate) mod conn_link;
pub(crate) mod dial;
pub(crate) mod driver;
mod heartbeat;
pub(crate) mod inproc;
mod intake;
pub(crate) mod lead;
pub(crate) mod listen;
#[cfg(all(test, loom))]
mod loom_tests;
pub(crate) mod outbox;
pub(crate) mod owner;
pub(crate) mod pace;
pub(crate) mod parking;
mod patience;
pub(crate) mod pipe;
pub(crate) mod poller;
mod round_trip;
#[cfg(feature = "zeromq")]
pub(crate) mod second;
pub(crate) mod shared;
pub(crate) mod steward;
pub(crate) mod sync;
pub(crate) mod timers;
pub(crate) mod wait;
pub(crate) mod waiter;

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use shared::Shared;

/// One poller with its steward, shared by any number of sockets.
///
/// Sockets use the process's own engine unless they are given another one. One engine is driven
/// by one thread at a time; several spread a server over many cores.
///
/// Clones are the same engine. It ends when the last clone and the last socket on it are gone.
///
/// ```
/// use brokerless_patterns::{Engine, Options, Router};
///
/// let engine = Engine::new()?;
/// let router = Router::with(Options::new().engine(&engine))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    steward: OnceLock<()>,
    /// Its sockets run on the second engine: here they only wait.
    #[cfg(feature = "zeromq")]
    is_second: bool,
}

impl Engine {
    /// An engine of its own.
    ///
    /// # Errors
    ///
    /// If the system gives no poller: out of descriptors or memory.
    pub fn new() -> io::Result<Self> {
        Ok(Engine {
            inner: Arc::new(Inner {
                shared: Shared::new()?,
                steward: OnceLock::new(),
                #[cfg(feature = "zeromq")]
                is_second: false,
            }),
        })
    }

    /// An engine whose sockets run on the `zeromq` crate, each on a thread of its own. With the
    /// feature `zeromq`.
    ///
    /// It is for trusted links only, and for programs that run on that crate already. The types
    /// and calls are the same; DEALER, ROUTER, PUB, SUB, PUSH and PULL run on it.
    ///
    /// # What is refused
    ///
    /// With an error that says so: other types of sockets; `inproc://` and source addresses;
    /// topics that are not UTF-8; and every option other than its default that this engine could
    /// not hold to: heartbeats (they may be switched off), limits on frames, messages, handshakes
    /// and connections, TCP keepalive, kernel buffers, `conflate`, and for a PUB
    /// [`SlowSubscriber::Disconnect`](crate::SlowSubscriber), limits on topics, last values and
    /// a welcome.
    ///
    /// # What is without effect, or other than on an engine of our own
    ///
    /// - There are no limits on what a peer may announce or how many come in. A few bytes from a
    ///   stranger end the process.
    /// - There are no heartbeats: a silent peer is not noticed, and one that sends a PING is parted
    ///   from. Peers on an engine of our own send none here, peers of libzmq leave theirs off.
    /// - A peer without an identity gets a random one. Who announces one that is in use takes it
    ///   over.
    /// - Only a ROUTER tells its peers apart. The peers of other sockets that come in at one
    ///   endpoint share a [`Peer`](crate::Peer), a queue and its limits, and are received from by
    ///   turns instead of by bytes. A ROUTER waits for a peer that is over its receive limit, and
    ///   the others with it.
    /// - A PUB does not know who has subscribed to what: [`Pub::subscriptions`](crate::Pub) is
    ///   empty, and what a slow subscriber misses is not counted. It queues 100,000 messages for
    ///   each, beside `send_messages_max`.
    /// - A PUSH notices that its peer has gone only when it writes to it: what it has written by
    ///   then is lost, and counted as written.
    /// - `written_messages` are those that the crate has let go of: written, or lost with a
    ///   connection that failed meanwhile. Stats of connections and handshakes are zero.
    /// - `handshake_timeout` and the pauses of reconnecting hold for endpoints connected to.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use brokerless_patterns::{Engine, Options, Pull, Push};
    ///
    /// let engine = Engine::zeromq()?;
    /// let pull = Pull::with(Options::new().engine(&engine))?;
    /// let endpoint = pull.bind_to("tcp://127.0.0.1:*")?;
    /// let push = Push::with(Options::new().engine(&engine))?;
    /// push.connect_to(&endpoint.to_string())?;
    ///
    /// push.send("work")?;
    /// assert_eq!(pull.recv_timeout(Duration::from_secs(30))?[0], "work");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    #[cfg(feature = "zeromq")]
    pub fn zeromq() -> io::Result<Self> {
        Ok(Engine {
            inner: Arc::new(Inner {
                shared: Shared::new()?,
                steward: OnceLock::new(),
                is_second: true,
            }),
        })
    }

    #[cfg(feature = "zeromq")]
    pub(crate) fn is_second(&self) -> bool {
        self.inner.is_second
    }

    /// The process's engine, made when it is first asked for.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); the next call tries again.
    pub fn global() -> io::Result<Self> {
        static GLOBAL: OnceLock<Engine> = OnceLock::new();
        if let Some(engine) = GLOBAL.get() {
            return Ok(engine.clone());
        }
        let engine = Engine::new()?;
        Ok(GLOBAL.get_or_init(|| engine).clone())
    }

    /// Lets another thread that waits lead, if nobody does: for a thread that is going to be busy
    /// for a while with what it has received.
    ///
    /// What the thread holds back is written. Without this the others, and that, wait until the thread
    /// is back, or for a millisecond or two.
    pub fn hand_on(&self) {
        self.inner.shared.flush_corked();
        self.inner.shared.lead.offer();
    }

    /// Writes what is held back.
    pub fn flush(&self) {
        self.inner.shared.flush_corked();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Starts the steward, if it does not run yet: there is going to be something to drive.
    pub(crate) fn employ_steward(&self) -> io::Result<()> {
        if self.inner.steward.set(()).is_ok() {
            steward::start(&self.inner.shared)?;
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({:p})", Arc::as_ptr(&self.inner.shared))
    }
}
