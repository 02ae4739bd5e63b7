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
//! | `steward` | who looks after things while nobody waits |
//! | `driver` | one turn of the leader |
//! | `alone` | the same, where there is a single connection |
//! | `conn`, `intake`, `conn_link`, `listen`, `dial` | connections, and where they come from |
//! | `heartbeat` | signs of life |
//! | `pipe`, `outbox`, `inproc` | what goes out to a peer |
//! | `owner` | what a socket is to the engine |
//! | `alarm` | until when a poll may sleep, and who has to end it |
//! | `timers`, `poller`, `sync` | tools |

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
mod patience;
pub(crate) mod pipe;
pub(crate) mod poller;
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
            }),
        })
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
