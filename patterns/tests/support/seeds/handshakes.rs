//! Greetings and handshakes: real ones, and one for each way to be refused.

use super::{COUNTERPART, LIBZMQ_READY, Seed, libzmq_greeting, long, raw, ready};
use crate::checks::Target;

pub(super) fn greetings(seeds: &mut Vec<Seed>) {
    const ROUTER: u8 = 16 + 6;
    let mut add = |name, local: u8, rules: u8, pieces: &[u8], bytes: &[u8], refused| {
        let mut input = vec![local, rules];
        input.extend_from_slice(pieces);
        input.extend(raw(bytes));
        seeds.push(Seed {
            target: Target::Greeting,
            name,
            bytes: input,
            refused,
            taken: usize::from(refused.is_none()),
        });
    };
    // libzmq sends the greeting in two pieces: ten bytes, and the rest once it has seen as many.
    let in_two = [2, 0, 10, 1, 0];
    for ((name, bytes), local) in LIBZMQ_READY.into_iter().zip(COUNTERPART) {
        let identity_len = if name == "dealer" { 8 } else { 0 };
        let mut opening = libzmq_greeting(identity_len);
        opening.extend_from_slice(bytes);
        add(name, 16 + local, 0, &in_two, &opening, None);
    }

    // What comes first, or behind a good greeting.
    let greeting = libzmq_greeting(0);
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = greeting.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    let behind = |bytes: &[u8]| [&greeting[..], bytes].concat();
    let dealer: (&str, &[u8]) = ("Socket-Type", b"DEALER");
    let mut opening = |name, bytes: &[u8], refused: &'static str| {
        add(name, ROUTER, 0, &[1, 0, 7], bytes, Some(refused));
    };
    opening("http", b"GET / HTTP/1.1\r\n\r\n", "bad-signature");
    opening("tls", b"\x16\x03\x01\x02\0\x01\0", "bad-signature");
    opening("zmtp-1", b"\x01\0", "bad-signature");
    opening(
        "signature-without-its-end",
        &changed(9, b"\0"),
        "bad-signature",
    );
    opening("zmtp-2", &changed(10, b"\x01"), "unsupported-version");
    opening(
        "mechanism-lower-case",
        &changed(12, b"null"),
        "malformed-mechanism",
    );
    opening(
        "mechanism-empty",
        &changed(12, b"\0"),
        "malformed-mechanism",
    );
    opening(
        "mechanism-after-its-end",
        &changed(17, b"X"),
        "malformed-mechanism",
    );
    opening("plain", &changed(12, b"PLAIN"), "mechanism-mismatch");
    opening("curve", &changed(12, b"CURVE"), "mechanism-mismatch");
    opening(
        "mechanism-of-20",
        &changed(12, &[b'M'; 20]),
        "mechanism-mismatch",
    );
    opening("as-server-2", &changed(32, b"\x02"), "bad-as-server");
    opening(
        "message-first",
        &behind(b"\0\x05hello"),
        "message-before-ready",
    );
    opening("reserved-flags", &behind(b"\x0C\0"), "reserved-flags");
    opening("command-with-more", &behind(b"\x05\0"), "command-with-more");
    opening(
        "length-of-2-to-the-63",
        &behind(&long(4, 1 << 63)),
        "length-out-of-range",
    );
    opening(
        "length-of-2-to-the-63-cut",
        &behind(b"\x06\x80"),
        "length-out-of-range",
    );
    opening(
        "the-frame-of-the-big-allocation",
        &behind(&long(4, u64::MAX >> 1)),
        "command-too-large",
    );
    opening(
        "command-over-the-limit",
        &behind(&long(4, 8193)),
        "command-too-large",
    );
    opening("command-empty", &behind(b"\x04\0"), "malformed-command");
    opening(
        "command-without-a-name",
        &behind(b"\x04\x01\0"),
        "malformed-command",
    );
    opening(
        "command-name-cut",
        &behind(b"\x04\x03\x05RE"),
        "malformed-command",
    );
    opening(
        "command-name-with-a-digit",
        &behind(b"\x04\x03\x02R2"),
        "malformed-command",
    );
    opening(
        "error",
        &behind(b"\x04\x10\x05ERROR\x09not \x1b[2J\n"),
        "peer-error",
    );
    opening(
        "error-with-a-long-reason",
        &behind(&[&b"\x06\0\0\0\0\0\0\x01\x06\x05ERROR\xFF"[..], &[7; 255]].concat()),
        "peer-error",
    );
    opening(
        "error-cut",
        &behind(b"\x04\x07\x05ERROR\x01"),
        "malformed-command",
    );
    opening(
        "ping-first",
        &behind(b"\x04\x07\x04PING\0\0"),
        "unexpected-command",
    );
    opening(
        "subscribe-first",
        &behind(b"\x04\x0B\x09SUBSCRIBEA"),
        "unexpected-command",
    );
    opening(
        "curve-hello",
        &behind(b"\x04\x07\x05HELLO\x01\0"),
        "unexpected-command",
    );
    opening(
        "ping-with-a-long-context",
        &behind(&[&b"\x04\x18\x04PING\0\0"[..], &[1; 17]].concat()),
        "ping-context-too-long",
    );
    opening(
        "no-socket-type",
        &behind(&ready(&[("Identity", b"me")])),
        "missing-socket-type",
    );
    opening(
        "unknown-socket-type",
        &behind(&ready(&[("Socket-Type", b"STREAM\n")])),
        "unknown-socket-type",
    );
    opening(
        "publisher-at-a-router",
        &behind(&ready(&[("Socket-Type", b"PUB")])),
        "incompatible-sockets",
    );
    opening(
        "identity-of-256",
        &behind(&ready(&[dealer, ("Identity", &[b'i'; 256])])),
        "identity-too-long",
    );
    opening(
        "identity-reserved",
        &behind(&ready(&[dealer, ("Identity", b"\0\0\0\0\x01")])),
        "identity-reserved",
    );
    opening(
        "property-twice",
        &behind(&ready(&[dealer, ("sOCKET-tYPE", b"REQ")])),
        "malformed-metadata",
    );
    opening(
        "property-name-cut",
        &behind(b"\x04\x08\x05READY\x0BS"),
        "malformed-metadata",
    );
    opening(
        "property-value-cut",
        &behind(b"\x04\x0D\x05READY\x01a\0\0\0\x02v"),
        "malformed-metadata",
    );
    opening(
        "property-value-of-4-gib",
        &behind(b"\x04\x0C\x05READY\x01a\xFF\xFF\xFF\xFF"),
        "malformed-metadata",
    );
    let names: Vec<String> = (0..65).map(|n| format!("p{n}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (&name[..], &b""[..])).collect();
    opening(
        "65-properties",
        &behind(&ready(&many)),
        "too-many-properties",
    );

    // Taken.
    let mut taken = |name, local, rules, bytes: &[u8]| add(name, local, rules, &[0], bytes, None);
    taken(
        "zmtp-3-0",
        ROUTER,
        0,
        &[changed(11, b"\0"), ready(&[dealer])].concat(),
    );
    taken(
        "zmtp-4",
        ROUTER,
        0,
        &[changed(10, b"\x04\x07"), ready(&[dealer])].concat(),
    );
    let all_properties = ready(&[
        dealer,
        ("Identity", &[b'i'; 255]),
        ("Resource", b"r"),
        ("X-z", &[0; 300]),
    ]);
    taken(
        "ready-of-every-property",
        ROUTER,
        1 << 2,
        &behind(&all_properties),
    );
    let traffic = [&all_properties[..], b"\0\x01x\x04\x07\x04PING\0\x1E"].concat();
    taken("traffic-behind-ready", 6, 3, &behind(&traffic));
    let short = ready(&[dealer]);
    taken(
        "long-header-for-a-short-ready",
        ROUTER,
        0,
        &behind(&[&[6, 0, 0, 0, 0, 0, 0, 0][..], &short[1..]].concat()),
    );
}
