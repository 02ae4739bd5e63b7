//! Who is measured, one file each, behind one trait.
//!
//! A system serves one workload in one process, and drives it from another (or, for inproc, does both in one). Between
//! slices both sides must block, so that nobody pays for a neighbour. Sockets keep their default settings.

mod raw;
mod rpc;

#[cfg(feature = "brokerless")]
mod brokerless;
#[cfg(feature = "libzmq")]
mod libzmq;
#[cfg(feature = "zeromq")]
mod zeromq;

use anyhow::{Result, bail};

use crate::harness::open::{Latencies, Schedule};
use crate::harness::scenario::{Load, Workload};
use crate::harness::slice::{Outcome, Plan};

/// One of those who are compared.
pub(crate) trait System: Sync {
    fn name(&self) -> &'static str;

    /// Whether it can do this workload at all.
    fn can(&self, workload: &Workload) -> bool;

    /// What a reader of the figures should know about it.
    fn notes(&self) -> &'static [&'static str];

    /// The serving end. Listens on `endpoint`, hands the address in use to `ready`, and serves until the process ends.
    fn serve(
        &self,
        load: Load,
        endpoint: &str,
        ready: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<()>;

    /// The queue device of [`Load::Queue`], in a process of its own: connects to the server's `backend`, hands the
    /// address for clients to `ready`, and passes on until the process ends.
    fn device(&self, backend: &str, ready: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let _ = ready;
        bail!("{} has no device for {backend}", self.name())
    }

    /// The driving end, connected to `endpoint` and tried once.
    fn connect(&self, load: Load, endpoint: &str) -> Result<Box<dyn Driver>>;

    /// Both ends of a round trip in this process, the serving end on a thread of its own on core `server_core`.
    fn inproc(&self, server_core: usize) -> Result<Box<dyn Driver>>;
}

/// The driving end of one workload.
pub(crate) trait Driver {
    /// One slice: nothing is in flight before it, nor after.
    fn slice(&mut self, plan: &Plan) -> Result<Outcome>;

    /// One slice in open loop, under [`Calls::Open`](crate::harness::calls::Calls::Open).
    fn open(&mut self, schedule: &Schedule) -> Result<Latencies> {
        bail!("not a load that knows {schedule:?}")
    }
}

/// Everybody with sockets, as far as built in; the first is what others are compared with.
pub(crate) static SOCKETS: &[&dyn System] = &[
    &raw::Raw,
    #[cfg(feature = "brokerless")]
    &brokerless::Brokerless,
    #[cfg(feature = "zeromq")]
    &zeromq::Zeromq,
    #[cfg(feature = "libzmq")]
    &libzmq::Libzmq,
];

/// Everybody with calls.
pub(crate) use rpc::ALL as CALLS;

/// The system of that name among those which a workload is for.
pub(crate) fn named(workload: &Workload, name: &str) -> Option<&'static dyn System> {
    let systems = match workload.load {
        Load::Call(_) => CALLS,
        _ => SOCKETS,
    };
    systems.iter().copied().find(|system| system.name() == name)
}

/// The serving thread of an inproc pair.
fn spawn_server(core: usize, serve: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            let served = crate::harness::pin::to_core(core).and_then(|()| serve());
            if let Err(error) = served {
                eprintln!("the inproc server ended: {error:#}");
                std::process::exit(1);
            }
        })?;
    Ok(())
}
