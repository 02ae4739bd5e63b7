"""Publications through `bl-forwarder`, between libzmq's publishers and subscribers."""

import itertools

from kit.cases import case
from kit.exchange import (
    SHAPES,
    arrived,
    flow,
    hear,
    hear_all,
    settle,
    subscribe,
    unsubscribe,
)
from kit.waiting import WATCH_S, check, same, until
from kit.wire import pattern

from .limits import BODY, KIB
from .subscriptions import OFF, ON, told, told_no_more

CONTROL = {"control": "tcp://127.0.0.1:*"}


def forwarder(bench, publisher="pub", subscriber="sub", transport="tcp", **flags):
    """A forwarder between two of libzmq's; nothing is subscribed to yet."""
    sides = {end: bench.any(transport) for end in ("frontend", "backend")}
    device = bench.device("bl-forwarder", **(sides | flags))
    one, other = bench.theirs(publisher), bench.theirs(subscriber)
    one.connect(device.at("frontend"))
    other.connect(device.at("backend"))
    return device, one, other


def in_between(bench, kinds, transport):
    """Messages of every shape, of many frames, and large ones."""
    device, publisher, subscriber = forwarder(bench, *kinds, transport)
    subscribe(subscriber, b"")
    settle(publisher, subscriber)
    flow(publisher, subscriber)
    flow(publisher, subscriber, [[b"%d" % n for n in range(1000)], [pattern(1 << 20), b"", b"end"]])
    moved, left = device.drains()
    check(moved["from_frontend"] >= len(SHAPES) + 2, f"moved: {moved}")
    same((moved["dropped"], left["unread"], left["unsent"]), (0, 0, 0), "the rest")


for _kinds, _transport in itertools.product(
    itertools.product(("pub", "xpub"), ("sub", "xsub")), ("tcp", "ipc")
):
    case(f"libzmq {_transport} {_kinds[0]} - bl-forwarder - {_kinds[1]}")(
        lambda bench, k=_kinds, t=_transport: in_between(bench, k, t)
    )


@case("libzmq bl-forwarder connects to a PUB and to a SUB")
def both_connect(bench):
    """The two of them bind, by ipc and by tcp."""
    publisher, subscriber = bench.theirs("pub"), bench.theirs("sub")
    front, back = publisher.bind(bench.any("ipc")), subscriber.bind(bench.any("tcp"))
    bench.device("bl-forwarder", frontend=f">{front}", backend=f">{back}")
    subscribe(subscriber, b"")
    settle(publisher, subscriber)
    flow(publisher, subscriber)


@case("libzmq bl-forwarder asks publishers for each topic once, and takes it back with the last")
def up_once(bench):
    """Two subscribers to one topic, one to another: as an XPUB of libzmq's is told of it."""
    device, publisher, one = forwarder(bench, "xpub")
    publisher.set(xpub_verboser=1)
    two = bench.theirs("sub")
    two.connect(device.at("backend"))
    subscribe(one, b"A")
    told(publisher, ON + b"A")
    subscribe(two, b"A")
    subscribe(two, b"B")
    told(publisher, ON + b"B")
    unsubscribe(one, b"A")
    subscribe(one, b"C")
    told(publisher, ON + b"C")
    two.close()
    same(sorted(publisher.recv()[1][0] for _ in range(2)), [OFF + b"A", OFF + b"B"], "the ends")
    told_no_more(publisher)
    publisher.send([b"C", b"news"])
    same(one.recv()[1], [b"C", b"news"], "what the one heard")


@case("libzmq bl-forwarder brings each subscriber its topics, from every publisher")
def crowd(bench):
    """Four publishers, six subscribers, topics that some of them share."""
    device, first, last = forwarder(bench)
    publishers = [first] + [bench.theirs("pub") for _ in range(3)]
    subscribers = [last] + [bench.theirs("sub") for _ in range(5)]
    for publisher in publishers[1:]:
        publisher.connect(device.at("frontend"))
    for subscriber in subscribers[1:]:
        subscriber.connect(device.at("backend"))
    for number, subscriber in enumerate(subscribers):
        subscribe(subscriber, b"own-%d" % number, b"half-%d" % (number % 2), b"end")
        for publisher in publishers:
            settle(publisher, subscriber, b"own-%d" % number)
    texts = [b"own-%d" % n for n in range(6)] + [b"half-0", b"half-1", b"none"]
    for who, publisher in enumerate(publishers):
        for text in texts:
            publisher.send([text, b"from %d" % who])
        publisher.send([b"end", b"from %d" % who])
        for number, subscriber in enumerate(subscribers):
            expected = [b"own-%d" % number, b"half-%d" % (number % 2), b"end"]
            got = [hear(subscriber) for _ in expected]
            same(got, [[text, b"from %d" % who] for text in expected], f"what {number} heard")


@case("libzmq bl-forwarder a publisher that comes back is asked again")
def publisher_returns(bench):
    """Three lives of a PUB; what was subscribed to before each is heard in it."""
    device, publisher, subscriber = forwarder(bench, **CONTROL)
    subscribe(subscriber, b"A")
    for life in range(3):
        settle(publisher, subscriber, b"A")
        publisher.send([b"A", b"life", b"%d" % life])
        same(hear(subscriber), [b"A", b"life", b"%d" % life], "what was heard")
        publisher.close()
        until("it has gone", lambda: device.statistics()["frontend"]["peers"] == 0)
        subscribe(subscriber, b"more-%d" % life)
        publisher = bench.theirs("pub")
        publisher.connect(device.at("frontend"))
        settle(publisher, subscriber, b"more-%d" % life)


@case("libzmq bl-forwarder that was killed: its peers come back to the next one")
def device_returns(bench):
    """SIGKILL, and another one at the same places: publishers and subscribers go on."""
    places = {"frontend": bench.place("tcp"), "backend": bench.place("tcp")}
    publisher, subscriber = bench.theirs("pub"), bench.theirs("sub")
    publisher.connect(places["frontend"])
    subscriber.connect(places["backend"])
    subscribe(subscriber, b"A")
    for life in range(3):
        device = bench.device("bl-forwarder", **places)
        settle(publisher, subscriber, b"A")
        publisher.send([b"A", b"life", b"%d" % life])
        same(hear(subscriber), [b"A", b"life", b"%d" % life], "what was heard")
        device.close()


def slow(bench, policy):
    """A SUB of libzmq's that does not read, beside one that does and hears everything."""
    device, publisher, reader = forwarder(
        bench, queue_messages=20, slow_subscriber=policy, **CONTROL
    )
    stuck = bench.theirs("sub", rcvhwm=10, rcvbuf=8 * KIB, reconnect_ivl=-1)
    stuck.connect(device.at("backend"))
    for subscriber in (reader, stuck):
        subscribe(subscriber, b"")
        settle(publisher, subscriber)
    numbers = range(700)
    for number in numbers:
        publisher.send([b"%d" % number, BODY])
        same(hear(reader), [b"%d" % number, BODY], "what the reader heard")

    def counted():
        backend = device.statistics()["backend"]
        return backend["closes" if policy == "disconnect" else "dropped"].get("slow-subscriber", 0)

    lost = until("it is counted", counted)
    if policy == "disconnect":
        same(lost, 1, "subscribers that were disconnected")
        return
    got = []
    while (frames := arrived(stuck, WATCH_S)) is not None:
        if len(frames[1]) == len(BODY):
            got.append(int(frames[0]))
    same(got, sorted(set(got)), "what the slow one heard, in its order")
    same(len(numbers) - len(got), lost, "what it missed, and what was counted")


for _policy in ("drop", "disconnect"):
    case(f"libzmq bl-forwarder has a subscriber that does not read: {_policy}")(
        lambda bench, p=_policy: slow(bench, p)
    )


@case("libzmq bl-forwarder tells the last values to whoever comes late")
def last_values(bench):
    """Published before anybody had subscribed."""
    device, publisher, _ = forwarder(bench, last_values=100, **CONTROL)

    def passed():
        return device.statistics()["from_frontend"]["messages"]

    def probed():
        publisher.send([b"x", b"0"])
        return passed()

    # Until the device's own subscription has arrived, what is published goes nowhere.
    before = until("the device hears the publisher", probed)
    for number in range(5):
        publisher.send([b"a.1", b"%d" % number])
        publisher.send([b"a.2", b"%d" % (10 + number)])
    until("it has passed", lambda: passed() >= before + 10)
    late = bench.theirs("sub")
    late.connect(device.at("backend"))
    subscribe(late, b"a.")
    same([late.recv()[1] for _ in range(2)], [[b"a.1", b"4"], [b"a.2", b"14"]], "last values")
    same(hear_all(publisher, late, b"a."), [], "what else came")


@case("libzmq control: bl-forwarder holds publications while it is paused")
def pause(bench):
    """What was published meanwhile is heard after RESUME, in its order."""
    device, publisher, subscriber = forwarder(bench, **CONTROL)
    subscribe(subscriber, b"")
    settle(publisher, subscriber)
    same(hear_all(publisher, subscriber, b""), [], "what is heard before")
    same(device.tell("PAUSE"), "OK", "the answer")
    for number in range(50):
        publisher.send([b"held", b"%d" % number])
    same(arrived(subscriber, WATCH_S), None, "what passed while it was paused")
    same(device.tell("RESUME"), "OK", "the answer")
    same([int(hear(subscriber)[1]) for _ in range(50)], list(range(50)), "what was held")


@case("libzmq SIGTERM: bl-forwarder passes on what has come, and ends")
def drains(bench):
    """A flood, then the signal: what the device counts as moved, a subscriber hears."""
    device, publisher, subscriber = forwarder(bench, **CONTROL)
    subscriber.set(rcvhwm=0)
    reader = bench.theirs("sub", rcvhwm=0)
    reader.connect(device.at("backend"))
    subscribe(reader, b"n")
    settle(publisher, reader, b"n")
    same(hear_all(publisher, reader, b"n"), [], "what is heard before")
    before = device.statistics()["from_frontend"]["messages"]
    for number in range(900):
        publisher.send([b"n", b"%d" % number])
    moved, left = device.drains()
    heard = []
    while (frames := arrived(reader, WATCH_S)) is not None:
        heard.append(int(frames[1]))
    same(heard, list(range(len(heard))), "what was heard, in its order")
    same(len(heard), moved["from_frontend"] - before, "what was moved")
    same((left["unsent"], moved["dropped"]), (0, 0), "what is left")


@case("raw-3.0 bl-forwarder takes subscriptions as messages and as commands")
def both_forms(bench):
    """Two raw subscribers beside one of libzmq's; the topic goes up once."""
    device, publisher, subscriber = forwarder(bench, "xpub")
    publisher.set(xpub_verboser=1)
    old, new = (bench.raw(device.at("backend")) for _ in range(2))
    old.shake_hands("sub", version=(3, 0))
    new.shake_hands("sub", version=(3, 1))
    old.send(ON + b"A")
    told(publisher, ON + b"A")
    new.command(b"SUBSCRIBE", b"A")
    new.command(b"SUBSCRIBE", b"B")
    told(publisher, ON + b"B")
    subscribe(subscriber, b"A", b"C")
    told(publisher, ON + b"C")
    publisher.send([b"A", b"news"])
    for each in (old, new, subscriber):
        got = each.recv()
        same(got if isinstance(got, list) else got[1], [b"A", b"news"], "what was heard")
