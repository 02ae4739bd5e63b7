//! Ways to break the protocol, and the name that the end of each is counted under.

use super::raw::{
    COMMAND, MORE, announce, command, command_body, frame, greeting, greeting_with, opening, ping,
    property, ready,
};

const TYPES: [&str; 11] = [
    "PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB",
];

/// Whom a socket talks to, and what it takes from them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peers {
    /// What a hostile one says that it is.
    pub(crate) kind: &'static str,
    /// All that it might say.
    pub(crate) welcome: &'static [&'static str],
    /// Whether they may subscribe.
    pub(crate) subscribe: bool,
    pub(crate) frame_bytes_max: u64,
    pub(crate) frames_max: usize,
    pub(crate) message_bytes_max: u64,
}

/// What such a peer sends, and the name under which its end is counted.
pub(crate) struct Breach {
    pub(crate) what: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) name: &'static str,
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
fn in_the_handshake(peers: &Peers) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut after_greeting = |what, bytes: Vec<u8>, name| {
        let bytes = [greeting(), bytes].concat();
        breaches.push(Breach { what, bytes, name });
    };
    let kind = || property("Socket-Type", peers.kind.as_bytes());
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
    for other in TYPES {
        if !peers.welcome.contains(&other) {
            after_greeting(other, ready(other, b""), "incompatible-sockets");
        }
    }
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
        ready(peers.kind, &[b'x'; 256]),
        "identity-too-long",
    );
    after_greeting(
        "a reserved identity",
        ready(peers.kind, b"\0x"),
        "identity-reserved",
    );
    breaches
}

/// Breaches once the peer is in.
fn in_the_traffic(peers: &Peers) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut after_ready = |what, bytes: Vec<u8>, name| {
        let bytes = [opening(peers.kind, b""), bytes].concat();
        breaches.push(Breach { what, bytes, name });
    };
    after_ready("ready twice", ready(peers.kind, b""), "unexpected-command");
    if !peers.subscribe {
        for name in ["SUBSCRIBE", "CANCEL"] {
            after_ready(name, command(name, b"a"), "unexpected-command");
        }
    }
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
    let (frame_max, message_max) = (peers.frame_bytes_max, peers.message_bytes_max);
    after_ready(
        "a large frame",
        announce(0, frame_max + 1),
        "frame-too-large",
    );
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
    let frames = [frame(MORE, b"").repeat(peers.frames_max), frame(0, b"")].concat();
    after_ready("a frame too many", frames, "too-many-frames");
    let full = frame(MORE, &vec![1; frame_max as usize]);
    let full = full.repeat((message_max / frame_max) as usize);
    let bytes = [full, announce(0, message_max % frame_max + 1)].concat();
    after_ready("a large message", bytes, "message-too-large");
    breaches
}

/// Every way that we know.
pub(crate) fn all(peers: &Peers) -> Vec<Breach> {
    let mut all = in_the_greeting();
    all.extend(in_the_handshake(peers));
    all.extend(in_the_traffic(peers));
    all
}
