//! A caller made of a DEALER and the wire's functions, and servers for it.

use std::time::{Duration, Instant};

use brokerless::patterns::{Dealer, Frame, Message, Options};
use brokerless::server::{Server, ServerBuilder, ServerStats};
use brokerless::wire::{
    CallHead, CallMetadata, Credit, Encoder, Envelope, Flags, Flow, Hello, ItemsHead, Load, Parts,
    Payload, Version, decode_value, encode_bye, encode_call, encode_cancel, encode_hello,
};
use brokerless::{Code, Metadata, Ran};
use serde::{Deserialize, Serialize};

use super::desk::{Desk, desk};

/// How long anything that has to happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(50);
/// What calls are given that are not about deadlines.
pub(crate) const LEFT: Duration = Duration::from_secs(60);

/// A server with a desk, on a port of its own.
pub(crate) fn serve(build: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (Server, Desk) {
    let (service, desk) = desk();
    let builder = Server::builder()
        .service(service)
        .pool("disk", brokerless::server::Pool::new().threads(2));
    let server = build(builder).bind("tcp://127.0.0.1:*").expect("a server");
    (server, desk)
}

/// Waits until the server's counts are like this.
#[track_caller]
pub(crate) fn until(server: &Server, what: &str, like: impl Fn(&ServerStats) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let stats = server.stats();
        if like(&stats) {
            return;
        }
        assert!(Instant::now() < end, "{what}: {stats:#?}");
        std::thread::yield_now();
    }
}

/// What a server sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Got {
    Reply {
        id: u64,
        payload: Payload,
        load: Option<Load>,
        credit: Option<Credit>,
    },
    Error {
        id: u64,
        code: Code,
        ran: Ran,
        message: String,
        retry_after: Option<Duration>,
        details: Option<Vec<u8>>,
        typed: Option<Payload>,
        credit: Option<Credit>,
    },
    Welcome {
        version: u8,
        credit: Credit,
        blob_bytes_max: u64,
        name: String,
    },
    Credit(Credit),
    Bye(u64),
    Items(ItemsHead, Payload),
    Window(u64, Flow),
    Stop(u64),
}

impl Got {
    #[track_caller]
    pub(crate) fn of(message: Message) -> Got {
        let frames: Vec<Frame> = message.frames().to_vec();
        let envelope = frames[0].clone();
        let payload = || {
            let parts = Parts::of(&frames);
            Payload {
                body: frames.get(1).cloned().unwrap_or_default(),
                blobs: parts.blobs.iter().cloned().collect(),
            }
        };
        match Envelope::decode(&envelope).expect("an envelope") {
            Envelope::Reply(head) => Got::Reply {
                id: head.id,
                payload: payload(),
                load: head.load,
                credit: head.credit,
            },
            Envelope::Error(head) => Got::Error {
                id: head.id,
                code: head.code,
                ran: head.ran,
                message: head.message.to_owned(),
                retry_after: head.retry_after,
                details: head.details.map(<[u8]>::to_vec),
                typed: head.typed.then(payload),
                credit: head.credit,
            },
            Envelope::Welcome(head) => Got::Welcome {
                version: head.version,
                credit: head.credit,
                blob_bytes_max: head.blob_bytes_max,
                name: head.name.to_owned(),
            },
            Envelope::Credit(credit) => Got::Credit(credit),
            Envelope::Bye { left_us } => Got::Bye(left_us),
            Envelope::Items(head) => Got::Items(head, payload()),
            Envelope::Window { id, window } => Got::Window(id, window),
            Envelope::Stop { id } => Got::Stop(id),
            other => panic!("a replier sends no {other:?}"),
        }
    }

    /// The value of an answer to this call.
    #[track_caller]
    pub(crate) fn value<T: for<'d> Deserialize<'d>>(&self, wanted: u64) -> T {
        match self {
            Got::Reply { id, payload, .. } if *id == wanted => {
                decode_value(&payload.body).expect("a value of this type")
            }
            other => panic!("no answer to call {wanted}: {other:?}"),
        }
    }

    /// The error that ended this call.
    #[track_caller]
    pub(crate) fn error(&self, wanted: u64) -> (Code, Ran, &str) {
        match self {
            Got::Error {
                id,
                code,
                ran,
                message,
                ..
            } if *id == wanted => (*code, *ran, message),
            other => panic!("no error of call {wanted}: {other:?}"),
        }
    }
}

/// Arguments of one value, or of none.
pub(crate) fn one<T: Serialize + ?Sized>(value: &T) -> Payload {
    let mut encoder = Encoder::arguments(1);
    encoder.put(value).expect("an argument");
    encoder.finish()
}

pub(crate) fn none() -> Payload {
    Encoder::arguments(0).finish()
}

/// A caller, with a session or without.
pub(crate) struct Caller {
    pub(crate) dealer: Dealer,
    pub(crate) version: Version,
    next: u64,
}

impl Caller {
    /// Connected, and silent so far.
    pub(crate) fn silent(server: &Server) -> Caller {
        Caller::at(&server.local_endpoints()[0].to_string())
    }

    /// Connected there, and silent so far.
    pub(crate) fn at(endpoint: &str) -> Caller {
        Caller::with(endpoint, Options::new())
    }

    pub(crate) fn with(endpoint: &str, options: Options) -> Caller {
        let dealer = Dealer::with(options).expect("a dealer");
        dealer.connect_to(endpoint).expect("an endpoint");
        Caller {
            dealer,
            version: Version::NEWEST,
            next: 1,
        }
    }

    /// In a session.
    #[track_caller]
    pub(crate) fn greeted(server: &Server) -> Caller {
        let caller = Caller::silent(server);
        let got = caller.hello(2, 1, "tester");
        assert!(matches!(got, Got::Welcome { version: 2, .. }), "{got:?}");
        caller
    }

    pub(crate) fn hello(&self, version: u8, oldest: u8, name: &str) -> Got {
        let hello = Hello {
            version,
            oldest,
            name,
        };
        self.send(Message::single(encode_hello(&hello)));
        self.next()
    }

    pub(crate) fn send(&self, message: impl Into<Message>) {
        self.dealer.send_timeout(message, PATIENCE).expect("room");
    }

    #[track_caller]
    pub(crate) fn next_message(&self) -> Message {
        self.dealer.recv_timeout(PATIENCE).expect("a message")
    }

    /// What the server sends next.
    #[track_caller]
    pub(crate) fn next(&self) -> Got {
        Got::of(self.next_message())
    }

    /// A number that no other call of this caller has.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Begins a call.
    pub(crate) fn begin(&mut self, path: &str, payload: Payload) -> u64 {
        self.begin_with(path, payload, LEFT, |_| {})
    }

    pub(crate) fn begin_with(
        &mut self,
        path: &str,
        payload: Payload,
        left: Duration,
        more: impl FnOnce(&mut CallHead<'_>),
    ) -> u64 {
        let id = self.number();
        let mut head = CallHead::new(id, path, left.as_micros() as u64);
        more(&mut head);
        let envelope = encode_call(&head, self.version).expect("a call");
        self.send(payload.into_message(envelope));
        id
    }

    /// Begins a call that wants no answer.
    pub(crate) fn begin_oneway(&mut self, path: &str, payload: Payload) -> u64 {
        self.begin_with(path, payload, LEFT, |head| head.flags = Flags::ONEWAY)
    }

    /// Begins a call with metadata.
    pub(crate) fn begin_along(&mut self, path: &str, payload: Payload, along: &Metadata) -> u64 {
        let id = self.number();
        let mut head = CallHead::new(id, path, LEFT.as_micros() as u64);
        head.metadata = CallMetadata::from(along);
        let envelope = encode_call(&head, self.version).expect("a call");
        self.send(payload.into_message(envelope));
        id
    }

    /// Calls, and waits for the answer.
    #[track_caller]
    pub(crate) fn call<T: for<'d> Deserialize<'d>>(&mut self, path: &str, payload: Payload) -> T {
        let id = self.begin(path, payload);
        self.next().value(id)
    }

    pub(crate) fn cancel(&self, id: u64) {
        self.send(Message::single(encode_cancel(id)));
    }

    pub(crate) fn bye(&self) {
        self.send(Message::single(encode_bye(0)));
    }

    /// Whether it is still answered, which is to say that its connection is as it was.
    #[track_caller]
    pub(crate) fn is_answered(&mut self) {
        let echoed: String = self.call("desk.v1.echo", one("still here"));
        assert_eq!(echoed, "still here");
    }
}
