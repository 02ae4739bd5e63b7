//! A long job that tells how far it is: a stream of steps, the last of which is the result.
//!
//! The job goes on while somebody takes its steps. Who drops the stream cancels the job, and who
//! takes nothing for a while stops it for as long: it is an iterator, which is asked for the next
//! step when there is room for it.
//!
//! ```text
//! cargo run --example progress
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless::Server;
use brokerless::service::Items;
use serde::{Deserialize, Serialize};

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// So many numbers have been looked at.
    At(u64),
    /// The result: so many of them are prime.
    Done(u64),
}

/// Long jobs.
#[brokerless::service(name = "jobs.v1")]
pub trait Jobs {
    /// Counts the primes below a number, and tells after each so many.
    fn primes(&self, below: u64, every: u64) -> Items<'_, Step>;
}

/// What is seen of the jobs from outside.
#[derive(Default)]
struct Seen {
    looked_at: AtomicU64,
    given_up: AtomicBool,
}

struct Mathematician(Arc<Seen>);

struct Job<'m> {
    seen: &'m Seen,
    next: u64,
    below: u64,
    every: u64,
    primes: u64,
    over: bool,
}

impl Iterator for Job<'_> {
    type Item = Step;

    /// One step: a moment's work, so that many jobs share a few threads.
    fn next(&mut self) -> Option<Step> {
        if self.next == self.below {
            let done = Step::Done(self.primes);
            return (!std::mem::replace(&mut self.over, true)).then_some(done);
        }
        let to = self.below.min(self.next + self.every);
        let prime = |n: &u64| {
            *n > 1
                && (2..)
                    .take_while(|d| d * d <= *n)
                    .all(|d| !n.is_multiple_of(d))
        };
        self.primes += (self.next..to).filter(prime).count() as u64;
        self.seen
            .looked_at
            .fetch_add(to - self.next, Ordering::Relaxed);
        self.next = to;
        Some(Step::At(to))
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        self.seen.given_up.fetch_or(!self.over, Ordering::Relaxed);
    }
}

impl Jobs for Mathematician {
    fn primes(&self, below: u64, every: u64) -> Items<'_, Step> {
        Items::new(Job {
            seen: &self.0,
            next: 0,
            below,
            every: every.max(1),
            primes: 0,
            over: false,
        })
    }
}

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Box<dyn Error>> {
    let seen = Arc::new(Seen::default());
    let server = Server::builder()
        .service(JobsServer::new(Mathematician(seen.clone())))
        .bind("tcp://127.0.0.1:*")?;
    let jobs = JobsClient::connect(server.local_endpoints()[0].to_string())?;

    let mut last = None;
    for step in jobs.primes(10_000, 2_500)? {
        let step = step?;
        println!("{step:?}");
        last = Some(step);
    }
    assert_eq!(last, Some(Step::Done(1229)));

    // One that nobody wants any more. It would have gone on for years.
    let mut endless = jobs.primes(u64::MAX, 1_000)?;
    assert_eq!(endless.next(), Some(Ok(Step::At(1_000))));
    drop(endless);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !seen.given_up.load(Ordering::Relaxed) {
        if Instant::now() > deadline {
            return Err("the job goes on".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    println!(
        "given up after {} numbers",
        seen.looked_at.load(Ordering::Relaxed)
    );
    Ok(())
}
