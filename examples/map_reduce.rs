//! Map and reduce over a pool of nodes, by two scatters.
//!
//! ```text
//! text --split--> pieces --map, anywhere--> (word, count) ...
//!      --partition by word--> parts --reduce, anywhere--> totals --merge--> the longest words
//! ```
//!
//! A node that is free takes the next task. One of them leaves in the middle; what it had and had
//! not begun goes to the others, and what it may have begun too, since the methods are idempotent.
//!
//! ```text
//! cargo run --example map_reduce
//! ```

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;

use brokerless::{Server, scatter};

/// A word, and how often it stands there.
type Pair = (String, u64);

/// What a node does.
#[brokerless::service(name = "mapreduce.v1")]
pub trait MapReduce {
    /// Counts the words of a piece of text.
    #[rpc(idempotent)]
    fn map(&self, piece: &str) -> Vec<Pair>;
    /// Adds up the counts of each word: all that there are of it are here.
    #[rpc(idempotent)]
    fn reduce(&self, pairs: Vec<Pair>) -> Vec<Pair>;
}

struct Node;

fn summed(pairs: impl IntoIterator<Item = Pair>) -> Vec<Pair> {
    let mut sums = BTreeMap::new();
    for (word, count) in pairs {
        *sums.entry(word).or_insert(0) += count;
    }
    sums.into_iter().collect()
}

impl MapReduce for Node {
    fn map(&self, piece: &str) -> Vec<Pair> {
        let words = piece
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| !word.is_empty());
        summed(words.map(|word| (word.to_lowercase(), 1)))
    }

    fn reduce(&self, pairs: Vec<Pair>) -> Vec<Pair> {
        summed(pairs)
    }
}

const TEXT: &str = "The quick brown fox jumps over the lazy dog. The dog sleeps; the fox does not, \
    and the quick one jumps again, over a dog that is as lazy as ever.";

/// Runs the example; a test does, too.
pub fn main() -> Result<(), Box<dyn Error>> {
    let serve = || {
        Server::builder()
            .service(MapReduceServer::new(Node))
            .bind("tcp://127.0.0.1:*")
    };
    let mut servers = vec![serve()?, serve()?, serve()?];
    let endpoints = servers
        .iter()
        .map(|server| server.local_endpoints()[0].to_string());
    let nodes = MapReduceClient::connect(endpoints.collect::<Vec<_>>())?;

    // Map: a sentence a task, many times over. One node leaves when some of it is done.
    let pieces = (0..200).flat_map(|_| TEXT.split_inclusive(['.', ';']));
    let mut pairs = Vec::new();
    let running = scatter(pieces)
        .over(&nodes)
        .run(|node, piece| node.begin().map(piece))?;
    for (done, told) in running.enumerate() {
        if done == 100 {
            servers.pop().ok_or("no server")?.stop();
        }
        match told.fate {
            scatter::Fate::Done(counted) => pairs.extend(counted),
            other => return Err(format!("task {}: {other:?}", told.task).into()),
        }
    }

    // Reduce: all pairs of one word are in the same part.
    let (totals, gathered) = scatter::partition_by_key(pairs, 8, |pair| pair.0.clone())?
        .over(&nodes)
        .run(|node, part| node.begin().reduce(part.clone()))?
        .merge(Vec::new(), |mut totals, part: Vec<Pair>| {
            totals.extend(part);
            totals
        });
    assert!(gathered.is_complete(), "{:?}", gathered.over());

    let mut totals = totals;
    totals.sort_by_key(|(word, count)| (std::cmp::Reverse(*count), word.clone()));
    for (word, count) in totals.iter().take(3) {
        println!("{count:>5}  {word}");
    }
    let top: Vec<(&str, u64)> = totals
        .iter()
        .map(|(word, count)| (&**word, *count))
        .collect();
    assert_eq!(top[..2], [("the", 1000), ("dog", 600)]);
    assert_eq!(totals.iter().map(|(_, count)| count).sum::<u64>(), 31 * 200);
    Ok(())
}
