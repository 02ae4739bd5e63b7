//! Nodes by name, for calls that go to one and no other; and what the clients of services share.

use std::fmt;
use std::sync::Arc;

use super::Client;
use super::core::Core;
use super::group::Group;
use super::options::Call;
use crate::Status;
use crate::machine::{NodeId, NodeState};

/// A node of a client's pool: what [`Call::to`] takes. Cloning it costs a counter.
///
/// It stays the same node while that is in the pool, across lost connections. One that leaves and
/// is added again is another.
///
/// ```
/// # let server = brokerless::Server::builder().bind("inproc://node-example")?;
/// let client = brokerless::Client::connect("inproc://node-example")?;
/// let node = client.node("inproc://node-example").expect("it is in the pool");
/// assert_eq!(node.endpoint(), "inproc://node-example");
/// # drop(server);
/// # Ok::<(), brokerless::Error>(())
/// ```
#[derive(Clone)]
pub struct Node {
    client: u64,
    id: NodeId,
    endpoint: Arc<str>,
}

impl Node {
    pub(super) fn new(core: &Core, id: NodeId, endpoint: Arc<str>) -> Node {
        let client = core.number;
        Node {
            client,
            id,
            endpoint,
        }
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn shared_endpoint(&self) -> &Arc<str> {
        &self.endpoint
    }

    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    pub(super) fn is_of(&self, core: &Core) -> bool {
        self.client == core.number
    }

    /// A call through a client that has not got it.
    pub(super) fn is_strange(&self) -> Status {
        Status::invalid_argument(format!(
            "{} is a node of another client: ask the one that is called through for its nodes",
            self.endpoint
        ))
    }
}

/// Two are the same if they are the same node of the same pool.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        (self.client, self.id) == (other.client, other.id)
    }
}

impl Eq for Node {}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.endpoint)
    }
}

/// What the client that is generated for each service has: a client beneath, and the options of
/// its calls. [`scatter`](crate::scatter()) makes clients of single nodes by it.
pub trait Calls: Clone {
    /// What the calls go through.
    fn client(&self) -> &Client;

    /// The options of its calls.
    fn options(&self) -> &Call;

    /// The same client, whose calls have these options instead of its own.
    #[must_use]
    fn with(&self, options: Call) -> Self;
}

impl Core {
    pub(super) fn watch_nodes(&self, group: &Arc<Group>) {
        self.watching.lock().push(Arc::downgrade(group));
    }

    /// Nodes may stand otherwise than before. The table is not locked.
    pub(super) fn tell_watching(&self) {
        let mut watching = self.watching.lock();
        watching.retain(|group| match group.upgrade() {
            Some(group) => {
                group.ring();
                true
            }
            None => false,
        });
    }

    /// How the nodes stand, in the order in which they were added.
    pub(super) fn standings(&self) -> Vec<(Node, NodeState)> {
        let table = self.table.lock();
        let known = table.caller.states().filter_map(|(id, state)| {
            let place = table.nodes.get(id.index())?.as_ref();
            let place = place.filter(|place| place.id == id)?;
            Some((Node::new(self, id, place.endpoint.clone()), state))
        });
        known.collect()
    }

    pub(super) fn named(&self) -> Vec<Node> {
        let table = self.table.lock();
        let places = table.nodes.iter().flatten();
        let places = places.filter(|place| !table.leaving.contains(&place.id));
        places
            .map(|place| Node::new(self, place.id, place.endpoint.clone()))
            .collect()
    }
}
