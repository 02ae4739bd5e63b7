//! A least-recently-used queue: requests go to the worker that has waited longest.
//!
//! Workers say that they are ready, once for each job. While nobody is, requests stay where they
//! are, in the sockets and in the clients: the queue holds none that it cannot place, so it cannot
//! grow. A worker that dies with a request in hand does not take it along: it goes to the next
//! one. The queue passes messages on without reading them.
//!
//! ```text
//! cargo run -p brokerless-patterns --example lru_queue
//! ```

#![allow(clippy::print_stdout)]

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brokerless_patterns::workers::Workers;
use brokerless_patterns::{
    Dealer, Frame, Message, Peer, RecvError, Req, Router, Waitable, wait_any_timeout,
};

const WORKERS: usize = 3;
const CLIENTS: usize = 4;
const REQUESTS: usize = 30;

struct Job {
    client: Peer,
    request: Message,
}

/// Passes requests and replies on until its sockets are closed; gives how many it handed on.
fn queue(front: &Router, back: &Router) -> u32 {
    let start = Instant::now();
    let mut workers: Workers<Peer, Job> = Workers::new(100, Duration::from_secs(3600));
    let mut homeless: VecDeque<Job> = VecDeque::new(); // of workers that died
    let mut handed_on = 0;
    let mut is_open = false;
    loop {
        let everyone: [&dyn Waitable; 2] = [back, front];
        let may_ask = is_open && workers.ready_count() > 0;
        let heard = if may_ask {
            &everyone[..]
        } else {
            &everyone[..1]
        };
        // A look now and then at who is still connected.
        wait_any_timeout(heard, Duration::from_millis(20));
        loop {
            let (peer, mut message) = match back.try_recv() {
                Ok(given) => given,
                Err(RecvError::Closed) => return handed_on,
                Err(_) => break,
            };
            if message.pop_front().is_some_and(|kind| kind == "DONE")
                && let Some(job) = workers.finish(peer.id())
            {
                let _ = front.send(&job.client, message);
            }
            // Done or new, it is ready.
            let _ = workers.ready(peer.id(), peer, start.elapsed());
            // All are waited for once, so that the story is the same each time.
            is_open |= workers.len() == WORKERS;
        }
        let gone = workers.iter().filter(|(_, peer)| !peer.is_connected());
        let gone: Vec<u64> = gone.map(|(id, _)| id).collect();
        for lost in gone.into_iter().filter_map(|id| workers.lost(id)) {
            if let Some(job) = lost.job {
                println!("a worker died with a request in hand: it is handed on");
                handed_on += 1;
                homeless.push_back(job);
            }
        }
        while is_open && workers.ready_count() > 0 {
            let job = match homeless.pop_front() {
                Some(job) => job,
                None => match front.try_recv() {
                    Ok((client, request)) => Job { client, request },
                    Err(_) => break,
                },
            };
            let request = job.request.clone(); // shared, not copied
            let Ok(worker) = workers.take(job).cloned() else {
                break;
            };
            if back.send(&worker, request).is_err() {
                let lost = workers.lost(worker.id());
                homeless.extend(lost.and_then(|lost| lost.job));
            }
        }
    }
}

/// Answers with its name; dies at its third request, if it is that one.
fn work(socket: &Dealer, name: &str, is_mortal: bool) -> u32 {
    let mut done = 0;
    let _ = socket.send("READY");
    while let Ok(mut message) = socket.recv() {
        if is_mortal && done == 2 {
            let _ = socket.close();
            return done;
        }
        message.push(name);
        message.push_front("DONE");
        let _ = socket.send(message);
        done += 1;
    }
    done
}

/// Asks, and gives who answered.
fn ask(client: &Req, text: String) -> Result<Frame, Box<dyn Error>> {
    client.send(text.clone())?;
    let answer = client.recv_timeout(Duration::from_secs(60))?;
    assert_eq!((answer.len(), &answer[0]), (2, &Frame::from(text)));
    Ok(answer[1].clone())
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
    let (front, back) = (
        Router::bind("tcp://127.0.0.1:*")?,
        Router::bind("tcp://127.0.0.1:*")?,
    );
    let place = |router: &Router| router.local_endpoints()[0].to_string();
    let (clients_at, workers_at) = (place(&front), place(&back));
    let sockets: Vec<Arc<Dealer>> = (0..WORKERS)
        .map(|_| Dealer::connect(&workers_at).map(Arc::new))
        .collect::<Result<_, _>>()?;

    std::thread::scope(|scope| {
        let passing = scope.spawn(|| queue(&front, &back));
        let mut threads = Vec::new();
        for (socket, name) in sockets.iter().zip(["north", "south", "mortal"]) {
            threads.push(scope.spawn(move || work(socket, name, name == "mortal")));
        }

        let end = AtEnd(|| {
            for socket in &sockets {
                let _ = socket.close();
            }
            let (_, _) = (front.close(), back.close());
        });

        // One request at a time: the workers take turns.
        let client = Req::connect(&clients_at)?;
        let turns: Vec<Frame> = (0..2 * WORKERS)
            .map(|i| ask(&client, format!("turn {i}")))
            .collect::<Result<_, _>>()?;
        println!("in turn: {turns:?}");
        assert_eq!(turns[..WORKERS], turns[WORKERS..]);

        // Many at once: the third worker dies over its next one.
        let clients: Vec<_> = (0..CLIENTS)
            .map(|c| {
                let place = &clients_at;
                scope.spawn(move || {
                    let client = Req::connect(place).map_err(|e| e.to_string())?;
                    for i in 0..REQUESTS {
                        ask(&client, format!("{c}/{i}")).map_err(|e| e.to_string())?;
                    }
                    Ok::<_, String>(REQUESTS)
                })
            })
            .collect();
        let mut answered = 0;
        for client in clients {
            answered += client.join().expect("a client")?;
        }

        drop(end);
        let done: Vec<u32> = threads
            .into_iter()
            .map(|t| t.join().expect("a worker"))
            .collect();
        let handed_on = passing.join().expect("the queue");
        println!("{answered} requests answered by {done:?}, {handed_on} handed on");
        assert_eq!((answered, handed_on), (CLIENTS * REQUESTS, 1));
        assert_eq!(done.iter().sum::<u32>() as usize, answered + 2 * WORKERS);
        Ok(())
    })
}
