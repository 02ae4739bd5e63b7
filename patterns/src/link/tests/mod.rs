//! Tests of the links, one file a subject.

mod endpoints;
mod files;
mod links;

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    ConnectState, Endpoint, LinkOptions, Listener, RemoteAddr, Stream, resolve, start_connect,
};

/// Within this an event of the test's own machine has to come.
const EVENT_WITHIN_S: i64 = 60;

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("a well-formed endpoint")
}

fn bind(text: &str) -> Listener {
    Listener::bind(&endpoint(text), &LinkOptions::default()).expect("a free endpoint")
}

/// The message of a bind that has to fail.
fn bind_error(text: &str) -> String {
    Listener::bind(&endpoint(text), &LinkOptions::default())
        .expect_err("a refusal")
        .to_string()
}

fn wait(fd: &impl AsFd, events: PollFlags) {
    let within = Timespec {
        tv_sec: EVENT_WITHIN_S,
        tv_nsec: 0,
    };
    let started = Instant::now();
    let ready = poll(&mut [PollFd::new(fd, events)], Some(&within)).expect("poll");
    assert_eq!(ready, 1, "no event after {:?}", started.elapsed());
}

/// Connects to the first target, all the way.
fn connect(to: &Endpoint) -> io::Result<Stream> {
    let options = LinkOptions::default();
    let targets = resolve(to, &options)?;
    let (stream, state) = start_connect(&targets[0], &options)?;
    if state == ConnectState::InProgress {
        wait(&stream, PollFlags::OUT);
        stream.take_error()?;
    }
    Ok(stream)
}

fn accept(listener: &Listener) -> (Stream, RemoteAddr) {
    wait(listener, PollFlags::IN);
    listener
        .accept()
        .expect("accept")
        .expect("a queued connection")
}

/// Binds, connects to what the listener reports, accepts.
fn pair(text: &str) -> (Stream, Stream, RemoteAddr) {
    let listener = bind(text);
    let client = connect(listener.endpoint()).expect("connect");
    let (server, remote) = accept(&listener);
    (client, server, remote)
}

/// A directory for the files of one test, gone with the value.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(test: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("link-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Directory(path)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }

    fn ipc(&self, name: &str) -> String {
        format!("ipc://{}", self.path(name).display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
