//! What runs in a worker process: a server whose pool counts.
//!
//! It prints where it listens as its first line, and ends when its standard input does: so it
//! cannot outlive the program that started it, however that one ends.

use std::io::{self, Write};
use std::time::Duration;

use brokerless::server::Server;
use brokerless::{Blob, Status, patterns};

use super::Failure;
use super::args::WorkerArgs;
use super::heart::{Counts, WordCount, WordCountServer};
use super::words::Table;

/// A piece of text may be a whole file.
const BLOB_BYTES_MAX: u64 = 64 << 20;
/// What may lie here unanswered.
const WINDOW_BYTES_MAX: u64 = 1 << 30;
/// Nobody waits for what is still being counted at the end.
const DRAIN_TIME: Duration = Duration::from_millis(100);

/// Counts on the thread that calls.
#[derive(Debug)]
pub(super) struct Counter;

impl WordCount for Counter {
    fn count(&self, pieces: Vec<Blob>) -> Result<Counts, Status> {
        let mut table = Table::default();
        for (index, piece) in pieces.iter().enumerate() {
            let text = std::str::from_utf8(piece).map_err(|error| {
                Status::invalid_argument(format!("piece {index} is no text: {error}"))
            })?;
            table.count(text);
        }
        let words = table.iter();
        Ok(Counts {
            pid: std::process::id(),
            words: words
                .map(|(word, count)| (word.to_owned(), count))
                .collect(),
        })
    }
}

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

#[cfg(test)]
mod tests {
    use brokerless::{Code, Ran};

    use super::super::heart::WordCountClient;
    use super::*;

    #[test]
    fn pieces_are_counted_together_and_what_is_no_text_is_refused() {
        let server = Server::builder().service(WordCountServer::new(Counter));
        let server = server.bind("inproc://wordcount-service").unwrap();
        let client = WordCountClient::connect("inproc://wordcount-service").unwrap();

        let pieces = ["one two", " ü one"].map(|text| Blob::from(text.to_owned()));
        let counted = client.count(pieces.into()).unwrap();
        let mut words = counted.words;
        words.sort();
        let expected = [("one", 2), ("two", 1), ("ü", 1)];
        assert_eq!(
            words,
            expected.map(|(word, count)| (word.to_owned(), count))
        );
        assert_eq!(counted.pid, std::process::id());

        let pieces = vec![Blob::from_static(b"text"), Blob::from_static(b"\xff")];
        let error = client.count(pieces).unwrap_err();
        assert_eq!(
            (error.code(), error.ran()),
            (Code::InvalidArgument, Ran::Yes)
        );
        assert!(error.to_string().contains("piece 1"), "{error}");
        drop(server);
    }
}
