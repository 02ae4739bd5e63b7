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

const LIMIT: Duration = Duration::from_secs(60);
/// After so long a part is given to a second worker.
const PATIENCE: Duration = Duration::from_millis(100);

fn number(frame: Option<&Frame>) -> Option<u64> {
    Some(u64::from_be_bytes(frame?[..].try_into().ok()?))
}

/// What goes wrong with a part.
#[derive(Default)]
struct Trouble {
    /// The first to get one dies of it.
    died: AtomicBool,
    /// The first to get one keeps it until it has been given to somebody else, too.
    stalled: AtomicBool,
    given_twice: AtomicBool,
    /// In the second job nobody can do the last one.
    poisoned: AtomicBool,
}

/// Adds up the numbers of a range, for each that it is sent.
fn work(socket: &Dealer, trouble: &Trouble) {
    let mut held = None;
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
        let mut done = Vec::new();
        let is_stalled = from == 5000 && !trouble.stalled.swap(true, Ordering::Relaxed);
        if is_stalled {
            held = Some((message.clone(), (from..to).sum::<u64>()));
        } else if from != 7000 || !trouble.poisoned.load(Ordering::Relaxed) {
            done.push((message, (from..to).sum::<u64>()));
        }
        if from == 5000 && !is_stalled {
            trouble.given_twice.store(true, Ordering::Relaxed);
        }
        if trouble.given_twice.load(Ordering::Relaxed) {
            done.extend(held.take());
        }
        for (message, sum) in done {
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

/// Who spreads and gathers; it knows its workers from job to job.
struct Coordinator {
    router: Router,
    workers: Workers<Peer, u64>,
    requests: Requests,
    start: Instant,
}

impl Coordinator {
    /// Spreads the sum of `0..8000` over the workers, in eight parts.
    fn scatter_gather(&mut self, within: Duration) -> Gathered {
        let Coordinator {
            router,
            workers,
            requests,
            start,
        } = self;
        let deadline = Instant::now() + within;
        let mut parts: BTreeMap<u64, Part> = BTreeMap::new();
        let mut waiting: VecDeque<u64> = VecDeque::new();
        for from in (0..8000).step_by(1000) {
            let id = requests.open();
            parts.insert(
                id,
                Part {
                    from,
                    given: *start,
                },
            );
            waiting.push_back(id);
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
                let (Some(part), Ok(worker)) = (parts.get_mut(&id), workers.take(id).cloned())
                else {
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
}

/// Does this at the end, however it comes: so that threads that wait on a socket end too.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs the story, and checks it.
pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::bind("tcp://127.0.0.1:*")?;
    let place = router.local_endpoints()[0].to_string();
    let sockets: Vec<Arc<Dealer>> = (0..3)
        .map(|_| Dealer::connect(&place).map(Arc::new))
        .collect::<Result<_, _>>()?;
    let mut coordinator = Coordinator {
        router,
        workers: Workers::new(100, LIMIT),
        requests: Requests::new(1),
        start: Instant::now(),
    };
    let trouble = Trouble::default();
    let all: u64 = (0..8000).sum();

    std::thread::scope(|scope| {
        let _end = AtEnd(|| {
            for socket in &sockets {
                let _ = socket.close();
            }
        });
        for socket in &sockets {
            scope.spawn(|| work(socket, &trouble));
        }

        // One worker dies, one stalls: all parts come, each counted once.
        let first = coordinator.scatter_gather(LIMIT);
        println!(
            "sum {}: {} worker lost, {} parts given twice",
            first.sum, first.lost, first.doubled
        );
        assert_eq!((first.sum, first.missing.len()), (all, 0));
        assert!(first.lost + first.doubled >= 2 && first.doubled >= 1);

        // The next job does not take a late answer for one of its own, and says what it lacks.
        trouble.poisoned.store(true, Ordering::Relaxed);
        let (begun, mut late) = (Instant::now(), first.late);
        // On a slow machine the late answer may be later still.
        loop {
            let next = coordinator.scatter_gather(Duration::from_millis(500));
            println!(
                "sum {} without {:?}, {} late answers",
                next.sum, next.missing, next.late
            );
            assert!(next.missing.contains(&7000) && begun.elapsed() < LIMIT);
            let missing = next.missing.iter().flat_map(|from| *from..from + 1000);
            assert_eq!(next.sum + missing.sum::<u64>(), all);
            late += next.late;
            if late >= 1 {
                break;
            }
        }
        Ok(())
    })
}
