"""Messages back and forth between two sockets, whoever they belong to."""

from .waiting import PATIENCE_S, WATCH_S, Clock, Failed, Silence, check, same
from .programs import Refused
from .wire import pattern

# Messages of every shape: empty frames at each place, lengths on both sides of the long header.
SHAPES = [
    [b"x"],
    [b""],
    [b"", b""],
    [b"", b"between", b""],
    [pattern(255, 7)],
    [pattern(256, 8)],
    [pattern(300, 1), b"", pattern(100, 2), b"end"],
    [b"frame"] * 12,
]


# The second frame of what is published only to see whether a subscription has arrived.
PROBE = b"\0probe"


def envelope(asker, answerer):
    """What the program has to put before a request, since the socket does not."""
    return [b""] if asker.kind == "dealer" and answerer.kind == "rep" else []


def ask(asker, answerer, frames, to=None):
    """One round trip of these frames, from `asker` to `answerer` and back."""
    before = envelope(asker, answerer)
    send(asker, before + frames, to)
    who, got = answerer.recv()
    if asker.kind == "req" and answerer.kind == "router":
        # The envelope of a REQ ends with an empty frame; there may be a number before it.
        cut = len(got) - len(frames)
        same(got[cut - 1 : cut], [b""], "the delimiter of a REQ")
    else:
        cut = 0
    same(got[cut:], frames, "what the answering side received")
    send(answerer, got, who)
    same(asker.recv()[1], before + frames, "what came back")


def send(sender, frames, to=None):
    """Sends; to a peer that a ROUTER does not know yet, again and again until it does."""
    clock = Clock()
    while True:
        try:
            return sender.send(frames, to)
        except Refused as refused:
            unknown = refused.reason == "Gone" and isinstance(to, bytes)
            if not unknown or clock.left() == 0:
                raise


def asking_ways(one, other):
    """Who may begin: (asker, answerer, whom the asker has to name)."""
    ways = []
    for asker, answerer in ((one, other), (other, one)):
        if asker.kind == "rep" or answerer.kind == "req":
            continue
        ways.append((asker, answerer, asker.kind == "router"))
    return ways


def talk(one, other, shapes=None, identities=None):
    """Round trips of every shape, begun by each side that may. `identities` are those that the
    sockets have announced, by socket."""
    for asker, answerer, named in asking_ways(one, other):
        to = (identities or {}).get(answerer) if named else None
        if named and to is None:
            continue
        for frames in shapes or SHAPES:
            ask(asker, answerer, frames, to)


def pipeline(sender, receiver, count, to=None):
    """Sends so many numbered messages before the first is received; all arrive, in order."""
    for number in range(count):
        send(sender, [b"%d" % number, b"body"], to)
    for number in range(count):
        frames = receiver.recv()[1]
        same(frames, [b"%d" % number, b"body"], "the messages in their order")


def meet(connecting, bound, endpoint):
    """Binds one and connects the other; the endpoint."""
    endpoint = bound.bind(endpoint)
    connecting.connect(endpoint)
    return endpoint


def fill_up(ours, frames, to=None, most=100_000):
    """Sends it at once, again and again, until ours takes none for a while; how many it took."""
    taken, clock = 0, Clock(WATCH_S)
    while clock.left() > 0:
        sent, reason = ours.fill(most, frames, to)
        check(reason == "Full" and taken + sent < most, f"{taken + sent} taken, then {reason}")
        if sent:
            clock = Clock(WATCH_S)
        taken += sent
    return taken


def expect_refusal(reason, action, *arguments, **named):
    """The action has to be refused by one of our sockets, for this reason."""
    try:
        action(*arguments, **named)
    except Refused as refused:
        same(refused.reason, reason, "the reason of the refusal")
        return
    raise Failed(f"not refused, though it has to be, as {reason}")


def arrived(socket, seconds):
    """The frames of the next message; nothing if none comes in time."""
    try:
        return socket.recv(seconds)[1]
    except Refused as refused:
        if refused.reason != "Timeout":
            raise
    except Silence:
        pass
    return None


def subscribe(subscriber, *topics):
    """Subscribes: an XSUB by messages, a SUB by what its socket has for it."""
    for topic in topics:
        if subscriber.kind == "xsub":
            subscriber.send([b"\1" + topic])
        else:
            subscriber.subscribe(topic)


def unsubscribe(subscriber, *topics):
    """Takes subscriptions back, the same way."""
    for topic in topics:
        if subscriber.kind == "xsub":
            subscriber.send([b"\0" + topic])
        else:
            subscriber.unsubscribe(topic)


def settle(publisher, subscriber, topic=b""):
    """Publishes probes until the subscriber hears one: the topic has arrived."""
    clock = Clock()
    while True:
        publisher.send([topic, PROBE])
        got = arrived(subscriber, 0.01)
        if got is not None:
            same(got[1:], [PROBE], "what comes before anything but probes has been published")
            return
        if clock.left() == 0:
            raise Failed(f"the subscription to {topic} has not arrived")


def hear(subscriber, seconds=PATIENCE_S):
    """The frames of the next message that is no probe."""
    clock = Clock(seconds)
    while True:
        frames = subscriber.recv(clock.left())[1]
        if frames[1:] != [PROBE]:
            return frames


def hear_all(publisher, subscriber, topic, end=b"end"):
    """Everything that is heard before what is published now, to a topic that it has."""
    publisher.send([topic, end, b"the last"])
    heard = []
    while True:
        frames = hear(subscriber)
        if frames == [topic, end, b"the last"]:
            return heard
        heard.append(frames)


def flow(sender, receiver, shapes=None):
    """Messages of every shape, one way."""
    for frames in shapes or SHAPES:
        sender.send(frames)
        same(hear(receiver), frames, "what was received")
