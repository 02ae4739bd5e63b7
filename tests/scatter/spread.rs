//! What goes where, and what comes back.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use brokerless::client::{Call, Member};
use brokerless::scatter::{Fate, Over};
use brokerless::{Policy, Ran, scatter};

use crate::support::{
    PATIENCE, Served, in_rounds, inproc, nothing_is_left, pool, pool_of, workers,
};
use crate::work::{WorkClient, Worker};

fn squares(below: u64) -> Vec<u64> {
    (0..below).map(|x| x * x).collect()
}

#[test]
fn values_come_back_in_the_order_of_the_tasks() {
    let served = workers(3);
    let work = pool(&served);
    for tasks in [0, 1, 7, 500] {
        let running = scatter(0..tasks).over(&work);
        let running = running.run(|work, x| work.begin().square(*x));
        let gathered = running.expect("it runs").gather();
        assert!(gathered.is_complete() && gathered.over() == Over::Complete);
        for (task, told) in gathered.tasks().iter().enumerate() {
            assert_eq!((told.task, told.calls, told.ran), (task, 1, Ran::Yes));
            let node = told.node.as_deref().expect("some node");
            assert!(served.iter().any(|served| served.endpoint == node));
        }
        assert_eq!(gathered.into_values(), Ok(squares(tasks)));
    }
    for served in &served {
        assert!(served.server.stats().answered > 0, "each had some");
        assert!(served.worker.runs().values().all(|runs| *runs <= 3));
    }
    nothing_is_left(&work);
}

#[test]
fn every_way_of_spreading_gives_the_same() {
    let path = std::env::temp_dir().join(format!("brokerless-scatter-{}", std::process::id()));
    for endpoint in [
        "tcp://127.0.0.1:*",
        &format!("ipc://{}", path.display()),
        &inproc(),
    ] {
        let served = [
            Served::at(endpoint, Worker::default(), |builder| builder),
            Served::new(),
        ];
        let endpoints = served.iter().map(|it| &*it.endpoint);
        let work = pool_of(endpoints, |builder| builder.policy(Policy::weighted()));
        let tasks = || scatter(0..100u64).over(&work);
        for scatter in [
            tasks(),
            tasks().pull(1),
            tasks().pull(50),
            tasks().policy(1),
            tasks().policy(64),
        ] {
            let running = scatter.run(|work, x| work.begin().square(*x));
            let gathered = running.expect("it runs").gather();
            let nodes: BTreeSet<_> = gathered.tasks().iter().map(|it| it.node.clone()).collect();
            assert_eq!(nodes.len(), 2, "{nodes:?}");
            assert_eq!(gathered.into_values(), Ok(squares(100)));
        }
    }
}

#[test]
fn ends_come_as_they_come_and_the_fates_of_all_afterwards() {
    let served = workers(2);
    let work = pool(&served);
    let mut running = scatter(0..50u64)
        .over(&work)
        .run(|work, x| work.begin().even(*x))
        .expect("it runs");
    let mut seen = BTreeSet::new();
    for told in &mut running {
        let x = told.task as u64;
        match told.fate {
            Fate::Done(square) => assert_eq!((square, x % 2), (x * x, 0)),
            Fate::Failed(error) => {
                assert_eq!(error.method(), Some(&format!("{x} is odd")));
            }
            Fate::Cancelled | Fate::NotBegun => panic!("nothing ends it"),
        }
        assert_eq!((told.ran, told.calls), (Ran::Yes, 1));
        assert!(seen.insert(x), "{x} comes once");
    }
    assert_eq!(seen.len(), 50);
    let gathered = running.finish();
    assert_eq!((gathered.done(), gathered.failed()), (25, 25));
    assert_eq!(gathered.over(), Over::Complete);
    let error = gathered.into_values().expect_err("some have failed");
    assert_eq!((error.done(), error.first().map(|it| it.0)), (25, Some(1)));
}

#[test]
fn values_are_merged_as_they_come() {
    let served = workers(2);
    let work = pool(&served);
    let (sum, gathered) = scatter(0..200u64)
        .over(&work)
        .run(|work, x| work.begin().square(*x))
        .expect("it runs")
        .merge(0, |sum, square| sum + square);
    assert!(gathered.is_complete());
    assert_eq!(sum, squares(200).into_iter().sum::<u64>());
}

#[test]
fn a_free_node_takes_more_than_a_slow_one() {
    in_rounds("a slow node", beside_a_slow_one);
}

fn beside_a_slow_one() -> Result<(), String> {
    let slow = Worker::slow(Duration::from_millis(100));
    let served = [
        Served::at("tcp://127.0.0.1:*", slow, |builder| builder.workers(1)),
        Served::new(),
    ];
    let work = pool(&served);
    let gathered = scatter(0..200u64)
        .over(&work)
        .run(|work, x| work.begin().square(*x))
        .expect("it runs")
        .gather();
    assert_eq!(gathered.into_values(), Ok(squares(200)));
    let slow = served[0].server.stats().answered;
    let seen = format!("{slow} at the slow one");
    assert!(slow >= 1, "{seen}");
    if slow <= 20 { Ok(()) } else { Err(seen) }
}

#[test]
fn a_node_with_many_workers_is_given_as_much_as_they_run() {
    let worker = Worker::slow(Duration::from_millis(10));
    let served = [Served::at("tcp://127.0.0.1:*", worker, |builder| {
        builder.workers(8)
    })];
    let work = pool(&served);
    let most = Cell::new(0);
    let gathered = scatter(0..300u64)
        .over(&work)
        .progress(|progress| most.set(most.get().max(progress.in_flight)))
        .run(|work, x| work.begin().square(*x))
        .expect("it runs")
        .gather();
    assert_eq!(gathered.into_values(), Ok(squares(300)));
    assert!(most.get() > 2, "{} at once", most.get());
}

#[test]
fn weights_are_shares_where_the_policy_picks() {
    let served = workers(2);
    let one = &*served[0].endpoint;
    let work = pool_of([one], |builder| {
        let three = Member::new(&served[1].endpoint).weight(3);
        builder.policy(Policy::weighted()).nodes([three])
    });
    let gathered = scatter(0..400u64)
        .over(&work)
        .policy(8)
        .run(|work, x| work.begin().square(*x))
        .expect("it runs")
        .gather();
    let at_one = gathered.tasks().iter();
    let at_one = at_one
        .filter(|told| told.node.as_deref() == Some(one))
        .count();
    assert_eq!((at_one, gathered.done()), (100, 400));
}

#[test]
fn tasks_are_drawn_as_there_is_room_and_owned_ones_are_lent() {
    let served = workers(1);
    let work = pool(&served);
    let (drawn, most) = (Cell::new(0usize), Cell::new(0usize));
    let tasks = (0..300usize).map(|length| {
        drawn.set(drawn.get() + 1);
        "x".repeat(length)
    });
    let gathered = scatter(tasks)
        .over(&work)
        .pull(3)
        .progress(|progress| most.set(most.get().max(drawn.get() - progress.done)))
        .run(|work, text| work.begin().length(text))
        .expect("it runs")
        .gather();
    let lengths = gathered.into_values().expect("all are done");
    assert!(lengths.into_iter().eq(0..300));
    assert!(most.get() <= 3, "{} ahead", most.get());
}

#[test]
fn what_is_cut_by_a_function_or_a_key_is_all_there_and_together() {
    let served = workers(2);
    let work = pool(&served);
    let text = "the quick brown fox jumps over the lazy dog";
    let lengths = scatter::split(text, |text| text.split(' '))
        .over(&work)
        .run(|work, word| work.begin().length(word))
        .expect("it runs")
        .gather();
    let wanted: Vec<u64> = text.split(' ').map(|word| word.len() as u64).collect();
    assert_eq!(lengths.into_values(), Ok(wanted));
    let keys = Cell::new(0);
    let parts = scatter::partition_by_key(0..1000u64, 16, |x| x % 10).expect("parts");
    let (sum, gathered) = parts
        .over(&work)
        .run(|work, part: &Vec<u64>| {
            let of_part: BTreeSet<u64> = part.iter().map(|x| x % 10).collect();
            assert!(part.is_sorted() && part.len() == of_part.len() * 100);
            keys.set(keys.get() + of_part.len());
            work.begin().square(part.iter().sum::<u64>() % 1000)
        })
        .expect("it runs")
        .merge(0, |sum, square| sum + square);
    assert!(gathered.is_complete() && sum > 0);
    assert_eq!(keys.get(), 10, "each key in one part");
}

#[test]
fn every_node_is_called_once_by_a_broadcast() {
    let served = workers(3);
    let work = pool(&served);
    let gathered = scatter::broadcast(&work)
        .run(|work| work.begin().once(7))
        .expect("it runs")
        .gather();
    for (told, served) in gathered.tasks().iter().zip(&served) {
        assert_eq!(told.fate, Fate::Done(49));
        assert_eq!(told.node.as_deref(), Some(&*served.endpoint));
        assert_eq!(served.worker.runs(), [(7, 1)].into());
    }
    assert!(gathered.is_complete());
    // One that is not there has failed, and the others are told.
    let gone = &served[1];
    assert!(gone.server.stop().is_clean());
    let mut ends: Vec<_> = scatter::broadcast(&work)
        .run(|work| work.begin().once(8))
        .expect("it runs")
        .collect();
    ends.sort_by_key(|told| told.task);
    assert_eq!(ends[0].value(), Some(&64));
    let error = ends[1].error().expect("it has left");
    assert_eq!((error.ran(), ends[1].ran), (Ran::No, Ran::No));
    assert_eq!(ends[2].value(), Some(&64));
}

#[test]
fn a_handler_scatters_within_what_is_left_of_its_time() {
    let (outer, inner) = (workers(1), workers(2));
    *outer[0].worker.there.lock() = Some(pool(&inner));
    let work = pool(&outer);
    let timeout = PATIENCE;
    let (sum, left) = work
        .with(Call::new().timeout(timeout))
        .nested(20)
        .expect("it scatters");
    assert_eq!(sum, squares(20).into_iter().sum::<u64>());
    assert!(left > 0 && left < timeout.as_micros() as u64);
    // Time that is over ends it at both levels.
    for served in &inner {
        assert!(served.server.stop().is_clean());
    }
    let stalled = Worker::slow(Duration::from_millis(300));
    let stalled = Served::at("tcp://127.0.0.1:*", stalled, |builder| builder.workers(1));
    *outer[0].worker.there.lock() = Some(pool(std::slice::from_ref(&stalled)));
    let began = Instant::now();
    let short = work.with(Call::new().timeout(Duration::from_millis(100)));
    let error = short.nested(50).expect_err("its time is over");
    assert_eq!(error.code(), brokerless::Code::DeadlineExceeded);
    assert!(began.elapsed() < Duration::from_secs(14));
}

#[test]
fn a_scatter_within_another_of_the_same_pool_is_gathered_between_its_tasks() {
    let served = workers(2);
    let work = pool(&served);
    let within = |below: u64| {
        let running = scatter(0..below)
            .over(&work)
            .run(|work, x| work.begin().square(*x));
        let (sum, gathered) = running
            .expect("it runs")
            .merge(0, |sum, square| sum + square);
        assert!(gathered.is_complete());
        sum
    };
    let sums = |squares: &[u64]| -> u64 {
        squares
            .iter()
            .map(|x| self::squares(*x).iter().sum::<u64>())
            .sum()
    };
    // Where a task is begun, where its progress is told, and where its value is merged.
    let told = Cell::new(0);
    let (sum, gathered) = scatter(0..6u64)
        .over(&work)
        .pull(2)
        .progress(|progress| told.set(told.get() + within(progress.done as u64)))
        .run(|work, x| work.begin().square(within(*x)))
        .expect("it runs")
        .merge(0, |sum, square| sum + within(square % 10));
    assert!(gathered.is_complete());
    let tasks = (0..6).map(|x| sums(&[x]).pow(2) % 10);
    assert_eq!(sum, sums(&tasks.collect::<Vec<_>>()));
    assert_eq!(told.get(), sums(&[1, 2, 3, 4, 5, 6]));
    nothing_is_left(&work);
}

#[test]
fn calls_end_by_the_scatters_deadline_and_have_the_clients_options() {
    let served = workers(1);
    let work = pool(&served);
    for scatter in [
        scatter(0..3u64).over(&work),
        scatter(0..3u64).over(&work).policy(2),
    ] {
        let lefts = scatter
            .timeout(Duration::from_secs(20))
            .run(|work, x| work.begin().left(*x))
            .expect("it runs")
            .gather();
        let lefts = lefts.into_values().expect("all are done");
        assert!(lefts.iter().all(|left| *left <= 20_000_000), "{lefts:?}");
    }
    let quick = work.with(Call::new().timeout(Duration::from_secs(20)));
    let lefts = scatter(0..3u64)
        .over(&quick)
        .run(|work, x| work.begin().left(*x));
    let lefts = lefts.expect("it runs").gather().into_values();
    assert!(
        lefts
            .expect("all are done")
            .iter()
            .all(|left| *left <= 20_000_000)
    );
}

#[test]
fn progress_tells_each_nodes_share() {
    let served = workers(2);
    let work = pool(&served);
    let (told, last) = (Cell::new(0), Cell::new((0, 0, 0)));
    let running = scatter(0..60u64)
        .over(&work)
        .progress(|progress| {
            told.set(told.get() + 1);
            assert_eq!(progress.done + progress.failed, told.get());
            assert_eq!(progress.tasks, Some(60));
            assert!(progress.nodes.iter().all(|share| share.is_up));
            let shares: u64 = progress
                .nodes
                .iter()
                .map(|share| share.done + share.errors)
                .sum();
            let in_flight: u32 = progress.nodes.iter().map(|share| share.in_flight).sum();
            assert_eq!(in_flight as usize, progress.in_flight);
            last.set((shares, progress.nodes.len(), progress.failed));
        })
        .run(|work, x| work.begin().picky(*x));
    let gathered = running.expect("it runs").gather();
    assert_eq!((gathered.done(), gathered.failed()), (30, 30));
    assert_eq!((told.get(), last.get()), (60, (60, 2, 30)));
}

#[test]
fn tasks_and_values_may_borrow_from_the_program() {
    fn lengths(work: &WorkClient, words: &[String], extra: &str) -> u64 {
        let running = scatter(words)
            .over(work)
            .run(|work, word| work.begin().length(&format!("{word}{extra}")));
        running
            .expect("it runs")
            .merge(0, |sum, length| sum + length)
            .0
    }
    let served = workers(1);
    let words = ["one".to_owned(), "three".to_owned()];
    assert_eq!(lengths(&pool(&served), &words, "!"), 10);
}
