//! What runs in a worker process: a ROUTER whose tasks are counted by a few threads.
//!
//! It prints where it listens as its first line, and ends when its standard input does: so it
//! cannot outlive the program that started it, however that one ends.

use std::io::{self, Write};
use std::thread;

use brokerless::patterns::{Error, Message, Peer, Router};
use crossbeam_channel::{Receiver, bounded, select};

use super::args::WorkerArgs;
use super::words::Table;
use super::{Failure, wire};

/// Answers tasks until standard input ends.
pub(super) fn run(args: &WorkerArgs) -> Result<(), Failure> {
    let router = Router::bind(&args.bind).map_err(|error| match error {
        Error::Endpoint(_) | Error::Bind(_) => Failure::usage(error.to_string()),
        _ => Failure::run(error.to_string()),
    })?;
    for endpoint in router.local_endpoints() {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{endpoint}").and_then(|()| out.flush());
        written.map_err(|error| Failure::run(format!("cannot say where it listens: {error}")))?;
    }
    let (alive, ended) = bounded(0);
    thread::spawn(move || {
        // An error is an end as well.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        drop(alive);
    });
    let tasks = router.receiver();
    thread::scope(|scope| {
        for _ in 0..args.threads {
            scope.spawn(|| serve(&router, &tasks, &ended));
        }
    });
    Ok(())
}

fn serve(router: &Router, tasks: &Receiver<(Peer, Message)>, ended: &Receiver<()>) {
    loop {
        select! {
            recv(tasks) -> task => match task {
                Ok((peer, task)) => answer(router, &peer, &task),
                Err(_) => return,
            },
            recv(ended) -> _ => return,
        }
    }
}

fn answer(router: &Router, peer: &Peer, message: &Message) {
    let pid = std::process::id();
    let answer = match wire::read_task(message) {
        Ok((head, pieces)) => {
            let mut table = Table::default();
            pieces.into_iter().for_each(|piece| table.count(piece));
            wire::answer(head.task, pid, &table)
        }
        Err(why) => {
            log::warn!("a task from {peer} is refused: {why}");
            let Some(task) = wire::task_number(message) else {
                return;
            };
            wire::refusal(task, pid, &why)
        }
    };
    // A peer that has gone will ask somebody else; one that is full has asked for more than it
    // reads, and asks again.
    match answer {
        Ok(answer) => {
            if let Err(refused) = router.send(peer, answer) {
                log::warn!("an answer to {peer} is lost: {refused}");
            }
        }
        Err(failure) => log::error!("{failure}"),
    }
}
