//! The other processes, as the tests hold them.
//!
//! Each is this program, started anew with a role instead of a filter. It is told a line, and
//! answers with a line; when its input ends it leaves, so nothing outlives the tests.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use rustix::process::{Pid, Signal, kill_process};

use super::canary;
use super::figures::Figures;
use super::system::{self, Memory};
use super::{eventually, ms, patience};

/// How long a process may take to answer: a loaded machine is no fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// Another process. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Lines that came while another was waited for.
    aside: VecDeque<String>,
    /// What it said when it was ready.
    pub(crate) ready: String,
}

impl Process {
    /// Starts this program in `role`, with options as `name=value`, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(role: &str, options: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .arg(role)
            .args(options)
            // One arena: each thread's own would show up as address space in use.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        let input = child.stdin.take();
        let output = child.stdout.take().expect("its output is a pipe");
        let (sender, lines) = crossbeam_channel::unbounded();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut process = Process {
            child,
            input,
            lines,
            aside: VecDeque::new(),
            ready: String::new(),
        };
        process.ready = process.line("ready");
        process
    }

    /// The rest of the next line that begins with this word.
    #[track_caller]
    pub(crate) fn line(&mut self, word: &str) -> String {
        match self.line_within(word, PATIENCE) {
            Some(rest) => rest,
            None => panic!(
                "no line `{word}` from the process in {PATIENCE:?}; got {:?}",
                self.aside
            ),
        }
    }

    /// As [`line`](Self::line), or nothing in this time.
    pub(crate) fn line_within(&mut self, word: &str, within: Duration) -> Option<String> {
        let rest = |line: &str| {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            (first == word).then(|| rest.to_owned())
        };
        if let Some(index) = self.aside.iter().position(|line| rest(line).is_some()) {
            let line = self.aside.remove(index)?;
            return rest(&line);
        }
        let deadline = Instant::now() + within;
        loop {
            let line = self.lines.recv_deadline(deadline).ok()?;
            match rest(&line) {
                Some(rest) => return Some(rest),
                None => self.aside.push_back(line),
            }
        }
    }

    /// Tells it a line.
    #[track_caller]
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input is open");
        writeln!(input, "{line}").expect("the process reads its input");
    }

    /// Tells it a line and gives its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.line("answer")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has a number"), signal).expect("the process is there");
    }

    /// Stops it, as a machine that hangs would.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        eventually("the process is stopped", Duration::from_secs(2), || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
            stat.rsplit_once(") ")?.1.starts_with('T').then_some(())
        });
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        // It may have gone by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes its input and waits for it to leave. True if it left in order.
    pub(crate) fn end(mut self) -> bool {
        self.input = None;
        let mut status = None;
        eventually("the process leaves", PATIENCE, || {
            status = self.child.try_wait().ok().flatten();
            status
        })
        .success()
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        system::cpu_time(self.pid())
    }

    /// Its memory at the most.
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.pid())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The process with the ROUTER.
pub(crate) struct RouterProcess {
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) endpoint: String,
}

impl RouterProcess {
    /// Starts one with these options: see `router.rs`.
    #[track_caller]
    pub(crate) fn start(options: &[&str]) -> Self {
        let process = Process::start(super::router::ROLE, options);
        let endpoint = process.ready.clone();
        RouterProcess { process, endpoint }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.endpoint
            .strip_prefix("tcp://")
            .expect("it listens on tcp")
    }

    /// Its socket's counts, and its own.
    #[track_caller]
    pub(crate) fn figures(&mut self) -> Figures {
        Figures::parse(&self.process.ask("stats"))
    }

    /// Waits, with [`patience`], until its counts are as they shall be, and gives them.
    #[track_caller]
    pub(crate) fn until(
        &mut self,
        within: Duration,
        as_wanted: impl Fn(&Figures) -> bool,
    ) -> Figures {
        let (begin, patience) = (Instant::now(), patience(within));
        loop {
            let figures = self.figures();
            if as_wanted(&figures) {
                return figures;
            }
            assert!(
                canary::net(begin, Instant::now()) < patience,
                "the router's counts are not as wanted within {patience:?}: {figures}"
            );
            super::pass(ms(3));
        }
    }

    /// Waits until this many connections have ended for this reason.
    #[track_caller]
    pub(crate) fn until_closed(&mut self, count: u64, reason: &str, within: Duration) -> Figures {
        self.until(within, |figures| figures.closes(reason) >= count)
    }
}
