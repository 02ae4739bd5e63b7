//! What a server is told before it starts, and what is checked then.

use std::hash::RandomState;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use brokerless_patterns::{Engine, Options, Router};
use parking_lot::Mutex;

use super::Server;
use super::drain;
use super::hooks::Hooks;
use super::intercept::Interceptor;
use super::load::Rates;
use super::methods::{Methods, Place};
use super::pass::Fallback;
use super::pool;
use super::pull::Pull;
use super::receive::Receiver;
use super::serve::{Group, Settings, Shared};
use crate::builtin::{self, Health, Observed, Observer};
use crate::error::Error;
use crate::machine::{Credit, Flow, LoadTracker, SessionLimits, WindowLimits};
use crate::service::Service;

const DAY: Duration = Duration::from_secs(24 * 3600);
const TEBIBYTE: u64 = 1 << 40;
/// Messages beside answers that may be queued for a caller, and answers to those over the window.
const SLACK: usize = 1024;
/// Bytes of a message that are left to its envelope.
const ENVELOPE_ROOM: u64 = 64 << 10;
/// Bytes of the name that peers are told.
const NAME_BYTES_MAX: usize = 255;

/// A named pool: threads of its own, and the queue of calls that wait for them.
///
/// ```
/// use brokerless::server::{Pool, Server};
///
/// let builder = Server::builder().pool("disk", Pool::new().threads(8).queue(10_000));
/// # let _ = builder;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Pool {
    threads: usize,
    queue: usize,
    queue_bytes: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            threads: 4,
            queue: 1024,
            queue_bytes: 256 << 20,
        }
    }
}

impl Pool {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Threads, which is how many of its calls run at once. Default 4; 1 to 4,096.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Calls that may wait; one more is refused with `RESOURCE_EXHAUSTED`. Default 1,024; 1 to
    /// 1,000,000.
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls;
        self
    }

    /// Bytes of the calls that wait; one call fits in any case. Default 256 MiB; 1 KiB to 1 TiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }
}

/// Builds a [`Server`].
///
/// The setters take what they are given; bounds are checked by [`bind`](Self::bind), which starts
/// it.
///
/// # Worst-case memory
///
/// For each pool its queue's bytes; for each connection what its [`Options`] allow, two windows of
/// bytes (what runs, and what came over the window and is being refused), and 4,096 short answers;
/// for each call that carries items `stream_bytes` and one item that it is sent, and the window
/// that its caller grants and one item that it sends.
#[must_use]
pub struct ServerBuilder {
    name: String,
    services: Vec<Arc<dyn Service>>,
    interceptors: Vec<Arc<dyn Interceptor>>,
    pools: Vec<(String, Pool)>,
    default: Pool,
    engines: usize,
    window: u32,
    window_max: u32,
    window_bytes_max: u64,
    sessionless_max: u32,
    blob_bytes_max: u64,
    call_bytes_max: Option<u64>,
    drain_timeout: Duration,
    plain_timeout: Duration,
    item_timeout: Duration,
    stream_items: u64,
    stream_bytes: u64,
    builtin: Builtin,
    transport: Option<Options>,
    engine: Option<Engine>,
    fallback: Option<Arc<dyn Fallback>>,
    worker_pull: bool,
}

/// Which of the built-in services are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Builtin {
    All,
    Stats,
    None,
}

impl Default for ServerBuilder {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        ServerBuilder {
            name: String::new(),
            services: Vec::new(),
            interceptors: Vec::new(),
            pools: Vec::new(),
            default: Pool::new().threads(cores.max(4)),
            engines: 1,
            window: 16,
            window_max: 1024,
            window_bytes_max: 64 << 20,
            sessionless_max: 1024,
            blob_bytes_max: 16 << 20,
            call_bytes_max: None,
            drain_timeout: Duration::from_secs(10),
            plain_timeout: Duration::from_secs(10),
            item_timeout: Duration::from_secs(10),
            stream_items: 32 * 1024,
            stream_bytes: 1 << 20,
            builtin: Builtin::All,
            transport: None,
            engine: None,
            fallback: None,
            worker_pull: false,
        }
    }
}

impl ServerBuilder {
    /// What it calls itself, for people. Default empty; at most 255 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Offers a service. Default: none but the built-in ones.
    pub fn service(mut self, service: impl Service) -> Self {
        self.services.push(Arc::new(service));
        self
    }

    /// Adds a named pool, for methods that ask for it. Default: none but the default pool.
    pub fn pool(mut self, name: impl Into<String>, pool: Pool) -> Self {
        self.pools.push((name.into(), pool));
        self
    }

    /// Handlers that the default pool runs at once, for each engine. Default the number of cores,
    /// but 4 at least; 1 to 4,096.
    ///
    /// While all are taken, one more may run if its method has proved quick (under 50 us), so that
    /// slow calls do not hold up quick ones.
    pub fn workers(mut self, threads: usize) -> Self {
        self.default.threads = threads;
        self
    }

    /// Whether callers are granted free workers alone, as many calls in all as there are
    /// [`workers`](Self::workers), of each engine to those who call there: then no call waits here, and none is given to a busy worker. Callers
    /// that have calls to send wait in line for a worker's credit, and their calls can go to another
    /// node meanwhile. Default false: each caller has a window, and calls may wait in the queue.
    ///
    /// For long calls whose length varies much, over many nodes. It costs a message or two a call
    /// where there are more callers with calls than workers; a call that crosses with credit that was
    /// taken back is refused, not having run, and picked again. Every call takes a worker's credit,
    /// one of a named pool or an inline one, too; a stream for as long as it lasts. Callers without
    /// a session are refused while no worker is free. Who asks for the server's health is answered
    /// in any case.
    pub fn worker_pull(mut self, pull: bool) -> Self {
        self.worker_pull = pull;
        self
    }

    /// Calls that may wait for the default pool, for each engine; one more is refused with
    /// `RESOURCE_EXHAUSTED`. Default 1,024; 1 to 1,000,000.
    pub fn queue(mut self, calls: usize) -> Self {
        self.default.queue = calls;
        self
    }

    /// Bytes of the calls that wait for the default pool, for each engine. Default 256 MiB; 1 KiB
    /// to 1 TiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.default.queue_bytes = bytes;
        self
    }

    /// Engines over which the endpoints are spread in turn, each with its own receiving threads
    /// and default pool. Default 1; 1 to 64.
    ///
    /// One engine reads with one thread at a time; several spread that over many cores.
    pub fn engines(mut self, engines: usize) -> Self {
        self.engines = engines;
        self
    }

    /// Runs around every call, inside of those added before. Default: none.
    pub fn interceptor(mut self, interceptor: impl Interceptor) -> Self {
        self.interceptors.push(Arc::new(interceptor));
        self
    }

    /// Calls that a new caller may have in flight. Default 16; 1 to 65,536. It grows with use, up
    /// to `window_max`.
    pub fn window(mut self, calls: u32) -> Self {
        self.window = calls;
        self
    }

    /// Calls that a caller may have in flight at most. Default 1,024; 1 to 65,536.
    pub fn window_max(mut self, calls: u32) -> Self {
        self.window_max = calls;
        self
    }

    /// Bytes of arguments and blobs that a caller may have in flight at most; one call fits in any
    /// case. Default 64 MiB; 64 KiB to 1 TiB.
    pub fn window_bytes_max(mut self, bytes: u64) -> Self {
        self.window_bytes_max = bytes;
        self
    }

    /// Calls without a session that one device may have in flight for its clients. Default 1,024;
    /// 1 to 65,536. A caller that is connected directly has one.
    pub fn sessionless_max(mut self, calls: u32) -> Self {
        self.sessionless_max = calls;
        self
    }

    /// Bytes of the largest arguments and of the largest blob, both ways. Default 16 MiB; 1 to
    /// 1 TiB. Callers are told.
    ///
    /// What is larger is answered with an error, as long as it is within the transport's
    /// `frame_bytes_max`, beyond which the connection is closed. Without
    /// [`transport`](Self::transport) that is twice as much, or 64 MiB if that is more.
    pub fn blob_bytes_max(mut self, bytes: u64) -> Self {
        self.blob_bytes_max = bytes;
        self
    }

    /// Bytes of the largest call, and of the largest answer: arguments or value and all blobs
    /// together. Default 32 MiB, or twice `blob_bytes_max` if that is more; 1 to 1 TiB. Callers are
    /// told.
    ///
    /// What is larger is answered with an error, as long as it is within the transport's
    /// `message_bytes_max`, beyond which the connection is closed. Without
    /// [`transport`](Self::transport) that is twice as much, or 64 MiB if that is more; a client
    /// takes 64 MiB in one answer, unless its options say otherwise.
    pub fn call_bytes_max(mut self, bytes: u64) -> Self {
        self.call_bytes_max = Some(bytes);
        self
    }

    /// What [`stop`](Server::stop) and dropping give calls and callers to come to an end. Default
    /// 10 s; at most a day.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// The deadline of calls that name none, from plain REQ sockets, where the method names none
    /// either. Default 10 s; 1 ms to a day.
    pub fn plain_timeout(mut self, timeout: Duration) -> Self {
        self.plain_timeout = timeout;
        self
    }

    /// How long a call that carries items waits for the next one, and for room for the next one,
    /// where its method does not say: one more, and it ends with `DEADLINE_EXCEEDED`. Default
    /// 10 s; 1 ms to a year.
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.item_timeout = timeout;
        self
    }

    /// Items that a caller may have sent in one call beyond those that the method has taken.
    /// Default 32,768; 1 to 1,000,000.
    ///
    /// A caller that is fast sends hundreds of them in a message. One that sends each by itself
    /// makes the server keep some 250 bytes a message beside those of
    /// [`stream_bytes`](Self::stream_bytes): by default 4 MiB a stream that is not read.
    pub fn stream_items(mut self, items: u64) -> Self {
        self.stream_items = items;
        self
    }

    /// Bytes of such items; one larger item fits in any case, by itself. Default 1 MiB; 1 KiB to
    /// 1 GiB.
    pub fn stream_bytes(mut self, bytes: u64) -> Self {
        self.stream_bytes = bytes;
        self
    }

    /// Whether health, reflection, statistics and echo are offered. Default true.
    pub fn builtin(mut self, offered: bool) -> Self {
        self.builtin = match offered {
            true => Builtin::All,
            false => Builtin::None,
        };
        self
    }

    /// Calls of methods that no service here has are passed on there; of the built-in services only
    /// statistics are offered, and the first engine is this one.
    pub(crate) fn passing(mut self, engine: &Engine, fallback: Arc<dyn Fallback>) -> Self {
        self.builtin = Builtin::Stats;
        self.engine = Some(engine.clone());
        self.fallback = Some(fallback);
        self
    }

    /// Options of the sockets: limits on peers, heartbeats, TCP. Default [`Options::new`]. The
    /// server sets the engine and `send_messages_max` itself.
    pub fn transport(mut self, options: Options) -> Self {
        self.transport = Some(options);
        self
    }

    /// Starts a server that is bound to this endpoint.
    ///
    /// # Errors
    ///
    /// As [`bind_all`](Self::bind_all).
    pub fn bind(self, endpoint: &str) -> Result<Server, Error> {
        self.bind_all([endpoint])
    }

    /// Starts a server that is bound to these endpoints.
    ///
    /// # Errors
    ///
    /// If an option is out of its bounds, two services have one name, a method asks for a pool
    /// that is not there, no endpoint is given, or the system refuses one, or a thread. Nothing
    /// runs then.
    pub fn bind_all<E: AsRef<str>>(
        self,
        endpoints: impl IntoIterator<Item = E>,
    ) -> Result<Server, Error> {
        let endpoints: Vec<E> = endpoints.into_iter().collect();
        if endpoints.is_empty() {
            return Err(Error::NoEndpoints);
        }
        self.check()?;
        let health = Health::default();
        let observer = Observer::default();
        let methods = self.methods(&health, &observer)?;
        let hooks = Arc::new(Hooks::new(self.blob_bytes_max));
        let parts = hooks.parts();
        let groups = self.groups(&hooks)?;
        for (group, endpoint) in groups.iter().cycle().zip(&endpoints) {
            group.router.bind_to(endpoint.as_ref())?;
        }
        let settings = self.settings();
        let named = self.pools.iter().map(|(name, pool)| {
            pool::Pool::new(name, pool.threads, false, pool.queue, pool.queue_bytes)
        });
        let named = named.collect();
        let workers = u32::try_from(self.default.threads).unwrap_or(u32::MAX);
        let pull = self
            .worker_pull
            .then(|| Pull::new(self.engines, workers, self.window_bytes_max));
        let interceptors = self.interceptors;
        let methods = (methods, self.fallback);
        let shared = Arc::new_cyclic(|me| {
            let me = me.clone();
            Shared::new(
                me,
                settings,
                methods,
                interceptors,
                (groups, named, pull),
                health,
                parts,
            )
        });
        hooks.serve(&shared);
        let observed: Arc<dyn Observed> = shared.clone();
        observer.observe(Arc::downgrade(&observed));
        drop(observed);
        // Dropped if a thread is refused, it ends those that run.
        let server = Server { shared };
        employ(&server.shared, self.default.threads)?;
        Ok(server)
    }

    fn check(&self) -> Result<(), Error> {
        if self.name.len() > NAME_BYTES_MAX {
            let bytes = format!("{} bytes long", self.name.len());
            return Err(Error::option("name", bytes, "it has at most 255 bytes"));
        }
        check_pool(&self.default, "workers")?;
        for (index, (name, pool)) in self.pools.iter().enumerate() {
            check_pool(pool, "threads")?;
            let before = self.pools.iter().take(index);
            if name.is_empty() || before.clone().any(|(other, _)| other == name) {
                let rule = "each pool has a name of its own, which is not empty";
                return Err(Error::option("pool", format!("`{name}`"), rule));
            }
        }
        within("engines", self.engines as u64, 1, 64, "it is 1 to 64")?;
        let calls = "it is 1 to 65,536 calls";
        within("window", self.window.into(), 1, 65_536, calls)?;
        within("window_max", self.window_max.into(), 1, 65_536, calls)?;
        within(
            "sessionless_max",
            self.sessionless_max.into(),
            1,
            65_536,
            calls,
        )?;
        let bytes = "it is 65,536 bytes to 1 TiB";
        let window_bytes_max = self.window_bytes_max;
        within(
            "window_bytes_max",
            window_bytes_max,
            64 << 10,
            TEBIBYTE,
            bytes,
        )?;
        let bytes = "it is 1 byte to 1 TiB";
        within("blob_bytes_max", self.blob_bytes_max, 1, TEBIBYTE, bytes)?;
        within("call_bytes_max", self.call_bytes_most(), 1, TEBIBYTE, bytes)?;
        if self.drain_timeout > DAY {
            let given = format!("{:?}", self.drain_timeout);
            return Err(Error::option("drain_timeout", given, "it is at most a day"));
        }
        if self.plain_timeout > DAY || self.plain_timeout < Duration::from_millis(1) {
            let given = format!("{:?}", self.plain_timeout);
            return Err(Error::option("plain_timeout", given, "it is 1 ms to a day"));
        }
        if self.item_timeout > 365 * DAY || self.item_timeout < Duration::from_millis(1) {
            let given = format!("{:?}", self.item_timeout);
            return Err(Error::option("item_timeout", given, "it is 1 ms to a year"));
        }
        let items = "it is 1 to 1,000,000 items";
        within("stream_items", self.stream_items, 1, 1_000_000, items)?;
        let bytes = "it is 1 KiB to 1 GiB";
        within("stream_bytes", self.stream_bytes, 1024, 1 << 30, bytes)?;
        Ok(())
    }

    fn methods(&self, health: &Health, observer: &Observer) -> Result<Methods, Error> {
        let mut methods = Methods::new();
        let mut offer = |service: Arc<dyn Service>| -> Result<(), Error> {
            let mut missing = None;
            let name = service.info().name;
            let added = methods.add(service, |info| {
                // A call that carries items lasts: the thread that receives is not kept.
                if info.inline && !info.is_stream() {
                    return Place::Inline;
                }
                let Some(wanted) = info.pool else {
                    return Place::Default;
                };
                match self.pools.iter().position(|(name, _)| name == wanted) {
                    Some(index) => Place::Named(index),
                    None => {
                        missing = Some(info);
                        Place::Default
                    }
                }
            });
            if let Some(info) = missing {
                return Err(Error::UnknownPool {
                    pool: info.pool.unwrap_or_default().to_owned(),
                    method: info.path.to_owned(),
                });
            }
            if !added {
                let service = name.to_owned();
                return Err(Error::DuplicateService { service });
            }
            Ok(())
        };
        for service in &self.services {
            offer(service.clone())?;
        }
        if self.builtin == Builtin::Stats {
            offer(builtin::stats(observer))?;
        }
        if self.builtin == Builtin::All {
            let offered: Vec<_> = self.services.iter().map(|service| service.info()).collect();
            for service in builtin::services(&offered, health, observer) {
                offer(service)?;
            }
        }
        Ok(methods)
    }

    fn groups(&self, hooks: &Arc<Hooks>) -> Result<Vec<Group>, Error> {
        let given = self.transport.clone();
        let transport = given.unwrap_or_else(|| self.with_room(Options::new()));
        let window = self.window_max.max(self.sessionless_max) as usize;
        let transport = transport.send_messages_max(2 * window + SLACK);
        let group = |index| -> Result<Group, Error> {
            let engine = match &self.engine {
                Some(engine) if index == 0 => engine.clone(),
                _ => Engine::new().map_err(brokerless_patterns::Error::System)?,
            };
            let router = Router::with_tap(transport.clone().engine(&engine), hooks.clone())?;
            if self.fallback.is_some() {
                // Answers of nodes come in by other sockets of this engine.
                router.drive_others();
            }
            let pool = &self.default;
            Ok(Group {
                engine,
                router,
                pool: pool::Pool::new("", pool.threads, true, pool.queue, pool.queue_bytes),
                load: Mutex::new(LoadTracker::new(pool.threads)),
                rates: Rates::default(),
            })
        };
        (0..self.engines).map(group).collect()
    }

    /// Options with twice the room that the largest blob and the largest call need.
    pub(crate) fn with_room(&self, options: Options) -> Options {
        let twice = |bytes: u64| bytes.saturating_mul(2).clamp(64 << 20, TEBIBYTE);
        options
            .frame_bytes_max(twice(self.blob_bytes_max))
            .message_bytes_max(twice(self.call_bytes_most()))
    }

    fn call_bytes_most(&self) -> u64 {
        let least = self.blob_bytes_max.saturating_mul(2).min(TEBIBYTE);
        self.call_bytes_max.unwrap_or(least.max(32 << 20))
    }

    fn settings(&self) -> Settings {
        // What the transport does not take cannot be promised.
        let given = self.transport.as_ref();
        let frame = given.map_or(u64::MAX, Options::largest_frame);
        let message = given.map_or(u64::MAX, Options::largest_message);
        let bytes = self.window_bytes_max;
        let defaults = WindowLimits::default();
        let mut window = WindowLimits {
            start: Credit::new(self.window, defaults.start.bytes.min(bytes)),
            max: Credit::new(self.window_max, bytes),
            ..defaults
        };
        if self.worker_pull {
            // What is admitted is a free worker's share.
            window.max = Credit::new(1 << 20, bytes);
            window.start = window.max;
            // Nobody is told of it, so it stays.
            window.delay_target = Duration::MAX;
        }
        let limits = |calls| SessionLimits {
            window,
            implicit: Credit::new(calls, bytes),
        };
        Settings {
            name: self.name.clone(),
            blob_bytes_max: self.blob_bytes_max.min(frame),
            call_bytes_max: self
                .call_bytes_most()
                .min(message.saturating_sub(ENVELOPE_ROOM).max(1)),
            drain_timeout: self.drain_timeout,
            plain_timeout: self.plain_timeout,
            direct: limits(1),
            through_device: limits(self.sessionless_max),
            stream: Flow::new(self.stream_items, self.stream_bytes),
            item_timeout: self.item_timeout,
        }
    }
}

impl std::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let services = self.services.iter().map(|service| service.info().name);
        f.debug_struct("ServerBuilder")
            .field("name", &self.name)
            .field("services", &services.collect::<Vec<_>>())
            .field("pools", &self.pools)
            .finish_non_exhaustive()
    }
}

fn check_pool(pool: &Pool, threads: &'static str) -> Result<(), Error> {
    within(threads, pool.threads as u64, 1, 4096, "it is 1 to 4,096")?;
    within(
        "queue",
        pool.queue as u64,
        1,
        1_000_000,
        "it is 1 to 1,000,000 calls",
    )?;
    let bytes = "it is 1 KiB to 1 TiB";
    within(
        "queue_bytes",
        pool.queue_bytes as u64,
        1024,
        TEBIBYTE,
        bytes,
    )
}

fn within(
    option: &'static str,
    value: u64,
    least: u64,
    most: u64,
    rule: &'static str,
) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(Error::option(option, value, rule))
    }
}

/// Starts the threads: for each engine one for each seat, the quick one's too, and one that
/// receives while all of these run handlers; and those of the named pools.
fn employ(shared: &Arc<Shared>, workers: usize) -> Result<(), Error> {
    let paths = RandomState::new();
    for group in 0..shared.groups.len() {
        for _ in 0..workers + 2 {
            let receiver = Receiver::new(shared.clone(), group, paths.clone());
            start(shared, "bl-worker".to_owned(), move || receiver.run())?;
        }
    }
    for index in 0..shared.named.len() {
        let pool = shared.named.get(index);
        let (name, threads) = pool.map_or(("", 0), |pool| (pool.name(), pool.seats()));
        for _ in 0..threads {
            let own = shared.clone();
            start(shared, format!("bl-{name}"), move || {
                let Some(pool) = own.named.get(index) else {
                    return;
                };
                while let Some(work) = pool.take() {
                    own.run_work(work, false);
                    pool.done();
                }
            })?;
        }
    }
    Ok(())
}

fn start(
    shared: &Arc<Shared>,
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), Error> {
    /// However the thread ends, it is seen.
    struct Enlisted(Arc<Shared>);
    impl Drop for Enlisted {
        fn drop(&mut self) {
            self.0.drain.dismiss();
        }
    }
    shared.drain.enlist();
    let enlisted = Enlisted(shared.clone());
    // A name with a zero byte would be refused by panicking.
    let name: String = name.chars().filter(|c| *c != '\0').collect();
    let started = thread::Builder::new().name(name).spawn(move || {
        let _enlisted = enlisted;
        work();
    });
    started.map(drop).map_err(Error::Thread)
}

impl Drop for Server {
    fn drop(&mut self) {
        drain::begin(&self.shared, self.shared.settings.drain_timeout);
        self.shared.drain.wait();
    }
}
