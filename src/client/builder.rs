//! Options of a client: each with its default, unit and bound.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use brokerless_patterns::balance::{Balancer, Facts, Policy, PolicyError};
use brokerless_patterns::{Engine, Options};

use super::Client;
use super::core::{Core, Settings};
use super::interceptor::Interceptor;
use super::member::{Endpoints, Member};
use crate::Error;
use crate::machine::{CallerLimits, Credit};
use crate::service::ServiceInfo;

/// Options of a client: of [`Client`], or of `C`, a service's.
///
/// ```
/// use std::time::Duration;
/// use brokerless::client::Client;
///
/// let client = Client::builder()
///     .name("billing")
///     .timeout(Duration::from_secs(2))
///     .wait_for_ready(true)
///     .connect(["tcp://127.0.0.1:7070", "tcp://127.0.0.1:7071"])?;
/// # Ok::<(), brokerless::Error>(())
/// ```
#[must_use]
pub struct ClientBuilder<C = Client> {
    settings: Settings,
    limits: CallerLimits,
    engine: Option<Engine>,
    nodes: Vec<Member>,
    policy: Policy,
    /// What the client is of, if that is one service.
    service: Option<&'static ServiceInfo>,
    client: PhantomData<fn() -> C>,
}

/// The longest timeout.
const TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

impl<C: From<Client>> ClientBuilder<C> {
    pub(crate) fn new(service: Option<&'static ServiceInfo>) -> Self {
        ClientBuilder {
            settings: Settings {
                name: Arc::from(""),
                timeout: Duration::from_secs(10),
                wait_for_ready: false,
                sessionless: None,
                stream_items: 32 * 1024,
                stream_bytes: 1 << 20,
                options: Options::new(),
                interceptors: Vec::new(),
                keyed: None,
                home: None,
            },
            limits: CallerLimits::default(),
            engine: None,
            nodes: Vec::new(),
            policy: Policy::adaptive(),
            service,
            client: PhantomData,
        }
    }

    /// What this client calls itself, for people: handlers see it. Default: nothing; at most 255
    /// bytes.
    pub fn name(mut self, name: &str) -> Self {
        self.settings.name = Arc::from(name);
        self
    }

    /// How long a call may take that says nothing else, and how long a stream waits for its next
    /// item. Default 10 s; 1 ms to a week.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Whether calls wait while no node can be reached, until their deadline; otherwise they fail
    /// at once. Either way they wait for the first attempt to connect. Default false.
    pub fn wait_for_ready(mut self, wait: bool) -> Self {
        self.settings.wait_for_ready = wait;
        self
    }

    /// Calls that may wait for credit, in all; more are refused with `RESOURCE_EXHAUSTED`.
    /// Default 65,536; 1 to 1,000,000. Each holds its arguments.
    pub fn waiting_max(mut self, calls: usize) -> Self {
        self.limits.waiting_max = calls;
        self
    }

    /// Calls and bytes in flight at one node, whatever it grants. Default 16,384 calls and 1 GiB;
    /// from 1 call and 1 KiB.
    pub fn window_max(mut self, calls: u32, bytes: u64) -> Self {
        self.limits.window_max = Credit::new(calls, bytes);
        self
    }

    /// Items of one stream that a node may have sent and its reader not taken. Default 32,768; 1 to
    /// 1,000,000.
    ///
    /// A node that is fast sends hundreds of them in a message. One that sends each by itself makes
    /// the reader keep some 250 bytes a message beside those of
    /// [`stream_bytes`](Self::stream_bytes): by default 4 MiB a stream that is not read.
    pub fn stream_items(mut self, items: u32) -> Self {
        self.settings.stream_items = items;
        self
    }

    /// Bytes of items of one stream that a node may have sent and its reader not taken. Default
    /// 1 MiB; 1 KiB to 1 GiB. An item that is larger goes alone: so a stream holds at most this, or
    /// one item.
    pub fn stream_bytes(mut self, bytes: u64) -> Self {
        self.settings.stream_bytes = bytes;
        self
    }

    /// Leaves sessions out, for endpoints where a device stands that passes on what it does not
    /// understand, such as `bl-queue`: so many calls may be in flight at each endpoint. Default:
    /// with sessions; 1 to 65,536.
    ///
    /// Without sessions there is no credit, no drain and no cancelling; a node that is lost
    /// behind the device is noticed by deadlines only.
    pub fn sessionless(mut self, window: u32) -> Self {
        self.settings.sessionless = Some(window);
        self
    }

    /// Options of the sockets: heartbeats, reconnecting, limits. Identity, engine, queue limits
    /// and what concerns listeners are the client's own.
    pub fn options(mut self, options: Options) -> Self {
        self.settings.options = options;
        self
    }

    /// The engine that the sockets are on. Default: the process's own.
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }

    /// Sees every call; several see it in the order in which they were added.
    pub fn interceptor(mut self, interceptor: impl Interceptor + 'static) -> Self {
        self.settings.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Which node of the pool gets the next call. Default [`Policy::adaptive`]: where it is expected to
    /// end soonest; equal nodes get equal shares, and weights are hints as long as nothing is known.
    /// For exact shares: [`Policy::weighted`]. See [`balance`](crate::balance) for what there is.
    ///
    /// A policy by key, such as [`Policy::consistent_hash`], wants to know where keys come from: a
    /// method of the client's service marks one by `#[rpc(key = "user")]`, or the policy says that
    /// [calls bring theirs](Policy::keyed_by_call), as it has to for a client of no service.
    /// Otherwise [`connect`](Self::connect) refuses it.
    ///
    /// ```
    /// use brokerless::balance::Policy;
    /// use brokerless::client::Client;
    ///
    /// let client = Client::builder().policy(Policy::peak_ewma());
    /// ```
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How often at most the policy may have a node asked for its load, by a call of the built-in
    /// health service that nobody waits for. Default 5 ms, give or take a tenth; 1 ms to an hour.
    ///
    /// Policies ask rarely: [`adaptive`](Policy::adaptive) lets questions cost a hundredth of what calls
    /// cost, and asks only where other callers' calls are in line. A question goes beside a call of the
    /// program's own, and only if the policy would like to know: a client that is not called through
    /// asks nobody.
    pub fn probe_every(mut self, pause: Duration) -> Self {
        self.limits.probe_every = pause;
        self
    }

    /// Nodes, with their weight, priority and place; beside those that
    /// [`connect`](Self::connect) is given.
    pub fn nodes(mut self, nodes: impl IntoIterator<Item = impl Into<Member>>) -> Self {
        self.nodes.extend(nodes.into_iter().map(Into::into));
        self
    }

    /// The client of these nodes, and of those given to [`nodes`](Self::nodes): `connect(())` if
    /// those are all.
    ///
    /// # Errors
    ///
    /// If an endpoint is malformed or named twice, there is none, or an option of this, of a node or
    /// of the policy is out of its bounds; or the policy picks by key, and no call could have one.
    pub fn connect(mut self, endpoints: impl Endpoints) -> Result<C, Error> {
        self.check()?;
        self.check_keys()?;
        let mut nodes = endpoints.members();
        nodes.append(&mut self.nodes);
        if nodes.is_empty() {
            return Err(Error::NoEndpoints);
        }
        let engine = match self.engine {
            Some(engine) => engine,
            None => Engine::global().map_err(brokerless_patterns::Error::System)?,
        };
        let facts: Result<Vec<Facts>, Error> = nodes
            .iter()
            .map(|node| node.facts(&Facts::default()))
            .collect();
        self.policy.check(&facts?)?;
        self.settings.keyed = self.policy.needs_key().then(|| self.policy.name().into());
        self.settings.home = self.policy.has_home().then(|| self.policy.clone());
        let seed = RandomState::new().hash_one(nodes.len());
        let balancer = Balancer::new(&self.policy, seed)?;
        let client = Client::new(Core::new(engine, self.settings, self.limits, balancer));
        for node in nodes {
            client.core().add(&node)?;
        }
        Ok(client.into())
    }

    /// Whether calls can have the keys that the policy wants.
    fn check_keys(&self) -> Result<(), Error> {
        if !self.policy.needs_key() || self.policy.is_keyed_by_call() {
            return Ok(());
        }
        let rule = match self.service {
            Some(service) if service.methods.iter().any(|method| method.key.is_some()) => {
                return Ok(());
            }
            Some(service) => format!(
                "it picks a node by key, and no method of {} has one: mark an argument by `#[rpc(key = \"..\")]`, or give calls theirs by `Call::key` and say so by `Policy::keyed_by_call`",
                service.name
            ),
            None => "it picks a node by key, and a client of no service cannot see where keys come from: build that of a service which marks them by `#[rpc(key = \"..\")]`, or say by `Policy::keyed_by_call` that calls bring theirs".to_owned(),
        };
        Err(PolicyError::new("policy", self.policy.name(), rule).into())
    }

    fn check(&self) -> Result<(), Error> {
        let Settings {
            name,
            timeout,
            sessionless,
            stream_items,
            stream_bytes,
            ..
        } = &self.settings;
        if name.len() > crate::wire::NAME_BYTES_MAX {
            let value = format!("{} bytes", name.len());
            return Err(Error::option("name", value, "at most 255 bytes"));
        }
        if !(Duration::from_millis(1)..=TIMEOUT_MAX).contains(timeout) {
            let value = format!("{timeout:?}");
            return Err(Error::option("timeout", value, "from 1 ms to a week"));
        }
        if sessionless.is_some_and(|window| !(1..=65_536).contains(&window)) {
            let value = sessionless.unwrap_or_default();
            return Err(Error::option("sessionless", value, "from 1 to 65,536"));
        }
        if !(1..=1_000_000).contains(stream_items) {
            let value = stream_items;
            return Err(Error::option("stream_items", value, "from 1 to 1,000,000"));
        }
        if !(1024..=1 << 30).contains(stream_bytes) {
            let value = stream_bytes;
            return Err(Error::option("stream_bytes", value, "from 1 KiB to 1 GiB"));
        }
        if !(1..=1_000_000).contains(&self.limits.waiting_max) {
            let value = self.limits.waiting_max;
            return Err(Error::option("waiting_max", value, "from 1 to 1,000,000"));
        }
        let probe_every = self.limits.probe_every;
        if !(Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&probe_every) {
            let value = format!("{probe_every:?}");
            return Err(Error::option("probe_every", value, "from 1 ms to an hour"));
        }
        let Credit { calls, bytes } = self.limits.window_max;
        if calls == 0 || bytes < 1024 {
            let value = format!("{calls} calls and {bytes} bytes");
            return Err(Error::option(
                "window_max",
                value,
                "from 1 call and 1,024 bytes",
            ));
        }
        Ok(())
    }
}

impl<C> fmt::Debug for ClientBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("limits", &self.limits)
            .field("policy", &self.policy)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}
