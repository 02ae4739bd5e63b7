"""The `zeromq` crate 0.7: every pair that it can do, and what it cannot, held to its word.

It speaks ZMTP 3.0. So it knows no PING: one would be a malformed command to it, and it would
close. Ours sends none to a peer of that version, whatever its options.
"""

import itertools

from kit.cases import case
from kit.exchange import SHAPES, ask, asking_ways, pipeline, talk
from kit.programs import Refused
from kit.waiting import WATCH_S, Failed, check, same
from kit.wire import pattern

from .pairs import INTERVAL_MS, PAIRS, our_heartbeats

MIB = 1 << 20
CRATE = "zeromq-0.7"


def pair(bench, kinds, transport, heartbeats, binds):
    """Talks; with our heartbeats on, no PING goes out and the crate is not taken for dead."""
    options = our_heartbeats(heartbeats)
    if heartbeats:
        # Shorter than the time that is watched: silence must not be held against it.
        options["heartbeat_timeout"] = 3 * INTERVAL_MS
    ours = bench.ours(kinds[0], identity=b"our-own", **options)
    theirs = bench.crate(kinds[1], identity=b"foreign")
    bound, connecting = (ours, theirs) if binds == "ours" else (theirs, ours)
    tap = bench.tap(transport, bound.bind(bench.any(transport).replace("*", "0")))
    connecting.connect(tap.endpoint)
    identities = {ours: b"our-own", theirs: b"foreign"}
    talk(ours, theirs, identities=identities)
    if heartbeats:
        way = "down" if binds == "ours" else "up"
        check(not tap.wait(way, "PING", 1, WATCH_S), "a PING to a peer that speaks 3.0")
        talk(ours, theirs, identities=identities)
        ours.no_event("Disconnected")


for _kinds, _transport, _binds, _heartbeats in itertools.product(
    PAIRS, ("tcp", "ipc"), ("ours", "theirs"), (False, True)
):
    case(
        f"{CRATE} {_transport} {_kinds[0]}-{_kinds[1]} binds={_binds} "
        f"heartbeats={'ours' if _heartbeats else 'off'}"
    )(lambda bench, k=_kinds, t=_transport, h=_heartbeats, b=_binds: pair(bench, k, t, h, b))


def sizes(bench, kinds):
    """From 0 bytes to 64 MiB, from 1 to 1,000 frames."""
    ours, theirs = bench.ours(kinds[0], message_bytes_max=65 * MIB), bench.crate(kinds[1])
    bound, connecting = (theirs, ours) if kinds[0] in ("dealer", "req") else (ours, theirs)
    connecting.connect(bound.bind("tcp://127.0.0.1:0"))
    asker, answerer, _ = next(w for w in asking_ways(ours, theirs) if not w[2])
    for size in (0, 1, 255, 256, 65_535, 65_537, MIB + 1, 64 * MIB):
        ask(asker, answerer, [pattern(size, size)])
    for count in (1, 2, 255, 1000):
        ask(asker, answerer, [pattern(number % 300, number) for number in range(count)])


for _kinds in (("dealer", "router"), ("router", "dealer"), ("req", "rep"), ("rep", "req")):
    case(f"{CRATE} tcp {_kinds[0]}-{_kinds[1]} of 0 bytes to 64 MiB, 1 to 1000 frames")(
        lambda bench, k=_kinds: sizes(bench, k)
    )


@case(f"{CRATE} tcp dealer-router 1000 messages under way")
def under_way(bench):
    """Many at once, each way, in their order."""
    ours, theirs = bench.ours("dealer", identity=b"our-own"), bench.crate("router")
    ours.connect(theirs.bind("tcp://127.0.0.1:0"))
    pipeline(ours, theirs, 1000)
    pipeline(theirs, ours, 1000, b"our-own")


@case(f"{CRATE} tcp req-req is refused")
def misfit(bench):
    """Both sides see that the types do not fit."""
    ours, theirs = bench.ours("req"), bench.crate("req")
    endpoint = ours.bind(bench.any("tcp"))
    try:
        theirs.connect(endpoint)
    except Refused:
        pass
    else:
        check(False, "the crate has connected a REQ to a REQ")
    ours.event("HandshakeFailed", "incompatible-sockets")


@case(f"{CRATE} our DEALER comes back to a restarted ROUTER")
def ours_comes_back(bench):
    """The crate's process dies and another one takes its place."""
    ours = bench.ours("dealer", reconnect_interval=20, reconnect_interval_max=50)
    endpoint = bench.place("tcp")
    first = bench.crate_program()
    router = bench.crate("router", first)
    router.bind(endpoint)
    ours.connect(endpoint)
    talk(ours, router)
    first.kill()
    ours.event("Disconnected")
    second = bench.crate("router")
    second.bind(endpoint)
    talk(ours, second)


@case(f"{CRATE} cannot: a PING is malformed to it, it closes")
def cannot_ping(bench):
    """Why ours sends none to a peer of version 3.0."""
    router = bench.crate("router")
    raw = bench.raw(router.bind("tcp://127.0.0.1:0"))
    raw.shake_hands("dealer")
    same(raw.splitter.greeting[10:12], b"\x03\x00", "the version that it announces")
    raw.command(b"PING", b"\0\0")
    # It finds that out when it is asked to receive.
    try:
        router.recv(WATCH_S)
    except Refused:
        pass
    raw.expect_end()


@case(f"{CRATE} cannot: its DEALER does not come back to a restarted ROUTER of ours")
def cannot_come_back(bench):
    """Only its SUB and XSUB do. Should it learn to, this case says so."""
    endpoint = bench.place("tcp")
    theirs = bench.crate("dealer")
    first = bench.program()
    router = bench.ours("router", first)
    router.bind(endpoint)
    theirs.connect(endpoint)
    talk(router, theirs)
    first.kill()
    second = bench.ours("router")
    second.bind(endpoint)
    second.event("Listening")
    try:
        words = second.event("Accepted", seconds=0.5)
    except Failed:
        return
    check(False, f"it has come back: {words}")


@case(f"{CRATE} cannot: its REQ sends no number, ours tells late answers apart all the same")
def no_number(bench):
    """Its requests have a bare delimiter; our REP and ROUTER give back what came."""
    router, req = bench.ours("router"), bench.crate("req")
    req.connect(router.bind(bench.any("tcp")))
    req.send([b"question"])
    who, frames = router.recv()
    same(frames, [b"", b"question"], "the request")
    router.send([b"", b"answer"], who)
    same(req.recv()[1], [b"answer"], "the answer")
    for shape in SHAPES:
        ask(req, router, shape)
