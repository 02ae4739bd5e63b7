//! Calls in flight, in their caller's hands.

use std::time::{Duration, Instant};

use brokerless::client::Call;
use brokerless::{Code, Ran};
use crossbeam_channel::select;

use crate::support::{PATIENCE, Served, until};

/// Time enough for a handler to begin, on a busy machine, too.
const SHORT: Duration = Duration::from_secs(1);

#[test]
fn a_call_in_flight_can_be_looked_at_and_waited_for() {
    let served = Served::new();
    let desk = served.client();
    let mut held = desk.begin().hold().expect("it begins");
    served.desk.has_begun(1);
    assert!(held.try_wait().is_none());
    let before = Instant::now();
    assert!(held.wait_timeout(SHORT).is_none());
    assert!(before.elapsed() >= SHORT);
    served.desk.open();
    assert_eq!(held.wait_timeout(PATIENCE), Some(Ok(false)));
    assert_eq!(held.wait_timeout(PATIENCE), None, "its end is given once");
    assert_eq!(held.try_wait(), None);
    // To wait for what has been given out is an error, and takes no time.
    let error = held.wait().expect_err("it has been given out");
    assert_eq!(error.code(), Code::FailedPrecondition);
}

#[test]
fn an_end_that_goes_over_a_channel_is_not_waited_for_otherwise() {
    let served = Served::new();
    let desk = served.client().with(Call::new().timeout(SHORT));
    let held = desk.begin().hold().expect("it begins");
    let receiver = held.receiver();
    let error = held.wait().expect_err("its end goes over the channel");
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    drop(receiver);
}

#[test]
fn dropping_a_call_cancels_it() {
    let served = Served::new();
    let desk = served.client();
    let held = desk.begin().hold().expect("it begins");
    served.desk.has_begun(1);
    drop(held);
    served.desk.has_cancelled(1);
    // Its receiver does not keep it.
    let held = desk.begin().hold().expect("it begins");
    let receiver = held.receiver();
    served.desk.has_begun(2);
    drop(held);
    served.desk.has_cancelled(2);
    assert!(receiver.recv_timeout(PATIENCE).is_err(), "nothing comes");
}

#[test]
fn calls_are_selected_among() {
    let served = Served::new();
    let desk = served.client();
    let held = desk.begin().hold().expect("it begins");
    let sum = desk.begin().add(2, 3).expect("it begins");
    let (late, soon) = (held.receiver(), sum.receiver());
    let answer = select! {
        recv(late) -> _ => panic!("it is held"),
        recv(soon) -> answer => sum.finish(answer.expect("one end")),
    };
    assert_eq!(answer, Ok(5));
    served.desk.open();
    let answer = late.recv_timeout(PATIENCE).expect("one end");
    assert_eq!(held.finish(answer), Ok(false));
    assert!(soon.recv_timeout(PATIENCE).is_err(), "it gives one end");
}

#[test]
fn a_receiver_asked_for_when_the_answer_is_there_gives_it() {
    let served = Served::new();
    let desk = served.client();
    let sum = desk.begin().add(2, 3).expect("it begins");
    until("the answer is there", || {
        desk.client().stats().calls.replied == 1
    });
    let answer = sum.receiver().recv_timeout(PATIENCE).expect("one end");
    assert_eq!(sum.finish(answer), Ok(5));
}

#[test]
fn of_two_receivers_the_second_gives_the_end() {
    let served = Served::new();
    let desk = served.client();
    let held = desk.begin().hold().expect("it begins");
    let (first, second) = (held.receiver(), held.receiver());
    assert!(first.recv_timeout(PATIENCE).is_err(), "it is cut off");
    served.desk.open();
    let answer = second.recv_timeout(PATIENCE).expect("one end");
    assert_eq!(held.finish(answer), Ok(false));
}

#[test]
fn a_receiver_gives_the_error_at_the_deadline() {
    let served = Served::new();
    let desk = served.client();
    assert_eq!(desk.empty(), Ok(()));
    let short = desk.with(Call::new().timeout(SHORT));
    let held = short.begin().hold().expect("it begins");
    let answer = held.receiver().recv_timeout(PATIENCE).expect("one end");
    let error = held.finish(answer).expect_err("the deadline");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::Maybe)
    );
    served.desk.has_cancelled(1);
}

#[test]
fn a_call_in_flight_outlives_the_client_it_was_made_by() {
    let served = Served::new();
    let desk = served.client();
    let held = desk.begin().hold().expect("it begins");
    drop(desk);
    served.desk.has_begun(1);
    served.desk.open();
    assert_eq!(held.wait(), Ok(false));
    until("the client has gone", || served.server.stats().callers == 0);
}
