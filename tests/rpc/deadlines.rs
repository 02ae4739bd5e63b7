//! How long calls may take: by default, by the method, by the call, and by who calls.

use std::time::{Duration, Instant};

use brokerless::client::Call;
use brokerless::deadline::Scope;
use brokerless::{Code, Ran};

use crate::support::{PATIENCE, Served, inproc};

const SECOND: u64 = 1_000_000;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn the_earliest_deadline_holds() {
    let served = Served::new();
    let desk = served.client_of(|builder| builder);
    let left = desk.left().expect("microseconds");
    assert!((SECOND..=10 * SECOND).contains(&left), "{left}");
    let minute = Call::new().timeout(ms(60_000));
    let left = desk.with(minute.clone()).left().expect("microseconds");
    assert!((30 * SECOND..=60 * SECOND).contains(&left), "{left}");
    let earlier = minute.deadline(Instant::now() + ms(20_000));
    let left = desk.with(earlier).left().expect("microseconds");
    assert!((SECOND..=20 * SECOND).contains(&left), "{left}");
    let patient = served.client_of(|builder| builder.timeout(ms(50_000)));
    let left = patient.left().expect("microseconds");
    assert!((21 * SECOND..=50 * SECOND).contains(&left), "{left}");
    let _scope = Scope::enter(Instant::now() + ms(15_000));
    let left = patient.left().expect("microseconds");
    assert!((SECOND / 100..=15 * SECOND).contains(&left), "{left}");
}

#[test]
fn a_methods_own_timeout_holds_unless_the_call_has_one() {
    let served = Served::new();
    let desk = served.client();
    assert_eq!(desk.empty(), Ok(()));
    let before = Instant::now();
    let error = desk.hold_short().expect_err("a second");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::Maybe)
    );
    assert!(
        error.to_string().contains("no answer from tcp://"),
        "{error}"
    );
    let took = before.elapsed();
    assert!(
        (ms(1_000)..PATIENCE / 2).contains(&took),
        "not by the default: {took:?}"
    );
    let long = desk.with(Call::new().timeout(PATIENCE));
    let mut held = long.begin().hold_short().expect("it begins");
    assert!(held.wait_timeout(ms(1_500)).is_none());
}

#[test]
fn a_handlers_own_calls_end_by_its_deadline() {
    let (first, second) = (Served::new(), Served::new());
    *first.desk.there.lock() = Some(second.client());
    let desk = first.client().with(Call::new().timeout(ms(40_000)));
    let left = desk.left_there(60_000).expect("microseconds");
    assert!((11 * SECOND..=40 * SECOND).contains(&left), "{left}");
    let left = desk.left_there(10_000).expect("microseconds");
    assert!((SECOND / 100..=10 * SECOND).contains(&left), "{left}");
}

#[test]
fn a_nested_call_that_is_held_ends_with_the_outer_one() {
    let (first, second) = (Served::new(), Served::new());
    *first.desk.there.lock() = Some(second.client());
    let (teller, told) = crossbeam_channel::unbounded();
    *first.desk.told.lock() = Some(teller);
    let outer = first.client();
    assert_eq!(outer.empty(), Ok(()));
    let error = outer.with(Call::new().timeout(ms(3_000))).hold_there();
    assert_eq!(error.expect_err("held").code(), Code::DeadlineExceeded);
    let inner = told.recv_timeout(PATIENCE).expect("it ends, too");
    assert_eq!(inner.code(), Code::DeadlineExceeded);
    second.desk.has_cancelled(1);
}

#[test]
fn a_deadline_that_has_passed_sends_nothing() {
    let served = Served::new();
    let desk = served.client();
    assert_eq!(desk.empty(), Ok(()));
    let past = desk.with(Call::new().deadline(Instant::now()));
    let error = past.add(2, 3).expect_err("it has passed");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::No)
    );
    assert_eq!(served.server.stats().calls, 1);
}

#[test]
fn a_call_that_waits_for_a_node_ends_by_its_deadline_as_no() {
    let nowhere = inproc();
    let client = brokerless::client::Client::builder()
        .wait_for_ready(true)
        .timeout(ms(50))
        .connect(&nowhere)
        .expect("an endpoint");
    let desk = crate::desk::DeskClient::from(client);
    let error = desk.add(2, 3).expect_err("nobody is there");
    assert_eq!(
        (error.code(), error.ran()),
        (Code::DeadlineExceeded, Ran::No)
    );
    assert!(error.to_string().contains(&nowhere), "{error}");
}
