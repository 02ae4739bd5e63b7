//! Which node of a pool is near, by what heartbeats measure.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brokerless::Policy;
use brokerless::client::Member;
use brokerless::patterns::Options;

use crate::desk::DeskClient;
use crate::support::{PATIENCE, Served, all_up, inproc, node, take_time, until};

const MS: Duration = Duration::from_millis(1);
/// How long what goes through a relay is on its way, each way.
const WAY: Duration = Duration::from_millis(40);

/// Far away: what goes through it takes its time.
struct Relay {
    endpoint: String,
    /// In microseconds, each way.
    way: Arc<AtomicU64>,
}

impl Relay {
    fn to(endpoint: &str) -> Relay {
        let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
        let address = address.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let relay = Relay {
            endpoint: format!("tcp://{}", listener.local_addr().expect("it is bound")),
            way: Arc::new(AtomicU64::new(WAY.as_micros() as u64)),
        };
        let way = relay.way.clone();
        thread::spawn(move || {
            // Lives as long as the tests: nobody waits for it.
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&address) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let [from, to] = [from, to].map(|it| it.try_clone().expect("a descriptor"));
                    carry(from, to, way.clone());
                }
            }
        });
        relay
    }
}

/// Carries bytes one way, all in order and each so late: more are taken up meanwhile.
fn carry(mut from: TcpStream, mut to: TcpStream, way: Arc<AtomicU64>) {
    to.set_nodelay(true).expect("an option of every stream");
    let (on, arrives) = crossbeam_channel::unbounded::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count) = from.read(&mut buffer) {
            let late = Duration::from_micros(way.load(Ordering::SeqCst));
            let sent = on.send((Instant::now() + late, buffer[..count].to_vec()));
            if count == 0 || sent.is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (at, bytes) in arrives {
            take_time(at.saturating_duration_since(Instant::now()));
            if bytes.is_empty() || to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}

fn beating(every: Option<Duration>) -> Options {
    let options = Options::new().heartbeat_timeout(PATIENCE);
    options.heartbeat_ttl(PATIENCE).heartbeat_interval(every)
}

fn pool(policy: Policy, endpoints: &[&str], options: Options) -> DeskClient {
    let builder = DeskClient::builder().timeout(PATIENCE).options(options);
    let members = endpoints.iter().map(|endpoint| Member::new(*endpoint));
    let policy = policy.slow_start(Duration::ZERO);
    let desk = builder.policy(policy).nodes(members).connect(());
    let desk = desk.expect("options within bounds");
    all_up(&desk);
    desk
}

fn round_trip(desk: &DeskClient, endpoint: &str) -> Option<Duration> {
    node(desk.client(), endpoint).round_trip
}

#[test]
fn by_round_trip_calls_go_to_the_near_one_of_two_servers() {
    let (far, near) = (Served::new(), Served::new());
    let relay = Relay::to(&far.endpoint);
    let calls = || [&far, &near].map(|served| served.server.stats().calls);
    let policy = Policy::round_robin().by_round_trip().near(10 * MS);
    let endpoints = [&*relay.endpoint, &*near.endpoint];
    let desk = pool(policy, &endpoints, beating(Some(50 * MS)));
    // From its handshake on.
    assert!(round_trip(&desk, &relay.endpoint) >= Some(2 * WAY));
    until("the near one is known to be near", || {
        round_trip(&desk, &near.endpoint).is_some_and(|took| took < 10 * MS)
    });
    let before = calls();
    (0..200).for_each(|_| desk.empty().expect("an answer"));
    assert_eq!(calls(), [before[0], before[1] + 200]);
    assert!(round_trip(&desk, &relay.endpoint) >= Some(2 * WAY));
    // It comes nearer, and is noticed while nobody calls it.
    relay.way.store(0, Ordering::SeqCst);
    until("it has come nearer", || {
        round_trip(&desk, &relay.endpoint).is_some_and(|took| took < 8 * MS)
    });
    let before = calls();
    (0..200).for_each(|_| desk.empty().expect("an answer"));
    assert_eq!(calls(), before.map(|calls| calls + 100));
    // Where nobody else is left, any place will do.
    drop(near);
    let before = far.server.stats().calls;
    (0..100).for_each(|_| desk.empty().expect("an answer"));
    assert!(far.server.stats().calls > before);
}

#[test]
fn without_heartbeats_no_distance_is_known_and_all_are_called() {
    let served = [Served::new(), Served::new()];
    let endpoints = [0, 1].map(|at| &*served[at].endpoint);
    let policy = Policy::round_robin().by_round_trip();
    let desk = pool(policy, &endpoints, beating(None));
    for endpoint in endpoints {
        assert_eq!(round_trip(&desk, endpoint), None);
    }
    (0..100).for_each(|_| desk.empty().expect("an answer"));
    let calls = [0, 1].map(|at| node(desk.client(), endpoints[at]).sent);
    assert_eq!(calls, [50, 50]);
}

#[test]
fn a_node_within_the_process_is_the_nearest() {
    let (within, beside) = (Served::at(&inproc(), |it| it), Served::new());
    let policy = Policy::random().by_round_trip();
    let endpoints = [&*within.endpoint, &*beside.endpoint];
    let desk = pool(policy, &endpoints, beating(Some(50 * MS)));
    assert_eq!(round_trip(&desk, &within.endpoint), Some(Duration::ZERO));
    assert!(round_trip(&desk, &beside.endpoint) > Some(Duration::ZERO));
}
