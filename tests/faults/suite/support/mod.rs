//! What the tests stand on: processes, a load, the ledger, a watch over the machine.
//!
//! | file | what |
//! |---|---|
//! | `work` | the service, and the notes of what has run |
//! | `server`, `caller`, `taker` | what runs in the other processes |
//! | `process` | those, as the tests hold them |
//! | `load` | threads that call |
//! | `slow` | one that calls and does not read |
//! | `ledger` | what became of each call, and whether that is true |
//! | `bars` | what was measured, and missed its bar |
//!
//! The others are shared: see `patterns/tests/hostile/support/` and `tests/devices/support.rs`,
//! whose other users need parts that are not needed here.

pub(crate) mod bars;
pub(crate) mod caller;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/canary.rs"]
pub(crate) mod canary;
#[allow(dead_code, unused_imports, reason = "shared")]
#[path = "../../../devices/support.rs"]
pub(crate) mod devices;
pub(crate) mod ledger;
pub(crate) mod load;
#[path = "../../../../patterns/tests/hostile/support/measured.rs"]
pub(crate) mod measured;
pub(crate) mod process;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/raw.rs"]
pub(crate) mod raw;
pub(crate) mod server;
pub(crate) mod slow;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/system.rs"]
pub(crate) mod system;
pub(crate) mod taker;
#[path = "../../../../patterns/tests/hostile/support/waiting.rs"]
pub(crate) mod waiting;
pub(crate) mod work;

pub(crate) use bars::bar;
pub(crate) use waiting::{eventually, hold, ms, pass, patience};
pub(crate) use work::Ends;
