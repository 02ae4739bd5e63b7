//! The command `bench-scale`: many peers of one ROUTER.
//!
//! ```text
//!  driver ---- lone server                      one peer
//!  driver ---- crowded server ---- crowd        one peer, and n that are connected and idle
//! ```
//!
//! The two drivers take turns, so that the round trip with a crowd is compared with that of a lone peer in the same round.
//! The crowd is a process of its own: plain DEALERs with up to 1,000 connections each, since a peer of the ROUTER is a
//! connection. All options are the defaults, heartbeats included.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use brokerless_patterns::Dealer;
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::harness::canary::Canary;
use crate::harness::neighbours::{self, Neighbours};
use crate::harness::pin::{self, Cores};
use crate::harness::process::{self, Process};
use crate::harness::report;
use crate::harness::roles::Role;
use crate::harness::rounds::{self, Lane, Settings};
use crate::harness::scenario::{Limit, SCENARIOS, Workload};
use crate::harness::slice::{Refill, stamped};
use crate::harness::stats::{self, Spread};
use crate::systems;

const PEERS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Connections of one DEALER in the crowd.
const PER_DEALER: usize = 1_000;
/// Connections that the crowd opens at once: fewer than the handshakes that a ROUTER allows to be pending.
const WAVE: usize = 100;
/// Descriptors that a process needs for other things.
const SPARE_DESCRIPTORS: u64 = 100;
/// Idle, as the bar says, and for more than two heartbeats of everybody.
const REST: Duration = Duration::from_millis(2_500);
const CROWD_WITHIN: Duration = Duration::from_secs(120);
/// With fewer peers than this, memory a peer is lost in what an allocator does anyway.
const MEMORY_BAR_FROM: usize = 1_000;

const MEMORY_BAR: Limit = Limit::AtMost(8.0 * 1024.0);
const ANSWERED_BAR: Limit = Limit::AtMost(2.0);
const RATIO_BAR: Limit = Limit::AtMost(1.2);

#[derive(Debug, Parser)]
#[command(
    name = "bench-scale",
    about = "One ROUTER with up to 10,000 connected peers: memory, time to answer all, round trip among idle ones",
    after_help = "\
Examples:
  bench-scale                              1, 10, 100, 1,000 and 10,000 peers
  bench-scale --peers 1 --peers 5000 --rounds 5
  bench-scale --strict                     exit code 1 where a bar is missed

Bars: <= 8 KiB resident a peer (from 1,000 peers), all answered once within 2 s,
round trip p50 <= 1.2 x that of a lone peer."
)]
struct Flags {
    #[command(subcommand)]
    role: Option<ScaleRole>,
    /// How many peers, in rising order (repeatable) [default: 1 10 100 1000 10000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    peers: Vec<u32>,
    /// Rounds that must count, for each number of peers
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: u16,
    /// Length of a driver's turn, an eighth of it for warming up
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(20..=500))]
    slice_ms: u64,
    /// Where the JSON goes [default: <workspace>/target/bench/scale.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 1 where a bar is missed
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
enum ScaleRole {
    #[command(flatten)]
    Pair(Role),
    #[command(hide = true)]
    Crowd {
        #[arg(long)]
        endpoint: String,
        #[arg(long)]
        core: usize,
    },
}

/// Runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = raise_descriptor_limit().and_then(|descriptors| match &flags.role {
        Some(ScaleRole::Pair(role)) => role.play().map(|()| ExitCode::SUCCESS),
        Some(ScaleRole::Crowd { endpoint, core }) => {
            crowd(endpoint, *core).map(|()| ExitCode::SUCCESS)
        }
        None => run(&flags, descriptors),
    });
    done.unwrap_or_else(|error| {
        eprintln!("bench-scale: {error:#}");
        ExitCode::from(2)
    })
}

/// Raises the soft limit to the hard one, which it gives back. Children inherit it.
fn raise_descriptor_limit() -> Result<u64> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .context("raising the limit of open files")?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// What a crowd answers.
#[derive(Debug, Serialize, Deserialize)]
struct Took {
    peers: usize,
    seconds: f64,
}

/// The process that holds the idle peers.
fn crowd(endpoint: &str, core: usize) -> Result<()> {
    pin::to_core(core)?;
    let mut crowd = Crowd {
        endpoint,
        dealers: Vec::new(),
        peers: 0,
    };
    process::say_ready("")?;
    process::answer_the_parent(|line| {
        let took = match line.split_once(' ') {
            Some(("grow", peers)) => crowd.grow(peers.parse()?)?,
            _ if line == "exchange" => crowd.exchange()?,
            _ => bail!("a crowd does not know how to {line:?}"),
        };
        Ok(serde_json::to_string(&took)?)
    })
}

struct Crowd<'a> {
    endpoint: &'a str,
    dealers: Vec<Dealer>,
    peers: usize,
}

impl Crowd<'_> {
    /// Connects until there are so many peers, and all handshakes are done.
    fn grow(&mut self, peers: usize) -> Result<Took> {
        let started = Instant::now();
        while self.peers < peers {
            let room = PER_DEALER - self.peers % PER_DEALER;
            let wave = WAVE.min(room).min(peers - self.peers);
            let mut opened = 0;
            if self.peers.is_multiple_of(PER_DEALER) {
                self.dealers.push(Dealer::connect(self.endpoint)?);
                opened = 1;
            }
            let dealer = self.dealers.last().context("no dealer")?;
            for _ in opened..wave {
                dealer.connect_to(self.endpoint)?;
            }
            self.peers += wave;
            let wanted = (self.peers - 1) % PER_DEALER + 1;
            while connected(dealer) < wanted {
                ensure!(
                    started.elapsed() < CROWD_WITHIN,
                    "{} of {wanted} connections of a dealer within {CROWD_WITHIN:?}",
                    connected(dealer)
                );
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(Took {
            peers: self.peers,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Every peer sends one message and gets its answer.
    fn exchange(&mut self) -> Result<Took> {
        let before = self.sent();
        let started = Instant::now();
        for dealer in &self.dealers {
            // In turn: one for each connection.
            for _ in 0..connected(dealer) {
                dealer.send(&stamped(1)[..])?;
            }
        }
        for (dealer, before) in self.dealers.iter().zip(&before) {
            for _ in before {
                dealer.recv()?;
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        for (before, after) in before.iter().flatten().zip(self.sent().iter().flatten()) {
            ensure!(
                *after == before + 1,
                "a peer sent {} messages, not 1",
                after - before
            );
        }
        Ok(Took {
            peers: self.peers,
            seconds,
        })
    }

    /// Messages that each connection has sent so far, dealer by dealer.
    fn sent(&self) -> Vec<Vec<u64>> {
        self.dealers
            .iter()
            .map(|dealer| {
                let peers = dealer.stats().peers;
                peers.iter().map(|peer| peer.sent_messages).collect()
            })
            .collect()
    }
}

fn connected(dealer: &Dealer) -> usize {
    let peers = dealer.stats().peers;
    peers.iter().filter(|peer| peer.connected).count()
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    peers: usize,
    connect_s: f64,
    answered_s: f64,
    resident_bytes: u64,
    bytes_a_peer: Option<f64>,
    p50_us: Option<f64>,
    ratio: Option<Spread>,
    left_out: usize,
    waiting_share: Option<f64>,
}

fn run(flags: &Flags, descriptors: u64) -> Result<ExitCode> {
    let settings = Settings {
        rounds: usize::from(flags.rounds),
        slice: Duration::from_millis(flags.slice_ms),
        cores: Cores::choose()?,
        free: false,
        refill: Refill::Each,
    };
    let mut wanted: Vec<usize> = flags.peers.iter().map(|peers| *peers as usize).collect();
    if wanted.is_empty() {
        wanted = PEERS.to_vec();
    }
    wanted.sort_unstable();
    wanted.dedup();

    let workload = Workload::named("rtt").context("no workload rtt")?;
    let system = systems::named(workload, "brokerless").context("brokerless is not built in")?;
    let folder = std::env::temp_dir();
    let mut lanes = [(); 2].map(|()| Lane::start(system, workload, &settings, &folder));
    for lane in &lanes {
        if let Some(why) = lane.failure() {
            bail!("{why}");
        }
    }
    let endpoint = lanes[1].endpoint().context("no endpoint")?.to_owned();
    let core = settings.cores.client.to_string();
    let arguments = ["crowd", "--endpoint", &endpoint, "--core", &core];
    let mut crowd = Process::start("crowd".to_owned(), arguments)?;
    crowd.ready(CROWD_WITHIN)?;

    let canary = Canary::start(&[settings.cores.client, settings.cores.server])?;
    let neighbours = Neighbours::watch();
    let mut rows: Vec<Row> = Vec::new();
    let mut remarks = Vec::new();
    for peers in wanted {
        if peers as u64 + SPARE_DESCRIPTORS > descriptors {
            remarks.push(format!(
                "{peers} peers not run: at most {descriptors} open files a process (ulimit -Hn)"
            ));
            continue;
        }
        rounds::progress(&format!("{peers} peers: connecting"));
        let mut ask = |question: &str| -> Result<Took> {
            Ok(serde_json::from_str(&crowd.ask(question, CROWD_WITHIN)?)?)
        };
        let grown = ask(&format!("grow {peers}"))?;
        let exchanged = ask("exchange")?;
        ensure!(
            (grown.peers, exchanged.peers) == (peers, peers),
            "a crowd of {} instead of {peers}",
            exchanged.peers
        );
        thread::sleep(REST);
        let server = lanes[1].server().context("the server has ended")?;
        let resident_bytes = server.resident_bytes()?;
        let bytes_a_peer = rows.first().map(|first| {
            let more = resident_bytes as f64 - first.resident_bytes as f64;
            more / (peers - first.peers) as f64
        });

        lanes.iter_mut().for_each(Lane::forget_idle);
        let rounds = rounds::run(&mut lanes, &settings, &canary);
        for lane in &lanes {
            if let Some(why) = lane.failure() {
                bail!("with {peers} peers: {why}");
            }
        }
        let of = |lane: usize| -> Vec<Option<f64>> {
            rounds
                .iter()
                .filter(|round| !round.stalled)
                .map(|round| SCENARIOS[0].read(round.outcomes[lane].as_ref()?))
                .collect()
        };
        let (lone, crowded) = (of(0), of(1));
        let known: Vec<f64> = crowded.iter().flatten().copied().collect();
        rows.push(Row {
            peers,
            connect_s: grown.seconds,
            answered_s: exchanged.seconds,
            resident_bytes,
            bytes_a_peer,
            p50_us: Spread::of(&known).map(|spread| spread.median),
            ratio: Spread::of(&stats::ratios(&crowded, &lone)),
            left_out: rounds.iter().filter(|round| round.stalled).count(),
            waiting_share: lanes[1].idle_share(),
        });
    }

    // Its processes have to end to be counted as ours.
    drop((lanes, crowd));
    remarks.extend(neighbours.as_ref().and_then(neighbours::remark));

    let out = flags
        .out
        .clone()
        .unwrap_or_else(|| report::default_out("scale.json"));
    report::write_json(&out, &to_json(&rows))?;
    let mut text = io::stdout().lock();
    let missed = print(&mut text, &rows)?;
    for remark in remarks {
        writeln!(text, "attention: {remark}")?;
    }
    writeln!(text, "written: {}", out.display())?;
    Ok(if flags.strict && missed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The table and the bars; how many were missed.
fn print(text: &mut dyn Write, rows: &[Row]) -> Result<usize> {
    writeln!(
        text,
        "{:>8}{:>11}{:>13}{:>13}{:>13}{:>12}  {:<24}{:>9}{:>10}",
        "peers",
        "connect s",
        "answered s",
        "server MiB",
        "bytes/peer",
        "p50 us",
        "against a lone peer",
        "left out",
        "waiting"
    )?;
    for row in rows {
        writeln!(
            text,
            "{:>8}{:>11.2}{:>13.4}{:>13.1}{:>13}{:>12}  {:<24}{:>9}{:>10}",
            row.peers,
            row.connect_s,
            row.answered_s,
            row.resident_bytes as f64 / f64::from(1 << 20),
            or_dash(row.bytes_a_peer, |bytes| format!("{bytes:.0}")),
            or_dash(row.p50_us, |p50_us| format!("{p50_us:.1}")),
            or_dash(row.ratio, report::show),
            row.left_out,
            or_dash(row.waiting_share, |share| format!("{:.1} %", share * 100.0)),
        )?;
    }
    writeln!(text)?;

    let mut missed = 0;
    for row in rows {
        let memory = row.bytes_a_peer.filter(|_| row.peers >= MEMORY_BAR_FROM);
        let ratio = row.ratio.map(|spread| spread.median);
        for (what, limit, figure) in [
            ("resident bytes a peer", MEMORY_BAR, memory),
            (
                "seconds until all are answered",
                ANSWERED_BAR,
                Some(row.answered_s),
            ),
            ("round trip p50 against a lone peer", RATIO_BAR, ratio),
        ] {
            let (Some(figure), Limit::AtMost(most)) = (figure, limit) else {
                continue;
            };
            let holds = limit.holds(figure);
            missed += usize::from(!holds);
            writeln!(
                text,
                "{:<6}{:>7} peers: {what:<36}<= {most:<8}{figure:.2}",
                if holds { "pass" } else { "FAIL" },
                row.peers,
            )?;
        }
    }
    writeln!(
        text,
        "\nconnect: {WAVE} at a time, from the peers before; bytes/peer: more resident memory than in the first line, by peer"
    )?;
    writeln!(
        text,
        "waiting: share of a core that the crowded server and its driver use while the other driver has its turn (heartbeats)"
    )?;
    Ok(missed)
}

fn to_json(rows: &[Row]) -> Value {
    let entries: Map<String, Value> = rows
        .iter()
        .map(|row| {
            let entry = json!({
                "connect_s": row.connect_s,
                "all_answered_s": row.answered_s,
                "server_resident_bytes": row.resident_bytes,
                "resident_bytes_per_peer": row.bytes_a_peer,
                "rtt_64B_p50_us": row.p50_us,
                "rtt_ratio": row.ratio.map(|spread| spread.median),
                "rtt_ratio_p10": row.ratio.map(|spread| spread.p10),
                "rtt_ratio_p90": row.ratio.map(|spread| spread.p90),
                "rounds_left_out": row.left_out,
                "waiting_core_share": row.waiting_share,
            });
            (row.peers.to_string(), entry)
        })
        .collect();
    Value::Object(entries)
}

fn or_dash<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}
