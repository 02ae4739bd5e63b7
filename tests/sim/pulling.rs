//! Repliers that pull: a free worker's credit is its request for work, as in `server/pull.rs`.
//!
//! What callers are granted is the machine's, [`IdleQueue`]. Beside it stands an account of its own:
//! which session has how many workers, by the calls that came and ended.

use std::collections::BTreeMap;
use std::time::Duration;

use brokerless::machine::{Again, Credit, IdleQueue, Ran, Start, Ticket, Time, WindowLimits};

use crate::doses::MS;
use crate::network::{Call, End, Message};
use crate::replying::With;
use crate::world::{World, trace};

/// Bytes that a caller may have in flight.
const BYTES: u64 = 64 << 20;
/// How long a caller leaves a replier alone that had no worker for its call.
const REST: u64 = MS;

/// The free workers of a replier, and by whom the others are taken.
#[derive(Debug, Clone)]
pub(crate) struct Pulling {
    idle: IdleQueue,
    taken: BTreeMap<With, u32>,
    /// What each was told last.
    told: BTreeMap<With, u32>,
}

impl Pulling {
    pub(crate) fn new(workers: usize) -> Pulling {
        Pulling {
            idle: IdleQueue::new(workers as u32),
            taken: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// What a session admits: credit is a free worker's, and nobody is told of the session's own.
    pub(crate) fn window() -> WindowLimits {
        let window = Credit::new(1 << 20, BYTES);
        WindowLimits {
            start: window,
            max: window,
            delay_target: Duration::MAX,
        }
    }
}

/// A session's number; of the one behind the device, which says no hello, that of nobody.
fn number(with: With) -> u64 {
    match with {
        With::Connection(connection) => connection as u64 + 1,
        With::Device => 0,
    }
}

impl World {
    fn instant(&self) -> Time {
        Time::from_nanos(self.now)
    }

    fn pulling(&mut self, replier: usize) -> Option<&mut Pulling> {
        self.repliers[replier].pulling.as_mut()
    }

    pub(crate) fn pulls(&self, replier: usize) -> bool {
        self.repliers[replier].pulling.is_some()
    }

    /// The first window of a caller.
    pub(crate) fn first_window(&mut self, replier: usize, with: With, own: Credit) -> Credit {
        let Some(pulling) = self.pulling(replier) else {
            return own;
        };
        let calls = pulling.idle.join(number(with));
        pulling.told.insert(with, calls);
        Credit::new(calls, BYTES)
    }

    /// What rides on an answer.
    pub(crate) fn riding(&self, replier: usize, credit: Option<Credit>) -> Option<Credit> {
        credit.filter(|_| !self.pulls(replier))
    }

    /// Whether there is a worker for a call, and from now on it is taken.
    pub(crate) fn takes(&mut self, replier: usize, with: With, call: &Call) -> bool {
        let (now, workers) = (self.instant(), self.doses.workers as u32);
        let Some(pulling) = self.pulling(replier).filter(|_| !call.beside) else {
            return true;
        };
        let taken = match with {
            With::Connection(_) => pulling.idle.take(number(with)),
            With::Device => pulling.idle.take_or_wish(now, number(with)),
        };
        if taken {
            let own = pulling.taken.entry(with).or_default();
            *own += 1;
            let (own, told) = (*own, pulling.told.get(&with).copied());
            let busy: u32 = pulling.taken.values().sum();
            if busy > workers {
                let what = format!("replier {replier} is fed {busy} calls, with {workers} workers");
                self.ledger.violated(self.now, what);
            }
            // A worker that is another's may be idle yet: the call for it is on its way.
            if told.is_some_and(|told| own > told) {
                let what = format!(
                    "replier {replier} takes {own} calls of {with:?}, which was granted {told:?}"
                );
                self.ledger.violated(self.now, what);
            }
        }
        self.tell_shares(replier);
        taken
    }

    /// A call that was taken has ended.
    pub(crate) fn gives_back(&mut self, replier: usize, with: With, call: &Call) {
        let now = self.instant();
        if let Some(pulling) = self.pulling(replier).filter(|_| !call.beside) {
            if let Some(taken) = pulling.taken.get_mut(&with) {
                *taken -= 1;
            }
            pulling.idle.give_back(now, number(with));
            self.tell_shares(replier);
        }
    }

    /// A caller says how many of its calls wait for credit.
    pub(crate) fn wish_comes(&mut self, replier: usize, with: With, calls: u32) {
        let now = self.instant();
        match self.pulling(replier) {
            Some(pulling) => pulling.idle.wish(now, number(with), calls),
            None => {
                let what = format!("replier {replier}, which does not pull, is sent a wish");
                self.ledger.violated(self.now, what);
            }
        }
        self.tell_shares(replier);
    }

    /// A caller is gone.
    pub(crate) fn parts(&mut self, replier: usize, with: With) {
        let now = self.instant();
        if let Some(pulling) = self.pulling(replier) {
            pulling.told.remove(&with);
            pulling.idle.leave(now, number(with));
            self.tell_shares(replier);
        }
    }

    /// Refuses a call for which there is no worker: it crossed with credit that was taken back.
    pub(crate) fn is_busy(&mut self, replier: usize, with: With, call: Call, from: (usize, u32)) {
        let Some(pulling) = self.pulling(replier) else {
            return;
        };
        let taken = pulling.taken.get(&with).copied().unwrap_or_default();
        let told = pulling.told.get(&with).copied();
        pulling.idle.tell_again(number(with));
        if told.is_some_and(|told| taken < told) {
            let what = format!(
                "call {} is refused beside {taken} others, where {told:?} were granted",
                call.key
            );
            self.ledger.violated(self.now, what);
        }
        let error = Message::Error {
            id: call.id,
            key: call.key,
            ran: Ran::No,
            again: Again::Later,
            retry_after: Some(REST),
            credit: None,
        };
        self.answer(replier, with, from, error);
        self.tell_shares(replier);
    }

    fn tell_shares(&mut self, replier: usize) {
        while let Some(pulling) = self.pulling(replier)
            && let Some((caller, calls)) = pulling.idle.next_news()
        {
            let connection = caller as usize - 1;
            pulling.told.insert(With::Connection(connection), calls);
            let credit = Credit::new(calls, BYTES);
            self.send(connection, End::Caller, Message::Credit(credit));
        }
    }

    /// A question for a replier's health: it takes no worker, and is answered whoever is busy.
    pub(crate) fn answer_beside(
        &mut self,
        replier: usize,
        (with, ticket): (With, Ticket),
        call: Call,
        from: (usize, u32),
    ) {
        let now = self.instant();
        let Some(session) = self.repliers[replier].session(with) else {
            return;
        };
        match session.start(now, ticket) {
            Start::Run => {}
            Start::Refused(refusal, credit) => {
                self.refuse(replier, with, call, refusal, credit, from);
                return;
            }
            Start::Gone => return,
        }
        let finish = session.finish(now, ticket);
        trace!(self, "replier {replier} answers call {} beside", call.key);
        self.note(call.key);
        self.ledger.started(self.now, call.key);
        self.ledger.record(call.key).finished += 1;
        if let Some(finish) = finish {
            let reply = Message::Reply {
                id: call.id,
                key: call.key,
                load: self.repliers[replier].load(),
                credit: self.riding(replier, finish.credit),
            };
            self.answer(replier, with, from, reply);
        }
    }

    /// At rest no worker is taken, and each is granted to one caller or to nobody.
    pub(crate) fn settle_pulling(&mut self, replier: usize) {
        let workers = self.doses.workers as u32;
        let Some(mut pulling) = self.repliers[replier].pulling.clone() else {
            return;
        };
        let mut faults = Vec::new();
        if pulling.taken.values().any(|taken| *taken > 0) {
            faults.push(format!("has calls at its workers: {:?}", pulling.taken));
        }
        let mut all = 0;
        for with in pulling.told.keys() {
            while all <= workers && pulling.idle.take(number(*with)) {
                all += 1;
            }
        }
        while all <= workers && pulling.idle.take(0) {
            all += 1;
        }
        if all != workers {
            faults.push(format!("would take {all} calls, with {workers} workers"));
        }
        let links = self.connections.iter().enumerate();
        let links = links.filter(|(number, link)| {
            link.replier == replier && pulling.told.contains_key(&With::Connection(*number))
        });
        let believed: u32 = links.map(|(_, link)| link.told.calls).sum();
        if believed > workers {
            faults.push(format!(
                "has callers that take {believed} calls for granted, with {workers} workers"
            ));
        }
        for fault in faults {
            self.ledger
                .violated(self.now, format!("replier {replier} {fault}"));
        }
    }
}
