//! What the tests stand on: what is shared with other suites, the devices, the good clients.
//!
//! | file | what |
//! |---|---|
//! | `kinds` | the devices, and who talks to each side |
//! | `clients` | a good client for each |
//! | `scene` | a device, a good client beside the hostile peers, and the oracle over both |
//!
//! The others are shared: see `patterns/tests/hostile/support/` and `tests/devices/support.rs`,
//! whose other users need parts that are not needed here.

#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/breaches.rs"]
pub(crate) mod breaches;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/canary.rs"]
pub(crate) mod canary;
pub(crate) mod clients;
#[allow(dead_code, unused_imports, reason = "shared")]
#[path = "../../../devices/support.rs"]
pub(crate) mod devices;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/figures.rs"]
pub(crate) mod figures;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/good.rs"]
pub(crate) mod good;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/fuzz/src/checks/input.rs"]
pub(crate) mod input;
pub(crate) mod kinds;
#[path = "../../../../patterns/tests/hostile/support/measured.rs"]
pub(crate) mod measured;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/raw.rs"]
pub(crate) mod raw;
pub(crate) mod scene;
#[allow(dead_code, reason = "shared")]
#[path = "../../../../patterns/tests/hostile/support/system.rs"]
pub(crate) mod system;
#[path = "../../../../patterns/tests/hostile/support/waiting.rs"]
pub(crate) mod waiting;

pub(crate) use waiting::{eventually, hold, ms, pass, patience};
