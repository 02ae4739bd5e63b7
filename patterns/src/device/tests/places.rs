//! Endpoints of a device, as it is made and as it runs.

use super::{LIMIT, Running, name};
use crate::device::{Device, Error, Place, Places, Side};
use crate::{Message, Rep, Req};

fn places(front: &[&str], back: &[&str]) -> Places {
    let mut places = Places::new();
    for (side, list) in [(Side::Frontend, front), (Side::Backend, back)] {
        for place in list {
            places.add(side, place.parse::<Place>().unwrap());
        }
    }
    places
}

fn round_trip(front: &str, back: &str) {
    let worker = Rep::connect(back).unwrap();
    let client = Req::connect(front).unwrap();
    client.send("x").unwrap();
    let request = worker.recv_timeout(LIMIT).unwrap();
    worker.send(request).unwrap();
    assert_eq!(client.recv_timeout(LIMIT).unwrap(), Message::from("x"));
}

#[test]
fn a_side_takes_several_endpoints_of_either_kind() {
    let (one, two, back) = (name("one"), name("two"), name("worker"));
    let worker = Rep::bind(&back).unwrap();
    let builder = Device::queue()
        .frontend(&format!("{one}, @{two}"))
        .frontend("tcp://127.0.0.1:*")
        .backend(&format!(">{back}"));
    let device = Running::new(builder);
    let endpoints = device.handle.endpoints();
    assert_eq!(endpoints.len(), 4);
    assert!(!endpoints[3].binds);
    for front in &endpoints[..3] {
        let client = Req::connect(&front.endpoint.to_string()).unwrap();
        client.send("x").unwrap();
        let request = worker.recv_timeout(LIMIT).unwrap();
        worker.send(request).unwrap();
        client.recv_timeout(LIMIT).unwrap();
    }
}

#[test]
fn what_a_device_cannot_be_made_of_is_named() {
    let (front, back) = (name("front"), name("back"));
    let taken = Rep::bind(&name("taken")).unwrap();
    let taken = taken.local_endpoints()[0].to_string();
    let queue = Device::queue;
    for (builder, what) in [
        (queue().backend(&back), "the frontend has no endpoint"),
        (queue().frontend(&front), "the backend has no endpoint"),
        (
            queue().frontend("tcp//x").backend(&back),
            "frontend: endpoint `tcp//x`",
        ),
        (queue().frontend(&front).backend("1,"), "backend: "),
        (
            queue().frontend("7,8,7").backend(&back),
            "`@tcp://127.0.0.1:7` twice",
        ),
        (queue().frontend(&front).backend(&taken), &taken),
        (
            queue().frontend(&front).backend(&back).control("tcp://x"),
            "control: endpoint `tcp://x`",
        ),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        // Nothing of it is left bound.
        drop(Rep::bind(&front).unwrap());
    }
}

#[test]
fn endpoints_come_and_go_while_it_runs() {
    let names = ["a", "b", "c", "d"].map(name);
    let [a, b, c, d] = [&*names[0], &*names[1], &*names[2], &*names[3]];
    let device = Running::new(Device::queue().places(places(&[a], &[b])));
    round_trip(a, b);
    let changes = device.handle.set_places(&places(&[a, c], &[d])).unwrap();
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let expected = [
        format!("removed backend {b}"),
        format!("added frontend {c}"),
        format!("added backend {d}"),
    ];
    assert_eq!(changes, expected);
    round_trip(a, d);
    round_trip(c, d);
    drop(Rep::bind(b).unwrap());
    assert_eq!(
        device.handle.set_places(&places(&[a, c], &[d])).unwrap(),
        []
    );
}

#[test]
fn a_change_that_fails_in_part_changes_nothing() {
    let names = ["a", "b", "c", "d"].map(name);
    let [a, b, c, d] = [&*names[0], &*names[1], &*names[2], &*names[3]];
    let taken = Rep::bind(d).unwrap();
    let device = Running::new(Device::queue().places(places(&[a], &[b])));
    let before = device.handle.endpoints();
    let error = device
        .handle
        .set_places(&places(&[c], &[b, d]))
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Socket {
                side: Side::Backend,
                ..
            }
        ),
        "{error}"
    );
    for wrong in [places(&[], &[b]), places(&[c], &[b, b])] {
        assert!(device.handle.set_places(&wrong).is_err());
    }
    assert_eq!(device.handle.endpoints(), before);
    drop(Rep::bind(c).unwrap());
    round_trip(a, b);
    drop(taken);
}

#[test]
fn a_device_that_is_dropped_unused_gives_its_endpoints_up() {
    let (front, back) = (name("front"), name("back"));
    let device = Device::queue()
        .frontend(&front)
        .backend(&back)
        .build()
        .unwrap();
    let handle = device.handle();
    drop(device);
    drop(Rep::bind(&front).unwrap());
    drop(Rep::bind(&back).unwrap());
    assert!(!handle.pause());
}
