//! Inputs made by hand, one per rule: what they are called, and how they must end.
//!
//! They are written to `fuzz/seeds` for the fuzzer to start from (`UPDATE_SEEDS=1`), and checked as they stand here.

use brokerless_patterns::zmtp::{command, metadata};

use crate::checks::Target;

/// An input made by hand.
pub(crate) struct Seed {
    pub(crate) target: Target,
    /// Its file name.
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// The violation, or a part of the error's message; none where all is well.
    pub(crate) refused: Option<&'static str>,
    /// What comes through: messages and commands, handshakes, properties, endpoints.
    pub(crate) taken: usize,
}

/// Every seed.
pub(crate) fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    greetings(&mut seeds);
    frames(&mut seeds);
    commands(&mut seeds);
    endpoints(&mut seeds);
    sessions(&mut seeds);
    seeds
}

/// The greeting of libzmq 4.3.5, of a socket with an identity of `identity_len` bytes.
fn libzmq_greeting(identity_len: u8) -> Vec<u8> {
    let mut bytes = b"\xFF\0\0\0\0\0\0\0\0\x7F\x03\x01NULL".to_vec();
    bytes[8] = identity_len + 1;
    bytes.resize(64, 0);
    bytes
}

/// As captured from libzmq 4.3.5, for each socket type.
const LIBZMQ_READY: [(&str, &[u8]); 11] = [
    ("pair", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PAIR"),
    ("pub", b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03PUB"),
    ("sub", b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03SUB"),
    (
        "req",
        b"\x04\x26\x05READY\x0BSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0",
    ),
    ("rep", b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03REP"),
    (
        "dealer",
        b"\x04\x31\x05READY\x0BSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x08worker-7",
    ),
    (
        "router",
        b"\x04\x29\x05READY\x0BSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0",
    ),
    ("pull", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PULL"),
    ("push", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04PUSH"),
    ("xpub", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04XPUB"),
    ("xsub", b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04XSUB"),
];

/// The place in `SocketType::ALL` of a type that talks to the one at the same place above.
const COUNTERPART: [u8; 11] = [0, 2, 1, 6, 5, 6, 5, 8, 7, 2, 1];

/// Bytes as they are.
fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut run = vec![0];
    run.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    run.extend_from_slice(bytes);
    run
}

/// `8 * count` bytes of 0x5D.
fn fill(count: u16) -> Vec<u8> {
    let [high, low] = count.to_be_bytes();
    vec![0x55, high, low]
}

fn long(flags: u8, len: u64) -> Vec<u8> {
    let mut header = vec![flags | 2];
    header.extend_from_slice(&len.to_be_bytes());
    header
}

fn ready(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (name, value) in properties {
        assert!(metadata::put(&mut data, name, value));
    }
    let mut frame = Vec::new();
    command::ready(&mut frame, &data);
    frame
}

fn greetings(seeds: &mut Vec<Seed>) {
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

fn frames(seeds: &mut Vec<Seed>) {
    const STRICT: u8 = 0x80;
    const LARGE: u8 = 3;
    const UNLIMITED: u8 = 7;
    let mut add = |name, settings: u8, pieces: &[u8], runs: &[Vec<u8>], refused, taken| {
        seeds.push(Seed {
            target: Target::Frames,
            name,
            bytes: [&[settings], pieces, &runs.concat()].concat(),
            refused,
            taken,
        });
    };
    let hello = [
        &b"\x01\x05hello\x01\0\x02\0\0\0\0\0\0\x01\x2C"[..],
        &[b'x'; 300],
    ]
    .concat();
    let dealer = [&hello[..], b"\x04\x07\x04PING\0\x1E"].concat();
    add(
        "libzmq-dealer-with-heartbeats",
        STRICT,
        &[0],
        &[raw(&dealer)],
        None,
        2,
    );
    add(
        "libzmq-req",
        STRICT,
        &[1, 0, 1],
        &[raw(b"\x01\0\0\x03ask")],
        None,
        1,
    );
    add("libzmq-xsub", STRICT, &[0], &[raw(b"\0\x02\x01B")], None, 1);
    let sub = b"\x04\x0B\x09SUBSCRIBEA\x04\x08\x06CANCELA";
    add("libzmq-sub", 0, &[1, 0, 2], &[raw(sub)], None, 2);
    add(
        "subscribe-at-a-router",
        STRICT,
        &[0],
        &[raw(sub)],
        Some("unexpected-command"),
        0,
    );
    add(
        "pong",
        STRICT,
        &[0],
        &[raw(b"\x04\x08\x04PONGctx")],
        None,
        1,
    );
    add(
        "command-between-frames",
        STRICT,
        &[1, 0, 3],
        &[raw(b"\x01\x01a\x04\x07\x04PING\0\0\0\x01b")],
        None,
        2,
    );
    add(
        "empty-frames",
        0,
        &[0],
        &[raw(&[1, 0, 1, 0, 0, 0, 0, 0])],
        None,
        2,
    );
    add(
        "long-header-for-a-short-frame",
        0,
        &[1, 0, 4],
        &[raw(&[&long(0, 1)[..], b"x"].concat())],
        None,
        1,
    );
    for (name, size, pieces) in [
        ("frame-at-the-carry", 16_375u64, &[1u8, 1, 0][..]),
        ("frame-over-the-carry", 16_376, &[1, 1, 0]),
        ("frame-of-64-kib", 65_536, &[2, 0, 9, 0x7F, 0xFF]),
        ("frame-over-the-read-buffer", 70_000, &[1, 0x10, 0]),
        ("frame-over-a-mib", 1_100_000, &[1, 0xFF, 0xFF]),
    ] {
        let rest = (size % 8) as usize;
        let limits = if size > 100_000 { LARGE } else { UNLIMITED };
        let mut runs = vec![raw(&[&long(1, size)[..], &vec![9; rest]].concat())];
        runs.extend(
            (0..size / 8)
                .step_by(60_000)
                .map(|from| fill((size / 8 - from).min(60_000) as u16)),
        );
        runs.push(raw(b"\0\x01z\0\x02yy"));
        add(name, limits, pieces, &runs, None, 2);
    }
    let slices = [long(0, 4096), vec![9; 4096]].concat();
    add(
        "slices-of-the-read-buffer",
        UNLIMITED,
        &[1, 0x80, 0],
        &[raw(b"\0\0"), raw(&slices.repeat(15))],
        None,
        16,
    );
    add(
        "announced-at-the-limit-and-not-sent",
        2,
        &[0],
        &[raw(&[&long(0, 64 << 20)[..], b"abc"].concat())],
        None,
        0,
    );
    add(
        "announced-and-not-sent",
        UNLIMITED,
        &[0],
        &[raw(&long(0, (1 << 62) - 1)), raw(b"abc")],
        None,
        0,
    );

    // Against the rules, mostly behind a good message.
    let mut refused = |name, settings, bytes: &[u8], refused, taken| {
        add(
            name,
            settings,
            &[1, 0, 5],
            &[raw(bytes)],
            Some(refused),
            taken,
        );
    };
    refused("reserved-flags", 2, b"\0\x01x\x08", "reserved-flags", 1);
    refused(
        "command-with-more",
        2,
        b"\0\x01x\x05\x01\x04",
        "command-with-more",
        1,
    );
    refused(
        "length-of-2-to-the-63",
        2,
        &long(0, 1 << 63),
        "length-out-of-range",
        0,
    );
    refused(
        "length-of-all-ones",
        UNLIMITED,
        &long(1, u64::MAX),
        "length-out-of-range",
        0,
    );
    refused(
        "frame-over-the-limit",
        2,
        &long(0, (64 << 20) + 1),
        "frame-too-large",
        0,
    );
    refused(
        "frame-of-eight-exbibytes",
        2,
        &long(1, u64::MAX >> 1),
        "frame-too-large",
        0,
    );
    refused(
        "frames-over-the-limit",
        1,
        &[1, 0, 1, 0, 1, 0, 1, 0],
        "too-many-frames",
        0,
    );
    refused(
        "message-over-the-limit",
        1,
        &[&[1, 90][..], &[7; 90], &[1, 90], &[7; 90], &[0, 90]].concat(),
        "message-too-large",
        0,
    );
    refused(
        "command-over-the-limit",
        2,
        &long(4, 8193),
        "command-too-large",
        0,
    );
    refused(
        "command-over-the-carry",
        UNLIMITED,
        &long(4, 16_376),
        "command-too-large",
        0,
    );
    refused("command-empty", STRICT, &[4, 0], "malformed-command", 0);
    refused(
        "command-name-cut",
        STRICT,
        b"\x04\x02\x05P",
        "malformed-command",
        0,
    );
    refused(
        "ping-cut",
        STRICT,
        b"\x04\x06\x04PING\0",
        "malformed-command",
        0,
    );
    refused(
        "ping-with-a-long-context",
        STRICT,
        &[&b"\x04\x18\x04PING\0\0"[..], &[1; 17]].concat(),
        "ping-context-too-long",
        0,
    );
    refused(
        "ready-again",
        STRICT,
        LIBZMQ_READY[5].1,
        "unexpected-command",
        0,
    );
    refused(
        "error-in-traffic",
        STRICT,
        b"\x04\x07\x05ERROR\0",
        "unexpected-command",
        0,
    );
}

fn commands(seeds: &mut Vec<Seed>) {
    let mut add = |name, cap: u8, body: &[u8], refused, taken| {
        seeds.push(Seed {
            target: Target::Command,
            name,
            bytes: [&[cap], body].concat(),
            refused,
            taken,
        });
    };
    // A command is no metadata, and the other way round: one of the two is refused.
    let no_metadata = Some("malformed-metadata");
    for (name, frame) in LIBZMQ_READY {
        let properties = frame.windows(8).filter(|w| w == b"Identity").count() + 1;
        add(name, 64, &frame[2..], no_metadata, 1 + properties);
    }
    add("ping", 64, b"\x04PING\0\x1E", no_metadata, 1);
    add(
        "ping-with-a-context",
        64,
        b"\x04PING\xFF\xFF0123456789abcdef",
        no_metadata,
        1,
    );
    add(
        "ping-with-a-long-context",
        64,
        b"\x04PING\xFF\xFF0123456789abcdef!",
        Some("ping-context-too-long"),
        0,
    );
    add("ping-cut", 64, b"\x04PING\0", Some("malformed-command"), 0);
    add("pong", 64, b"\x04PONG", no_metadata, 1);
    add(
        "pong-with-a-long-context",
        64,
        b"\x04PONG0123456789abcdef!",
        Some("ping-context-too-long"),
        0,
    );
    add("subscribe", 64, b"\x09SUBSCRIBEA", no_metadata, 1);
    add("cancel", 64, b"\x06CANCELA", no_metadata, 1);
    add("error", 64, b"\x05ERROR\x0Fidentity-in-use", no_metadata, 1);
    add(
        "error-with-more-behind",
        64,
        b"\x05ERROR\x02no more",
        no_metadata,
        1,
    );
    add(
        "error-not-visible",
        64,
        b"\x05ERROR\x04\x1b[2J",
        no_metadata,
        1,
    );
    add(
        "error-cut",
        64,
        b"\x05ERROR\x02n",
        Some("malformed-command"),
        0,
    );
    add("unknown", 64, b"\x05HELLO\x01\0", no_metadata, 1);
    add("name-cut", 64, b"\x05READ", Some("malformed-command"), 0);
    add(
        "name-with-a-digit",
        64,
        b"\x02R2",
        Some("malformed-command"),
        0,
    );
    add("name-empty", 64, b"\0", Some("malformed-command"), 0);
    add("nothing", 64, b"", Some("malformed-command"), 0);
    let mut properties = Vec::new();
    for (name, value) in [
        ("Socket-Type", &b"REP"[..]),
        ("Resource", b"r"),
        ("X-1.a_b+c", b""),
    ] {
        assert!(metadata::put(&mut properties, name, value));
    }
    add("properties", 64, &properties, Some("malformed-command"), 3);
    add(
        "properties-over-the-cap",
        2,
        &properties,
        Some("too-many-properties"),
        0,
    );
    add(
        "property-twice",
        64,
        b"\x02a1\0\0\0\0\x02A1\0\0\0\0",
        Some("malformed-metadata"),
        0,
    );
    add(
        "property-value-of-4-gib",
        64,
        b"\x02a1\xFF\xFF\xFF\xFFv",
        Some("malformed-metadata"),
        0,
    );
    add(
        "property-value-over-the-end",
        64,
        b"\x02a1\x7F\xFF\xFF\xFFv",
        Some("malformed-metadata"),
        0,
    );
    add(
        "property-name-empty",
        64,
        b"\0\0\0\0\0",
        Some("malformed-metadata"),
        0,
    );
    add(
        "property-name-illegal",
        64,
        b"\x03a b\0\0\0\0",
        Some("malformed-metadata"),
        0,
    );
}

fn endpoints(seeds: &mut Vec<Seed>) {
    let mut add = |name, text: &str, refused, taken| {
        seeds.push(Seed {
            target: Target::Endpoint,
            name,
            bytes: text.into(),
            refused,
            taken,
        });
    };
    // Parsed, and fit for both sides or refused to one.
    add("tcp-v4", "tcp://127.0.0.1:5555", None, 1);
    add("tcp-v6", "tcp://[::1]:5555", None, 1);
    add("tcp-v6-mapped", "tcp://[::ffff:1.2.3.4]:1", None, 1);
    add("tcp-v6-scope", "tcp://[fe80::1%eth0]:5555", None, 1);
    add("tcp-name", "tcp://host-1.example.org:65535", None, 1);
    add("tcp-any", "tcp://*:5555", Some("binding only"), 1);
    add("tcp-any-any", "tcp://*:*", Some("binding only"), 1);
    add(
        "tcp-free-port",
        "tcp://127.0.0.1:0",
        Some("binding only"),
        1,
    );
    add("tcp-interface", "tcp://eth0:*", Some("binding only"), 1);
    add(
        "tcp-source",
        "tcp://192.168.1.17:0;10.0.0.1:5555",
        Some("connecting only"),
        1,
    );
    add(
        "tcp-source-without-port",
        "tcp://eth0;[::1]:5555",
        Some("connecting only"),
        1,
    );
    add("ipc-path", "ipc:///tmp/name.sock", None, 1);
    add("ipc-relative", "ipc://name", None, 1);
    add("ipc-temporary", "ipc://*", Some("binding only"), 1);
    if cfg!(target_os = "linux") {
        add("ipc-abstract", "ipc://@name", None, 1);
    }
    add("inproc", "inproc://a name: any\\bytes", None, 1);
    // Not.
    add("nothing", "", Some("transport is missing"), 0);
    add(
        "no-transport",
        "127.0.0.1:5555",
        Some("transport is missing"),
        0,
    );
    add(
        "unknown-transport",
        "udp://127.0.0.1:5555",
        Some("is unknown"),
        0,
    );
    add("upper-case", "TCP://127.0.0.1:5555", Some("is unknown"), 0);
    add("no-host", "tcp://:5555", Some("host is missing"), 0);
    add("no-port", "tcp://localhost", Some("port is missing"), 0);
    add("port-empty", "tcp://localhost:", Some("port is missing"), 0);
    add(
        "port-too-large",
        "tcp://localhost:65536",
        Some("port `65536`"),
        0,
    );
    add(
        "port-with-a-sign",
        "tcp://localhost:+1",
        Some("port `+1`"),
        0,
    );
    add(
        "v4-of-three",
        "tcp://127.0.1:1",
        Some("not an ipv4 address"),
        0,
    );
    add(
        "v6-without-brackets",
        "tcp://::1:5555",
        Some("more than one `:`"),
        0,
    );
    add("v6-open", "tcp://[::1:5555", Some("not an ipv6 address"), 0);
    add("v6-bad", "tcp://[::g]:5555", Some("not an ipv6 address"), 0);
    add("v6-scope-empty", "tcp://[fe80::1%]:5555", Some("scope"), 0);
    add(
        "v6-scope-too-long",
        "tcp://[fe80::1%abcdefghijklmnop]:5555",
        Some("scope"),
        0,
    );
    add(
        "host-with-a-space",
        "tcp://a b:1",
        Some("has the character"),
        0,
    );
    add(
        "host-not-ascii",
        "tcp://h\u{f6}st:1",
        Some("has the character"),
        0,
    );
    add(
        "two-sources",
        "tcp://a:1;b:2;c:3",
        Some("more than one `;`"),
        0,
    );
    add("ipc-empty", "ipc://", Some("is missing"), 0);
    add("ipc-abstract-empty", "ipc://@", Some("is missing"), 0);
    add("ipc-zero-byte", "ipc:///tmp/a\0b", Some("zero byte"), 0);
    add("inproc-empty", "inproc://", Some("is missing"), 0);
    let text: &'static str = Box::leak(format!("ipc:///{}", "p".repeat(120)).into());
    add("ipc-too-long", text, Some("over the limit"), 0);
    let text: &'static str = Box::leak(format!("inproc://{}", "n".repeat(257)).into());
    add("inproc-too-long", text, Some("over the limit"), 0);
    let text: &'static str = Box::leak(format!("tcp://{}:1", "h".repeat(254)).into());
    add("host-too-long", text, Some("over the limit"), 0);
}

fn sessions(seeds: &mut Vec<Seed>) {
    // The first code of an operation: what, side, detail.
    let op = |what: u8, side: u8, detail: u8| what | side << 3 | detail << 4;
    let (settle, reconnect, hold, admit, refuse) = (
        op(6, 0, 15),
        op(6, 0, 0),
        op(6, 0, 2),
        op(6, 0, 4),
        op(6, 0, 6),
    );
    let release = |side| op(6, side, 8);
    let send = |side, sizes: &[u8]| [&[op(0, side, sizes.len() as u8 - 1)], sizes].concat();
    let many = |side, count, size| vec![op(0, side, 15), count, size];
    let ping =
        |side, context: &[u8]| [&[op(1, side, context.len() as u8), 0, 30], context].concat();
    let (write, read) = (
        |side, amount| vec![op(2, side, amount)],
        |side, amount| vec![op(3, side, amount)],
    );
    let inject = |side, bytes: &[u8]| [&[op(5, side, 15), bytes.len() as u8], bytes].concat();

    let mut add = |name, pair: u8, limits: u8, operations: &[Vec<u8>], refused, taken| {
        seeds.push(Seed {
            target: Target::Session,
            name,
            bytes: [&[pair, limits], &operations.concat()[..]].concat(),
            refused,
            taken,
        });
    };
    const LARGE: u8 = 216 + 22; // 4,096 bytes
    add(
        "ask-and-answer",
        0,
        2,
        &[
            vec![settle],
            send(0, &[5, 0, 248]),
            vec![settle],
            send(1, &[5]),
            vec![settle],
        ],
        None,
        2,
    );
    add(
        "sent-before-the-handshake",
        0,
        2,
        &[send(0, &[1]), send(1, &[2, 3]), ping(0, b"lost")],
        None,
        2,
    );
    add(
        "heartbeats",
        0,
        2,
        &[
            vec![settle],
            ping(0, b"ctx"),
            ping(1, b""),
            send(0, &[9]),
            ping(0, b"0123456789abcd"),
        ],
        None,
        1,
    );
    add(
        "byte-by-byte",
        0,
        2,
        &[
            vec![settle],
            send(0, &[3, 200]),
            [write(0, 0), read(1, 0)].concat().repeat(40),
        ],
        None,
        1,
    );
    add(
        "many-slices",
        0,
        4,
        &[vec![settle], many(0, 40, LARGE), vec![settle]],
        None,
        1,
    );
    add(
        "gathered-and-inserted",
        0,
        4,
        &[
            vec![settle],
            send(0, &[7, LARGE, 1, 255, 0, 248]),
            write(0, 11),
            write(0, 7),
            read(1, 12),
        ],
        None,
        1,
    );
    add(
        "cut-in-a-message",
        0,
        4,
        &[
            vec![settle],
            send(0, &[100]),
            send(0, &[7, LARGE, 7, LARGE]),
            send(0, &[4]),
            write(0, 9),
            vec![reconnect, settle],
        ],
        None,
        2,
    );
    add(
        "cut-behind-a-large-frame",
        0,
        4,
        &[
            vec![settle],
            many(0, 20, 216),
            send(0, &[7, LARGE, 7, LARGE]),
            send(0, &[4]),
            write(0, 11),
            write(0, 11),
            write(0, 9),
            write(0, 7),
            vec![reconnect],
        ],
        None,
        1,
    );
    add(
        "released-between",
        2,
        3,
        &[
            vec![settle],
            send(1, &[7]),
            vec![settle, release(0), release(1)],
            send(1, &[8]),
        ],
        None,
        2,
    );
    add(
        "held-and-admitted",
        2,
        2,
        &[vec![hold], send(0, &[1]), vec![settle, admit, settle]],
        None,
        1,
    );
    add(
        "held-to-the-end",
        2,
        2,
        &[vec![hold], send(0, &[1]), vec![settle]],
        None,
        1,
    );
    add(
        "admitted-early",
        0,
        2,
        &[vec![admit], send(0, &[1]), send(1, &[1])],
        None,
        2,
    );
    add(
        "refused",
        0,
        2,
        &[vec![hold, settle, refuse]],
        Some("peer-error"),
        0,
    );
    add(
        "refused-and-back",
        0,
        2,
        &[
            send(0, &[1]),
            vec![hold, settle, refuse, settle, reconnect, admit],
        ],
        Some("peer-error"),
        1,
    );
    add(
        "illegal-pair",
        128 + 30,
        2,
        &[vec![settle]],
        Some("incompatible-sockets"),
        0,
    );
    add(
        "garbage-behind-the-greeting",
        0,
        2,
        &[inject(0, b"GET / HTTP/1.1\r\n"), vec![settle]],
        Some("reserved-flags"),
        0,
    );
    add(
        "garbage-in-traffic",
        0,
        2,
        &[
            vec![settle],
            send(0, &[3]),
            vec![op(4, 0, 0)],
            inject(0, b"\xFF\xFF"),
            vec![settle],
        ],
        Some("reserved-flags"),
        1,
    );
    add(
        "messages-put-in-between",
        0,
        2,
        &[
            vec![settle],
            inject(0, b"\x01\x01a\0\x01b\x04\x07\x04PING\0\0"),
            send(0, &[1]),
        ],
        None,
        2,
    );
    add(
        "ready-put-in-again",
        0,
        2,
        &[vec![settle], inject(1, LIBZMQ_READY[6].1)],
        Some("unexpected-command"),
        0,
    );
    add(
        "large-frame-announced",
        0,
        4,
        &[
            vec![settle],
            inject(0, &long(0, 1 << 40)),
            send(0, &[255, 255]),
            vec![settle, reconnect],
        ],
        None,
        0,
    );
    add(
        "corrupted",
        0,
        1,
        &[
            vec![settle],
            send(0, &[30]),
            write(0, 15),
            vec![op(7, 0, 15), 0x80],
            vec![settle],
        ],
        None,
        1,
    );
    add(
        "frame-over-the-limit",
        0,
        1,
        &[vec![settle], send(0, &[3]), send(0, &[101])],
        Some("frame-too-large"),
        1,
    );
    add(
        "frames-over-the-limit",
        0,
        1,
        &[vec![settle], send(0, &[0, 0, 0, 0])],
        Some("too-many-frames"),
        0,
    );
    add(
        "message-over-the-limit",
        0,
        1,
        &[vec![settle], send(1, &[99, 99, 99])],
        Some("message-too-large"),
        0,
    );
}
