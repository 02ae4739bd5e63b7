//! Commands, metadata and endpoints: one for each form, and one for each way to be refused.

use brokerless_patterns::zmtp::metadata;

use super::{LIBZMQ_READY, Seed};
use crate::checks::Target;

pub(super) fn commands(seeds: &mut Vec<Seed>) {
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

pub(super) fn endpoints(seeds: &mut Vec<Seed>) {
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
