//! Pools: who waits for whom, and who does not.

use std::time::{Duration, Instant};

use brokerless::server::{MethodStats, ServerStats};
use brokerless::{Code, Ran};

use super::support::{Caller, Got, PATIENCE, one, serve, until};

/// A method that takes longer on average is not quick.
const SLOW: Duration = Duration::from_micros(50);

#[test]
fn a_full_queue_refuses_and_says_when_to_come_back() {
    let (server, desk) = serve(|builder| builder.workers(1).queue(1));
    let mut caller = Caller::greeted(&server);
    let first = caller.begin("desk.v1.block", one(&1u64));
    assert_eq!(desk.next_begun(), 1);
    let second = caller.begin("desk.v1.block", one(&2u64));
    until(&server, "a call that waits", |stats| {
        stats.pools[0].queued == 1
    });
    let third = caller.begin("desk.v1.block", one(&3u64));
    let got = caller.next();
    let (code, ran, message) = got.error(third);
    assert_eq!((code, ran), (Code::ResourceExhausted, Ran::No));
    assert!(
        message.contains("1 calls") && message.contains("workers"),
        "{message}"
    );
    assert!(
        matches!(
            got,
            Got::Error {
                retry_after: Some(_),
                ..
            }
        ),
        "{got:?}"
    );
    desk.let_go();
    desk.let_go();
    assert_eq!(caller.next().value::<u64>(first), 1);
    assert_eq!(caller.next().value::<u64>(second), 2);
    let stats = server.stats();
    assert_eq!(stats.refused.get("queue-full"), Some(&1));
    assert_eq!((stats.pools[0].refused, stats.pools[0].queued_most), (1, 1));
}

#[test]
fn blocking_handlers_of_one_pool_stall_no_other() {
    let (server, desk) = serve(|builder| builder.workers(2));
    let mut caller = Caller::greeted(&server);
    // Every seat of the default pool is taken, and more wait.
    for number in 1..=4u64 {
        caller.begin("desk.v1.block", one(&number));
    }
    desk.next_begun();
    desk.next_begun();
    until(&server, "two calls that wait", |stats| {
        stats.pools[0].queued == 2
    });
    // Inline methods and other pools go on.
    caller.is_answered();
    let disk = caller.begin("desk.v1.block_disk", one(&10u64));
    assert_eq!(desk.next_begun(), 10);
    assert_eq!(server.stats().pools[1].running, 1);
    // The other way round, too.
    for _ in 0..5 {
        desk.let_go();
    }
    let mut values = 0;
    for _ in 0..5 {
        if let Got::Reply { .. } = caller.next() {
            values += 1;
        }
    }
    assert_eq!(values, 5);
    assert!(disk > 0);
}

#[test]
fn a_full_named_pool_stalls_neither_the_default_one_nor_inline_methods() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let mut caller = Caller::greeted(&server);
    for number in 1..=5u64 {
        caller.begin("desk.v1.block_disk", one(&number));
    }
    until(&server, "a pool at work", |stats| {
        (stats.pools[1].running, stats.pools[1].queued) == (2, 3)
    });
    caller.is_answered();
    assert_eq!(caller.call::<u64>("desk.v1.quick", one(&7u64)), 7);
    for _ in 0..5 {
        desk.let_go();
    }
    for _ in 0..5 {
        assert!(matches!(caller.next(), Got::Reply { .. }));
    }
}

/// What a run of `desk.v1.quick` takes, once there were enough to tell.
fn quick_takes(stats: &ServerStats) -> Option<Duration> {
    let quick = |method: &&MethodStats| method.path == "desk.v1.quick" && method.calls >= 8;
    stats.methods.iter().find(quick).map(|found| found.duration)
}

#[test]
fn a_quick_method_is_answered_while_a_neighbours_slow_calls_take_every_worker() {
    // A method that the machine interrupts again and again counts as slow, and waits with them: a
    // round in which that happens says nothing.
    const ROUNDS: usize = 20;
    let (server, desk) = serve(|builder| builder.workers(4));
    let (mut quick, mut slow) = (Caller::greeted(&server), Caller::greeted(&server));
    let told = (0..ROUNDS).any(|_| {
        // It proves to be quick by far, so that a run or two that are interrupted change nothing.
        let end = Instant::now() + PATIENCE;
        let far = Duration::from_micros(10);
        while quick_takes(&server.stats()).is_none_or(|took| took >= far) && Instant::now() < end {
            assert_eq!(quick.call::<u64>("desk.v1.quick", one(&1u64)), 1);
        }
        for number in 1..=10u64 {
            slow.begin("desk.v1.block", one(&number));
        }
        until(&server, "a pool at work", |stats| {
            (stats.pools[0].running, stats.pools[0].queued) == (4, 6)
        });
        // None of the slow ones ends before the quick ones are answered.
        let waits = (0..100u64).find_map(|number| {
            let id = quick.begin("desk.v1.quick", one(&number));
            match quick.dealer.recv_timeout(PATIENCE / 10) {
                Ok(answer) => assert_eq!(Got::of(answer).value::<u64>(id), number),
                Err(_) => return Some((id, number)),
            }
            None
        });
        let stats = server.stats();
        for _ in 0..10 {
            desk.let_go();
        }
        for _ in 0..10 {
            assert!(matches!(slow.next(), Got::Reply { .. }));
        }
        match waits {
            None => assert_eq!(stats.pools[0].queued, 6),
            Some((id, number)) => {
                let slow = quick_takes(&stats).is_some_and(|took| took > SLOW);
                assert!(slow, "it waited, though it is quick: {stats:#?}");
                assert_eq!(quick.next().value::<u64>(id), number);
            }
        }
        waits.is_none()
    });
    assert!(told, "it never was quick");
}

#[test]
fn callers_take_turns_in_the_queue() {
    let (server, desk) = serve(|builder| builder.workers(1));
    let (mut many, mut single) = (Caller::greeted(&server), Caller::greeted(&server));
    for number in 1..=10u64 {
        many.begin("desk.v1.block", one(&number));
    }
    desk.next_begun();
    until(&server, "nine calls that wait", |stats| {
        stats.pools[0].queued == 9
    });
    single.begin("desk.v1.block", one(&100u64));
    until(&server, "one more", |stats| stats.pools[0].queued == 10);
    let mut order = Vec::new();
    for _ in 0..10 {
        desk.let_go();
        order.push(desk.next_begun());
    }
    desk.let_go();
    let place = order.iter().position(|number| *number == 100);
    assert!(place <= Some(1), "it came after {order:?}");
}
