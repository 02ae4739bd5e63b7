//! What a worker serves and the demo calls.
//!
//! Text stands in blobs: frames of their own, which nobody copies.

use brokerless::{Blob, Status};
use serde::{Deserialize, Serialize};

use super::words::Table;

/// What was counted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// The process that counted.
    pub(super) pid: u32,
    /// Each word once.
    pub(super) words: Vec<(String, u64)>,
}

/// Counts words.
#[brokerless::service(name = "wordcount.v1")]
pub(super) trait WordCount {
    /// Counts the words of a few pieces of text. To count them twice does no harm.
    #[rpc(idempotent)]
    fn count(&self, pieces: Vec<Blob>) -> Result<Counts, Status>;
}

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
        Ok(Counts {
            pid: std::process::id(),
            words: table
                .iter()
                .map(|(word, count)| (word.to_owned(), count))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use brokerless::server::Server;
    use brokerless::{Code, Ran};

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
