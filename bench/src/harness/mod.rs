//! How figures are taken, whoever is measured.
//!
//! | file | what it holds |
//! |---|---|
//! | `scenario` | the scenarios, their workloads, and the bars |
//! | `slice` | one system's turn: warm-up, measuring, what it reports |
//! | `crowd` | loads one way, and how their counts come back |
//! | `rounds` | systems interleaved slice by slice, round by round |
//! | `process` | the client and server processes, their CPU time and memory |
//! | `roles` | what they do |
//! | `pin` | cores |
//! | `canary` | sees the machine stall |
//! | `neighbours` | sees other programs at work |
//! | `stats` | medians, spreads, per-round ratios |
//! | `report` | tables, bars, JSON |

pub(crate) mod canary;
pub(crate) mod crowd;
pub(crate) mod neighbours;
pub(crate) mod pin;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod roles;
pub(crate) mod rounds;
pub(crate) mod scenario;
pub(crate) mod slice;
pub(crate) mod stats;
