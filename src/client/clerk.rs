//! The thread that does what no caller waits for.
//!
//! Deadlines of calls in `select!`, rests of calls that every node has turned away, connections
//! within the process that are to be made again, windows of streams that found no room. It is started
//! with the first of these, and sleeps until the next is due: a client whose calls are all waited for
//! has none.
//!
//! Sockets of nodes that have left are closed beside it, by a few threads that are there while there
//! are some: each may take as long as it lingers, and time must not stand still meanwhile.
//!
//! # Invariants
//!
//! 1. What is due is done, however the bell and the sleep overlap. (held by `Clerk::until`, which
//!    notes the time before it rings)
//! 2. A socket is closed by a thread of its own or by the one that closes the client, whoever else
//!    holds it then: never by one that leads. (test
//!    `a_closed_client_closes_sockets_that_others_hold`)
//! 3. What is due is done while sockets close. (test `deadlines_are_kept_while_sockets_close`)

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use brokerless_patterns::Dealer;
use parking_lot::{Condvar, Mutex};

use super::core::Core;
use super::stream::Conduit;
use crate::machine::NodeId;

/// Sockets that are closed at a time: many nodes may leave at once.
const CLOSERS_MAX: usize = 4;

/// The pause before a node that had no room is told again what it may send.
const OWED: Duration = Duration::from_millis(10);

/// Something to do that may take a moment.
pub(super) enum Job {
    /// Closes the socket of a node that has left the pool.
    Part(Arc<Dealer>),
}

impl Job {
    fn run(self) {
        let Job::Part(dealer) = self;
        // Said, since others may hold it for a moment yet. What it had not sent has been logged.
        let _ = dealer.close();
    }
}

#[derive(Default)]
struct State {
    running: bool,
    stopped: bool,
    /// When the table of calls has something due.
    until: Option<Instant>,
    jobs: VecDeque<Job>,
    /// Threads that do them.
    closers: usize,
    redials: Vec<(Instant, NodeId)>,
    /// Streams whose nodes are owed a window, and when that is tried again.
    owing: Vec<Arc<Conduit>>,
    owed_at: Option<Instant>,
}

/// How to reach the thread.
#[derive(Default)]
pub(super) struct Clerk {
    state: Mutex<State>,
    bell: Condvar,
}

impl Clerk {
    /// Sees to it that the table is looked at by then.
    pub(super) fn until(self: &Arc<Self>, core: &Weak<Core>, due: Option<Instant>) {
        let Some(due) = due else { return };
        let mut state = self.state.lock();
        if state.until.is_none_or(|until| due < until) {
            state.until = Some(due);
            self.ring(core, &mut state);
        }
    }

    /// Sees to it that this is done, beside what is due.
    pub(super) fn give(self: &Arc<Self>, job: Job) {
        let mut state = self.state.lock();
        state.jobs.push_back(job);
        if state.closers == CLOSERS_MAX {
            return;
        }
        let clerk = self.clone();
        let begun = std::thread::Builder::new()
            .name("brokerless-parting".into())
            .spawn(move || clerk.do_jobs());
        match begun {
            Ok(_) => state.closers += 1,
            // Tried again with the next.
            Err(error) => log::error!("no thread for a socket that is to be closed: {error}"),
        }
    }

    fn do_jobs(&self) {
        loop {
            let mut state = self.state.lock();
            let Some(job) = state.jobs.pop_front() else {
                state.closers -= 1;
                return;
            };
            drop(state);
            job.run();
        }
    }

    /// Connects to a node within the process again, at that time.
    pub(super) fn redial(self: &Arc<Self>, core: &Weak<Core>, node: NodeId, at: Instant) {
        let mut state = self.state.lock();
        // Told twice, it is one attempt.
        state.redials.retain(|(_, other)| *other != node);
        state.redials.push((at, node));
        self.ring(core, &mut state);
    }

    /// Sees to it that the node of this stream is told soon what it may send.
    pub(super) fn owe(self: &Arc<Self>, core: &Weak<Core>, conduit: Arc<Conduit>) {
        let mut state = self.state.lock();
        if state.stopped {
            return;
        }
        state.owing.push(conduit);
        if state.owed_at.is_none() {
            state.owed_at = Some(Instant::now() + OWED);
            self.ring(core, &mut state);
        }
    }

    pub(super) fn stop(&self) {
        let (jobs, owing) = {
            let mut state = self.state.lock();
            state.stopped = true;
            self.bell.notify_one();
            let owing = std::mem::take(&mut state.owing);
            (std::mem::take(&mut state.jobs), owing)
        };
        drop(owing);
        jobs.into_iter().for_each(Job::run);
    }

    fn ring(self: &Arc<Self>, core: &Weak<Core>, state: &mut State) {
        if state.stopped {
            return;
        }
        if state.running {
            self.bell.notify_one();
            return;
        }
        let (clerk, core) = (self.clone(), core.clone());
        let begun = std::thread::Builder::new()
            .name("brokerless-clerk".into())
            .spawn(move || clerk.run(&core));
        match begun {
            Ok(_) => state.running = true,
            // Tried again with the next thing to do.
            Err(error) => log::error!("no thread for what a client has to do later: {error}"),
        }
    }

    fn run(&self, core: &Weak<Core>) {
        loop {
            let (redials, owing) = {
                let mut state = self.state.lock();
                loop {
                    if state.stopped {
                        return;
                    }
                    let now = Instant::now();
                    let redial = state.redials.iter().map(|(at, _)| *at).min();
                    let next = [state.until, redial, state.owed_at];
                    let next = next.into_iter().flatten().min();
                    if next.is_some_and(|next| next <= now) {
                        break;
                    }
                    match next {
                        Some(next) => drop(self.bell.wait_until(&mut state, next)),
                        None => self.bell.wait(&mut state),
                    }
                }
                let now = Instant::now();
                if state.until.is_some_and(|until| until <= now) {
                    state.until = None;
                }
                let due = state.redials.extract_if(.., |(at, _)| *at <= now).collect();
                let redials: Vec<(Instant, NodeId)> = due;
                let mut owing = Vec::new();
                if state.owed_at.is_some_and(|at| at <= now) {
                    state.owed_at = None;
                    owing = std::mem::take(&mut state.owing);
                }
                (redials, owing)
            };
            let Some(core) = core.upgrade() else { return };
            for (_, node) in redials {
                core.redial(node);
            }
            owing.iter().for_each(Conduit::tell_owed);
            core.due();
        }
    }
}

#[cfg(test)]
mod tests {
    use brokerless_patterns::{Message, Router};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    use super::super::testing::rounds::in_rounds;
    use super::super::wanted::Wanted;
    use crate::client::Call;
    use crate::wire::Payload;
    use crate::{Client, Code};

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_closed_client_closes_sockets_that_others_hold() {
        let router = Router::bind("inproc://held-by-others").expect("a free name");
        let client = Client::connect("inproc://held-by-others").expect("an endpoint");
        let hello = router.recv_timeout(PATIENCE);
        assert!(hello.is_ok(), "{hello:?}");
        // As a thread that leads, and is about to tell the node something.
        let link = {
            let table = client.core().table.lock();
            let place = table.nodes.iter().flatten().next().expect("a node");
            place.link.clone().expect("a connection")
        };
        drop(client);
        assert!(!link.send(Message::single("late"), false), "it is open");
    }

    /// A node that shakes hands, and then reads nothing and closes nothing: as one that is stopped.
    fn shaken(listener: &TcpListener) -> TcpStream {
        let (mut stream, _) = listener.accept().expect("it connects");
        let mut greeting = [0; 64];
        greeting[0] = 0xff;
        greeting[9] = 0x7f;
        greeting[10] = 3;
        greeting[12..16].copy_from_slice(b"NULL");
        stream.write_all(&greeting).expect("it reads");
        stream.read_exact(&mut greeting).expect("it greets");
        let ready = b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06ROUTER";
        stream.write_all(ready).expect("it reads");
        stream
    }

    #[test]
    fn deadlines_are_kept_while_sockets_close() {
        let mut round = 0;
        in_rounds("a deadline beside sockets that close", || {
            round += 1;
            let late = late_while_sockets_close(round);
            match late < Duration::from_secs(2) {
                true => Ok(()),
                false => Err(format!("{late:?}")),
            }
        });
    }

    /// When a call of 200 ms ends beside sockets that close.
    fn late_while_sockets_close(round: usize) -> Duration {
        // Each takes 100 ms to close: 4 s, one after the other.
        const STOPPED: usize = 40;
        let name = format!("inproc://silent-beside-stopped-{round}");
        let silent = Router::bind(&name).expect("a free name");
        let client = Client::connect(&*name).expect("an endpoint");
        let stopped: Vec<_> = (0..STOPPED)
            .map(|_| {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
                let endpoint = format!("tcp://{}", listener.local_addr().expect("it is bound"));
                client.add(&*endpoint).expect("an endpoint");
                (shaken(&listener), endpoint)
            })
            .collect();
        let linked = || {
            let table = client.core().table.lock();
            let nodes = table.nodes.iter().flatten();
            nodes.filter(|place| place.link.is_some()).count()
        };
        let end = Instant::now() + PATIENCE;
        while linked() < STOPPED + 1 {
            assert!(Instant::now() < end, "{} of the nodes", linked());
            std::thread::yield_now();
        }
        let core = client.core();
        let options = Call::new().timeout(Duration::from_millis(200));
        let wanted = Wanted::named("a.b", &options);
        let begun = core.begin(wanted, &options, Payload::raw(Vec::new()));
        let begun = begun.expect("it waits");
        let receiver = core.receiver(&begun);
        let removed = Instant::now();
        for (_, endpoint) in &stopped {
            assert!(client.remove(endpoint));
        }
        let answer = receiver.recv_timeout(PATIENCE).expect("its end");
        let took = removed.elapsed();
        let error = answer.payload().expect_err("no node takes it");
        assert_eq!(error.code(), Code::DeadlineExceeded);
        core.ended(&begun, &answer);
        drop((stopped, silent));
        took
    }

    #[test]
    fn nodes_that_come_and_go_leave_neither_places_nor_timers() {
        let client = Client::connect("inproc://stays").expect("an endpoint");
        let held = || {
            let table = client.core().table.lock();
            let nodes = table.nodes.iter().flatten().count();
            (table.nodes.len(), nodes, table.caller.timers())
        };
        let come_and_go = |from: usize| {
            for number in from..from + 10 {
                client
                    .add(format!("inproc://goes-{number}"))
                    .expect("it is another");
            }
            for number in from..from + 10 {
                assert!(client.remove(&format!("inproc://goes-{number}")));
            }
            let end = Instant::now() + PATIENCE;
            while held().1 > 1 {
                assert!(Instant::now() < end, "{:?}", held());
                std::thread::yield_now();
            }
        };
        come_and_go(0);
        let before = held();
        (1..100).for_each(|round| come_and_go(10 * round));
        let after = held();
        assert!(
            after.0 <= before.0 && after.2 <= before.2,
            "{before:?} {after:?}"
        );
    }

    #[test]
    fn a_node_that_says_bye_again_and_again_is_owed_it_once() {
        use crate::wire::{self, Credit, Welcome};

        let router = Router::bind("inproc://many-byes").expect("a free name");
        let client = Client::connect("inproc://many-byes").expect("an endpoint");
        let (peer, _) = router.recv_timeout(PATIENCE).expect("a hello");
        let welcome = wire::encode_welcome(&Welcome {
            version: 2,
            credit: Credit::new(4, 1 << 20),
            blob_bytes_max: 1 << 20,
            name: "",
            call_bytes_max: 1 << 20,
            pulls: false,
            wants_keys: false,
        });
        router.send(&peer, welcome).expect("it is there");
        let core = client.core();
        let options = Call::new().timeout(PATIENCE);
        let wanted = Wanted::named("a.b", &options);
        let begun = core.begin(wanted, &options, Payload::raw(Vec::new()));
        let begun = begun.expect("it is sent");
        let receiver = core.receiver(&begun);
        // The call keeps the node in the pool while it leaves.
        let (_, call) = router.recv_timeout(PATIENCE).expect("a call");
        assert!(client.remove("inproc://many-byes"));
        for _ in 0..1000 {
            let bye = wire::encode_bye(0);
            router.send(&peer, bye).expect("it is there");
        }
        // Until it has heard all of them: what is told last is known.
        let credit = wire::encode_credit(Credit::new(77, 1), wire::Version::NEWEST);
        router.send(&peer, credit).expect("it is there");
        let heard = || {
            client
                .stats()
                .nodes
                .iter()
                .any(|node| node.credit_calls == 77)
        };
        let end = Instant::now() + PATIENCE;
        while !heard() {
            assert!(Instant::now() < end, "not heard: {:?}", client.stats());
            let _ = receiver.recv_timeout(Duration::from_millis(1));
        }
        let owed = core.table.lock().byes.len();
        assert_eq!(owed, 1);
        drop((call, receiver));
        core.cancel(&begun);
    }
}
