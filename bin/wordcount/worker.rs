//! What runs in a worker process: a server whose pool counts.
//!
//! It prints where it listens as its first line, and ends when its standard input does: so it
//! cannot outlive the program that started it, however that one ends.

use std::io::{self, Write};
use std::time::Duration;

use brokerless::patterns;
use brokerless::server::Server;

use super::Failure;
use super::args::WorkerArgs;
use super::service::{Counter, WordCountServer};

/// A piece of text may be a whole file.
const BLOB_BYTES_MAX: u64 = 64 << 20;
/// What may lie here unanswered.
const WINDOW_BYTES_MAX: u64 = 1 << 30;
/// Nobody waits for what is still being counted at the end.
const DRAIN_TIME: Duration = Duration::from_millis(100);

/// Serves until standard input ends.
pub(super) fn run(args: &WorkerArgs) -> Result<(), Failure> {
    let server = Server::builder()
        .name(std::process::id().to_string())
        .service(WordCountServer::new(Counter))
        .workers(usize::try_from(args.threads).unwrap_or(1))
        .window(args.window)
        .window_max(args.window)
        .window_bytes_max(WINDOW_BYTES_MAX)
        .blob_bytes_max(BLOB_BYTES_MAX)
        .bind(&args.bind)
        .map_err(|error| match error {
            brokerless::Error::Patterns(
                patterns::Error::Endpoint(_) | patterns::Error::Bind(_),
            ) => Failure::usage(error.to_string()),
            _ => Failure::run(error.to_string()),
        })?;
    for endpoint in server.local_endpoints() {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{endpoint}").and_then(|()| out.flush());
        written.map_err(|error| Failure::run(format!("cannot say where it listens: {error}")))?;
    }
    // An error is an end as well.
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    let report = server.stop_within(DRAIN_TIME);
    log::info!("{report:?}");
    Ok(())
}
