//! Who is measured with calls: the same service in every system.
//!
//! | file | who |
//! |---|---|
//! | `raw` | streams and parked channels that echo the bytes of one call |
//! | `brokerless` | ourselves |
//! | `tonic`, `tarpc` | async, one single-threaded runtime a side; their loops are in `tasks` |
//! | `libzmq` | DEALER and ROUTER that echo the bytes of one call |
//! | `bytes` | those bytes |

mod bytes;
mod raw;

#[cfg(feature = "brokerless")]
mod brokerless;
#[cfg(feature = "libzmq")]
mod libzmq;
#[cfg(feature = "tarpc")]
mod tarpc;
#[cfg(any(feature = "tarpc", feature = "tonic"))]
mod tasks;
#[cfg(feature = "tonic")]
mod tonic;

use std::thread;

use anyhow::{Result, bail, ensure};

use super::System;
use crate::harness::calls::Calls;
use crate::harness::scenario::Load;

/// Everybody, as far as built in; the first is what others are compared with.
pub(crate) static ALL: &[&dyn System] = &[
    &raw::Raw,
    #[cfg(feature = "brokerless")]
    &brokerless::Brokerless::DEFAULT,
    #[cfg(feature = "brokerless")]
    &brokerless::Brokerless::BY_HAND,
    #[cfg(feature = "brokerless")]
    &brokerless::Brokerless::IN_TURN,
    #[cfg(feature = "tonic")]
    &tonic::Tonic::DEFAULT,
    #[cfg(feature = "tonic")]
    &tonic::Tonic::TUNED,
    #[cfg(feature = "tarpc")]
    &tarpc::Tarpc,
    #[cfg(feature = "libzmq")]
    &libzmq::Libzmq,
];

/// A load as this room knows it.
fn calls(load: Load) -> Result<Calls> {
    match load {
        Load::Call(calls) => Ok(calls),
        _ => bail!("{load:?} is not a load of calls"),
    }
}

/// Looks whether a sum is that of `number` and 1.
fn check_sum(sum: i64, number: i64) -> Result<()> {
    ensure!(sum == number + 1, "{number} + 1 came back as {sum}");
    Ok(())
}

/// Looks whether an item of a stream is the one that is due.
fn check_item(item: i64, due: i64) -> Result<()> {
    ensure!(item == due, "item {due} of a stream is {item}");
    Ok(())
}

/// Looks whether a payload came back whole.
fn check_length(length: usize, wanted: usize) -> Result<()> {
    ensure!(
        length == wanted,
        "a payload of {length} bytes, not {wanted}"
    );
    Ok(())
}

/// Runs each of `callers` on a thread of its own: the sum of what they counted.
fn gather<F>(callers: impl Iterator<Item = F>) -> Result<u64>
where
    F: FnOnce() -> Result<u64> + Send,
{
    thread::scope(|scope| {
        let threads: Vec<_> = callers.map(|caller| scope.spawn(caller)).collect();
        let mut counted = 0;
        for thread in threads {
            match thread.join() {
                Ok(share) => counted += share?,
                Err(_) => bail!("a calling thread panicked"),
            }
        }
        Ok(counted)
    })
}
