//! The heart of it: tasks are spread over workers that count, and what they counted comes back.
//!
//! The README shows what is below, word for word (test
//! `the_readme_shows_the_heart_of_the_demo`).

use brokerless::scatter::{Canceller, Over, Told, scatter};
use brokerless::{Blob, Error, Status};
use serde::{Deserialize, Serialize};

/// Counts words.
#[brokerless::service(name = "wordcount.v1")]
pub(crate) trait WordCount {
    /// Counts the words of a few pieces of text. To count them twice does no harm.
    #[rpc(idempotent)]
    fn count(&self, pieces: Vec<Blob>) -> Result<Counts, Status>;
}

/// What was counted: each word once.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) pid: u32,
    pub(crate) words: Vec<(String, u64)>,
}

/// Has the pieces of each task counted by one of the workers, and gives out what they counted, as
/// it comes. A worker that has fewer than `depth` tasks takes the next one; what was at one that is
/// lost goes to another.
pub(crate) fn count_all(
    workers: &WordCountClient,
    tasks: impl Iterator<Item = Vec<Blob>>,
    depth: u32,
    stop: &Canceller,
    mut counted: impl FnMut(Told<Counts>),
) -> Result<Over, Error> {
    let mut running = scatter(tasks)
        .over(workers)
        .pull(depth)
        .tries(10)
        .fail_limit(1)
        .cancelled_by(stop)
        .run(|worker, pieces| worker.begin().count(pieces.clone()))?;
    for told in &mut running {
        counted(told);
    }
    Ok(running.finish().over())
}
