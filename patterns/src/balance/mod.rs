//! Picking policies: which node gets the next call, as pure functions of state, time and randomness
//! that are given to them.
//!
//! ```text
//! pool ── add, set, set_up, remove ──► Balancer ── joined, changed, left ──────► dyn Pick
//! call ── pick ──────────────────────►   Nodes (facts, in flight, last report)      │
//!      ◄─ sent, replied, failed ─────►   Random                  ◄── picks ─────────┘
//! ```
//!
//! A [`Policy`] says which; a [`Balancer`] is one at work: it keeps what is known of each node, and
//! lets the policy pick. Policies compose: one that divides the nodes (by place, by priority, a
//! subset) has a policy of its own within each part.
//!
//! | file | what |
//! |---|---|
//! | `balancer` | [`Balancer`]: the nodes, and the policy that picks among them; slow start |
//! | `members` | [`Members`]: those that one picks from, in a dense list, and drawing among them |
//! | `nodes` | [`Nodes`]: what is known of each; [`Facts`], [`Load`] |
//! | `pick` | [`Pick`]: the trait of a policy; [`Ask`]: what it is asked |
//! | `place` | [`Place`]: where a node is |
//! | `policy` | [`Policy`]: which one, by name or in code |
//! | `random` | [`Random`]: numbers from a seed |
//! | `smooth` | smooth weighted round-robin |
//!
//! # Not here
//!
//! Clocks, sockets and credit: whoever asks says which nodes are able to take a call.

mod adaptive;
mod any;
mod balancer;
mod choice;
mod dynamic;
mod error;
#[cfg(test)]
mod every;
mod hash;
mod hot_cold;
mod least;
mod members;
mod near;
mod nodes;
mod options;
mod parts;
mod peak;
mod pick;
mod place;
mod policy;
mod priority;
mod random;
mod rotate;
mod schedule;
mod slow_start;
mod smooth;
mod stale;
mod stay;
mod subset;
#[cfg(test)]
mod testing;
mod weighted;

pub use balancer::Balancer;
pub use error::PolicyError;
pub use members::Members;
pub use nodes::{Facts, Load, Nodes, Report};
pub use pick::{Ask, Pick};
pub use place::Place;
pub use policy::Policy;
pub use random::{Random, hash};
pub use smooth::SmoothWeighted;

/// A time: nanoseconds since any moment that stays the same.
pub type Nanos = u64;
