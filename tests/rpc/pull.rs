//! Servers whose callers are granted free workers alone.

use std::time::Duration;

use brokerless::client::{Call, Client, Member};
use brokerless::{Code, Ran};

use crate::desk::DeskClient;
use crate::support::{PATIENCE, Served, in_rounds, node, until};

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

/// Callers whose calls all wait before the first is served: who is served more often in a row than
/// others that wait has been given their turns, or they were not run.
fn turns() -> Result<(), String> {
    const CALLERS: i64 = 4;
    const CALLS: i64 = 100;
    const IN_A_ROW: usize = 3;
    let served = served(1);
    let first = patient(&[&served]);
    let held = first.begin().hold().expect("it is begun");
    served.desk.has_begun(1);
    let callers: Vec<DeskClient> = (0..CALLERS).map(|_| patient(&[&served])).collect();
    let mut waiting = Vec::new();
    for (caller, desk) in (0..).zip(&callers) {
        for x in caller * CALLS..(caller + 1) * CALLS {
            waiting.push((x, desk.begin().later(x).expect("it waits")));
        }
    }
    until("all wait in their callers", || {
        let waits = |desk: &DeskClient| desk.client().stats().calls.waiting == CALLS as usize;
        callers.iter().all(waits)
    });
    served.desk.open();
    assert_eq!(held.wait(), Ok(false));
    for (x, call) in waiting {
        assert_eq!(call.wait(), Ok(2 * x));
    }
    // Until the last calls of some, all have some that wait.
    let order = std::mem::take(&mut *served.desk.laters.lock());
    assert_eq!(order.len() as i64, CALLERS * CALLS);
    let order: Vec<i64> = order.iter().map(|x| x / CALLS).collect();
    let order = &order[..order.len() * 3 / 4];
    let in_a_row = order.chunk_by(|a, b| a == b).map(<[i64]>::len).max();
    let of = |caller: i64| order.iter().filter(|it| **it == caller).count();
    let shares: Vec<usize> = (0..CALLERS).map(of).collect();
    let equal = order.len() / CALLERS as usize;
    let is_fair = |share: &usize| (equal * 4 / 5..=equal * 6 / 5).contains(share);
    if !(in_a_row <= Some(IN_A_ROW) && shares.iter().all(is_fair)) {
        return Err(format!("{in_a_row:?} in a row, {shares:?} of {equal} each"));
    }
    let pools = served.server.stats().pools;
    // A call may come while the worker that gave its credit back is on its way to the queue.
    assert!(pools[0].queued_most <= 1, "{pools:?}");
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
