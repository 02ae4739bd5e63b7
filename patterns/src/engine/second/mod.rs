//! The second engine: sockets of the `zeromq` crate behind our own, a thread for each.
//!
//! For trusted links, and for those who run on the crate already: what it cannot do is refused by
//! name where it would matter, and listed at [`Engine::zeromq`](super::Engine::zeromq).
//!
//! ```text
//!  program              the socket's thread: one tokio runtime
//!  send --> End ------> task of an endpoint --> crate --> connections
//!  recv <-- Core's inbox <-- task <------------ crate <--
//! ```
//!
//! Each endpoint has a socket of the crate of its own, so that a connection which is made or
//! made again keeps nobody waiting, and the messages for one endpoint stay its own.
//!
//! | file | what |
//! |---|---|
//! | `end` | what goes out, and how it is known to have gone |
//! | `endpoint` | one bound or connected endpoint: its task |
//! | `socket` | the crate's sockets of six types as one |
//!
//! # Invariants
//!
//! 1. Nothing that the thread does makes a caller wait beyond a bound: it is asked over a channel
//!    and given up when it does not answer. (held by `Thread::bind` and `Thread::end`)
//! 2. A socket that closes lets what the crate has taken go out, within its linger time. (test
//!    `nothing_is_lost_on_close`)
//!
//! # Not here
//!
//! Which options are refused (`crate::socket`).

pub(crate) mod end;
mod endpoint;
mod socket;

use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::owner::Owner;
use super::pipe::Pipe;
use crate::link::{Endpoint, Listener};
use crate::zmtp::SocketType;
use end::{Bell, Wish};
use endpoint::{Place, Task};
use socket::{as_io, written};

/// The longest that a caller waits for the thread to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often the thread looks whether the crate has written everything, at the end.
const LOOK: Duration = Duration::from_millis(1);

enum Command {
    Run(Box<Task>, Place, Sender<io::Result<()>>),
    End { deadline: Option<Instant> },
}

/// The thread that owns a socket's sockets of the crate.
#[derive(Debug)]
pub(crate) struct Thread {
    kind: SocketType,
    identity: Bytes,
    owner: Weak<dyn Owner>,
    commands: UnboundedSender<Command>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Thread {
    /// Starts a thread for this socket.
    pub(crate) fn start(owner: &Arc<dyn Owner>) -> io::Result<Self> {
        let (kind, identity) = owner.local();
        let (commands, queue) = unbounded_channel();
        let (alive, ended) = bounded(0);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("brokerless-zmq".to_owned())
            .spawn(move || {
                runtime.block_on(work(queue));
                drop(runtime);
                drop::<Sender<()>>(alive);
            })?;
        Ok(Thread {
            kind,
            identity,
            owner: Arc::downgrade(owner),
            commands,
            ended,
        })
    }

    /// Accepts from a listener; `pipe` if there is one from the start.
    pub(crate) fn bind(
        &self,
        listener: Listener,
        bell: &Arc<Bell>,
        pipe: Option<Arc<Pipe>>,
    ) -> io::Result<()> {
        let endpoint = listener.endpoint().clone();
        self.run(endpoint, Place::Bound(Box::new(listener)), bell, pipe)
    }

    /// Connects, again and again.
    pub(crate) fn connect(
        &self,
        endpoint: &Endpoint,
        bell: &Arc<Bell>,
        pipe: Option<Arc<Pipe>>,
    ) -> io::Result<()> {
        let text = written(endpoint).ok_or(io::ErrorKind::Unsupported)?;
        self.run(endpoint.clone(), Place::Dialed(text), bell, pipe)
    }

    fn run(
        &self,
        endpoint: Endpoint,
        place: Place,
        bell: &Arc<Bell>,
        pipe: Option<Arc<Pipe>>,
    ) -> io::Result<()> {
        let gone = || io::Error::other("the socket's thread has ended");
        let owner = self.owner.upgrade().ok_or_else(gone)?;
        let settings = owner.settings().clone();
        let task = Task::new(
            self.kind,
            self.identity.clone(),
            self.owner.clone(),
            settings,
            endpoint,
            bell.clone(),
            pipe,
        );
        let (answer, answered) = bounded(1);
        let command = Command::Run(Box::new(task), place, answer);
        self.commands.send(command).map_err(|_| gone())?;
        match answered.recv_timeout(ANSWER) {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Ends every connection, and the thread: what the crate has taken goes out until then. False
    /// if the thread does not answer.
    pub(crate) fn end(&self, deadline: Option<Instant>) -> bool {
        if self.commands.send(Command::End { deadline }).is_err() {
            return true;
        }
        // Nobody sends here: it is the end that comes.
        match deadline.and_then(|deadline| deadline.max(Instant::now()).checked_add(ANSWER)) {
            Some(latest) => {
                let end = self.ended.recv_deadline(latest);
                end == Err(crossbeam_channel::RecvTimeoutError::Disconnected)
            }
            None => self.ended.recv().is_err(),
        }
    }
}

/// What the thread does.
async fn work(mut commands: UnboundedReceiver<Command>) {
    let mut bells: Vec<Weak<Bell>> = Vec::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Run(task, place, answer) => {
                bells.retain(|bell| bell.strong_count() > 0);
                bells.push(Arc::downgrade(task.bell()));
                let started = start(*task, place).await;
                // Whoever asked has gone after a while: the task goes on until the socket closes.
                let _ = answer.send(started);
            }
            Command::End { deadline } => {
                for bell in bells.iter().filter_map(Weak::upgrade) {
                    bell.wish(Wish::Stop);
                }
                settle(deadline).await;
                return;
            }
        }
    }
}

async fn start(task: Task, place: Place) -> io::Result<()> {
    match place {
        Place::Bound(listener) => {
            let mut socket = task.socket()?;
            let named = socket.listen(&listener).await.map_err(as_io)?;
            watch(tokio::spawn(task.bound(socket, listener, named)));
        }
        Place::Dialed(text) => watch(tokio::spawn(task.dialed(text))),
    }
    Ok(())
}

/// Says so if a task ends by a panic: the crate's own, most likely. Its peers have gone with it.
fn watch(task: JoinHandle<()>) {
    tokio::spawn(async move {
        if let Err(error) = task.await {
            log::error!("an endpoint on the zeromq crate has failed for good: {error}");
        }
    });
}

/// Waits for the tasks of this thread to end, the crate's own among them: those that write do so
/// once they have written all.
async fn settle(deadline: Option<Instant>) {
    let metrics = Handle::current().metrics();
    while metrics.num_alive_tasks() > 0 {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
