//! Calling: a pool of nodes, and threads that block until their call is answered.
//!
//! ```text
//! calling thread                                     whoever leads the engine
//! call ── table: submit ── envelope ── send          Tap::take ── table: reply ── slot: answer
//!   └─ gate.wait (leads, if nobody does) <──────────────────────────── wake ────────┘
//! ```
//!
//! Every call in flight has a slot. Answers are matched to slots by the thread that reads them,
//! which wakes the one thread that waits; the answer is decoded by that thread. What no thread
//! waits for (deadlines of calls in `select!`, rests before another try) is done by the clerk, a
//! thread that is started when there is such a thing and sleeps until it is due.
//!
//! | file | what |
//! |---|---|
//! | `builder` | options, each with default, unit and bound |
//! | `options` | [`Call`]: what one call may ask for |
//! | `core` | the table of calls behind its lock, and what a call does with it until it is sent |
//! | `ends` | how calls end, and who takes an end |
//! | `events` | what nodes tell, and what follows from it |
//! | `node` | one node: its connection, and what is told of it |
//! | `nodes` | nodes by name: [`Node`], for calls that go to one and no other |
//! | `wanted` | what is called, and how |
//! | `slot`, `answer`, `pending` | a call in flight |
//! | `picking` | the keys of calls, and news of loads |
//! | `relay` | calls that are passed on, without a thread that waits |
//! | `stream` | items that travel before a call ends |
//! | `together`, `group` | many calls in flight, of which any is waited for |
//! | `clerk` | what nobody waits for |
//! | `errors` | how a call that was not answered ended |
//! | `interceptor` | what sees every call |
//! | `member` | [`Member`]: what a pool is told of a node |
//! | `home` | whether anybody is where the policy picks from |
//! | `stats` | the policy's and the credit's view |
//! | `testing` | what tests of this room share |
//!
//! # Invariants
//!
//! 1. A slot is given one end: an answer, an error, or its deadline; whichever comes first.
//!    (held by `machine::Caller`, which gives a slot out once)
//! 2. The table's lock is a leaf but for slots: nothing is sent, woken or called back under it.
//!    (held by `Core::act`)
//! 3. A message goes to the connection that its call was booked on, or back into the table.
//!    (held by `Core::send`)
//! 4. A bye comes after every call of its session: a replier that has heard it may close. (test
//!    `a_rolling_restart_of_three_servers_under_load_fails_no_call`)
//!
//! # Not here
//!
//! Which node is picked and when a call may be sent again ([`crate::machine`]); the bytes
//! ([`crate::wire`]).

mod answer;
mod builder;
mod clerk;
mod core;
mod ends;
mod errors;
mod events;
mod group;
mod home;
mod interceptor;
mod member;
mod node;
mod nodes;
mod options;
mod pending;
mod picking;
mod relay;
mod slot;
mod stats;
mod stream;
#[cfg(test)]
mod testing;
mod together;
mod wanted;

pub use answer::{Answer, finish, finish_typed};
pub use builder::ClientBuilder;
pub(crate) use group::Group;
pub use interceptor::{Interceptor, Outgoing};
pub use member::{Endpoints, Member};
pub use nodes::{Calls, Node};
pub use options::Call;
pub use pending::Pending;
pub(crate) use relay::{Relay, Returns};
pub use stats::{ClientStats, NodeReport};
pub use stream::{Duplex, Feed, Item, Next, Sink, Stream, StreamStats, TrySendError};
#[doc(hidden)]
pub use stream::{Finish, ReadItem, WriteItem};
pub use together::Together;
pub(crate) use together::Waited;

pub use crate::machine::{CallerStats, Load, NodeState};

use std::fmt;
use std::sync::Arc;

use self::core::Core;
use self::wanted::Wanted;
use crate::service::{MethodInfo, ServiceInfo};
use crate::wire::{EncodeError, Encoding, Payload};
use crate::{CallError, Error, RpcError};

/// Calls services at the nodes of a pool.
///
/// Usually used through the client that [`service`](macro@crate::service) writes for a trait.
/// Clones share connections, credit and counts. Any thread may call; each blocks until its own
/// call has ended. The last clone that goes closes the client: calls still in flight end as
/// cancelled.
///
/// ```
/// use brokerless::client::{Call, Client};
/// use brokerless::wire::Payload;
/// # let server = brokerless::Server::builder().bind("inproc://client-example")?;
///
/// let client = Client::connect("inproc://client-example")?;
/// let answer = client.call_raw("brokerless.echo.v1.echo", &Call::new(), Payload::raw([0x91, 0xc0].to_vec()));
/// # drop(server);
/// # Ok::<(), brokerless::Error>(())
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// Closes the client when its last clone goes. Everything else holds the core alone, so that it
/// is never a leading thread that closes sockets.
struct Handle {
    core: Arc<Core>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl Client {
    /// A client of the nodes at these endpoints, with default options.
    ///
    /// It connects while the program goes on. Calls wait for the first connection.
    ///
    /// # Errors
    ///
    /// If an endpoint is malformed, or there is none.
    pub fn connect(endpoints: impl Endpoints) -> Result<Client, Error> {
        Client::builder().connect(endpoints)
    }

    /// Options first.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new(None)
    }

    /// Options first, of a service's client.
    #[doc(hidden)]
    pub fn builder_of<C: From<Client>>(service: &'static ServiceInfo) -> ClientBuilder<C> {
        ClientBuilder::new(Some(service))
    }

    fn new(core: Arc<Core>) -> Client {
        Client {
            handle: Arc::new(Handle { core }),
        }
    }

    /// Adds a node to the pool: an endpoint alone, or a [`Member`] with a weight, a priority and a
    /// place. Where the policy has a home and nobody is there, with this one, either, that is logged.
    ///
    /// # Errors
    ///
    /// If the endpoint is malformed or known already, or a field is out of its bounds.
    pub fn add(&self, node: impl Into<Member>) -> Result<(), Error> {
        self.core().add(&node.into())?;
        self.core().look_home();
        Ok(())
    }

    /// Gives the node of this endpoint the weight, priority and place that are said; what is not said
    /// stays as it is. False if it is not in the pool.
    ///
    /// It holds from the next call on; no call fails for it. A node of weight 0 is drained without
    /// leaving: see [`Member::weight`].
    ///
    /// # Errors
    ///
    /// If the endpoint is malformed, a field is out of its bounds, or the policy has a home and this
    /// was the last node there: then nothing is changed.
    pub fn set(&self, node: impl Into<Member>) -> Result<bool, Error> {
        self.core().set(&node.into(), true)
    }

    /// Makes of the pool what a set says that [fits](Self::fits) as a whole: what it is in between says
    /// nothing.
    pub(crate) fn set_of_many(&self, node: &Member) -> Result<bool, Error> {
        self.core().set(node, false)
    }

    /// As [`set_of_many`](Self::set_of_many).
    pub(crate) fn add_of_many(&self, node: &Member) -> Result<(), Error> {
        self.core().add(node)
    }

    /// As [`set_of_many`](Self::set_of_many).
    pub(crate) fn remove_of_many(&self, endpoint: &str) -> bool {
        self.core().remove(endpoint)
    }

    /// Whether the policy can have these for its pool.
    ///
    /// # Errors
    ///
    /// If none of them is where it picks from.
    pub(crate) fn fits(&self, nodes: &[Member]) -> Result<(), Error> {
        self.core().fits(nodes)
    }

    /// Takes a node out of the pool: it gets no more calls, and is parted from once it has
    /// answered those that it has. False if there is none of that endpoint. If it was the last where
    /// the policy has its home, that is logged.
    pub fn remove(&self, endpoint: &str) -> bool {
        let known = self.core().remove(endpoint);
        if known {
            self.core().look_home();
        }
        known
    }

    /// The nodes of the pool, in the order in which they were added: for [`Call::to`].
    pub fn nodes(&self) -> Vec<Node> {
        self.core().named()
    }

    /// The node at this endpoint, however it is spelled; none if it is not in the pool.
    pub fn node(&self, endpoint: &str) -> Option<Node> {
        let endpoint: brokerless_patterns::Endpoint = endpoint.parse().ok()?;
        let endpoint = endpoint.to_string();
        let mut nodes = self.nodes().into_iter();
        nodes.find(|node| node.endpoint() == endpoint)
    }

    /// Calls, and tells and nodes, counted.
    pub fn stats(&self) -> ClientStats {
        self.core().report()
    }

    /// Calls a method by its path, with arguments that are encoded already.
    ///
    /// # Errors
    ///
    /// What kept the call from its answer, and whether the method ran. A method's own error is
    /// an answer: see [`Answer::method_error`].
    ///
    /// # Blocking
    ///
    /// Until the call has ended: by its deadline at the latest.
    pub fn call_raw(
        &self,
        path: &str,
        options: &Call,
        payload: Payload,
    ) -> Result<Answer, RpcError> {
        let wanted = Wanted::named(path, options);
        self.core().call(wanted, options, payload)?.or_error()
    }

    /// As [`call_raw`](Self::call_raw), with bytes in an encoding of the method's own.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn call_bytes(
        &self,
        path: &str,
        options: &Call,
        payload: Payload,
    ) -> Result<Answer, RpcError> {
        let mut wanted = Wanted::named(path, options);
        wanted.encoding = Encoding::Raw;
        self.core().call(wanted, options, payload)?.or_error()
    }

    #[doc(hidden)]
    #[inline]
    pub fn call<T, E>(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        finish: fn(&Answer) -> Result<T, CallError<E>>,
    ) -> Result<T, CallError<E>> {
        let payload = arguments.map_err(|error| errors::not_encoded(method.path, &error))?;
        let answer = self
            .core()
            .call(Wanted::of(method, options), options, payload)?;
        finish(&answer)
    }

    #[doc(hidden)]
    #[inline]
    pub fn begin<T, E>(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
        finish: fn(&Answer) -> Result<T, CallError<E>>,
    ) -> Result<Pending<T, E>, CallError<E>> {
        let payload = arguments.map_err(|error| errors::not_encoded(method.path, &error))?;
        let core = self.core();
        let begun = core.begin(Wanted::of(method, options), options, payload)?;
        Ok(Pending::new(self.clone(), begun, finish))
    }

    #[doc(hidden)]
    pub fn send_oneway(
        &self,
        method: &'static MethodInfo,
        options: &Call,
        arguments: Result<Payload, EncodeError>,
    ) -> Result<(), CallError> {
        let payload = arguments.map_err(|error| errors::not_encoded(method.path, &error))?;
        let mut wanted = Wanted::of(method, options);
        wanted.oneway = true;
        self.core().send_off(wanted, options, payload)?;
        Ok(())
    }

    /// Leaves the nodes, as when the last clone goes.
    pub(crate) fn leave(&self) {
        self.core().close();
    }

    /// Whether it has left them.
    pub(crate) fn has_left(&self) -> bool {
        self.core().table.lock().closed
    }

    fn is_same(&self, other: &Client) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }

    /// How the nodes stand, in the order in which they were added.
    pub(crate) fn standings(&self) -> Vec<(Node, NodeState)> {
        self.core().standings()
    }

    /// Rings the bell of a group whenever a node may stand otherwise than before.
    pub(crate) fn watch_nodes(&self, group: &Arc<Group>) {
        self.core().watch_nodes(group);
    }

    /// How busy a node's workers are, in thousandths, by its last report.
    pub(crate) fn utilisation_of(&self, node: &Node) -> Option<u16> {
        let table = self.core().table.lock();
        let stats = table.caller.node_stats(node.id())?;
        stats.load.map(|load| load.utilisation_permille)
    }

    /// Whether calls with these options wait while no node can be reached.
    pub(crate) fn waits_for_ready(&self, options: &Call) -> bool {
        let own = self.core().settings.wait_for_ready;
        options.wait_for_ready.unwrap_or(own)
    }

    fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core().fmt(f)
    }
}
