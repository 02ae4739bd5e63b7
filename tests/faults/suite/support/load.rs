//! Threads that call, all the time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use brokerless::CallError;
use brokerless::client::{Call, Client, ClientBuilder, NodeReport, Pending};
use brokerless::machine::NodeState;
use brokerless::patterns::{Engine, Options};

use super::ledger::{End, Ledger, Record};
use super::process::ServerProcess;
use super::work::{Stamp, WorkClient};
use super::{eventually, ms, pass};

/// What calls may take, unless a test says otherwise.
pub(crate) const TIMEOUT: Duration = if cfg!(debug_assertions) {
    ms(8000)
} else {
    ms(3000)
};

/// What it may take until all is as before, once a process that stood still goes on. Without
/// optimisation, on cores that others want, too, that is longer.
pub(crate) const BACK: Duration = if cfg!(debug_assertions) {
    ms(5000)
} else {
    ms(2000)
};

/// Neither end takes the other for dead, unless the test is about that: the machine can make a
/// process silent for seconds.
pub(crate) fn patient() -> Options {
    let patience = Duration::from_secs(60);
    Options::new()
        .heartbeat_timeout(patience)
        .heartbeat_ttl(patience)
}

/// A client with an engine of its own.
#[track_caller]
pub(crate) fn client(
    endpoints: &[&str],
    options: Options,
    build: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Client {
    let engine = Engine::new().expect("descriptors are free");
    let options = options
        .reconnect_interval(ms(50))
        .reconnect_interval_max(ms(200));
    let builder = Client::builder().engine(&engine).options(options);
    // Without questions for loads: the ledger knows each call.
    let builder = builder.probe_every(Duration::from_secs(3600));
    let builder = build(builder.timeout(TIMEOUT));
    let endpoints: Vec<String> = endpoints.iter().map(|e| (*e).to_owned()).collect();
    builder.connect(endpoints).expect("endpoints")
}

/// What the client knows of this server.
#[track_caller]
pub(crate) fn node(client: &Client, server: &ServerProcess) -> NodeReport {
    let stats = client.stats();
    let mut nodes = stats.nodes.into_iter();
    nodes
        .find(|node| node.endpoint == server.endpoint)
        .expect("a node of the pool")
}

#[track_caller]
pub(crate) fn until_up(client: &Client, server: &ServerProcess) {
    eventually("the node is up", ms(5000), || {
        (node(client, server).state == NodeState::Up).then_some(())
    });
}

struct Shared {
    over: AtomicBool,
    answered: AtomicU64,
}

/// Calls that go on until it is told to end.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Record>>>,
    pub(crate) begun: Instant,
}

/// The end of a call, for the ledger.
pub(crate) fn end_of(result: Result<Stamp, CallError>) -> End {
    match result {
        Ok(stamp) => End::Answered(stamp),
        Err(error) => End::Failed(error.code(), error.ran()),
    }
}

impl Load {
    /// So many threads, each with so many calls in flight; the threads' numbers, by which
    /// calls are told apart, begin with `first`.
    pub(crate) fn begin(client: &Client, first: u64, threads: u64, depth: usize) -> Self {
        let shared = Arc::new(Shared {
            over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        });
        let begun = Instant::now();
        let threads = (first..first + threads).map(|caller| {
            let (shared, work) = (shared.clone(), WorkClient::from(client.clone()));
            std::thread::spawn(move || match depth {
                1 => one_by_one(&work, caller, &shared),
                _ => many_at_once(&work, caller, depth, &shared),
            })
        });
        Load {
            threads: threads.collect(),
            shared,
            begun,
        }
    }

    /// Waits until so many more calls are answered.
    #[track_caller]
    pub(crate) fn until_answered(&self, more: u64) {
        let wanted = self.shared.answered.load(Ordering::Relaxed) + more;
        eventually("calls are answered", ms(10_000), || {
            (self.shared.answered.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Ends it, and waits for the calls in flight.
    #[track_caller]
    pub(crate) fn finish(self) -> Ledger {
        self.shared.over.store(true, Ordering::Relaxed);
        let mut records = Vec::new();
        for thread in self.threads {
            records.extend(thread.join().expect("no caller panics"));
        }
        Ledger { records }
    }
}

fn one_by_one(work: &WorkClient, caller: u64, shared: &Shared) -> Vec<Record> {
    let mut records = Vec::new();
    for nonce in 0.. {
        if shared.over.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        let result = match nonce % 4 {
            0 => work.pooled(caller, nonce),
            _ => work.stamp(caller, nonce),
        };
        note(&mut records, shared, (caller, nonce), began, end_of(result));
    }
    records
}

fn note(records: &mut Vec<Record>, shared: &Shared, stamp: Stamp, began: Instant, end: End) {
    records.push(Record {
        stamp,
        began,
        deadline: began + TIMEOUT,
        ended: Instant::now(),
        end,
    });
    match end {
        End::Answered(_) => {
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
        // No storm where calls fail at once.
        End::Failed(..) => pass(ms(1)),
    }
}

fn many_at_once(work: &WorkClient, caller: u64, depth: usize, shared: &Shared) -> Vec<Record> {
    let mut records = Vec::new();
    let mut pending: VecDeque<(Stamp, Instant, Pending<Stamp>)> = VecDeque::new();
    let mut nonce = 0;
    loop {
        let over = shared.over.load(Ordering::Relaxed);
        while !over && pending.len() < depth {
            let began = Instant::now();
            let stamp = (caller, nonce);
            nonce += 1;
            let call = Call::new().timeout(TIMEOUT);
            let begun = work.with(call).begin().pooled(caller, stamp.1);
            match begun {
                Ok(call) => pending.push_back((stamp, began, call)),
                Err(error) => {
                    let end = End::Failed(error.code(), error.ran());
                    note(&mut records, shared, stamp, began, end);
                }
            }
        }
        let Some((stamp, began, call)) = pending.pop_front() else {
            break records;
        };
        let end = end_of(call.wait());
        note(&mut records, shared, stamp, began, end);
    }
}
