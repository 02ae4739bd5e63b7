//! Envelopes, plain calls and the values that follow them: what is read, written again, is the
//! same; to read an envelope takes no memory, whatever it says.
//!
//! It stands beside `checks`, since it is about the package that stands on this one; that one's
//! tests (`tests/wire`) compile it, too.

use std::collections::BTreeMap;

use brokerless::wire::{
    ArgumentInfo, Arguments, EncodeError, Encoder, Encoding, Envelope, ITEMS_MAX, ItemCursor,
    ItemsHead, Version, decode_blobs, decode_optional_blob, decode_value,
};
use brokerless_patterns::Frame;
use serde::{Deserialize, Serialize};

use super::alloc;

/// What a check has seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The most bytes that reading held at once.
    pub(crate) peak_bytes: usize,
    /// Envelopes and values that were read.
    pub(crate) taken: usize,
    /// What was refused, and why.
    pub(crate) refused: Vec<String>,
}

/// A type with something of everything.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sample<'r> {
    number: i64,
    #[serde(borrow)]
    text: Option<&'r str>,
    #[serde(borrow, with = "bytes")]
    bytes: &'r [u8],
    list: Vec<(u8, f64)>,
    map: BTreeMap<String, Kind>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    Tuple(bool, char),
    Struct { inner: Option<Box<Kind>> },
}

/// A field of bytes that is borrowed and written as `bin`.
mod bytes {
    pub(super) fn serialize<S: serde::Serializer>(bytes: &&[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'r, D: serde::Deserializer<'r>>(
        from: D,
    ) -> Result<&'r [u8], D::Error> {
        serde::Deserialize::deserialize(from)
    }
}

/// The input is an envelope, and a body.
pub(crate) fn check(data: &[u8]) -> Found {
    let mut found = Found::default();
    alloc::start();
    let read = alloc::counted(|| Envelope::decode(data));
    assert_eq!(
        alloc::peak_bytes(),
        0,
        "to read an envelope takes no memory"
    );
    match read {
        Ok(envelope) => {
            found.taken += 1;
            written_again(&envelope);
            if let Envelope::Plain(call) = envelope {
                values(call.arguments, &mut found);
            }
        }
        Err(error) => {
            found.refused.push(error.to_string());
            assert!(error.call_id().is_none() || data.len() > 2, "{error}");
            assert!(error.call_id().is_none() || error.stream_id().is_none());
        }
    }
    values(data, &mut found);
    items(data);
    found.peak_bytes = alloc::peak_bytes();
    // serde reserves a mebibyte at most for a length that was announced, here on four levels; a
    // value is larger than its bytes by a factor.
    let allowed = (4 << 20) + 128 * data.len();
    assert!(found.peak_bytes <= allowed, "{} bytes", found.peak_bytes);
    found
}

fn written_again(envelope: &Envelope<'_>) {
    if let Envelope::Welcome(welcome) = envelope
        && welcome.version < 2
    {
        // The form follows from the version that it names, which has less.
        return;
    }
    let frame = envelope
        .encode(Version::Two)
        .expect("what was read is within the limits");
    let again = Envelope::decode(&frame).expect("what was written is read");
    assert_eq!(again, *envelope);
    assert_eq!(again.encode(Version::Two).as_ref(), Ok(&frame));
    // Version 1 has less: what it has is read, and stays.
    match envelope.encode(Version::One) {
        Ok(frame) => {
            let once = Envelope::decode(&frame).expect("what was written is read");
            assert_eq!(once.encode(Version::Two), Ok(frame));
        }
        Err(EncodeError::Encoding | EncodeError::Streams) => {}
        Err(error) => panic!("{error}"),
    }
}

/// The items of a body lie one after the other within it, however many it is said to have.
fn items(body: &[u8]) {
    let counts = [0, 1, 2, body.len() as u32, ITEMS_MAX];
    for count in counts {
        let head = ItemsHead::new(1, 0, count);
        let mut cursor = ItemCursor::new(&head, Encoding::MessagePack);
        let (mut at, mut found) = (0, 0);
        let end = alloc::counted(|| {
            loop {
                match cursor.next_range(body) {
                    Some(Ok(range)) => {
                        assert_eq!(range.start, at, "they leave nothing between them");
                        assert!(range.end > at && range.end <= body.len());
                        (at, found) = (range.end, found + 1);
                    }
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                }
            }
        });
        assert_eq!(
            (cursor.left(), cursor.index()),
            (count - found, found.into())
        );
        assert!(end.is_err() || found == count && (count == 0 || at == body.len()));
        assert!(cursor.next_range(body).is_none());
    }
}

fn values(body: &[u8], found: &mut Found) {
    let blobs = [Frame::from_static(b"0"), Frame::from_static(b"1")];
    let info = ArgumentInfo {
        name: "a",
        type_name: "A",
        default: true,
    };
    alloc::counted(|| {
        if let Ok(sample) = decode_value::<Sample<'_>>(body) {
            alloc::uncounted(|| {
                found.taken += 1;
                let mut encoder = Encoder::answer();
                encoder.put(&sample).expect("what was read can be written");
                let body = encoder.finish().body;
                let again = decode_value::<Sample<'_>>(&body).expect("what was written is read");
                // Printed, since a float that is no number is not equal to itself.
                assert_eq!(format!("{again:?}"), format!("{sample:?}"));
            });
        }
        let _ = decode_blobs(body, &blobs);
        let _ = decode_optional_blob(body, &blobs);
        if let Ok(mut arguments) = Arguments::new(body, &blobs) {
            let _ = arguments.take::<&str>(&info);
        }
        let Ok(mut arguments) = Arguments::new(body, &blobs) else {
            return;
        };
        while !arguments.is_empty() {
            let before = arguments.len();
            let taken = match before % 4 {
                0 => arguments.take_optional_blob(&info).map(drop),
                1 => arguments.take::<u64>(&info).map(drop),
                2 => arguments.take::<Sample<'_>>(&info).map(drop),
                _ => arguments.take::<&str>(&info).map(drop),
            };
            match taken {
                Ok(()) => {
                    assert_eq!(arguments.len(), before - 1);
                    alloc::uncounted(|| found.taken += 1);
                }
                Err(status) => {
                    alloc::uncounted(|| found.refused.push(status.to_string()));
                    break;
                }
            }
        }
    });
}
