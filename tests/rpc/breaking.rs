//! Connections that end in the middle of a call or of its answer: `close_after_header` and
//! `close_mid_body` of gRPC's interop list, over tcp and ipc by peers that are bytes. Over inproc
//! whole messages pass, so there a peer leaves between two of them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;
use std::time::Instant;

use brokerless::client::Call;
use brokerless::patterns::{Dealer, Frame, Message};
use brokerless::wire::{CallHead, Hello, Version, encode_call, encode_hello};
use brokerless::{Code, Ran};

use crate::desk::DeskClient;
use crate::support::{ByHand, PATIENCE, Served, inproc, transports, until};

/// The bytes of a connection.
trait Bytes: Read + Write + Send {
    /// Says that nothing follows.
    fn shut(&self);
}

impl Bytes for TcpStream {
    fn shut(&self) {
        self.shutdown(Shutdown::Write).expect("it is open");
    }
}

impl Bytes for UnixStream {
    fn shut(&self) {
        self.shutdown(Shutdown::Write).expect("it is open");
    }
}

enum Listening {
    Tcp(TcpListener),
    Ipc(UnixListener),
}

impl Listening {
    /// Over tcp and over ipc, each with where.
    fn both() -> [(String, Listening); 2] {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = format!("tcp://{}", tcp.local_addr().expect("bound"));
        let [_, ipc, _] = transports();
        let path = ipc.strip_prefix("ipc://").expect("a path");
        let listener = UnixListener::bind(path).expect("a free path");
        [(at, Listening::Tcp(tcp)), (ipc, Listening::Ipc(listener))]
    }

    fn accept(&self) -> Box<dyn Bytes> {
        match self {
            Listening::Tcp(listener) => {
                let (stream, _) = listener.accept().expect("a client");
                stream.set_read_timeout(Some(PATIENCE)).expect("an option");
                Box::new(stream)
            }
            Listening::Ipc(listener) => {
                let (stream, _) = listener.accept().expect("a client");
                stream.set_read_timeout(Some(PATIENCE)).expect("an option");
                Box::new(stream)
            }
        }
    }
}

fn connect(endpoint: &str) -> Box<dyn Bytes> {
    let (transport, place) = endpoint.split_once("://").expect("an endpoint");
    if transport == "tcp" {
        let stream = TcpStream::connect(place).expect("a server");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        Box::new(stream)
    } else {
        let stream = UnixStream::connect(place).expect("a server");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        Box::new(stream)
    }
}

/// Greets, and says which type of socket this is.
fn shake_hands(stream: &mut dyn Bytes, kind: &str) {
    let mut greeting = [0u8; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    greeting[12..16].copy_from_slice(b"NULL");
    stream.write_all(&greeting).expect("written");
    stream.read_exact(&mut greeting).expect("a greeting");
    let mut ready = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    ready.push(kind.len() as u8);
    ready.extend_from_slice(kind.as_bytes());
    stream.write_all(&[4, ready.len() as u8]).expect("written");
    stream.write_all(&ready).expect("written");
    let (flags, _) = frame(stream);
    assert_eq!(flags & 4, 4, "READY is a command");
}

fn frame(stream: &mut dyn Bytes) -> (u8, Vec<u8>) {
    let mut head = [0u8; 2];
    stream.read_exact(&mut head).expect("a frame");
    assert_eq!(head[0] & 2, 0, "it is short");
    let mut bytes = vec![0; head[1].into()];
    stream.read_exact(&mut bytes).expect("a whole frame");
    (head[0], bytes)
}

fn message(stream: &mut dyn Bytes) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let (flags, bytes) = frame(stream);
        if flags & 4 == 0 {
            frames.push(bytes);
        }
        if flags & 5 == 0 {
            return frames;
        }
    }
}

/// A server that says `welcome`, and closes the connection once a call has come, after these bytes
/// of an answer.
fn breaks_off(listening: Listening, after: &'static [u8]) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = listening.accept();
        let stream = &mut *stream;
        shake_hands(stream, "ROUTER");
        // A hello, for a welcome: version 2, 16 calls.
        message(stream);
        stream
            .write_all(b"\x00\x04\x93\x07\x02\x10")
            .expect("written");
        let call = message(stream);
        assert_eq!(call[0][1], 1, "the kind of a call");
        stream.write_all(after).expect("written");
        stream.shut();
        // The rest is read, so that the other side sees an end and no reset.
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// The call ends as one that may have run, and not by its deadline.
#[track_caller]
fn ends_as_maybe(endpoint: &str) {
    let desk = DeskClient::connect(endpoint).expect("an endpoint");
    let desk = desk.with(Call::new().timeout(PATIENCE));
    let before = Instant::now();
    let error = desk.add(2, 3).expect_err("the server breaks off");
    assert_eq!((error.code(), error.ran()), (Code::Unavailable, Ran::Maybe));
    let node = error.rpc().expect("the fabric's").node();
    assert_eq!(node, Some(endpoint), "{error}");
    assert!(before.elapsed() < PATIENCE / 2, "not by deadline");
}

#[test]
fn close_after_header_and_close_mid_body_end_as_maybe() {
    // After the envelope's first bytes; between envelope and body; in the middle of the body.
    for after in [
        &b"\x01\x02\x92"[..],
        b"\x01\x03\x92\x02\x01",
        b"\x01\x03\x92\x02\x01\x00\x05\xa9ab",
    ] {
        for (endpoint, listening) in Listening::both() {
            let server = breaks_off(listening, after);
            ends_as_maybe(&endpoint);
            server.join().expect("it saw what it expected");
        }
    }
}

#[test]
fn a_replier_that_leaves_with_a_call_ends_it_as_maybe_over_inproc() {
    let server = ByHand::new(&inproc());
    let endpoint = server.endpoint.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            server.call(16, |_| ());
            drop(server);
        });
        ends_as_maybe(&endpoint);
    });
}

/// The server holds nothing of this many callers that have left, and answers the next one.
#[track_caller]
fn nothing_is_left(served: &Served, left: u64) {
    until("nothing is held of it", || {
        let stats = served.server.stats();
        let closes: u64 = stats.sockets.iter().flat_map(|s| s.closes.values()).sum();
        let connections: usize = stats.sockets.iter().map(|s| s.connections).sum();
        let held = (stats.callers, stats.in_flight, stats.owed, connections);
        // What ends within the process is no connection, and not counted as one.
        let within = served.endpoint.starts_with("inproc");
        (within || closes == left) && held == (0, 0, 0, 0)
    });
    assert_eq!(served.client().add(2, 3), Ok(5), "the next caller");
}

/// A call of so many bytes by its caller's number 1.
fn call_of(method: &str, bytes: usize) -> [Frame; 2] {
    let head = CallHead::new(1, method, PATIENCE.as_micros() as u64);
    let envelope = encode_call(&head, Version::NEWEST).expect("within the limits");
    [envelope, Frame::from(vec![0x90; bytes])]
}

fn hello() -> Frame {
    encode_hello(&Hello {
        version: 2,
        oldest: 1,
        name: "half",
    })
}

#[test]
fn close_after_header_and_close_mid_body_of_a_caller_leave_nothing_behind() {
    let [envelope, body] = call_of("desk.v1.bytes", 200);
    let mut call = vec![1, envelope.len() as u8];
    call.extend_from_slice(&envelope);
    let body_at = call.len();
    call.extend_from_slice(&[0, 200]);
    call.extend_from_slice(&body);
    let [tcp, ipc, _] = transports();
    for endpoint in [tcp, ipc] {
        let served = Served::at(&endpoint, |builder| builder);
        let mut left = 0;
        // After a frame's header, in the middle of a frame, between the two, and all but the end.
        for cut in [
            2,
            2 + 5,
            body_at,
            body_at + 2,
            body_at + 100,
            call.len() - 1,
        ] {
            let mut stream = connect(&served.endpoint);
            let stream = &mut *stream;
            shake_hands(stream, "DEALER");
            let hello = hello();
            stream.write_all(&[0, hello.len() as u8]).expect("written");
            stream.write_all(&hello).expect("written");
            assert_eq!(message(stream)[0][1], 7, "the kind of a welcome");
            assert_eq!(served.server.stats().callers, 1);
            stream.write_all(&call[..cut]).expect("written");
            stream.shut();
            // The server closes in turn, so that none of its answers is on its way.
            let _ = stream.read_to_end(&mut Vec::new());
            left += 1;
            nothing_is_left(&served, left);
            left += 1;
            until("the next one has gone", || {
                served.server.stats().callers == 0
            });
            let stats = served.server.stats();
            assert_eq!(stats.calls, stats.answered, "half a call is none");
        }
    }
}

#[test]
fn a_caller_that_leaves_with_a_call_cancels_it_over_inproc() {
    let served = Served::at(&inproc(), |builder| builder);
    let caller = Dealer::connect(&served.endpoint).expect("an endpoint");
    caller.send(hello()).expect("it is sent");
    caller.recv_timeout(PATIENCE).expect("a welcome");
    let call = Message::from_frames(call_of("desk.v1.hold", 1));
    caller.send(call).expect("it is sent");
    served.desk.has_begun(1);
    drop(caller);
    served.desk.has_cancelled(1);
    nothing_is_left(&served, 1);
}
