//! What every socket type offers in the same words: making, binding, closing, watching.

use std::time::Duration;

use super::core::Core;

/// Closes the socket when its handle goes.
#[derive(Debug)]
pub(super) struct Handle(pub(super) std::sync::Arc<Core>);

impl Drop for Handle {
    fn drop(&mut self) {
        // What is left has been logged: a destructor has nobody to tell.
        let _ = self.0.close(self.0.linger());
    }
}

impl std::ops::Deref for Handle {
    type Target = Core;
    fn deref(&self) -> &Core {
        &self.0
    }
}

/// The deadline `timeout` from now; one too far away to be told is none.
pub(super) fn deadline_in(timeout: Duration) -> Option<std::time::Instant> {
    std::time::Instant::now().checked_add(timeout)
}

/// The methods that all socket types share.
macro_rules! common_methods {
    ($socket:ident, $kind:expr, $peer:literal) => {
        impl $socket {
            /// A socket with the default options, bound to `endpoint`.
            ///
            /// # Errors
            ///
            /// As [`bind`](Self::bind).
            pub fn bind(endpoint: &str) -> Result<Self, $crate::Error> {
                let socket = Self::with($crate::Options::new())?;
                socket.bind_to(endpoint)?;
                Ok(socket)
            }

            /// A socket with the default options, connecting to `endpoint`.
            ///
            /// # Errors
            ///
            /// As [`connect_to`](Self::connect_to).
            pub fn connect(endpoint: &str) -> Result<Self, $crate::Error> {
                let socket = Self::with($crate::Options::new())?;
                socket.connect_to(endpoint)?;
                Ok(socket)
            }

            /// A socket with these options, not yet bound or connected.
            ///
            /// # Errors
            ///
            /// If an option is out of its bounds, or the system gives no poller.
            pub fn with(options: $crate::Options) -> Result<Self, $crate::Error> {
                Ok(Self::on(super::core::Core::new($kind, &options)?))
            }

            /// Listens on `endpoint` too; gives the endpoint with its wildcards resolved.
            ///
            /// # Errors
            ///
            /// If the endpoint is malformed, not one to bind, or in use. The socket is as it was.
            pub fn bind_to(&self, endpoint: &str) -> Result<$crate::Endpoint, $crate::Error> {
                self.core.bind(endpoint)
            }

            /// Connects to `endpoint` too. The connection is made while the program goes on, and
            /// made again whenever it is lost.
            ///
            /// # Errors
            ///
            /// If the endpoint is malformed or not one to connect to. A peer that is not there
            /// (yet) is no error.
            pub fn connect_to(&self, endpoint: &str) -> Result<$crate::Endpoint, $crate::Error> {
                self.core.connect(endpoint).map(|(endpoint, _)| endpoint)
            }

            /// Stops listening on an endpoint, as [`local_endpoints`](Self::local_endpoints)
            /// names it. Connections that came in stay.
            ///
            /// # Errors
            ///
            /// If the socket is not bound there.
            pub fn unbind(&self, endpoint: &$crate::Endpoint) -> Result<(), $crate::Error> {
                self.core.unbind(endpoint)
            }

            /// Ends the connection to an endpoint, and does not make it again. Messages queued
            /// for it are dropped and counted.
            ///
            /// # Errors
            ///
            /// If the socket is not connected there.
            pub fn disconnect(&self, endpoint: &$crate::Endpoint) -> Result<(), $crate::Error> {
                self.core.disconnect(endpoint)
            }

            /// The endpoints bound to, wildcards resolved.
            pub fn local_endpoints(&self) -> Vec<$crate::Endpoint> {
                self.core.local_endpoints()
            }

            /// A channel of what happens to the socket's connections, from now on. A second call
            /// takes the place of the first. It holds 1,024 events; more are counted in
            /// [`SocketStats::events_missed`](crate::SocketStats::events_missed).
            pub fn monitor(&self) -> crossbeam_channel::Receiver<$crate::Event> {
                self.core.monitor()
            }

            /// What the socket has done so far.
            pub fn stats(&self) -> $crate::SocketStats {
                self.core.stats()
            }

            /// Closes the socket; says what did not go out within the linger time.
            ///
            /// Threads that wait on it are told so, and whatever is asked of it from now on. A
            /// second call finds nothing left. Dropping the socket does the same, and logs what is
            /// left.
            ///
            /// # Blocking
            ///
            /// Until everything queued has gone out, at most for the linger time.
            pub fn close(&self) -> $crate::Unsent {
                self.core.close(self.core.linger())
            }
        }

        impl std::fmt::Debug for $socket {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.core.fmt(f)
            }
        }

        impl $crate::socket::Waitable for $socket {
            fn waits_on(&self) -> $crate::socket::WaitsOn<'_> {
                $crate::socket::WaitsOn::new(&self.core)
            }
        }
    };
}

/// Receiving in the variants of blocking, for sockets whose `receive` gives a `$given`.
macro_rules! receive_methods {
    ($socket:ident, $given:ty) => {
        impl $socket {
            /// Receives the next message.
            ///
            /// # Errors
            ///
            /// If the socket has been closed by another thread, or its pattern does not allow
            /// receiving now.
            ///
            /// # Blocking
            ///
            /// Until a message comes. Any number of threads may wait; each message wakes one.
            pub fn recv(&self) -> Result<$given, $crate::RecvError> {
                self.receive(None)
            }

            /// Receives the next message, waiting for it no longer than `timeout`.
            ///
            /// # Errors
            ///
            /// As [`recv`](Self::recv), and if the time is over. A timeout under a millisecond
            /// may take a millisecond.
            pub fn recv_timeout(
                &self,
                timeout: std::time::Duration,
            ) -> Result<$given, $crate::RecvError> {
                match super::common::deadline_in(timeout) {
                    Some(deadline) => self.receive(Some(deadline)),
                    None => self.receive(None),
                }
            }

            /// Receives the next message, waiting for it no longer than until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`recv_timeout`](Self::recv_timeout).
            pub fn recv_deadline(
                &self,
                deadline: std::time::Instant,
            ) -> Result<$given, $crate::RecvError> {
                self.receive(Some(deadline))
            }

            /// Receives a message that is there already, or [`RecvError::Timeout`].
            ///
            /// [`RecvError::Timeout`]: crate::RecvError::Timeout
            ///
            /// # Errors
            ///
            /// As [`recv_timeout`](Self::recv_timeout).
            pub fn try_recv(&self) -> Result<$given, $crate::RecvError> {
                self.receive(Some(std::time::Instant::now()))
            }
        }
    };
}

/// Sending in the variants of blocking, for sockets that choose the peer themselves.
macro_rules! send_methods {
    ($socket:ident) => {
        impl $socket {
            /// Sends a message.
            ///
            /// That it is sent means that it is queued or on its way, not that it arrived.
            ///
            /// # Errors
            ///
            /// If the socket has been closed, or its pattern does not allow sending now. The
            /// message comes back in the error.
            ///
            /// # Blocking
            ///
            /// While there is no peer, or every peer has as much queued as it may.
            pub fn send(
                &self,
                message: impl Into<$crate::Message>,
            ) -> Result<(), $crate::SendError> {
                self.send_by(None, message.into())
            }

            /// Sends a message, waiting for room no longer than `timeout`.
            ///
            /// # Errors
            ///
            /// As [`send`](Self::send), and if the time is over.
            pub fn send_timeout(
                &self,
                message: impl Into<$crate::Message>,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::SendError> {
                self.send_by(super::common::deadline_in(timeout), message.into())
            }

            /// Sends a message, waiting for room no longer than until `deadline`.
            ///
            /// # Errors
            ///
            /// As [`send_timeout`](Self::send_timeout).
            pub fn send_deadline(
                &self,
                message: impl Into<$crate::Message>,
                deadline: std::time::Instant,
            ) -> Result<(), $crate::SendError> {
                self.send_by(Some(deadline), message.into())
            }

            /// Sends a message if a peer takes it now.
            ///
            /// # Errors
            ///
            /// As [`send`](Self::send), and if no peer takes it.
            pub fn try_send(
                &self,
                message: impl Into<$crate::Message>,
            ) -> Result<(), $crate::SendError> {
                let message = message.into();
                self.attempt(message)
                    .map_err(|refused| self.core.refuse(refused))
            }
        }
    };
}

/// Sending for sockets that publish: to as many peers as want it, and never waiting.
macro_rules! publish_methods {
    ($socket:ident, $send:ident) => {
        impl $socket {
            /// Sends a message to everybody who has subscribed to it: to a topic that its first
            /// frame begins with.
            ///
            /// Where nobody has, it goes nowhere, and is counted
            /// ([`unmatched_messages`](crate::SocketStats::unmatched_messages)). That it is sent
            /// means that it is queued or on its way, not that it arrived; what a peer with a full
            /// queue misses is counted, for that peer and in all.
            ///
            /// # Errors
            ///
            /// If the socket has been closed. The message comes back in the error.
            ///
            /// # Blocking
            ///
            /// Never.
            ///
            /// # Allocation
            ///
            /// None for each peer: messages are encoded into write buffers that stay, large frames
            /// are shared.
            pub fn send(
                &self,
                message: impl Into<$crate::Message>,
            ) -> Result<(), $crate::SendError> {
                self.core.$send(message.into())
            }

            /// The same as [`send`](Self::send), which never waits.
            ///
            /// # Errors
            ///
            /// As [`send`](Self::send).
            pub fn try_send(
                &self,
                message: impl Into<$crate::Message>,
            ) -> Result<(), $crate::SendError> {
                self.core.$send(message.into())
            }

            /// Every topic that is subscribed to, with the number of its subscribers, in order.
            pub fn subscriptions(&self) -> Vec<($crate::Frame, usize)> {
                self.core.subscriptions()
            }
        }
    };
}

/// A receiver's channel, for sockets whose messages all come from peers.
macro_rules! receiver_method {
    ($socket:ident) => {
        impl $socket {
            /// A channel of the messages that come in, for `crossbeam_channel::select!`. It takes
            /// the place of receiving from the socket, for good; a second one is closed from the
            /// start.
            ///
            /// The steward's thread fills it while nobody waits on the engine, so a message costs
            /// a thread switch more than by [`recv`](Self::recv). It holds 256 messages; what
            /// comes beyond that waits in the socket, within its limits.
            pub fn receiver(&self) -> crossbeam_channel::Receiver<($crate::Peer, $crate::Message)> {
                self.core.receiver()
            }
        }
    };
}

/// Subscribing, for sockets that do.
macro_rules! subscribe_methods {
    ($socket:ident) => {
        impl $socket {
            /// Subscribes to every message whose first frame begins with `topic`; to all, if it is
            /// empty. Publishers are told, those that are connected later too.
            ///
            /// What is published before a publisher has heard of it does not come. A publisher
            /// that limits topics and does not take this one ends the connection: it shows in
            /// [`monitor`](Self::monitor).
            ///
            /// # Errors
            ///
            /// If the socket has been closed.
            ///
            /// # Blocking
            ///
            /// Never.
            pub fn subscribe(&self, topic: impl AsRef<[u8]>) -> Result<(), $crate::Error> {
                self.core.subscribe(true, topic.as_ref()).map(drop)
            }

            /// Takes one subscription to `topic` back; one that was made several times lasts until
            /// it has been taken back as often. False if there is none.
            ///
            /// # Errors
            ///
            /// If the socket has been closed.
            ///
            /// # Blocking
            ///
            /// Never.
            pub fn unsubscribe(&self, topic: impl AsRef<[u8]>) -> Result<bool, $crate::Error> {
                self.core.subscribe(false, topic.as_ref())
            }

            /// The topics that are subscribed to, in order, and how often.
            pub fn topics(&self) -> Vec<($crate::Frame, usize)> {
                self.core.topics()
            }
        }
    };
}

/// Sending for sockets that send to their peers in turn.
macro_rules! sends_in_turn {
    ($socket:ident) => {
        impl $socket {
            fn attempt(&self, message: $crate::Message) -> super::core::Sent {
                self.core.try_send(message)
            }

            fn send_by(
                &self,
                deadline: Option<std::time::Instant>,
                message: $crate::Message,
            ) -> Result<(), $crate::SendError> {
                self.core
                    .send_until(deadline, message, |message| self.attempt(message))
            }
        }

        super::common::send_methods!($socket);
    };
}

/// Receiving for sockets that do not say from whom a message came.
macro_rules! receives_messages {
    ($socket:ident) => {
        impl $socket {
            fn receive(
                &self,
                deadline: Option<std::time::Instant>,
            ) -> Result<$crate::Message, $crate::RecvError> {
                self.core.receive_message(deadline)
            }
        }

        super::common::receive_methods!($socket, $crate::Message);
    };
}

/// For the sockets whose messages a tap may take.
macro_rules! tapped_method {
    ($socket:ident, $kind:expr) => {
        impl $socket {
            /// A socket with these options whose peers a [`Tap`](crate::tap::Tap) is told of, and
            /// whose messages it is given if it asks for them.
            ///
            /// # Errors
            ///
            /// As [`with`](Self::with); on an engine of the `zeromq` crate there are no taps.
            pub fn with_tap(
                options: $crate::Options,
                tap: std::sync::Arc<dyn $crate::tap::Tap>,
            ) -> Result<Self, $crate::Error> {
                Ok(Self::on(super::core::Core::tapped(
                    $kind,
                    &options,
                    Some(tap),
                )?))
            }
        }
    };
}

pub(super) use {
    common_methods, publish_methods, receive_methods, receiver_method, receives_messages,
    send_methods, sends_in_turn, subscribe_methods, tapped_method,
};
