//! The bytes of one call of `add`, as brokerless puts them on a stream.
//!
//! Two frames of ZMTP: the envelope (a MessagePack array of kind, id, method and time left) and the arguments. For those who
//! echo bytes and know no calls.

use anyhow::{Result, ensure};

/// Bytes of a call.
pub(crate) const CALL: usize = ID + 8 + 1 + METHOD.len() + 5 + 2 + 1 + 5 + 1;

const METHOD: &[u8] = b"calc.v1.add";
/// Where the id begins: after a frame's flags and length, an array's head, a kind and an integer's head.
const ID: usize = 2 + 1 + 1 + 1;
/// Where the last byte is: the second argument.
const LAST: usize = CALL - 1;
/// The second argument of a call that is to take long.
const SLOW: u8 = 2;

/// A call with a number in it, so that a wrong answer is seen.
pub(crate) fn call(number: u64) -> [u8; CALL] {
    const ENVELOPE: u8 = (1 + 1 + 9 + 1 + METHOD.len() + 5) as u8;
    let mut bytes = [0; CALL];
    let mut at = 0;
    let mut put = |part: &[u8]| {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(&[0x01, ENVELOPE, 0x94, 0x01, 0xcf]);
    put(&number.to_be_bytes());
    put(&[0xa0 | METHOD.len() as u8]);
    put(METHOD);
    put(&[0xce]);
    put(&10_000_000u32.to_be_bytes());
    put(&[0x00, 7, 0x92, 0xce]);
    put(&(number as u32).to_be_bytes());
    put(&[0x01]);
    bytes
}

/// The same, for a server that looks.
pub(crate) fn slow_call(number: u64) -> [u8; CALL] {
    let mut bytes = call(number);
    bytes[LAST] = SLOW;
    bytes
}

pub(crate) fn is_slow(call: &[u8; CALL]) -> bool {
    call[LAST] == SLOW
}

/// Looks whether `bytes` is the answer to [`call`]`(number)`.
pub(crate) fn check(bytes: &[u8], number: u64) -> Result<()> {
    let id = bytes.get(ID..ID + 8);
    ensure!(
        bytes.len() == CALL && id == Some(&number.to_be_bytes()[..]),
        "answer {number} is not what was sent ({} bytes)",
        bytes.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_of_a_call_fill_it() {
        let bytes = call(u64::MAX);
        let envelope = usize::from(bytes[1]);
        let body = usize::from(bytes[2 + envelope + 1]);
        assert_eq!(2 + envelope + 2 + body, CALL);
    }

    #[test]
    #[cfg(feature = "brokerless")]
    fn the_bytes_are_those_of_brokerless() {
        use std::time::Duration;

        use brokerless::wire::{CallHead, Encoder, Version, encode_call};

        // An id of the length that ids have, and a first argument with as many digits.
        let number = 0x0123_4567_89ab_cdef;
        let left = Duration::from_secs(10).as_micros() as u64;
        let head = CallHead::new(number, "calc.v1.add", left);
        let envelope = encode_call(&head, Version::Two).expect("an envelope");
        let mut arguments = Encoder::arguments(2);
        arguments.put(&i64::from(number as u32)).expect("a number");
        arguments.put(&1_i64).expect("a number");
        let body = arguments.finish().body;
        let bytes = call(number);
        assert_eq!(bytes[2..2 + envelope.len()], envelope[..]);
        assert_eq!(bytes[2 + envelope.len() + 2..], body[..]);
    }

    #[test]
    fn another_answer_is_seen() {
        assert!(check(&call(3), 3).is_ok() && check(&slow_call(3), 3).is_ok());
        assert!(check(&call(3), 4).is_err());
        assert!(check(&call(3)[1..], 3).is_err());
        assert!(is_slow(&slow_call(3)) && !is_slow(&call(3)));
    }
}
