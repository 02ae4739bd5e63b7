//! What the tests of this folder share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brokerless_patterns::{Event, Router};
use rustix::process::{Resource, getrlimit, setrlimit};

/// No test waits longer than this for what has to come.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Lets this process have so many descriptors open, if the system does.
pub(crate) fn descriptors(count: u64) {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.current.map(|current| current.max(count));
    if let (Some(wanted), Some(most)) = (files.current, files.maximum) {
        assert!(wanted <= most, "{count} descriptors needed, {most} allowed");
    }
    setrlimit(Resource::Nofile, files).unwrap();
}

static NAMES: AtomicUsize = AtomicUsize::new(0);

/// A fresh endpoint to bind for each transport.
pub(crate) fn transports() -> [String; 3] {
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let id = std::process::id();
    let path = std::env::temp_dir().join(format!("brokerless-{id}-{number}.ipc"));
    [
        "tcp://127.0.0.1:*".to_string(),
        format!("ipc://{}", path.display()),
        format!("inproc://sockets-{number}"),
    ]
}

/// A fresh endpoint over tcp, for those that give their port up while others look for it, or bind
/// it again: nobody else takes it meanwhile, and nobody is found there who is another test's. So
/// the address is one of its own, where a machine has more than one for itself.
pub(crate) fn own_tcp() -> String {
    if !cfg!(target_os = "linux") {
        return "tcp://127.0.0.1:*".into();
    }
    let id = std::process::id();
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let (x, y, z) = (1 + id % 250, 1 + id / 250 % 250, 1 + number % 250);
    format!("tcp://127.{x}.{y}.{z}:*")
}

/// Closes the socket when it goes, however the test ends: who waits for it would wait for ever.
pub(crate) struct Closing<'a>(pub(crate) &'a Router);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let _ = self.0.close();
    }
}

/// Says that it is over when it goes, however the test ends.
pub(crate) struct Stopping<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn bound(router: &Router) -> String {
    router.local_endpoints()[0].to_string()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

pub(crate) fn event(
    events: &crossbeam_channel::Receiver<Event>,
    wanted: impl Fn(&Event) -> bool,
) -> Event {
    let deadline = Instant::now() + LIMIT;
    loop {
        let event = events.recv_deadline(deadline).expect("the event, in time");
        if wanted(&event) {
            return event;
        }
    }
}
