//! The thread that does what no caller waits for.
//!
//! Deadlines of calls in `select!`, rests of calls that every node has turned away, connections
//! within the process that are to be made again, sockets that are to be closed. It is started
//! with the first of these, and sleeps until the next is due: a client whose calls are all waited
//! for has none.
//!
//! # Invariants
//!
//! 1. What is due is done, however the bell and the sleep overlap. (held by `Clerk::until`, which
//!    notes the time before it rings)
//! 2. A socket is closed by the clerk or by the thread that closes the client, whoever else holds
//!    it then: never by one that leads. (test `a_closed_client_closes_sockets_that_others_hold`)

use std::sync::{Arc, Weak};
use std::time::Instant;

use brokerless_patterns::Dealer;
use parking_lot::{Condvar, Mutex};

use super::core::Core;
use crate::machine::NodeId;

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
    jobs: Vec<Job>,
    redials: Vec<(Instant, NodeId)>,
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

    pub(super) fn give(self: &Arc<Self>, core: &Weak<Core>, job: Job) {
        let mut state = self.state.lock();
        if !state.stopped {
            state.jobs.push(job);
            self.ring(core, &mut state);
            return;
        }
        drop(state);
        // The client has been closed meanwhile. This thread may lead, and others wait for that.
        let name = "brokerless-parting".to_owned();
        let thread = std::thread::Builder::new().name(name);
        if let Err(error) = thread.spawn(move || job.run()) {
            log::error!("no thread for a socket that is to be closed: {error}");
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

    pub(super) fn stop(&self) {
        let jobs = {
            let mut state = self.state.lock();
            state.stopped = true;
            self.bell.notify_one();
            std::mem::take(&mut state.jobs)
        };
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
            let (jobs, redials) = {
                let mut state = self.state.lock();
                loop {
                    if state.stopped {
                        return;
                    }
                    let now = Instant::now();
                    let redial = state.redials.iter().map(|(at, _)| *at).min();
                    let next = [state.until, redial].into_iter().flatten().min();
                    if !state.jobs.is_empty() || next.is_some_and(|next| next <= now) {
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
                (std::mem::take(&mut state.jobs), redials)
            };
            jobs.into_iter().for_each(Job::run);
            let Some(core) = core.upgrade() else { return };
            for (_, node) in redials {
                core.redial(node);
            }
            core.due();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brokerless_patterns::{Message, Router};

    use crate::Client;

    #[test]
    fn a_closed_client_closes_sockets_that_others_hold() {
        let router = Router::bind("inproc://held-by-others").expect("a free name");
        let client = Client::connect("inproc://held-by-others").expect("an endpoint");
        let hello = router.recv_timeout(Duration::from_secs(20));
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
}
