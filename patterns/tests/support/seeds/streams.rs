//! Streams of frames: real ones, the sizes at which a frame takes another way, and one for each way to be refused.

use super::{LIBZMQ_READY, Seed, fill, long, raw};
use crate::checks::Target;

pub(super) fn frames(seeds: &mut Vec<Seed>) {
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
    add(
        "a-mib-of-eight-announced",
        LARGE,
        &[1, 0xFF, 0xFF],
        &[
            raw(&long(0, 8 << 20)),
            fill(60_000),
            fill(60_000),
            fill(12_000),
        ],
        None,
        0,
    );
    let frame_of_1000 = [raw(&long(1, 1000)), fill(125)].concat();
    add(
        "frames-of-1000-in-a-read-each",
        2,
        &[2, 0, 1, 0x03, 0xF1],
        &[frame_of_1000.repeat(60), raw(b"\0\0")],
        None,
        1,
    );
    let slice = [raw(&long(1, 4096)), fill(512)].concat();
    add(
        "slices-in-a-read-each",
        0,
        &[1, 0x10, 0x09],
        &[slice.repeat(12), raw(b"\0\0")],
        None,
        1,
    );
    let within = [&[1, 90][..], &[7; 90], &[0, 90], &[7; 90]].concat();
    add(
        "messages-within-the-limit",
        1,
        &[0],
        &[raw(&within.repeat(3))],
        None,
        3,
    );
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
