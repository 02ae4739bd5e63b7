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
//! lets the policy pick.
//!
//! | policy | which node | take it where | after |
//! |---|---|---|---|
//! | [`adaptive`](Policy::adaptive) | where a call is expected to end soonest, by reports, answers and what is in flight | you know of no reason for another | hot-cold and peak EWMA, with reports at their worth of now |
//! | [`round-robin`](Policy::round_robin) | each in turn | nodes and calls are alike | |
//! | [`random`](Policy::random) | any | it has to be simple: many callers, short calls | |
//! | [`weighted`](Policy::weighted) | each its share of turns, evenly spread | you know what nodes can do | nginx's smooth order (2012); earliest deadline first above 64 nodes |
//! | [`dynamic`](Policy::dynamic) | shares by what nodes report: calls for what they take | nodes differ, and nobody knows how much | gRFC A58 |
//! | [`least-in-flight`](Policy::least_in_flight) | the least busy of two; of different weights, each by weight / (in flight + 1) | calls differ in length | Mitzenmacher (1996); Envoy's least request |
//! | [`peak-ewma`](Policy::peak_ewma) | of two, the one that seems to answer first | nodes become slow now and then | Finagle; linkerd |
//! | [`hot-cold`](Policy::hot_cold) | the fastest of those that are not full, by sixteen reports | there are very many nodes | Prequal (2024) |
//! | [`consistent-hash`](Policy::consistent_hash) | the one that the key belongs to, while it is not overloaded | nodes keep something for each key | Maglev (2016); bounded loads (Mirrokni, 2016) |
//!
//! Policies compose, from within to without: each of these divides the nodes, and the policy that it
//! is called on picks within each part.
//!
//! | composed | which part | take it where | after |
//! |---|---|---|---|
//! | [`by_place`](Policy::by_place) | zone, region, everywhere: as near as keeps nodes equally busy | nodes and callers are in several zones | Envoy's zone-aware routing |
//! | [`by_distance`](Policy::by_distance) | rings around home, by coordinates | there are coordinates and no zones | great circle |
//! | [`by_round_trip`](Policy::by_round_trip) | rings around the nearest, by measured round trips | nobody says where nodes are, or they move | |
//! | [`by_priority`](Policy::by_priority) | the first priority; the next for what it has lost beyond what it can spare | nodes stand by for others | Envoy's priority levels |
//! | [`within_subset`](Policy::within_subset) | a few nodes, others for each caller | there are many nodes, and many callers | rendezvous hashing (1996); gRFC A68 |
//!
//! Whatever the policy, a node that comes up starts slowly ([`slow_start`](Policy::slow_start)).
//!
//! ```
//! use std::time::Duration;
//! use brokerless_patterns::balance::{Balancer, Facts, Place, Policy};
//!
//! // Near before far, those of priority 0 before the others, the fastest of two among those.
//! let policy = Policy::peak_ewma().by_priority().by_place(Place::new("eu", "eu-1"));
//! let node = |zone, priority| Facts::default().place(Place::new("eu", zone)).priority(priority);
//! let nodes = [node("eu-1", 0), node("eu-1", 1), node("eu-2", 0)];
//! policy.check(&nodes)?;
//!
//! let mut balancer = Balancer::new(&policy, 4711)?; // from the same seed it picks the same
//! for (number, facts) in nodes.into_iter().enumerate() {
//!     balancer.add(0, number, facts);
//!     balancer.set_up(0, number, true);
//! }
//! assert_eq!(balancer.pick(0, None, &|_| true), Some(0));
//! balancer.sent(0, 0);
//! balancer.replied(2_000_000, 0, Duration::from_millis(2), None);
//!
//! // The first of the zone has no credit: the other of it is nearer than what is elsewhere.
//! assert_eq!(balancer.pick(2_000_000, None, &|node| node != 0), Some(1));
//! # Ok::<(), brokerless_patterns::balance::PolicyError>(())
//! ```
//!
//! | file | what |
//! |---|---|
//! | `balancer`, `slow_start` | [`Balancer`]: the nodes, and the policy that picks among them |
//! | `nodes`, `place` | [`Nodes`]: what is known of each; [`Facts`], [`Load`], [`Place`] |
//! | `pick` | [`Pick`]: the trait of a policy; [`Ask`]: what it is asked |
//! | `policy`, `options`, `error` | [`Policy`]: which one, by name or in code, with its options |
//! | `text` | [`PolicyText`]: the same in words, as command lines and files give them |
//! | `adaptive`, `stale` | the default: where a call is expected to end soonest; what old reports are worth |
//! | `hot_cold` | the fastest of those that are not full |
//! | `members` | [`Members`]: those that one picks from, in a dense list, and drawing among them |
//! | `random` | [`Random`]: numbers from a seed |
//! | `rotate`, `any` | round-robin; random |
//! | `weighted`, `smooth`, `schedule` | by weight: the smooth order, and earliest deadline first |
//! | `least`, `peak`, `choice` | least in flight; peak EWMA; the best of two, or turns by weight and cost |
//! | `dynamic` | weights that follow reports |
//! | `adaptive`, `hot_cold`, `stale` | adaptive; hot-cold; what a report is worth at its age |
//! | `hash` | consistent hash |
//! | `near`, `rings`, `stay` | by place, distance and round trip; how far is how far; how much stays near |
//! | `priority`, `subset`, `parts` | by priority; a subset; nodes in parts, with a policy each |
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
mod rings;
mod rotate;
mod schedule;
mod slow_start;
mod smooth;
mod stale;
mod stay;
mod subset;
#[cfg(test)]
mod testing;
mod text;
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
pub use text::{PolicyOption, PolicyText};

/// A time: nanoseconds since any moment that stays the same.
pub type Nanos = u64;
