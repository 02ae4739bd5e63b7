//! The worker processes: started, killed, started again, stopped.
//!
//! Each is this program with another subcommand. Its standard input is a pipe from here, so that
//! it ends when this process does; its standard output ends when it does, which is how its end
//! is seen. It is in a process group of its own: Ctrl-C at the terminal reaches only the parent.
//!
//! # Invariants
//!
//! 1. When a crew is gone, so are its processes and its directory. (test
//!    `an_interrupt_ends_with_130_and_leaves_no_worker`)

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, bounded};

use super::Failure;
use super::args::Transport;

/// A worker that takes longer to start is given up.
const START_TIME: Duration = Duration::from_secs(10);
/// A worker that takes longer to stop is killed.
const STOP_TIME: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    /// What it prints; ends with it.
    lines: Receiver<String>,
}

/// One worker, whichever process it is now.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) name: char,
    pub(super) weight: u32,
    /// Tasks that it lets the demo have in flight.
    pub(super) window: u32,
    pub(super) endpoint: String,
    /// The processes it has been so far.
    pub(super) pids: Vec<u32>,
    process: Option<Process>,
}

/// All workers.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) workers: Vec<Worker>,
    home: Option<PathBuf>,
}

impl Crew {
    /// Starts a worker for each weight, and waits until all of them listen.
    pub(super) fn start(
        weights: &[u32],
        depth: u32,
        transport: Transport,
    ) -> Result<Self, Failure> {
        let home = match transport {
            Transport::Ipc => Some(make_home()?),
            Transport::Tcp => None,
        };
        let mut crew = Crew {
            workers: Vec::new(),
            home,
        };
        for (name, &weight) in ('A'..).zip(weights) {
            let endpoint = match &crew.home {
                Some(home) => format!("ipc://{}/{name}", home.display()),
                None => "tcp://127.0.0.1:*".to_owned(),
            };
            crew.workers.push(Worker {
                name,
                weight,
                window: depth,
                endpoint,
                pids: Vec::new(),
                process: None,
            });
        }
        for worker in &mut crew.workers {
            worker.start()?;
        }
        let deadline = Instant::now() + START_TIME;
        for worker in &mut crew.workers {
            worker.endpoint = worker.first_line(deadline)?;
        }
        Ok(crew)
    }

    /// The workers whose process has ended by itself since the last time, and how.
    pub(super) fn ended(&mut self) -> Vec<(usize, io::Result<ExitStatus>)> {
        let workers = self.workers.iter_mut().enumerate();
        workers
            .filter_map(|(index, worker)| Some((index, worker.ended()?)))
            .collect()
    }

    /// Ends all workers, and waits for them.
    pub(super) fn stop(&mut self) {
        for process in self.workers.iter_mut().filter_map(|w| w.process.as_mut()) {
            process.input = None;
        }
        let deadline = Instant::now() + STOP_TIME;
        for worker in &mut self.workers {
            let Some(mut process) = worker.process.take() else {
                continue;
            };
            while process.lines.recv_deadline(deadline).is_ok() {}
            if !matches!(process.lines.try_recv(), Err(TryRecvError::Disconnected)) {
                log::warn!("worker {} does not stop, and is killed", worker.name);
                process.kill();
            }
            if let Err(error) = process.child.wait() {
                log::warn!("worker {} cannot be waited for: {error}", worker.name);
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop();
        if let Some(home) = &self.home
            && let Err(error) = fs::remove_dir_all(home)
        {
            log::warn!("cannot remove {}: {error}", home.display());
        }
    }
}

impl Worker {
    /// Starts a process for it, on the endpoint that it had before if it had one.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let failed =
            |error: io::Error| Failure::run(format!("cannot start worker {}: {error}", self.name));
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = Command::new(program)
            .args(["worker", "--bind", &self.endpoint])
            .args(["--threads", &self.weight.to_string()])
            .args(["--window", &self.window.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        self.pids.push(child.id());
        let (sender, lines) = bounded(1);
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                let mut output = BufReader::new(output).lines();
                while let Some(Ok(line)) = output.next() {
                    // Only the first is waited for; the others are read to see the end.
                    let _ = sender.try_send(line);
                }
            });
        }
        self.process = Some(Process {
            input: child.stdin.take(),
            child,
            lines,
        });
        Ok(())
    }

    fn first_line(&mut self, deadline: Instant) -> Result<String, Failure> {
        let line = match &self.process {
            Some(process) => process.lines.recv_deadline(deadline),
            None => Err(RecvTimeoutError::Disconnected),
        };
        line.map_err(|error| match (error, self.ended()) {
            (RecvTimeoutError::Disconnected, Some(Ok(status))) => Failure::run(format!(
                "worker {} ended before it listened at {} ({status})",
                self.name, self.endpoint
            )),
            _ => Failure::run(format!(
                "worker {} did not listen at {} within {START_TIME:?}",
                self.name, self.endpoint
            )),
        })
    }

    /// Kills its process; gives the number that it had.
    pub(super) fn kill(&mut self) -> Option<u32> {
        let mut process = self.process.take()?;
        process.kill();
        if let Err(error) = process.child.wait() {
            log::warn!("worker {} cannot be waited for: {error}", self.name);
        }
        Some(process.child.id())
    }

    fn ended(&mut self) -> Option<io::Result<ExitStatus>> {
        let process = self.process.as_ref()?;
        loop {
            match process.lines.try_recv() {
                Ok(_) => {}
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => break,
            }
        }
        self.process.take().map(|mut process| process.child.wait())
    }
}

impl Process {
    fn kill(&mut self) {
        if let Err(error) = self.child.kill() {
            log::warn!("process {} cannot be killed: {error}", self.child.id());
        }
    }
}

/// A directory that nobody else may look into, for the sockets.
fn make_home() -> Result<PathBuf, Failure> {
    let temp = std::env::temp_dir();
    for number in 0..100 {
        let home = temp.join(format!("bl-wordcount-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&home) {
            Ok(()) => return Ok(home),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(Failure::run(format!(
                    "cannot make a directory for sockets in {}: {error}; set TMPDIR to one that \
                     takes files, or use --transport tcp",
                    temp.display()
                )));
            }
        }
    }
    Err(Failure::run(format!(
        "{} is full of directories of this name; remove bl-wordcount-* there",
        temp.display()
    )))
}
