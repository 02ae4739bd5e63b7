//! How figures are taken, whoever is measured.
//!
//! | file | what it holds |
//! |---|---|
//! | `command` | what the commands have in common: flags, one run, its report |
//! | `scenario` | scenarios, workloads and bars; those of the sockets |
//! | `calls` | those of the calls |
//! | `slice` | one system's turn: warm-up, measuring, what it reports |
//! | `open` | calls that come when their time has come |
//! | `crowd` | loads one way, and how their counts come back |
//! | `rounds` | systems interleaved slice by slice, round by round |
//! | `process` | the client and server processes, their CPU time and memory |
//! | `roles` | what they do |
//! | `pin` | cores |
//! | `canary` | sees the machine stall |
//! | `neighbours` | sees other programs at work |
//! | `stats` | medians, spreads, per-round ratios |
//! | `report` | tables, bars, JSON |

pub(crate) mod calls;
pub(crate) mod canary;
pub(crate) mod command;
pub(crate) mod crowd;
pub(crate) mod neighbours;
pub(crate) mod open;
pub(crate) mod pin;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod roles;
pub(crate) mod rounds;
pub(crate) mod scenario;
pub(crate) mod slice;
pub(crate) mod stats;
