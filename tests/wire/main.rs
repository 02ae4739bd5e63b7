//! The wire: the examples of `docs/WIRE.md`, its limits, and what must not pass.
//!
//! ```text
//! docs/WIRE.md      a block for each example, annotated ─┐
//! tests/golden/     a file for each example             ─┼─ one text of hex; written and read
//! examples.rs       a line for each example             ─┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `examples.rs` | the examples as values |
//! | `golden.rs` | examples, files and page are one |
//! | `codec.rs` | arguments and values |
//! | `envelopes.rs` | properties of envelopes, limits |
//! | `items.rs` | the items of a stream's message |
//! | `corpus.rs` | what the fuzzer has found, replayed |

mod codec;
mod corpus;
mod envelopes;
mod examples;
mod golden;
mod items;

/// What the fuzzer checks, too.
#[path = "../../patterns/fuzz/src/envelope.rs"]
mod envelope;

/// Counts what it takes.
#[path = "../../patterns/fuzz/src/checks/alloc.rs"]
#[allow(dead_code, reason = "some of it is for other checks")]
mod alloc;
