//! Waiting for any of many calls.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use brokerless::client::{Call, Client, Together};
use brokerless::patterns::Engine;
use brokerless::{Code, Ran};

use crate::support::{PATIENCE, Served, inproc, nothing_is_left, pool, until, workers};
use crate::work::{WorkClient, Worker};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn each_of_many_calls_comes_out_once_as_it_ends() {
    let path = std::env::temp_dir().join(format!("brokerless-together-{}", std::process::id()));
    let ipc = format!("ipc://{}", path.display());
    for endpoint in ["tcp://127.0.0.1:*", &ipc, &inproc()] {
        let served = Served::at(endpoint, Worker::default(), |builder| builder);
        let work = pool(std::slice::from_ref(&served));
        let mut calls = Together::new();
        assert!(calls.wait_any().is_none(), "there is none");
        let mut left: BTreeSet<u64> = (0..300).collect();
        for x in 0..200 {
            calls.put(x, work.begin().square(x).expect("it begins"));
        }
        for x in 200..300 {
            // As one comes out, another goes in.
            let (key, square) = calls.wait_any().expect("there are some");
            assert_eq!(square, Ok(key * key));
            assert!(left.remove(&key), "{key} comes out once");
            calls.put(x, work.begin().square(x).expect("it begins"));
        }
        assert_eq!(calls.len(), 200);
        for (key, square) in &mut calls {
            assert_eq!(square, Ok(key * key));
            assert!(left.remove(&key), "{key} comes out once");
        }
        assert!(left.is_empty() && calls.is_empty());
        nothing_is_left(&work);
    }
}

#[test]
fn what_ends_first_comes_first() {
    let served = workers(1);
    let work = pool(&served);
    let mut calls = Together::new();
    calls.put("held", work.begin().hold(1).expect("it begins"));
    calls.put("square", work.begin().square(2).expect("it begins"));
    assert_eq!(calls.wait_any(), Some(("square", Ok(4))));
    assert_eq!(calls.try_any(), None);
    let before = Instant::now();
    assert_eq!(calls.wait_any_timeout(SHORT), None);
    assert!(before.elapsed() >= SHORT);
    served[0].worker.open();
    assert_eq!(calls.wait_any_timeout(PATIENCE), Some(("held", Ok(1))));
    assert_eq!(calls.wait_any(), None);
}

#[test]
fn a_call_that_had_ended_before_it_was_put_in_comes_out() {
    let served = workers(1);
    let work = pool(&served);
    let ended = work.begin().square(3).expect("it begins");
    until("its answer is there", || {
        work.client().stats().calls.replied == 1
    });
    let mut given_out = work.begin().square(4).expect("it begins");
    assert_eq!(given_out.wait_timeout(PATIENCE), Some(Ok(16)));
    let mut calls = Together::new();
    calls.put(0, ended);
    calls.put(1, given_out);
    let mut ends: Vec<_> = calls.collect();
    ends.sort_by_key(|(key, _)| *key);
    assert_eq!(ends[0], (0, Ok(9)));
    let error = ends[1].1.as_ref().expect_err("it was given out");
    assert_eq!(error.code(), Code::FailedPrecondition);
}

#[test]
fn each_of_many_calls_ends_by_its_own_deadline() {
    let served = workers(1);
    let work = pool(&served);
    let mut calls = Together::new();
    // Far enough apart that a busy machine sees them one by one.
    let timeouts = [1500u64, 500, 1000];
    let began = Instant::now();
    for timeout in timeouts {
        let short = work.with(Call::new().timeout(Duration::from_millis(timeout)));
        calls.put(timeout, short.begin().hold(timeout).expect("it begins"));
    }
    calls.put(0, work.begin().square(5).expect("it begins"));
    assert_eq!(calls.wait_any(), Some((0, Ok(25))));
    for timeout in [500, 1000, 1500] {
        let (key, end) = calls.wait_any().expect("it ends");
        let error = end.expect_err("its deadline");
        assert_eq!((key, error.code()), (timeout, Code::DeadlineExceeded));
        assert_eq!(error.ran(), Ran::Maybe);
        assert!(began.elapsed() >= Duration::from_millis(timeout));
    }
    served[0].worker.has_cancelled(3);
    nothing_is_left(&work);
}

#[test]
fn what_is_dropped_together_is_cancelled() {
    let served = workers(1);
    let work = pool(&served);
    let mut calls = Together::new();
    for x in 0..3 {
        calls.put(x, work.begin().hold(x).expect("it begins"));
    }
    served[0].worker.has_begun(3);
    calls.clear();
    assert!(calls.is_empty() && calls.wait_any().is_none());
    served[0].worker.has_cancelled(3);
    calls.put(4, work.begin().hold(4).expect("it begins"));
    served[0].worker.has_begun(4);
    drop(calls);
    served[0].worker.has_cancelled(4);
    nothing_is_left(&work);
}

#[test]
fn calls_of_several_clients_and_engines_are_waited_for_together() {
    let served = workers(2);
    let engine = Engine::new().expect("an engine");
    let own = Client::builder()
        .engine(&engine)
        .connect(&*served[1].endpoint);
    let clients = [
        pool(&served[..1]),
        WorkClient::from(own.expect("an endpoint")),
    ];
    let mut calls = Together::new();
    for x in 0..100u64 {
        let work = &clients[x as usize % 2];
        calls.put(x, work.begin().square(x).expect("it begins"));
    }
    let mut seen = BTreeSet::new();
    while let Some((x, square)) = calls.wait_any_timeout(PATIENCE) {
        assert_eq!(square, Ok(x * x));
        seen.insert(x);
    }
    assert_eq!(seen.len(), 100);
}

#[test]
fn threads_that_wait_beside_each_other_each_get_their_own() {
    let served = workers(2);
    let work = pool(&served);
    std::thread::scope(|scope| {
        for thread in 0..3u64 {
            let work = &work;
            scope.spawn(move || {
                let mut calls = Together::new();
                for round in 0..300u64 {
                    let x = thread * 1_000 + round;
                    calls.put(x, work.begin().square(x).expect("it begins"));
                    if calls.len() > 7 {
                        let (key, square) = calls.wait_any().expect("there are some");
                        assert_eq!(square, Ok(key * key));
                    }
                }
                assert_eq!(calls.filter(|(key, end)| *end == Ok(key * key)).count(), 7);
            });
        }
        for x in 0..300 {
            assert_eq!(work.square(x), Ok(x * x));
        }
    });
    nothing_is_left(&work);
}
