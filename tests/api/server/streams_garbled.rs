//! Messages of streams that are cut, changed, doubled and put in another order: whatever a caller
//! says of its streams costs no other call anything, and leaves nothing behind.

use std::time::{Duration, Instant};

use brokerless::patterns::{Frame, Message};
use brokerless::server::Server;
use brokerless::wire::{
    CallHead, Envelope, Flags, Flow, ItemsHead, Version, encode_call, encode_cancel, encode_items,
    encode_stop, encode_window,
};

use super::flow::{Watched, eventually, items, serve};
use super::support::{Caller, Got, PATIENCE, none, one};
use crate::dice::Dice;

/// Seeds are tried for so long, and the first hundred in any case.
const TIME: Duration = Duration::from_secs(2);

/// What a caller of this stream says, more or less: `at` counts the items that it has sent.
fn said(dice: &mut Dice, id: u64, at: &mut u64) -> Message {
    let id = if dice.one_in(20) { u64::MAX - id } else { id };
    match dice.roll(10) {
        0..=4 => {
            let count = dice.roll(6);
            let mut head = ItemsHead::new(id, dice.number(*at), dice.number(count) as u32);
            head.last = dice.one_in(12);
            if dice.one_in(4) {
                head.window = Some(Flow::new(dice.number(100), dice.number(10_000)));
            }
            *at += count;
            let values: Vec<u64> = (0..count).collect();
            let message = items(&values).into_message(encode_items(&head));
            let blob = dice
                .one_in(10)
                .then(|| Frame::from(vec![7u8; dice.roll(3000) as usize]));
            Message::from_frames(message.frames().iter().cloned().chain(blob))
        }
        5..=7 => {
            let window = Flow::new(dice.number(50), dice.number(10_000));
            Message::single(encode_window(id, window))
        }
        8 => Message::single(encode_stop(id)),
        _ => match dice.one_in(4) {
            true => Message::single(encode_cancel(id)),
            false => items(&[1u64, 2]).into_message(encode_items(&ItemsHead::new(id, *at, 2))),
        },
    }
}

/// Whether this says nothing else than of these streams, or cannot be read: the rest is others' to
/// test. So is a call that cannot be read: its number is answered at once, and may be that of a
/// stream, which goes on.
fn is_of_streams(message: &Message, calls: &[u64]) -> bool {
    match Envelope::decode(message.first()) {
        Ok(Envelope::Cancel { id }) => calls.contains(&id),
        Ok(Envelope::Items(_) | Envelope::Window { .. } | Envelope::Stop { .. }) => true,
        Ok(_) => false,
        Err(error) => error.call_id().is_none(),
    }
}

fn begin(dice: &mut Dice, caller: &mut Caller) -> u64 {
    let id = caller.number();
    let (path, flags) = match dice.roll(6) {
        0 => ("flow.v1.count", Flags::ITEMS_OUT),
        1 => ("flow.v1.total", Flags::ITEMS_IN),
        2 => ("flow.v1.seen", Flags::ITEMS_IN),
        3 => ("flow.v1.selects", Flags::ITEMS_IN),
        4 => ("flow.v1.hands_on", Flags::ITEMS_IN),
        _ => ("flow.v1.chat", Flags::ITEMS_IN.with(Flags::ITEMS_OUT)),
    };
    let mut head = CallHead::new(id, path, 20_000_000);
    head.flags = flags;
    if flags.has(Flags::ITEMS_OUT) && !dice.one_in(4) {
        head.window = Some(Flow::new(dice.number(20), dice.number(1000)));
    }
    let payload = match path {
        "flow.v1.count" => one(&dice.roll(500)),
        _ => none(),
    };
    let envelope = encode_call(&head, Version::NEWEST).expect("a call");
    caller.send(payload.into_message(envelope));
    id
}

/// Whatever comes while so many calls are in flight, until none is: each has one end, and nothing
/// comes for it after that.
fn ends(caller: &Caller, mut calls: Vec<u64>, seed: u64) {
    while !calls.is_empty() {
        let got = caller.next();
        match got {
            Got::Reply { id, .. } | Got::Error { id, .. } => {
                let at = calls.iter().position(|call| *call == id);
                calls.swap_remove(at.unwrap_or_else(|| panic!("seed {seed}: {got:?}")));
            }
            Got::Items(ItemsHead { id, .. }, _) | Got::Window(id, _) | Got::Stop(id) => {
                assert!(calls.contains(&id), "seed {seed}: after its end: {got:?}");
            }
            Got::Credit(_) => {}
            Got::Welcome { .. } | Got::Bye(_) => panic!("seed {seed}: {got:?}"),
        }
    }
}

fn garble(server: &Server, flow: &Watched, caller: &mut Caller, seed: u64) {
    let mut dice = Dice::new(seed);
    let calls: Vec<u64> = (0..=dice.roll(3))
        .map(|_| begin(&mut dice, caller))
        .collect();
    let mut before: Vec<Message> = Vec::new();
    let mut counts = vec![0; calls.len()];
    for _ in 0..dice.roll(40) {
        let which = dice.roll(calls.len() as u64) as usize;
        let mut message = said(&mut dice, calls[which], &mut counts[which]);
        match dice.roll(6) {
            0 => message = dice.garbled(&message),
            1 if !before.is_empty() => {
                message = before[dice.roll(before.len() as u64) as usize].clone();
            }
            _ => {}
        }
        if is_of_streams(&message, &calls) {
            caller.send(message.clone());
            before.push(message);
        }
    }
    for id in &calls {
        caller.send(Message::single(encode_cancel(*id)));
    }
    ends(caller, calls, seed);
    // The connection is as it was, and nothing is left behind.
    let id = caller.begin("flow.v1.plain", one(&1u64));
    loop {
        match caller.next() {
            Got::Credit(_) => {}
            got => break assert_eq!(got.value::<u64>(id), 7, "seed {seed}"),
        }
    }
    eventually("no stream is left", || {
        let stats = server.stats();
        (stats.streams.open, stats.in_flight) == (0, 0)
    });
    while flow.said.try_recv().is_ok() {}
}

#[test]
fn whatever_a_caller_says_of_its_streams_they_end_once_and_leave_nothing() {
    let (server, flow) = serve(|builder| builder.stream_items(32).stream_bytes(2048).workers(8));
    let mut caller = Caller::greeted(&server);
    let end = Instant::now() + TIME;
    let mut seeds = 0;
    while seeds < 100 || Instant::now() < end {
        seeds += 1;
        garble(&server, &flow, &mut caller, seeds);
    }
    let stats = server.stats();
    assert!(
        stats.streams.begun >= 100 && stats.streams.items_in > 0 && stats.streams.items_out > 0,
        "{stats:#?}"
    );
    assert!(stats.dropped.len() >= 2 && stats.streams.violations.len() >= 3);
    assert_eq!(stats.panicked, 0, "{stats:#?}");
    assert!(
        stats.sockets[0].closes.is_empty(),
        "{:?}",
        stats.sockets[0].closes
    );
    assert!(PATIENCE > TIME);
}
