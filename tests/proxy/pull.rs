//! Nodes that grant free workers alone, behind a proxy.

use std::thread;

use crate::desk::DeskClient;
use crate::fleet::Fleet;
use crate::support::{PATIENCE, Served, until};

/// Nodes of one worker each.
fn fleet(nodes: usize) -> Fleet {
    let node = |_| {
        Served::at("tcp://127.0.0.1:*", |builder| {
            builder.workers(1).worker_pull(true)
        })
    };
    Fleet::of("tcp://127.0.0.1:*", (0..nodes).map(node).collect(), |it| it)
}

fn desk(fleet: &Fleet) -> DeskClient {
    DeskClient::from(fleet.client(|builder| builder.timeout(PATIENCE)))
}

#[test]
fn calls_wait_in_the_proxy_while_every_worker_is_busy() {
    const CALLS: u64 = 6;
    let fleet = fleet(2);
    let callers = [desk(&fleet), desk(&fleet)];
    let held: Vec<_> = (0..CALLS)
        .map(|n| callers[n as usize % 2].begin().hold().expect("it waits"))
        .collect();
    for node in &fleet.nodes {
        node.desk.has_begun(1);
    }
    until("the others wait", || {
        fleet.proxy.stats().waiting == CALLS - 2
    });
    for node in &fleet.nodes {
        assert_eq!(node.server.stats().in_flight, 1);
        node.desk.open();
    }
    for held in held {
        assert_eq!(held.wait(), Ok(false));
    }
    for node in &fleet.nodes {
        // A call may come while the worker that gave its credit back is on its way to the queue.
        let pools = node.server.stats().pools;
        assert!(pools[0].queued_most <= 1, "{pools:?}");
    }
}

#[test]
fn callers_get_answers_from_free_workers_through_a_proxy() {
    const CALLS: i64 = 50;
    let fleet = fleet(2);
    // One is busy all the time.
    let holder = desk(&fleet);
    let held = holder.begin().hold().expect("it waits");
    until("a node holds it", || {
        fleet.nodes.iter().any(|node| node.desk.begun() == 1)
    });
    let busy = fleet.nodes.iter().find(|node| node.desk.begun() == 1);
    let busy = busy.expect("it holds the call");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let desk = desk(&fleet);
                for x in 0..CALLS {
                    assert_eq!(desk.later(x), Ok(2 * x));
                }
            });
        }
    });
    let stats = busy.server.stats();
    assert_eq!((stats.in_flight, stats.answered), (1, 0), "{stats:?}");
    busy.desk.open();
    assert_eq!(held.wait(), Ok(false));
}
