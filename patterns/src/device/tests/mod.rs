//! Devices with the sockets of this package as their peers.

mod capture;
mod ending;
mod forwarder;
mod places;
mod queue;
#[path = "../../../tests/support/rounds.rs"]
mod rounds;
mod steering;
mod streamer;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Builder, Change, Handle, Report, Side};
use crate::{Frame, Message};

/// No test waits longer than this for what has to come.
const LIMIT: Duration = Duration::from_secs(60);

/// A name that no other test has.
fn name(what: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("inproc://device-{what}-{number}")
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

/// Sends numbered messages of a mebibyte until none has been taken for a while; gives how many
/// were. A while is many short ones: the machine may stand still in one of them.
fn fill(send: impl Fn(Message, Duration) -> bool) -> u32 {
    let frame = Frame::from(vec![0u8; 1 << 20]);
    let (mut sent, mut refused) = (0u32, 0);
    while refused < 10 {
        let message = Message::from([sent.to_be_bytes().to_vec().into(), frame.clone()]);
        if send(message, Duration::from_millis(50)) {
            (sent, refused) = (sent + 1, 0);
            assert!(sent < 1000, "memory without bound");
        } else {
            refused += 1;
        }
    }
    sent
}

/// A device that runs.
struct Running {
    handle: Handle,
    thread: Option<JoinHandle<Report>>,
}

impl Running {
    fn new(builder: Builder) -> Self {
        let device = builder.build().unwrap();
        let handle = device.handle();
        let thread = std::thread::spawn(move || device.run().unwrap());
        Running {
            handle,
            thread: Some(thread),
        }
    }

    /// Where a side is bound or connected: the first place.
    fn endpoint(&self, side: Side) -> String {
        let endpoints = self.handle.endpoints();
        let of_side = |change: &&Change| change.side == side;
        let first = endpoints.iter().find(of_side).unwrap();
        first.endpoint.to_string()
    }

    fn end(mut self) -> Report {
        self.handle.terminate();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.terminate();
    }
}
