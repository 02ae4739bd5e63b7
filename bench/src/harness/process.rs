//! The client and server processes, their CPU time and memory.
//!
//! Each is this same binary with a hidden subcommand. The parent asks with a line on its standard input and gets a line back;
//! a process whose standard input ends leaves, so nothing is left behind when the parent dies.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A child process. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    what: String,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    /// Starts this binary anew with `arguments`.
    pub(crate) fn start<A: AsRef<OsStr>>(
        what: String,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self> {
        let binary = std::env::current_exe().context("finding this binary")?;
        let mut child = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the {what}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the {what} has no pipes");
        };
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            what,
            child,
            input,
            lines,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self, within: Duration) -> Result<String> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                bail!("the {} said nothing for {within:?}", self.what)
            }
            Err(RecvTimeoutError::Disconnected) => bail!(
                "the {} ended ({})",
                self.what,
                match self.child.wait() {
                    Ok(status) => status.to_string(),
                    Err(error) => error.to_string(),
                }
            ),
        }
    }

    /// What it prints after `ready`, the first line of each process.
    pub(crate) fn ready(&mut self, within: Duration) -> Result<String> {
        let line = self.line(within)?;
        match line.strip_prefix("ready") {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => bail!("the {} said {line:?} instead of being ready", self.what),
        }
    }

    /// A question and its answer.
    pub(crate) fn ask(&mut self, question: &str, within: Duration) -> Result<String> {
        self.tell(question)?;
        self.line(within)
    }

    /// A question, whose answer is the next [`line`](Self::line).
    pub(crate) fn tell(&mut self, question: &str) -> Result<()> {
        writeln!(self.input, "{question}").with_context(|| format!("asking the {}", self.what))
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id()))
            .with_context(|| format!("looking at the threads of the {}", self.what))?;
        let mut ns = 0;
        for task in tasks {
            // A thread may end while we look.
            let Ok(stat) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            ns += stat
                .split_whitespace()
                .next()
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0);
        }
        Ok(Duration::from_nanos(ns))
    }

    /// Resident memory, in bytes.
    #[cfg_attr(not(feature = "brokerless"), allow(dead_code))]
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))
            .with_context(|| format!("reading the memory of the {}", self.what))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .and_then(|kib| kib.trim().parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .with_context(|| format!("no VmRSS for the {}", self.what))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a child: says that it is ready, and with what.
pub(crate) fn say_ready(with: &str) -> Result<()> {
    say(&format!("ready {with}"))
}

/// In a child: answers a question.
pub(crate) fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// In a server: leaves when the parent does. Servers are asked nothing.
pub(crate) fn leave_with_the_parent() {
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(0);
    });
}

/// In a client: answers each line of the parent until there are no more.
pub(crate) fn answer_the_parent(mut answer: impl FnMut(&str) -> Result<String>) -> Result<()> {
    for line in io::stdin().lock().lines() {
        let said = answer(&line?)?;
        say(&said)?;
    }
    Ok(())
}
