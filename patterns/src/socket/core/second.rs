//! A socket whose messages go over the second engine: places, peers, publishing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::publishing::Publisher;
use super::{Core, Place};
use crate::engine::owner::Owner;
use crate::engine::pace::Hold;
use crate::engine::pipe::Pipe;
use crate::engine::second::Thread;
use crate::engine::second::end::{Bell, End, Wish};
use crate::event::Event;
use crate::link::{Endpoint, Listener};
use crate::message::Message;
use crate::socket::error::Error;
use crate::zmtp::SocketType;

/// An endpoint on the second engine.
#[derive(Debug)]
pub(super) struct SecondPlace {
    bell: Arc<Bell>,
    /// The pipe of an endpoint connected to.
    dialed: Option<Arc<Pipe>>,
    pub(super) is_dialed: bool,
}

impl SecondPlace {
    pub(super) fn is_of(&self, pipe: &Arc<Pipe>) -> bool {
        self.dialed
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, pipe))
    }
}

impl Core {
    /// Whether the socket runs on the second engine.
    pub(super) fn is_second(&self) -> bool {
        self.engine().is_second()
    }

    fn thread(&self) -> Result<&Thread, Error> {
        // Under the lock of the endpoints, so that one thread is started and no more.
        let _endpoints = self.endpoints.lock();
        if let Some(thread) = self.second.get() {
            return Ok(thread);
        }
        let thread = Thread::start(&self.owner()).map_err(Error::System)?;
        Ok(self.second.get_or_init(|| thread))
    }

    fn second_pipe(&self, bell: &Arc<Bell>, keeps: bool) -> Arc<Pipe> {
        let end = End::new(self.weak_owner(), self.kind, &self.settings, bell.clone());
        Pipe::over_second(self.weak_owner(), end, keeps)
    }

    pub(super) fn bind_second(&self, endpoint: Endpoint) -> Result<Endpoint, Error> {
        refuse_unknown(&endpoint)?;
        let thread = self.thread()?;
        let listener = Listener::bind(&endpoint, &self.settings.link)?;
        let bound = listener.endpoint().clone();
        let bell = Arc::new(Bell::default());
        // Subscriptions wait in it for whoever comes.
        let pipe = (self.kind == SocketType::Sub).then(|| self.second_pipe(&bell, false));
        if let Some(pipe) = &pipe {
            self.enlist(pipe, &bound)?;
            self.joined(pipe);
        }
        if let Err(error) = thread.bind(listener, &bell, pipe.clone()) {
            bell.wish(Wish::Stop);
            if let Some(pipe) = &pipe {
                self.retire(pipe);
            }
            return Err(Error::System(error));
        }
        let place = SecondPlace {
            bell,
            dialed: None,
            is_dialed: false,
        };
        self.settle_second(bound.clone(), place);
        self.report(Event::Listening {
            endpoint: bound.clone(),
        });
        Ok(bound)
    }

    pub(super) fn connect_second(
        &self,
        endpoint: Endpoint,
    ) -> Result<(Endpoint, Option<Arc<Pipe>>), Error> {
        refuse_unknown(&endpoint)?;
        let thread = self.thread()?;
        let bell = Arc::new(Bell::default());
        let pipe = self.keeps().then(|| self.second_pipe(&bell, true));
        if let Some(pipe) = &pipe {
            self.enlist(pipe, &endpoint)?;
            self.joined(pipe);
        }
        if let Err(error) = thread.connect(&endpoint, &bell, pipe.clone()) {
            bell.wish(Wish::Stop);
            if let Some(pipe) = &pipe {
                self.retire(pipe);
            }
            return Err(Error::System(error));
        }
        let place = SecondPlace {
            bell,
            dialed: pipe.clone(),
            is_dialed: true,
        };
        self.settle_second(endpoint.clone(), place);
        self.wake_writers();
        Ok((endpoint, pipe))
    }

    fn settle_second(&self, endpoint: Endpoint, place: SecondPlace) {
        let mut endpoints = self.endpoints.lock();
        if self.is_closed() {
            // Closing has passed by already.
            place.bell.wish(Wish::Stop);
        }
        endpoints.push((endpoint, Place::Second(place)));
    }

    pub(super) fn leave_second(&self, endpoint: &Endpoint, place: &SecondPlace) {
        if place.is_dialed {
            if let Some(pipe) = &place.dialed {
                self.retire(pipe);
            }
            place.bell.wish(Wish::Stop);
        } else {
            place.bell.wish(Wish::Unbind);
            self.report(Event::Unbound {
                endpoint: endpoint.clone(),
            });
        }
    }

    /// Ends the socket's thread; what the crate has taken goes out until the deadline.
    pub(super) fn end_second(&self, deadline: Option<Instant>) {
        if let Some(thread) = self.second.get()
            && !thread.end(deadline)
        {
            log::error!(
                "the thread of a {} socket on the zeromq crate does not end; it is left behind",
                self.kind
            );
        }
    }

    /// Adds a peer that has come.
    pub(super) fn enrol_second(&self, pipe: &Arc<Pipe>, identity: Bytes) {
        let mut routes = self.routes_mut();
        pipe.set_identity(identity.clone().into());
        routes.order.push(pipe.clone());
        if self.kind == SocketType::Router && !identity.is_empty() {
            routes.names.insert(identity, pipe.clone());
        }
    }

    /// Publishes to whoever is connected: the crate knows what they have subscribed to.
    pub(super) fn publish_second(&self, publisher: &Publisher, message: &Message) {
        let pipes = self.pipes();
        let mut is_matched = false;
        for pipe in pipes.iter().filter(|pipe| pipe.is_linked()) {
            is_matched = true;
            // What there is no room for is counted.
            let _ = pipe.offer(message, Hold::Never, false);
        }
        if !is_matched {
            publisher.unmatched.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An error that names what the second engine does not take.
fn refuse_unknown(endpoint: &Endpoint) -> Result<(), Error> {
    let (what, way_out) = match endpoint {
        Endpoint::Inproc(_) => (
            format!("endpoint {endpoint}: no sockets within the process"),
            "use tcp:// or ipc://, or an engine of Engine::new",
        ),
        Endpoint::Tcp(tcp) if tcp.source().is_some() => (
            format!("endpoint {endpoint}: no source addresses"),
            "leave the source out, or use an engine of Engine::new",
        ),
        Endpoint::Tcp(_) | Endpoint::Ipc(_) => return Ok(()),
    };
    Err(Error::Unsupported { what, way_out })
}
