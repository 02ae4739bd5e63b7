"""Raw peers: ZMTP 3.0, later versions, other mechanisms, and bytes that come one by one."""

import socket
import struct

import zmq

from kit.cases import case
from kit.exchange import talk
from kit.waiting import WATCH_S, check, same
from kit.wire import MORE, command, frame, greeting, metadata, pattern

# Answers would be due many times while a case watches.
EAGER = {"heartbeat_interval": 20, "heartbeat_timeout": 60}


def met(bench, way, kind, **options):
    """A raw connection with ours, which has bound or connected; not greeted yet."""
    ours = bench.ours(kind, **options)
    if way == "came in":
        return ours, bench.raw(ours.bind(bench.any("tcp")))
    listener = bench.listener()
    ours.connect(listener.endpoint)
    return ours, bench.keep(listener.accept())


for _way in ("came in", "was dialed"):

    @case(f"raw-3.0 a peer of version 3.0 that {_way} talks, and is sent no PING")
    def old_version(bench, way=_way):
        """Greeting, READY, messages both ways; then silence that is not held against it."""
        ours, raw = met(bench, way, "dealer", **EAGER)
        raw.shake_hands("router", version=(3, 0))
        same(raw.splitter.greeting[:11], b"\xff" + bytes(8) + b"\x7f\x03", "our greeting")
        same(raw.properties["Socket-Type"], b"DEALER", "our type")
        ours.event("Connected")
        for frames in ([b"a"], [b"", b"b", b""], [pattern(300), pattern(70_000, 3)]):
            raw.send(*frames)
            same(ours.recv()[1], frames, "what ours received")
            ours.send(frames)
            same(raw.recv(), frames, "what the raw peer received")
        same(raw.commands, [], "commands")
        check(raw.quiet(2 * WATCH_S), "something came unasked")
        ours.no_event("Disconnected")
        raw.send(b"after the silence")
        same(ours.recv()[1], [b"after the silence"], "what ours received")

    @case(f"raw-3.0 every byte of a peer that {_way} comes by itself")
    def byte_by_byte(bench, way=_way):
        """Greeting, READY and messages, cut everywhere."""
        ours, raw = met(bench, way, "dealer", heartbeat_interval="off")
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def trickle(data):
            for byte in data:
                raw.socket.sendall(bytes([byte]))

        raw.shake_hands("router", version=(3, 0), write=trickle)
        ours.event("Connected")
        trickle(frame(b"first", MORE) + frame(pattern(300)) + frame(b""))
        same(ours.recv()[1], [b"first", pattern(300)], "the first message")
        same(ours.recv()[1], [b""], "the second message")

    @case(f"raw-3.1 everything of a peer that {_way} comes in one piece")
    def one_piece(bench, way=_way):
        """Greeting, READY and three messages in one write: nothing of it gets lost."""
        ours, raw = met(bench, way, "dealer", heartbeat_interval="off")
        ready = command(b"READY", metadata(Socket_Type=b"DEALER"))
        raw.write(greeting() + ready + frame(b"1", MORE) + frame(b"2") + frame(b"") + frame(b"3"))
        for frames in ([b"1", b"2"], [b""], [b"3"]):
            same(ours.recv()[1], frames, "a message")

    for _version in ((3, 2), (3, 9), (4, 0)):

        @case(f"raw-{_version[0]}.{_version[1]} a peer of a later version that {_way} is taken")
        def later_version(bench, way=_way, version=_version):
            """It comes down to ours."""
            ours, raw = met(bench, way, "dealer")
            raw.shake_hands("dealer", version=version)
            raw.send(b"hello")
            same(ours.recv()[1], [b"hello"], "what ours received")
            ours.send([b"hello"])
            same(raw.recv(), [b"hello"], "what the raw peer received")

    for _name, _bytes, _reason in (
        ("of version 2.0", b"\xff" + bytes(7) + b"\x01\x7f\x01\x05\0\0", "unsupported-version"),
        ("of version 1.0", b"\x01\x00" + bytes(80), "bad-signature"),
        ("that speaks HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3, "bad-signature"),
        ("that wants PLAIN", greeting(mechanism=b"PLAIN"), "mechanism-mismatch"),
        ("that wants CURVE", greeting(mechanism=b"CURVE"), "mechanism-mismatch"),
    ):

        @case(f"raw a peer {_name} that {_way} is closed as {_reason}")
        def misfit(bench, way=_way, data=_bytes, reason=_reason):
            """It is told by the end of the connection, the program by the monitor."""
            ours, raw = met(bench, way, "dealer")
            raw.write(data)
            raw.expect_end()
            ours.event("HandshakeFailed", reason)


@case("raw-3.1 names of properties may be written in any case, and others may be there")
def metadata_names(bench):
    """What is not known is passed over."""
    ours = bench.ours("router")
    raw = bench.raw(ours.bind(bench.any("tcp")))
    properties = {"X_Whatever": b"1", "socket_TYPE": b"DEALER", "IDENTITY": b"me", "Z": b""}
    raw.write(greeting() + command(b"READY", metadata(**properties)))
    same(raw.expect_command()[0], "READY", "the answer")
    raw.send(b"hello")
    same(ours.recv()[1], [b"hello"], "the message")
    same(ours.identity_of_last, b"me", "the identity")


@case("raw-3.1 long headers for short frames are taken")
def long_headers(bench):
    """Eight bytes of length are allowed whatever the length."""
    ours = bench.ours("dealer")
    raw = bench.raw(ours.bind(bench.any("tcp")))
    raw.shake_hands("dealer")
    raw.write(struct.pack(">BQ", 3, 1) + b"a" + struct.pack(">BQ", 2, 0))
    same(ours.recv()[1], [b"a", b""], "the message")


HANDSHAKE = greeting() + command(b"READY", metadata(Socket_Type=b"DEALER"))
BAD = [
    ("a reserved flag", b"\x08\x01x", "reserved-flags"),
    ("a command with MORE", b"\x05\x05\x04PING", "command-with-more"),
    ("a length of 2^63", b"\x02\xff" + bytes(7), "length-out-of-range"),
    ("a length of 2^62", b"\x02\x40" + bytes(7), "frame-too-large"),
    ("a second READY", command(b"READY", metadata(Socket_Type=b"DEALER")), "unexpected-command"),
    ("a PING without a time to live", command(b"PING", b"\0"), "malformed-command"),
    ("a PING with 17 bytes", command(b"PING", b"\0\0" + bytes(17)), "ping-context-too-long"),
    ("an ERROR", command(b"ERROR", b"\x03why"), "unexpected-command"),
    ("an empty command", b"\x04\x00", "malformed-command"),
]


def bad(bench, data, reason):
    """That peer is closed and counted; a good one beside it does not notice."""
    ours = bench.ours("router")
    endpoint = ours.bind(bench.any("tcp"))
    good = bench.theirs("dealer")
    good.connect(endpoint)
    talk(ours, good)
    raw = bench.raw(endpoint)
    raw.write(HANDSHAKE)
    same(raw.expect_command()[0], "READY", "the answer")
    raw.write(data)
    raw.expect_end()
    same(ours.event("Disconnected")[2], reason, "why it was closed")
    same(ours.stats()[f"closes.{reason}"], 1, "counted")
    talk(ours, good)


for _name, _bytes, _reason in BAD:
    case(f"raw-3.1 {_name} closes that peer as {_reason}")(
        lambda bench, d=_bytes, r=_reason: bad(bench, d, r)
    )


@case("raw-3.1 a peer that does not greet is closed after the handshake's time")
def mute(bench):
    """So is one that greets and then says nothing; others come in meanwhile."""
    ours = bench.ours("router", handshake_timeout=200)
    endpoint = ours.bind(bench.any("tcp"))
    mute_one, half = bench.raw(endpoint), bench.raw(endpoint)
    half.write(greeting())
    good = bench.theirs("dealer")
    good.connect(endpoint)
    talk(ours, good)
    for raw in (mute_one, half):
        took = raw.expect_end()
        check(took < 2, f"closed after {took:.2f} s; the time is 0.2 s")
        ours.event("HandshakeFailed", "handshake-timeout")
    talk(ours, good)


def locked(bench, options):
    """libzmq with a mechanism that ours does not speak: whoever reads the other's greeting first
    closes, and nobody else notices."""
    ours = bench.ours("router")
    endpoint = ours.bind(bench.any("tcp"))
    stranger, good = bench.theirs("dealer", **options), bench.theirs("dealer")
    stranger.connect(endpoint)
    reason = ours.event("HandshakeFailed")[1]
    check(reason in ("mechanism-mismatch", "peer-closed"), f"closed as {reason}")
    theirs_says, _ = stranger.event(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_CONNECT_RETRIED)
    same(theirs_says, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, "what libzmq reports")
    good.connect(endpoint)
    talk(ours, good)


KEY = b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
for _name, _options in (
    ("PLAIN", {"plain_username": b"me", "plain_password": b"secret"}),
    (
        "CURVE",
        {
            "curve_serverkey": KEY,
            "curve_publickey": b"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
            "curve_secretkey": b"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
        },
    ),
):
    case(f"libzmq with {_name} fails in its handshake")(
        lambda bench, o=_options: locked(bench, o)
    )


@case("libzmq over its own limit: it closes, ours comes back")
def over_theirs(bench):
    """A frame over libzmq's MAXMSGSIZE ends the connection; ours makes a new one and goes on."""
    ours = bench.ours("dealer", reconnect_interval=20, reconnect_interval_max=50)
    theirs = bench.theirs("dealer", maxmsgsize=1000)
    ours.connect(theirs.bind(bench.any("tcp")))
    talk(ours, theirs)
    ours.send([pattern(2000)])
    theirs.event(zmq.EVENT_DISCONNECTED)
    ours.event("Disconnected")
    ours.event("Connected")
    talk(ours, theirs)
