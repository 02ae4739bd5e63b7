//! Commands and metadata: what is read, written again, is the same; what is refused breaks a rule.

use brokerless_patterns::zmtp::command::{self, Command};
use brokerless_patterns::zmtp::{Violation, metadata};

use super::Seen;
use super::alloc::{self, counted, uncounted};
use super::input::Input;

/// Bodies up to this many bytes are cut at every place, too.
const CUT_BYTES_MAX: usize = 48;

/// An input: a cap on the properties; the body of a command, which is read as metadata, too.
pub(super) fn check(data: &[u8]) -> Seen {
    let mut input = Input::new(data);
    let cap = usize::from(input.byte());
    let body = input.take(usize::MAX);

    alloc::start();
    let mut seen = Seen::default();
    let parsed = counted(|| command::parse(body));
    assert_eq!(parsed.is_ok(), is_command(body), "{parsed:?}");
    match parsed {
        Ok(command) => {
            seen.taken += 1;
            written_again(&command, body);
            if let Command::Ready(data) = command {
                read_metadata(data, cap, &mut seen);
            }
        }
        Err(violation) => refused(violation, &mut seen),
    }
    if body.len() <= CUT_BYTES_MAX {
        for cut in 0..body.len() {
            let cut = &body[..cut];
            assert_eq!(counted(|| command::parse(cut).is_ok()), is_command(cut));
        }
    }
    read_metadata(body, cap, &mut seen);
    seen.measured(bytes_allowed(cap, body.len()))
}

fn refused(violation: Violation, seen: &mut Seen) {
    seen.refused.push(violation.name().into());
    counted(|| drop(violation));
}

/// Whether these bytes are a command, by the grammar.
fn is_command(body: &[u8]) -> bool {
    let Some((&name_len, rest)) = body.split_first() else {
        return false;
    };
    let name_len = usize::from(name_len);
    if name_len == 0 || rest.len() < name_len {
        return false;
    }
    let (name, data) = rest.split_at(name_len);
    match name {
        b"ERROR" => data
            .first()
            .is_some_and(|&len| data.len() > usize::from(len)),
        b"PING" => (2..=18).contains(&data.len()),
        b"PONG" => data.len() <= 16,
        name => name.iter().all(u8::is_ascii_alphabetic),
    }
}

fn written_again(command: &Command<'_>, body: &[u8]) {
    let name = command.name().as_bytes();
    assert_eq!(&body[1..=name.len()], name);
    let mut frame = Vec::new();
    match *command {
        Command::Ready(data) => command::ready(&mut frame, data),
        Command::Error { reason } => {
            if let Ok(text) = std::str::from_utf8(reason) {
                command::error(&mut frame, text);
            }
        }
        Command::Ping {
            ttl_deciseconds,
            context,
        } => command::ping(&mut frame, ttl_deciseconds, context),
        Command::Pong { context } => command::pong(&mut frame, context),
        Command::Subscribe(prefix) => command::subscribe(&mut frame, prefix),
        Command::Cancel(prefix) => command::cancel(&mut frame, prefix),
        Command::Other { name, body: data } => {
            assert_eq!(&body[1 + name.len()..], data);
            let violation = counted(|| command.unexpected());
            assert_eq!(violation.name(), "unexpected-command");
            counted(|| drop(violation));
        }
    }
    if frame.is_empty() {
        return;
    }
    let header = match frame[0] {
        4 => 2,
        6 => 9,
        flags => panic!("flags {flags}"),
    };
    let written = &frame[header..];
    let len = frame[1..header]
        .iter()
        .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    assert_eq!(written.len(), len);
    match command {
        Command::Error { reason } => {
            // Written in the alphabet, and without what may follow it.
            let visible: Vec<u8> = reason
                .iter()
                .map(|&byte| if byte.is_ascii_graphic() { byte } else { b'-' })
                .collect();
            assert_eq!(
                command::parse(written),
                Ok(Command::Error { reason: &visible })
            );
        }
        _ => assert_eq!(written, body),
    }
}

fn read_metadata(bytes: &[u8], cap: usize, seen: &mut Seen) {
    let parsed = counted(|| metadata::parse(bytes, cap, usize::MAX));
    let properties = match parsed {
        Ok(properties) => properties,
        Err(violation) => return refused(violation, seen),
    };
    let count = properties.len();
    assert!(count <= cap, "{count} properties, over the cap of {cap}");
    assert_eq!(properties.is_empty(), count == 0);
    let mut again = Vec::new();
    for (name, value) in properties.iter() {
        assert_eq!(properties.get(name), Some(value), "a name twice");
        assert_eq!(properties.get(&name.to_ascii_uppercase()), Some(value));
        assert!(metadata::put(&mut again, name, value));
    }
    assert_eq!(again, bytes);
    counted(|| {
        drop(properties);
        if let Some(less) = count.checked_sub(1) {
            let result = metadata::parse(bytes, less, bytes.len());
            uncounted(|| assert_eq!(result, Err(Violation::TooManyProperties { max: less })));
            let result = metadata::parse(bytes, count, bytes.len() - 1);
            uncounted(|| assert_eq!(result.map_err(|v| v.name()), Err("metadata-too-large")));
        }
    });
    seen.taken += count;
}

/// What reading may hold: the list of the properties, of at least six bytes each, and the text of a violation.
fn bytes_allowed(cap: usize, received: usize) -> usize {
    const FIXED: usize = 1024;
    FIXED + 64 * cap.min(received / 6)
}
