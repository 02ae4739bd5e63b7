//! A device is described, made, and run.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Kind;
use super::capture::{self, CaptureType, CopyCounts};
use super::control;
use super::counts::Counts;
use super::drain;
use super::ends::{Ends, Socket};
use super::error::Error;
use super::handle::{Handle, Inner, Reload};
use super::place::{Place, Places, Side};
use super::run::Run;
use super::sockets::{capture_by, control_options, of, sides};
use super::state::{State, Steering};
use super::statistics::Report;
use super::traffic::Traffic;
use crate::engine::Engine;
use crate::socket::{Options, Rep};

/// How long a device that ends passes on what is left, unless told otherwise.
const LINGER: Duration = Duration::from_secs(5);

/// What a device is to be.
#[must_use]
pub struct Builder {
    kind: Kind,
    places: Places,
    wrong: Option<Error>,
    options: Options,
    linger: Duration,
    capture: CaptureType,
    reload: Option<Reload>,
}

impl Builder {
    fn new(kind: Kind) -> Self {
        Builder {
            kind,
            places: Places::new(),
            wrong: None,
            options: Options::new(),
            linger: LINGER,
            capture: CaptureType::default(),
            reload: None,
        }
    }

    fn place(mut self, side: Side, places: &str) -> Self {
        match Place::list(places) {
            Ok(list) => list
                .into_iter()
                .for_each(|place| self.places.add(side, place)),
            Err(error) => {
                self.wrong.get_or_insert(Error::Place { side, error });
            }
        }
        self
    }

    /// Adds endpoints in front, with commas between; each binds or connects as [`Place`] has it.
    /// Default none: at least one is needed.
    pub fn frontend(self, places: &str) -> Self {
        self.place(Side::Frontend, places)
    }

    /// Adds endpoints at the back, as [`frontend`](Self::frontend) does. Default none: at least
    /// one is needed.
    pub fn backend(self, places: &str) -> Self {
        self.place(Side::Backend, places)
    }

    /// Adds endpoints that copies of everything go to, as [`frontend`](Self::frontend) does.
    /// Default none.
    ///
    /// A copy has one frame more in front: `frontend` or `backend`, where the message came from.
    /// Copies that find no room are lost and counted, and never hold anything up.
    pub fn capture(self, places: &str) -> Self {
        self.place(Side::Capture, places)
    }

    /// How copies are sent. Default [`CaptureType::Publish`].
    pub fn capture_type(mut self, capture: CaptureType) -> Self {
        self.capture = capture;
        self
    }

    /// Adds endpoints for commands, as [`frontend`](Self::frontend) does. Default none.
    ///
    /// Whoever reaches them can stop the device.
    pub fn control(self, places: &str) -> Self {
        self.place(Side::Control, places)
    }

    /// Takes these places for those given so far. Default none.
    pub fn places(mut self, places: Places) -> Self {
        self.places = places;
        self
    }

    /// Options of the sockets at the front and at the back: limits, heartbeats, reconnecting.
    /// Default [`Options::new`].
    ///
    /// A device sends only to peers that are connected, and lingers as it is told itself. Unless
    /// an engine is named it has one of its own, that other sockets of the program do not share.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// How long a device that ends passes on what is left. Default 5 s; at most a day.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// What the command RELOAD does; its text is the answer, or the error. Default nothing: RELOAD
    /// is refused.
    pub fn on_reload(
        mut self,
        reload: impl Fn(&Handle) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.reload = Some(Box::new(reload));
        self
    }

    /// Makes the device: its endpoints are bound from now on, and what comes waits until it is
    /// run.
    ///
    /// # Errors
    ///
    /// If a side has no place, a place is malformed or given twice or cannot be bound, an option
    /// is out of its bounds, or the system gives no poller. Nothing is left bound.
    pub fn build(self) -> Result<Device, Error> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let engine = match &self.options.engine {
            Some(engine) => engine.clone(),
            None => Engine::new().map_err(Error::System)?,
        };
        let options = self.options.engine(&engine).linger(Some(self.linger));
        let control = Arc::new(Rep::with(control_options()?).map_err(of(Side::Control))?);
        let copying = Engine::new().map_err(Error::System)?;
        let copying = options.clone().engine(&copying);
        let (capture, outlet) = capture_by(self.capture, copying)?;
        let (front, back, traffic) = sides(self.kind, options)?;
        let sockets: [Socket; Side::ALL.len()] = [front, back, capture, control.clone()];
        let inner = Arc::new(Inner {
            kind: self.kind,
            engine,
            ends: Ends::new(sockets),
            control,
            outlet,
            counts: Counts::default(),
            copies: CopyCounts::default(),
            steering: Steering::new(),
            linger: parking_lot::Mutex::new(self.linger),
            since: Instant::now(),
            reload: self.reload,
        });
        let device = Device {
            handle: Handle::new(inner),
            traffic,
        };
        device.handle.set_places(&self.places)?;
        Ok(device)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("kind", &self.kind)
            .field("places", &self.places)
            .field("linger", &self.linger)
            .finish_non_exhaustive()
    }
}

/// A device that has its endpoints and is ready to [`run`](Self::run).
///
/// Dropping it unused closes them.
#[must_use]
pub struct Device {
    handle: Handle,
    traffic: Box<dyn Traffic>,
}

impl Device {
    /// A queue: requests come in at the front, from REQ, DEALER or ROUTER sockets, and go in turn
    /// to the REP, ROUTER or DEALER sockets at the back; replies go back to whoever asked.
    ///
    /// Each request has a frame put before it, a token of the connection that it came by; a worker
    /// sends its reply with that frame first, as REP does by itself. While no worker takes more,
    /// the queue does not read from its clients. A reply for a client that has gone or does not
    /// read is dropped and counted.
    pub fn queue() -> Builder {
        Builder::new(Kind::Queue)
    }

    /// A forwarder: publications come in at the front, from PUB or XPUB sockets, and go to the SUB
    /// and XSUB sockets at the back that want them; subscriptions go to the publishers.
    ///
    /// A subscriber that does not read misses what its queue has no room for, which is counted, or
    /// is disconnected: [`Options::slow_subscriber`]. With [`Options::last_values`] new
    /// subscribers are sent the last message of each topic first; the forwarder then asks its
    /// publishers for everything.
    pub fn forwarder() -> Builder {
        Builder::new(Kind::Forwarder)
    }

    /// A streamer: work comes in at the front, from PUSH sockets, and goes in turn to the PULL
    /// sockets at the back.
    ///
    /// While no worker takes more, the streamer does not read: nothing is dropped, but what was
    /// queued for a worker that went away, which is counted.
    pub fn streamer() -> Builder {
        Builder::new(Kind::Streamer)
    }

    /// A handle to steer and watch the device from other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Passes messages on until the device is told to end; then drains, and says what was moved
    /// and what is left.
    ///
    /// Lost peers, full queues and malformed messages do not end it.
    ///
    /// # Errors
    ///
    /// If the system gives no thread. Nothing was passed on.
    ///
    /// # Blocking
    ///
    /// Until [`Handle::terminate`] or the command TERMINATE, and then at most for the linger time
    /// and a moment in which connections end.
    pub fn run(mut self) -> Result<Report, Error> {
        let inner = self.handle.inner().clone();
        let (copies, copied) = capture::queue(&inner.copies);
        let mut run = Run::new(&inner, &mut *self.traffic, copies);
        let handle = &self.handle;
        std::thread::scope(|scope| {
            let named = |name: &str| std::thread::Builder::new().name(name.into());
            let copier = || capture::serve(&copied, &inner.outlet, &inner.copies);
            let copier = named("brokerless-capture")
                .spawn_scoped(scope, copier)
                .map_err(Error::System)?;
            let controller = || control::serve(handle);
            named("brokerless-control")
                .spawn_scoped(scope, controller)
                .map_err(Error::System)?;
            run.until_told_to_end();
            Ok(drain::drain(run, copier))
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let inner = self.handle.inner();
        for side in Side::ALL {
            // After a run they are closed already; without one nothing was sent.
            let _ = inner.ends.close(side, Duration::ZERO);
        }
        inner.steering.want(State::Draining);
        inner.steering.becomes(State::Ended);
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({:?})", self.handle)
    }
}
