//! The fabric behind HAProxy and Nginx in TCP mode, with the real ones: what `docs/PROXIES.md` says.
//!
//! `make proxies` runs this; the tests are left out otherwise, since the programs are not everywhere.
//! The configurations are those of the page, with ports and timeouts of the test's.
//!
//! # Not here
//!
//! `bl-proxy`, which knows calls (`tests/proxy`).

#![allow(clippy::print_stdout)]

#[path = "support/waiting.rs"]
mod waiting;

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless::client::Client;
use brokerless::server::Server;
use brokerless::service::{Context, Incoming, Items};
use brokerless::{Blob, Call, Code, Ran, Status};

use waiting::{PATIENCE, until};

/// After so long without a byte the proxies of these tests close a connection.
const IDLE: Duration = Duration::from_secs(4);

#[brokerless::service(name = "behind.v1")]
trait Behind {
    #[rpc(inline)]
    fn who(&self) -> u64;
    fn twice(&self, data: Blob) -> Vec<Blob>;
    fn count(&self, to: u64) -> Items<'_, u64>;
    fn total(&self, values: Incoming<u64>) -> Result<u64, Status>;
    fn echo(&self, values: Incoming<u64>) -> Items<'_, u64>;
    /// Ends once it is cancelled.
    fn hold(&self, ctx: &Context<'_>) -> bool;
}

struct Node(u64);

impl Behind for Node {
    fn who(&self) -> u64 {
        self.0
    }

    fn twice(&self, data: Blob) -> Vec<Blob> {
        vec![data.clone(), data]
    }

    fn count(&self, to: u64) -> Items<'_, u64> {
        Items::new(0..to)
    }

    fn total(&self, values: Incoming<u64>) -> Result<u64, Status> {
        values.sum()
    }

    fn echo(&self, values: Incoming<u64>) -> Items<'_, u64> {
        Items::fallible(values)
    }

    fn hold(&self, ctx: &Context<'_>) -> bool {
        let end = Instant::now() + PATIENCE;
        while !ctx.is_cancelled() && Instant::now() < end {
            std::thread::yield_now();
        }
        ctx.is_cancelled()
    }
}

fn node(number: u64) -> Server {
    let server = Server::builder().service(BehindServer::new(Node(number)));
    server.bind("tcp://127.0.0.1:*").expect("a port")
}

fn port(server: &Server) -> String {
    let endpoint = server.local_endpoints()[0].to_string();
    endpoint.trim_start_matches("tcp://").to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    HaProxy,
    Nginx,
}

/// One of the programs, with a folder of its own.
struct Front {
    child: Child,
    folder: PathBuf,
    endpoint: String,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Kind::HaProxy => "haproxy",
            Kind::Nginx => "nginx",
        }
    }

    /// What the page has, for these nodes.
    fn configuration(self, listen: &str, nodes: &[String], folder: &str) -> String {
        let idle = IDLE.as_secs();
        match self {
            Kind::HaProxy => {
                let servers = nodes.iter().enumerate().map(|(n, node)| {
                    format!("    server node{n} {node} check inter 500ms fall 2 rise 1\n")
                });
                let servers: String = servers.collect();
                format!(
                    "global\n    maxconn 1000\n\
                     defaults\n    mode tcp\n    timeout connect 2s\n    timeout client {idle}s\n\
                     \x20   timeout server {idle}s\n    option clitcpka\n    option srvtcpka\n\
                     \x20   option redispatch 1\n    retries 3\n\
                     frontend calls\n    bind {listen}\n    default_backend nodes\n\
                     backend nodes\n    balance leastconn\n\
                     \x20   default-server on-marked-down shutdown-sessions\n{servers}"
                )
            }
            Kind::Nginx => {
                let servers = nodes
                    .iter()
                    .map(|node| format!("        server {node} max_fails=1 fail_timeout=2s;\n"));
                let servers: String = servers.collect();
                let module = "/usr/lib/nginx/modules/ngx_stream_module.so";
                let module = match std::path::Path::new(module).exists() {
                    true => format!("load_module {module};\n"),
                    // It is built in elsewhere.
                    false => String::new(),
                };
                format!(
                    "{module}daemon off;\nmaster_process off;\npid {folder}/pid;\n\
                     error_log stderr warn;\n\
                     events {{ worker_connections 1000; }}\n\
                     stream {{\n    upstream nodes {{\n        least_conn;\n{servers}    }}\n\
                     \x20   server {{\n        listen {listen} so_keepalive=on;\n\
                     \x20       proxy_pass nodes;\n        proxy_connect_timeout 2s;\n\
                     \x20       proxy_timeout {idle}s;\n        proxy_socket_keepalive on;\n    }}\n}}\n"
                )
            }
        }
    }
}

impl Front {
    /// Starts it before these nodes; none if it is not installed.
    fn start(kind: Kind, nodes: &[&Server]) -> Option<Front> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bl-proxies-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let listen = {
            // Free a moment ago: nobody else takes ports of this range by number.
            let free = TcpListener::bind("127.0.0.1:0").expect("a port");
            free.local_addr().expect("it is bound").to_string()
        };
        let nodes: Vec<String> = nodes.iter().map(|node| port(node)).collect();
        let shown = folder.display().to_string();
        let file = folder.join("configuration");
        let text = kind.configuration(&listen, &nodes, &shown);
        std::fs::write(&file, &text).expect("it is written");
        let mut command = Command::new(kind.program());
        match kind {
            Kind::HaProxy => command.arg("-db").arg("-f").arg(&file),
            Kind::Nginx => command.arg("-p").arg(&folder).arg("-c").arg(&file),
        };
        let started = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let Ok(child) = started else {
            println!(
                "left out: {} is not installed (on Debian, as root: apt install haproxy nginx \
                 libnginx-mod-stream)",
                kind.program()
            );
            let _ = std::fs::remove_dir_all(&folder);
            return None;
        };
        let mut front = Front {
            child,
            folder,
            endpoint: format!("tcp://{listen}"),
        };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(&listen).is_err() {
            if let Ok(Some(status)) = front.child.try_wait() {
                let mut said = String::new();
                let mut errors = front.child.stderr.take().expect("it is piped");
                let _ = errors.read_to_string(&mut said);
                panic!("{} has ended, {status}: {said}\n{text}", kind.program());
            }
            assert!(Instant::now() < end, "it does not listen");
            std::thread::yield_now();
        }
        Some(front)
    }

    fn behind(&self) -> BehindClient {
        let client = Client::builder().timeout(PATIENCE).wait_for_ready(true);
        BehindClient::from(client.connect(&self.endpoint).expect("an endpoint"))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs this with each of the programs that is there.
fn each(test: impl Fn(Kind)) {
    test(Kind::HaProxy);
    test(Kind::Nginx);
}

#[test]
#[ignore = "needs haproxy and nginx: make proxies"]
fn calls_and_streams_pass() {
    each(|kind| {
        let node = node(1);
        let Some(front) = Front::start(kind, &[&node]) else {
            return;
        };
        let client = front.behind();
        assert_eq!(client.who(), Ok(1));
        let blob = Blob::from(vec![7; 10 << 20]);
        assert_eq!(client.twice(blob.clone()), Ok(vec![blob.clone(), blob]));
        let items: Result<Vec<u64>, _> = client.count(20_000).expect("it begins").collect();
        assert_eq!(items.map(|it| it.len()), Ok(20_000));
        let sink = client.begin().total().expect("it begins");
        assert_eq!(sink.finish_with(0..20_000), Ok((0..20_000).sum()));
        let mut both = client.echo().expect("it begins");
        for value in 0..100 {
            both.send(value).expect("it is sent");
            assert_eq!(both.next(), Some(Ok(value)));
        }
        drop(both);
        let hurried = client.with(Call::new().timeout(Duration::from_millis(200)));
        let error = hurried.hold().expect_err("the deadline");
        assert_eq!(
            (error.code(), error.ran()),
            (Code::DeadlineExceeded, Ran::Maybe)
        );
        // The cancel has reached it.
        until("it has ended", || node.stats().in_flight == 0);
    });
}

#[test]
#[ignore = "needs haproxy and nginx: make proxies"]
fn a_connection_is_one_backend_so_balancing_is_by_connections() {
    each(|kind| {
        let nodes = [node(0), node(1)];
        let Some(front) = Front::start(kind, &[&nodes[0], &nodes[1]]) else {
            return;
        };
        let client = front.behind();
        let first = client.who().expect("an answer");
        for _ in 0..200 {
            assert_eq!(client.who(), Ok(first), "all calls of one connection");
        }
        let others: Vec<BehindClient> = (0..7).map(|_| front.behind()).collect();
        let mut by_node = [0; 2];
        for client in others.iter().chain([&client]) {
            by_node[client.who().expect("an answer") as usize] += 1;
        }
        assert_eq!(
            by_node,
            [4, 4],
            "{kind:?}: connections are spread, not calls"
        );
    });
}

#[test]
#[ignore = "needs haproxy and nginx: make proxies"]
fn heartbeats_keep_an_idle_connection_open() {
    each(|kind| {
        let node = node(1);
        let Some(front) = Front::start(kind, &[&node]) else {
            return;
        };
        let client = front.behind();
        assert_eq!(client.who(), Ok(1));
        let before = client.client().stats().nodes[0].clone();
        // Twice as long as a silent connection may last there.
        let over = crossbeam_channel::after(2 * IDLE);
        over.recv().expect("it is sent once the time is over");
        assert_eq!(client.who(), Ok(1));
        let after = client.client().stats().nodes[0].clone();
        assert_eq!(
            after.last_error, before.last_error,
            "{kind:?}: it was not made anew"
        );
        assert_eq!(after.sent, before.sent + 1);
    });
}

#[test]
#[ignore = "needs haproxy and nginx: make proxies"]
fn the_death_of_a_backend_costs_its_calls_in_flight_and_no_more() {
    each(|kind| {
        let (one, two) = (node(0), node(1));
        let Some(front) = Front::start(kind, &[&one, &two]) else {
            return;
        };
        let client = front.behind();
        let first = client.who().expect("an answer");
        let mut nodes = [Some(one), Some(two)];
        let dies = nodes[first as usize].take().expect("it is there");
        let held = client.begin().hold().expect("it is sent");
        until("it is held", || dies.stats().in_flight == 1);
        dies.stop_within(Duration::ZERO);
        drop(dies);
        // Its handler saw that it is over, or the connection went first: it ran, or it may have.
        if let Err(error) = held.wait() {
            assert_ne!(error.ran(), Ran::No, "{kind:?}: {error}");
        }
        for _ in 0..50 {
            assert_eq!(
                client.who(),
                Ok(1 - first),
                "{kind:?}: the other one answers"
            );
        }
    });
}

#[test]
#[ignore = "needs haproxy and nginx: make proxies"]
fn callers_that_wait_for_a_node_lose_no_call_when_a_backend_is_drained() {
    each(|kind| {
        let (one, two) = (node(0), node(1));
        let Some(front) = Front::start(kind, &[&one, &two]) else {
            return;
        };
        let nodes = [one, two];
        let (calls, first) = (AtomicU64::new(0), front.behind());
        let leaves = first.who().expect("an answer");
        let mut clients = vec![first];
        clients.extend((0..3).map(|_| front.behind()));
        std::thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter()
                .map(|client| {
                    let calls = &calls;
                    scope.spawn(move || {
                        let mut last = u64::MAX;
                        let end = Instant::now() + PATIENCE;
                        // Until all of them have come to the one that stays, for a while.
                        let mut stayed = 0;
                        while stayed < 200 && Instant::now() < end {
                            last = client.who().expect("no call fails");
                            stayed = if last == leaves { 0 } else { stayed + 1 };
                            calls.fetch_add(1, Ordering::SeqCst);
                        }
                        last
                    })
                })
                .collect();
            until("calls are made", || calls.load(Ordering::SeqCst) > 100);
            let report = nodes[leaves as usize].stop_within(PATIENCE);
            assert!(report.is_clean(), "{kind:?}: {report:?}");
            for thread in threads {
                assert_eq!(thread.join().expect("no call fails"), 1 - leaves);
            }
        });
    });
}
