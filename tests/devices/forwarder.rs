//! What passes through `bl-forwarder`.

use brokerless::patterns::{Message, Pub, Sub, XPub};

use crate::support::{ANY, Device, PATIENCE, outcome, until};

fn subscriber(device: &Device, topic: &str) -> Sub {
    let subscriber = Sub::connect(device.endpoint("backend")).unwrap();
    subscriber.subscribe(topic).unwrap();
    subscriber
}

#[test]
fn publishers_and_subscribers_meet_through_a_forwarder() {
    let device = Device::start("bl-forwarder", &["--frontend", ANY, "--backend", ANY]);
    let (one, two) = (subscriber(&device, "weather."), subscriber(&device, ""));
    let publishers = [(); 2].map(|()| Pub::connect(device.endpoint("frontend")).unwrap());
    for publisher in &publishers {
        until("both topics", || publisher.subscriptions().len() == 2);
        publisher.send(["weather.north", "rain"]).unwrap();
        publisher.send(["sport", "1:0"]).unwrap();
    }
    for (subscriber, count) in [(&one, 2), (&two, 4)] {
        for _ in 0..count {
            subscriber.recv_timeout(PATIENCE).unwrap();
        }
        assert!(subscriber.try_recv().is_err());
    }
    let (moved, left) = device.terminate();
    assert_eq!((moved["from_frontend"], moved["from_backend"]), (4, 2));
    assert_eq!(
        (moved["dropped"], left["unread"], left["unsent"]),
        (0, 0, 0)
    );
}

#[test]
fn last_values_are_kept_if_asked_for() {
    let arguments = ["--frontend", ANY, "--backend", ANY, "--last-values", "10"];
    let device = Device::start("bl-forwarder", &arguments);
    let publisher = XPub::connect(device.endpoint("frontend")).unwrap();
    assert_eq!(
        publisher.recv_timeout(PATIENCE).unwrap(),
        Message::from(b"\x01".to_vec())
    );
    let early = subscriber(&device, "key");
    until("the other one", || publisher.subscriptions().len() == 2);
    publisher.send(["key", "first"]).unwrap();
    publisher.send(["key", "last"]).unwrap();
    early.recv_timeout(PATIENCE).unwrap();
    early.recv_timeout(PATIENCE).unwrap();
    let late = subscriber(&device, "ke");
    assert_eq!(
        late.recv_timeout(PATIENCE).unwrap(),
        Message::from(["key", "last"])
    );
}

#[test]
fn only_the_one_that_publishes_has_flags_for_it() {
    for name in ["bl-queue", "bl-streamer"] {
        for flags in [["--last-values", "9"], ["--slow-subscriber", "drop"]] {
            let (code, _, stderr) = outcome(name, &flags);
            assert_eq!(code, 2);
            assert!(stderr.contains(&format!("'{}'", flags[0])), "{stderr}");
        }
    }
    let (code, _, stderr) = outcome("bl-forwarder", &["--slow-subscriber", "scold"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("drop or disconnect"), "{stderr}");
}
