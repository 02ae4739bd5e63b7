//! Envelopes: properties, limits, and what a later version may add.

use std::time::Duration;

use brokerless::wire::{
    ArgumentInfo, Arguments, CallHead, CallMetadata, Credit, DETAILS_BYTES_MAX, ENVELOPE_BYTES_MAX,
    EncodeError, Encoder, Encoding, Envelope, ErrorHead, Flags, Flow, Hello, INDEX_MAX, ITEMS_MAX,
    ItemsHead, Load, MESSAGE_BYTES_MAX, METHOD_BYTES_MAX, NAME_BYTES_MAX, Parts, PlainCall,
    ReplyHead, ReturnPath, Version, Welcome, encode_call, encode_error, encode_hello, encode_items,
    encode_stop, encode_window,
};
use brokerless::{Code, Metadata, Ran, Status};
use brokerless_patterns::{Frame, Message};
use proptest::prelude::*;
use proptest::sample::select;

use crate::{alloc, golden};

const ARGUMENT: ArgumentInfo = ArgumentInfo {
    name: "a",
    type_name: "u64",
    default: false,
};
const CALL: CallHead<'static> = CallHead::new(7, "calc.v1.add", 1000);

fn credits() -> impl Strategy<Value = Credit> {
    let bytes = prop_oneof![any::<u64>(), Just(u64::MAX)];
    (any::<u32>(), bytes).prop_map(|(calls, bytes)| Credit { calls, bytes })
}

fn loads() -> impl Strategy<Value = Load> {
    any::<(u32, u32, u16, u32, u32, u32, u16)>().prop_map(|it| Load {
        in_flight: it.0,
        latency_us: it.1,
        utilisation_permille: it.2,
        per_s: it.3,
        errors_per_s: it.4,
        run_us: it.5,
        workers: it.6,
    })
}

fn states() -> impl Strategy<Value = (Option<Load>, Option<Credit>)> {
    (
        proptest::option::of(loads()),
        proptest::option::of(credits()),
    )
}

fn flows() -> impl Strategy<Value = Flow> {
    let bytes = prop_oneof![any::<u64>(), Just(u64::MAX)];
    (any::<u64>(), bytes).prop_map(|(items, bytes)| Flow { items, bytes })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let value = prop_oneof![
        ".{0,20}".prop_map(brokerless::MetadataValue::from),
        any::<Vec<u8>>().prop_map(brokerless::MetadataValue::from),
    ];
    proptest::collection::vec((".{1,9}", value), 0..9).prop_map(|entries| {
        let mut metadata = Metadata::new();
        for (key, value) in entries {
            metadata.insert(key, value).unwrap();
        }
        metadata
    })
}

/// Reads what was written, and compares.
fn read_back(envelope: &Envelope<'_>) -> Result<(), TestCaseError> {
    let frame = envelope.encode(Version::Two).unwrap();
    let read = Envelope::decode(&frame);
    prop_assert_eq!(read.as_ref(), Ok(envelope));
    for cut in 0..frame.len() {
        prop_assert!(Envelope::decode(&frame[..cut]).is_err(), "cut at {}", cut);
    }
    let mut more = frame.to_vec();
    more.push(0);
    prop_assert!(Envelope::decode(&more).is_err(), "a byte more");
    Ok(())
}

proptest! {
    // Each is cut off at every byte.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_call_is_read_back(
        id: u64, method in ".{0,60}", left_us: u64, flags: u8, encoding: u8,
        metadata in metadata(), hops: u8,
        window in proptest::option::of(flows()), key: Option<u64>,
    ) {
        let call = CallHead {
            id,
            method: &method,
            left_us,
            flags: Flags(flags),
            encoding: Encoding::from_number(encoding),
            metadata: CallMetadata::from(&metadata),
            hops,
            window,
            key,
        };
        read_back(&Envelope::Call(call))?;
        let frame = encode_call(&call, Version::Two).unwrap();
        let Ok(Envelope::Call(read)) = Envelope::decode(&frame) else { unreachable!() };
        prop_assert_eq!(read.metadata.to_metadata(), metadata);
    }

    #[test]
    fn an_envelope_is_read_back(
        id: u64, code in select(&Code::ALL[..]), ran in 0u64..3, message in ".{0,80}",
        retry_after: Option<u32>, details: Option<Vec<u8>>, typed: bool, (load, credit) in states(),
        own in credits(), version: u8, oldest: u8, name in ".{0,60}",
        blob_bytes_max: u64, call_bytes_max: u64, pulls: bool, wants_keys: bool, left_us: u64, kind in 12u64..,
    ) {
        read_back(&Envelope::Reply(ReplyHead { id, load, credit }))?;
        read_back(&Envelope::Error(ErrorHead {
            id,
            code,
            ran: Ran::from_number(ran),
            message: &message,
            retry_after: retry_after.map(|after| Duration::from_micros(after.into())),
            details: details.as_deref(),
            typed,
            load,
            credit,
        }))?;
        read_back(&Envelope::Cancel { id })?;
        read_back(&Envelope::Credit(own))?;
        read_back(&Envelope::Hello(Hello { version, oldest, name: &name }))?;
        let version = version.max(2);
        let welcome = Welcome { version, credit: own, blob_bytes_max, name: &name, call_bytes_max, pulls, wants_keys };
        read_back(&Envelope::Welcome(welcome))?;
        read_back(&Envelope::Bye { left_us })?;
        read_back(&Envelope::Unknown { kind })?;
    }

    #[test]
    fn a_message_of_a_stream_is_read_back(
        id: u64, first in 0..=INDEX_MAX, count in 0..=ITEMS_MAX, last: bool,
        window in proptest::option::of(flows()), own in flows(),
    ) {
        let items = ItemsHead { id, first, count, last, window };
        read_back(&Envelope::Items(items))?;
        prop_assert_eq!(&encode_items(&items), &Envelope::Items(items).encode(Version::Two).unwrap());
        read_back(&Envelope::Window { id, window: own })?;
        read_back(&Envelope::Stop { id })?;
    }

    #[test]
    fn a_plain_call_is_read_back(method in ".{0,60}", count in 0u8..16) {
        let arguments = [&[0x90 + count][..], &vec![7; count.into()]].concat();
        let call = PlainCall { method: &method, arguments: &arguments };
        let frame = Envelope::Plain(call).encode(Version::Two).unwrap();
        prop_assert_eq!(Envelope::decode(&frame), Ok(Envelope::Plain(call)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, kind in 0u8..16, len in 0u8..16) {
        let _ = Envelope::decode(&bytes);
        // With a head that leads further in.
        let _ = Envelope::decode(&[&[0x90 + len, kind][..], &bytes].concat());
        let _ = Envelope::decode(&[&[0x90 + len, kind, 7, 0xa1, b'm'][..], &bytes].concat());
    }
}

#[test]
fn fields_at_the_end_that_are_not_known_are_passed_over() {
    for (name, message) in golden::files() {
        let (_, message) = ReturnPath::split(message).unwrap();
        let envelope = message.first();
        let read = match Envelope::decode(envelope) {
            // These have all they ever will.
            Ok(Envelope::Plain(_)) | Err(_) => continue,
            Ok(read) => read,
        };
        // Fields that are left out come between: `nil` has the same meaning.
        let mut bytes = envelope.to_vec();
        let fields = usize::from(bytes[0] - 0x90);
        bytes.resize(bytes.len() + 12 - fields, 0xc0);
        bytes[0] = 0x9f;
        let text = *b"\xa3new";
        let nested = *b"\x92\x81\xa1k\xc4\x01\xff\xca\0\0\0\0";
        let wide = *b"\xd6\x05\x01\x02\x03\x04";
        let newer = [&bytes[..], &text, &nested, &wide].concat();
        assert_eq!(Envelope::decode(&newer), Ok(read), "{name}");
        for cut in bytes.len()..newer.len() {
            assert!(Envelope::decode(&newer[..cut]).is_err(), "{name} {cut}");
        }
    }
}

#[test]
fn a_field_at_the_end_that_is_nested_too_deep_is_refused() {
    let cancel = |depth: usize| {
        let nest = vec![0x91; depth];
        let bytes = [&[0x93, 4, 7][..], &nest[..], &[0xc0]].concat();
        Envelope::decode(&bytes).map(drop)
    };
    assert_eq!(cancel(0), Ok(()));
    assert_eq!(cancel(15), Ok(()));
    for depth in [16, 600, 16_000] {
        let error = cancel(depth).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a field at the end is nested deeper than 15"
        );
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_by_its_field() {
    let says = |bytes: &[u8], what: &str| {
        assert_eq!(Envelope::decode(bytes).unwrap_err().to_string(), what);
    };
    says(b"\x94\x01\x07\xa1\xff\x00", "call: method is not UTF-8");
    says(b"\x94\x06\x02\x01\xa1\xff", "hello: name is not UTF-8");
    says(
        b"\x95\x03\x07\x05\x00\xa1\xff",
        "error: message is not UTF-8",
    );
    says(b"\x92\xa1\xff\x90", "plain call: method is not UTF-8");
    let metadata = b"\x97\x01\x07\xa1m\x00\x00\x00\x81\xa1k\xa1\xff";
    says(metadata, "call: metadata is not UTF-8");
}

#[test]
fn what_is_refused_names_the_kind_the_field_and_what_came() {
    let says = |bytes: &[u8], what: &str| {
        assert_eq!(Envelope::decode(bytes).unwrap_err().to_string(), what);
    };
    let no_array = "an envelope is an array of a kind and its fields: it is";
    says(b"", &format!("{no_array} nothing"));
    says(b"\x07", &format!("{no_array} an integer"));
    says(b"\x81\x01\x02", &format!("{no_array} a map of 1"));
    says(b"\x90", "envelope: kind is nothing");
    says(b"\x91\xc0", "envelope: kind is nil");
    says(b"\x91\x04", "cancel: id is nothing");
    says(b"\x92\x04\xff", "cancel: id is out of range");
    says(b"\x92\x04\xa2id", "cancel: id is a str of 2 bytes");
    says(b"\x94\x01\x07\x08\x00", "call: method is an integer");
    says(
        b"\x93\x06\xcd\x01\x00\x01",
        "hello: version is out of range",
    );
    says(b"\x92\x04\x07\x00", "1 bytes follow the envelope");
    says(b"\x92\xa1m\x07", "plain call: arguments is an integer");
    says(b"\x93\x02\x07\x92\x01\x02", "reply: load is out of range");
}

#[test]
fn a_refused_call_says_which_to_answer() {
    let id = |bytes: &[u8]| Envelope::decode(bytes).unwrap_err().call_id();
    assert_eq!(id(b"\x94\x01\x07\x08\x00"), Some(7));
    assert_eq!(id(b"\x94\x01\xa1x\x08\x00"), None);
    assert_eq!(id(b"\x92\x04\xff"), None);
    let status = Status::from(Envelope::decode(b"\x94\x01\x07\x08\x00").unwrap_err());
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[test]
fn an_absurd_length_is_refused_before_allocation() {
    alloc::start();
    for marker in [0xc6, 0xdb, 0xdd, 0xdf] {
        let absurd = [marker, 0xff, 0xff, 0xff, 0xff];
        for head in [
            &b""[..],
            b"\x94",
            b"\x9f\x01",
            b"\x94\x01\x07",
            b"\x94\x01\x07\xa1m",
            b"\x97\x01\x07\xa1m\x00\x00\x00",
            b"\x97\x01\x07\xa1m\x00\x00\x00\x81",
            b"\x97\x01\x07\xa1m\x00\x00\x00\x81\xa1k",
            b"\x93\x02\x07",
            b"\x97\x03\x07\x05\x00\xa1m\xc0",
            b"\x94\x06\x02\x01",
            b"\x9f\x08\x00",
            b"\x9f\x01\x07\xa1m\x00\x00\x00\xc0\xc0",
            b"\x9f\x01\x07\xa1m\x00\x00\x00\xc0\xc0\x92",
            b"\x96\x09\x07\x00",
            b"\x96\x09\x07\x00\x01\xc2",
            b"\x96\x09\x07\x00\x01\xc2\x92",
            b"\x94\x0a\x07\x00",
            b"\x93\x0b\x07",
        ] {
            let bytes = [head, &absurd].concat();
            let read = alloc::counted(|| Envelope::decode(&bytes));
            // Arguments of a plain call are looked at when they are taken.
            assert!(read.is_err(), "{bytes:02x?}");
        }
    }
    assert_eq!(alloc::peak_bytes(), 0);
}

#[test]
fn a_call_and_its_answer_allocate_nothing_once_the_thread_has_its_chunk() {
    let round = |id: u64| {
        let mut encoder = Encoder::arguments(2);
        encoder.put(&id).unwrap();
        encoder.put(&3i64).unwrap();
        let payload = encoder.finish();
        let envelope = encode_call(&CallHead { id, ..CALL }, Version::Two).unwrap();
        let message = payload.into_message(envelope);
        let parts = Parts::of(message.frames());
        let read = Envelope::decode(parts.envelope).unwrap();
        assert!(matches!(read, Envelope::Call(call) if call.id == id));
        let mut arguments = Arguments::new(parts.body, parts.blobs).unwrap();
        assert_eq!(arguments.take::<u64>(&ARGUMENT).unwrap(), id);
    };
    // The first of a thread gets its chunk.
    round(0);
    alloc::start();
    alloc::counted(|| (1..10_000).for_each(round));
    assert_eq!(alloc::peak_bytes(), 0);
}

#[test]
fn an_envelope_over_16_kib_is_refused_whatever_it_holds() {
    let envelope = |bytes: usize| {
        let mut bytes = vec![0xc0; bytes];
        bytes[..5].copy_from_slice(b"\xdc\0\0\x04\x07");
        let len = u16::try_from(bytes.len() - 3).unwrap();
        bytes[1..3].copy_from_slice(&len.to_be_bytes());
        Envelope::decode(&bytes).map(drop)
    };
    assert_eq!(envelope(ENVELOPE_BYTES_MAX), Ok(()));
    let error = envelope(ENVELOPE_BYTES_MAX + 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "an envelope of 16385 bytes: at most 16384 are taken"
    );
}

#[test]
fn the_longest_envelope_is_within_the_limit() {
    let mut metadata = Metadata::new();
    for number in 0..64 {
        metadata.insert(format!("{number:02}"), "").unwrap();
    }
    let left = 8 * 1024 - metadata.bytes();
    metadata.insert("00", vec![0xff; left]).unwrap();
    let method = "m".repeat(METHOD_BYTES_MAX);
    let call = Envelope::Call(CallHead {
        id: u64::MAX,
        method: &method,
        left_us: u64::MAX,
        flags: Flags(255),
        encoding: Encoding::Other(255),
        metadata: CallMetadata::from(&metadata),
        hops: 255,
        window: Some(Flow::new(u64::MAX, u64::MAX - 1)),
        key: Some(u64::MAX),
    });
    let message = "m".repeat(MESSAGE_BYTES_MAX);
    let details = vec![0xff; DETAILS_BYTES_MAX];
    let state = Some(Load {
        in_flight: u32::MAX,
        latency_us: u32::MAX,
        utilisation_permille: u16::MAX,
        per_s: u32::MAX,
        errors_per_s: u32::MAX,
        run_us: u32::MAX,
        workers: u16::MAX,
    });
    let error = Envelope::Error(ErrorHead {
        id: u64::MAX,
        code: Code::Internal,
        ran: Ran::Yes,
        message: &message,
        retry_after: Some(Duration::MAX),
        details: Some(&details),
        typed: true,
        load: state,
        credit: Some(Credit {
            calls: u32::MAX,
            bytes: u64::MAX - 1,
        }),
    });
    for envelope in [call, error] {
        let frame = envelope.encode(Version::Two).unwrap();
        assert!(frame.len() <= ENVELOPE_BYTES_MAX, "{} bytes", frame.len());
        assert!(Envelope::decode(&frame).is_ok());
    }
}

#[test]
fn a_load_report_may_be_shorter_longer_or_make_no_sense_and_its_answer_is_read() {
    let load = |report: &[u8]| {
        let envelope = [&b"\x93\x02\x07"[..], report].concat();
        match Envelope::decode(&envelope) {
            Ok(Envelope::Reply(head)) => head.load.expect("a report"),
            other => panic!("{other:?}"),
        }
    };
    let three = Load {
        in_flight: 3,
        latency_us: 180,
        utilisation_permille: 250,
        ..Load::default()
    };
    // Of those before, which said three; and of those to come.
    assert_eq!(load(b"\x93\x03\xcc\xb4\xcc\xfa"), three);
    let longer = load(b"\x98\x03\xcc\xb4\xcc\xfa\x05\x01\x28\x04\x81\xa1x\xc0");
    let seven = Load {
        per_s: 5,
        errors_per_s: 1,
        run_us: 40,
        workers: 4,
        ..three
    };
    assert_eq!(longer, seven);
    // Below zero, no number, a fraction, infinity, a map: each reads as the most.
    for nonsense in [
        &b"\xff"[..],
        b"\xd3\x80\0\0\0\0\0\0\0",
        b"\xcb\x7f\xf8\0\0\0\0\0\0",
        b"\xcb\x3f\xe0\0\0\0\0\0\0",
        b"\xca\x7f\x80\0\0",
        b"\x81\xa1x\x01",
        b"\xc0",
        b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let most = load(&[b"\x94", nonsense, nonsense, nonsense, nonsense].concat());
        assert_eq!(most.in_flight, u32::MAX, "{nonsense:x?}");
        assert_eq!(most.latency_us, u32::MAX, "{nonsense:x?}");
        assert_eq!(most.utilisation_permille, u16::MAX, "{nonsense:x?}");
        assert_eq!(most.per_s, u32::MAX, "{nonsense:x?}");
    }
    assert!(
        Envelope::decode(b"\x93\x02\x07\x92\x01\x01").is_err(),
        "two are too few"
    );
    assert!(
        Envelope::decode(b"\x93\x02\x07\x93\x01\x01").is_err(),
        "cut off"
    );
}

#[test]
fn metadata_over_a_limit_is_refused_with_the_call_to_answer() {
    let call = |metadata: &[u8]| {
        let head = b"\x97\x01\x07\xa1m\x00\x00\x00";
        let error = Envelope::decode(&[&head[..], metadata].concat()).unwrap_err();
        assert_eq!(error.call_id(), Some(7));
        error.to_string()
    };
    let many = [&b"\xde\x00\x41"[..], &b"\xa1k\xa0".repeat(65)].concat();
    assert!(
        call(&many).contains("65 metadata entries: at most 64"),
        "{}",
        call(&many)
    );
    let long = [&b"\x81\xa1k\xc5\x20\x00"[..], &[0; 8192]].concat();
    assert!(
        call(&long).contains("8193 bytes of metadata: at most 8192"),
        "{}",
        call(&long)
    );
    let key = [&b"\x81\xd9\x81"[..], &[b'k'; 129], b"\xc0"].concat();
    assert!(
        call(&key).contains("129 bytes: at most 128"),
        "{}",
        call(&key)
    );
    assert!(call(b"\x81\xa0\xa0").contains("key of 0 bytes"));
    assert_eq!(call(b"\x81\xa1k\x07"), "call: metadata is an integer");
}

#[test]
fn the_later_of_two_values_of_a_key_holds() {
    let bytes = b"\x97\x01\x07\xa1m\x00\x00\x00\x82\xa1k\xa1a\xa1k\xa1b";
    let Ok(Envelope::Call(call)) = Envelope::decode(bytes) else {
        panic!("{bytes:?}");
    };
    assert_eq!(call.metadata.get("k"), Some("b"));
    assert_eq!(call.metadata.get_bytes("k"), Some(&b"b"[..]));
    assert_eq!(call.metadata.get("other"), None);
    let metadata = call.metadata.to_metadata();
    assert_eq!((metadata.len(), metadata.get("k")), (1, Some("b")));
}

#[test]
fn metadata_is_shown_without_its_values() {
    let mut metadata = Metadata::new();
    metadata.insert("token", "secret").unwrap();
    let own = CallMetadata::from(&metadata);
    let call = CallHead {
        metadata: own,
        ..CALL
    };
    let frame = encode_call(&call, Version::Two).unwrap();
    let read = Envelope::decode(&frame).unwrap();
    assert!(format!("{read:?}").contains(r#"{"token": 6}"#), "{read:?}");
    assert_eq!(format!("{own:?}"), r#"{"token": 6}"#);
}

#[test]
fn what_is_too_long_to_travel_is_refused_or_cut_before_it_is_sent() {
    let method = "m".repeat(METHOD_BYTES_MAX + 1);
    let refused = encode_call(&CallHead::new(1, &method, 0), Version::Two);
    let (bytes, max) = (METHOD_BYTES_MAX + 1, METHOD_BYTES_MAX);
    assert_eq!(refused, Err(EncodeError::Method { bytes, max }));

    // Two bytes a letter: an odd limit falls within one.
    let name = "ä".repeat(NAME_BYTES_MAX);
    let hello = Hello {
        version: 2,
        oldest: 1,
        name: &name,
    };
    let frame = encode_hello(&hello);
    let Ok(Envelope::Hello(read)) = Envelope::decode(&frame) else {
        panic!("{frame:?}");
    };
    assert_eq!(read.name.len(), NAME_BYTES_MAX - 1);

    let status = Status::internal("m".repeat(MESSAGE_BYTES_MAX + 1));
    let frame = encode_error(&ErrorHead::new(1, &status, Ran::Yes), Version::Two);
    let Ok(Envelope::Error(read)) = Envelope::decode(&frame) else {
        panic!("{frame:?}");
    };
    assert_eq!(read.message.len(), MESSAGE_BYTES_MAX);

    let status = Status::internal("m").with_details(vec![0; DETAILS_BYTES_MAX + 1]);
    let frame = encode_error(&ErrorHead::new(1, &status, Ran::Yes), Version::Two);
    let Ok(Envelope::Error(read)) = Envelope::decode(&frame) else {
        panic!("{frame:?}");
    };
    assert_eq!(read.details, None);
    assert!(
        read.message
            .starts_with("m (details over 8192 bytes were left out")
    );
}

#[test]
fn version_1_gets_nothing_it_does_not_know() {
    let mut metadata = Metadata::new();
    metadata.insert("k", "v").unwrap();
    let rich = CallHead {
        metadata: CallMetadata::from(&metadata),
        hops: 3,
        key: Some(7),
        ..CALL
    };
    let bare = encode_call(&CALL, Version::Two).unwrap();
    assert_eq!(encode_call(&rich, Version::One).unwrap(), bare);
    let raw = CallHead {
        encoding: Encoding::Raw,
        ..CALL
    };
    assert_eq!(encode_call(&raw, Version::One), Err(EncodeError::Encoding));

    let credit = Credit {
        calls: 20,
        bytes: 1000,
    };
    let reply = Envelope::Reply(ReplyHead {
        id: 7,
        load: Some(Load::default()),
        credit: Some(credit),
    });
    let frame = reply.encode(Version::One).unwrap();
    assert_eq!(frame, b"\x94\x02\x07\xc0\x91\x14");
    let frame = Envelope::Credit(credit).encode(Version::One).unwrap();
    assert_eq!(frame, b"\x92\x05\x14");
}

#[test]
fn version_1_gets_no_streams() {
    for flags in [Flags::ITEMS_IN, Flags::ITEMS_OUT] {
        let call = CallHead { flags, ..CALL };
        let refused = encode_call(&call, Version::One);
        assert_eq!(refused, Err(EncodeError::Streams));
        assert!(encode_call(&call, Version::Two).is_ok());
    }
    // The field alone means nothing to it.
    let window = Some(Flow::new(1, 1));
    let call = encode_call(&CallHead { window, ..CALL }, Version::One);
    assert_eq!(call, encode_call(&CALL, Version::Two));

    let window = Flow::new(1, 1);
    for envelope in [
        Envelope::Items(ItemsHead::new(7, 0, 1)),
        Envelope::Window { id: 7, window },
        Envelope::Stop { id: 7 },
    ] {
        assert_eq!(envelope.encode(Version::One), Err(EncodeError::Streams));
    }
    let status = Status::from(EncodeError::Streams);
    assert!(status.message().contains("version 1, which has no streams"));
}

#[test]
fn a_stream_that_is_not_understood_says_which_to_end() {
    let says = |bytes: &[u8], stream: Option<u64>, what: &str| {
        let error = Envelope::decode(bytes).unwrap_err();
        assert_eq!((error.stream_id(), error.call_id()), (stream, None));
        assert_eq!(error.to_string(), what);
    };
    says(b"\x91\x09", None, "items: id is nothing");
    says(b"\x92\x09\x07", Some(7), "items: first is nothing");
    says(b"\x93\x09\x07\x00", Some(7), "items: count is nothing");
    says(
        b"\x94\x09\x07\x00\xff",
        Some(7),
        "items: count is out of range",
    );
    says(
        b"\x94\x09\x07\x00\xce\x00\x01\x00\x01",
        Some(7),
        "items: count is out of range",
    );
    says(
        b"\x94\x09\x07\xcf\x40\0\0\0\0\0\0\x01\x01",
        Some(7),
        "items: first is out of range",
    );
    says(
        b"\x95\x09\x07\x00\x01\x01",
        Some(7),
        "items: last is an integer",
    );
    says(
        b"\x96\x09\x07\x00\x01\xc2\x90",
        Some(7),
        "items: window is out of range",
    );
    says(b"\x93\x0a\x07\xc0", Some(7), "window: items is nil");
    says(b"\x94\x0a\x07\x01\xc2", Some(7), "window: bytes is a bool");
    says(b"\x92\x0b\xc0", None, "stop: id is nil");
    says(b"\x92\x0b\x07\x00", Some(7), "1 bytes follow the envelope");
    let error = Envelope::decode(b"\x99\x01\x07\xa1m\x00\x10\x00\xc0\x00\x07").unwrap_err();
    assert_eq!((error.stream_id(), error.call_id()), (None, Some(7)));
    assert_eq!(error.to_string(), "call: window is an integer");
}

#[test]
fn a_window_without_bytes_holds_any_number_of_them() {
    let window = Flow::new(16, u64::MAX);
    for bytes in [&b"\x93\x0a\x07\x10"[..], b"\x94\x0a\x07\x10\xc0"] {
        let read = Envelope::decode(bytes);
        assert_eq!(read, Ok(Envelope::Window { id: 7, window }));
    }
    assert_eq!(encode_window(7, window), b"\x93\x0a\x07\x10");
    for bytes in [&b"\x91\x10"[..], b"\x92\x10\xc0", b"\x93\x10\xc0\xa3new"] {
        let head = b"\x96\x09\x07\x00\x01\xc2";
        let read = Envelope::decode(&[&head[..], bytes].concat()).map(drop);
        assert_eq!(read, Ok(()));
    }
    assert_eq!(encode_stop(7), b"\x92\x0b\x07");
}

#[test]
fn numbers_are_taken_in_whichever_form_they_come() {
    let id = |bytes: &[u8]| match Envelope::decode(bytes) {
        Ok(Envelope::Cancel { id }) => Some(id),
        _ => None,
    };
    assert_eq!(id(b"\x92\x04\xcf\0\0\0\0\0\0\0\x07"), Some(7));
    assert_eq!(id(b"\x92\x04\xd3\0\0\0\0\0\0\0\x07"), Some(7));
    assert_eq!(id(b"\x92\x04\xd0\x07"), Some(7));
    assert_eq!(id(b"\x92\x04\xd0\xff"), None);
    assert_eq!(id(b"\xdc\0\x02\x04\x07"), Some(7));
    assert_eq!(id(b"\xdd\0\0\0\x02\xcc\x04\x07"), Some(7));
}

#[test]
fn what_is_not_known_of_an_error_says_the_least() {
    let bytes = b"\x95\x03\x07\xcd\x03\xe8\x09\xa1m";
    let Ok(Envelope::Error(error)) = Envelope::decode(bytes) else {
        panic!("{bytes:?}");
    };
    assert_eq!((error.code, error.ran), (Code::Unknown, Ran::Maybe));
    assert_eq!(error.status(), Status::unknown("m"));
}

#[test]
fn a_path_is_put_before_the_answer_as_it_came() {
    let call = Message::from(["a", "bc", "", "envelope", "body", ""]);
    let (path, rest) = ReturnPath::split(call).unwrap();
    assert_eq!(rest, Message::from(["envelope", "body", ""]));
    let answer = path.put_before(Message::from(["answer"]));
    assert_eq!(answer, Message::from(["a", "bc", "", "answer"]));
    let (path, rest) = ReturnPath::split(Message::from(["", "x"])).unwrap();
    assert_eq!((path.frames().len(), rest), (1, Message::single("x")));
    let (path, rest) = ReturnPath::split(Message::from(["hello"])).unwrap();
    assert!(path.is_empty());
    assert_eq!(path.put_before(rest), Message::single("hello"));
}

#[test]
fn a_path_of_17_frames_is_refused() {
    let path = |frames: usize| {
        let mut list = vec![Frame::from("a"); frames - 1];
        list.push(Frame::new());
        list.push(Frame::from("envelope"));
        ReturnPath::split(Message::from(list)).map(|(path, _)| path.frames().len())
    };
    assert_eq!(path(16), Ok(16));
    let error = path(17).unwrap_err();
    assert!(
        error.to_string().starts_with("more than 16 frames"),
        "{error}"
    );
}
