//! How a device ends.

use std::time::{Duration, Instant};

use super::{LIMIT, Running, fill, name, until};
use crate::device::{Device, Side, State};
use crate::{Dealer, Message, Options, Rep, Req, Router};

#[test]
fn an_end_waits_for_the_replies_to_what_was_asked() {
    for tcp in [false, true] {
        let place = |what| {
            if tcp {
                "tcp://127.0.0.1:*".into()
            } else {
                name(what)
            }
        };
        let builder = Device::queue()
            .frontend(&place("front"))
            .backend(&place("back"))
            .linger(LIMIT);
        let mut device = Running::new(builder);
        let worker = Rep::connect(&device.endpoint(Side::Backend)).unwrap();
        let client = Req::connect(&device.endpoint(Side::Frontend)).unwrap();
        client.send("long").unwrap();
        let request = worker.recv_timeout(LIMIT).unwrap();
        device.handle.terminate();
        until("the drain", || device.handle.state() == State::Draining);
        worker.send(request).unwrap();
        assert_eq!(client.recv_timeout(LIMIT).unwrap(), Message::from("long"));
        let report = device.thread.take().unwrap().join().unwrap();
        assert!(report.left.is_empty(), "{report:?}");
        assert!(report.took < LIMIT / 2, "{report:?}");
    }
}

#[test]
fn an_end_passes_on_what_has_come() {
    let builder = Device::queue()
        .frontend(&name("front"))
        .backend(&name("back"))
        .linger(LIMIT);
    let mut device = Running::new(builder);
    let worker = Router::connect(&device.endpoint(Side::Backend)).unwrap();
    let client = Dealer::connect(&device.endpoint(Side::Frontend)).unwrap();
    assert!(device.handle.pause());
    for n in 0..1000 {
        client.send(n.to_string()).unwrap();
    }
    device.handle.terminate();
    for n in 0..1000 {
        let (peer, request) = worker.recv_timeout(LIMIT).unwrap();
        assert_eq!(request[1], n.to_string().as_bytes());
        worker.send(&peer, request).unwrap();
    }
    for n in 0..1000 {
        assert_eq!(
            client.recv_timeout(LIMIT).unwrap()[0],
            n.to_string().as_bytes()
        );
    }
    let report = device.thread.take().unwrap().join().unwrap();
    assert!(report.left.is_empty(), "{report:?}");
}

#[test]
fn an_end_waits_no_longer_than_it_may() {
    let linger = Duration::from_millis(300);
    let builder = Device::queue()
        .frontend("tcp://127.0.0.1:*")
        .backend("tcp://127.0.0.1:*")
        .options(Options::new().send_messages_max(10).recv_messages_max(10))
        .linger(linger);
    let device = Running::new(builder);
    let deaf = Options::new().recv_messages_max(1);
    let worker = Router::with(deaf).unwrap();
    worker.connect_to(&device.endpoint(Side::Backend)).unwrap();
    let client = Dealer::connect(&device.endpoint(Side::Frontend)).unwrap();
    fill(|message, timeout| client.send_timeout(message, timeout).is_ok());
    let begin = Instant::now();
    let report = device.end();
    let took = begin.elapsed();
    assert!(took >= linger && took < LIMIT / 2, "{took:?}");
    assert!(report.left.unread >= 1, "{report:?}");
    assert!(report.left.unsent >= 1, "{report:?}");
    assert!(report.left.unanswered >= 10, "{report:?}");
}

#[test]
fn an_end_without_linger_is_at_once() {
    let builder = Device::queue()
        .frontend(&name("front"))
        .backend(&name("back"))
        .linger(Duration::ZERO);
    let device = Running::new(builder);
    let client = Req::connect(&device.endpoint(Side::Frontend)).unwrap();
    client.send("nobody answers").unwrap();
    until("one held", || {
        device.handle.statistics().from_frontend.held == 1
    });
    let report = device.end();
    assert_eq!(report.left.unread, 1);
    assert!(report.took < LIMIT / 2);
}
