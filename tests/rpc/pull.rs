//! Servers whose callers are granted free workers alone.

use std::sync::Arc;
use std::time::Duration;

use brokerless::builtin::{Condition, HealthCheckClient};
use brokerless::client::{Call, Client, Member, NodeState};
use brokerless::patterns::{Dealer, Frame, Message};
use brokerless::wire::encode_plain_call;
use brokerless::{Code, Ran, Server};
use parking_lot::Mutex;

use crate::desk::{DeskClient, DeskServer, Handler};
use crate::support::{PATIENCE, Served, in_rounds, inproc, node, take_time, until};

fn served(workers: usize) -> Served {
    Served::at("tcp://127.0.0.1:*", |builder| {
        builder.workers(workers).worker_pull(true)
    })
}

fn patient(served: &[&Served]) -> DeskClient {
    let nodes = served.iter().map(|one| Member::new(&one.endpoint));
    let client = Client::builder().nodes(nodes).timeout(PATIENCE);
    DeskClient::from(client.connect(()).expect("endpoints"))
}

fn in_flight(desk: &DeskClient, served: &Served) -> u32 {
    node(desk.client(), &served.endpoint).in_flight
}

#[test]
fn a_busy_worker_is_never_fed() {
    let (busy, free) = (served(2), served(2));
    let first = patient(&[&busy]);
    let held: Vec<_> = (0..5)
        .map(|_| first.begin().hold().expect("it waits"))
        .collect();
    busy.desk.has_begun(2);
    assert_eq!(in_flight(&first, &busy), 2);
    assert_eq!(first.client().stats().calls.waiting, 3, "in their caller");

    let second = patient(&[&busy, &free]);
    for x in 0..50 {
        assert_eq!(second.add(x, 1), Ok(x + 1));
    }
    assert_eq!(in_flight(&second, &busy), 0);
    assert_eq!(node(second.client(), &busy.endpoint).sent, 0);
    assert_eq!(node(second.client(), &free.endpoint).sent, 50);
    assert_eq!(busy.desk.begun(), 2);
    busy.desk.open();
    for held in held {
        assert_eq!(held.wait(), Ok(false));
    }
}

#[test]
fn callers_take_turns_at_free_workers() {
    in_rounds("turns", turns);
}

/// A caller tells of calls that still wait 100 ms after its last wish: for calls that take longer than
/// that, all stand in line whenever a worker is free.
const CALL: Duration = Duration::from_millis(150);

#[brokerless::service(name = "turns.v1")]
trait Turns {
    fn turn(&self, caller: usize) -> usize;
}

/// Whose calls have run, in order.
#[derive(Default)]
struct Order(Mutex<Vec<usize>>);

impl Turns for Order {
    fn turn(&self, caller: usize) -> usize {
        self.0.lock().push(caller);
        take_time(CALL);
        caller
    }
}

/// What fails only where callers did not take turns, or were not run in time to stand in line.
fn turns() -> Result<(), String> {
    const CALLERS: usize = 3;
    const CALLS: usize = 5;
    let order = Arc::new(Order::default());
    let builder = Server::builder().service(TurnsServer::new(order.clone()));
    let builder = builder.workers(1).worker_pull(true);
    let server = builder.bind(&inproc()).expect("it binds");
    let endpoint = server.local_endpoints()[0].to_string();
    let client = || Client::builder().timeout(PATIENCE).connect(&endpoint);
    let client = |_| TurnsClient::from(client().expect("an endpoint"));
    let callers: Vec<TurnsClient> = (0..CALLERS).map(client).collect();
    until("all are there", || server.stats().callers == CALLERS);
    let mut waiting = Vec::new();
    for (number, caller) in callers.iter().enumerate() {
        for _ in 0..CALLS {
            waiting.push((number, caller.begin().turn(number).expect("it begins")));
        }
    }
    for (number, call) in waiting {
        assert_eq!(call.wait(), Ok(number));
    }
    // A call may come while the worker that gave its credit back is on its way to the queue.
    let pools = server.stats().pools;
    assert!(pools[0].queued_most <= 1, "{pools:?}");
    let order = order.0.lock().clone();
    assert_eq!(order.len(), CALLERS * CALLS);
    // As long as all have calls that wait, nobody has had three more than another.
    let mut had = [0; CALLERS];
    for caller in &order {
        had[*caller] += 1;
        let (least, most) = (had.iter().min().unwrap(), had.iter().max().unwrap());
        if most - least > 2 && *least < CALLS - 1 {
            return Err(format!("{order:?}"));
        }
    }
    Ok(())
}

#[test]
fn a_worker_that_a_caller_does_not_use_goes_to_one_that_wishes() {
    let served = served(1);
    let idle = patient(&[&served]);
    assert_eq!(idle.add(1, 1), Ok(2));
    until("the credit stays", || {
        node(idle.client(), &served.endpoint).credit_calls == 1
    });
    let other = patient(&[&served]);
    assert_eq!(other.add(2, 2), Ok(4));
    until("the idle one has none", || {
        node(idle.client(), &served.endpoint).credit_calls == 0
    });
    assert_eq!(idle.add(3, 3), Ok(6));
}

#[test]
fn a_caller_that_is_gone_leaves_its_workers_to_others() {
    let served = served(1);
    let first = patient(&[&served]);
    let held = first.begin().hold().expect("it is begun");
    served.desk.has_begun(1);
    let second = patient(&[&served]);
    let waits = second.begin().add(1, 2).expect("it waits");
    drop(held);
    drop(first);
    assert_eq!(waits.wait(), Ok(3));
}

#[test]
fn a_call_that_waits_for_a_worker_ends_by_its_deadline() {
    let served = served(1);
    let first = patient(&[&served]);
    let held = first.begin().hold().expect("it is begun");
    served.desk.has_begun(1);
    let second = patient(&[&served]);
    let quick = second.with(Call::new().timeout(Duration::from_millis(50)));
    let error = quick.add(1, 2).expect_err("no worker is free");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::No)
    );
    served.desk.open();
    assert_eq!(held.wait(), Ok(false));
    assert_eq!(second.add(1, 2), Ok(3), "nothing is kept of the one before");
}

#[test]
fn callers_are_granted_the_workers_of_their_engine() {
    let desk = Arc::new(Handler::default());
    let builder = Server::builder().service(DeskServer::new(desk.clone()));
    let builder = builder.workers(1).engines(2).worker_pull(true);
    let any = "tcp://127.0.0.1:*";
    let server = builder.bind_all([any, any]).expect("it binds");
    let endpoints = server.local_endpoints();
    let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
    let at = |endpoints: &[String]| {
        let nodes = endpoints.iter().map(Member::new);
        let client = Client::builder().nodes(nodes).timeout(PATIENCE);
        let desk = DeskClient::from(client.connect(()).expect("endpoints"));
        until("it is welcome", || {
            let standing = |endpoint| node(desk.client(), endpoint).state;
            endpoints.iter().all(|it| standing(it) == NodeState::Up)
        });
        desk
    };
    let first = at(&endpoints[..1]);
    let held = first.begin().hold().expect("it is begun");
    desk.has_begun(1);
    // The other worker is no use to this one.
    let second = at(&endpoints[..1]);
    let waits = second.begin().hold().expect("it waits");
    assert_eq!(node(second.client(), &endpoints[0]).in_flight, 0);
    assert_eq!(second.client().stats().calls.waiting, 1);
    let both = at(&endpoints);
    for x in 0..50 {
        assert_eq!(both.add(x, 1), Ok(x + 1));
    }
    assert_eq!(node(both.client(), &endpoints[0]).sent, 0);
    let other = at(&endpoints[1..]);
    let held_too = other.begin().hold().expect("it is begun");
    desk.has_begun(2);
    assert_eq!(desk.begun(), 2);
    desk.open();
    for held in [held, waits, held_too] {
        assert_eq!(held.wait(), Ok(false));
    }
}

#[test]
fn health_is_told_while_every_worker_is_busy() {
    let served = served(1);
    let first = patient(&[&served]);
    let held = first.begin().hold().expect("it is begun");
    served.desk.has_begun(1);
    let waits = first.begin().add(1, 2).expect("it waits");
    // To one that has just come, and to one whose other calls wait.
    let new = Client::builder().timeout(PATIENCE);
    let new = new.connect(&served.endpoint).expect("an endpoint");
    for client in [new, first.client().clone()] {
        let health = HealthCheckClient::from(client);
        for _ in 0..3 {
            assert_eq!(health.check(""), Ok(Condition::Serving));
        }
    }
    assert_eq!(first.client().stats().calls.waiting, 1, "for the worker");
    served.desk.open();
    assert_eq!(held.wait(), Ok(false));
    assert_eq!(waits.wait(), Ok(3));
}

#[test]
fn a_plain_caller_is_told_the_health_while_every_worker_is_busy() {
    let served = served(1);
    let first = patient(&[&served]);
    let held = first.begin().hold().expect("it is begun");
    served.desk.has_begun(1);
    let plain = Dealer::connect(&served.endpoint).expect("an endpoint");
    let answers = |method: &str, arguments: &[u8]| {
        let call = encode_plain_call(method, arguments).expect("it is short");
        let message = Message::from_frames([Frame::new(), call]);
        plain.send(message).expect("it is sent");
        let answer = plain.recv_timeout(PATIENCE).expect("an answer");
        // The code, behind the array's own byte.
        answer
            .frames()
            .last()
            .and_then(|frame| frame.get(1).copied())
    };
    assert_eq!(
        answers("brokerless.health.v1.check", &[0x91, 0xa0]),
        Some(0)
    );
    let busy = Code::ResourceExhausted as u8;
    assert_eq!(answers("desk.v1.add", &[0x92, 1, 2]), Some(busy));
    served.desk.open();
    assert_eq!(held.wait(), Ok(false));
}
