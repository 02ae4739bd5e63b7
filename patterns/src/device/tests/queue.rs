//! What a queue does with requests and replies.

use super::{LIMIT, Running, fill, name, until};
use crate::device::{Builder, Device, Side};
use crate::{Dealer, Message, Options, Rep, Req, Router};

fn tcp() -> Builder {
    Device::queue()
        .frontend("tcp://127.0.0.1:*")
        .backend("tcp://127.0.0.1:*")
}

fn options(messages: usize) -> Options {
    Options::new()
        .send_messages_max(messages)
        .recv_messages_max(messages)
}

#[test]
fn requests_are_answered_by_workers_in_turn() {
    for (front, back) in [
        (name("front"), name("back")),
        ("tcp://127.0.0.1:*".into(), "tcp://127.0.0.1:*".into()),
    ] {
        let device = Running::new(Device::queue().frontend(&front).backend(&back));
        // One after the other: who comes first has the first request.
        let workers = [1, 2].map(|count| {
            let worker = Rep::connect(&device.endpoint(Side::Backend)).unwrap();
            until("it", || device.handle.statistics().backend.peers == count);
            worker
        });
        let client = Req::connect(&device.endpoint(Side::Frontend)).unwrap();
        for n in 0..10 {
            client
                .send([format!("question {n}"), String::new()])
                .unwrap();
            let question = workers[n % 2].recv_timeout(LIMIT).unwrap();
            assert_eq!(
                question,
                Message::from([format!("question {n}"), String::new()])
            );
            workers[n % 2].send(format!("answer {n}")).unwrap();
            let answer = client.recv_timeout(LIMIT).unwrap();
            assert_eq!(answer, Message::from(format!("answer {n}")));
        }
        let report = device.end();
        assert!(report.left.is_empty(), "{report:?}");
        assert_eq!(report.statistics.from_frontend.messages, 10);
        assert_eq!(report.statistics.from_backend.messages, 10);
    }
}

#[test]
fn any_frames_and_bytes_pass_unchanged() {
    let device = Running::new(tcp());
    let worker = Router::connect(&device.endpoint(Side::Backend)).unwrap();
    let client = Dealer::connect(&device.endpoint(Side::Frontend)).unwrap();
    let mut bytes = 0;
    let messages = [
        Message::from(""),
        Message::from(["", ""]),
        Message::from(vec![0u8, 1, 2, 255]),
        Message::from_frames((0..1023u32).map(|n| n.to_be_bytes().to_vec().into())),
        Message::from(vec![7u8; 3 << 20]),
        Message::from_frames([vec![1u8; 70_000].into(), "".into(), vec![0u8; 300].into()]),
    ];
    for message in &messages {
        bytes += message.bytes() as u64;
        client.send(message.clone()).unwrap();
        let (peer, mut request) = worker.recv_timeout(LIMIT).unwrap();
        let token = request.pop_front().unwrap();
        assert_eq!(request, *message);
        request.push_front(token);
        worker.send(&peer, request).unwrap();
        assert_eq!(client.recv_timeout(LIMIT).unwrap(), *message);
    }
    let statistics = device.end().statistics;
    for way in [&statistics.from_frontend, &statistics.from_backend] {
        assert_eq!((way.messages, way.bytes), (messages.len() as u64, bytes));
    }
}

#[test]
fn a_message_that_its_token_would_take_over_the_limit_is_dropped_for_alone() {
    let limits = Options::new().frames_max(4).message_bytes_max(1000);
    let device = Running::new(tcp().options(limits.clone()));
    let worker = Rep::with(limits).unwrap();
    worker.connect_to(&device.endpoint(Side::Backend)).unwrap();
    let client = Dealer::connect(&device.endpoint(Side::Frontend)).unwrap();
    client.send(["", "", "", "four"]).unwrap();
    client.send([vec![], vec![1; 985]]).unwrap();
    client.send([vec![], vec![2; 984]]).unwrap();
    assert_eq!(
        worker.recv_timeout(LIMIT).unwrap(),
        Message::from(vec![2; 984])
    );
    worker.send("ok").unwrap();
    client.recv_timeout(LIMIT).unwrap();
    let statistics = device.end().statistics;
    assert_eq!(statistics.from_frontend.dropped["over-limit"], 2);
    assert_eq!(statistics.from_frontend.messages, 1);
    assert_eq!(
        statistics.backend.socket.closes.get("too-many-frames"),
        None
    );
}

#[test]
fn a_reply_reaches_the_connection_that_asked_or_nobody() {
    let device = Running::new(tcp());
    let worker = Router::connect(&device.endpoint(Side::Backend)).unwrap();
    let front = device.endpoint(Side::Frontend);
    let named = || {
        let client = Dealer::with(Options::new().identity("same")).unwrap();
        client.connect_to(&front).unwrap();
        client
    };
    let first = named();
    first.send("of the first").unwrap();
    let (peer, request) = worker.recv_timeout(LIMIT).unwrap();
    drop(first);
    until("its end", || device.handle.statistics().frontend.peers == 0);
    // The same identity, another connection.
    let second = named();
    second.send("of the second").unwrap();
    let (_, other) = worker.recv_timeout(LIMIT).unwrap();
    worker.send(&peer, request.clone()).unwrap();
    // Tokens that were never given, or are none.
    let mut changed = request[0].to_vec();
    changed[15] ^= 1;
    worker.send(&peer, [&changed[..], b"forged"]).unwrap();
    worker.send(&peer, ["no token", "forged"]).unwrap();
    worker.send(&peer, other[0].clone()).unwrap();
    worker.send(&peer, other).unwrap();
    assert_eq!(
        second.recv_timeout(LIMIT).unwrap(),
        Message::from("of the second")
    );
    assert!(second.try_recv().is_err());
    let dropped = device.end().statistics.from_backend.dropped;
    assert_eq!(dropped["unknown-token"], 3);
    assert_eq!(dropped["peer-gone"], 1);
}

#[test]
fn a_client_that_does_not_read_is_dropped_for_alone() {
    let device = Running::new(tcp().options(options(10)));
    let worker = Router::connect(&device.endpoint(Side::Backend)).unwrap();
    let front = device.endpoint(Side::Frontend);
    let deaf = Dealer::with(options(1)).unwrap();
    deaf.connect_to(&front).unwrap();
    deaf.send("give me much").unwrap();
    let (peer, request) = worker.recv_timeout(LIMIT).unwrap();
    let client = Req::connect(&front).unwrap();
    let flood = Message::from_frames([request[0].clone(), vec![0u8; 1 << 20].into()]);
    let dropped = || {
        let dropped = device.handle.statistics().from_backend.dropped;
        dropped.get("slow-client").copied().unwrap_or(0)
    };
    while dropped() < 10 {
        let _ = worker.send(&peer, flood.clone());
        client.send("quick").unwrap();
        let (peer, question) = worker.recv_timeout(LIMIT).unwrap();
        until("room", || worker.send(&peer, question.clone()).is_ok());
        assert_eq!(client.recv_timeout(LIMIT).unwrap(), Message::from("quick"));
    }
    for peer in device.handle.statistics().frontend.socket.peers {
        assert!(peer.send_queue_messages <= 10, "{peer:?}");
    }
}

#[test]
fn full_workers_stop_the_reading_of_requests() {
    let device = Running::new(tcp().options(options(10)));
    let worker = Router::with(options(1)).unwrap();
    worker.connect_to(&device.endpoint(Side::Backend)).unwrap();
    let client = Dealer::with(options(10)).unwrap();
    client.connect_to(&device.endpoint(Side::Frontend)).unwrap();
    let sent = fill(|message, timeout| client.send_timeout(message, timeout).is_ok());
    // The system may take one more a moment later, and then the next one is held.
    until("one held", || {
        device.handle.statistics().from_frontend.held == 1
    });
    let statistics = device.handle.statistics();
    assert!(statistics.queued() <= 25, "{statistics:?}");
    // Nothing is lost of it.
    for n in 0..sent {
        let (_, message) = worker.recv_timeout(LIMIT).unwrap();
        assert_eq!(message[1], n.to_be_bytes()[..]);
    }
    until("the last count", || {
        device.handle.statistics().from_frontend.messages == u64::from(sent)
    });
    let statistics = device.handle.statistics();
    assert!(statistics.dropped().is_empty(), "{statistics:?}");
}

#[test]
fn requests_wait_for_the_first_worker_and_pass_over_one_that_is_away() {
    // Where no other test listens, once this one does not.
    let own = cfg!(target_os = "linux").then_some("tcp://127.0.77.1:*");
    let nowhere = Router::bind(own.unwrap_or("tcp://127.0.0.1:*")).unwrap();
    let away = nowhere.local_endpoints()[0].to_string();
    drop(nowhere);
    let backend = format!("tcp://127.0.0.1:*,>{away}");
    let device = Running::new(
        Device::queue()
            .frontend("tcp://127.0.0.1:*")
            .backend(&backend),
    );
    let client = Dealer::connect(&device.endpoint(Side::Frontend)).unwrap();
    for n in 0..10 {
        client.send(["".into(), n.to_string()]).unwrap();
    }
    until("one held", || {
        device.handle.statistics().from_frontend.held == 1
    });
    let worker = Rep::connect(&device.endpoint(Side::Backend)).unwrap();
    for n in 0..10 {
        let request = worker.recv_timeout(LIMIT).unwrap();
        assert_eq!(request, Message::from(n.to_string()));
        worker.send(request).unwrap();
        assert_eq!(
            client.recv_timeout(LIMIT).unwrap()[1],
            n.to_string().as_bytes()
        );
    }
}

#[test]
fn departed_peers_of_either_side_leave_the_device_alive() {
    let device = Running::new(tcp());
    let (front, back) = (
        device.endpoint(Side::Frontend),
        device.endpoint(Side::Backend),
    );
    for _ in 0..20 {
        let worker = Rep::connect(&back).unwrap();
        let client = Req::connect(&front).unwrap();
        client.send("lost").unwrap();
        worker.recv_timeout(LIMIT).unwrap();
        drop(client);
        let _ = worker.send("too late");
        drop(worker);
        until("their ends", || {
            let statistics = device.handle.statistics();
            statistics.frontend.peers + statistics.backend.peers == 0
        });
    }
    let worker = Rep::connect(&back).unwrap();
    let client = Req::connect(&front).unwrap();
    client.send("kept").unwrap();
    let request = worker.recv_timeout(LIMIT).unwrap();
    worker.send(request).unwrap();
    assert_eq!(client.recv_timeout(LIMIT).unwrap(), Message::from("kept"));
}

#[test]
fn devices_in_a_row_take_their_own_tokens_off() {
    let (front, middle, back) = (name("first"), name("second"), name("third"));
    let _first = Running::new(Device::queue().frontend(&front).backend(&middle));
    let second = format!(">{middle}");
    let _second = Running::new(Device::queue().frontend(&second).backend(&back));
    let worker = Rep::connect(&back).unwrap();
    let client = Req::connect(&front).unwrap();
    client.send("far").unwrap();
    let request = worker.recv_timeout(LIMIT).unwrap();
    worker.send(request).unwrap();
    assert_eq!(client.recv_timeout(LIMIT).unwrap(), Message::from("far"));
}

#[test]
fn the_books_of_a_device_balance() {
    let device = Running::new(tcp());
    let worker = Router::connect(&device.endpoint(Side::Backend)).unwrap();
    let clients: Vec<Dealer> = (0..3)
        .map(|_| Dealer::connect(&device.endpoint(Side::Frontend)).unwrap())
        .collect();
    for n in 0..300 {
        clients[n % 3].send(n.to_string()).unwrap();
    }
    for n in 0..300 {
        let (peer, request) = worker.recv_timeout(LIMIT).unwrap();
        let reply = if n % 5 == 0 {
            Message::from(["bad", "token"])
        } else {
            request
        };
        worker.send(&peer, reply).unwrap();
    }
    until("all replies", || {
        device.handle.statistics().backend.socket.received_messages == 300
    });
    let statistics = device.end().statistics;
    for (way, side) in [
        (&statistics.from_frontend, &statistics.frontend),
        (&statistics.from_backend, &statistics.backend),
    ] {
        let dropped: u64 = way.dropped.values().sum();
        assert_eq!(
            side.socket.received_messages,
            way.messages + dropped + way.held
        );
    }
    assert_eq!(statistics.from_backend.dropped["unknown-token"], 60);
    assert_eq!(statistics.from_backend.messages, 240);
}
