//! Workers that are killed, stopped, slow, draining or full; and peers that say what they like.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use brokerless::scatter::{Fate, Over};
use brokerless::{CallError, Code, Ran, RpcError, scatter};
use rustix::process::Signal;

use crate::support::{
    PATIENCE, Process, Served, in_rounds, nothing_is_left, pool, pool_of, watchful_pool_of,
};
use crate::work::Worker;

/// What a few hundred tasks may take beside a worker that stands still. Without optimisation, on
/// cores that others want, too, that is longer.
const TIME: Duration = if cfg!(debug_assertions) {
    Duration::from_secs(20)
} else {
    Duration::from_secs(2)
};

fn squares(below: u64) -> Vec<u64> {
    (0..below).map(|x| x * x).collect()
}

#[test]
fn one_worker_killed_one_stopped_and_one_slow_cost_no_task() {
    in_rounds("shares", killed_stopped_and_slow);
}

/// What fails if the slow one had more than the other.
#[allow(clippy::print_stdout, reason = "what was measured is to be read")]
fn killed_stopped_and_slow() -> Result<(), String> {
    let workers = [1, 1, 1, 10].map(Process::start);
    let [killed, stopped, ..] = &workers;
    let work = watchful_pool_of(workers.iter().map(|it| &*it.endpoint));
    let began = Instant::now();
    let gathered = scatter(0..1500u64)
        .over(&work)
        .timeout(PATIENCE)
        .progress(|progress| match progress.done {
            100 => killed.signal(Signal::KILL),
            200 => stopped.signal(Signal::STOP),
            _ => {}
        })
        .run(|work, x| work.begin().square(*x))
        .expect("it runs")
        .gather();
    println!("{:?} for {} tasks", began.elapsed(), gathered.done());
    stopped.signal(Signal::CONT);
    assert_eq!(gathered.over(), Over::Complete);
    let again = gathered.tasks().iter().filter(|told| told.calls > 1);
    assert!(again.count() > 0, "the dead left some");
    let mut shares = BTreeMap::<&str, u32>::new();
    for told in gathered.tasks() {
        *shares
            .entry(told.node.as_deref().unwrap_or(""))
            .or_default() += 1;
    }
    let share = |at: usize| shares.get(&*workers[at].endpoint).copied();
    let seen = format!("{shares:?}");
    let is_less = share(3) < share(2);
    assert_eq!(gathered.into_values(), Ok(squares(1500)));
    if is_less { Ok(()) } else { Err(seen) }
}

#[test]
fn what_may_have_run_is_told_and_not_called_again_where_that_does_harm() {
    in_rounds("calls in doubt", killed);
}

/// What fails if none was in doubt.
fn killed() -> Result<(), String> {
    let workers = [5, 5].map(Process::start);
    let work = pool_of(workers.iter().map(|it| &*it.endpoint), |builder| builder);
    let gathered = scatter(0..100u64)
        .over(&work)
        .progress(|progress| {
            if progress.done == 20 {
                workers[0].signal(Signal::KILL);
            }
        })
        .run(|work, x| work.begin().once(*x))
        .expect("it runs")
        .gather();
    assert_eq!(gathered.over(), Over::Complete);
    assert!(gathered.failed() <= 4, "{}", gathered.failed());
    for (task, error) in gathered.errors() {
        let told = &gathered.tasks()[task];
        assert_eq!((error.code(), told.ran), (Code::Unavailable, Ran::Maybe));
        assert_eq!(told.node.as_deref(), Some(&*workers[0].endpoint));
        assert_eq!(told.calls, 1);
    }
    assert_eq!(gathered.done() + gathered.failed(), 100);
    if gathered.failed() == 0 {
        return Err("it had nothing when it was killed".to_owned());
    }
    // Where the program allows it, all are done.
    let back = Process::start(5);
    let work = pool_of([&*workers[1].endpoint, &*back.endpoint], |builder| builder);
    let gathered = scatter(0..100u64)
        .over(&work)
        .reissue_maybe(true)
        .progress(|progress| {
            if progress.done == 20 {
                back.signal(Signal::KILL);
            }
        })
        .run(|work, x| work.begin().once(*x))
        .expect("it runs")
        .gather();
    assert_eq!(gathered.into_values(), Ok(squares(100)));
    Ok(())
}

#[test]
fn a_stopped_worker_costs_no_more_than_what_it_had() {
    in_rounds("a worker that lives", stopped);
}

/// What fails if the one that lives was silent for as long.
fn stopped() -> Result<(), String> {
    let workers = [1, 1].map(Process::start);
    let work = watchful_pool_of(workers.iter().map(|it| &*it.endpoint));
    let running = scatter(0..300u64)
        .over(&work)
        .pull(2)
        .timeout(TIME)
        .progress(|progress| {
            if progress.done == 50 {
                workers[0].signal(Signal::STOP);
            }
        })
        .run(|work, x| work.begin().once(*x));
    let gathered = running.expect("it runs").gather();
    workers[0].signal(Signal::CONT);
    let lives = Some(&*workers[1].endpoint);
    let at_the_other = |error: &CallError| error.rpc().and_then(RpcError::node) == lives;
    if gathered.over() == Over::Deadline || gathered.errors().any(|(_, it)| at_the_other(it)) {
        return Err(format!(
            "{} done, and then: {:?}",
            gathered.done(),
            gathered.over()
        ));
    }
    // Noticed by its silence, what it had may have run; the rest is done elsewhere.
    assert!(gathered.done() >= 298, "{}", gathered.done());
    for told in gathered.tasks() {
        match &told.fate {
            Fate::Done(value) => assert_eq!(*value, (told.task as u64).pow(2)),
            Fate::Failed(_) | Fate::Cancelled => {
                assert_eq!(told.node.as_deref(), Some(&*workers[0].endpoint));
                assert_eq!(told.ran, Ran::Maybe);
            }
            Fate::NotBegun => panic!("the other has time for all"),
        }
    }
    Ok(())
}

#[test]
fn workers_that_drain_one_after_the_other_cost_no_task() {
    let served: Vec<Served> = (0..3)
        .map(|_| {
            let worker = Worker::slow(Duration::from_millis(1));
            Served::at("tcp://127.0.0.1:*", worker, |builder| builder)
        })
        .collect();
    let work = pool(&served);
    std::thread::scope(|scope| {
        let stopping = Cell::new(0);
        let gathered = scatter(0..600u64)
            .over(&work)
            .progress(|progress| {
                let due = [100, 300].get(stopping.get());
                if due.is_some_and(|due| progress.done >= *due) {
                    let server = &served[stopping.get()].server;
                    stopping.set(stopping.get() + 1);
                    scope.spawn(|| assert!(server.stop().is_clean()));
                }
            })
            .run(|work, x| work.begin().once(*x))
            .expect("it runs")
            .gather();
        assert_eq!(gathered.into_values(), Ok(squares(600)));
    });
    let mut runs = BTreeMap::<u64, u32>::new();
    for served in &served {
        for (x, times) in served.worker.runs() {
            *runs.entry(x).or_default() += times;
        }
    }
    assert!(runs.len() == 600 && runs.values().all(|times| *times == 1));
    nothing_is_left(&work);
}

#[test]
fn what_a_full_worker_turns_away_goes_elsewhere() {
    let full = Served::at("tcp://127.0.0.1:*", Worker::default(), |builder| {
        builder.workers(1).queue(1).window(64)
    });
    let free = Served::new();
    let served = [full, free];
    let work = pool(&served);
    let alone = pool(&served[..1]);
    let held: Vec<_> = (0..2)
        .map(|x| alone.begin().hold(x).expect("it begins"))
        .collect();
    served[0].worker.has_begun(1);
    crate::support::until("its queue is full", || {
        served[0].server.stats().pools[0].queued == 1
    });
    let gathered = scatter(0..50u64)
        .over(&work)
        .run(|work, x| work.begin().once(*x))
        .expect("it runs")
        .gather();
    let twice = gathered.tasks().iter().filter(|told| told.calls > 1);
    assert!(twice.count() > 0, "some were turned away");
    assert_eq!(gathered.into_values(), Ok(squares(50)));
    assert!(served[0].worker.runs().is_empty());
    served[0].worker.open();
    for (x, held) in held.into_iter().enumerate() {
        assert_eq!(held.wait(), Ok(x as u64));
    }
}
