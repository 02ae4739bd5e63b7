//! Scatter and gather: a job is cut into parts, spread over workers, and put together again.
//!
//! The end is known by the set of the parts' numbers, not by counting answers: one that comes
//! twice is one part. A worker that dies loses its part to another; one that is slow is given time,
//! then somebody else is given the same part too, and whoever is first counts. There is a
//! deadline, and what is missing by then is named: a sum of most parts is not passed off as the
//! whole.
//!
//! ```text
//! cargo run -p brokerless-patterns --example scatter_gather
//! ```

#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::retry::{Arrival, Requests};
use brokerless_patterns::workers::Workers;
use brokerless_patterns::{Dealer, Frame, Message, Peer, Router};

const LIMIT: Duration = Duration::from_secs(10);
/// After so long a part is given to a second worker.
const PATIENCE: Duration = Duration::from_millis(100);

fn number(frame: Option<&Frame>) -> Option<u64> {
    Some(u64::from_be_bytes(frame?[..].try_into().ok()?))
}

/// What goes wrong with a part, each once, except for the last.
#[derive(Default)]
struct Trouble {
    died: AtomicBool,
    stalled: AtomicBool,
    /// Nobody can do the part that begins there.
    poisoned: Option<u64>,
}

/// Adds up the numbers of a range, for each that it is sent.
fn work(socket: &Dealer, trouble: &Trouble) {
    let mut stalled = None;
    let _ = socket.send("READY");
    while let Ok(message) = socket.recv() {
        let range = (
            number(message.frames().get(1)),
            number(message.frames().get(2)),
        );
        let (Some(from), Some(to)) = range else {
            continue;
        };
        if from == 2000 && !trouble.died.swap(true, Ordering::Relaxed) {
            let _ = socket.close();
            return;
        }
        if from == 5000 && !trouble.stalled.swap(true, Ordering::Relaxed) {
            // It comes out with it at its next part: until then it asks for more, and lets it lie.
            stalled = Some((message, (from..to).sum::<u64>()));
            let _ = socket.send("READY");
            continue;
        }
        let parts = stalled.take().into_iter();
        let poisoned = trouble.poisoned == Some(from);
        let own = (!poisoned).then(|| (message, (from..to).sum::<u64>()));
        for (message, sum) in own.into_iter().chain(parts) {
            let sum = Frame::copy_from_slice(&sum.to_be_bytes());
            let _ = socket.send([Frame::from("SUM"), message[0].clone(), sum]);
        }
        let _ = socket.send("READY");
    }
}

/// What was gathered.
struct Gathered {
    sum: u64,
    /// Where the parts begin that nobody did in time.
    missing: Vec<u64>,
    late: u32,
    lost: u32,
    doubled: u32,
}

/// A part under way.
struct Part {
    from: u64,
    given: Instant,
}

/// Spreads the sum of `0..8000` over the workers, in eight parts.
fn scatter_gather(router: &Router, requests: &mut Requests, within: Duration) -> Gathered {
    let (start, deadline) = (Instant::now(), Instant::now() + within);
    let mut workers: Workers<Peer, u64> = Workers::new(100, LIMIT);
    let mut parts: BTreeMap<u64, Part> = BTreeMap::new();
    let mut waiting: VecDeque<u64> = VecDeque::new();
    for from in (0..8000).step_by(1000) {
        let id = requests.open();
        parts.insert(id, Part { from, given: start });
        waiting.push_back(id);
    }
    // Those who are there from an earlier job are asked whether they are ready: they are.
    for peer in router.peers() {
        let _ = workers.ready(peer.id(), peer, start.elapsed());
    }
    let mut gathered = Gathered {
        sum: 0,
        missing: Vec::new(),
        late: 0,
        lost: 0,
        doubled: 0,
    };
    while !parts.is_empty() && Instant::now() < deadline {
        let tick = deadline.min(Instant::now() + Duration::from_millis(20));
        if let Ok((peer, message)) = router.recv_deadline(tick) {
            let frames = message.frames();
            match (number(frames.get(1)), number(frames.get(2))) {
                (Some(id), Some(sum)) => match requests.answered(id) {
                    Arrival::Expected => {
                        parts.remove(&id);
                        waiting.retain(|other| *other != id);
                        gathered.sum += sum;
                    }
                    Arrival::Late => gathered.late += 1,
                    Arrival::Unknown => {}
                },
                _ => {
                    workers.finish(peer.id());
                    let _ = workers.ready(peer.id(), peer, start.elapsed());
                }
            }
        }
        let gone = workers.iter().filter(|(_, peer)| !peer.is_connected());
        let gone: Vec<u64> = gone.map(|(id, _)| id).collect();
        for lost in gone.into_iter().filter_map(|id| workers.lost(id)) {
            gathered.lost += 1;
            waiting.extend(lost.job.filter(|id| parts.contains_key(id)));
        }
        for (id, part) in &mut parts {
            if part.given.elapsed() > PATIENCE && !waiting.contains(id) {
                gathered.doubled += 1;
                waiting.push_back(*id);
            }
        }
        while workers.ready_count() > 0 {
            let Some(id) = waiting.pop_front() else { break };
            let (Some(part), Ok(worker)) = (parts.get_mut(&id), workers.take(id).cloned()) else {
                continue;
            };
            part.given = Instant::now();
            let range = [id, part.from, part.from + 1000];
            let frames = range.map(|n| Frame::copy_from_slice(&n.to_be_bytes()));
            if router.send(&worker, Message::from(frames)).is_err() {
                workers.lost(worker.id());
                waiting.push_back(id);
            }
        }
    }
    for (id, part) in parts {
        requests.give_up(id);
        gathered.missing.push(part.from);
    }
    gathered
}

/// Does this at the end, however it comes: so that threads that wait on a socket end too.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs a job over three workers with this trouble.
fn run(trouble: &Trouble, within: Duration) -> Result<Gathered, Box<dyn Error>> {
    let router = Router::bind("tcp://127.0.0.1:*")?;
    let place = router.local_endpoints()[0].to_string();
    let sockets: Vec<Arc<Dealer>> = (0..3)
        .map(|_| Dealer::connect(&place).map(Arc::new))
        .collect::<Result<_, _>>()?;
    std::thread::scope(|scope| {
        let _end = AtEnd(|| {
            for socket in &sockets {
                let _ = socket.close();
            }
        });
        for socket in &sockets {
            scope.spawn(|| work(socket, trouble));
        }
        Ok(scatter_gather(&router, &mut Requests::new(1), within))
    })
}

/// Runs the story, and checks it.
pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let all: u64 = (0..8000).sum();
    let gathered = run(&Trouble::default(), LIMIT)?;
    println!(
        "sum {}: {} worker lost, {} parts given twice, {} answers late",
        gathered.sum, gathered.lost, gathered.doubled, gathered.late
    );
    assert_eq!((gathered.sum, gathered.missing.len()), (all, 0));
    assert_eq!(gathered.lost, 1);

    let poisoned = Trouble {
        poisoned: Some(7000),
        ..Trouble::default()
    };
    let gathered = run(&poisoned, Duration::from_millis(500))?;
    println!("sum {} without {:?}", gathered.sum, gathered.missing);
    assert!(gathered.missing.contains(&7000));
    let missing: u64 = gathered
        .missing
        .iter()
        .flat_map(|from| *from..from + 1000)
        .sum();
    assert_eq!(gathered.sum + missing, all);
    Ok(())
}
