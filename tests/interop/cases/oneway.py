"""Every pair of the socket types that publish, push or stand alone: who binds, tcp and ipc,
heartbeats on and off, from 0 bytes to 64 MiB, from 1 to 1,000 frames."""

import itertools

from kit.cases import case
from kit.exchange import flow, hear, settle, subscribe
from kit.waiting import check, same
from kit.wire import pattern

from .pairs import HEARTBEATS, our_heartbeats, their_heartbeats
from .sizes import FRAMES, KIB, MIB, SIZES

PAIRS = [
    ("pub", "sub"),
    ("sub", "pub"),
    ("pub", "xsub"),
    ("xsub", "pub"),
    ("xpub", "sub"),
    ("sub", "xpub"),
    ("xpub", "xsub"),
    ("xsub", "xpub"),
    ("push", "pull"),
    ("pull", "push"),
    ("pair", "pair"),
]
# One for each way that messages take.
WAYS = [("xpub", "sub"), ("sub", "xpub"), ("push", "pull"), ("pull", "push"), ("pair", "pair")]
MISFITS = [("pub", "pull"), ("push", "sub"), ("pair", "dealer"), ("sub", "xsub"), ("pull", "pub")]
SENDERS = ("pub", "xpub", "push", "pair")
SUBSCRIBERS = ("sub", "xsub")


def ways(ours, theirs):
    """Who sends to whom."""
    both = [(ours, theirs), (theirs, ours)]
    return [(sender, receiver) for sender, receiver in both if sender.kind in SENDERS]


def open_up(ours, theirs):
    """Subscribes to everything where that is needed."""
    for sender, receiver in ways(ours, theirs):
        if receiver.kind in SUBSCRIBERS:
            subscribe(receiver, b"")
            settle(sender, receiver)


def pair(bench, kinds, transport, heartbeats, binds):
    """Messages of every shape, PINGs and their answers, and messages again."""
    pinging = {
        "ours": heartbeats in ("ours", "both"),
        "theirs": heartbeats in ("theirs", "both"),
    }
    ours = bench.ours(kinds[0], **our_heartbeats(pinging["ours"]))
    theirs = bench.theirs(kinds[1], **their_heartbeats(pinging["theirs"]))
    bound, connecting = (ours, theirs) if binds == "ours" else (theirs, ours)
    tap = bench.tap(transport, bound.bind(bench.any(transport)))
    connecting.connect(tap.endpoint)
    open_up(ours, theirs)
    for sender, receiver in ways(ours, theirs):
        flow(sender, receiver)
    for who, on in pinging.items():
        way, back = ("down", "up") if who == binds else ("up", "down")
        if on:
            check(tap.wait(back, "PONG", 2), f"the PINGs of {who} were not answered")
        else:
            same(tap.counts[way]["PING"], 0, f"PINGs of {who}, whose heartbeats are off")
    for sender, receiver in ways(ours, theirs):
        flow(sender, receiver)
    subscribes = kinds[0] in SUBSCRIBERS or kinds[1] in SUBSCRIBERS
    for way, counts in tap.counts.items():
        same(counts["READY"], 1, f"READYs that went {way}")
        known = {"READY", "PING", "PONG", "messages"} | ({"SUBSCRIBE"} if subscribes else set())
        check(not set(counts) - known, f"what else went {way}: {set(counts) - known}")


for _kinds, _transport, _binds, _heartbeats in itertools.product(
    PAIRS, ("tcp", "ipc"), ("ours", "theirs"), HEARTBEATS
):
    case(
        f"libzmq {_transport} {_kinds[0]}-{_kinds[1]} binds={_binds} heartbeats={_heartbeats}"
    )(
        lambda bench, k=_kinds, t=_transport, h=_heartbeats, b=_binds: pair(bench, k, t, h, b)
    )


def misfit(bench, kinds, binds):
    """Ours reports why nothing comes of it."""
    ours, theirs = bench.ours(kinds[0]), bench.theirs(kinds[1])
    bound, connecting = (ours, theirs) if binds == "ours" else (theirs, ours)
    connecting.connect(bound.bind(bench.any("tcp")))
    ours.event("HandshakeFailed", "incompatible-sockets")


for _kinds, _binds in itertools.product(MISFITS, ("ours", "theirs")):
    case(f"libzmq tcp {_kinds[0]}-{_kinds[1]} binds={_binds} is refused")(
        lambda bench, k=_kinds, b=_binds: misfit(bench, k, b)
    )


def met(bench, kinds, transport, ours_has=(), theirs_has=()):
    """The two of them, connected and open; the one that receives binds."""
    ours, theirs = bench.ours(kinds[0], **dict(ours_has)), bench.theirs(kinds[1], **dict(theirs_has))
    bound, connecting = (theirs, ours) if kinds[0] in SENDERS else (ours, theirs)
    connecting.connect(bound.bind(bench.any(transport)))
    open_up(ours, theirs)
    return ours, theirs


def sizes(bench, kinds, transport, each):
    """A frame of each size, alone and among others."""
    ours, theirs = met(bench, kinds, transport, {"message_bytes_max": 65 * MIB})
    for sender, receiver in ways(ours, theirs):
        for size in each:
            flow(sender, receiver, [[pattern(size, size)]])
            if size < 16 * MIB:
                flow(sender, receiver, [[b"before", pattern(size, size + 1), b"", b"after"]])


for _kinds, _transport, (_name, _sizes) in itertools.product(WAYS, ("tcp", "ipc"), SIZES):
    # The largest ones take their time; the ways of the engine that they go have been gone by then.
    if _name != "64 MiB" or _transport == "tcp":
        case(f"libzmq {_transport} {_kinds[0]}-{_kinds[1]} of {_name}")(
            lambda bench, k=_kinds, t=_transport, s=_sizes: sizes(bench, k, t, s)
        )


def frames(bench, kinds, transport):
    """Messages of many frames: short, empty, mixed, and some of them long."""
    ours, theirs = met(bench, kinds, transport)
    for sender, receiver in ways(ours, theirs):
        for count in FRAMES:
            flow(sender, receiver, [[b"%d" % number for number in range(count)]])
            flow(sender, receiver, [[b""] * count])
            flow(sender, receiver, [[pattern(n * 7 % 900, n) for n in range(count)]])
        flow(sender, receiver, [[pattern(40 * KIB, n) if n % 100 == 50 else b"" for n in range(1000)]])


for _kinds, _transport in itertools.product(WAYS, ("tcp", "ipc")):
    case(f"libzmq {_transport} {_kinds[0]}-{_kinds[1]} of 1 to 1000 frames")(
        lambda bench, k=_kinds, t=_transport: frames(bench, k, t)
    )


def many(bench, kinds, transport, count=5000):
    """Thousands of messages under way at once, in their order, none lost."""
    room = 2 * count
    ours, theirs = met(
        bench,
        kinds,
        transport,
        {"send_messages_max": room, "recv_messages_max": room},
        {"sndhwm": room, "rcvhwm": room},
    )
    for sender, receiver in ways(ours, theirs):
        for number in range(count):
            sender.send([b"%d" % number, b"body"])
        for number in range(count):
            same(hear(receiver), [b"%d" % number, b"body"], "the messages in their order")


for _kinds, _transport in itertools.product(WAYS, ("tcp", "ipc")):
    case(f"libzmq {_transport} {_kinds[0]}-{_kinds[1]} 5000 messages under way")(
        lambda bench, k=_kinds, t=_transport: many(bench, k, t)
    )


def going_up(bench, kinds):
    """What an XSUB sends that is no subscription arrives at the XPUB as it is."""
    ours, theirs = bench.ours(kinds[0]), bench.theirs(kinds[1])
    up, top = (ours, theirs) if kinds[0] == "xsub" else (theirs, ours)
    up.connect(top.bind(bench.any("tcp")))
    subscribe(up, b"topic")
    same(top.recv()[1], [b"\1topic"], "the subscription")
    for message in ([b"a message"], [b"two", b"frames"], [b"2", b""], [pattern(300, 7)]):
        up.send(message)
        same(top.recv()[1], message, "what went up")
    top.send([b"topic", b"down"])
    same(up.recv()[1], [b"topic", b"down"], "what came down")


for _kinds in (("xsub", "xpub"), ("xpub", "xsub")):
    case(f"libzmq tcp {_kinds[0]}-{_kinds[1]} messages go up as well")(
        lambda bench, k=_kinds: going_up(bench, k)
    )
