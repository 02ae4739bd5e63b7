//! A service with a method of each kind, and the program beside it.

#[path = "../support/port.rs"]
mod port;
#[path = "../../patterns/tests/support/rounds.rs"]
mod rounds;
#[path = "../support/terminal.rs"]
mod terminal;
#[path = "../support/waiting.rs"]
mod waiting;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brokerless::server::{Server, ServerBuilder};
use brokerless::service::{Context, Incoming, Items};
use brokerless::{Blob, Status};
use serde::{Deserialize, Serialize};

pub(crate) use port::KeptPort;
use rounds::in_rounds;
pub(crate) use terminal::terminal;
pub(crate) use waiting::{PATIENCE, until};

/// Time enough to reach a server and call it, and soon over: see [`reaches`].
pub(crate) const REACHES: &str = "1s";
/// The signature of the method that most errors here are about.
pub(crate) const ADD: &str = "calc.v1.add(x: i64, y: i64) -> i64";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum DivideError {
    ByZero,
    TooLarge { by: f64 },
}

impl fmt::Display for DivideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it cannot be divided")
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    id: u64,
    name: String,
    tags: Option<Vec<String>>,
}

/// Calculates.
#[brokerless::service(name = "calc.v1")]
pub(crate) trait Calc {
    /// Adds two numbers.
    ///
    /// The sum wraps.
    #[rpc(inline, idempotent)]
    fn add(&self, x: i64, y: i64) -> i64;
    fn divide(&self, x: f64, y: f64) -> Result<f64, DivideError>;
    fn find(&self, text: &str, needle: &str) -> Vec<u64>;
    fn page(&self, text: String, from: Option<u64>, #[rpc(default)] most: u64) -> String;
    fn save(&self, user: User) -> User;
    fn sum(&self, values: Vec<u32>, weights: BTreeMap<String, u8>) -> u64;
    fn kinds(&self, bytes: Vec<u8>, long: u128, pair: (char, bool)) -> (Vec<u8>, u128, f32);
    #[rpc(timeout = "3s")]
    fn wait(&self, ms: u64) -> u64;
    #[rpc(oneway)]
    fn log(&self, line: &str);
    fn logged(&self) -> u64;
    fn tenant(&self, ctx: &Context<'_>) -> Result<String, Status>;
    fn store(&self, name: &str, data: Blob) -> u64;
    fn load(&self, bytes: u64) -> Option<Blob>;
    fn parts(&self, blobs: Vec<Blob>) -> Vec<Blob>;
    #[rpc(raw)]
    fn reverse(&self, bytes: &[u8]) -> Vec<u8>;
    fn panics(&self);
    fn count(&self, to: u64) -> Items<'_, u64>;
    fn words(&self, text: &str) -> Result<Items<'_, String>, DivideError>;
    fn chunks(&self, bytes: u32) -> Items<'_, Blob>;
    fn breaks(&self, after: u64) -> Items<'_, u64>;
    fn silent(&self) -> Items<'_, u64>;
    fn total(&self, start: i64, values: Incoming<i64>) -> i64;
    fn users(&self, users: Incoming<User>) -> Result<Vec<String>, DivideError>;
    fn sizes(&self, blobs: Incoming<Blob>) -> Vec<u64>;
    fn first(&self, values: Incoming<i64>) -> Option<i64>;
    fn chat(&self, prefix: String, words: Incoming<String>) -> Items<'_, String>;
}

#[derive(Default)]
pub(crate) struct Desk {
    logged: AtomicU64,
}

impl Calc for Desk {
    fn add(&self, x: i64, y: i64) -> i64 {
        x.wrapping_add(y)
    }
    fn divide(&self, x: f64, y: f64) -> Result<f64, DivideError> {
        match y {
            0.0 => Err(DivideError::ByZero),
            y if y > 1e6 => Err(DivideError::TooLarge { by: y - 1e6 }),
            y => Ok(x / y),
        }
    }
    fn find(&self, text: &str, needle: &str) -> Vec<u64> {
        let found = text.match_indices(needle);
        found.map(|(at, _)| at as u64).collect()
    }
    fn page(&self, text: String, from: Option<u64>, most: u64) -> String {
        format!("{text} {from:?} {most}")
    }
    fn save(&self, user: User) -> User {
        user
    }
    fn sum(&self, values: Vec<u32>, weights: BTreeMap<String, u8>) -> u64 {
        let values: u64 = values.into_iter().map(u64::from).sum();
        values + weights.into_values().map(u64::from).sum::<u64>()
    }
    fn kinds(&self, bytes: Vec<u8>, long: u128, (_, _): (char, bool)) -> (Vec<u8>, u128, f32) {
        (bytes, long, 0.1)
    }
    fn wait(&self, ms: u64) -> u64 {
        let until = Instant::now() + Duration::from_millis(ms);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
        ms
    }
    fn log(&self, _line: &str) {
        self.logged.fetch_add(1, Ordering::SeqCst);
    }
    fn logged(&self) -> u64 {
        self.logged.load(Ordering::SeqCst)
    }
    fn tenant(&self, ctx: &Context<'_>) -> Result<String, Status> {
        let tenant = ctx.metadata().get("tenant").map(str::to_owned);
        tenant.ok_or_else(|| Status::unauthenticated("whose is it?"))
    }
    fn store(&self, _name: &str, data: Blob) -> u64 {
        data.iter().map(|byte| u64::from(*byte)).sum()
    }
    fn load(&self, bytes: u64) -> Option<Blob> {
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0)?;
        Some(Blob::from(vec![7; bytes]))
    }
    fn parts(&self, mut blobs: Vec<Blob>) -> Vec<Blob> {
        blobs.reverse();
        blobs
    }
    fn reverse(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().rev().copied().collect()
    }
    fn panics(&self) {
        panic!("as it was told to");
    }
    fn count(&self, to: u64) -> Items<'_, u64> {
        Items::new(0..to)
    }
    fn words(&self, text: &str) -> Result<Items<'_, String>, DivideError> {
        if text.is_empty() {
            return Err(DivideError::ByZero);
        }
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Ok(Items::new(words))
    }
    fn chunks(&self, bytes: u32) -> Items<'_, Blob> {
        Items::new((0..bytes).map(|byte| Blob::from(vec![byte as u8; 1000])))
    }
    fn breaks(&self, after: u64) -> Items<'_, u64> {
        let items = (0..=after).map(move |index| match index {
            index if index == after => Err(Status::data_loss("the disk is gone")),
            index => Ok(index),
        });
        Items::fallible(items)
    }
    fn silent(&self) -> Items<'_, u64> {
        Items::new(std::iter::once_with(|| {
            let until = Instant::now() + Duration::from_secs(5);
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(left);
            }
            0
        }))
    }
    fn total(&self, start: i64, values: Incoming<i64>) -> i64 {
        start + values.filter_map(Result::ok).sum::<i64>()
    }
    fn users(&self, users: Incoming<User>) -> Result<Vec<String>, DivideError> {
        let users = users.map(|user| user.map(|user| user.name));
        let users: Result<Vec<String>, Status> = users.collect();
        users.map_err(|_| DivideError::ByZero)
    }
    fn sizes(&self, blobs: Incoming<Blob>) -> Vec<u64> {
        let blobs = blobs.filter_map(Result::ok);
        blobs.map(|blob| blob.len() as u64).collect()
    }
    fn first(&self, mut values: Incoming<i64>) -> Option<i64> {
        values.next().and_then(Result::ok)
    }
    fn chat(&self, prefix: String, words: Incoming<String>) -> Items<'_, String> {
        Items::fallible(words.map(move |word| Ok(format!("{prefix}{}", word?))))
    }
}

/// A server of it, on any free port.
pub(crate) fn serve() -> (Server, String) {
    serve_with(|builder| builder)
}

pub(crate) fn serve_with(set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, String) {
    let builder = Server::builder()
        .name("desk")
        .drain_timeout(Duration::ZERO)
        .item_timeout(PATIENCE);
    let builder = builder.service(CalcServer::new(Desk::default()));
    let server = set(builder).bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = server.local_endpoints()[0].to_string();
    (server, endpoint)
}

/// What the program left: exit code, standard output, standard error.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Left {
    /// It did what it was told; what it printed.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        let shown: String = self.out.chars().take(500).collect();
        assert_eq!((self.code, &*self.err), (0, ""), "{shown}");
        self.out
    }

    /// It ended with this exit code, printed nothing, and complained of all of this.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, parts: &[&str]) -> String {
        assert_eq!((self.code, &*self.out), (code, ""), "{}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in: {}", self.err);
        }
        self.err
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bl-call"));
    command.args(arguments).env_remove("RUST_LOG");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program.
pub(crate) fn run(arguments: &[&str]) -> Left {
    end(command(arguments).spawn().unwrap())
}

/// Runs the program, which has [`REACHES`]: once more where it has not reached the server by then.
#[track_caller]
pub(crate) fn reaches(arguments: &[&str], code: i32) -> Left {
    in_rounds("it reaches the server", || {
        let left = run(arguments);
        match left.code {
            found if found == code => Ok(left),
            3 | 4 => Err(left.err),
            _ => panic!("{left:?}"),
        }
    })
}

/// Runs it with this on its standard input.
pub(crate) fn run_with(arguments: &[&str], stdin: &[u8]) -> Left {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // It may end without having read.
    let writer = std::thread::spawn(move || drop(to.write_all(&stdin)));
    let left = end(child);
    writer.join().unwrap();
    left
}

pub(crate) fn end(child: Child) -> Left {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Left {
        code: output.status.code().unwrap_or(-1),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bl-call-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    /// The path of a file in it, with this in it.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        self.path(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
