//! `bl-wordcount` as a user runs it: real processes, killed and interrupted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "../patterns/tests/support/rounds.rs"]
mod rounds;
#[path = "support/terminal.rs"]
mod terminal;

use rounds::in_rounds;
use terminal::terminal;

/// Nothing here takes as long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("blw-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Files of words of many kinds, in directories; beside them what is no text.
fn library() -> (Dir, BTreeMap<String, u64>) {
    let dir = Dir::new();
    let mut counts = BTreeMap::new();
    let words = [
        "the",
        "The",
        "CAT",
        "under_score",
        "x86_64",
        "straße",
        "ÜBER",
        "日本語",
        "42",
        "2nd",
        "é",
    ];
    let breaks = [" ", "\n", ", ", "--", "\t\t", " 🦀 ", ".\r\n"];
    for file in 0..40 {
        let mut text = String::new();
        for n in 0..300 + 10 * file {
            text += words[(n * 7 + file) % words.len()];
            if n % 5 == 0 {
                text += &format!("w{}", n % 97);
            }
            text += breaks[(n + file * 3) % breaks.len()];
        }
        count(&text, &mut counts);
        dir.write(&format!("shelf{}/book{file}.txt", file % 3), text);
    }
    dir.write("shelf0/picture.bin", b"not\0text");
    dir.write("shelf1/latin1.txt", b"caf\xe9");
    dir.write("shelf1/empty.txt", b"");
    dir.write(".hidden/notes.txt", "nobody counts this");
    (dir, counts)
}

/// The rule of what a word is, written a second time: character by character.
fn count(text: &str, counts: &mut BTreeMap<String, u64>) {
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c == '_' || c.is_alphanumeric() {
            word.push(c);
        } else if !word.is_empty() {
            if !word.starts_with(char::is_numeric) {
                *counts.entry(word.to_lowercase()).or_default() += 1;
            }
            word.clear();
        }
    }
}

/// The program, running.
struct Running {
    child: Child,
    stdout: Receiver<String>,
    /// Lines of standard error; they end when the program and all its workers have.
    stderr: Receiver<String>,
    home: Dir,
}

fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Running {
    let home = Dir::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bl-wordcount"))
        .args(arguments)
        .env("TMPDIR", &home.0)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (to_stdout, stdout) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        to_stdout.send(text)
    });
    let (to_stderr, stderr) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            let _ = to_stderr.send(line);
        }
    });
    Running {
        child,
        stdout,
        stderr,
        home,
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for a line of standard error that begins so.
    fn line(&self, start: &str) -> String {
        loop {
            let line = self.stderr.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no line {start:?}: {error}"));
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Waits until it and all its workers have ended: exit code, standard output and error.
    fn end(mut self) -> (i32, String, String) {
        let stdout = self.stdout.recv_timeout(PATIENCE).expect("its end");
        let mut stderr = String::new();
        loop {
            match self.stderr.recv_timeout(PATIENCE) {
                Ok(line) => stderr += &(line + "\n"),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("a worker lives on: {stderr}"),
            }
        }
        let status = self.child.wait().unwrap();
        assert!(status.code().is_none() || self.home.entries().is_empty());
        (status.code().unwrap_or(-1), stdout, stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes named in `workers: A weight 3 pid 1, B weight 2 pid 2, ...`.
fn workers(line: &str) -> Vec<Pid> {
    let pids = line
        .split(',')
        .filter_map(|worker| worker.rsplit(' ').next());
    pids.map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap())
        .collect()
}

/// The result of a demo over this directory that ends well.
fn result(dir: &Path, arguments: &[&str]) -> Value {
    ended(start(demo(dir, arguments)), 0)
}

fn demo<'a>(dir: &'a Path, arguments: &'a [&str]) -> Vec<&'a OsStr> {
    let fixed = ["demo", "--json", "--top", "1000000", "--dir"].map(OsStr::new);
    let arguments = arguments.iter().map(OsStr::new);
    fixed
        .into_iter()
        .chain([dir.as_os_str()])
        .chain(arguments)
        .collect()
}

fn ended(running: Running, code: i32) -> Value {
    let (ended, stdout, stderr) = running.end();
    assert_eq!(ended, code, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn assert_counts(result: &Value, counts: &BTreeMap<String, u64>, passes: u64) {
    let top = result["top"].as_array().unwrap().iter();
    let top: BTreeMap<String, u64> = top
        .map(|entry| {
            let word = entry[0].as_str().unwrap().to_owned();
            (word, entry[1].as_u64().unwrap())
        })
        .collect();
    let expected: BTreeMap<String, u64> = counts
        .iter()
        .map(|(word, count)| (word.clone(), count * passes))
        .collect();
    assert_eq!(top, expected);
    assert_eq!(result["words"], expected.values().sum::<u64>());
    assert_eq!(result["distinct"], expected.len());
    assert_eq!(result["equal"], true);
}

fn pids(worker: &Value) -> Vec<i32> {
    let pids = worker["pids"].as_array().unwrap().iter();
    pids.map(|pid| pid.as_i64().unwrap() as i32).collect()
}

#[test]
fn totals_are_those_of_an_independent_count() {
    let (dir, counts) = library();
    for transport in ["ipc", "tcp"] {
        let arguments = [
            "--no-kill",
            "--task-bytes",
            "1KiB",
            "--transport",
            transport,
        ];
        let result = result(&dir.0, &arguments);
        assert_counts(&result, &counts, 1);
        assert_eq!(result["files"], 40);
        assert_eq!(result["files_skipped"], 3);
        assert_eq!(result["killed"], Value::Null);
        let tasks = result["workers"].as_array().unwrap().iter();
        let tasks: u64 = tasks.map(|worker| worker["tasks"].as_u64().unwrap()).sum();
        assert_eq!(result["tasks"], tasks);
        assert!(result["round_trip_ms"]["p99"].as_f64() >= result["round_trip_ms"]["p50"].as_f64());
        assert!(result["round_trip_ms"]["p50"].as_f64() > Some(0.0));
    }
}

#[test]
fn a_killed_worker_costs_no_word_and_comes_back() {
    let (dir, counts) = library();
    // Enough that there is work left once it is seen to be back.
    let passes = if cfg!(debug_assertions) { 3 } else { 100 };
    let times = passes.to_string();
    // Alone, it has to come back for the work to be done.
    for (workers, transport) in [("1", "ipc"), ("2", "tcp"), ("3,2,1", "ipc"), ("2,1", "tcp")] {
        let arguments = ["--workers", workers, "--transport", transport];
        let arguments = [
            &arguments[..],
            &["--task-bytes", "1KiB", "--passes", &times],
        ]
        .concat();
        let result = result(&dir.0, &arguments);
        assert_counts(&result, &counts, passes);
        let worker = &result["workers"][0];
        assert_eq!(result["killed"]["name"], "A");
        assert_eq!(result["killed"]["pid"], pids(worker)[0]);
        // None, if all that it had was answered by the time that it died.
        let stranded = result["killed"]["stranded"].as_u64();
        assert!(stranded.is_some(), "{result}");
        assert!(
            result["sent_again"].as_u64() >= stranded,
            "a call lost is a call again"
        );
        if !workers.contains(',') {
            let second = pids(worker)[1].to_string();
            assert!(
                worker["tasks_by_pid"][second].as_u64() > Some(0),
                "{}",
                result["workers"]
            );
            assert!(result["killed"]["down_seconds"].as_f64() > Some(0.0));
        }
    }
}

#[test]
fn what_a_stopped_worker_had_is_called_again_and_counted_once() {
    let (dir, counts) = library();
    // Enough that it is stopped before it is done.
    let passes = if cfg!(debug_assertions) { 200 } else { 600 };
    let times = passes.to_string();
    let arguments = ["--no-kill", "--workers", "1", "--depth", "32"];
    let arguments = [
        &arguments[..],
        &["--task-bytes", "64KiB", "--passes", &times],
    ]
    .concat();
    let running = start(demo(&dir.0, &arguments));
    let pid = workers(&running.line("workers:"))[0];
    kill_process(pid, Signal::STOP).unwrap();
    running.line("A is lost");
    kill_process(pid, Signal::CONT).unwrap();
    let result = ended(running, 0);
    assert_counts(&result, &counts, passes);
    assert!(result["sent_again"].as_u64() > Some(0));
}

/// A worker that gets a tenth of its time: it is stopped for nine parts of ten.
struct Slowed {
    over: mpsc::Sender<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Slowed {
    fn tenfold(pid: Pid) -> Self {
        let (over, ends) = mpsc::channel();
        let thread = thread::spawn(move || {
            let ends_within =
                |time| ends.recv_timeout(time) != Err(mpsc::RecvTimeoutError::Timeout);
            // It may end before it is told: then there is nothing to slow.
            while kill_process(pid, Signal::STOP).is_ok() {
                let over = ends_within(Duration::from_millis(18));
                let _ = kill_process(pid, Signal::CONT);
                if over || ends_within(Duration::from_millis(2)) {
                    return;
                }
            }
        });
        Slowed {
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        let _ = self.over.send(());
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

#[test]
fn one_stopped_one_killed_and_one_slow_cost_no_word_and_little_time() {
    let (dir, counts) = library();
    in_rounds("the time", || little_time(&dir, &counts));
}

/// What fails if it took more time.
#[allow(clippy::print_stdout, reason = "what was measured is to be read")]
fn little_time(dir: &Dir, counts: &BTreeMap<String, u64>) -> Result<(), String> {
    // Given the time that those need that nothing befalls,
    let passes = if cfg!(debug_assertions) { 300 } else { 6_000 };
    let times = passes.to_string();
    let fixed = ["--no-kill", "--task-bytes", "32KiB", "--passes", &times];
    let enough = || {
        let healthy = result(&dir.0, &[&fixed[..], &["--workers", "1,1"]].concat());
        healthy["seconds"].as_f64().unwrap()
    };
    let before = enough();

    // when of three others one is stopped, one is killed, and one is slowed ten times
    let running = start(demo(
        &dir.0,
        &[&fixed[..], &["--workers", "1,1,1,1,1"]].concat(),
    ));
    let pids_of_all = workers(&running.line("workers:"));
    kill_process(pids_of_all[0], Signal::STOP).unwrap();
    kill_process(pids_of_all[1], Signal::KILL).unwrap();
    let slowed = Slowed::tenfold(pids_of_all[2]);
    running.line("A is lost");
    let result = ended(running, 0);
    drop(slowed);

    // then nothing is missing, and it took no more than twice the time.
    let _ = kill_process(pids_of_all[0], Signal::KILL);
    assert_counts(&result, counts, passes);
    let all = &result["workers"];
    assert!(
        pids(&all[1]).len() > 1,
        "the killed one was replaced: {all}"
    );
    let [slow, healthy] = [2, 3].map(|at| all[at]["tasks"].as_u64().unwrap());
    assert!(slow < healthy, "the slow one had less: {all}");
    let took = result["seconds"].as_f64().unwrap();
    // Without optimisation, on cores that others want, too, five processes are in each other's way.
    let most = if cfg!(debug_assertions) { 3.0 } else { 2.0 };
    let healthy = if took <= most * before {
        before
    } else {
        // Taken afterwards, too: whatever else the machine does may have begun meanwhile.
        before.max(enough())
    };
    let seen = format!("{took:.2} s, healthy ones {healthy:.2} s");
    println!("{seen}");
    if took <= most * healthy {
        Ok(())
    } else {
        Err(seen)
    }
}

#[test]
fn one_killed_from_outside_is_replaced() {
    let (dir, counts) = library();
    let arguments = ["--no-kill", "--task-bytes", "1KiB", "--passes", "40"];
    let running = start(demo(&dir.0, &arguments));
    let pid = workers(&running.line("workers:"))[1];
    kill_process(pid, Signal::KILL).unwrap();
    running.line("B ended (signal: 9");
    let result = ended(running, 0);
    assert_counts(&result, &counts, 40);
    assert_eq!(pids(&result["workers"][1])[0], pid.as_raw_nonzero().get());
    assert_eq!(pids(&result["workers"][1]).len(), 2);
    assert_eq!(pids(&result["workers"][0]).len(), 1);
}

#[test]
fn an_interrupt_ends_with_130_and_leaves_no_worker() {
    let (dir, _) = library();
    for signal in [Signal::INT, Signal::TERM] {
        let running = start(demo(
            &dir.0,
            &["--task-bytes", "1KiB", "--passes", "1000000"],
        ));
        running.line(" "); // a line of progress: some of it is done
        running.signal(signal);
        // Its end is that of its workers too.
        let result = ended(running, 130);
        assert_eq!(result["interrupted"], true);
        assert_eq!(result["equal"], false);
        assert!(result["tasks"].as_u64() > Some(0));
        assert!(!result["top"].as_array().unwrap().is_empty());
    }
}

#[test]
fn workers_do_not_outlive_a_killed_demo() {
    let (dir, _) = library();
    let running = start(demo(
        &dir.0,
        &["--task-bytes", "1KiB", "--passes", "1000000"],
    ));
    running.line("workers:");
    running.signal(Signal::KILL);
    let (code, stdout, _) = running.end();
    assert_eq!((code, &stdout[..]), (-1, ""));
}

#[test]
fn a_single_thread_counts_the_same() {
    let (dir, counts) = library();
    let arguments = ["count", "--json", "--top", "1000000"].map(OsStr::new);
    let mut counted = ended(start(arguments.into_iter().chain([dir.0.as_os_str()])), 0);
    counted["equal"] = true.into(); // a demo's result has it
    assert_counts(&counted, &counts, 1);
}

#[test]
fn bad_input_is_named_with_the_rule_and_the_way_out() {
    let dir = Dir::new();
    dir.write("empty/file.bin", b"\0");
    dir.write("text/file.txt", b"some words");
    let path = |name: &str| dir.0.join(name).to_string_lossy().into_owned();
    let (empty, text, file) = (path("empty"), path("text"), path("text/file.txt"));
    for (arguments, value, way_out) in [
        (
            &["demo", "--dir", "/nowhere"][..],
            "/nowhere",
            "give one that is there",
        ),
        (
            &["demo", "--dir", &file],
            &file,
            "give the one that it is in",
        ),
        (&["demo", "--dir", &empty], &empty, "give another directory"),
        (
            &["demo", "--dir", &text, "--max-bytes", "9"],
            "9 bytes",
            "give more",
        ),
        (&["count", "/nowhere"], "/nowhere", "give one that is there"),
        (&["demo", "--workers", "3,0,1"], "\"0\"", "such as 3,2,1"),
        (&["demo", "--workers", "3,x"], "\"x\"", "such as 3,2,1"),
        (&["demo", "--task-bytes", "3"], "3 bytes", "such as 128KiB"),
        (
            &["demo", "--max-bytes", "4 furlongs"],
            "4 furlongs",
            "such as 64MiB",
        ),
        (&["demo", "--depth", "0"], "'0'", "1..=1000"),
        (
            &["worker", "--bind", "carrier://pigeon"],
            "carrier",
            "use tcp, ipc or inproc",
        ),
        (
            &["worker", "--bind", "ipc:///nowhere/x"],
            "/nowhere/x",
            "choose another path",
        ),
    ] {
        let (code, stdout, stderr) = start(arguments).end();
        assert_eq!((code, &stdout[..]), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        assert!(
            stderr.contains(value) && stderr.contains(way_out),
            "{stderr}"
        );
    }
}

#[test]
fn at_a_terminal_a_table_shows_who_does_how_much() {
    let (dir, _) = library();
    let (terminal, mut screen) = terminal();
    let arguments = ["--task-bytes", "1KiB", "--passes", "1000000"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_bl-wordcount"))
        .args(demo(&dir.0, &arguments))
        .env("TERM", "xterm")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal)
        .spawn()
        .unwrap();
    let head = "worker  weight     tasks   share  in flight    p50 ms    p99 ms";
    screen.until(PATIENCE, "head", |line| line.contains(head).then_some(()));
    // Each has done some of it, has some in flight, and what took it how long is told: A has the
    // weight 3, B 2 and C 1.
    for (name, weight) in [("A", "3"), ("B", "2"), ("C", "1")] {
        screen.until(PATIENCE, "row", |line| {
            // What moves the cursor stands before it.
            let (_, row) = line.split_once(&format!("{name}  "))?;
            let [own, tasks, share, "%", in_flight, p50, p99, "up", ..] =
                row.split_whitespace().collect::<Vec<_>>()[..]
            else {
                return None;
            };
            let number = |text: &str| text.parse::<f64>().ok();
            let (tasks, share) = (number(tasks)?, number(share)?);
            let (p50, p99) = (number(p50)?, number(p99)?);
            let is_told = own == weight
                && tasks > 0.0
                && (0.1..100.0).contains(&share)
                && number(in_flight)? > 0.0
                && 0.0 < p50
                && p50 <= p99;
            is_told.then_some(())
        });
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn the_readme_shows_the_heart_of_the_demo() {
    let file = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::read_to_string(path).unwrap()
    };
    let (readme, heart) = (file("README.md"), file("bin/wordcount/heart.rs"));
    let (_, code) = heart.split_once("\n\n").expect("a header");
    assert!(code.contains("scatter(tasks)"), "{code}");
    assert!(readme.contains(code), "README.md shows something else");
    let examples: Vec<&str> = readme.split("```rust\n").skip(1).collect();
    assert!(examples[1].contains(code), "it is the second example");
}
