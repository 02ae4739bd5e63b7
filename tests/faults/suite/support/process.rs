//! The other processes, as the tests hold them.
//!
//! Each is this program, started anew with a role instead of a filter. When its input ends it
//! leaves, so nothing outlives the tests.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::devices::numbers;
use super::system::Memory;
use super::work::Notes;
use super::{canary, eventually, ms, pass, patience, server};

/// How long a process may take to answer: a loaded machine is no fault.
const PATIENCE: Duration = Duration::from_secs(60);
/// A port of this machine that nobody has.
pub(crate) const ANY: &str = "tcp://127.0.0.1:*";

/// Another process. Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    aside: VecDeque<String>,
    complaints: Arc<Mutex<String>>,
    /// What it said when it was ready.
    pub(crate) ready: String,
}

impl Process {
    /// Starts this program in a role, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(role: &str, arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .arg(role)
            .args(arguments)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        let input = child.stdin.take();
        let output = child.stdout.take().expect("its output is a pipe");
        let errors = child.stderr.take().expect("its complaints are a pipe");
        let (sender, lines) = crossbeam_channel::unbounded();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let complaints = Arc::new(Mutex::new(String::new()));
        let heard = complaints.clone();
        std::thread::spawn(move || {
            let mut errors = errors;
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = errors.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                heard.lock().push_str(&text);
            }
        });
        let mut process = Process {
            child,
            input,
            lines,
            aside: VecDeque::new(),
            complaints,
            ready: String::new(),
        };
        process.ready = process.line("ready");
        process
    }

    /// The rest of the next line that begins with this word.
    #[track_caller]
    pub(crate) fn line(&mut self, word: &str) -> String {
        let rest = |line: &str| {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            (first == word).then(|| rest.to_owned())
        };
        if let Some(index) = self.aside.iter().position(|line| rest(line).is_some()) {
            let line = self.aside.remove(index).unwrap_or_default();
            return rest(&line).unwrap_or_default();
        }
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_deadline(deadline) {
            match rest(&line) {
                Some(rest) => return rest,
                None => self.aside.push_back(line),
            }
        }
        panic!(
            "no line `{word}` from the process in {PATIENCE:?}: {:?} {}",
            self.aside,
            self.complaints.lock()
        );
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to its error output.
    pub(crate) fn complaints(&self) -> String {
        self.complaints.lock().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Stops it, as a machine that hangs would.
    #[track_caller]
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        eventually("the process is stopped", ms(2000), || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
            stat.rsplit_once(") ")?.1.starts_with('T').then_some(())
        });
    }

    /// Ends its input, for one that ends then.
    pub(crate) fn end(&mut self) {
        self.input = None;
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        // It may have gone by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Counts by their names.
pub(crate) type Counts = BTreeMap<String, u64>;

/// A server's process.
pub(crate) struct ServerProcess {
    pub(crate) process: Process,
    pub(crate) endpoint: String,
}

impl ServerProcess {
    /// One at this endpoint, which notes what runs, with these options: see `server.rs`.
    #[track_caller]
    pub(crate) fn start(endpoint: &str, notes: &Notes, options: &[&str]) -> Self {
        let path = notes.path().to_str().expect("a path in UTF-8");
        let process = Process::start(server::ROLE, &[&[endpoint, path], options].concat());
        let endpoint = process.ready.clone();
        ServerProcess { process, endpoint }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.endpoint.trim_start_matches("tcp://")
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.process.pid())
    }

    #[track_caller]
    pub(crate) fn stats(&mut self) -> Counts {
        let input = self.process.input.as_mut().expect("its input is open");
        writeln!(input, "stats").expect("the process reads its input");
        numbers(&self.process.line("answer")).into_iter().collect()
    }

    /// Waits until its counts are as they shall be, and gives them.
    #[track_caller]
    pub(crate) fn until(
        &mut self,
        what: &str,
        within: Duration,
        as_wanted: impl Fn(&Counts) -> bool,
    ) -> Counts {
        let (begin, patience) = (Instant::now(), patience(within));
        loop {
            let counts = self.stats();
            if as_wanted(&counts) {
                return counts;
            }
            assert!(
                canary::net(begin, Instant::now()) < patience,
                "{what}: not within {patience:?}: {counts:?}"
            );
            pass(ms(3));
        }
    }

    /// Waits until nothing is in flight and its books balance, and gives its counts.
    #[track_caller]
    pub(crate) fn balanced(&mut self) -> Counts {
        self.until("its books balance", ms(3000), |counts| {
            let count = |name: &str| counts.get(name).copied().unwrap_or(0);
            let refused = counts
                .iter()
                .filter(|(name, _)| name.starts_with("refused."));
            let refused: u64 = refused.map(|(_, count)| *count).sum();
            let dropped = count("dropped.duplicate-call") + count("dropped.caller-gone");
            count("in_flight") == 0
                && count("calls") == count("answered") + count("failed") + refused + dropped
        })
    }

    /// Has it drain by SIGTERM; gives its report and what it complained about.
    #[track_caller]
    pub(crate) fn terminate(mut self) -> (Counts, String) {
        self.process.signal(Signal::TERM);
        let report = numbers(&self.process.line("ended")).into_iter().collect();
        let status = eventually("the process leaves", PATIENCE, || {
            self.process.child.try_wait().ok().flatten()
        });
        assert!(status.success(), "{status}");
        (report, self.process.complaints())
    }
}
