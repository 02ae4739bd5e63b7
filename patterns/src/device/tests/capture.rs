//! Copies of what passes.

use super::{LIMIT, Running, name, until};
use crate::device::{Builder, CaptureType, Device, Side};
use crate::{Dealer, Message, Options, Pull, Rep, Req, Router, Sub};

fn captured(capture: CaptureType) -> Builder {
    Device::queue()
        .frontend(&name("front"))
        .backend(&name("back"))
        .capture("tcp://127.0.0.1:*")
        .capture_type(capture)
}

#[test]
fn a_capture_gets_a_copy_of_everything_with_the_side_it_came_from() {
    let device = Running::new(captured(CaptureType::Push));
    let worker = Rep::connect(&device.endpoint(Side::Backend)).unwrap();
    let client = Req::connect(&device.endpoint(Side::Frontend)).unwrap();
    let pull = Pull::connect(&device.endpoint(Side::Capture)).unwrap();
    until("the onlooker", || {
        device.handle.statistics().capture.peers == 1
    });
    for n in 0..10 {
        client.send(["question".to_owned(), n.to_string()]).unwrap();
        let mut request = worker.recv_timeout(LIMIT).unwrap();
        request.push("answer");
        worker.send(request).unwrap();
        client.recv_timeout(LIMIT).unwrap();
        let asked = pull.recv_timeout(LIMIT).unwrap();
        let answered = pull.recv_timeout(LIMIT).unwrap();
        assert_eq!(
            (&asked[0], &answered[0]),
            (&"frontend".into(), &"backend".into())
        );
        assert_eq!(asked[1], answered[1], "the client's token");
        let tail = |message: &Message, count| message.frames()[message.len() - count..].to_vec();
        assert_eq!(
            tail(&asked, 2),
            Message::from(["question", &n.to_string()]).frames()
        );
        assert_eq!(tail(&answered, 1), Message::from("answer").frames());
    }
    until("the count", || device.handle.statistics().copies_sent == 20);
    let statistics = device.end().statistics;
    assert_eq!((statistics.copies_sent, statistics.copies_lost), (20, 0));
}

#[test]
fn a_capture_that_is_not_read_loses_copies_and_nothing_else() {
    let options = Options::new().send_messages_max(10).recv_messages_max(10);
    for onlooker in [false, true] {
        let builder = Device::queue()
            .frontend("tcp://127.0.0.1:*")
            .backend("tcp://127.0.0.1:*")
            .capture("tcp://127.0.0.1:*")
            .capture_type(CaptureType::Push)
            .options(options.clone());
        let device = Running::new(builder);
        let pull = Pull::with(options.clone()).unwrap();
        if onlooker {
            pull.connect_to(&device.endpoint(Side::Capture)).unwrap();
            until("it", || device.handle.statistics().capture.peers == 1);
        }
        let worker = Router::connect(&device.endpoint(Side::Backend)).unwrap();
        let client = Dealer::connect(&device.endpoint(Side::Frontend)).unwrap();
        let frame = crate::Frame::from(vec![0u8; 256 << 10]);
        let mut count = 0;
        while device.handle.statistics().copies_lost < 20 {
            client.send(frame.clone()).unwrap();
            let (peer, request) = worker.recv_timeout(LIMIT).unwrap();
            worker.send(&peer, request).unwrap();
            client.recv_timeout(LIMIT).unwrap();
            count += 1;
        }
        let statistics = device.end().statistics;
        assert_eq!(statistics.from_frontend.messages, count);
        assert_eq!(statistics.from_backend.messages, count);
        assert_eq!(statistics.copies_sent + statistics.copies_lost, 2 * count);
        assert_eq!(statistics.copies_sent > 0, onlooker);
    }
}

#[test]
fn onlookers_choose_a_side() {
    let device = Running::new(captured(CaptureType::Publish));
    let worker = Rep::connect(&device.endpoint(Side::Backend)).unwrap();
    let client = Req::connect(&device.endpoint(Side::Frontend)).unwrap();
    let onlookers = ["frontend", "backend", ""].map(|topic| {
        let onlooker = Sub::connect(&device.endpoint(Side::Capture)).unwrap();
        onlooker.subscribe(topic).unwrap();
        onlooker
    });
    until("all of them", || {
        let peers = device.handle.statistics().capture.socket.peers;
        peers.iter().filter(|peer| peer.subscriptions == 1).count() == 3
    });
    client.send("question").unwrap();
    worker.recv_timeout(LIMIT).unwrap();
    worker.send("answer").unwrap();
    client.recv_timeout(LIMIT).unwrap();
    for (onlooker, sides) in onlookers.iter().zip([&[0][..], &[1], &[0, 1]]) {
        for side in sides {
            let copy = onlooker.recv_timeout(LIMIT).unwrap();
            let (from, text) = [("frontend", "question"), ("backend", "answer")][*side];
            assert_eq!(
                (&copy[0], &copy[copy.len() - 1]),
                (&from.into(), &text.into())
            );
        }
        assert!(onlooker.try_recv().is_err());
    }
}

#[test]
fn nothing_is_copied_where_there_is_no_capture() {
    let device = Running::new(
        Device::queue()
            .frontend(&name("front"))
            .backend(&name("back")),
    );
    let worker = Rep::connect(&device.endpoint(Side::Backend)).unwrap();
    let client = Req::connect(&device.endpoint(Side::Frontend)).unwrap();
    client.send("x").unwrap();
    let request = worker.recv_timeout(LIMIT).unwrap();
    worker.send(request).unwrap();
    client.recv_timeout(LIMIT).unwrap();
    let statistics = device.end().statistics;
    assert_eq!((statistics.copies_sent, statistics.copies_lost), (0, 0));
}
