//! Whole sessions: what a connection lives through, and what it dies of.

use super::{LIBZMQ_READY, Seed, long};
use crate::checks::Target;

pub(super) fn sessions(seeds: &mut Vec<Seed>) {
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
        "tail-behind-64-slices",
        0,
        4,
        &[vec![settle], many(0, 32, LARGE), send(0, &[3])],
        None,
        2,
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
