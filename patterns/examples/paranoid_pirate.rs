//! Paranoid Pirate: a queue and workers that watch each other's signs of life.
//!
//! A worker that hangs keeps its connection, so only its silence tells. What is put right here:
//! a heartbeat says that a worker lives, not that it is ready, so a busy one is not given more; it comes
//! from a thread other than the one that works, so a long job is no death; whoever is silent
//! goes, busy or ready, past those who live; the request of a dead worker is handed on; what a
//! worker sends that nobody awaits from it is refused, so a late answer is not given twice; and a
//! worker that was taken for dead is asked who it is, and comes back.
//!
//! ```text
//! cargo run -p brokerless-patterns --example paranoid_pirate
//! ```

#![allow(clippy::print_stdout)]

use std::collections::VecDeque;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brokerless_patterns::wait_any_timeout;
use brokerless_patterns::workers::Workers;
use brokerless_patterns::{Dealer, Frame, Message, Peer, RecvError, Router, Waitable};

const LIMIT: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_millis(25);
const SILENCE: Duration = Duration::from_millis(200);
const WORKERS: usize = 3;

struct Job {
    /// The queue's own number: an answer that brings another one is not to this job.
    number: u64,
    client: Peer,
    request: Message,
}

/// What the queue tells of its doings.
#[derive(Debug, PartialEq)]
enum Tale {
    Answered,
    HandedOn,
    Refused,
}

/// Passes on until its sockets are closed.
fn queue(front: &Router, back: &Router, tell: &Sender<Tale>) {
    let start = Instant::now();
    let mut workers: Workers<Peer, Job> = Workers::new(100, SILENCE);
    let mut homeless: VecDeque<Job> = VecDeque::new();
    let mut number = 0;
    loop {
        let everyone: [&dyn Waitable; 2] = [back, front];
        let ready = workers.ready_count() > 0;
        wait_any_timeout(if ready { &everyone } else { &everyone[..1] }, BEAT);
        loop {
            let (peer, mut message) = match back.try_recv() {
                Ok(given) => given,
                Err(RecvError::Closed) => return,
                Err(_) => break,
            };
            let kind = message.first().clone();
            let known = workers.heard(peer.id(), start.elapsed());
            if kind == "READY" {
                // One that is busy, or one too many, is not taken in, and hears no more of it.
                let _ = workers.ready(peer.id(), peer, start.elapsed());
            } else if kind == "DONE" {
                message.pop_front();
                let brought = message.pop_front();
                let job = workers.job(peer.id());
                let fits = job.is_some_and(|job| brought.as_ref() == Some(&numbered(job.number)));
                // The job of a worker that answers another one stays its job.
                let job = fits.then(|| workers.finish(peer.id())).flatten();
                match job {
                    Some(job) => {
                        let _ = front.send(&job.client, message);
                        let _ = tell.send(Tale::Answered);
                    }
                    None => drop(tell.send(Tale::Refused)),
                }
            } else if kind == "BEAT" && !known {
                let _ = back.send(&peer, "WHO");
            }
        }
        for gone in workers.expire(start.elapsed()) {
            if let Some(job) = gone.job {
                let _ = tell.send(Tale::HandedOn);
                homeless.push_back(job);
            }
        }
        while workers.ready_count() > 0 {
            let job = match homeless.pop_front() {
                Some(job) => job,
                None => match front.try_recv() {
                    Ok((client, request)) => {
                        number += 1;
                        Job {
                            number,
                            client,
                            request,
                        }
                    }
                    Err(_) => break,
                },
            };
            let mut request = job.request.clone();
            request.push_front(numbered(job.number));
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

fn numbered(number: u64) -> Frame {
    Frame::copy_from_slice(&number.to_be_bytes())
}

/// How the tasks of the story go wrong.
struct Trouble {
    /// The first worker to get the task `hang` does.
    hangs: AtomicBool,
    /// It goes on when it is told so.
    wake: Mutex<Receiver<()>>,
    /// The task `slow`, the first time that it is tried, takes until this is told.
    is_slow: AtomicBool,
    release: Mutex<Receiver<()>>,
}

/// Beats until it is told to pause, and then until it is told to go on.
fn beat(socket: &Dealer, told: &Receiver<bool>) {
    let mut beats = true;
    loop {
        match told.recv_timeout(BEAT) {
            Ok(on) => beats = on,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) if beats => drop(socket.try_send("BEAT")),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Works until its socket is closed, while its heart beats beside it.
fn work(socket: &Dealer, trouble: &Trouble) {
    let (heart, told) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || beat(socket, &told));
        let _ = socket.send("READY");
        while let Ok(mut message) = socket.recv() {
            if message[0] != "WHO" {
                let task = message.iter().last().cloned().unwrap_or_default();
                if task == "hang" && trouble.hangs.swap(false, Ordering::Relaxed) {
                    let _ = heart.send(false);
                    let _ = trouble.wake.lock().map(|wake| wake.recv_timeout(LIMIT));
                    let _ = heart.send(true);
                } else if task == "slow" && trouble.is_slow.swap(false, Ordering::Relaxed) {
                    let release = trouble.release.lock();
                    let _ = release.map(|release| release.recv_timeout(LIMIT));
                }
                message.push_front("DONE");
                let _ = socket.send(message);
            }
            let _ = socket.send("READY");
        }
        drop(heart);
    });
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
    let sockets: Vec<Arc<Dealer>> = (0..WORKERS)
        .map(|_| Dealer::connect(&place(&back)).map(Arc::new))
        .collect::<Result<_, _>>()?;
    let client = Dealer::connect(&place(&front))?;
    let (tell, tales) = channel();
    let (wake, woken) = channel();
    let (release, released) = channel();
    let trouble = Trouble {
        hangs: AtomicBool::new(true),
        is_slow: AtomicBool::new(true),
        wake: Mutex::new(woken),
        release: Mutex::new(released),
    };

    std::thread::scope(|scope| {
        let _end = AtEnd(|| {
            let (_, _) = (wake.send(()), release.send(()));
            for socket in &sockets {
                let _ = socket.close();
            }
            let (_, _) = (front.close(), back.close());
        });
        scope.spawn(|| queue(&front, &back, &tell));
        for socket in &sockets {
            scope.spawn(|| work(socket, &trouble));
        }
        let answer = || {
            client
                .recv_timeout(LIMIT)
                .map(|message| message[0].to_str().map(str::to_owned))
        };

        let tasks = ["hang", "slow", "a", "b", "c", "d", "e", "f"];
        for task in tasks {
            client.send(task)?;
        }
        let mut answers = Vec::new();
        while !answers.contains(&"hang".to_owned()) {
            answers.push(answer()??);
        }
        println!("one worker hangs, one is slow; answered so far: {answers:?}");
        release.send(())?;
        while answers.len() < tasks.len() {
            answers.push(answer()??);
        }
        answers.sort();
        assert_eq!(answers, ["a", "b", "c", "d", "e", "f", "hang", "slow"]);

        // The one that hung goes on, and sends its answer after all.
        wake.send(())?;
        let (mut answered, mut handed_on, mut refused) = (0, 0, 0);
        while answered < tasks.len() || refused == 0 {
            match tales.recv_timeout(LIMIT)? {
                Tale::Answered => answered += 1,
                Tale::HandedOn => handed_on += 1,
                Tale::Refused => refused += 1,
            }
        }
        println!("{answered} answered, {handed_on} handed on, the late answer was refused");
        assert!(handed_on >= 1);

        // The queue goes on, and what comes next is the answer to what is asked next.
        client.send("last")?;
        assert_eq!(answer()??, "last");
        Ok(())
    })
}
