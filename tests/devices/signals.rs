//! How a device program ends.

use std::time::Instant;

use brokerless::patterns::{Rep, Req, Router};
use rustix::process::Signal;

use crate::support::{ANY, Device, PATIENCE, numbers};

#[test]
fn a_signal_drains_and_says_what_moved_and_what_was_left() {
    for signal in [Signal::INT, Signal::TERM] {
        let arguments = ["--frontend", ANY, "--backend", ANY, "--linger", "30s"];
        let device = Device::start("bl-queue", &arguments);
        let worker = Rep::connect(device.endpoint("backend")).unwrap();
        let client = Req::connect(device.endpoint("frontend")).unwrap();
        client.send("question").unwrap();
        let request = worker.recv_timeout(PATIENCE).unwrap();
        device.signal(signal);
        // Nobody new comes in, but who has asked is answered.
        let front = device.endpoint("frontend").trim_start_matches("tcp://");
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(front).is_ok() {
            assert!(Instant::now() < deadline, "it still listens");
        }
        worker.send(request).unwrap();
        assert_eq!(client.recv_timeout(PATIENCE).unwrap()[0], "question");
        let (code, lines) = device.end();
        assert_eq!(code, 0);
        assert!(lines[0].starts_with("moved from_frontend=1 "), "{lines:?}");
        let left = "left unread=0 unsent=0 unanswered=0 ";
        assert!(lines[1].starts_with(left), "{lines:?}");
        assert!(numbers(&lines[1])["took_ms"] < 30_000);
    }
}

#[test]
fn an_end_takes_no_longer_than_the_linger_time() {
    let arguments = ["--frontend", ANY, "--backend", ANY, "--linger", "300ms"];
    let device = Device::start("bl-queue", &arguments);
    let worker = Router::connect(device.endpoint("backend")).unwrap();
    let client = Req::connect(device.endpoint("frontend")).unwrap();
    client.send("never answered").unwrap();
    worker.recv_timeout(PATIENCE).unwrap();
    let (moved, left) = device.terminate();
    assert_eq!(moved["from_frontend"], 1);
    assert_eq!(left["unanswered"], 1);
    assert!((300..10_000).contains(&left["took_ms"]), "{left:?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let arguments = ["--frontend", ANY, "--backend", ANY, "--linger", "1h"];
    let device = Device::start("bl-queue", &arguments);
    let worker = Router::connect(device.endpoint("backend")).unwrap();
    let client = Req::connect(device.endpoint("frontend")).unwrap();
    client.send("never answered").unwrap();
    worker.recv_timeout(PATIENCE).unwrap();
    device.signal(Signal::TERM);
    let front = device.endpoint("frontend").trim_start_matches("tcp://");
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(front).is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
    }
    device.signal(Signal::INT);
    let (code, lines) = device.end();
    assert_eq!((code, lines.len()), (130, 0), "{lines:?}");
}

#[test]
fn a_signal_ends_a_paused_device_and_one_that_nobody_uses() {
    let device = Device::start("bl-queue", &["--frontend", ANY, "--backend", ANY]);
    let (moved, _) = device.terminate();
    assert_eq!(moved["from_frontend"], 0);
    let arguments = ["--frontend", ANY, "--backend", ANY, "--control", "*"];
    let device = Device::start("bl-queue", &arguments);
    let control = Req::connect(device.endpoint("control")).unwrap();
    assert_eq!(crate::support::asks(&control, "PAUSE"), "OK");
    device.terminate();
}
