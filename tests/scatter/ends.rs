//! Limits, deadlines, cancels, panics, bad input.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use brokerless::client::{Call, Client};
use brokerless::scatter::{Canceller, Fate, Over};
use brokerless::{CallError, Code, Ran, RpcError, Status, scatter};

use crate::support::{
    KeptPort, PATIENCE, Served, in_rounds, nothing_is_left, pool, until, workers,
};
use crate::work::{WorkClient, Worker};

/// Time enough for calls to be begun, on a busy machine, too; and soon over.
const TIME: Duration = Duration::from_secs(1);

#[test]
fn it_ends_once_as_many_have_failed_as_are_put_up_with() {
    let served = workers(2);
    let work = pool(&served);
    let gathered = scatter(0..1000u64)
        .over(&work)
        .pull(1)
        .fail_limit(3)
        .run(|work, x| work.begin().picky(*x))
        .expect("it runs")
        .gather();
    assert_eq!((gathered.over(), gathered.failed()), (Over::FailLimit, 3));
    assert_eq!(gathered.tasks().len(), 1000);
    let begun = gathered
        .tasks()
        .iter()
        .filter(|told| told.calls > 0)
        .count();
    assert!(begun <= 3 + gathered.done() + 2, "{begun} begun");
    assert_eq!(gathered.tasks()[999].fate, Fate::NotBegun);
    assert_eq!(gathered.tasks()[999].ran, Ran::No);
    let error = gathered.into_values().expect_err("some have failed");
    assert_eq!(error.over(), Over::FailLimit);
    assert!(error.to_string().contains("is odd"), "{error}");
    assert_eq!(Status::from(error).code(), Code::InvalidArgument);
}

#[test]
fn the_first_so_many_are_enough_and_the_others_are_cancelled() {
    let served = workers(2);
    let work = pool(&served);
    let gathered = scatter(0..8u64)
        .over(&work)
        .pull(4)
        .success_limit(3)
        .run(|work, x| match x {
            0..3 => work.begin().square(*x),
            _ => work.begin().hold(*x),
        })
        .expect("it runs")
        .gather();
    assert_eq!((gathered.over(), gathered.done()), (Over::SuccessLimit, 3));
    let values: Vec<_> = gathered.values().collect();
    assert_eq!(values, [(0, &0), (1, &1), (2, &4)]);
    for told in &gathered.tasks()[3..] {
        assert_eq!((&told.fate, told.calls), (&Fate::Cancelled, 1));
        assert_ne!(told.ran, Ran::Yes);
    }
    nothing_is_left(&work);
}

#[test]
fn what_there_is_by_the_deadline_is_given() {
    in_rounds("what is done by the deadline", by_the_deadline);
}

/// What fails if there was less than there could be.
fn by_the_deadline() -> Result<(), String> {
    let served = workers(2);
    let work = pool(&served);
    let began = Instant::now();
    let gathered = scatter(0..20u64)
        .over(&work)
        .pull(2)
        .timeout(TIME)
        .run(|work, x| match x {
            0..4 => work.begin().square(*x),
            _ => work.begin().hold(*x),
        })
        .expect("it runs")
        .gather();
    assert!(began.elapsed() >= TIME);
    assert!(began.elapsed() < PATIENCE / 2);
    assert_eq!(gathered.over(), Over::Deadline);
    if gathered.done() < 4 {
        return Err(format!("{} done", gathered.done()));
    }
    assert_eq!(gathered.done(), 4);
    let count = |fate| gathered.tasks().iter().filter(|it| it.fate == fate).count();
    assert_eq!((count(Fate::Cancelled), count(Fate::NotBegun)), (4, 12));
    assert_eq!(gathered.failed(), 0);
    let error = gathered.into_values().expect_err("it was over");
    assert_eq!(Status::from(error).code(), Code::DeadlineExceeded);
    nothing_is_left(&work);
    Ok(())
}

#[test]
fn what_ends_with_the_whole_is_cancelled_and_has_not_failed() {
    let served = workers(1);
    let work = pool(&served);
    let gathered = scatter(0..3u64)
        .over(&work)
        .timeout(TIME)
        .tries(1)
        .run(|work, x| work.begin().hold(*x))
        .expect("it runs")
        .gather();
    assert_eq!((gathered.over(), gathered.failed()), (Over::Deadline, 0));
    // Those that were called; one that has its own deadline before that has failed.
    let told = &gathered.tasks()[0];
    assert_eq!((&told.fate, told.ran), (&Fate::Cancelled, Ran::Maybe));
    let short = work.with(Call::new().timeout(TIME / 2));
    let gathered = scatter(0..1u64)
        .over(&short)
        .timeout(Duration::from_secs(20))
        .run(|work, x| work.begin().hold(*x))
        .expect("it runs")
        .gather();
    let told = &gathered.tasks()[0];
    assert_eq!(
        told.error().map(CallError::code),
        Some(Code::DeadlineExceeded)
    );
    assert_eq!(
        (told.calls, told.ran, gathered.over()),
        (3, Ran::Maybe, Over::Complete)
    );
}

#[test]
fn what_is_over_is_cancelled_at_its_nodes() {
    let served = workers(2);
    let work = pool(&served);
    let canceller = Canceller::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            served.iter().for_each(|served| served.worker.has_begun(2));
            canceller.clone().cancel();
        });
        let running = scatter(0..)
            .over(&work)
            .pull(2)
            .cancelled_by(&canceller)
            .run(|work, x: &u64| work.begin().hold(*x));
        let gathered = running.expect("it runs").gather();
        assert_eq!(gathered.over(), Over::Cancelled);
        let tasks = gathered.tasks();
        assert_eq!(tasks.len(), 4, "nobody knows how many are left");
        assert!(tasks.iter().all(|told| told.fate == Fate::Cancelled));
        assert!(tasks.iter().all(|told| told.ran == Ran::Maybe));
    });
    served
        .iter()
        .for_each(|served| served.worker.has_cancelled(2));
    nothing_is_left(&work);
    // It stays cancelled; a broadcast heeds it, too.
    assert!(canceller.is_cancelled());
    let running = scatter(0..5u64).over(&work).cancelled_by(&canceller);
    let running = running.run(|work, x| work.begin().square(*x));
    let gathered = running.expect("it runs").gather();
    assert_eq!((gathered.over(), gathered.done()), (Over::Cancelled, 0));
    let gathered = scatter::broadcast(&work)
        .cancelled_by(&canceller)
        .run(|work| work.begin().hold(9))
        .expect("it runs")
        .gather();
    assert_eq!(gathered.over(), Over::Cancelled);
    assert!(gathered.tasks().iter().all(|it| it.fate == Fate::Cancelled));
    nothing_is_left(&work);
}

#[test]
fn dropped_half_way_it_leaves_nothing_behind() {
    let served = workers(1);
    let work = pool(&served);
    let mut running = scatter(0..100u64)
        .over(&work)
        .pull(3)
        .run(|work, x| match x {
            0 => work.begin().square(*x),
            _ => work.begin().hold(*x),
        })
        .expect("it runs");
    assert_eq!(running.next().map(|told| told.task), Some(0));
    served[0].worker.has_begun(2);
    drop(running);
    served[0].worker.has_cancelled(2);
    nothing_is_left(&work);
    // Finished half way, it says what became of each.
    let mut running = scatter(0..10u64)
        .over(&work)
        .pull(2)
        .run(|work, x| work.begin().square(*x))
        .expect("it runs");
    assert!(running.next().is_some());
    let gathered = running.finish();
    assert_eq!(gathered.over(), Over::Cancelled);
    assert_eq!((gathered.done(), gathered.tasks().len()), (1, 10));
}

#[test]
fn a_panic_in_a_programs_closure_leaves_nothing_behind() {
    let served = workers(1);
    let work = pool(&served);
    let panics = |what: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(what)).is_err());
    let call = |work: &WorkClient, x: &u64| work.begin().hold(*x);
    panics(&|| {
        let running = scatter(0..9u64).over(&work).pull(9).run(|work, x| {
            assert!(*x < 5, "as a closure may");
            call(work, x)
        });
        running.expect("it runs").gather();
    });
    nothing_is_left(&work);
    panics(&|| {
        let tasks = (0..9u64).inspect(|x| assert!(*x < 5, "as an iterator may"));
        let running = scatter(tasks).over(&work).pull(9).run(call);
        running.expect("it runs").gather();
    });
    nothing_is_left(&work);
    panics(&|| {
        let running = scatter(0..9u64).over(&work).pull(9).run(|work, x| match x {
            0 => work.begin().square(*x),
            _ => call(work, x),
        });
        running
            .expect("it runs")
            .merge((), |(), _| panic!("as a merge may"));
    });
    nothing_is_left(&work);
    panics(&|| {
        let scatter = scatter(0..9u64).over(&work).pull(9);
        let scatter = scatter.progress(|_| panic!("as a watcher may"));
        let running = scatter.run(|work, x| match x {
            0 => work.begin().square(*x),
            _ => call(work, x),
        });
        running.expect("it runs").gather();
    });
    nothing_is_left(&work);
    // One that lives on has ended.
    let mut running = scatter(0..9u64)
        .over(&work)
        .pull(9)
        .run(|work, x| {
            assert!(*x < 5, "as a closure may");
            call(work, x)
        })
        .expect("it runs");
    assert!(catch_unwind(AssertUnwindSafe(|| running.next())).is_err());
    assert!(running.next().is_none());
    assert_eq!(running.finish().over(), Over::Cancelled);
    nothing_is_left(&work);
}

#[test]
fn an_error_where_a_call_begins_is_that_tasks_fate() {
    let served = workers(2);
    let work = pool(&served);
    let calls = Cell::new(0);
    let gathered = scatter(0..4u64)
        .over(&work)
        .run(|work, x| match x {
            1 => Err(RpcError::new(Status::invalid_argument("no"), Ran::No).into()),
            2 => {
                calls.set(calls.get() + 1);
                Err(RpcError::new(Status::unavailable("not yet"), Ran::No).into())
            }
            _ => work.begin().square(*x),
        })
        .expect("it runs")
        .gather();
    assert_eq!((gathered.done(), gathered.failed()), (2, 2));
    let tasks = gathered.tasks();
    assert_eq!(
        tasks[1].error().map(CallError::code),
        Some(Code::InvalidArgument)
    );
    assert_eq!(
        tasks[2].error().map(CallError::code),
        Some(Code::Unavailable)
    );
    assert_eq!((tasks[1].calls, tasks[2].calls, calls.get()), (1, 64, 64));
    assert_eq!((tasks[1].ran, tasks[2].ran), (Ran::No, Ran::No));
}

#[test]
fn bad_input_is_refused_with_its_name_and_its_bound() {
    let served = workers(1);
    let work = pool(&served);
    let tasks = || scatter(0..3u64).over(&work);
    let second = Duration::from_secs(1);
    for (scatter, option) in [
        (tasks().fail_limit(0), "fail_limit"),
        (tasks().success_limit(0), "success_limit"),
        (tasks().pull(0), "depth"),
        (tasks().pull(20_000), "depth"),
        (tasks().policy(0), "in_flight"),
        (tasks().tries(0), "tries"),
        (tasks().timeout(Duration::ZERO), "timeout"),
        (tasks().timeout(second * 3600 * 24 * 400), "timeout"),
    ] {
        let called = Cell::new(false);
        let running = scatter.run(|work, x| {
            called.set(true);
            work.begin().square(*x)
        });
        let error = running.expect_err(option).to_string();
        assert!(
            error.contains(option) && error.contains("from 1"),
            "{error}"
        );
        assert!(!called.get(), "nothing is called");
    }
    let error = scatter::partition_by_key(0..3u64, 0, |x| *x).expect_err("parts");
    assert!(error.to_string().contains("parts is 0"), "{error}");
    let error = scatter::broadcast(&work)
        .timeout(Duration::ZERO)
        .run(|work| work.begin().pid());
    assert!(error.is_err());
}

#[test]
fn an_empty_pool_and_one_that_is_not_there_are_told_apart_from_tasks() {
    let served = workers(1);
    let work = pool(&served);
    assert!(work.client().remove(&served[0].endpoint));
    until("it has left", || work.client().nodes().is_empty());
    let running = scatter(0..3u64)
        .over(&work)
        .run(|work, x| work.begin().square(*x));
    let error = running.expect_err("nobody is there").to_string();
    assert!(
        error.contains("pool is empty") && error.contains("add a node"),
        "{error}"
    );
    assert!(
        scatter::broadcast(&work)
            .run(|work| work.begin().pid())
            .is_err()
    );
    // No tasks are no fault.
    let kept = KeptPort::new();
    let endpoint = kept.endpoint();
    let nowhere = Served::at(&endpoint, Worker::default(), |builder| builder);
    let work = pool(std::slice::from_ref(&nowhere));
    let gathered = scatter([0u64; 0])
        .over(&work)
        .run(|work, x| work.begin().square(*x));
    assert_eq!(
        gathered.expect("it runs").gather().into_values(),
        Ok(vec![])
    );
    drop(nowhere);
    let gathered = scatter(0..3u64)
        .over(&work)
        .run(|work, x| work.begin().square(*x));
    let gathered = gathered.expect("it has a node").gather();
    assert_eq!((gathered.over(), gathered.done()), (Over::NoNode, 0));
    assert!(gathered.tasks().iter().all(|told| told.ran == Ran::No));
    // One that waits for a node goes on once that is there.
    let patient = work.with(Call::new().wait_for_ready(true));
    std::thread::scope(|scope| {
        let gathered = scope.spawn(|| {
            let running = scatter(0..3u64).over(&patient);
            let running = running.timeout(PATIENCE);
            let running = running.run(|work, x| work.begin().square(*x));
            running.expect("it waits").gather().into_values()
        });
        let _back = Served::at(&endpoint, Worker::default(), |builder| builder);
        assert_eq!(gathered.join().expect("it ends"), Ok(vec![0, 1, 4]));
    });
}

#[test]
fn nodes_that_join_take_their_share() {
    let slow = || Worker::slow(Duration::from_millis(5));
    let served = [(); 2].map(|()| Served::at("tcp://127.0.0.1:*", slow(), |builder| builder));
    let client = Client::connect(&served[0].endpoint).expect("an endpoint");
    let work = WorkClient::from(client.clone());
    let joined = Cell::new(false);
    let gathered = scatter(0..200u64)
        .over(&work)
        .progress(|progress| {
            if progress.done == 20 && !joined.replace(true) {
                client.add(&served[1].endpoint).expect("another");
            }
        })
        .run(|work, x| work.begin().square(*x))
        .expect("it runs")
        .gather();
    assert_eq!(gathered.done(), 200);
    assert!(served[1].server.stats().answered > 0);
}
