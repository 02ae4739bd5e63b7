//! What one call may ask for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use brokerless_patterns::balance::hash;
use serde::Serialize;

use super::nodes::Node;
use crate::Status;
use crate::metadata::{Metadata, MetadataValue};
use crate::wire::Encoder;

/// Options of calls, in place of the client's and the method's own.
///
/// ```
/// use std::time::Duration;
/// use brokerless::client::Call;
///
/// let quick = Call::new().timeout(Duration::from_millis(50)).metadata("tenant", "x");
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Call {
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    pub(super) item_timeout: Option<Duration>,
    pub(super) wait_for_ready: Option<bool>,
    pub(super) idempotent: bool,
    pub(super) to: Option<Node>,
    pub(super) key: Option<u64>,
    pub(super) metadata: Option<Arc<Metadata>>,
    pub(super) refused: Option<Status>,
}

impl Call {
    /// Nothing special.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a call may take; the caller's own deadline, if it serves a call itself, holds
    /// where it is earlier. Default: what the method says, or else the client.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// When calls have to have ended; the earlier holds where there is a timeout, too.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long to wait for the next item of a stream, for room for one, or for the answer once all
    /// are sent. Default: what the method says, or else the client's
    /// [`timeout`](super::ClientBuilder::timeout).
    ///
    /// A stream as a whole may take as long as [`timeout`](Self::timeout) or the method says, and
    /// without either as long as it likes.
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.item_timeout = Some(timeout);
        self
    }

    /// Whether a call waits while no node can be reached; otherwise it fails at once with
    /// `UNAVAILABLE`. Default: what the client says.
    pub fn wait_for_ready(mut self, wait: bool) -> Self {
        self.wait_for_ready = Some(wait);
        self
    }

    /// Sends calls to this node of the pool, and to no other whatever happens: a call waits for that
    /// node's credit, and ends with `UNAVAILABLE` and `ran() = No` if the node is not there, or leaves
    /// before the call is sent. With [`wait_for_ready`](Self::wait_for_ready) it waits for the node as
    /// long as that is in the pool. What the node refuses to run is not picked again elsewhere: that
    /// ends the call. Default: whichever node the client picks.
    ///
    /// ```
    /// use brokerless::client::{Call, Client};
    /// # let server = brokerless::Server::builder().bind("inproc://call-to")?;
    ///
    /// let client = Client::connect("inproc://call-to")?;
    /// let there: Vec<Call> = client.nodes().iter().map(|node| Call::new().to(node)).collect();
    /// # drop((server, there));
    /// # Ok::<(), brokerless::Error>(())
    /// ```
    pub fn to(mut self, node: &Node) -> Self {
        self.to = Some(node.clone());
        self
    }

    /// The key of calls: policies that pick by key, such as
    /// [`Policy::consistent_hash`](crate::balance::Policy::consistent_hash), send calls with the same
    /// key to the same node. In place of the argument that the method marks by `#[rpc(key = "user")]`;
    /// the same value is the same key, whichever of the two says it. Default: that argument.
    ///
    /// What is hashed is the value as it is encoded in MessagePack, by 64 bits of FNV-1a: the same in
    /// any process and version, and no help against those who choose keys so that they meet.
    ///
    /// ```
    /// use brokerless::client::Call;
    ///
    /// let of_ann = Call::new().key("ann");
    /// let of_tenant = Call::new().key(&("acme", 7));
    /// ```
    pub fn key<T: Serialize + ?Sized>(mut self, key: &T) -> Self {
        let mut encoder = Encoder::answer();
        match encoder.put(key) {
            Ok(()) => self.key = Some(hash(&encoder.finish().body)),
            Err(error) => {
                let refuse =
                    || Status::invalid_argument(format!("the key cannot be encoded: {error}"));
                self.refused.get_or_insert_with(refuse);
            }
        }
        self
    }

    /// Until then at the latest.
    pub(crate) fn earlier(mut self, deadline: Instant) -> Self {
        let before = self.deadline.unwrap_or(deadline);
        self.deadline = Some(before.min(deadline));
        self
    }

    /// Marks calls by path as idempotent; methods of a service say so themselves. Default false.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    /// Sends text along. A key that is not allowed, or one entry too many, is the error of each
    /// call that is made with these options.
    pub fn metadata(self, key: &str, value: &str) -> Self {
        self.entry(key, MetadataValue::from(value))
    }

    /// Sends bytes along, as [`metadata`](Self::metadata) does text.
    pub fn metadata_bytes(self, key: &str, value: &[u8]) -> Self {
        self.entry(key, MetadataValue::from(value))
    }

    fn entry(mut self, key: &str, value: MetadataValue) -> Self {
        let metadata = Arc::make_mut(self.metadata.get_or_insert_default());
        if let Err(error) = metadata.insert(key, value) {
            self.refused.get_or_insert_with(|| error.into());
        }
        self
    }
}
