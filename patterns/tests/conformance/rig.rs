//! What a case is given: sockets on the engine under test, and ways to wait.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use brokerless_patterns::{
    Endpoint, Engine, Event, Message, Options, Pub, RecvError, SocketStats, Sub,
};
use crossbeam_channel::Receiver;

/// Whether a fact holds, and if not, how.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// No case waits longer than this for what has to come.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// How long a case waits for what must not come, or is known not to.
pub(crate) const MOMENT: Duration = Duration::from_millis(300);

/// The case fails with these words unless the condition holds.
macro_rules! holds {
    ($condition:expr, $($words:tt)*) => {
        if !$condition {
            return Err(format!($($words)*).into());
        }
    };
}

/// The case fails unless both are equal.
macro_rules! same {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) if left == right => {}
            (left, right) => {
                let (left, right) = (format!("{left:?}"), format!("{right:?}"));
                let line = line!();
                return Err(format!("line {line}: {left:.200} is not {right:.200}").into());
            }
        }
    };
}
pub(crate) use {holds, same};

static NAMES: AtomicUsize = AtomicUsize::new(0);

/// The engine under test.
#[derive(Clone)]
pub(crate) struct Rig {
    name: &'static str,
    second: Option<Engine>,
}

impl Rig {
    /// A rig for each engine that has been built.
    pub(crate) fn all() -> Vec<Rig> {
        let own = Rig {
            name: "own",
            second: None,
        };
        #[cfg(feature = "zeromq")]
        {
            let second = Rig {
                name: "zeromq",
                second: Some(Engine::zeromq().expect("an engine")),
            };
            vec![own, second]
        }
        #[cfg(not(feature = "zeromq"))]
        vec![own]
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn is_second(&self) -> bool {
        self.second.is_some()
    }

    /// How long to wait for what the second engine is known not to do.
    pub(crate) fn patience(&self) -> Duration {
        if self.is_second() { MOMENT * 3 } else { LIMIT }
    }

    /// Options for a socket on the engine under test.
    pub(crate) fn options(&self) -> Options {
        match &self.second {
            Some(engine) => Options::new().engine(engine),
            None => Options::new(),
        }
    }

    /// A socket on the engine under test.
    pub(crate) fn make<S>(
        &self,
        with: fn(Options) -> Result<S, brokerless_patterns::Error>,
    ) -> Result<S, brokerless_patterns::Error> {
        with(self.options())
    }

    /// A fresh endpoint to bind, of each kind of link.
    pub(crate) fn links(&self) -> [String; 2] {
        ["tcp://127.0.0.1:*".to_owned(), self.ipc()]
    }

    pub(crate) fn ipc(&self) -> String {
        let number = NAMES.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        let path = std::env::temp_dir().join(format!("brokerless-conformance-{id}-{number}"));
        format!("ipc://{}", path.display())
    }
}

/// Any free port.
pub(crate) const TCP: &str = "tcp://127.0.0.1:*";

/// Waits for something to become true.
pub(crate) fn until(what: &str, done: impl FnMut() -> bool) -> Outcome {
    within(LIMIT, what, done)
}

/// Waits for something to become true, no longer than this.
pub(crate) fn within(time: Duration, what: &str, mut done: impl FnMut() -> bool) -> Outcome {
    let deadline = Instant::now() + time;
    while !done() {
        holds!(Instant::now() < deadline, "{what}: not within {time:?}");
        thread::yield_now();
    }
    Ok(())
}

/// Waits for an event.
pub(crate) fn event(events: &Receiver<Event>, wanted: impl Fn(&Event) -> bool) -> Outcome {
    let deadline = Instant::now() + LIMIT;
    loop {
        let event = events.recv_deadline(deadline)?;
        if wanted(&event) {
            return Ok(());
        }
    }
}

/// Whether so many peers are connected.
pub(crate) fn connected(stats: &SocketStats, count: usize) -> bool {
    stats.peers.iter().filter(|peer| peer.connected).count() == count
}

/// Publishes a probe until every subscriber, all of which have subscribed to it, has got it, and
/// takes what is left of it: from then on they get what they want.
pub(crate) fn meet(publisher: &Pub, probe: &str, subscribers: &[&Sub]) -> Outcome {
    for subscriber in subscribers {
        until("a subscriber hears the publisher", || {
            let is_heard = publisher.send(probe).is_ok()
                && subscriber
                    .recv_timeout(Duration::from_millis(10))
                    .is_ok_and(|message| message[0] == *probe);
            // One that hears it already keeps room for what comes behind the probes.
            for other in subscribers
                .iter()
                .filter(|other| !is_heard && !std::ptr::eq(**other, *subscriber))
            {
                while other.try_recv().is_ok() {}
            }
            is_heard
        })?;
    }
    let last = format!("{probe}.");
    publisher.send(&*last)?;
    for subscriber in subscribers {
        while subscriber.recv_timeout(LIMIT)?[0] != *last {}
    }
    Ok(())
}

/// Nothing is there to be received.
pub(crate) fn nothing(received: Result<Message, RecvError>) -> Outcome {
    match received {
        Err(RecvError::Timeout) => Ok(()),
        other => Err(format!("{other:?} instead of nothing").into()),
    }
}

/// The first endpoint bound to, as text.
pub(crate) fn first(endpoints: &[Endpoint]) -> String {
    endpoints[0].to_string()
}
