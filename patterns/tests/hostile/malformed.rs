//! Peers that break the protocol, each in another way, or leave in the middle.

use std::collections::BTreeMap;

use crate::support::ms;
use crate::support::raw::{
    COMMAND, LONG, MORE, Raw, announce, command, command_body, frame, greeting, greeting_with,
    opening, ping, property, ready,
};
use crate::support::scene::Scene;

/// What such a peer sends, and the name under which its end is counted.
struct Breach {
    what: &'static str,
    bytes: Vec<u8>,
    name: &'static str,
}

/// Breaches of the greeting.
fn in_the_greeting() -> Vec<Breach> {
    let changed = |at: usize, to: u8| {
        let mut bytes = greeting();
        bytes[at] = to;
        bytes
    };
    let breach = |what, bytes, name| Breach { what, bytes, name };
    vec![
        breach(
            "a web client",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "bad-signature",
        ),
        breach(
            "a tls client",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03".to_vec(),
            "bad-signature",
        ),
        breach("a shell", b"SSH-2.0-x\r\n".to_vec(), "bad-signature"),
        breach("zmtp 1.0", b"\x01\x00".to_vec(), "bad-signature"),
        breach("first byte", changed(0, 0xFE), "bad-signature"),
        breach("end of the signature", changed(9, 0x7E), "bad-signature"),
        breach(
            "version 0",
            greeting_with(0, 0, b"NULL"),
            "unsupported-version",
        ),
        breach(
            "version 1",
            greeting_with(1, 0, b"NULL"),
            "unsupported-version",
        ),
        breach(
            "version 2",
            greeting_with(2, 1, b"NULL"),
            "unsupported-version",
        ),
        breach(
            "no mechanism",
            greeting_with(3, 1, b""),
            "malformed-mechanism",
        ),
        breach(
            "small letters",
            greeting_with(3, 1, b"null"),
            "malformed-mechanism",
        ),
        breach(
            "bytes after the name",
            greeting_with(3, 1, b"NULL\0X"),
            "malformed-mechanism",
        ),
        breach("plain", greeting_with(3, 1, b"PLAIN"), "mechanism-mismatch"),
        breach("curve", greeting_with(3, 1, b"CURVE"), "mechanism-mismatch"),
        breach(
            "a longer name",
            greeting_with(3, 1, b"NULLNULLNULLNULLNULL"),
            "mechanism-mismatch",
        ),
        breach("as-server", changed(32, 2), "bad-as-server"),
    ]
}

/// Breaches between the greeting and the end of the handshake.
fn in_the_handshake() -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut after_greeting = |what, bytes: Vec<u8>, name| {
        let bytes = [greeting(), bytes].concat();
        breaches.push(Breach { what, bytes, name });
    };
    let kind = || property("Socket-Type", b"DEALER");
    let meta = |parts: &[Vec<u8>]| command("READY", &parts.concat());
    after_greeting("a message", frame(0, b"hello"), "message-before-ready");
    after_greeting(
        "a first frame",
        frame(MORE, b"hello"),
        "message-before-ready",
    );
    after_greeting(
        "a long message",
        announce(0, 1 << 36),
        "message-before-ready",
    );
    for bit in [0x08, 0x10, 0x20, 0x40, 0x80] {
        after_greeting("reserved bits", vec![COMMAND | bit, 0], "reserved-flags");
    }
    after_greeting(
        "a command with more",
        frame(COMMAND | MORE, b"\x05READY"),
        "command-with-more",
    );
    after_greeting(
        "top bit of a length",
        announce(COMMAND, 1 << 63),
        "length-out-of-range",
    );
    after_greeting(
        "100 GB of command",
        announce(COMMAND, 100_000_000_000),
        "command-too-large",
    );
    after_greeting(
        "8 KiB and a byte",
        announce(COMMAND, 8193),
        "command-too-large",
    );
    after_greeting("an empty command", frame(COMMAND, b""), "malformed-command");
    after_greeting(
        "a name without letters",
        frame(COMMAND, b"\x01\x00"),
        "malformed-command",
    );
    after_greeting(
        "a name past the end",
        frame(COMMAND, b"\x09READY"),
        "malformed-command",
    );
    after_greeting(
        "another command",
        command("HELLO", b""),
        "unexpected-command",
    );
    after_greeting(
        "a subscription",
        command("SUBSCRIBE", b"a"),
        "unexpected-command",
    );
    after_greeting("a ping too early", ping(0, b""), "unexpected-command");
    after_greeting("an error", command("ERROR", b"\x02no"), "peer-error");
    after_greeting("no socket type", meta(&[]), "missing-socket-type");
    after_greeting(
        "an unknown type",
        ready("DEALERS", b""),
        "unknown-socket-type",
    );
    after_greeting("a publisher", ready("PUB", b""), "incompatible-sockets");
    after_greeting("a replier", ready("REP", b""), "incompatible-sockets");
    after_greeting(
        "a name past the end",
        command("READY", b"\xFFSocket-Type"),
        "malformed-metadata",
    );
    let past_the_end = [
        b"\x0BSocket-Type".as_slice(),
        &7u32.to_be_bytes(),
        b"DEALER",
    ]
    .concat();
    after_greeting(
        "a value past the end",
        command("READY", &past_the_end),
        "malformed-metadata",
    );
    let far_past = [
        b"\x0BSocket-Type".as_slice(),
        &u32::MAX.to_be_bytes(),
        b"DEALER",
    ]
    .concat();
    after_greeting(
        "a value of 4 GiB",
        command("READY", &far_past),
        "malformed-metadata",
    );
    after_greeting(
        "a cut length",
        command("READY", b"\x0BSocket-Type\0\0"),
        "malformed-metadata",
    );
    after_greeting(
        "a property without name",
        meta(&[kind(), property("", b"x")]),
        "malformed-metadata",
    );
    after_greeting(
        "a property twice",
        meta(&[kind(), kind()]),
        "malformed-metadata",
    );
    let many: Vec<_> = (0..65).map(|n| property(&format!("X-{n}"), b"")).collect();
    after_greeting("too many properties", meta(&many), "too-many-properties");
    after_greeting(
        "a long identity",
        ready("DEALER", &[b'x'; 256]),
        "identity-too-long",
    );
    after_greeting(
        "a reserved identity",
        ready("DEALER", b"\0x"),
        "identity-reserved",
    );
    breaches
}

/// Breaches once the peer is in. The router takes frames of 1,000 bytes, 4 in a message, 2,500
/// bytes in all.
fn in_the_traffic() -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut after_ready = |what, bytes: Vec<u8>, name| {
        let bytes = [opening("DEALER", b""), bytes].concat();
        breaches.push(Breach { what, bytes, name });
    };
    after_ready("ready twice", ready("DEALER", b""), "unexpected-command");
    after_ready(
        "a subscription",
        command("SUBSCRIBE", b"a"),
        "unexpected-command",
    );
    after_ready(
        "an unknown command",
        command("JOIN", b"group"),
        "unexpected-command",
    );
    after_ready(
        "an error",
        command("ERROR", b"\x02no"),
        "unexpected-command",
    );
    for bit in [0x08, 0x10, 0x20, 0x40, 0x80] {
        after_ready("reserved bits", vec![bit, 0], "reserved-flags");
    }
    after_ready(
        "a command with more",
        frame(COMMAND | MORE, b"\x04PING\0\0"),
        "command-with-more",
    );
    after_ready("an empty command", frame(COMMAND, b""), "malformed-command");
    after_ready(
        "a name past the end",
        frame(COMMAND, b"\x05PING"),
        "malformed-command",
    );
    after_ready("a short ping", command("PING", b"\0"), "malformed-command");
    after_ready("a long context", ping(0, &[7; 17]), "ping-context-too-long");
    let long_pong = command_body("PONG", &[7; 17]);
    after_ready(
        "a long answer",
        frame(COMMAND, &long_pong),
        "ping-context-too-long",
    );
    after_ready(
        "top bit of a length",
        announce(0, u64::MAX),
        "length-out-of-range",
    );
    after_ready("a large frame", announce(0, 1001), "frame-too-large");
    after_ready(
        "a huge frame",
        announce(0, u64::MAX >> 1),
        "frame-too-large",
    );
    after_ready(
        "a large command",
        announce(COMMAND, 1 << 30),
        "command-too-large",
    );
    let frames = [frame(MORE, b"").repeat(4), frame(0, b"")].concat();
    after_ready("five frames", frames, "too-many-frames");
    let bytes = [frame(MORE, &[1; 1000]).repeat(2), announce(0, 501)].concat();
    after_ready("a large message", bytes, "message-too-large");
    breaches
}

const LIMITS: [&str; 3] = [
    "frame_bytes_max=1000",
    "frames_max=4",
    "message_bytes_max=2500",
];

pub(crate) fn each_breach_closes_its_peer_and_is_counted_under_its_name() {
    let mut scene = Scene::set(&LIMITS);
    let address = scene.address();
    let mut expected = BTreeMap::<&str, u64>::new();
    let breaches = [in_the_greeting(), in_the_handshake(), in_the_traffic()];
    for Breach { what, bytes, name } in breaches.into_iter().flatten() {
        // At once, and byte by byte.
        for whole in [true, false] {
            let mut peer = Raw::connect(&address);
            if whole {
                peer.send(&bytes);
            } else {
                peer.dribble(&bytes);
            }
            peer.until_closed(ms(500));
            *expected.entry(name).or_default() += 1;
            let figures = scene
                .router
                .until(ms(500), |figures| figures.closes(name) >= expected[name]);
            assert_eq!(figures.all_closes(), expected, "{what}");
        }
    }
    assert_eq!(
        scene.router.figures().get("connections"),
        1,
        "nothing of a bad peer is left"
    );
    let (good, figures) = scene.end();
    assert_eq!(
        figures.get("arrived"),
        good.rounds,
        "nothing of a bad peer was delivered"
    );
}

pub(crate) fn a_dialogue_cut_at_any_byte_closes_one_peer_and_delivers_no_part() {
    let mut scene = Scene::set(&LIMITS);
    let address = scene.address();
    let mut dialogue = opening("DEALER", b"cut");
    let handshake = dialogue.len();
    dialogue.extend(ping(0, b"context"));
    dialogue.extend(frame(MORE, b"drop"));
    dialogue.extend(frame(LONG, b"")[..1].iter().chain(&8u64.to_be_bytes()));
    dialogue.extend(b"12345678");
    let lengths = 0..=dialogue.len();
    let count = lengths.clone().count() as u64;
    for length in lengths.clone() {
        let mut peer = Raw::connect(&address);
        peer.send(&dialogue[..length]);
        peer.finish();
        peer.until_closed(ms(500));
    }
    let figures = scene.router.until_closed(count, "peer-closed", ms(500));
    assert_eq!(
        figures.all_closes(),
        BTreeMap::from([("peer-closed", count)])
    );

    // The same, by a reset: what the system says of it depends on the moment.
    for length in lengths {
        let mut peer = Raw::connect(&address);
        peer.send(&dialogue[..length]);
        if length >= handshake {
            // Past the router's READY, so that the reset finds the peer in.
            peer.skip_greeting();
            peer.frame().expect("the router says READY");
        }
        peer.reset();
    }
    let figures = scene.router.until(ms(500), |figures| {
        figures.all_closes().values().sum::<u64>() >= 2 * count
    });
    let names: Vec<_> = figures.all_closes().into_keys().collect();
    assert!(
        names
            .iter()
            .all(|name| ["peer-closed", "io-error"].contains(name)),
        "{figures}"
    );

    assert_eq!(
        figures.get("connections"),
        1,
        "nothing of a bad peer is left"
    );

    let (good, figures) = scene.end();
    // A reset may overtake the message that went before it.
    let whole = figures.get("arrived") - good.rounds;
    assert!(
        (1..=2).contains(&whole),
        "{whole} messages of one that came whole twice"
    );
}
