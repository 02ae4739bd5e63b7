//! Real servers behind a real proxy, as their callers see them.
//!
//! | file | what |
//! |---|---|
//! | `passing.rs` | calls of every kind, their ends, their deadlines |
//! | `nodes.rs` | pools behind the proxy: credit, killed and drained nodes, changes under load |
//! | `chains.rs` | proxies behind proxies, and round in a loop |
//! | `pull.rs` | nodes that grant free workers alone |
//! | `keys.rs` | calls that belong together, by their keys |
//! | `streams.rs` | items, either way and both |
//! | `hostile.rs` | callers and nodes that break the rules |
//! | `own.rs` | what the proxy answers itself, and what is told of it |
//! | `fleet.rs` | nodes, and a proxy in front of them |
//! | `desk.rs`, `calculator.rs`, `support.rs` | services, servers and repliers by hand, of the tests of calls |

#[path = "../rpc/calculator.rs"]
#[allow(dead_code, reason = "others call more of it")]
mod calculator;
mod chains;
#[path = "../rpc/desk.rs"]
#[allow(dead_code, reason = "others call more of it")]
mod desk;
#[path = "../rpc/support.rs"]
#[allow(dead_code, unused_imports, reason = "others need more of it")]
mod support;

mod fleet;
mod hostile;
mod keys;
mod nodes;
mod own;
mod passing;
mod pull;
mod streams;
