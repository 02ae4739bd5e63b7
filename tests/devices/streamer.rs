//! What passes through `bl-streamer`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use brokerless::patterns::{Message, Pull, Push, Req};
use rustix::process::Signal;

use crate::support::{ANY, Device, PATIENCE, asks, until};

fn number(message: &Message) -> u32 {
    u32::from_be_bytes(message[0][..].try_into().unwrap())
}

#[test]
fn all_work_is_done_once_whichever_worker_has_it() {
    const WORK: u32 = 50_000;
    let device = Device::start("bl-streamer", &["--frontend", ANY, "--backend", ANY]);
    let (front, back) = (device.endpoint("frontend"), device.endpoint("backend"));
    let mut seen = BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let push = Push::connect(front).unwrap();
            for n in 0..WORK {
                push.send(n.to_be_bytes().to_vec()).unwrap();
            }
            assert!(push.close().is_empty());
        });
        let (one, two) = (Pull::connect(back).unwrap(), Pull::connect(back).unwrap());
        let (mut done, mut heard) = (0, Instant::now());
        while done < WORK {
            for pull in [&one, &two] {
                while let Ok(message) = pull.recv_timeout(Duration::from_millis(1)) {
                    assert!(seen.insert(number(&message)));
                    (done, heard) = (done + 1, Instant::now());
                }
            }
            assert!(heard.elapsed() < PATIENCE, "{done} of {WORK} have come");
        }
    });
    assert_eq!(seen.len(), WORK as usize);
    let (moved, left) = device.terminate();
    assert_eq!(moved["from_frontend"], u64::from(WORK));
    assert_eq!(
        (moved["dropped"], left["unread"], left["unsent"]),
        (0, 0, 0)
    );
}

#[test]
fn a_signal_hands_on_the_work_that_was_sent() {
    let arguments = ["--frontend", ANY, "--backend", ANY, "--linger", "60s"];
    let device = Device::start("bl-streamer", &arguments);
    let push = Push::connect(device.endpoint("frontend")).unwrap();
    for n in 0..500u32 {
        push.send(n.to_be_bytes().to_vec()).unwrap();
    }
    until("all sent", || push.stats().written_messages == 500);
    device.signal(Signal::TERM);
    let pull = Pull::connect(device.endpoint("backend")).unwrap();
    for n in 0..500 {
        assert_eq!(number(&pull.recv_timeout(PATIENCE).unwrap()), n);
    }
    let (code, lines) = device.end();
    assert_eq!(code, 0);
    assert!(
        lines[0].starts_with("moved from_frontend=500 "),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("left unread=0 unsent=0 "), "{lines:?}");
}

#[test]
fn a_capture_gets_a_copy_and_statistics_count_it() {
    let arguments = ["--frontend", ANY, "--backend", ANY, "--control", ANY];
    let capture = ["--capture", ANY, "--capture-type", "push"];
    let device = Device::start("bl-streamer", &[&arguments[..], &capture].concat());
    let pull = Pull::connect(device.endpoint("backend")).unwrap();
    let onlooker = Pull::connect(device.endpoint("capture")).unwrap();
    let push = Push::connect(device.endpoint("frontend")).unwrap();
    let control = Req::connect(device.endpoint("control")).unwrap();
    until("the onlooker", || {
        let json: serde_json::Value = serde_json::from_str(&asks(&control, "STATISTICS")).unwrap();
        json["capture"]["peers"] == 1
    });
    push.send(["work", "more"]).unwrap();
    assert_eq!(
        pull.recv_timeout(PATIENCE).unwrap(),
        Message::from(["work", "more"])
    );
    let copy = onlooker.recv_timeout(PATIENCE).unwrap();
    assert_eq!(copy, Message::from(["frontend", "work", "more"]));
    until("the count", || {
        asks(&control, "STATISTICS").contains("\"copies_sent\":1,")
    });
}
