//! Waiting for whichever of several sockets has a message first.

use std::time::{Duration, Instant};

use super::common::deadline_in;
use super::core::Core;
use crate::engine::wait::{Drives, wait};

/// A socket, as far as one can wait for it.
#[derive(Debug)]
pub struct WaitsOn<'a> {
    core: &'a Core,
}

impl<'a> WaitsOn<'a> {
    pub(crate) fn new(core: &'a Core) -> Self {
        WaitsOn { core }
    }

    pub(crate) fn core(&self) -> &'a Core {
        self.core
    }
}

/// What [`wait_any`] can wait for: every socket of this package.
pub trait Waitable: Sync {
    #[doc(hidden)]
    fn waits_on(&self) -> WaitsOn<'_>;
}

/// Waits until one of the sockets has a message or is closed; gives its index.
///
/// The message is not taken: another thread may be faster, so take it with `try_recv`. Where
/// several have one, the first in the list is named.
///
/// # Panics
///
/// If the list is empty: it would wait for ever.
///
/// # Examples
///
/// ```
/// use brokerless_patterns::{Dealer, Router, wait_any};
///
/// let (north, south) = (Router::bind("inproc://north")?, Router::bind("inproc://south")?);
/// let dealer = Dealer::connect("inproc://south")?;
/// dealer.send("hello")?;
/// assert_eq!(wait_any(&[&north, &south]), 1);
/// assert_eq!(south.try_recv()?.1[0], "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn wait_any(sockets: &[&dyn Waitable]) -> usize {
    match wait_until(sockets, None) {
        Some(index) => index,
        None => unreachable!("there is no deadline"),
    }
}

/// As [`wait_any`], for no longer than `timeout`; then nothing.
///
/// # Panics
///
/// If the list is empty.
pub fn wait_any_timeout(sockets: &[&dyn Waitable], timeout: Duration) -> Option<usize> {
    wait_until(sockets, deadline_in(timeout))
}

fn wait_until(sockets: &[&dyn Waitable], deadline: Option<Instant>) -> Option<usize> {
    assert!(
        !sockets.is_empty(),
        "wait_any: the list of sockets is empty"
    );
    let cores: Vec<&Core> = sockets
        .iter()
        .map(|socket| socket.waits_on().core)
        .collect();
    let ready = || {
        cores
            .iter()
            .position(|core| core.has_message() || core.is_closed())
    };
    if let Some(index) = ready() {
        return Some(index);
    }
    // The engine of the first socket that has one to drive is led; those of others have stewards.
    let first = cores.iter().find(|core| core.needs_driving());
    let lists: Vec<_> = cores.iter().map(|core| core.readers()).collect();
    let engine = first.unwrap_or(&cores[0]).engine();
    let drives = Drives::engine_if(first.is_some());
    wait(engine.shared(), &lists, drives, deadline, ready)
}
