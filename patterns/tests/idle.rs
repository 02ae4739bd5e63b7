//! An idle process sleeps: no wake-up a second, with one peer that has been busy or 1,000 idle ones,
//! and heartbeats off.
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use brokerless_patterns::{Dealer, Engine, Options, Router};
use parking_lot::Mutex;

const PEERS: usize = 1_000;
const LIMIT: Duration = Duration::from_secs(60);

/// How often each thread of this process has gone to sleep, by the kernel's count.
fn sleeps() -> HashMap<String, u64> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let status = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")));
    status
        .filter_map(Result::ok)
        .map(|status| {
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_default().trim().to_string()
            };
            let thread = format!("{} {}", field("Name:"), field("Pid:"));
            (
                thread,
                field("voluntary_ctxt_switches:").parse().unwrap_or(0),
            )
        })
        .collect()
}

fn own_pid() -> String {
    let path = std::fs::read_link("/proc/thread-self").unwrap();
    path.file_name().unwrap().to_str().unwrap().to_string()
}

/// Waits for a second, without being woken by anything of ours, and gives the threads other than
/// this one that went to sleep meanwhile: each had been woken for it.
fn woken_within_a_second() -> Vec<(String, u64)> {
    let before = sleeps();
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        std::thread::park_timeout(end - Instant::now());
    }
    let own = own_pid();
    let after = sleeps().into_iter();
    after
        .map(|(thread, count)| {
            let since = count - before.get(&thread).copied().unwrap_or(0);
            (thread, since)
        })
        .filter(|(thread, since)| *since > 0 && !thread.ends_with(&format!(" {own}")))
        .collect()
}

/// The test's main thread waits for this one with timeouts of its own; leave it out.
fn ours(woken: Vec<(String, u64)>) -> Vec<(String, u64)> {
    let main = std::process::id().to_string();
    woken
        .into_iter()
        .filter(|(thread, _)| !thread.ends_with(&format!(" {main}")))
        .collect()
}

/// Waits until nothing of ours moves for a second.
fn settle() {
    let deadline = Instant::now() + LIMIT;
    let mut woken = ours(woken_within_a_second());
    while !woken.is_empty() {
        assert!(Instant::now() < deadline, "still woken: {woken:?}");
        woken = ours(woken_within_a_second());
    }
}

/// Closes the socket when it goes, however the test ends: who waits for it would wait for ever.
struct Closing<'a>(&'a Router);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let _ = self.0.close();
    }
}

fn options() -> Options {
    Options::new()
        .heartbeat_interval(None)
        .engine(&Engine::new().unwrap())
}

/// The tests count what all threads of the process do: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_connection_that_was_busy_costs_no_wakeups_once_it_is_idle() {
    let _alone = ALONE.lock();
    let router = Router::with(options()).unwrap();
    let endpoint = router.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let dealer = Dealer::with(options()).unwrap();
    dealer.connect_to(&endpoint).unwrap();
    std::thread::scope(|scope| {
        let _closing = Closing(&router);
        scope.spawn(|| {
            while let Ok((peer, message)) = router.recv() {
                router.send(&peer, message).unwrap();
            }
        });
        for _ in 0..2_000 {
            dealer.send("busy").unwrap();
            dealer.recv_timeout(LIMIT).unwrap();
        }
        settle();
        dealer.send("there?").unwrap();
        dealer.recv_timeout(LIMIT).unwrap();
    });
}

#[test]
fn a_thousand_idle_peers_cost_no_wakeups() {
    let _alone = ALONE.lock();
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();

    let router = Router::with(options()).unwrap();
    let endpoint = router.bind_to("tcp://127.0.0.1:*").unwrap().to_string();
    let dealer = Dealer::with(options()).unwrap();
    for _ in 0..PEERS {
        dealer.connect_to(&endpoint).unwrap();
    }
    for _ in 0..PEERS {
        dealer.send_timeout("hello", LIMIT).unwrap();
    }
    for _ in 0..PEERS {
        router.recv_timeout(LIMIT).unwrap();
    }
    assert_eq!(router.peers().len(), PEERS);

    // One engine is led by a thread that receives, the other one by its steward.
    std::thread::scope(|scope| {
        let _closing = Closing(&router);
        let waiting = scope.spawn(|| router.recv().map(|_| ()));
        // What is settling takes a moment; then nothing moves any more.
        settle();
        // And it answers as before.
        dealer.send("ends the wait").unwrap();
        assert!(waiting.join().unwrap().is_ok());
    });
}
