//! Examples, golden files and the page are one, and each is written and read.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use brokerless::wire::{Envelope, ReturnPath, Version};
use brokerless_patterns::{Frame, Message};

use crate::examples;

fn root(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), path].iter().collect()
}

/// A golden file: a line of hex for each frame, `-` for an empty one.
pub(crate) fn file_of(message: &Message) -> String {
    let line = |frame: &Frame| match frame.is_empty() {
        true => "-\n".to_owned(),
        false => {
            let hex = frame.iter().map(|byte| format!("{byte:02x}"));
            hex.collect::<String>() + "\n"
        }
    };
    message.iter().map(line).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    assert_eq!(digits.len() % 2, 0, "half a byte in {hex:?}");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The message of a golden file.
fn message_of(file: &str) -> Message {
    let frame = |line: &str| match line {
        "-" => Frame::new(),
        hex => Frame::from(bytes_of(hex)),
    };
    Message::from_frames(file.lines().map(frame))
}

/// Every golden file, by name.
pub(crate) fn files() -> BTreeMap<String, Message> {
    let entries = fs::read_dir(root("tests/golden")).unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, message_of(&fs::read_to_string(path).unwrap()))
        })
        .collect()
}

/// The blocks of the page: the opening fence says `hex` and a name; a line that says `frame`
/// begins a frame, and what follows `#` is for people.
fn blocks() -> BTreeMap<String, Message> {
    let page = fs::read_to_string(root("docs/WIRE.md")).unwrap();
    let mut blocks = BTreeMap::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```hex ") else {
            continue;
        };
        let mut frames: Vec<String> = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            let code = line.split('#').next().unwrap().trim();
            match code.strip_prefix("frame") {
                Some(rest) => frames.push(rest.to_owned()),
                None => frames
                    .last_mut()
                    .expect("`frame` comes first")
                    .push_str(code),
            }
        }
        let frames = frames.iter().map(|hex| Frame::from(bytes_of(hex)));
        let message = Message::from_frames(frames);
        assert!(
            blocks.insert(name.to_owned(), message).is_none(),
            "{name} twice"
        );
    }
    blocks
}

#[test]
fn the_golden_files_are_what_the_code_writes() {
    let folder = root("tests/golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        for example in examples::all() {
            let path = folder.join(format!("{}.hex", example.name));
            fs::write(path, file_of(&example.message)).unwrap();
        }
    }
    let files = files();
    let examples = examples::all();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let mut known: Vec<&str> = examples.iter().map(|example| example.name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
    for example in &examples {
        let written = file_of(&example.message);
        let name = example.name;
        assert_eq!(file_of(&files[name]), written, "{name}: UPDATE_GOLDEN=1");
    }
}

#[test]
fn the_examples_of_the_page_are_written_and_read() {
    let (blocks, files) = (blocks(), files());
    let names = |all: &BTreeMap<String, Message>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&blocks), names(&files));
    for example in examples::all() {
        let name = example.name;
        // The page holds what the code writes ...
        assert_eq!(file_of(&blocks[name]), file_of(&example.message), "{name}");
        // ... and is read as what it was written from, and written again.
        let (_, message) = ReturnPath::split(blocks[name].clone()).unwrap();
        if let Some(read) = &example.read {
            let envelope = Envelope::decode(message.first()).unwrap();
            assert_eq!(format!("{envelope:?}"), *read, "{name}");
            let again = envelope.encode(example.version).unwrap();
            assert_eq!(again, *message.first(), "{name}");
        }
    }
}

#[test]
fn what_version_1_writes_version_2_reads_and_writes_alike() {
    for (name, message) in files() {
        if let Some(of_two) = name.strip_prefix("v1-") {
            let envelope = Envelope::decode(message.first()).unwrap();
            let one = envelope.encode(Version::One).unwrap();
            let two = envelope.encode(Version::Two).unwrap();
            assert_eq!(one, two, "{name} and {of_two}");
        }
    }
}

#[test]
fn every_truncation_of_a_golden_file_is_refused() {
    for (name, message) in files() {
        let (_, message) = ReturnPath::split(message).unwrap();
        let envelope = message.first();
        // A plain call's arguments are read, and found cut off, when they are taken.
        let end = match Envelope::decode(envelope) {
            Ok(Envelope::Plain(call)) => envelope.len() - call.arguments.len(),
            _ => envelope.len(),
        };
        for cut in 0..end {
            let read = Envelope::decode(&envelope[..cut]);
            assert!(read.is_err(), "{name} cut at {cut}: {read:?}");
        }
    }
}

#[test]
fn a_byte_changed_in_a_golden_file_panics_nowhere() {
    for (_, message) in files() {
        for frame in &message {
            let mut bytes = frame.to_vec();
            for at in 0..bytes.len() {
                let kept = bytes[at];
                for changed in [0, 0x7f, 0x80, 0x9f, 0xc1, 0xc6, 0xdb, 0xdd, 0xdf, 0xff] {
                    bytes[at] = changed;
                    let _ = Envelope::decode(&bytes);
                }
                bytes[at] = kept;
            }
        }
    }
}
