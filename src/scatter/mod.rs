//! Distributed invocation: tasks are split, spread over the nodes of a pool, and gathered.
//!
//! ```
//! use std::time::Duration;
//!
//! use brokerless::{Server, scatter};
//!
//! #[brokerless::service(name = "words.v1")]
//! pub trait Words {
//!     #[rpc(idempotent)]
//!     fn count(&self, text: &str) -> u64;
//! }
//!
//! struct Counter;
//!
//! impl Words for Counter {
//!     fn count(&self, text: &str) -> u64 {
//!         text.split_whitespace().count() as u64
//!     }
//! }
//!
//! # let names = ["inproc://words-1", "inproc://words-2"];
//! # let serve = |name| Server::builder().service(WordsServer::new(Counter)).bind(name);
//! # let servers = [serve(names[0])?, serve(names[1])?];
//! let pool = WordsClient::connect(names)?;
//! let lines = ["the quick brown fox", "jumps over", "the lazy dog"];
//!
//! // In the order of the tasks: all of the values, or why not.
//! let gathered = scatter(lines).over(&pool).run(|words, line| words.begin().count(line))?.gather();
//! assert_eq!(gathered.into_values()?, [4, 2, 3]);
//!
//! // As they come.
//! for told in scatter(lines).over(&pool).run(|words, line| words.begin().count(line))? {
//!     println!("line {} at {:?}: {:?}", told.task, told.node, told.fate);
//! }
//!
//! // Folded by a merge, as they come; what there is when the time is over.
//! let (sum, gathered) = scatter(lines)
//!     .over(&pool)
//!     .timeout(Duration::from_secs(5))
//!     .run(|words, line| words.begin().count(line))?
//!     .merge(0, |sum, count| sum + count);
//! assert_eq!((sum, gathered.is_complete()), (9, true));
//!
//! // Every node once.
//! let each = scatter::broadcast(&pool).run(|words| words.begin().count("one two"))?.gather();
//! assert_eq!(each.into_values()?, [2, 2]);
//! # drop(servers);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! All of it is done by the thread that gathers: it calls, leads the engine while it waits, and
//! takes whichever call ends first. Dropped half way, it cancels what is in flight; so does a panic
//! in what the program gave it.
//!
//! | what | how |
//! |---|---|
//! | cut | [`scatter()`] of any iterator, drawn from as there is room; [`split`]; [`partition_by_key`] |
//! | spread | [`pull`](Scatter::pull): a node that is free takes the next task; [`policy`](Scatter::policy): the client's picks |
//! | call again | a task whose call did not run, on another node; one that may have run where that does no harm |
//! | end | all tasks, [`success_limit`](Scatter::success_limit), [`fail_limit`](Scatter::fail_limit), [`timeout`](Scatter::timeout), [`Canceller`] |
//! | result | [`Gathered`]: the [`Fate`] of each task, where, and after how many calls |
//! | every node | [`broadcast`] |
//!
//! | file | what |
//! |---|---|
//! | `options` | what a scatter is told before it runs |
//! | `running` | the loop: call, wait, take |
//! | `told`, `progress` | what became of each task; how far it is |
//! | `cut` | [`split`] and [`partition_by_key`] |
//! | `broadcast` | every node once |
//!
//! # Not here
//!
//! What goes where and when it is over (`machine::scatter`); waiting for any of many calls
//! ([`client::Together`](crate::client::Together)).

mod broadcast;
mod cut;
mod options;
mod progress;
mod running;
mod told;

pub use broadcast::{Broadcast, Broadcasting, broadcast};
pub use cut::{partition_by_key, split};
pub use options::{Scatter, Tasks, scatter};
pub use progress::{Canceller, Progress, Share};
pub use running::Running;
pub use told::{Fate, Gathered, ScatterError, Told};

pub use crate::machine::Over;
