//! What runs in a process with a DEALER: it connects, says what happens to it, and can be stopped
//! like any process.
//!
//! Its options are `connect` and the socket's. It says `ready` once the router has answered it,
//! then `got TEXT` for each message, and `event NAME` for connections made, lost and given up.
//! A line that it is told it sends.

use std::io::BufRead;
use std::sync::Arc;

use brokerless_patterns::{Dealer, Event, Options};

use super::router::{say, set};

/// The first argument of such a process.
pub(crate) const ROLE: &str = "@dealer";

/// Runs the process until its input ends.
pub(crate) fn run(arguments: impl Iterator<Item = String>) {
    let mut connect = String::new();
    let mut options = Options::new();
    for argument in arguments {
        match argument.split_once('=').expect("options are name=value") {
            ("connect", value) => connect = value.into(),
            (name, value) => options = set(options, name, value),
        }
    }
    let dealer = Arc::new(Dealer::with(options).expect("the options are within bounds"));
    let events = dealer.monitor();
    dealer
        .connect_to(&connect)
        .expect("an endpoint to connect to");
    dealer.send("hello").expect("it waits in the queue");
    dealer.recv().expect("the router answers");
    std::thread::spawn(move || {
        for event in events {
            match event {
                Event::Connected { .. } => say("event connected"),
                Event::Disconnected { reason, .. } => say(&format!("event {}", reason.name())),
                Event::GivenUp { .. } => say("event given-up"),
                _ => {}
            }
        }
    });
    let receiving = dealer.clone();
    std::thread::spawn(move || {
        while let Ok(message) = receiving.recv() {
            say(&format!("got {}", message[0].to_str().unwrap_or("bytes")));
        }
    });
    say("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("orders are text");
        dealer.send(line.as_str()).expect("it waits in the queue");
    }
    // The other threads hold the socket, and wait in it.
    std::process::exit(0);
}
