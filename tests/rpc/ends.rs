//! How calls end for those who see every one of them, and clients with the threads that hold them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use brokerless::RpcError;
use brokerless::Status;
use brokerless::client::{Call, Client, Interceptor, Outgoing};

use crate::desk::DeskClient;
use crate::support::{PATIENCE, Served, inproc, until};

#[derive(Default)]
struct Seen {
    before: AtomicU64,
    answers: AtomicU64,
    errors: AtomicU64,
}

impl Seen {
    fn told(&self) -> (u64, u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (read(&self.before), read(&self.answers), read(&self.errors))
    }
}

struct Counts(Arc<Seen>);

impl Interceptor for Counts {
    fn before(&self, _: &mut Outgoing<'_>) -> Result<(), Status> {
        self.0.before.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn after(&self, _: &str, error: Option<&RpcError>) {
        let count = match error {
            None => &self.0.answers,
            Some(_) => &self.0.errors,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn each_call_is_told_of_once_however_it_ends() {
    let served = Served::new();
    let seen = Arc::new(Seen::default());
    let desk = served.client_of(|builder| builder.interceptor(Counts(seen.clone())));
    let told = |what: &str, (before, answers, errors)| {
        assert_eq!(seen.told(), (before, answers, errors), "{what}");
    };

    assert_eq!(desk.add(2, 3), Ok(5));
    told("waited for", (1, 1, 0));

    let mut sum = desk.begin().add(2, 3).expect("it begins");
    assert_eq!(sum.wait_timeout(PATIENCE), Some(Ok(5)));
    drop(sum);
    told("looked for", (2, 2, 0));

    let sum = desk.begin().add(2, 3).expect("it begins");
    let answer = sum.receiver().recv_timeout(PATIENCE).expect("one end");
    assert_eq!(sum.finish(answer), Ok(5));
    told("over a channel", (3, 3, 0));

    let sum = desk.begin().add(2, 3).expect("it begins");
    drop(sum.receiver().recv_timeout(PATIENCE).expect("one end"));
    drop(sum);
    told("over a channel, and not finished", (4, 4, 0));

    desk.note("one way").expect("it is sent");
    told("one way", (5, 5, 0));

    let hold = desk.begin().hold().expect("it begins");
    served.desk.has_begun(1);
    drop(hold);
    told("given up", (6, 5, 1));

    let short = desk.with(Call::new().timeout(Duration::from_millis(20)));
    assert!(short.hold().is_err());
    told("late", (7, 5, 2));

    // Dropped as its answer comes: whichever is first.
    for _ in 0..500 {
        drop(desk.begin().add(2, 3).expect("it begins"));
    }
    let (before, answers, errors) = seen.told();
    assert_eq!((before, answers + errors), (507, 507));
}

/// What is gone through as a thread ends.
fn ends_with_its_thread(endpoint: &str) {
    thread_local! {
        static KEPT: RefCell<Option<DeskClient>> = const { RefCell::new(None) };
    }
    let client = Client::connect(endpoint).expect("an endpoint");
    let desk = DeskClient::from(client);
    let thread = std::thread::spawn(move || {
        // First, so that it goes after everything that calls keep for a thread.
        KEPT.set(Some(desk.clone()));
        assert_eq!(desk.add(2, 3), Ok(5));
        drop(desk);
    });
    // A panic in there would abort the process.
    assert!(thread.join().is_ok());
}

#[test]
fn a_client_can_be_kept_by_a_thread_until_it_ends() {
    for endpoint in ["tcp://127.0.0.1:*".to_owned(), inproc()] {
        let served = Served::at(&endpoint, |builder| builder);
        ends_with_its_thread(&served.endpoint);
        until("the client has gone", || served.server.stats().callers == 0);
    }
}

#[test]
fn a_node_within_the_process_that_turned_a_client_away_is_tried_again() {
    let name = inproc();
    // Of another type: it takes no callers.
    let other = brokerless::patterns::Pull::bind(&name).expect("a free name");
    let desk = DeskClient::connect(&name).expect("an endpoint");
    let desk = desk.with(Call::new().wait_for_ready(true).timeout(PATIENCE));
    let sum = desk.begin().add(2, 3).expect("it waits");
    drop(other);
    let served = Served::at(&name, |builder| builder);
    assert_eq!(sum.wait(), Ok(5));
    drop(served);
}
