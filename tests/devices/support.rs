//! Starting a device program, and what it prints.

#[path = "../support/waiting.rs"]
mod waiting;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use brokerless::patterns::Req;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) use waiting::{PATIENCE, until};

/// A port of this machine that nobody has.
pub(crate) const ANY: &str = "tcp://127.0.0.1:*";
/// Every device program that passes messages on.
pub(crate) const PROGRAMS: [(&str, &str); 3] = [
    ("bl-forwarder", env!("CARGO_BIN_EXE_bl-forwarder")),
    ("bl-queue", env!("CARGO_BIN_EXE_bl-queue")),
    ("bl-streamer", env!("CARGO_BIN_EXE_bl-streamer")),
];

fn path_of(name: &str) -> &'static str {
    if name == "bl-proxy" {
        return env!("CARGO_BIN_EXE_bl-proxy");
    }
    let mut programs = PROGRAMS.iter();
    programs.find(|(own, _)| *own == name).unwrap().1
}

/// What a program that ended left: exit code, standard output, standard error.
pub(crate) fn outcome(name: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(path_of(name))
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or(-1);
    (code, text(output.stdout), text(output.stderr))
}

/// A device program, running.
pub(crate) struct Device {
    child: Child,
    /// Once it is gone, what is printed is read.
    unread: Option<Sender<()>>,
    lines: Receiver<String>,
    errors: Receiver<String>,
    endpoints: Vec<(String, String)>,
}

impl Device {
    /// Starts it, and waits until it is ready.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let mut device = Device::start_unread(name, arguments);
        device.read_on();
        device
    }

    /// The same, but nobody reads what it prints after that.
    pub(crate) fn start_unread(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(path_of(name))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (to_lines, lines) = mpsc::channel();
        let (unread, gate) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let is_ready = line == "ready";
                let _ = to_lines.send(line);
                if is_ready {
                    // It ends when the other side is dropped.
                    let _: Result<(), _> = gate.recv();
                }
            }
        });
        let (to_errors, errors) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            let _ = to_errors.send(text);
        });
        let mut device = Device {
            child,
            unread: Some(unread),
            lines,
            errors,
            endpoints: Vec::new(),
        };
        loop {
            let line = device.lines.recv_timeout(PATIENCE);
            let Ok(line) = line else {
                panic!("it ended: {:?}", device.errors.recv_timeout(PATIENCE));
            };
            match line.split_once(' ') {
                Some((side, endpoint)) => device.endpoints.push((side.into(), endpoint.into())),
                None => {
                    assert_eq!(line, "ready");
                    return device;
                }
            }
        }
    }

    /// What it has printed, and prints, is read from now on.
    pub(crate) fn read_on(&mut self) {
        self.unread = None;
    }

    /// Waits for its end, whether or not anybody reads: the exit code.
    pub(crate) fn ends(&mut self) -> i32 {
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|it| it.code()).unwrap_or(-1)
    }

    /// The first endpoint of a side.
    pub(crate) fn endpoint(&self, side: &str) -> &str {
        self.all(side)[0]
    }

    /// Every endpoint of a side.
    pub(crate) fn all(&self, side: &str) -> Vec<&str> {
        let of_side = self.endpoints.iter().filter(|(own, _)| own == side);
        of_side.map(|(_, endpoint)| &**endpoint).collect()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The next line that begins so.
    pub(crate) fn line(&self, start: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no line {start:?}: {error}"));
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Waits for its end: the exit code, and what else it printed.
    pub(crate) fn end(self) -> (i32, Vec<String>) {
        let (code, lines, _) = self.end_and_errors();
        (code, lines)
    }

    /// The same, and what it complained about.
    pub(crate) fn end_and_errors(mut self) -> (i32, Vec<String>, String) {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => lines.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {lines:?}"),
            }
        }
        let code = self.child.wait().unwrap().code();
        let errors = self.errors.recv_timeout(PATIENCE).unwrap();
        (code.unwrap_or(-1), lines, errors)
    }

    /// Has it drain and end; gives the numbers of the lines `moved` and `left`.
    pub(crate) fn terminate(self) -> (HashMap<String, u64>, HashMap<String, u64>) {
        self.signal(Signal::TERM);
        let (code, lines) = self.end();
        assert_eq!(code, 0, "{lines:?}");
        let of = |start: &str| {
            let line = lines.iter().find(|line| line.starts_with(start));
            numbers(line.unwrap_or_else(|| panic!("no {start}: {lines:?}")))
        };
        (of("moved"), of("left"))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbers of a line of `name=number`.
pub(crate) fn numbers(line: &str) -> HashMap<String, u64> {
    let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
        .collect()
}

/// The answer to a command.
pub(crate) fn asks(control: &Req, command: &str) -> String {
    control.send(command).unwrap();
    let answer = control.recv_timeout(PATIENCE).unwrap();
    answer[0].to_str().unwrap().to_owned()
}

/// A file that goes with the test.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bl-devices-{}-{number}.toml", std::process::id());
        let file = File(std::env::temp_dir().join(name));
        file.write(text);
        file
    }

    pub(crate) fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
