//! Messages there and back: whole, in order, from many threads, in time.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use brokerless_patterns::{
    Dealer, Frame, Message, Options, Pull, Push, RecvError, Router, SendRefusal, wait_any,
    wait_any_timeout,
};

use crate::rig::{LIMIT, MOMENT, Outcome, Rig, TCP, connected, first, holds, nothing, same, until};

pub(crate) fn messages_go_there_and_back_whole_and_in_order(rig: &Rig) -> Outcome {
    for link in rig.links() {
        let router = rig.make(Router::with)?;
        let endpoint = router.bind_to(&link)?.to_string();
        let dealer = rig.make(Dealer::with)?;
        dealer.connect_to(&endpoint)?;
        let sizes = [0, 1, 255, 256, 4095, 4096, 70_000, 1 << 20];
        let messages = sizes.map(|size| {
            Message::from([vec![1; size], vec![2; 3], vec![3; size / 2]].map(Frame::from))
        });
        for message in &messages {
            dealer.send(message.clone())?;
        }
        for message in &messages {
            let (peer, received) = router.recv_timeout(LIMIT)?;
            same!(received, *message);
            router.send(&peer, received)?;
        }
        for message in &messages {
            same!(dealer.recv_timeout(LIMIT)?, *message);
        }
    }
    Ok(())
}

pub(crate) fn a_message_of_a_thousand_frames_arrives_whole(rig: &Rig) -> Outcome {
    let (push, pull) = pipeline(rig, TCP)?;
    let message: Message = (0..1000).map(|n| Frame::from(vec![7; n % 40])).collect();
    push.send(message.clone())?;
    same!(pull.recv_timeout(LIMIT)?, message);
    Ok(())
}

pub(crate) fn a_message_of_eight_mebibytes_arrives_whole(rig: &Rig) -> Outcome {
    let (push, pull) = pipeline(rig, TCP)?;
    let body: Vec<u8> = (0..8u32 << 20).map(|n| (n >> 7) as u8).collect();
    push.send(["head".into(), Frame::from(body.clone()), "tail".into()])?;
    let received = pull.recv_timeout(LIMIT)?;
    holds!(
        received.len() == 3 && received[1][..] == body[..],
        "it is not whole"
    );
    same!(received[2], "tail");
    Ok(())
}

pub(crate) fn ten_thousand_messages_keep_their_order(rig: &Rig) -> Outcome {
    for link in rig.links() {
        let (push, pull) = pipeline(rig, &link)?;
        let sender = thread::spawn(move || {
            for number in 0..10_000u32 {
                push.send_timeout(number.to_be_bytes().to_vec(), LIMIT)?;
            }
            Ok::<_, brokerless_patterns::SendError>(push)
        });
        for number in 0..10_000u32 {
            same!(pull.recv_timeout(LIMIT)?[0][..], number.to_be_bytes()[..]);
        }
        sender.join().map_err(|_| "the sender panicked")??;
    }
    Ok(())
}

pub(crate) fn an_empty_inbox_says_so_at_once(rig: &Rig) -> Outcome {
    let pull = rig.make(Pull::with)?;
    nothing(pull.try_recv())?;
    pull.bind_to(TCP)?;
    nothing(pull.try_recv())
}

pub(crate) fn a_timeout_is_kept(rig: &Rig) -> Outcome {
    let (_push, pull) = pipeline(rig, TCP)?;
    let (before, time) = (Instant::now(), Duration::from_millis(30));
    nothing(pull.recv_timeout(time))?;
    let took = before.elapsed();
    holds!(took >= time && took < LIMIT, "it took {took:?}");
    let outcome = wait_any_timeout(&[&pull], time);
    same!(outcome, None);
    Ok(())
}

pub(crate) fn what_is_sent_before_the_other_side_is_bound_arrives(rig: &Rig) -> Outcome {
    let endpoint = rig.ipc();
    let dealer = rig.make(Dealer::with)?;
    dealer.connect_to(&endpoint)?;
    dealer.send("early")?;
    let router = rig.make(Router::with)?;
    router.bind_to(&endpoint)?;
    same!(router.recv_timeout(LIMIT)?.1[0], "early");
    Ok(())
}

pub(crate) fn several_threads_share_a_socket(rig: &Rig) -> Outcome {
    let (push, pull) = pipeline(rig, TCP)?;
    let seen = thread::scope(|scope| {
        for thread in 0..4u32 {
            let push = &push;
            scope.spawn(move || {
                for number in 0..500u32 {
                    let body = (thread * 500 + number).to_be_bytes().to_vec();
                    push.send_timeout(body, LIMIT).expect("room, in time");
                }
            });
        }
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let received = (0..500).map(|_| pull.recv_timeout(LIMIT));
                    received.collect::<Result<Vec<_>, _>>()
                })
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().expect("no panic"))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let seen: HashSet<Message> = seen.into_iter().flatten().collect();
    same!(seen.len(), 2000);
    Ok(())
}

pub(crate) fn wait_any_names_the_socket_that_has_a_message(rig: &Rig) -> Outcome {
    let (_north, quiet) = pipeline(rig, TCP)?;
    let (south, busy) = pipeline(rig, TCP)?;
    south.send("here")?;
    same!(wait_any(&[&quiet, &busy]), 1);
    same!(busy.try_recv()?[0], "here");
    // Beside a socket of another engine, too.
    let other = Pull::bind("tcp://127.0.0.1:*")?;
    south.send("again")?;
    same!(wait_any(&[&other, &busy]), 1);
    Ok(())
}

pub(crate) fn a_channel_takes_the_place_of_receiving(rig: &Rig) -> Outcome {
    let (push, pull) = pipeline(rig, TCP)?;
    let channel = pull.receiver();
    same!(pull.try_recv(), Err(RecvError::Closed));
    for number in 0..600u32 {
        push.send_timeout(number.to_be_bytes().to_vec(), LIMIT)?;
    }
    for number in 0..600u32 {
        same!(
            channel.recv_timeout(LIMIT)?.1[0][..],
            number.to_be_bytes()[..]
        );
    }
    Ok(())
}

pub(crate) fn a_receiver_that_does_not_read_stops_its_sender(rig: &Rig) -> Outcome {
    let pull = Pull::with(rig.options().recv_messages_max(10))?;
    let endpoint = pull.bind_to(TCP)?.to_string();
    let push = Push::with(rig.options().send_messages_max(10))?;
    push.connect_to(&endpoint)?;
    let body = |number: u32| {
        let mut body = vec![0; 256 << 10];
        body[..4].copy_from_slice(&number.to_be_bytes());
        body
    };
    // The kernel holds some, and so do both sides.
    let mut sent = 0;
    let refused = loop {
        match push.send_timeout(body(sent), MOMENT) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
        holds!(sent < 300, "{sent} messages, and no end");
    };
    same!(refused.reason(), SendRefusal::Timeout);
    same!(refused.message()[0][..4], sent.to_be_bytes()[..]);
    let waiting = pull.stats().recv_queue_messages;
    holds!(waiting <= 30, "{waiting} messages wait to be received");
    for number in 0..sent {
        same!(pull.recv_timeout(LIMIT)?[0][..4], number.to_be_bytes()[..]);
    }
    push.send_timeout(refused.into_message(), LIMIT)?;
    same!(pull.recv_timeout(LIMIT)?[0][..4], sent.to_be_bytes()[..]);
    Ok(())
}

pub(crate) fn the_books_balance(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let dealer = rig.make(Dealer::with)?;
    dealer.connect_to(&endpoint)?;
    for _ in 0..100 {
        dealer.send(["12345", "67890"])?;
    }
    let (peer, _) = router.recv_timeout(LIMIT)?;
    router.send(&peer, "answer")?;
    same!(dealer.recv_timeout(LIMIT)?[0], "answer");
    until("a hundred have come", || {
        router.stats().arrived_messages == 100
    })?;
    for stats in [dealer.stats(), router.stats()] {
        let dropped: u64 = stats.dropped.values().sum();
        same!(dropped, 0);
        let left = stats.send_queue_messages as u64;
        same!(stats.sent_messages, stats.written_messages + left);
        let left = stats.recv_queue_messages as u64;
        same!(stats.arrived_messages, stats.received_messages + left);
        holds!(connected(&stats, 1), "{:?}", stats.peers);
    }
    until("all is written", || dealer.stats().written_messages == 100)?;
    same!(dealer.stats().sent_bytes, 1000);
    same!(router.stats().arrived_bytes, 1000);
    // What has nowhere to go any more is counted, too.
    drop(dealer);
    until("the peer has gone", || router.send(&peer, "late").is_err())?;
    let stats = router.stats();
    let dropped: u64 = stats.dropped.values().sum();
    let left = stats.send_queue_messages as u64;
    same!(stats.sent_messages, stats.written_messages + left + dropped);
    Ok(())
}

pub(crate) fn an_abstract_name_is_an_endpoint(rig: &Rig) -> Outcome {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let name = format!("ipc://@brokerless-{}-{}", std::process::id(), rig.name());
    let (push, pull) = pipeline(rig, &name)?;
    push.send("abstract")?;
    same!(pull.recv_timeout(LIMIT)?[0], "abstract");
    Ok(())
}

pub(crate) fn both_sides_of_an_exchange_may_have_engines_of_their_own(rig: &Rig) -> Outcome {
    let quiet = || Options::new().heartbeat_interval(None);
    let body = vec![5; 100_000];
    for (ours, theirs) in [(rig.options(), quiet()), (quiet(), rig.options())] {
        let router = Router::with(ours)?;
        let endpoint = router.bind_to(TCP)?.to_string();
        let dealer = Dealer::with(theirs.identity("someone"))?;
        dealer.connect_to(&endpoint)?;
        for _ in 0..100 {
            dealer.send(["question".into(), Frame::from(body.clone())])?;
            let (peer, message) = router.recv_timeout(LIMIT)?;
            same!(peer.identity(), "someone");
            router.send(&peer, message)?;
            same!(dealer.recv_timeout(LIMIT)?[1][..], body[..]);
        }
    }
    Ok(())
}

pub(crate) fn a_peer_that_sends_heartbeats_is_answered(rig: &Rig) -> Outcome {
    let router = rig.make(Router::with)?;
    let endpoint = router.bind_to(TCP)?.to_string();
    let mut peer = TcpStream::connect(endpoint.trim_start_matches("tcp://"))?;
    peer.set_read_timeout(Some(LIMIT))?;
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9..12].copy_from_slice(&[0x7f, 3, 1]);
    greeting[12..16].copy_from_slice(b"NULL");
    peer.write_all(&greeting)?;
    peer.write_all(b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER")?;
    peer.write_all(b"\0\x05hello")?;
    same!(router.recv_timeout(LIMIT)?.1[0], "hello");
    peer.write_all(b"\x04\x07\x04PING\0\0")?;
    let mut heard = Vec::new();
    let mut piece = [0; 256];
    while !heard.windows(5).any(|part| part == b"\x04PONG") {
        let count = match peer.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.unwrap_or(0), // a reset is an end, too
        };
        holds!(count > 0, "parted from a peer that sends heartbeats");
        heard.extend_from_slice(&piece[..count]);
    }
    Ok(())
}

pub(crate) fn sockets_of_one_process_need_no_link(rig: &Rig) -> Outcome {
    let (push, pull) = pipeline(rig, &format!("inproc://conformance-{}", rig.name()))?;
    push.send("within")?;
    same!(pull.recv_timeout(LIMIT)?[0], "within");
    Ok(())
}

fn pipeline(rig: &Rig, link: &str) -> Result<(Push, Pull), Box<dyn std::error::Error>> {
    let pull = rig.make(Pull::with)?;
    pull.bind_to(link)?;
    let push = rig.make(Push::with)?;
    push.connect_to(&first(&pull.local_endpoints()))?;
    Ok((push, pull))
}
