//! Bytes as a user gives them: from files, from standard input, as base64, hex or text.
//!
//! # Invariants
//!
//! 1. Standard input is read once: a second use of it is refused. (test
//!    `standard_input_is_given_once`)
//! 2. No more is read than [`FILE_BYTES_MAX`]. (held by [`Input::limited`])

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};

use base64::DecodeError;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::json::quoted;

/// Bytes of the largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// How bytes are written, for those who wrote something else.
pub(super) const SPELLINGS: &str =
    "write @FILE, @- for standard input, base64, hex:00ff or text:hello";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Where bytes come from, beside the command line.
#[derive(Debug, Default)]
pub(super) struct Input {
    stdin_is_taken: Cell<bool>,
}

impl Input {
    /// Standard input, whose items the call takes.
    pub(super) fn take_stdin(&self) -> Result<(), String> {
        if self.stdin_is_taken.replace(true) {
            return Err(
                "standard input is read once, and is taken already: give a file instead".into(),
            );
        }
        Ok(())
    }

    /// What a file holds; `-` is standard input.
    pub(super) fn file(&self, name: &str) -> Result<Vec<u8>, String> {
        let read = match name {
            "-" => {
                self.take_stdin()?;
                Self::limited(io::stdin().lock())
            }
            "" => return Err("no file is named after @: write @FILE, or @-".into()),
            name => File::open(name).and_then(Self::limited),
        };
        read.map_err(|error| match name {
            "-" => format!("cannot read standard input: {error}"),
            name => format!("cannot read {name}: {error}"),
        })
    }

    fn limited(from: impl Read) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            let what = format!("it has more than {FILE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        Ok(bytes)
    }

    /// The same as text.
    pub(super) fn text(&self, name: &str) -> Result<String, String> {
        String::from_utf8(self.file(name)?).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            format!("{name} is no text: byte {at} is not UTF-8")
        })
    }

    /// Bytes, however they are spelled.
    pub(super) fn bytes(&self, text: &str) -> Result<Vec<u8>, String> {
        if let Some(name) = text.strip_prefix('@') {
            return self.file(name);
        }
        match text.split_once(':') {
            Some(("text", text)) => Ok(text.as_bytes().to_vec()),
            Some(("hex", digits)) => {
                hex(digits).ok_or_else(|| format!("{} is no hex", quoted(digits)))
            }
            Some(("base64", text)) => base64(text),
            Some((prefix, _)) => Err(format!("nothing begins with {}:", quoted(prefix))),
            None => base64(text),
        }
    }
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    engine.decode(text).map_err(|error| {
        let place = match error {
            DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol(offset, _) => {
                format!("its character {} is not of it", offset + 1)
            }
            _ => "it is cut off".to_owned(),
        };
        format!("{} is no base64: {place}", quoted(text))
    })
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let nibbles = digits.chars().map(|c| c.to_digit(16));
    let nibbles: Vec<u32> = nibbles.collect::<Option<_>>()?;
    let pairs = nibbles.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_several_spellings() {
        let input = Input::default();
        for (text, bytes) in [
            ("", &[][..]),
            ("AAEC", &[0, 1, 2]),
            ("/w==", &[255]),
            ("/w", &[255]),
            ("_w", &[255]),
            ("base64:AAEC", &[0, 1, 2]),
            ("hex:00fF", &[0, 255]),
            ("text:a:b", b"a:b"),
        ] {
            assert_eq!(input.bytes(text).as_deref(), Ok(bytes), "{text}");
        }
        for (bad, why) in [
            ("hello!", "is no base64"),
            ("hex:0", "is no hex"),
            ("hex:0g", "is no hex"),
            ("file:x", "nothing begins with \"file\":"),
            ("@", "no file is named"),
            ("@/nowhere/at/all", "cannot read /nowhere/at/all"),
        ] {
            let error = input.bytes(bad).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn standard_input_is_given_once() {
        let input = Input::default();
        assert_eq!(input.take_stdin(), Ok(()));
        assert!(input.file("-").unwrap_err().contains("is read once"));
    }
}
