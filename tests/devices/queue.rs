//! What passes through `bl-queue`.

use std::thread;

use brokerless::patterns::{Dealer, Message, Rep, Req, Router};

use crate::support::{ANY, Device, PATIENCE, until};

#[test]
fn many_clients_and_workers_meet_through_a_queue() {
    let both = format!("{ANY},@ipc://*");
    let device = Device::start("bl-queue", &["--frontend", &both, "--backend", ANY]);
    let fronts = device.all("frontend");
    assert!(fronts[0].starts_with("tcp://127.0.0.1:") && fronts[1].starts_with("ipc://"));
    let back = device.endpoint("backend").to_owned();
    for _ in 0..3 {
        let worker = Rep::connect(&back).unwrap();
        thread::spawn(move || {
            while let Ok(mut request) = worker.recv() {
                request.push("done");
                if worker.send(request).is_err() {
                    break;
                }
            }
        });
    }
    thread::scope(|scope| {
        for n in 0..8 {
            let front = fronts[n % 2];
            scope.spawn(move || {
                let client = Req::connect(front).unwrap();
                for m in 0..50 {
                    let text = format!("{n} {m}");
                    client.send([text.clone(), String::new()]).unwrap();
                    let answer = client.recv_timeout(PATIENCE).unwrap();
                    assert_eq!(answer, Message::from([&*text, "", "done"]));
                }
            });
        }
    });
    let (moved, left) = device.terminate();
    assert_eq!((moved["from_frontend"], moved["from_backend"]), (400, 400));
    assert_eq!(moved["dropped"], 0);
    assert_eq!(
        (left["unread"], left["unsent"], left["unanswered"]),
        (0, 0, 0)
    );
}

#[test]
fn a_queue_connects_where_it_is_told_to() {
    let worker = Rep::bind(ANY).unwrap();
    let back = format!(">{}", worker.local_endpoints()[0]);
    let device = Device::start("bl-queue", &["--frontend", "*", "--backend", &back]);
    let client = Req::connect(device.endpoint("frontend")).unwrap();
    client.send("where?").unwrap();
    assert_eq!(worker.recv_timeout(PATIENCE).unwrap()[0], "where?");
    worker.send("here").unwrap();
    assert_eq!(client.recv_timeout(PATIENCE).unwrap()[0], "here");
}

#[test]
fn what_is_dropped_is_counted_by_reason() {
    let device = Device::start("bl-queue", &["--frontend", ANY, "--backend", ANY]);
    let worker = Router::connect(device.endpoint("backend")).unwrap();
    let client = Dealer::connect(device.endpoint("frontend")).unwrap();
    client.send("once").unwrap();
    let (peer, request) = worker.recv_timeout(PATIENCE).unwrap();
    worker.send(&peer, ["not a token", "x"]).unwrap();
    worker.send(&peer, request.clone()).unwrap();
    assert_eq!(client.recv_timeout(PATIENCE).unwrap()[0], "once");
    drop(client);
    // Known to have gone once an answer for it is lost.
    let next = Dealer::connect(device.endpoint("frontend")).unwrap();
    for n in 0..20 {
        next.send(n.to_string()).unwrap();
        let (peer, own) = worker.recv_timeout(PATIENCE).unwrap();
        worker.send(&peer, request.clone()).unwrap();
        until("room", || worker.send(&peer, own.clone()).is_ok());
        next.recv_timeout(PATIENCE).unwrap();
    }
    let (moved, _) = device.terminate();
    assert_eq!(moved["dropped.unknown-token"], 1);
    assert!(moved["dropped.peer-gone"] >= 1, "{moved:?}");
}
