//! Workers in this process and in others, and peers by hand.

#[path = "../support/port.rs"]
mod port;
#[path = "../../patterns/tests/support/rounds.rs"]
mod rounds;
#[path = "../support/waiting.rs"]
mod waiting;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brokerless::client::{Client, ClientBuilder, NodeState};
use brokerless::patterns::Options;
use brokerless::server::{Server, ServerBuilder};
use rustix::process::{Pid, Signal, kill_process};

use crate::work::{WorkClient, WorkServer, Worker};

pub(crate) use port::KeptPort;
pub(crate) use rounds::in_rounds;
pub(crate) use waiting::{PATIENCE, until};

/// Silence after which a node is taken for dead. Without optimisation, on cores that others want,
/// too, a thread may be late.
const SILENCE: Duration = if cfg!(debug_assertions) {
    Duration::from_secs(1)
} else {
    Duration::from_millis(300)
};

static NAMES: AtomicUsize = AtomicUsize::new(0);

/// An endpoint within the process that nobody else has.
pub(crate) fn inproc() -> String {
    format!("inproc://scatter-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// A server with a worker.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) worker: Arc<Worker>,
    pub(crate) endpoint: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // What a test has not let go must not hold up the end of the server.
        self.worker.open();
    }
}

impl Served {
    pub(crate) fn at(
        endpoint: &str,
        worker: Worker,
        build: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Served {
        let worker = Arc::new(worker);
        let builder = Server::builder().service(WorkServer::new(worker.clone()));
        let builder = builder.drain_timeout(PATIENCE);
        let server = build(builder).bind(endpoint).expect("it binds");
        let endpoint = server.local_endpoints()[0].to_string();
        Served {
            server,
            worker,
            endpoint,
        }
    }

    pub(crate) fn new() -> Served {
        Served::at("tcp://127.0.0.1:*", Worker::default(), |builder| builder)
    }
}

/// So many of them.
pub(crate) fn workers(count: usize) -> Vec<Served> {
    (0..count).map(|_| Served::new()).collect()
}

/// A client of all of them, which are up.
pub(crate) fn pool(served: &[Served]) -> WorkClient {
    pool_of(served.iter().map(|it| &*it.endpoint), |builder| builder)
}

/// A client of these nodes, which are up.
pub(crate) fn pool_of<'e>(
    endpoints: impl IntoIterator<Item = &'e str>,
    build: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> WorkClient {
    // Nobody is taken for dead whom the machine keeps waiting.
    pool_with(Options::new().heartbeat_timeout(PATIENCE), endpoints, build)
}

/// The same; one that is silent is soon taken for dead.
pub(crate) fn watchful_pool_of<'e>(endpoints: impl IntoIterator<Item = &'e str>) -> WorkClient {
    let options = Options::new()
        .heartbeat_interval(Some(Duration::from_millis(100)))
        .heartbeat_timeout(SILENCE);
    pool_with(options, endpoints, |builder| builder)
}

fn pool_with<'e>(
    options: Options,
    endpoints: impl IntoIterator<Item = &'e str>,
    build: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> WorkClient {
    let options = options.reconnect_interval(Duration::from_millis(10));
    let endpoints: Vec<&str> = endpoints.into_iter().collect();
    let builder = Client::builder().timeout(PATIENCE).options(options);
    let client = build(builder).connect(endpoints);
    let work = WorkClient::from(client.expect("endpoints"));
    until("every node is up", || are_up(&work));
    work
}

fn are_up(work: &WorkClient) -> bool {
    let nodes = work.client().stats().nodes;
    nodes.iter().all(|node| node.state == NodeState::Up)
}

/// Nothing is left of any call.
#[track_caller]
pub(crate) fn nothing_is_left(work: &WorkClient) {
    until("every call has ended", || {
        work.client().stats().calls.held == 0
    });
}

/// What another process is told: how many milliseconds a square takes it.
const ROLE: &str = "BROKERLESS_SCATTER_WORKER";

/// A worker in a process of its own.
pub(crate) struct Process {
    child: Child,
    pub(crate) endpoint: String,
}

impl Process {
    pub(crate) fn start(pause_ms: u64) -> Process {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", "support::a_worker", "--ignored", "--nocapture"])
            .env(ROLE, pause_ms.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let endpoint = lines
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("serves ")?.1.to_owned()))
            .expect("it says where it is");
        Process { child, endpoint }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is there");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test: what another process of this program does, which ends with its input.
#[test]
#[ignore = "a worker for other tests"]
#[allow(clippy::print_stdout, reason = "it speaks to its parent")]
fn a_worker() {
    let Ok(pause) = std::env::var(ROLE) else {
        return;
    };
    let worker = Worker::slow(Duration::from_millis(pause.parse().expect("milliseconds")));
    let served = Served::at("tcp://127.0.0.1:*", worker, |builder| builder);
    println!("serves {}", served.endpoint);
    let mut line = String::new();
    // Its parent has ended, whatever it says.
    let _ = std::io::stdin().read_line(&mut line);
}
