//! Devices: what stands between sockets and passes on whatever comes, unread.
//!
//! ```text
//! peers <--> frontend <--> one thread <--> backend <--> peers
//!                              |
//!          control ------- steering, counts, copies ------- capture
//! ```
//!
//! | file | what |
//! |---|---|
//! | `build` | a device is described and made |
//! | `sockets` | what it is made of |
//! | `place`, `ends` | endpoints to bind or connect, and the sockets that they belong to |
//! | `run` | the loop |
//! | `drain` | its end |
//! | `traffic` | what differs between the kinds of device |
//! | `queue`, `clients` | requests and replies; whose reply it is |
//! | `forwarder` | publications, and subscriptions to them |
//! | `streamer` | work, one way |
//! | `capture` | copies for whoever looks on |
//! | `handle`, `state` | how other threads steer a device |
//! | `control` | how other programs do |
//! | `counts`, `statistics`, `json` | what it has done |
//!
//! One thread does the passing, and drives the engine of both sides while it waits for both: a
//! message goes from one socket to the other without a change of threads.
//!
//! ```
//! use brokerless_patterns::device::Device;
//! use brokerless_patterns::{Rep, Req};
//!
//! let device = Device::queue()
//!     .frontend("inproc://clients")
//!     .backend("inproc://workers")
//!     .build()?;
//! let handle = device.handle();
//! let thread = std::thread::spawn(move || device.run());
//!
//! let worker = Rep::connect("inproc://workers")?;
//! let client = Req::connect("inproc://clients")?;
//! client.send("name?")?;
//! let request = worker.recv()?;
//! worker.send(request)?;
//! assert_eq!(client.recv()?[0], "name?");
//!
//! handle.terminate();
//! let report = thread.join().expect("the device's thread")?;
//! assert_eq!(report.statistics.from_frontend.messages, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod capture;
mod clients;
mod control;
mod counts;
mod drain;
mod ends;
mod error;
mod forwarder;
mod handle;
mod json;
mod place;
mod queue;
mod run;
mod sockets;
mod state;
mod statistics;
mod streamer;
#[cfg(test)]
mod tests;
mod traffic;

use std::fmt;

pub use build::{Builder, Device};
pub use capture::CaptureType;
pub use ends::Change;
pub use error::Error;
pub use handle::Handle;
pub use place::{Place, PlaceError, Places, Side};
pub use state::State;
pub use statistics::{Left, Report, SideStatistics, Statistics, WayStatistics};

/// What a device is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Requests and their replies: a ROUTER in front, a DEALER at the back.
    Queue,
    /// Publications, and subscriptions to them: an XSUB in front, an XPUB at the back.
    Forwarder,
    /// Work, one way: a PULL in front, a PUSH at the back.
    Streamer,
}

impl Kind {
    /// Its name: `queue`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Queue => "queue",
            Kind::Forwarder => "forwarder",
            Kind::Streamer => "streamer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
