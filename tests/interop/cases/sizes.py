"""From 0 bytes to 64 MiB, from 1 to 1,000 frames, each way; and what is over the limits."""

import itertools

from kit.cases import case
from kit.exchange import SHAPES, ask, asking_ways, talk
from kit.waiting import same
from kit.wire import pattern

KIB, MIB = 1 << 10, 1 << 20
# Each on both sides of what some buffer holds.
SIZES = [
    ("0 and 1 bytes", [0, 1]),
    ("254 to 257 bytes", [254, 255, 256, 257]),
    ("8 KiB", [8 * KIB - 9, 8 * KIB - 1, 8 * KIB, 8 * KIB + 1]),
    ("16 KiB", [16 * KIB - 9, 16 * KIB, 16 * KIB + 1]),
    ("64 KiB", [64 * KIB - 9, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1]),
    ("1 MiB", [MIB - 1, MIB, MIB + 1]),
    ("16 MiB", [16 * MIB + 1]),
    ("64 MiB", [64 * MIB]),
]
FRAMES = [1, 2, 3, 255, 256, 1000]
PAIRS = [("dealer", "router"), ("router", "dealer"), ("req", "rep"), ("rep", "req")]


def sockets(bench, kinds, transport, **options):
    """A pair of them, connected; libzmq binds where ours is the one that asks."""
    ours, theirs = bench.ours(kinds[0], **options), bench.theirs(kinds[1])
    bound, connecting = (theirs, ours) if kinds[0] in ("dealer", "req") else (ours, theirs)
    connecting.connect(bound.bind(bench.any(transport)))
    return ours, theirs


def sizes(bench, kinds, transport, each):
    """A frame of each size, alone and among others."""
    # Room for the envelope of a REQ beside a body of the largest size.
    ours, theirs = sockets(bench, kinds, transport, message_bytes_max=65 * MIB)
    asker, answerer, _ = next(w for w in asking_ways(ours, theirs) if not w[2])
    for size in each:
        ask(asker, answerer, [pattern(size, size)])
        if size < 16 * MIB:
            ask(asker, answerer, [b"before", pattern(size, size + 1), b"", b"after"])


for _kinds, _transport, (_name, _sizes) in itertools.product(PAIRS, ("tcp", "ipc"), SIZES):
    case(f"libzmq {_transport} {_kinds[0]}-{_kinds[1]} of {_name}")(
        lambda bench, k=_kinds, t=_transport, s=_sizes: sizes(bench, k, t, s)
    )


def frames(bench, kinds, transport):
    """Messages of many frames: short, empty, mixed, and some of them long."""
    ours, theirs = sockets(bench, kinds, transport)
    asker, answerer, _ = next(w for w in asking_ways(ours, theirs) if not w[2])
    for count in FRAMES:
        ask(asker, answerer, [b"%d" % number for number in range(count)])
        ask(asker, answerer, [b""] * count)
        ask(asker, answerer, [pattern(number * 7 % 900, number) for number in range(count)])
    ask(asker, answerer, [pattern(40 * KIB, n) if n % 100 == 50 else b"" for n in range(1000)])


for _kinds, _transport in itertools.product(PAIRS, ("tcp", "ipc")):
    case(f"libzmq {_transport} {_kinds[0]}-{_kinds[1]} of 1 to 1000 frames")(
        lambda bench, k=_kinds, t=_transport: frames(bench, k, t)
    )

OVER = [
    ("frame-too-large", {"frame_bytes_max": 1000}, [pattern(1001)], [pattern(1000)]),
    ("message-too-large", {"message_bytes_max": 1000}, [b"x", pattern(1000)], [pattern(1000)]),
    ("too-many-frames", {"frames_max": 10}, [b""] * 11, [b""] * 10),
    ("frame-too-large", {}, [pattern(64 * MIB + 1)], [b"x"]),
    ("too-many-frames", {}, [b""] * 1025, [b""] * 1024),
]


def over(bench, reason, options, too_much, just_fits):
    """What is over a limit closes that peer, for that reason; another one does not notice."""
    ours = bench.ours("router", **options)
    endpoint = ours.bind(bench.any("tcp"))
    good, bad = bench.theirs("dealer"), bench.theirs("dealer", reconnect_ivl=-1)
    good.connect(endpoint)
    talk(ours, good, [just_fits])
    bad.connect(endpoint)
    talk(ours, bad, [just_fits])
    bad.send(too_much)
    words = ours.event("Disconnected")
    same(words[2], reason, "why it was closed")
    talk(ours, good, [just_fits])
    talk(ours, good, [s for s in SHAPES if len(s) < 10])


for _reason, _options, _too_much, _fits in OVER:
    _limit = ",".join(f"{k}={v}" for k, v in _options.items()) or "the default limits"
    case(f"libzmq over {_limit}: closed as {_reason}")(
        lambda bench, r=_reason, o=_options, t=_too_much, f=_fits: over(bench, r, o, t, f)
    )
