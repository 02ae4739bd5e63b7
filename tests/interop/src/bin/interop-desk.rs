//! A server of the fabric, and a caller of it, for peers in other languages.
//!
//! `interop-desk serve bind|connect ENDPOINT [name=value]..` serves until its input ends, and then
//! drains; its first line is where, and each line `stats` of its input is answered by what it holds
//! and has counted. `interop-desk call ENDPOINT` calls what a peer serves there, a line a call, and
//! ends with 0 if all came out as they should. `interop-desk lost ENDPOINT` calls a peer that breaks
//! off, and says how that ended.

use std::io::BufRead;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use brokerless::client::{Call, Client};
use brokerless::patterns::SocketStats;
use brokerless::server::{Server, ServerStats};
use brokerless::service::{Context, Incoming, Items};
use brokerless::{Blob, CallError, Code, Ran, Status};
use serde::{Deserialize, Serialize};

/// Why a division came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    reason: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

#[brokerless::service(name = "desk.v1")]
trait Desk {
    #[rpc(inline)]
    fn empty(&self);
    fn add(&self, x: i64, y: i64) -> i64;
    fn divide(&self, x: i64, y: i64) -> Result<i64, Refused>;
    fn large(&self, data: Blob, wanted: u64) -> Blob;
    fn bytes(&self, data: &[u8]) -> Vec<u8>;
    fn turn(&self, data: Vec<Blob>) -> Vec<Blob>;
    fn metadata(&self, ctx: &Context<'_>, text: &str, bytes: &str) -> (Option<String>, Vec<u8>);
    fn caller(&self, ctx: &Context<'_>) -> String;
    fn fail(&self, code: u8, message: &str) -> Result<(), Status>;
    /// Until it is cancelled, or for so long.
    fn hold(&self, ctx: &Context<'_>, ms: u64) -> bool;
    /// For so long, whatever becomes of the call.
    fn doze(&self, ms: u64);
    fn grown(&self, x: u8, #[rpc(default)] y: Option<u8>) -> u8;
    #[rpc(raw)]
    fn raw(&self, data: &[u8]) -> Vec<u8>;
    #[rpc(oneway)]
    fn note(&self, line: &str);
    fn noted(&self) -> Vec<String>;
    /// Blobs of these sizes, one after the other.
    fn blobs(&self, sizes: Vec<u32>) -> Items<'_, Blob>;
    /// Numbers from 0, up to this one.
    fn count(&self, to: u64) -> Items<'_, u64>;
    /// How many bytes came, and in how many blobs.
    fn bytes_of(&self, blobs: Incoming<Blob>) -> Result<(u64, u64), Status>;
    /// Gives back what it is given.
    fn back(&self, words: Incoming<String>) -> Items<'_, String>;
    /// The texts that came, and what was wrong with the rest.
    fn texts_of(&self, values: Incoming<String>) -> (Vec<String>, Vec<String>);
}

#[derive(Default)]
struct Handler {
    lines: std::sync::Mutex<Vec<String>>,
}

impl Handler {
    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.lines
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Desk for Handler {
    fn empty(&self) {}
    fn add(&self, x: i64, y: i64) -> i64 {
        x.wrapping_add(y)
    }
    fn divide(&self, x: i64, y: i64) -> Result<i64, Refused> {
        x.checked_div(y).ok_or_else(|| Refused {
            reason: "zero".to_owned(),
        })
    }
    fn large(&self, _data: Blob, wanted: u64) -> Blob {
        Blob::from(vec![7; usize::try_from(wanted).unwrap_or(0)])
    }
    fn bytes(&self, data: &[u8]) -> Vec<u8> {
        data.to_vec()
    }
    fn turn(&self, mut data: Vec<Blob>) -> Vec<Blob> {
        data.reverse();
        data
    }
    fn metadata(&self, ctx: &Context<'_>, text: &str, bytes: &str) -> (Option<String>, Vec<u8>) {
        let metadata = ctx.metadata();
        let bytes = metadata.get_bytes(bytes).unwrap_or_default();
        (metadata.get(text).map(str::to_owned), bytes.to_vec())
    }
    fn caller(&self, ctx: &Context<'_>) -> String {
        ctx.caller().name().to_owned()
    }
    fn fail(&self, code: u8, message: &str) -> Result<(), Status> {
        let code = Code::from_number(code).unwrap_or(Code::Internal);
        Err(Status::new(code, message.to_owned())
            .with_details(b"details".to_vec())
            .with_retry_after(Duration::from_millis(250)))
    }
    fn hold(&self, ctx: &Context<'_>, ms: u64) -> bool {
        self.lines().push("held".to_owned());
        let end = Instant::now() + Duration::from_millis(ms);
        while Instant::now() < end {
            if ctx.is_cancelled() {
                self.lines().push("cancelled".to_owned());
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        false
    }
    fn doze(&self, ms: u64) {
        self.lines().push("dozes".to_owned());
        let end = Instant::now() + Duration::from_millis(ms);
        while Instant::now() < end {
            std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
        }
    }
    fn grown(&self, x: u8, y: Option<u8>) -> u8 {
        x.wrapping_add(y.unwrap_or(1))
    }
    fn raw(&self, data: &[u8]) -> Vec<u8> {
        data.iter().rev().copied().collect()
    }
    fn note(&self, line: &str) {
        self.lines().push(line.to_owned());
    }
    fn noted(&self) -> Vec<String> {
        self.lines().clone()
    }
    fn blobs(&self, sizes: Vec<u32>) -> Items<'_, Blob> {
        Items::new(
            sizes
                .into_iter()
                .map(|size| Blob::from(vec![7; size as usize])),
        )
    }
    fn count(&self, to: u64) -> Items<'_, u64> {
        Items::new(Counting {
            handler: self,
            left: 0..to,
        })
    }
    fn bytes_of(&self, blobs: Incoming<Blob>) -> Result<(u64, u64), Status> {
        let (mut bytes, mut count) = (0, 0);
        for blob in blobs {
            bytes += blob?.len() as u64;
            count += 1;
        }
        Ok((bytes, count))
    }
    fn back(&self, words: Incoming<String>) -> Items<'_, String> {
        Items::fallible(words)
    }
    fn texts_of(&self, values: Incoming<String>) -> (Vec<String>, Vec<String>) {
        let (mut texts, mut faults) = (Vec::new(), Vec::new());
        for value in values {
            match value {
                Ok(text) => texts.push(text),
                Err(fault) => faults.push(fault.to_string()),
            }
        }
        (texts, faults)
    }
}

/// Numbers, and a note of their end.
struct Counting<'h> {
    handler: &'h Handler,
    left: std::ops::Range<u64>,
}

impl Iterator for Counting<'_> {
    type Item = u64;
    fn next(&mut self) -> Option<u64> {
        self.left.next()
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.handler
            .lines()
            .push(format!("left {}", self.left.start));
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", how, endpoint, options @ ..] => serve(how, endpoint, options),
        ["call", endpoint] => call(endpoint),
        ["lost", endpoint] => lost(endpoint),
        _ => bail!("serve bind|connect ENDPOINT [name=value].., call ENDPOINT or lost ENDPOINT"),
    }
}

fn serve(how: &str, endpoint: &str, options: &[&str]) -> Result<()> {
    ensure!(how == "bind", "a server binds");
    let mut builder = Server::builder()
        .name("desk")
        .service(DeskServer::new(Handler::default()));
    for option in options {
        let (name, value) = option.split_once('=').context("name=value")?;
        builder = match name {
            "window" => builder.window(value.parse()?).window_max(value.parse()?),
            "blob_bytes_max" => builder.blob_bytes_max(value.parse()?),
            "workers" => builder.workers(value.parse()?),
            _ => bail!("no option {name}"),
        };
    }
    let server = builder.bind(endpoint)?;
    say(&server
        .local_endpoints()
        .first()
        .context("bound")?
        .to_string())?;
    for line in std::io::stdin().lock().lines() {
        match &*line? {
            "stats" => say(&counts(&server.stats()))?,
            other => bail!("no command {other}"),
        }
    }
    let report = server.stop();
    say(&format!(
        "clean={} finished={}",
        report.is_clean(),
        report.finished
    ))
}

/// What is held now, then what has been counted.
fn counts(stats: &ServerStats) -> String {
    let of_sockets =
        |count: fn(&SocketStats) -> u64| -> u64 { stats.sockets.iter().map(count).sum() };
    format!(
        "stats callers={} in_flight={} owed={} connections={} queued={} arrived={} calls={} begun={} \
         answered={} cancels={} closed={}",
        stats.callers,
        stats.in_flight,
        stats.owed,
        of_sockets(|socket| socket.connections as u64),
        of_sockets(|socket| socket.recv_queue_messages as u64),
        of_sockets(|socket| socket.arrived_messages),
        stats.calls,
        stats.methods.iter().map(|method| method.calls).sum::<u64>(),
        stats.answered,
        stats.cancels,
        of_sockets(|socket| socket.closes.values().sum()),
    )
}

fn say(line: &str) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn call(endpoint: &str) -> Result<()> {
    let client = Client::builder()
        .name("rust")
        .timeout(Duration::from_secs(5))
        .connect(endpoint)?;
    let desk = DeskClient::from(client);
    ensure!(desk.add(2, 3)? == 5, "add");
    let sent: Vec<_> = (0..100)
        .map(|n| desk.begin().add(n, 1))
        .collect::<Result<_, _>>()?;
    for (n, pending) in (0..).zip(sent) {
        ensure!(pending.wait()? == n + 1, "add {n}");
    }
    say("add")?;
    match desk.divide(1, 0) {
        Err(CallError::Method(Refused { reason })) => ensure!(reason == "zero", "{reason}"),
        other => bail!("divide: {other:?}"),
    }
    say("divide")?;
    let blob = desk.large(Blob::from(vec![1; 271_828]), 314_159)?;
    ensure!(blob.len() == 314_159, "large: {}", blob.len());
    let turned = desk.turn(vec![Blob::from_static(b"a"), Blob::new()])?;
    ensure!(
        turned == [Blob::new(), Blob::from_static(b"a")],
        "turn: {turned:?}"
    );
    say("blobs")?;
    let with = Call::new()
        .metadata("tenant", "blue")
        .metadata_bytes("trace", &[0, 255]);
    let got = desk.with(with).metadata("tenant", "trace")?;
    ensure!(got == (Some("blue".to_owned()), vec![0, 255]), "{got:?}");
    say("metadata")?;
    ensure!(desk.raw(&[1, 2, 3])? == [3, 2, 1], "raw");
    say("raw")?;
    let Err(error) = desk.fail(5, "no file \u{1f608}") else {
        bail!("fail gave a value");
    };
    let error = error.rpc().context("the fabric's error")?;
    ensure!(
        error.code() == Code::NotFound && error.ran() == Ran::Yes,
        "{error}"
    );
    ensure!(error.message() == "no file \u{1f608}", "{error}");
    ensure!(
        error.retry_after() == Some(Duration::from_millis(250)),
        "{error}"
    );
    ensure!(
        error.details().is_some_and(|d| d[..] == *b"details"),
        "{error}"
    );
    ensure!(error.node() == Some(endpoint), "{error}");
    say("fail")?;
    let Err(error) = desk.noted() else {
        bail!("noted gave a value");
    };
    ensure!(
        error.code() == Code::Unimplemented && error.ran() == Ran::No,
        "{error}"
    );
    say("unknown")?;
    desk.note("a line")?;
    ensure!(desk.add(1, 1)? == 2, "after a oneway call");
    say("oneway")
}

/// Calls once: the answer breaks off.
fn lost(endpoint: &str) -> Result<()> {
    let client = Client::builder()
        .timeout(Duration::from_secs(30))
        .connect(endpoint)?;
    let begun = Instant::now();
    let Err(error) = DeskClient::from(client).add(2, 3) else {
        bail!("a value came");
    };
    let (code, ran) = (error.code().number(), error.ran().number());
    say(&format!("{code} {ran} {}", begun.elapsed().as_millis()))
}
