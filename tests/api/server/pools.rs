//! Pools: who waits for whom, and who does not.

use brokerless::{Code, Ran};

use super::support::{Caller, Got, one, serve, until};

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

#[test]
fn a_quick_method_is_answered_while_a_neighbours_slow_calls_take_every_worker() {
    let (server, desk) = serve(|builder| builder.workers(4));
    let mut quick = Caller::greeted(&server);
    let proven = |stats: &brokerless::server::ServerStats| {
        let method = stats
            .methods
            .iter()
            .find(|method| method.path == "desk.v1.quick");
        method.is_some_and(|method| method.calls >= 8 && method.duration.as_micros() < 10)
    };
    // It proves to be quick by far, so that a run or two that the machine interrupts change nothing.
    let end = std::time::Instant::now() + super::support::PATIENCE;
    while !proven(&server.stats()) && std::time::Instant::now() < end {
        assert_eq!(quick.call::<u64>("desk.v1.quick", one(&1u64)), 1);
    }
    let mut slow = Caller::greeted(&server);
    for number in 1..=10u64 {
        slow.begin("desk.v1.block", one(&number));
    }
    until(&server, "a pool at work", |stats| {
        (stats.pools[0].running, stats.pools[0].queued) == (4, 6)
    });
    // None of the slow ones ends before the quick ones are answered.
    for number in 0..100u64 {
        assert_eq!(quick.call::<u64>("desk.v1.quick", one(&number)), number);
    }
    assert_eq!(server.stats().pools[0].queued, 6);
    for _ in 0..10 {
        desk.let_go();
    }
    for _ in 0..10 {
        assert!(matches!(slow.next(), Got::Reply { .. }));
    }
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
