//! The end by a signal.

use brokerless::server::until_signal;
use rustix::process::{Signal, getpid, kill_process};

use super::support::serve;

#[test]
fn a_signal_drains_every_server_that_waits_for_one() {
    let (first, _desk) = serve(|builder| builder);
    let (second, _desk) = serve(|builder| builder);
    let (third, _desk) = serve(|builder| builder);
    until_signal(&[first.stopper(), second.stopper()]).expect("a handler");
    kill_process(getpid(), Signal::TERM).expect("a signal");
    assert!(first.wait().is_clean());
    assert!(second.wait().is_clean());
    assert!(
        !third.local_endpoints().is_empty(),
        "it was not to be stopped"
    );
    // Once more, for those that come later.
    let waiting = std::thread::spawn(move || third.run_until_signal());
    let deadline = std::time::Instant::now() + super::support::PATIENCE;
    while !waiting.is_finished() && std::time::Instant::now() < deadline {
        kill_process(getpid(), Signal::TERM).expect("a signal");
        std::thread::yield_now();
    }
    let report = waiting.join().expect("the thread").expect("a report");
    assert!(report.is_clean());
}
