//! Messages of streams that are cut, changed, doubled and put in another order, as a replier sends
//! them to a real client: each call ends once, and the next one is as if nothing had been.

use std::time::{Duration, Instant};

use brokerless::client::Next;
use brokerless::patterns::{Frame, Message};
use brokerless::wire::{self, Envelope, Flow, ItemsHead, encode_items, encode_stop, encode_window};

use super::wire::{Bench, Half};
use crate::dice::Dice;
use crate::support::{PATIENCE, until};

/// Seeds are tried for so long, and the first hundred in any case.
const TIME: Duration = Duration::from_secs(2);

/// What a replier says of this stream, more or less: `at` counts the items that it has sent.
fn said(dice: &mut Dice, id: u64, at: &mut u64) -> Message {
    let id = if dice.one_in(20) { u64::MAX - id } else { id };
    match dice.roll(8) {
        0..=4 => {
            let count = dice.roll(6);
            let mut head = ItemsHead::new(id, dice.number(*at), dice.number(count) as u32);
            head.last = dice.one_in(20);
            if dice.one_in(4) {
                head.window = Some(Flow::new(dice.number(100), dice.number(10_000)));
            }
            *at += count;
            let mut encoder = wire::Encoder::answer();
            for value in 0..count {
                let written = match dice.one_in(2) {
                    true => encoder.put("a word"),
                    false => encoder.put(&value),
                };
                written.expect("a value");
            }
            let blob = dice.one_in(10);
            let blob = blob.then(|| Frame::from(vec![7u8; dice.roll(3000) as usize]));
            let parts = [encode_items(&head), encoder.finish().body];
            Message::from_frames(parts.into_iter().chain(blob))
        }
        5 | 6 => {
            let window = Flow::new(dice.number(50), dice.number(10_000));
            Message::single(encode_window(id, window))
        }
        _ => Message::single(encode_stop(id)),
    }
}

/// Whether this says nothing else than of streams, or cannot be read: the rest is others' to test.
fn is_of_streams(message: &Message) -> bool {
    let envelope = Envelope::decode(message.first());
    envelope.map_or(true, |envelope| {
        matches!(
            envelope,
            Envelope::Items(_) | Envelope::Window { .. } | Envelope::Stop { .. }
        )
    })
}

fn say(dice: &mut Dice, half: &Half<'_>, mut between: impl FnMut(&mut Dice)) {
    let mut before: Vec<Message> = Vec::new();
    let mut at = 0;
    for _ in 0..dice.roll(30) {
        let mut message = said(dice, half.id, &mut at);
        match dice.roll(6) {
            0 => message = dice.garbled(&message),
            1 if !before.is_empty() => {
                message = before[dice.roll(before.len() as u64) as usize].clone();
            }
            _ => {}
        }
        if is_of_streams(&message) {
            half.send(message.clone());
            before.push(message);
        }
        between(dice);
    }
    half.reply(&());
}

fn garble(bench: &Bench, seed: u64) {
    let mut dice = Dice::new(seed);
    let began = Instant::now();
    if dice.one_in(2) {
        let mut items = bench.flows.count(5).expect("it begins");
        let half = bench.begun();
        say(&mut dice, &half, |dice| {
            if dice.one_in(3) {
                let _ = items.try_next();
            }
        });
        if dice.one_in(8) {
            drop(items);
        } else if dice.one_in(4) {
            let channel = items.receiver();
            while !items.is_over() {
                let item = channel.recv_timeout(PATIENCE).expect("the end is the last");
                let _ = items.decode(item);
            }
        } else {
            while items.next().is_some() {}
            assert_eq!(items.try_next(), Next::End, "seed {seed}");
            assert!(items.is_over() && items.next().is_none());
        }
    } else {
        let (feed, mut items) = bench.flows.chat().expect("it begins").split();
        let mut feed = feed.expect("it sends");
        let half = bench.begun();
        say(&mut dice, &half, |dice| {
            if dice.one_in(2) {
                let _ = feed.try_send("x".repeat(dice.roll(100) as usize));
            }
            if dice.one_in(3) {
                let _ = items.try_next();
            }
        });
        if dice.one_in(2) {
            feed.finish();
        } else {
            // It has ended, or is about to: nobody waits for room till the deadline.
            while feed.send("more".to_owned()).is_ok() {}
            drop(feed);
        }
        while items.next().is_some() {}
        assert_eq!(items.try_next(), Next::End, "seed {seed}");
    }
    assert!(began.elapsed() < PATIENCE / 2, "seed {seed}: it waited");
    until("nothing is left of it", || {
        bench.client().stats().streams.open == 0
    });
}

#[test]
fn whatever_a_replier_says_of_a_stream_it_ends_once_and_leaves_nothing() {
    let bench = Bench::of(|builder| builder.stream_items(32).stream_bytes(2048));
    let end = Instant::now() + TIME;
    let mut seeds = 0;
    while seeds < 100 || Instant::now() < end {
        seeds += 1;
        garble(&bench, seeds);
    }
    // A stream is as ever.
    let mut items = bench.flows.count(2).expect("it begins");
    let half = bench.begun();
    half.items(0, &[0, 1]);
    half.reply(&());
    assert_eq!((items.next(), items.next()), (Some(Ok(0)), Some(Ok(1))));
    assert_eq!(items.next(), None);
    let stats = bench.client().stats();
    assert!(stats.streams.violations > 0 && stats.streams.items_in > 0);
    assert!(stats.streams.items_out > 0 && stats.streams.late > 0);
}
