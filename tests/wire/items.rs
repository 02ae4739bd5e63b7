//! The items of a stream's message: written one after the other, and found again.

use brokerless::Blob;
use brokerless::wire::{
    DecodeError, Encoder, Encoding, ItemCursor, ItemsHead, VALUE_DEPTH_MAX, decode_blob,
    decode_value,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize, Serializer};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    number: u32,
    text: String,
    tags: Vec<Option<i64>>,
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let tags = proptest::collection::vec(any::<Option<i64>>(), 0..4);
    let line = (any::<u32>(), ".{0,12}", tags).prop_map(|(number, text, tags)| Line {
        number,
        text,
        tags,
    });
    proptest::collection::vec(line, 1..12)
}

fn cursor(first: u64, count: usize) -> ItemCursor {
    let head = ItemsHead::new(7, first, u32::try_from(count).unwrap());
    ItemCursor::new(&head, Encoding::MessagePack)
}

fn body_of(lines: &[Line]) -> Vec<u8> {
    let mut encoder = Encoder::answer();
    for line in lines {
        encoder.put(line).unwrap();
    }
    encoder.finish().body.to_vec()
}

/// What refuses to be written, after some of it was.
struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeSeq};
        let mut seq = to.serialize_seq(Some(2))?;
        seq.serialize_element(&[1u64; 32])?;
        Err(Error::custom("no"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn items_are_read_back_one_by_one(lines in lines(), first in 0u64..1 << 40) {
        let body = body_of(&lines);
        let mut cursor = cursor(first, lines.len());
        for (index, line) in (first..).zip(&lines) {
            prop_assert_eq!(cursor.index(), index);
            let item = cursor.next(&body).unwrap().unwrap();
            prop_assert_eq!(&decode_value::<Line>(item).unwrap(), line);
        }
        prop_assert!(cursor.next(&body).is_none());
        prop_assert_eq!(cursor.left(), 0);
    }

    #[test]
    fn a_body_that_is_cut_off_gives_the_items_before_the_cut(lines in lines()) {
        let body = body_of(&lines);
        for cut in 0..body.len() {
            let mut cursor = cursor(0, lines.len());
            let mut whole = 0;
            let error = loop {
                match cursor.next(&body[..cut]) {
                    Some(Ok(item)) => {
                        prop_assert_eq!(&decode_value::<Line>(item).unwrap(), &lines[whole]);
                        whole += 1;
                    }
                    Some(Err(error)) => break error,
                    None => return Err(TestCaseError::fail("nothing is missing")),
                }
            };
            prop_assert_eq!(error, DecodeError::Truncated);
            prop_assert!(cursor.next(&body).is_none(), "that was the end");
            prop_assert_eq!(cursor.left() as usize, lines.len() - whole);
        }
    }

    #[test]
    fn a_body_with_bytes_changed_is_read_within_its_bounds(
        lines in lines(), at: prop::sample::Index, to: u8, count in 0u32..20,
    ) {
        let mut body = body_of(&lines);
        let at = at.index(body.len());
        body[at] = to;
        for raw in [false, true] {
            let encoding = if raw { Encoding::Raw } else { Encoding::MessagePack };
            let mut cursor = ItemCursor::new(&ItemsHead::new(7, 0, count), encoding);
            let mut end = 0;
            while let Some(Ok(range)) = cursor.next_range(&body) {
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end <= body.len());
                let _ = decode_value::<Line>(&body[range.clone()]);
                end = range.end;
            }
            prop_assert!(cursor.index() + u64::from(cursor.left()) == count.into());
        }
    }
}

#[test]
fn an_item_that_cannot_be_written_leaves_those_before() {
    let mut encoder = Encoder::answer();
    encoder.put(&1).unwrap();
    encoder.put_blob(&Blob::from_static(b"one"));
    let (mark, bytes) = (encoder.mark(), encoder.bytes());
    assert_eq!((bytes, encoder.blobs()), (1 + 1 + 3, 1));
    encoder.put_blob(&Blob::from_static(b"gone"));
    assert!(encoder.put(&Refuses).is_err());
    assert!(encoder.bytes() > bytes);
    encoder.rewind(mark);
    assert_eq!((encoder.bytes(), encoder.blobs()), (bytes, 1));
    encoder.put_blob(&Blob::from_static(b"two"));
    let payload = encoder.finish();
    assert_eq!(payload.body, b"\x01\x00\x01");
    assert_eq!(payload.blobs[..], [&b"one"[..], b"two"]);
}

#[test]
fn a_rewind_over_a_chunk_leaves_what_was_before() {
    let mut encoder = Encoder::answer();
    encoder.put("kept").unwrap();
    let mark = encoder.mark();
    // More than the thread's chunk: it is written elsewhere from here on.
    encoder.put(&"x".repeat(100_000)).unwrap();
    encoder.rewind(mark);
    encoder.put(&2).unwrap();
    assert_eq!(encoder.finish().body, b"\xa4kept\x02");
}

#[test]
fn blobs_are_numbered_within_their_message() {
    let mut encoder = Encoder::answer();
    for text in ["one", "two"] {
        encoder.put_blob(&Blob::from(text.as_bytes().to_vec()));
    }
    let payload = encoder.finish();
    let mut cursor = cursor(40, 2);
    for text in ["one", "two"] {
        let item = cursor.next(&payload.body).unwrap().unwrap();
        let blob = decode_blob(item, &payload.blobs).unwrap();
        assert_eq!(&blob[..], text.as_bytes());
    }
}

#[test]
fn an_item_that_is_nested_too_deep_is_refused_alone() {
    let mut body = vec![0x91; VALUE_DEPTH_MAX + 1];
    body.extend(b"\x07\x08");
    let mut cursor = cursor(0, 2);
    let deep = cursor.next(&body).unwrap().unwrap();
    let read = decode_value::<serde::de::IgnoredAny>(deep);
    assert!(matches!(read, Err(DecodeError::TooDeep)), "{read:?}");
    let next = cursor.next(&body).unwrap().unwrap();
    assert_eq!(decode_value::<u8>(next), Ok(8));
}
