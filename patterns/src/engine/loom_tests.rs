//! The interleavings of the hand-over and the write combiner, explored by loom.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p brokerless-patterns --lib --release loom_tests
//! ```
//!
//! Each model runs once for every order in which its threads can take turns, with at most so many
//! turns taken away from a thread that could go on: as many as leave all of them together within
//! a minute. What is lost shows as a thread that waits for ever: loom calls that a deadlock. A
//! thread that spins instead of parking exceeds loom's branches.
//!
//! In the models a deadline comes at once.

mod combiner;
mod doubles;
mod hand_over;

use loom::model::Builder;
use loom::thread::JoinHandle;

use super::sync::{Arc, Fences, place};

/// Runs the model in every order of turns, each time with loom's fences at other places.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.max_branches = 5_000;
    builder.preemption_bound = Some(preemptions);
    let model = Arc::new(model);
    for fences in [Fences::AfterWrites, Fences::BeforeReads] {
        place(fences);
        let model = model.clone();
        builder.check(move || model());
    }
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) {
    for thread in threads {
        thread.join().expect("the thread ends");
    }
}
