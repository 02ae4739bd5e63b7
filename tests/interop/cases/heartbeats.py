"""Heartbeats: who is taken for dead and who is not, with libzmq and with raw peers."""

import zmq

from kit.cases import case
from kit.exchange import talk
from kit.waiting import WATCH_S, Clock, check, same
from kit.wire import pattern

FAST = {"heartbeat_interval": 50, "heartbeat_timeout": 500, "heartbeat_ttl": 1000}


def accepted(bench, kind="router", peer="dealer", version=(3, 1), **options):
    """A raw peer that has connected to ours."""
    ours = bench.ours(kind, **options)
    raw = bench.raw(ours.bind(bench.any("tcp")))
    raw.shake_hands(peer, version)
    ours.event("Connected")
    return ours, raw


def dialed(bench, kind="dealer", peer="router", version=(3, 1), **options):
    """A raw peer that ours has connected to."""
    listener = bench.listener()
    ours = bench.ours(kind, **options)
    ours.connect(listener.endpoint)
    raw = bench.keep(listener.accept())
    raw.shake_hands(peer, version)
    ours.event("Connected")
    return ours, raw


for _name, _meet in (("came in", accepted), ("was dialed", dialed)):

    @case(f"raw-3.1 heartbeats: a silent peer that {_name} is dropped after the timeout")
    def silent(bench, meet=_meet):
        """It gets PINGs with our time to live, answers none, and is closed in time."""
        ours, raw = meet(bench, **FAST)
        took = raw.expect_end()
        words = ours.event("Disconnected")
        same(words[2], "heartbeat-timeout", "why it was closed")
        check(0.4 <= took <= 3, f"closed after {took:.2f} s; the timeout is 0.5 s")
        pings = [body for name, body in raw.commands if name == "PING"]
        check(1 <= len(pings) <= 12, f"{len(pings)} PINGs in {took:.2f} s, one each 0.05 s")
        same(pings[0][:2], b"\0\x0a", "the time to live in tenths of a second")

    @case(f"raw-3.1 heartbeats: a peer that {_name} and only answers is kept")
    def answering(bench, meet=_meet):
        """No traffic but PING and PONG for many times the timeout."""
        ours, raw = meet(bench, **FAST)
        raw.answer_pings(20)
        ours.no_event("Disconnected")
        raw.send(b"still here")
        same(ours.recv()[1], [b"still here"], "a message after the silence")

    @case(f"raw-3.1 heartbeats: a peer that {_name} and only sends is kept")
    def sending(bench, meet=_meet):
        """Whatever comes is a sign of life: it never answers a PING, but talks all the time."""
        ours, raw = meet(bench, **FAST)
        clock, count = Clock(1.2), 0
        while clock.left() > 0:
            raw.send(b"talking")
            same(ours.recv()[1], [b"talking"], "a message")
            raw.frame(0.01)
            count += 1
        ours.no_event("Disconnected")

    @case(f"raw-3.1 heartbeats: off, a peer that {_name} hears none and is never dropped")
    def off(bench, meet=_meet):
        """Not a byte while nothing is sent."""
        ours, raw = meet(bench, heartbeat_interval="off")
        check(raw.quiet(2 * WATCH_S), "something came, though there is nothing to say")
        ours.no_event("Disconnected")

    @case(f"raw-3.1 heartbeats: a peer that {_name} is closed by the time to live it announced")
    def ttl(bench, meet=_meet):
        """Ours would wait for an hour; the peer has said that 0.2 s of silence mean death."""
        hour = {"heartbeat_interval": 100, "heartbeat_timeout": 3_600_000}
        ours, raw = meet(bench, **hour)
        raw.command(b"PING", b"\0\x02")
        took = raw.expect_end()
        same(ours.event("Disconnected")[2], "ttl-expired", "why it was closed")
        check(0.15 <= took <= 2, f"closed after {took:.2f} s; the time to live is 0.2 s")

    @case(f"raw-3.1 heartbeats: the time to live of a peer that {_name} holds in time "
          "though our interval is long")
    def ttl_between(bench, meet=_meet):
        """It is judged when it is over, not when our next PING would be due."""
        hour = {"heartbeat_interval": 600_000, "heartbeat_timeout": 3_600_000}
        ours, raw = meet(bench, **hour)
        raw.command(b"PING", b"\0\x02")
        took = raw.expect_end(seconds=2)
        same(ours.event("Disconnected")[2], "ttl-expired", "why it was closed")
        check(took >= 0.15, f"closed after {took:.2f} s; the time to live is 0.2 s")

    @case(f"raw-3.1 heartbeats: off, the time to live of a peer that {_name} holds all the same")
    def ttl_off(bench, meet=_meet):
        """What the peer asks for does not hang on whether ours sends PINGs itself."""
        ours, raw = meet(bench, heartbeat_interval="off")
        raw.command(b"PING", b"\0\x02")
        took = raw.expect_end(seconds=2)
        same(ours.event("Disconnected")[2], "ttl-expired", "why it was closed")
        check(took >= 0.15, f"closed after {took:.2f} s; the time to live is 0.2 s")


@case("raw-3.1 heartbeats: a time to live of zero is none")
def ttl_none(bench):
    """A PING that announces none takes back what an earlier one has announced."""
    hour = {"heartbeat_interval": 100, "heartbeat_timeout": 3_600_000}
    ours, raw = accepted(bench, **hour)
    raw.command(b"PING", b"\0\x02")
    raw.command(b"PING", b"\0\0")
    clock = Clock(0.5)
    while clock.left() > 0:
        raw.frame(clock.left())
    check(not raw.ended, "closed, though no time to live holds")
    ours.no_event("Disconnected")


@case("raw-3.1 heartbeats: a PING's context comes back in the PONG")
def context(bench):
    """None, one byte, all 16; in the same order as they went."""
    ours, raw = accepted(bench, heartbeat_interval="off")
    contexts = [b"", b"x", bytes(range(16))]
    for each in contexts:
        raw.command(b"PING", b"\0\0" + each)
    for each in contexts:
        same(raw.expect_command(), ("PONG", each), "the answer")
    raw.send(b"hello")
    same(ours.recv()[1], [b"hello"], "a message behind them")


@case("raw-3.1 heartbeats: a PING between the frames of a message is answered")
def between_frames(bench):
    """Commands may stand between frames; the message stays whole."""
    ours, raw = accepted(bench, heartbeat_interval="off")
    raw.write(b"\x01\x01a")
    raw.command(b"PING", b"\0\0now")
    same(raw.expect_command(), ("PONG", b"now"), "the answer")
    raw.write(b"\x00\x01b")
    same(ours.recv()[1], [b"a", b"b"], "the message")


@case("libzmq heartbeats: a hung process of ours is dropped, and comes back")
def ours_hangs(bench):
    """Stopped, its connection stays open and silent; libzmq closes it. Going on, ours connects
    again."""
    program = bench.program()
    ours = bench.ours("dealer", program, reconnect_interval=20, reconnect_interval_max=50)
    theirs = bench.theirs("router", heartbeat_ivl=50, heartbeat_timeout=200)
    ours.connect(theirs.bind(bench.any("tcp")))
    theirs.connected()
    talk(ours, theirs)
    program.stop()
    theirs.event(zmq.EVENT_DISCONNECTED)
    program.go_on()
    theirs.connected()
    talk(ours, theirs)


@case("libzmq heartbeats: a hung process of ours breaks the time to live that it announced")
def ours_breaks_ttl(bench):
    """libzmq sends no PING of its own, and holds ours to its word."""
    program = bench.program()
    ours = bench.ours("dealer", program, heartbeat_interval=50, heartbeat_ttl=300)
    theirs = bench.theirs("router")
    tap = bench.tap("tcp", theirs.bind(bench.any("tcp")))
    ours.connect(tap.endpoint)
    talk(ours, theirs)
    check(tap.wait("up", "PING", 1), "ours has announced nothing")
    program.stop()
    theirs.event(zmq.EVENT_DISCONNECTED)
    program.go_on()


@case("libzmq heartbeats: both on and no traffic, the link stays")
def idle(bench):
    """Many timeouts of silence but for heartbeats, then a message each way."""
    ours = bench.ours("dealer", **FAST)
    theirs = bench.theirs("router", heartbeat_ivl=50, heartbeat_timeout=500, heartbeat_ttl=500)
    tap = bench.tap("tcp", theirs.bind(bench.any("tcp")))
    ours.connect(tap.endpoint)
    talk(ours, theirs)
    check(tap.wait("up", "PONG", 20), "libzmq's PINGs were not answered")
    talk(ours, theirs)
    ours.no_event("Disconnected")


@case("libzmq heartbeats: off on both sides, not a command goes by")
def both_off(bench):
    """After the handshake only messages."""
    ours, theirs = bench.ours("dealer", heartbeat_interval="off"), bench.theirs("router")
    tap = bench.tap("tcp", theirs.bind(bench.any("tcp")))
    ours.connect(tap.endpoint)
    talk(ours, theirs)
    check(not tap.wait("up", "PING", 1, 2 * WATCH_S), "a PING of ours")
    for way, counts in tap.counts.items():
        same(set(+counts), {"READY", "messages"}, f"what went {way}")


@case("libzmq heartbeats: the peer's time to live holds while it is silent, not while it talks")
def libzmq_ttl(bench):
    """libzmq announces 400 ms and sends a PING each 50 ms: it is kept."""
    ours = bench.ours("router", heartbeat_interval=100, heartbeat_timeout=5000)
    theirs = bench.theirs("dealer", heartbeat_ivl=50, heartbeat_timeout=5000, heartbeat_ttl=400)
    tap = bench.tap("tcp", ours.bind(bench.any("tcp")))
    theirs.connect(tap.endpoint)
    talk(ours, theirs)
    check(tap.wait("up", "PING", 15), "libzmq sends no PINGs")
    talk(ours, theirs)
    ours.no_event("Disconnected")


@case("libzmq heartbeats: large messages hold up neither side's signs of life")
def large(bench):
    """20 messages of 8 MiB each way, with heartbeats of 50 ms: nobody is taken for dead."""
    beat = {"heartbeat_interval": 50, "heartbeat_timeout": 3000, "heartbeat_ttl": 3000}
    ours = bench.ours("dealer", **beat)
    theirs = bench.theirs("dealer", heartbeat_ivl=50, heartbeat_timeout=3000, heartbeat_ttl=3000)
    theirs.connect(ours.bind(bench.any("tcp")))
    body = pattern(8 << 20)
    for _ in range(20):
        theirs.send([body])
        ours.send([body])
    for _ in range(20):
        same(ours.recv()[1] == [body], True, "a message from libzmq is whole")
        same(theirs.recv()[1] == [body], True, "a message from ours is whole")
    ours.no_event("Disconnected")
