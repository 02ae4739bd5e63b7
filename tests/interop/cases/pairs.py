"""Every legal pair of socket types with libzmq: who binds, tcp and ipc, heartbeats on and off."""

import itertools

from kit.cases import case
from kit.exchange import pipeline, talk
from kit.waiting import check, same

PAIRS = [
    ("dealer", "router"),
    ("router", "dealer"),
    ("dealer", "dealer"),
    ("router", "router"),
    ("dealer", "rep"),
    ("rep", "dealer"),
    ("req", "rep"),
    ("rep", "req"),
    ("req", "router"),
    ("router", "req"),
]
# Pairs of types that do not fit: ours is told why, and libzmq gets nowhere.
MISFITS = [("req", "req"), ("rep", "rep"), ("rep", "router"), ("req", "dealer"), ("dealer", "pull")]
HEARTBEATS = ["off", "ours", "theirs", "both"]
INTERVAL_MS = 30
# Ours asks where nothing was heard for its interval: who is pinged as often as that need not.
THEIR_INTERVAL_MS = 3 * INTERVAL_MS


def our_heartbeats(on):
    """Options of ours. The timeout is far away: it is not what is tested here."""
    if not on:
        return {"heartbeat_interval": "off"}
    return {"heartbeat_interval": INTERVAL_MS, "heartbeat_timeout": 5000, "heartbeat_ttl": 5000}


def their_heartbeats(on):
    """Options of libzmq's."""
    if not on:
        return {}
    return {"heartbeat_ivl": THEIR_INTERVAL_MS, "heartbeat_timeout": 5000, "heartbeat_ttl": 5000}


def pair(bench, kinds, transport, heartbeats, binds):
    """Talks, waits until heartbeats have been answered where there are any, and talks on."""
    pinging = {
        "ours": heartbeats in ("ours", "both"),
        "theirs": heartbeats in ("theirs", "both"),
    }
    ours = bench.ours(kinds[0], identity=b"our-own", **our_heartbeats(pinging["ours"]))
    theirs = bench.theirs(kinds[1], identity=b"foreign", **their_heartbeats(pinging["theirs"]))
    identities = {ours: b"our-own", theirs: b"foreign"}
    bound, connecting = (ours, theirs) if binds == "ours" else (theirs, ours)

    tap = bench.tap(transport, bound.bind(bench.any(transport)))
    connecting.connect(tap.endpoint)
    talk(ours, theirs, identities=identities)
    for who, on in pinging.items():
        way, back = ("down", "up") if who == binds else ("up", "down")
        if on:
            check(tap.wait(back, "PONG", 2), f"the PINGs of {who} were not answered")
        else:
            same(tap.counts[way]["PING"], 0, f"PINGs of {who}, whose heartbeats are off")
    talk(ours, theirs, identities=identities)
    for way, counts in tap.counts.items():
        same(counts["READY"], 1, f"READYs that went {way}")
        strange = set(counts) - {"READY", "PING", "PONG", "messages"}
        check(not strange, f"what else went {way}: {strange}")


for _kinds, _transport, _binds, _heartbeats in itertools.product(
    PAIRS, ("tcp", "ipc"), ("ours", "theirs"), HEARTBEATS
):
    case(
        f"libzmq {_transport} {_kinds[0]}-{_kinds[1]} binds={_binds} heartbeats={_heartbeats}"
    )(
        lambda bench, k=_kinds, t=_transport, h=_heartbeats, b=_binds: pair(bench, k, t, h, b)
    )


def misfit(bench, kinds, binds):
    """Ours reports why, and is not kept from talking to one that fits."""
    ours, theirs = bench.ours(kinds[0]), bench.theirs(kinds[1])
    bound, connecting = (ours, theirs) if binds == "ours" else (theirs, ours)
    endpoint = bound.bind(bench.any("tcp"))
    connecting.connect(endpoint)
    ours.event("HandshakeFailed", "incompatible-sockets")
    if binds == "ours":
        fitting = bench.theirs({"req": "rep", "rep": "req", "dealer": "router"}[kinds[0]])
        fitting.connect(endpoint)
        talk(ours, fitting)


for _kinds, _binds in itertools.product(MISFITS, ("ours", "theirs")):
    case(f"libzmq tcp {_kinds[0]}-{_kinds[1]} binds={_binds} is refused")(
        lambda bench, k=_kinds, b=_binds: misfit(bench, k, b)
    )


def many(bench, kinds, transport, count=5000):
    """Thousands of messages under way at once, each way, in their order."""
    room = {"send_messages_max": count, "recv_messages_max": count}
    ours = bench.ours(kinds[0], identity=b"our-own", **room)
    theirs = bench.theirs(kinds[1], identity=b"foreign", sndhwm=count, rcvhwm=count)
    theirs.connect(ours.bind(bench.any(transport)))
    pipeline(ours, theirs, count, b"foreign" if kinds[0] == "router" else None)
    pipeline(theirs, ours, count, b"our-own" if kinds[1] == "router" else None)


for _kinds, _transport in itertools.product(PAIRS[:3], ("tcp", "ipc")):
    case(f"libzmq {_transport} {_kinds[0]}-{_kinds[1]} 5000 messages under way")(
        lambda bench, k=_kinds, t=_transport: many(bench, k, t)
    )


def endpoint_form(bench, form, binds, option, place=None):
    """A form of endpoint that both sides understand."""
    ours = bench.ours("dealer", **({"ipv6": True} if option else {}))
    theirs = bench.theirs("router", **({"ipv6": 1} if option else {}))
    bound, connecting = (ours, theirs) if binds == "ours" else (theirs, ours)
    endpoint = bound.bind(form)
    connecting.connect(place(endpoint) if place else endpoint)
    talk(ours, theirs)


def port_of(endpoint):
    """The last part of an endpoint."""
    return endpoint.rsplit(":", 1)[1]


for _binds in ("ours", "theirs"):
    for _name, _form, _option, _place in (
        ("tcp://[::1]:*", "tcp://[::1]:*", True, None),
        ("tcp://*:* by address", "tcp://*:*", False, lambda e: f"tcp://127.0.0.1:{port_of(e)}"),
        ("tcp://*:* by name", "tcp://*:*", False, lambda e: f"tcp://localhost:{port_of(e)}"),
        ("tcp://lo:*", "tcp://lo:*", False, lambda e: f"tcp://127.0.0.1:{port_of(e)}"),
        ("ipc://@abstract", f"ipc://@bl-interop-{_binds}", False, None),
        ("ipc://*", "ipc://*", False, None),
    ):
        case(f"libzmq endpoint {_name} binds={_binds}")(
            lambda bench, f=_form, b=_binds, o=_option, p=_place: endpoint_form(bench, f, b, o, p)
        )
