//! Arguments and values: read as they were written, and refused by name.

use std::collections::BTreeMap;

use brokerless::wire::{
    ArgumentInfo, Arguments, Came, DecodeError, Encoder, Parts, Payload, decode_blob, decode_blobs,
    decode_optional_blob, decode_value, encode_plain_reply,
};
use brokerless::{Blob, Code, Status};
use brokerless_patterns::{Frame, Message};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

const fn info(name: &'static str, type_name: &'static str) -> ArgumentInfo {
    ArgumentInfo {
        name,
        type_name,
        default: false,
    }
}

const X: ArgumentInfo = info("x", "i64");
const TEXT: ArgumentInfo = info("text", "&str");
const DATA: ArgumentInfo = info("data", "Blob");
const LATER: ArgumentInfo = ArgumentInfo {
    default: true,
    ..DATA
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Query<'q> {
    needle: &'q str,
    #[serde(default)]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Nest(Vec<Nest>);

fn body<T: Serialize + ?Sized>(value: &T) -> Frame {
    let mut encoder = Encoder::answer();
    encoder.put(value).unwrap();
    encoder.finish().body
}

#[test]
fn arguments_are_read_back_in_their_order() {
    let mut encoder = Encoder::arguments(5);
    encoder.put(&-7i64).unwrap();
    encoder.put("some text").unwrap();
    encoder.put(&Some(&b"\xff\xfe"[..])).unwrap();
    let query = Query {
        needle: "n",
        limit: Some(3),
    };
    encoder.put(&query).unwrap();
    encoder.put(&Option::<&str>::None).unwrap();
    let payload = encoder.finish();
    assert_eq!(payload.body[..2], [0x95, 0xf9]);

    let mut arguments = Arguments::new(&payload.body, &[]).unwrap();
    assert_eq!(arguments.len(), 5);
    assert_eq!(arguments.take::<i64>(&X).unwrap(), -7);
    let text: &str = arguments.take(&TEXT).unwrap();
    assert_eq!(text, "some text");
    // Borrowed from the body: the same bytes.
    assert!(payload.body.as_ptr_range().contains(&text.as_ptr()));
    let bytes: Option<&[u8]> = arguments.take(&info("bytes", "Option<&[u8]>")).unwrap();
    assert_eq!(bytes, Some(&b"\xff\xfe"[..]));
    let found: Query<'_> = arguments.take(&info("query", "Query")).unwrap();
    assert_eq!(found, query);
    let none: Option<&str> = arguments.take(&TEXT).unwrap();
    assert_eq!(none, None);
    assert!(arguments.is_empty());
    arguments.finish();
}

#[test]
fn structs_are_maps_by_field_name_and_bytes_are_bin() {
    #[derive(Serialize)]
    struct Both {
        a: u8,
        b: Vec<u8>,
    }
    let b = vec![1, 2];
    assert_eq!(
        body(&Both { a: 1, b }),
        b"\x82\xa1a\x01\xa1b\xc4\x02\x01\x02"
    );
    assert_eq!(body(&[7u8, 8][..]), b"\xc4\x02\x07\x08");
}

#[test]
fn a_blob_travels_as_the_frame_it_was() {
    let blobs = [3, 4, 5].map(|byte| Blob::from(vec![byte; 70_000]));
    let [one, two, three] = blobs.clone();
    let mut encoder = Encoder::arguments(3);
    encoder.put_blob(&one);
    encoder.put_optional_blob(None);
    encoder.put_blobs(&[two, three]);
    let payload = encoder.finish();
    assert_eq!(payload.body, b"\x93\x00\xc0\x92\x01\x02");

    let mut arguments = Arguments::new(&payload.body, &payload.blobs).unwrap();
    let found = arguments.take_blob(&DATA).unwrap();
    assert_eq!(found.as_ptr(), blobs[0].as_ptr());
    assert_eq!(arguments.take_optional_blob(&DATA).unwrap(), None);
    let rest = arguments.take_blobs(&DATA).unwrap();
    let starts: Vec<_> = rest.iter().map(|blob| blob.as_ptr()).collect();
    assert_eq!(starts, [blobs[1].as_ptr(), blobs[2].as_ptr()]);

    let mut encoder = Encoder::answer();
    encoder.put_optional_blob(Some(&blobs[0]));
    let answer = encoder.finish();
    let found = decode_optional_blob(&answer.body, &answer.blobs).unwrap();
    assert_eq!(found.unwrap().as_ptr(), blobs[0].as_ptr());
    assert_eq!(decode_optional_blob(b"\xc0", &[]), Ok(None));
    let list = decode_blobs(b"\x91\x00", &answer.blobs).unwrap();
    assert_eq!(list[0].as_ptr(), blobs[0].as_ptr());
}

#[test]
fn a_blob_that_did_not_come_is_named() {
    let fault = |index, blobs| Err(DecodeError::Blob { index, blobs });
    assert_eq!(decode_blob(b"\x00", &[]), fault(0, 0));
    assert_eq!(
        decode_blob(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", &[]),
        fault(u64::MAX, 0)
    );
    let mut arguments = Arguments::new(b"\x91\x02", &[]).unwrap();
    let status = arguments.take_blob(&DATA).unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        status.message(),
        "argument data wants Blob: it names blob 2, and 0 came"
    );
    assert!(decode_blob(b"\xff", &[]).is_err());
    assert!(decode_blob(b"\xc0", &[]).is_err());
}

#[test]
fn bytes_in_the_place_of_a_blob_are_taken() {
    assert_eq!(decode_blob(b"\xc4\x02hi", &[]).unwrap(), b"hi"[..]);
    let mut arguments = Arguments::new(b"\x91\x92\xc4\x01a\xc4\x00", &[]).unwrap();
    let blobs = arguments.take_blobs(&DATA).unwrap();
    assert_eq!(blobs, [Blob::copy_from_slice(b"a"), Blob::new()]);
}

#[test]
fn a_plain_answer_holds_its_blobs_as_bytes() {
    let blob = Blob::from_static(b"hi");
    let answer = |put: &dyn Fn(&mut Encoder)| {
        let mut encoder = Encoder::answer();
        put(&mut encoder);
        encode_plain_reply(&encoder.finish()).unwrap()
    };
    assert_eq!(answer(&|to| to.put_blob(&blob)), b"\x92\x00\xc4\x02hi");
    assert_eq!(answer(&|to| to.put_optional_blob(None)), b"\x92\x00\xc0");
    let two = [blob.clone(), blob.clone()];
    assert_eq!(
        answer(&|to| to.put_blobs(&two)),
        b"\x92\x00\x92\xc4\x02hi\xc4\x02hi"
    );
    assert_eq!(answer(&|to| to.put(&7).unwrap()), b"\x92\x00\x07");
}

/// The message of the status with which an argument is refused.
fn refused<'r, T: Deserialize<'r>>(body: &'r [u8], info: &ArgumentInfo) -> String {
    let mut arguments = Arguments::new(body, &[]).unwrap();
    match arguments.take::<T>(info).map(drop) {
        Err(status) => {
            assert_eq!(status.code(), Code::InvalidArgument);
            status.message().to_owned()
        }
        Ok(()) => panic!("{body:?} was taken"),
    }
}

#[test]
fn an_argument_that_does_not_fit_is_named_with_both_types() {
    let says = |body: &'static [u8], what: &str| {
        let words = refused::<i64>(body, &X);
        assert_eq!(words, format!("argument x wants i64: {what}"));
    };
    says(b"\x91\xa3abc", "a str of 3 bytes came");
    says(b"\x91\xc0", "nil came");
    says(b"\x91\xc3", "a bool came");
    says(b"\x91\xcb\x3f\xf8\0\0\0\0\0\0", "a float came");
    says(b"\x91\xc4\x02\x01\x02", "a bin of 2 bytes came");
    says(b"\x91\x93\x01\x02\x03", "an array of 3 came");
    says(b"\x91\x81\x01\x02", "a map of 1 came");
    says(b"\x91\xd4\x01\x02", "an extension type came");
    says(b"\x91\xc1", "a byte that is no MessagePack came");
    says(b"\x91\xcd\x01", "it ends too early");
    let words = refused::<&str>(b"\x91\x07", &TEXT);
    assert_eq!(words, "argument text wants &str: an integer came");
    let words = refused::<&str>(b"\x91\xa2\xff\xfe", &TEXT);
    assert_eq!(words, "argument text wants &str: its text is not UTF-8");
    let words = refused::<Query<'_>>(b"\x91\x80", &info("query", "Query"));
    assert_eq!(
        words,
        "argument query wants Query: field `needle` is missing"
    );
}

#[test]
fn the_second_argument_is_the_one_that_is_named() {
    let mut arguments = Arguments::new(b"\x92\x93\x01\xa1x\xc0\xa5hello", &[]).unwrap();
    let list: (u8, String, Option<u8>) = arguments.take(&info("list", "(..)")).unwrap();
    assert_eq!(list, (1, "x".into(), None));
    let status = arguments.take::<i64>(&X).unwrap_err();
    assert_eq!(
        status.message(),
        "argument x wants i64: a str of 5 bytes came"
    );
}

#[test]
fn a_fault_never_quotes_the_payload() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(rename = "known")]
        _known: u8,
    }
    #[derive(Debug, Deserialize)]
    enum Kind {
        One,
    }
    let word = "secret";
    let list = [
        body(word),
        body(&BTreeMap::from([(word, word)])),
        body(&[word]),
    ];
    for body in list {
        let faults = [
            decode_value::<u64>(&body).map(drop).unwrap_err(),
            decode_value::<Strict>(&body).map(drop).unwrap_err(),
            decode_value::<Kind>(&body).map(drop).unwrap_err(),
            decode_value::<(u8, u8)>(&body).map(drop).unwrap_err(),
        ];
        for fault in faults {
            let words = format!("{fault} {fault:?}");
            assert!(!words.contains(word), "{words}");
        }
    }
    assert!(decode_value::<Kind>(&body("One")).is_ok_and(|Kind::One| true));
}

#[test]
fn an_argument_added_later_may_be_absent() {
    let mut arguments = Arguments::new(b"\x91\x05", &[]).unwrap();
    assert_eq!(arguments.take::<i64>(&X).unwrap(), 5);
    assert_eq!(arguments.take_or_default::<String>(&LATER).unwrap(), "");
    assert_eq!(arguments.take_optional_blob(&LATER).unwrap(), None);
    assert!(arguments.take_blobs(&LATER).unwrap().is_empty());
    let status = arguments.take::<i64>(&X).unwrap_err();
    assert_eq!(status.message(), "argument x (i64) is absent: 1 came");
    // And a caller that is newer than the replier sends more than it knows.
    let mut arguments = Arguments::new(b"\x92\x05\xa3new", &[]).unwrap();
    assert_eq!(arguments.take::<i64>(&X).unwrap(), 5);
    arguments.finish();
}

#[test]
fn arguments_that_are_no_array_are_refused() {
    let refused = |body: &[u8]| Arguments::new(body, &[]).map(drop).unwrap_err();
    assert_eq!(
        refused(b"\x05"),
        Status::invalid_argument("the arguments are an array: an integer came")
    );
    assert!(refused(b"").message().ends_with("nothing came"));
    assert!(refused(b"\xdd\xff").message().ends_with("nothing came"));
}

#[test]
fn an_array_that_announces_more_than_it_holds_says_what_is_absent() {
    let words = refused::<i64>(b"\xdd\xff\xff\xff\xff", &X);
    assert_eq!(words, "argument x (i64) is absent: 4294967295 came");
}

#[test]
fn a_body_that_is_no_value_of_the_type_is_refused_by_its_kind() {
    assert_eq!(decode_value::<u32>(b"\x05"), Ok(5));
    assert_eq!(decode_value::<u32>(b""), Err(DecodeError::Truncated));
    assert_eq!(decode_value::<u32>(b"\xce\0"), Err(DecodeError::Truncated));
    assert_eq!(decode_value::<u32>(b"\x01\x02"), Err(DecodeError::Trailing));
    assert_eq!(decode_value::<u32>(b"\x01\xc1"), Err(DecodeError::Trailing));
    let came = Err(DecodeError::Type(Came::Str(3)));
    assert_eq!(decode_value::<u32>(b"\xa3abc"), came);
    let text = decode_value::<String>(b"\xa2\xff\xfe");
    assert_eq!(text, Err(DecodeError::NotUtf8));
    let text = decode_value::<&str>(b"\xa2\xff\xfe");
    assert_eq!(text, Err(DecodeError::NotUtf8));
    let number = decode_value::<u8>(b"\xcd\x01\x00");
    assert_eq!(number, Err(DecodeError::Type(Came::Integer)));
    // 4 billion values are announced and none is there.
    let list = decode_value::<Vec<u64>>(b"\xdd\xff\xff\xff\xff");
    assert_eq!(list, Err(DecodeError::Truncated));
    let text = decode_value::<String>(b"\xdb\xff\xff\xff\xff");
    assert_eq!(text, Err(DecodeError::Truncated));
}

#[test]
fn a_value_nested_64_deep_is_refused() {
    let nest = |depth: usize| {
        let mut bytes = vec![0x91; depth - 1];
        bytes.push(0x90);
        decode_value::<Nest>(&bytes).map(drop)
    };
    assert_eq!([nest(1), nest(63)], [Ok(()), Ok(())]);
    for depth in [64, 65, 600, 1_000_000] {
        assert_eq!(nest(depth), Err(DecodeError::TooDeep), "{depth}");
    }
    // What is not known of a struct is passed over within the same bound.
    let unknown = |depth| {
        [
            &b"\x82\xa1x"[..],
            &vec![0x91; depth],
            b"\xc0\xa6needle\xa1n",
        ]
        .concat()
    };
    assert!(decode_value::<Query<'_>>(&unknown(60)).is_ok());
    let deep = decode_value::<Query<'_>>(&unknown(600)).map(drop);
    assert_eq!(deep, Err(DecodeError::TooDeep));
    let deep = vec![0x91; 1_000_000];
    let mut arguments = Arguments::new(&deep, &[]).unwrap();
    let status = arguments.take::<Nest>(&X).unwrap_err();
    assert!(status.message().ends_with("64 deep or deeper"), "{status}");
}

#[test]
fn no_bytes_are_taken_in_either_form() {
    let bytes = info("bytes", "&[u8]");
    let mut encoder = Encoder::arguments(5);
    encoder.put(&b""[..]).unwrap();
    encoder.put(&Some(&b""[..])).unwrap();
    encoder.put_bytes(b"");
    encoder.put_optional_bytes(None);
    encoder.put_optional_bytes(Some(b"x"));
    let payload = encoder.finish();
    assert_eq!(payload.body, b"\x95\x90\x90\xc4\x00\xc0\xc4\x01x");
    let mut arguments = Arguments::new(&payload.body, &[]).unwrap();
    assert_eq!(arguments.take::<&[u8]>(&bytes).unwrap(), b"");
    assert_eq!(
        arguments.take::<Option<&[u8]>>(&bytes).unwrap(),
        Some(&b""[..])
    );
    assert_eq!(arguments.take::<&[u8]>(&bytes).unwrap(), b"");
    assert_eq!(arguments.take::<Option<&[u8]>>(&bytes).unwrap(), None);
    assert_eq!(arguments.take::<&[u8]>(&bytes).unwrap(), b"x");
    assert_eq!(decode_value::<&[u8]>(b"\x90"), Ok(&b""[..]));
    // Nothing else takes the place of another type.
    let text = decode_value::<&str>(b"\x90");
    assert_eq!(text, Err(DecodeError::Type(Came::Array(0))));
}

#[test]
fn a_field_that_is_not_known_is_passed_over() {
    let newer = b"\x83\xa6needle\xa1n\xa3new\x92\x01\x81\xa1a\xc0\xa5limit\x05";
    let query = decode_value::<Query<'_>>(newer).unwrap();
    assert_eq!((query.needle, query.limit), ("n", Some(5)));
}

#[test]
fn a_payload_of_one_blob_allocates_no_list() {
    let mut encoder = Encoder::arguments(1);
    encoder.put_blob(&Blob::from_static(b"hi"));
    let payload = encoder.finish();
    assert!(!payload.blobs.spilled());
    assert_eq!(payload.bytes(), 4);
}

#[test]
fn a_message_is_its_envelope_body_and_blobs() {
    let payload = Payload {
        body: Frame::from("body"),
        blobs: [Frame::from("b0"), Frame::new()].into_iter().collect(),
    };
    let message = payload.clone().into_message(Frame::from("envelope"));
    assert_eq!(message, Message::from(["envelope", "body", "b0", ""]));
    let parts = Parts::of(message.frames());
    assert_eq!(
        (parts.envelope, parts.body),
        (&b"envelope"[..], &b"body"[..])
    );
    assert_eq!(parts.blobs, &payload.blobs[..]);
    assert_eq!(Payload::of_message(message), payload);
    let short = Payload::of_message(Message::single("envelope"));
    assert_eq!(short, Payload::default());
    assert_eq!(Parts::of(&[]).body, b"");
}

#[test]
fn a_type_that_refuses_to_be_written_is_named_by_its_own_words() {
    struct Never;
    impl Serialize for Never {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("never"))
        }
    }
    let mut encoder = Encoder::arguments(1);
    let error = encoder.put(&Never).unwrap_err();
    assert_eq!(error.to_string(), "a value cannot be written: never");
    drop(encoder);
    // What was begun is not in the next frame.
    assert_eq!(body(&1), b"\x01");
}

#[test]
fn a_serialize_that_encodes_by_itself_disturbs_nothing() {
    struct Inner;
    impl Serialize for Inner {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_bytes(&body("inner"))
        }
    }
    let mut encoder = Encoder::arguments(2);
    encoder.put("outer").unwrap();
    encoder.put(&Inner).unwrap();
    assert_eq!(encoder.finish().body, b"\x92\xa5outer\xc4\x06\xa5inner");
}

proptest! {
    // Each is cut off at every byte.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_arguments_are_read_back(
        number: i64, float: f64, text: String, bytes: Vec<u8>, list: Vec<Option<i32>>,
        map: BTreeMap<String, (bool, char)>,
    ) {
        let mut encoder = Encoder::arguments(6);
        encoder.put(&number).unwrap();
        encoder.put(&float).unwrap();
        encoder.put(&text).unwrap();
        encoder.put(&bytes[..]).unwrap();
        encoder.put(&list).unwrap();
        encoder.put(&map).unwrap();
        let payload = encoder.finish();
        let mut arguments = Arguments::new(&payload.body, &[]).unwrap();
        prop_assert_eq!(arguments.take::<i64>(&X).unwrap(), number);
        prop_assert_eq!(arguments.take::<f64>(&X).unwrap().to_bits(), float.to_bits());
        prop_assert_eq!(arguments.take::<&str>(&X).unwrap(), &text[..]);
        prop_assert_eq!(arguments.take::<&[u8]>(&X).unwrap(), &bytes[..]);
        prop_assert_eq!(arguments.take::<Vec<Option<i32>>>(&X).unwrap(), list);
        prop_assert_eq!(arguments.take::<BTreeMap<String, (bool, char)>>(&X).unwrap(), map);
        // And cut off anywhere, some argument is refused.
        for cut in 1..payload.body.len() {
            let mut arguments = Arguments::new(&payload.body[..cut], &[]).unwrap();
            let all = (|| {
                arguments.take::<i64>(&X)?;
                arguments.take::<f64>(&X)?;
                arguments.take::<&str>(&X)?;
                arguments.take::<&[u8]>(&X)?;
                arguments.take::<Vec<Option<i32>>>(&X)?;
                arguments.take::<BTreeMap<String, (bool, char)>>(&X).map(drop)
            })();
            prop_assert!(all.is_err(), "cut at {cut}");
        }
    }
}
