//! What a streamer does with work.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::rounds::in_rounds;
use super::{LIMIT, Running, fill, name, until};
use crate::device::{Builder, Device, Side, State};
use crate::{Message, Options, Pull, Push};

fn tcp() -> Builder {
    Device::streamer()
        .frontend("tcp://127.0.0.1:*")
        .backend("tcp://127.0.0.1:*")
}

fn options(messages: usize) -> Options {
    Options::new()
        .send_messages_max(messages)
        .recv_messages_max(messages)
}

#[test]
fn work_is_spread_over_the_workers_unchanged() {
    let device = Running::new(tcp());
    // One after the other: who comes first has the first piece.
    let pulls = [1, 2, 3].map(|count| {
        let pull = Pull::connect(&device.endpoint(Side::Backend)).unwrap();
        until("it", || device.handle.statistics().backend.peers == count);
        pull
    });
    let push = Push::connect(&device.endpoint(Side::Frontend)).unwrap();
    for n in 0..300u32 {
        push.send(Message::from_frames([
            n.to_be_bytes().to_vec().into(),
            "".into(),
            vec![0; n as usize].into(),
        ]))
        .unwrap();
    }
    for n in 0..300u32 {
        let message = pulls[n as usize % 3].recv_timeout(LIMIT).unwrap();
        assert_eq!(message[0], n.to_be_bytes()[..]);
        assert_eq!((message.len(), message[2].len()), (3, n as usize));
    }
    let report = device.end();
    assert!(report.left.is_empty(), "{report:?}");
    assert_eq!(report.statistics.from_frontend.messages, 300);
    assert_eq!(report.statistics.from_backend.messages, 0);
}

#[test]
fn work_waits_for_workers_and_none_of_it_is_lost() {
    let device = Running::new(tcp().options(options(10)));
    let pull = Pull::with(options(1)).unwrap();
    pull.connect_to(&device.endpoint(Side::Backend)).unwrap();
    let push = Push::with(options(10)).unwrap();
    push.connect_to(&device.endpoint(Side::Frontend)).unwrap();
    let sent = fill(|message, timeout| push.send_timeout(message, timeout).is_ok());
    // The system may take one more a moment later, and then the next one is held.
    until("one held", || {
        device.handle.statistics().from_frontend.held == 1
    });
    let statistics = device.handle.statistics();
    assert!(statistics.queued() <= 25, "{statistics:?}");
    for n in 0..sent {
        let message = pull.recv_timeout(LIMIT).unwrap();
        assert_eq!(message[0], n.to_be_bytes()[..]);
    }
    assert!(device.end().statistics.dropped().is_empty());
}

#[test]
fn what_is_handed_to_a_living_worker_arrives_once_and_the_rest_is_counted() {
    const WORK: u32 = 20_000;
    let device = Running::new(tcp().options(options(100)));
    let back = device.endpoint(Side::Backend);
    let mut workers: Vec<(Pull, BTreeSet<u32>)> = (0..3)
        .map(|_| (Pull::connect(&back).unwrap(), BTreeSet::new()))
        .collect();
    until("all", || device.handle.statistics().backend.peers == 3);
    let push = Push::connect(&device.endpoint(Side::Frontend)).unwrap();
    let mut lost = BTreeSet::new();
    for n in 0..WORK {
        push.send([n.to_be_bytes().to_vec(), vec![0; 256]]).unwrap();
        // The second half is read in strides: queues fill up meanwhile.
        let reads = n % 50 == 0 || n < WORK / 2;
        for (pull, seen) in workers.iter_mut().filter(|_| reads) {
            while let Ok(message) = pull.try_recv() {
                let number = message[0][..].try_into().unwrap();
                assert!(seen.insert(u32::from_be_bytes(number)), "one came twice");
            }
        }
        if n == WORK / 3 {
            // It dies with what it has not read, and comes back.
            let (dead, seen) = workers.pop().unwrap();
            lost = seen;
            drop(dead);
            until("its end", || device.handle.statistics().backend.peers == 2);
            workers.push((Pull::connect(&back).unwrap(), BTreeSet::new()));
        }
    }
    until("all of it", || {
        for (pull, seen) in &mut workers {
            while let Ok(message) = pull.try_recv() {
                let number = message[0][..].try_into().unwrap();
                assert!(seen.insert(u32::from_be_bytes(number)), "one came twice");
            }
        }
        let statistics = device.handle.statistics();
        let handed: u64 = statistics
            .backend
            .socket
            .peers
            .iter()
            .map(|p| p.sent_messages)
            .sum();
        let seen: usize = workers.iter().map(|(_, seen)| seen.len()).sum();
        statistics.from_frontend.messages == u64::from(WORK) && handed == seen as u64
    });
    // What has come is counted as written a moment later, where the writer waits for a core.
    until("the last count", || {
        let socket = device.handle.statistics().backend.socket;
        socket.send_queue_messages == 0
    });
    let socket = device.handle.statistics().backend.socket;
    let dropped = socket.dropped.values().sum::<u64>();
    assert_eq!(socket.sent_messages, u64::from(WORK));
    assert_eq!(socket.written_messages + dropped, u64::from(WORK));
    let mut all = lost;
    for (_, seen) in workers {
        for number in seen {
            assert!(all.insert(number), "{number} came to two");
        }
    }
}

/// Ends a streamer that is full, and takes its work after this pause: all of it comes. A machine that
/// keeps who sends from doing so for as long as a device waits in silence is no fault: then it says
/// how much came.
fn ends_full(pause: Duration) -> Result<(), String> {
    let mut device = Running::new(tcp().options(options(10)).linger(LIMIT));
    let pull = Pull::with(options(1)).unwrap();
    pull.connect_to(&device.endpoint(Side::Backend)).unwrap();
    let push = Push::with(options(10)).unwrap();
    push.connect_to(&device.endpoint(Side::Frontend)).unwrap();
    let sent = fill(|message, timeout| push.send_timeout(message, timeout).is_ok());
    device.handle.terminate();
    let begin = Instant::now();
    while begin.elapsed() < pause {
        std::thread::park_timeout(pause.saturating_sub(begin.elapsed()));
    }
    let mut came = 0;
    while came < sent {
        let has_ended = device.handle.state() == State::Ended;
        match pull.recv_timeout(Duration::from_millis(500)) {
            Ok(message) => assert_eq!(message[0], came.to_be_bytes()[..]),
            Err(_) if has_ended => return Err(format!("{came} of {sent} came")),
            Err(_) => {
                assert!(begin.elapsed() < LIMIT, "it neither sends nor ends");
                continue;
            }
        }
        came += 1;
    }
    let report = device.thread.take().unwrap().join().unwrap();
    assert!(report.left.is_empty(), "{report:?}");
    assert!(report.took < LIMIT / 2, "{report:?}");
    Ok(())
}

#[test]
fn an_end_hands_on_the_work_that_was_sent() {
    in_rounds("taken at once", || ends_full(Duration::ZERO));
}

#[test]
fn an_end_waits_for_who_takes_the_work() {
    // Longer than the silence after which a device expects no more.
    in_rounds("taken late", || ends_full(Duration::from_millis(400)));
}

#[test]
fn work_passes_within_the_process() {
    let device = Running::new(
        Device::streamer()
            .frontend(&name("front"))
            .backend(&name("back")),
    );
    let push = Push::connect(&device.endpoint(Side::Frontend)).unwrap();
    for n in 0..5000 {
        push.send_timeout(n.to_string(), LIMIT).unwrap();
        if n == 500 {
            break;
        }
    }
    let pull = Pull::connect(&device.endpoint(Side::Backend)).unwrap();
    for n in 0..=500 {
        assert_eq!(
            pull.recv_timeout(LIMIT).unwrap()[0],
            n.to_string().as_bytes()
        );
    }
}
