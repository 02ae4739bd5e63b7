//! What runs in a server's process.

use std::io::BufRead;
use std::time::Duration;

use brokerless::server::{Server, ServerStats};

use super::load;
use super::work::{WorkServer, Worker};

/// The first argument that makes this program one.
pub(crate) const ROLE: &str = "role-server";

/// Serves at an endpoint, notes what runs in a file, and takes options as `name=value`. Told
/// `stats` it answers with its counts. It drains when its input ends or a signal says so, and
/// says how that went.
#[allow(clippy::print_stdout, reason = "it speaks to its parent")]
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) {
    let endpoint = arguments.next().expect("an endpoint");
    let notes = arguments.next().expect("a file for notes");
    let mut transport = load::patient();
    let mut builder = Server::builder()
        .service(WorkServer::new(Worker::noting(&notes)))
        .workers(4)
        .item_timeout(Duration::from_secs(60))
        .drain_timeout(Duration::from_secs(60));
    for argument in arguments {
        let (name, value) = argument.split_once('=').expect("name=value");
        let number: u64 = value.parse().expect("a number");
        match name {
            "window" => builder = builder.window(number as u32),
            "window_max" => builder = builder.window_max(number as u32),
            "workers" => builder = builder.workers(number as usize),
            "send_bytes_max" => transport = transport.send_bytes_max(number as usize),
            "heartbeat_timeout" => {
                let timeout = Duration::from_secs(number);
                transport = transport.heartbeat_timeout(timeout).heartbeat_ttl(timeout);
            }
            other => panic!("no option {other}"),
        }
    }
    let server = builder.transport(transport).bind(&endpoint);
    let server = server.unwrap_or_else(|error| panic!("{endpoint}: {error}"));
    println!("ready {}", server.local_endpoints()[0]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let report = server.run_until_signal().expect("no handler so far");
            println!(
                "ended clean={} refused={} running={} unsent={} unheard={} took_ms={}",
                u8::from(report.is_clean()),
                report.refused,
                report.running,
                report.unsent,
                report.unheard,
                report.took.as_millis()
            );
            std::process::exit(0);
        });
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            assert_eq!(line, "stats");
            println!("answer {}", told(&server.stats()));
        }
        server.stopper().stop();
    });
}

fn told(stats: &ServerStats) -> String {
    let threads: usize = stats.pools.iter().map(|pool| pool.threads).sum();
    let running: usize = stats.pools.iter().map(|pool| pool.running).sum();
    let closes: u64 = stats
        .sockets
        .iter()
        .flat_map(|socket| socket.closes.values())
        .sum();
    let mut told = format!(
        "calls={} answered={} failed={} panicked={} hellos_refused={} cancels={} in_flight={} callers={} threads={threads} running={running} closes={closes}",
        stats.calls,
        stats.answered,
        stats.failed,
        stats.panicked,
        stats.hellos_refused,
        stats.cancels,
        stats.in_flight,
        stats.callers,
    );
    told.push_str(&format!(
        " streams_open={} items_in={} items_out={}",
        stats.streams.open, stats.streams.items_in, stats.streams.items_out
    ));
    for (group, counts) in [("refused", &stats.refused), ("dropped", &stats.dropped)] {
        for (name, count) in counts {
            told.push_str(&format!(" {group}.{name}={count}"));
        }
    }
    told
}
