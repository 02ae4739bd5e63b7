//! A pipeline with pull tokens: work goes to who asks for it, and none is lost with a worker.
//!
//! PUSH gives work to whoever is connected, so the first to join takes it all, and what a worker
//! has in hand dies with it. Here a worker sends a token for each piece that it can take, and each
//! piece has a number. The source knows who has which until its result is in the sink, not only until
//! the worker says that it is done: sent is not arrived. What a dead worker had is given out again, and a
//! result that comes twice counts once. The end is when the set of numbers is whole.
//!
//! ```text
//! cargo run -p brokerless-patterns --example pipeline
//! ```

#![allow(clippy::print_stdout)]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, Instant};

use brokerless_patterns::workers::Workers;
use brokerless_patterns::{Dealer, Frame, Message, Peer, Pull, Push, Router, wait_any_timeout};

const PIECES: u64 = 100;
const LIMIT: Duration = Duration::from_secs(60);

/// What becomes of a worker.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Lives,
    /// Dies at its first piece, with it in hand.
    DiesAtWork,
    /// Says at its first piece that it can take another, and dies before the result is out.
    DiesWithResult,
    /// Sends each result twice.
    Stutters,
}

fn number(frame: &Frame) -> u64 {
    frame[..].try_into().map_or(0, u64::from_be_bytes)
}

/// Squares numbers until its source has gone.
fn work(source: &str, sink: &str, fate: Fate) -> Result<u64, brokerless_patterns::Error> {
    let (source, sink) = (Dealer::connect(source)?, Push::connect(sink)?);
    let mut done = 0;
    let _ = source.send("TOKEN");
    while let Ok(message) = source.recv_timeout(LIMIT) {
        if message[0] == "END" {
            break;
        }
        if fate == Fate::DiesAtWork {
            break;
        }
        if fate == Fate::DiesWithResult {
            let _ = source.send("TOKEN");
            let _ = source.close(); // sends what is queued
            break;
        }
        let piece = number(&message[0]);
        let square = (piece * piece).to_be_bytes();
        let result = Message::from([message[0].clone(), Frame::copy_from_slice(&square)]);
        for _ in 0..if fate == Fate::Stutters { 2 } else { 1 } {
            let _ = sink.send(result.clone());
        }
        done += 1;
        let _ = source.send("TOKEN");
    }
    Ok(done)
}

/// What came of the pieces.
struct Outcome {
    sum: u64,
    given_again: u32,
    twice: u32,
}

/// Gives the pieces out and gathers the results, until all are there.
fn give_and_gather(source: &Router, sink: &Pull, late: &dyn Fn()) -> Outcome {
    let start = Instant::now();
    let mut workers: Workers<Peer, u64> = Workers::new(100, LIMIT);
    let mut waiting: BTreeSet<u64> = (1..=PIECES).collect();
    // Said to be done, and by whom, but not in the sink yet.
    let mut on_the_way: BTreeMap<u64, u64> = BTreeMap::new();
    let mut refused: BTreeSet<u64> = BTreeSet::new();
    let mut results = BTreeMap::new();
    let (mut given_again, mut twice, mut joined) = (0, 0, 0);
    while results.len() < PIECES as usize {
        assert!(
            start.elapsed() < LIMIT,
            "{} of {PIECES} results",
            results.len()
        );
        wait_any_timeout(&[source, sink], Duration::from_millis(20));
        while let Ok(message) = sink.try_recv() {
            let [piece, result] = message.frames() else {
                continue;
            };
            let piece = number(piece);
            on_the_way.remove(&piece);
            waiting.remove(&piece); // given out again for nothing
            if results.insert(piece, number(result)).is_some() {
                twice += 1;
            } else if results.len() == 20 {
                late();
            }
        }
        while let Ok((peer, _token)) = source.try_recv() {
            if let Some(piece) = workers.finish(peer.id())
                && !results.contains_key(&piece)
            {
                on_the_way.insert(piece, peer.id());
            }
            let before = workers.len();
            let _ = workers.ready(peer.id(), peer, start.elapsed());
            joined += workers.len() - before;
        }
        let is_gone = |id: &u64, peer: &Peer| !peer.is_connected() || refused.contains(id);
        let gone = workers.iter().filter(|(id, peer)| is_gone(id, peer));
        let gone: Vec<u64> = gone.map(|(id, _)| id).collect();
        refused.clear();
        for id in gone {
            let in_hand = workers.lost(id).and_then(|gone| gone.job);
            let sent = on_the_way.extract_if(.., |_, by| *by == id);
            let again: Vec<u64> = sent.map(|(piece, _)| piece).chain(in_hand).collect();
            for piece in again {
                if !results.contains_key(&piece) {
                    println!("piece {piece} went with its worker: it is given out again");
                    given_again += 1;
                    waiting.insert(piece);
                }
            }
        }
        // It begins with four, and half is kept back for who comes late, so that the story is the
        // same each time.
        let held_back = match joined {
            0..4 => PIECES as usize,
            4 => PIECES as usize / 2,
            _ => 0,
        };
        while waiting.len() > held_back && workers.ready_count() > 0 {
            let Some(piece) = waiting.pop_first() else {
                break;
            };
            let Ok(peer) = workers.take(piece).cloned() else {
                break;
            };
            if source.send(&peer, piece.to_be_bytes().to_vec()).is_err() {
                // It goes the way of all who have gone, with what it had before, too.
                refused.insert(peer.id());
            }
        }
    }
    for peer in source.peers() {
        let _ = source.send(&peer, "END");
    }
    let sum = results.values().sum();
    Outcome {
        sum,
        given_again,
        twice,
    }
}

/// Runs the story, and checks it.
pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let (source, sink) = (
        Router::bind("tcp://127.0.0.1:*")?,
        Pull::bind("tcp://127.0.0.1:*")?,
    );
    let source_at = source.local_endpoints()[0].to_string();
    let sink_at = sink.local_endpoints()[0].to_string();
    std::thread::scope(|scope| {
        let start = |fate| {
            let (source_at, sink_at) = (&source_at, &sink_at);
            scope.spawn(move || work(source_at, sink_at, fate))
        };
        let fates = [
            Fate::Lives,
            Fate::DiesAtWork,
            Fate::DiesWithResult,
            Fate::Stutters,
        ];
        let threads = fates.map(start);
        let late = Cell::new(None);
        let outcome = give_and_gather(&source, &sink, &|| {
            late.set(Some(start(Fate::Lives)));
        });
        let late = late.into_inner().ok_or("nobody came late")?;
        let mut shares = Vec::new();
        for thread in threads.into_iter().chain([late]) {
            shares.push(thread.join().expect("a worker")?);
        }
        println!(
            "sum {}, shares {shares:?}, {} given out again, {} came twice",
            outcome.sum, outcome.given_again, outcome.twice
        );
        assert_eq!(outcome.sum, PIECES * (PIECES + 1) * (2 * PIECES + 1) / 6);
        assert!(outcome.given_again >= 2);
        assert!(outcome.twice >= 1);
        assert_eq!((shares[1], shares[2]), (0, 0));
        assert!(shares[4] >= 1, "who came late got nothing");
        Ok(())
    })
}
