"""Connecting: before anybody is bound, again and again, at once or not at all."""

import zmq

from kit.cases import case
from kit.exchange import expect_refusal, talk
from kit.waiting import WATCH_S, check, same, until
from kit.wire import Listener

QUICK = {"reconnect_interval": 20, "reconnect_interval_max": 50}


def early(bench, transport, who):
    """One connects where nobody is bound yet, and sends; the other comes later."""
    ours, theirs = bench.ours("dealer", **QUICK), bench.theirs("dealer")
    endpoint = bench.place(transport)
    first, second = (ours, theirs) if who == "ours" else (theirs, ours)
    first.connect(endpoint)
    for number in range(5):
        first.send([b"%d" % number])
    if who == "ours":
        ours.event("ConnectFailed")
        ours.event("Retried")
    else:
        theirs.event(zmq.EVENT_CONNECT_RETRIED)
    second.bind(endpoint)
    for number in range(5):
        same(second.recv()[1], [b"%d" % number], "the messages in their order")
    talk(ours, theirs)


for _transport in ("tcp", "ipc"):
    for _who in ("ours", "theirs"):
        case(f"libzmq {_transport} connect before bind: {_who} is early")(
            lambda bench, t=_transport, w=_who: early(bench, t, w)
        )


@case("libzmq immediate off: messages wait for every endpoint, from the start")
def not_immediate(bench):
    """Two endpoints, one of them not there: each gets half, the absent one when it comes."""
    ours = bench.ours("dealer", **QUICK)
    there, absent = bench.theirs("dealer"), bench.theirs("dealer")
    place = bench.place("tcp")
    ours.connect(place)
    ours.connect(there.bind(bench.any("tcp")))
    ours.event("Connected")
    for number in range(10):
        ours.send([b"%d" % number])
    mine = [int(there.recv()[1][0]) for _ in range(5)]
    check(there.silent(WATCH_S), "more than half")
    absent.bind(place)
    rest = [int(absent.recv()[1][0]) for _ in range(5)]
    same(sorted(mine + rest), list(range(10)), "all of the messages")


@case("libzmq immediate on: messages go only to those that are connected")
def immediate(bench):
    """The same two endpoints: the one that is there gets all of them."""
    ours = bench.ours("dealer", immediate=True, **QUICK)
    there, absent = bench.theirs("dealer"), bench.theirs("dealer")
    place = bench.place("tcp")
    ours.connect(place)
    expect_refusal("Timeout", ours.send, [b"nobody"], seconds=0.05)
    ours.connect(there.bind(bench.any("tcp")))
    ours.event("Connected")
    for number in range(10):
        ours.send([b"%d" % number])
    same([int(there.recv()[1][0]) for _ in range(10)], list(range(10)), "the messages")
    absent.bind(place)
    ours.event("Connected")
    for _ in range(4):
        ours.send([b"in turn"])
    for peer in (there, absent):
        for _ in range(2):
            same(peer.recv()[1], [b"in turn"], "a message")


@case("libzmq immediate on: nothing is taken while the only peer is away")
def immediate_away(bench):
    """Refused while it is gone, delivered to whoever takes its place."""
    ours = bench.ours("dealer", immediate=True, **QUICK)
    endpoint = bench.place("tcp")
    first = bench.theirs("dealer")
    first.bind(endpoint)
    ours.connect(endpoint)
    ours.send([b"first"])
    same(first.recv()[1], [b"first"], "a message")
    first.close()
    ours.event("Disconnected")
    expect_refusal("Timeout", ours.send, [b"away"], seconds=0.05)
    ours.program.post(f"send {ours.name} 9000 =01")
    second = bench.theirs("dealer")
    second.rebind(endpoint)
    ours.program.answer()
    same(second.recv()[1], [b"\x01"], "the message that waited")


@case("raw-3.1 reconnect: pauses double up to the cap, and are spread by a half")
def pauses(bench):
    """As the monitor tells them: 40, 80, 160, 160, 160 ms, each times 0.5 to 1.5."""
    ours = bench.ours("dealer", reconnect_interval=40, reconnect_interval_max=160)
    ours.connect(bench.place("tcp"))
    for attempt, plain in enumerate((40, 80, 160, 160, 160), 1):
        _, number, delay = ours.event("Retried")
        same(int(number), attempt, "the attempt's number")
        check(plain // 2 <= int(delay) <= plain * 3 // 2, f"a pause of {delay} ms for {plain}")


@case("raw-3.1 reconnect: a success begins the pauses anew")
def anew(bench):
    """After many failures and a success the first pause is the short one again."""
    ours = bench.ours("dealer", reconnect_interval=10, reconnect_interval_max=80)
    endpoint = bench.place("tcp")
    ours.connect(endpoint)
    until("five attempts", lambda: int(ours.event("Retried")[1]) >= 5)
    listener = bench.keep(Listener(endpoint))
    raw = bench.keep(listener.accept())
    raw.shake_hands("router")
    ours.event("Connected")
    raw.close()
    ours.event("Disconnected")
    _, number, delay = ours.event("Retried")
    same(int(number), 1, "the attempt's number")
    check(int(delay) <= 15, f"a first pause of {delay} ms")
    bench.keep(listener.accept()).shake_hands("router")
    ours.event("Connected")


@case("raw-3.1 reconnect: a peer that closes at once is not stormed")
def no_storm(bench):
    """Connections that end in their handshake count as failures: the pauses grow."""
    ours = bench.ours("dealer", reconnect_interval=10, reconnect_interval_max=1000)
    listener = bench.listener()
    ours.connect(listener.endpoint)
    for _ in range(5):
        listener.accept().close()
    words = ours.event("Retried", "5")
    check(int(words[2]) >= 80, f"a fifth pause of {words[2]} ms")


@case("libzmq disconnect: ours stays away, and what was queued is dropped and counted")
def disconnect(bench):
    """No attempt follows; the socket is still good for others."""
    ours = bench.ours("dealer", **QUICK)
    theirs, other = bench.theirs("dealer"), bench.theirs("dealer")
    endpoint = theirs.bind(bench.any("tcp"))
    ours.connect(endpoint)
    theirs.connected()
    talk(ours, theirs)
    ours.disconnect(endpoint)
    theirs.event(zmq.EVENT_DISCONNECTED)
    expect_refusal("Timeout", ours.send, [b"nobody"], seconds=0.05)
    ours.connect(other.bind(bench.any("tcp")))
    talk(ours, other)
    ours.no_event("Retried")


@case("libzmq unbind: those who are connected stay, nobody else comes in")
def unbind(bench):
    """The endpoint is free for another socket at once."""
    ours = bench.ours("router")
    endpoint = ours.bind(bench.any("tcp"))
    first = bench.theirs("dealer")
    first.connect(endpoint)
    talk(ours, first)
    ours.program.ask(f"unbind {ours.name} {endpoint}")
    other = bench.ours("router")
    other.bind(endpoint)
    second = bench.theirs("dealer")
    second.connect(endpoint)
    talk(other, second)
    talk(ours, first)


@case("libzmq several endpoints: one socket bound to tcp and ipc, connected to both kinds")
def several(bench):
    """Each peer is answered, however it came to be connected."""
    ours = bench.ours("router")
    for transport in ("tcp", "ipc"):
        coming, waiting = bench.theirs("dealer"), bench.theirs("dealer")
        coming.connect(ours.bind(bench.any(transport)))
        ours.connect(waiting.bind(bench.any(transport)))
        talk(ours, coming)
        talk(ours, waiting)


@case("libzmq ipc 200 connections, each good at the first attempt")
def first_attempt(bench):
    """Made by a program's thread while the engine's own watches for what comes."""
    theirs = bench.theirs("router")
    endpoint = theirs.bind(bench.any("ipc"))
    for number in range(200):
        ours = bench.ours("dealer")
        ours.connect(endpoint)
        ours.event("Connected")
        ours.send([b"%d" % number])
        same(theirs.recv()[1], [b"%d" % number], "the message")
        same(list(ours.events), [], "what came before the connection")
        ours.close()
