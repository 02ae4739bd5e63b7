//! The examples of the page as values: how each is made, and what it is read as.

use std::time::Duration;

use brokerless::balance::hash;
use brokerless::wire::{
    CallHead, CallMetadata, Credit, Encoder, Encoding, Envelope, ErrorHead, Flags, Flow, Hello,
    ItemsHead, Load, Payload, ReplyHead, ReturnPath, Version, Welcome, encode_plain_error,
    encode_plain_reply,
};
use brokerless::{Blob, Code, Metadata, Ran, Status};
use brokerless_patterns::{Frame, Message};
use serde::Serialize;

/// An example: its name, the message, and the envelope that is read from it.
pub(crate) struct Example {
    pub(crate) name: &'static str,
    pub(crate) message: Message,
    /// What it is read as, printed: borrowed values cannot leave here.
    pub(crate) read: Option<String>,
    pub(crate) version: Version,
}

/// The name that fields have in the example of an error of a method's own.
#[derive(Serialize)]
struct DivideError {
    reason: &'static str,
}

const SECONDS_2: u64 = 2_000_000;

fn sum() -> Payload {
    arguments(|encoder| {
        encoder.put(&2).unwrap();
        encoder.put(&3).unwrap();
    })
}

/// The body of two arguments.
fn arguments(put: impl FnOnce(&mut Encoder)) -> Payload {
    let mut encoder = Encoder::arguments(2);
    put(&mut encoder);
    encoder.finish()
}

fn value(put: impl FnOnce(&mut Encoder)) -> Payload {
    let mut encoder = Encoder::answer();
    put(&mut encoder);
    encoder.finish()
}

/// Every example, in the order of the page.
pub(crate) fn all() -> Vec<Example> {
    let mut all = Vec::new();
    of_two(&mut all);
    of_streams(&mut all);
    of_one(&mut all);
    without_a_session(&mut all);
    all
}

fn add(all: &mut Vec<Example>, name: &'static str, envelope: Envelope<'_>, body: Option<Payload>) {
    let version = match name.starts_with("v1-") {
        true => Version::One,
        false => Version::Two,
    };
    let frame = envelope.encode(version).unwrap();
    let message = match body {
        Some(payload) => payload.into_message(frame),
        None => Message::single(frame),
    };
    all.push(Example {
        name,
        message,
        read: Some(format!("{envelope:?}")),
        version,
    });
}

fn of_two(all: &mut Vec<Example>) {
    let hello = Hello {
        version: 2,
        oldest: 1,
        name: "shop-3",
    };
    add(all, "hello", Envelope::Hello(hello), None);
    let welcome = Welcome {
        version: 2,
        credit: Credit {
            calls: 16,
            bytes: 4 << 20,
        },
        blob_bytes_max: 64 << 20,
        name: "calc-1",
        call_bytes_max: 128 << 20,
        pulls: false,
        wants_keys: false,
    };
    add(all, "welcome", Envelope::Welcome(welcome), None);
    let pulling = Welcome {
        credit: Credit {
            calls: 1,
            ..welcome.credit
        },
        pulls: true,
        ..welcome
    };
    add(all, "welcome-pulls", Envelope::Welcome(pulling), None);
    let passing = Welcome {
        wants_keys: true,
        name: "edge",
        ..welcome
    };
    add(all, "welcome-keys", Envelope::Welcome(passing), None);

    let call = CallHead::new(7, "calc.v1.add", SECONDS_2);
    add(all, "call", Envelope::Call(call), Some(sum()));
    let mut metadata = Metadata::new();
    metadata.insert("tenant", "blue").unwrap();
    metadata.insert("trace", vec![0xca, 0xfe]).unwrap();
    let rich = CallHead {
        flags: Flags::IDEMPOTENT.with(Flags::MORE),
        metadata: CallMetadata::from(&metadata),
        ..call
    };
    add(all, "call-metadata", Envelope::Call(rich), Some(sum()));
    let keyed = CallHead {
        id: 14,
        method: "user.v1.name",
        key: Some(hash(b"\xa3ann")),
        ..call
    };
    let ann = Payload::raw(b"\x91\xa3ann".to_vec());
    add(all, "call-key", Envelope::Call(keyed), Some(ann));
    let store = CallHead::new(8, "calc.v1.store", SECONDS_2);
    let blob = arguments(|encoder| {
        encoder.put("a.txt").unwrap();
        encoder.put_blob(&Blob::from_static(b"hello"));
    });
    add(all, "call-blob", Envelope::Call(store), Some(blob));
    let raw = CallHead {
        encoding: Encoding::Raw,
        ..CallHead::new(9, "shop.v1.Order", SECONDS_2)
    };
    let bytes = Payload::raw(vec![0x08, 0x96, 0x01]);
    add(all, "call-raw", Envelope::Call(raw), Some(bytes));
    let log = CallHead {
        flags: Flags::ONEWAY,
        ..CallHead::new(10, "calc.v1.log", SECONDS_2)
    };
    let line = Payload::raw(vec![0x91, 0xa2, b'h', b'i']);
    add(all, "call-oneway", Envelope::Call(log), Some(line));

    let reply = ReplyHead {
        id: 7,
        load: None,
        credit: None,
    };
    let five = || value(|encoder| encoder.put(&5).unwrap());
    add(all, "reply", Envelope::Reply(reply), Some(five()));
    let reply = ReplyHead {
        load: Some(Load {
            in_flight: 3,
            latency_us: 180,
            utilisation_permille: 250,
            per_s: 1200,
            errors_per_s: 2,
            run_us: 150,
            workers: 4,
        }),
        credit: Some(Credit {
            calls: 32,
            bytes: 8 << 20,
        }),
        ..reply
    };
    add(all, "reply-state", Envelope::Reply(reply), Some(five()));
    let blob = value(|encoder| encoder.put_optional_blob(Some(&Blob::from_static(b"hello"))));
    let reply = ReplyHead {
        id: 11,
        load: None,
        credit: None,
    };
    add(all, "reply-blob", Envelope::Reply(reply), Some(blob));

    let status = Status::not_found("no file a.txt");
    let error = ErrorHead::new(8, &status, Ran::Yes);
    add(all, "error", Envelope::Error(error), None);
    let status = Status::resource_exhausted("the queue of pool disk is full")
        .with_retry_after(Duration::from_millis(50))
        .with_details(vec![1, 2]);
    let error = ErrorHead::new(8, &status, Ran::No);
    add(all, "error-details", Envelope::Error(error), None);
    let status = Status::unknown("division by zero");
    let error = ErrorHead {
        typed: true,
        ..ErrorHead::new(12, &status, Ran::Yes)
    };
    let own = value(|encoder| {
        let reason = "zero";
        encoder.put(&DivideError { reason }).unwrap();
    });
    add(all, "error-typed", Envelope::Error(error), Some(own));
    let status = Version::agree(4, 3).unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    let error = ErrorHead::new(0, &status, Ran::No);
    add(all, "error-session", Envelope::Error(error), None);

    add(all, "cancel", Envelope::Cancel { id: 7 }, None);
    let credit = Credit {
        calls: 64,
        bytes: 16 << 20,
    };
    add(all, "credit", Envelope::Credit(credit), None);
    add(
        all,
        "bye",
        Envelope::Bye {
            left_us: 30_000_000,
        },
        None,
    );
}

fn of_streams(all: &mut Vec<Example>) {
    let window = Some(Flow::new(1024, 1 << 20));
    let lines = CallHead {
        flags: Flags::ITEMS_OUT,
        window,
        ..CallHead::new(7, "file.v1.lines", SECONDS_2)
    };
    let mut encoder = Encoder::arguments(1);
    encoder.put("a.txt").unwrap();
    let path = Some(encoder.finish());
    add(all, "call-items-out", Envelope::Call(lines), path);
    let total = CallHead {
        flags: Flags::ITEMS_IN,
        ..CallHead::new(8, "calc.v1.total", SECONDS_2)
    };
    let none = || Some(Encoder::arguments(0).finish());
    add(all, "call-items-in", Envelope::Call(total), none());
    let chat = CallHead {
        flags: Flags::ITEMS_IN.with(Flags::ITEMS_OUT),
        window,
        ..CallHead::new(9, "room.v1.chat", SECONDS_2)
    };
    add(all, "call-items-both", Envelope::Call(chat), none());

    let three = |encoder: &mut Encoder| {
        for line in ["one", "two", "three"] {
            encoder.put(line).unwrap();
        }
    };
    let items = Envelope::Items(ItemsHead::new(7, 40, 3));
    add(all, "items", items, Some(value(three)));
    let last = ItemsHead {
        last: true,
        ..ItemsHead::new(8, 2, 1)
    };
    let nine = value(|encoder| encoder.put(&9).unwrap());
    add(all, "items-last", Envelope::Items(last), Some(nine));
    let end = ItemsHead {
        last: true,
        ..ItemsHead::new(8, 3, 0)
    };
    add(all, "items-end", Envelope::Items(end), None);
    let both = ItemsHead {
        window: Some(Flow::new(1025, (1 << 20) + 6)),
        ..ItemsHead::new(9, 0, 1)
    };
    let hello = value(|encoder| encoder.put("hello").unwrap());
    add(all, "items-window", Envelope::Items(both), Some(hello));
    let blob = value(|encoder| encoder.put_blob(&Blob::from_static(b"hello")));
    let part = Envelope::Items(ItemsHead::new(12, 5, 1));
    add(all, "items-blob", part, Some(blob));

    let window = Flow::new(1536, (1 << 20) + 40_000);
    add(all, "window", Envelope::Window { id: 7, window }, None);
    add(all, "stop", Envelope::Stop { id: 8 }, None);
}

fn of_one(all: &mut Vec<Example>) {
    let hello = Hello {
        version: 1,
        oldest: 1,
        name: "old",
    };
    add(all, "v1-hello", Envelope::Hello(hello), None);
    let credit = Credit {
        calls: 16,
        bytes: u64::MAX,
    };
    let welcome = Welcome {
        version: 1,
        credit,
        blob_bytes_max: u64::MAX,
        name: "",
        call_bytes_max: u64::MAX,
        pulls: false,
        wants_keys: false,
    };
    add(all, "v1-welcome", Envelope::Welcome(welcome), None);
    let call = CallHead {
        flags: Flags::IDEMPOTENT,
        ..CallHead::new(7, "calc.v1.add", SECONDS_2)
    };
    add(all, "v1-call", Envelope::Call(call), Some(sum()));
    let reply = ReplyHead {
        id: 7,
        load: None,
        credit: Some(Credit {
            calls: 32,
            ..credit
        }),
    };
    let five = value(|encoder| encoder.put(&5).unwrap());
    add(all, "v1-reply", Envelope::Reply(reply), Some(five));
    let status = Status::not_found("no file a.txt");
    let error = ErrorHead::new(8, &status, Ran::Yes);
    add(all, "v1-error", Envelope::Error(error), None);
    add(all, "v1-credit", Envelope::Credit(credit), None);
}

fn without_a_session(all: &mut Vec<Example>) {
    let path = [Frame::from(&[0, 0x6b, 0x8b, 0x45, 0x67]), Frame::new()];
    let call = Envelope::Call(CallHead::new(1, "calc.v1.add", SECONDS_2));
    add(all, "sessionless-call", call, Some(sum()));
    addressed(all, &path);
    let reply = Envelope::Reply(ReplyHead {
        id: 1,
        load: None,
        credit: None,
    });
    let five = value(|encoder| encoder.put(&5).unwrap());
    add(all, "sessionless-reply", reply, Some(five.clone()));
    addressed(all, &path);

    let plain = brokerless::wire::encode_plain_call("calc.v1.add", &sum().body).unwrap();
    let read = Envelope::decode(&plain).unwrap();
    assert!(matches!(read, Envelope::Plain(call) if call.method == "calc.v1.add"));
    all.push(Example {
        name: "plain-call",
        read: Some(format!("{read:?}")),
        message: plain.into(),
        version: Version::Two,
    });
    all.push(Example {
        name: "plain-reply",
        message: encode_plain_reply(&five).unwrap().into(),
        read: None,
        version: Version::Two,
    });
    let status = Status::not_found("no file a.txt");
    all.push(Example {
        name: "plain-error",
        message: encode_plain_error(&status, Ran::Yes).into(),
        read: None,
        version: Version::Two,
    });
}

/// Puts a path before the example that was added last.
fn addressed(all: &mut [Example], path: &[Frame]) {
    let last = all.last_mut().unwrap();
    let message = std::mem::replace(&mut last.message, Message::single(""));
    let whole = Message::from_frames(path.iter().cloned().chain(message));
    let (split, rest) = ReturnPath::split(whole.clone()).unwrap();
    assert_eq!(split.frames(), path);
    assert_eq!(split.put_before(rest), whole);
    last.message = whole;
}
