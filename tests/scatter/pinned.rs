//! Calls for one node and no other.

use std::time::Duration;

use brokerless::client::{Call, Client};
use brokerless::{Code, Ran};

use crate::support::{Served, inproc, nothing_is_left, pool, pool_of, until, workers};
use crate::work::Worker;

#[test]
fn a_call_goes_to_its_node_and_to_no_other() {
    let served = workers(3);
    let work = pool(&served);
    let nodes = work.client().nodes();
    assert_eq!(nodes.len(), 3);
    for (index, node) in nodes.iter().enumerate() {
        assert_eq!(node.endpoint(), served[index].endpoint);
        assert_eq!(work.client().node(node.endpoint()).as_ref(), Some(node));
        let there = work.with(Call::new().to(node));
        let begun: Vec<_> = (0..=index as u64 * 10)
            .map(|x| there.begin().square(x).expect("it begins"))
            .collect();
        for (x, square) in begun.into_iter().enumerate() {
            assert_eq!(square.wait(), Ok((x * x) as u64));
        }
    }
    let answered: Vec<u64> = served.iter().map(|it| it.server.stats().answered).collect();
    assert_eq!(answered, [1, 11, 21]);
}

#[test]
fn a_call_for_a_node_that_is_not_there_ends_though_others_are() {
    let (here, gone) = (Served::new(), Served::new());
    let work = pool_of([&*here.endpoint, &*gone.endpoint], |builder| builder);
    let node = work.client().node(&gone.endpoint).expect("it is known");
    let there = work.with(Call::new().to(&node));
    drop(gone);
    until("it is found to be gone", || {
        let nodes = work.client().stats().nodes;
        nodes[1].state != brokerless::client::NodeState::Up
    });
    let error = there.square(2).expect_err("nobody is there");
    assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
    assert!(error.to_string().contains(node.endpoint()), "{error}");
    assert!(error.to_string().contains("no other node"), "{error}");
    assert_eq!(work.square(2), Ok(4));
    assert!(work.client().remove(node.endpoint()));
    let error = there.square(2).expect_err("it has left");
    assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::No));
    assert!(work.client().node(node.endpoint()).is_none());
}

#[test]
fn it_waits_for_the_credit_of_its_node_and_by_its_deadline() {
    let narrow = Served::at(&inproc(), Worker::default(), |builder| builder.window(1));
    let wide = Served::new();
    let work = pool_of([&*narrow.endpoint, &*wide.endpoint], |builder| builder);
    let node = work.client().node(&narrow.endpoint).expect("it is known");
    let there = work.with(Call::new().to(&node));
    let held: Vec<_> = (0..40)
        .map(|x| there.begin().hold(x).expect("it begins"))
        .collect();
    until("some wait for credit", || {
        work.client().stats().calls.waiting > 0
    });
    let short = work.with(Call::new().to(&node).timeout(Duration::from_millis(20)));
    let error = short.square(2).expect_err("its deadline");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::No)
    );
    assert_eq!(work.square(3), Ok(9), "others go elsewhere");
    narrow.worker.open();
    for (x, held) in held.into_iter().enumerate() {
        assert_eq!(held.wait(), Ok(x as u64));
    }
    assert_eq!(wide.server.stats().answered, 1);
    nothing_is_left(&work);
}

#[test]
fn what_waits_for_a_node_ends_when_that_leaves() {
    let narrow = Served::at(&inproc(), Worker::default(), |builder| builder.window(1));
    let wide = Served::new();
    let work = pool_of([&*narrow.endpoint, &*wide.endpoint], |builder| builder);
    let node = work.client().node(&narrow.endpoint).expect("it is known");
    let there = work.with(Call::new().to(&node));
    let held: Vec<_> = (0..40)
        .map(|x| there.begin().hold(x).expect("it begins"))
        .collect();
    until("some wait for credit", || {
        work.client().stats().calls.waiting > 0
    });
    let waiting = work.client().stats().calls.waiting;
    assert!(work.client().remove(node.endpoint()));
    assert_eq!(work.client().stats().calls.unavailable as usize, waiting);
    narrow.worker.open();
    let ends: Vec<_> = held.into_iter().map(|held| held.wait()).collect();
    let ended = |end: &&Result<u64, brokerless::CallError>| {
        let error = end.as_ref().err();
        error.is_some_and(|it| (it.code(), it.ran()) == (Code::Unavailable, Ran::No))
    };
    assert_eq!(ends.iter().filter(ended).count(), waiting);
    assert_eq!(ends.iter().filter(|it| it.is_ok()).count(), 40 - waiting);
}

#[test]
fn a_node_of_another_client_is_refused() {
    let served = Served::new();
    let other = Client::connect(&served.endpoint).expect("an endpoint");
    let node = other.node(&served.endpoint).expect("it is known");
    let work = pool(std::slice::from_ref(&served));
    let error = work.with(Call::new().to(&node)).square(2);
    let error = error.expect_err("it is another's");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::InvalidArgument, Ran::No)
    );
    assert!(error.to_string().contains("another client"), "{error}");
}
