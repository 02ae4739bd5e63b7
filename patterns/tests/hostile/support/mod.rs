//! What the tests stand on: processes, raw peers, a good client, a watch over the machine.
//!
//! | file | what |
//! |---|---|
//! | `process` | the other processes, as the tests hold them |
//! | `router`, `dealer` | what runs in them |
//! | `figures` | the counts of a socket, and whether they add up |
//! | `raw` | a peer made of bytes, which keeps to no rule |
//! | `breaches` | what such a peer says, and what its end is counted as |
//! | `good` | a good client, and how it fared |
//! | `client` | the one that asks the router |
//! | `canary` | stalls of the machine, to be left out of latencies |
//! | `measured` | a test that measures, in rounds |
//! | `system` | what the system says of another process |
//! | `waiting` | waiting for what shall happen |
//! | `scene` | a router, a good client beside the hostile peers, and the oracle over both |
//!
//! `breaches`, `canary`, `figures`, `good`, `raw`, `system` and `waiting` serve the suite of the
//! device programs, too: `tests/hostile_devices/`.

pub(crate) mod breaches;
pub(crate) mod canary;
pub(crate) mod client;
pub(crate) mod dealer;
pub(crate) mod figures;
pub(crate) mod good;
pub(crate) mod measured;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod router;
pub(crate) mod scene;
pub(crate) mod system;
pub(crate) mod waiting;

pub(crate) use waiting::{eventually, hold, ms, pass, patience};
