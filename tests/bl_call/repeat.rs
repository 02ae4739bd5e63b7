//! Many calls, summed up.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{ADD, PATIENCE, REACHES, command, end, reaches, run, serve, terminal, until};

#[test]
fn many_calls_are_made_and_summed_up() {
    let (server, at) = serve();
    let line = [
        &*at,
        "calc.v1.add",
        "2",
        "3",
        "--repeat",
        "2000",
        "--parallel",
        "8",
    ];
    let sum = run(&line).fine();
    assert!(sum.starts_with("calls     2000 in "), "{sum}");
    for part in [
        "a second, 8 at a time\n",
        "answered  2000\n",
        "errors    0\n",
        "p50 ",
        "p90 ",
        "p99 ",
        "p99.9 ",
        "max ",
    ] {
        assert!(sum.contains(part), "{part:?} is not in: {sum}");
    }
    let stats = server.stats();
    let add = stats.methods.iter().find(|of| of.path == "calc.v1.add");
    assert_eq!(add.map(|of| of.calls), Some(2000));
    until("its client has gone", || server.stats().callers == 0);
}

#[test]
fn so_many_at_once_are_in_flight_at_once() {
    let (_server, at) = serve();
    // One after the other these would take 3.2 s.
    let line = [
        &*at,
        "calc.v1.wait",
        "100",
        "-n",
        "32",
        "-p",
        "32",
        "--json",
    ];
    let sum: Value = serde_json::from_str(&run(&line).fine()).unwrap();
    assert_eq!((&sum["calls"], &sum["answered"]), (&32.into(), &32.into()));
    assert_eq!(sum["parallel"], 32);
    assert!(sum["latency_us"]["p50"].as_f64() >= Some(1e5), "{sum}");
    for key in ["p90", "p99", "p99.9", "max"] {
        assert!(sum["latency_us"][key].is_number(), "{sum}");
    }
    assert!(sum["calls_per_second"].is_number() && sum["seconds"].is_number());
}

#[test]
fn errors_are_counted_by_code_and_the_first_is_told() {
    let (_server, at) = serve();
    let left = run(&[&at, "calc.v1.tenant", "--repeat", "10"]);
    assert_eq!(left.code, 1);
    assert!(
        left.out
            .contains("answered  0\nerrors    10\n  UNAUTHENTICATED      10\n"),
        "{}",
        left.out
    );
    assert!(!left.out.contains("latency"), "{}", left.out);
    assert!(
        left.err
            .starts_with("the first error: UNAUTHENTICATED: whose is it?"),
        "{}",
        left.err
    );
    let left = run(&[&at, "calc.v1.divide", "1", "0", "--parallel", "2"]);
    assert_eq!(left.code, 1);
    assert!(
        left.out.contains("  METHOD               2\n"),
        "{}",
        left.out
    );
    let left = reaches(&[&at, "calc.v1.wait", "20000", "-p", "2", "-t", REACHES], 4);
    assert!(
        left.out.contains("  DEADLINE_EXCEEDED    2\n"),
        "{}",
        left.out
    );
    run(&[&at, "calc.v1.add", "2", "--repeat", "10"]).failed(2, &["is missing", ADD]);
    let left = run(&[
        "tcp://127.0.0.1:1",
        "calc.v1.add",
        "2",
        "3",
        "--repeat",
        "10",
    ]);
    left.failed(3, &["tried tcp://127.0.0.1:1"]);
}

#[test]
fn calls_that_are_not_answered_are_repeated_too() {
    let (server, at) = serve();
    let sum = run(&[&at, "calc.v1.log", "x", "--repeat", "50"]).fine();
    assert!(sum.contains("answered  50\n"), "{sum}");
    until("the lines", || {
        let stats = server.stats();
        let mut methods = stats.methods.iter();
        methods.any(|of| of.path == "calc.v1.log" && of.calls == 50)
    });
}

#[test]
fn at_a_terminal_a_bar_shows_how_far_it_is() {
    let (server, at) = serve();
    let line = [&*at, "calc.v1.wait", "5", "-n", "100000", "-p", "4"];
    let (end_of_it, mut screen) = terminal();
    let mut child = command(&line);
    let child = child.env("TERM", "xterm").stderr(end_of_it).spawn();
    let child = child.unwrap();
    // How many are done, and that they become more.
    let done = |line: &str| {
        let (before, after) = line.split_once(" of 100000, ")?;
        let is_whole = before.contains(" % ") && after.contains("/s, ") && after.contains(" left");
        let done: u64 = before.rsplit(' ').next()?.parse().ok()?;
        is_whole.then_some(done)
    };
    let first = screen.until(PATIENCE, "bar", |line| done(line).filter(|done| *done > 0));
    screen.until(PATIENCE, "progress", |line| {
        done(line).filter(|done| *done > first)
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let left = end(child);
    assert_eq!(left.code, 130, "{}", left.out);
    // The bar is no part of what programs read.
    assert!(left.out.starts_with("calls     "), "{}", left.out);
    server.stop_within(std::time::Duration::ZERO);
}

#[test]
fn an_interruption_ends_it_and_sums_it_up() {
    let (server, at) = serve();
    let line = [&*at, "calc.v1.add", "2", "3", "--repeat", "1000000000"];
    let child = command(&line).spawn().unwrap();
    until("calls", || server.stats().calls > 100);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let left = end(child);
    assert_eq!(left.code, 130, "{}", left.err);
    assert!(left.out.contains(" of 1000000000 in "), "{}", left.out);
    let cancelled = left.out.contains("  CANCELLED ");
    assert!(
        cancelled || left.out.contains("errors    0\n"),
        "{}",
        left.out
    );
    // Calls that are long are not waited for.
    let mut child = command(&[
        &at,
        "calc.v1.wait",
        "50000",
        "-n",
        "9",
        "-p",
        "3",
        "-t",
        "1m",
    ]);
    let child = child.spawn().unwrap();
    until("the calls", || {
        let stats = server.stats();
        let mut methods = stats.methods.iter();
        methods.any(|of| of.path == "calc.v1.wait" && of.calls == 3)
    });
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let left = end(child);
    assert_eq!(left.code, 130, "{}", left.err);
    assert!(
        left.out.contains("  CANCELLED            3\n"),
        "{}",
        left.out
    );
    server.stop_within(std::time::Duration::ZERO);
}
