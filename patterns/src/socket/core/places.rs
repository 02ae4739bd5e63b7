//! Where a socket is bound and connected, and how it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Core, Place};
use crate::engine::dial::Dialer;
use crate::engine::inproc;
use crate::engine::listen::Listening;
use crate::engine::owner::Owner;
use crate::engine::pipe::Pipe;
use crate::engine::wait::{Drives, wait};
use crate::event::{CloseReason, Event};
use crate::link::Endpoint;
use crate::socket::error::Error;
use crate::socket::stats::Unsent;

/// The longest that a closing socket waits for its peers to see that it has gone.
const PARTING: Duration = Duration::from_millis(100);

impl Place {
    fn is_bound(&self) -> bool {
        match self {
            Place::Listening(_) | Place::Bound(_) => true,
            Place::Dialing(_) | Place::Connected(_) => false,
            #[cfg(feature = "zeromq")]
            Place::Second(second) => !second.is_dialed,
        }
    }

    /// Whether it is a connection that is made again when it is lost.
    fn is_dialed(&self) -> bool {
        match self {
            Place::Dialing(_) => true,
            Place::Listening(_) | Place::Bound(_) | Place::Connected(_) => false,
            #[cfg(feature = "zeromq")]
            Place::Second(second) => second.is_dialed,
        }
    }
}

impl Core {
    pub(crate) fn bind(&self, endpoint: &str) -> Result<Endpoint, Error> {
        let endpoint: Endpoint = endpoint.parse()?;
        endpoint.check_bind()?;
        self.open()?;
        #[cfg(feature = "zeromq")]
        if self.is_second() {
            return self.bind_second(endpoint);
        }
        if let Endpoint::Inproc(name) = &endpoint {
            self.has_inproc.store(true, Ordering::SeqCst);
            if !inproc::bind(name, &self.owner()) {
                return Err(Error::NameInUse { endpoint });
            }
            self.endpoints
                .lock()
                .push((endpoint.clone(), Place::Bound(name.clone())));
            self.report(Event::Listening {
                endpoint: endpoint.clone(),
            });
            return Ok(endpoint);
        }
        self.engine.employ_steward().map_err(Error::System)?;
        let listening = Listening::bind(&endpoint, self.owner(), self.engine.shared().clone())?;
        let bound = listening.endpoint().clone();
        self.links.fetch_add(1, Ordering::SeqCst);
        self.endpoints
            .lock()
            .push((bound.clone(), Place::Listening(listening)));
        self.report(Event::Listening {
            endpoint: bound.clone(),
        });
        Ok(bound)
    }

    pub(crate) fn connect(&self, endpoint: &str) -> Result<(Endpoint, Option<Arc<Pipe>>), Error> {
        let endpoint: Endpoint = endpoint.parse()?;
        endpoint.check_connect()?;
        self.open()?;
        #[cfg(feature = "zeromq")]
        if self.is_second() {
            return self.connect_second(endpoint);
        }
        if let Endpoint::Inproc(name) = &endpoint {
            self.has_inproc.store(true, Ordering::SeqCst);
            let pipe = Pipe::inproc(self.weak_owner(), &self.settings);
            self.enlist(&pipe, &endpoint)?;
            self.endpoints
                .lock()
                .push((endpoint.clone(), Place::Connected(pipe.clone())));
            inproc::connect(name, &self.owner(), &pipe);
            return Ok((endpoint, Some(pipe)));
        }
        self.engine.employ_steward().map_err(Error::System)?;
        let shared = self.engine.shared();
        let pipe = self
            .keeps()
            .then(|| Pipe::stream(self.weak_owner(), &self.settings, shared.clone(), true));
        if let Some(pipe) = &pipe {
            self.enlist(pipe, &endpoint)?;
        }
        let dialer = Dialer::new(endpoint.clone(), self.owner(), shared, pipe.clone());
        self.links.fetch_add(1, Ordering::SeqCst);
        self.endpoints
            .lock()
            .push((endpoint.clone(), Place::Dialing(dialer.clone())));
        shared.with_workbench(|bench| dialer.dial(bench));
        shared.steward.nudge();
        self.writers.wake(usize::MAX);
        Ok((endpoint, pipe))
    }

    /// A pipe to an endpoint: messages may be queued for it from now on.
    pub(super) fn enlist(&self, pipe: &Arc<Pipe>, endpoint: &Endpoint) -> Result<(), Error> {
        let mut routes = self.routes_mut();
        if self.is_taken(&routes, None) {
            let endpoint = endpoint.clone();
            return Err(Error::PairTaken { endpoint });
        }
        routes.order.push(pipe.clone());
        Ok(())
    }

    pub(crate) fn unbind(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let place = self.take_place(endpoint, Place::is_bound)?;
        self.leave(endpoint, place);
        Ok(())
    }

    pub(crate) fn disconnect(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let place = self.take_place(endpoint, |place| !place.is_bound())?;
        self.leave(endpoint, place);
        Ok(())
    }

    fn take_place(
        &self,
        endpoint: &Endpoint,
        wanted: impl Fn(&Place) -> bool,
    ) -> Result<Place, Error> {
        self.open()?;
        let mut endpoints = self.endpoints.lock();
        match endpoints
            .iter()
            .position(|(name, place)| name == endpoint && wanted(place))
        {
            Some(index) => Ok(endpoints.remove(index).1),
            None => Err(Error::NotFound {
                endpoint: endpoint.clone(),
            }),
        }
    }

    pub(super) fn leave(&self, endpoint: &Endpoint, place: Place) {
        match place {
            Place::Listening(listening) => {
                listening.close();
                self.links.fetch_sub(1, Ordering::SeqCst);
                self.report(Event::Unbound {
                    endpoint: endpoint.clone(),
                });
            }
            Place::Bound(name) => {
                inproc::unbind(&name, &self.owner());
                self.report(Event::Unbound {
                    endpoint: endpoint.clone(),
                });
            }
            Place::Dialing(dialer) => {
                if let Some(pipe) = &dialer.pipe {
                    self.retire(pipe);
                }
                dialer.end();
                self.links.fetch_sub(1, Ordering::SeqCst);
            }
            Place::Connected(pipe) => self.retire(&pipe),
            #[cfg(feature = "zeromq")]
            Place::Second(second) => self.leave_second(endpoint, &second),
        }
    }

    pub(crate) fn local_endpoints(&self) -> Vec<Endpoint> {
        let endpoints = self.endpoints.lock();
        let bound = endpoints.iter().filter(|(_, place)| place.is_bound());
        bound.map(|(endpoint, _)| endpoint.clone()).collect()
    }

    pub(super) fn open(&self) -> Result<(), Error> {
        if self.is_closed() {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// A pipe is no longer sent to; what it has queued is dropped and counted.
    pub(super) fn retire(&self, pipe: &Arc<Pipe>) {
        self.retire_counting(pipe, None);
    }

    /// The same; counts why its connection has `ended`.
    pub(super) fn retire_counting(&self, pipe: &Arc<Pipe>, ended: Option<&CloseReason>) {
        if pipe.is_inproc() {
            pipe.close(); // which another socket is told of: not under a lock
        }
        let known = {
            let mut routes = self.routes_mut();
            // With the routes locked: who finds the peer gone finds the reason, and who finds
            // the reason finds the peer gone.
            if let Some(reason) = ended {
                self.count(reason);
            }
            pipe.close();
            routes.leave(pipe)
        };
        self.gone_from(pipe);
        if !known {
            return;
        }
        let mut inbox = self.inbox.lock();
        if let Some(slot) = pipe.slot() {
            inbox.queue.end(slot);
            pipe.set_slot(None);
        }
        drop(inbox);
        self.writers.wake(usize::MAX);
    }

    fn unsent(&self) -> Unsent {
        let mut unsent = Unsent::default();
        for pipe in self.pipes() {
            let counts = pipe.counts();
            unsent.messages += counts.queued;
            unsent.bytes += counts.queued_bytes;
        }
        unsent
    }

    /// Tells every peer that no more will come, and reads on until it has gone too: to close on
    /// what a peer has sent would reset the connection, and what is under way to it with it.
    fn part(&self, dialing: &[(Endpoint, Place)]) {
        for (_, place) in dialing {
            if let Place::Dialing(dialer) = place {
                dialer.rest();
            }
        }
        let pipes = self.pipes();
        for pipe in &pipes {
            if let Some(conn) = pipe.conn() {
                conn.stream.finish_writing();
                conn.set_reading(true);
            }
        }
        let gone = || pipes.iter().all(|pipe| pipe.conn().is_none()).then_some(());
        let deadline = Instant::now().checked_add(PARTING);
        wait(
            self.engine.shared(),
            &[&self.writers],
            Drives::Engine,
            deadline,
            gone,
        );
    }

    /// Closes the socket: waits for what is queued to go out, ends every connection, wakes
    /// everybody who waits.
    pub(crate) fn close(&self, linger: Option<Duration>) -> Unsent {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Unsent::default();
        }
        self.readers.wake(usize::MAX);
        self.writers.wake(usize::MAX);
        let shared = self.engine.shared();
        shared.flush_corked();
        let places = std::mem::take(&mut *self.endpoints.lock());
        let (dialing, listening): (Vec<_>, Vec<_>) =
            places.into_iter().partition(|(_, place)| place.is_dialed());
        for (endpoint, place) in listening {
            if !matches!(place, Place::Connected(_)) {
                self.leave(&endpoint, place);
            }
        }
        // What is queued for a connection goes out; what waits for one that does not exist yet
        // is given the same time.
        let drained = || self.pipes().iter().all(|pipe| pipe.is_drained());
        let deadline = linger.map(|linger| Instant::now() + linger);
        if linger != Some(Duration::ZERO) && !drained() {
            let polled = |(_, place): &(_, Place)| matches!(place, Place::Dialing(_));
            let drives = if !dialing.iter().any(polled) {
                self.drives()
            } else {
                Drives::Engine
            };
            wait(shared, &[&self.writers], drives, deadline, || {
                drained().then_some(())
            });
        }
        let unsent = self.unsent();
        if linger != Some(Duration::ZERO) {
            self.part(&dialing);
        }
        for (endpoint, place) in dialing {
            self.leave(&endpoint, place);
        }
        for pipe in self.pipes() {
            let conn = pipe.conn();
            self.retire(&pipe);
            if let Some(conn) = conn {
                shared.with_workbench(|bench| conn.close(CloseReason::Local, bench));
            }
        }
        let pending = self.census.lock().pending();
        for conn in pending.into_iter().filter_map(|token| shared.conn(token)) {
            shared.with_workbench(|bench| conn.close(CloseReason::Local, bench));
        }
        #[cfg(feature = "zeromq")]
        self.end_second(deadline);
        let mut inbox = self.inbox.lock();
        while inbox.queue.pop().is_some() {
            inbox.dropped_closed += 1;
        }
        drop(inbox);
        *self.monitor.lock() = None;
        if !unsent.is_empty() {
            log::warn!(
                "a {} socket was closed with {} messages, {} bytes unsent",
                self.kind,
                unsent.messages,
                unsent.bytes
            );
        }
        unsent
    }

    pub(crate) fn linger(&self) -> Option<Duration> {
        self.linger
    }
}
