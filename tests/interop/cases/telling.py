"""What publishers are told and tell: XPUB's view of subscriptions, welcomes and last values, both
forms of subscription by hand, peers over their limits."""

import itertools

from kit.cases import case
from kit.exchange import arrived, hear, hear_all, settle, subscribe, unsubscribe
from kit.waiting import WATCH_S, Failed, check, same, until
from kit.wire import pattern

from .subscriptions import OFF, ON, PUBLISHERS


def told(publisher, *expected):
    """The next things that an XPUB is told, in this order."""
    same([publisher.recv()[1] for _ in expected], [[each] for each in expected], "what it is told")


def told_no_more(publisher):
    """Nothing more is told."""
    same(arrived(publisher, WATCH_S), None, "what it is told beyond that")


@case("libzmq xpub is told the first of a topic and the end of its last")
def changes(bench):
    """Two subscribers to one topic; then one of them has gone without a word."""
    publisher = bench.ours("xpub")
    endpoint = publisher.bind(bench.any("tcp"))
    one, two = bench.theirs("sub"), bench.theirs("sub")
    one.connect(endpoint)
    two.connect(endpoint)
    subscribe(one, b"A")
    told(publisher, ON + b"A")
    subscribe(two, b"A", b"B")
    told(publisher, ON + b"B")
    same(publisher.topics(), {b"A": 2, b"B": 1}, "the topics")
    unsubscribe(one, b"A")
    unsubscribe(two, b"B")
    told(publisher, OFF + b"B")
    two.close()
    told(publisher, OFF + b"A")
    told_no_more(publisher)
    same(publisher.topics(), {}, "the topics at the end")


@case("libzmq xpub verbose is told every subscription")
def verbose(bench):
    """As libzmq's XPUB_VERBOSE: each subscriber's own, but an end only where it is the last."""
    publisher = bench.ours("xpub", verbose="subscriptions")
    endpoint = publisher.bind(bench.any("tcp"))
    one, two = bench.theirs("sub"), bench.theirs("sub")
    one.connect(endpoint)
    two.connect(endpoint)
    subscribe(one, b"A")
    told(publisher, ON + b"A")
    subscribe(two, b"A")
    told(publisher, ON + b"A")
    unsubscribe(one, b"A")
    subscribe(one, b"other")
    told(publisher, ON + b"other")
    unsubscribe(two, b"A")
    told(publisher, OFF + b"A")
    told_no_more(publisher)


@case("libzmq xpub verbose is told every end as well where that is asked for")
def verboser(bench):
    """As libzmq's XPUB_VERBOSER."""
    publisher = bench.ours("xpub", verbose="all")
    endpoint = publisher.bind(bench.any("tcp"))
    one, two = bench.theirs("sub"), bench.theirs("sub")
    for each in (one, two):
        each.connect(endpoint)
        subscribe(each, b"A")
        told(publisher, ON + b"A")
    for each in (one, two):
        unsubscribe(each, b"A")
        told(publisher, OFF + b"A")
    told_no_more(publisher)


@case("libzmq xpub of theirs is told what our sub and xsub do")
def their_view(bench):
    """Each of our subscriptions goes up once, duplicates do not, and all ends with the peer."""
    publisher = bench.theirs("xpub", xpub_verboser=1)
    endpoint = publisher.bind(bench.any("tcp"))
    for kind in ("sub", "xsub"):
        program = bench.program()
        subscriber = bench.ours(kind, program)
        subscriber.connect(endpoint)
        subscribe(subscriber, b"A")
        told(publisher, ON + b"A")
        subscribe(subscriber, b"B")
        told(publisher, ON + b"B")
        unsubscribe(subscriber, b"A")
        told(publisher, OFF + b"A")
        program.kill()
        told(publisher, OFF + b"B")
    told_no_more(publisher)


def welcome(bench, kinds):
    """Who subscribes to the welcome's topic hears it first; others do not."""
    if kinds[0] in PUBLISHERS:
        publisher, has = bench.ours(kinds[0], welcome=b"W-hello"), bench.theirs
    else:
        publisher, has = bench.theirs(kinds[1], xpub_welcome_msg=b"W-hello"), bench.ours
    endpoint = publisher.bind(bench.any("tcp"))
    kind = kinds[1] if kinds[0] in PUBLISHERS else kinds[0]
    greeted, stranger = has(kind), has(kind)
    subscribe(greeted, b"W")
    subscribe(stranger, b"other")
    for each in (greeted, stranger):
        each.connect(endpoint)
    if publisher.kind == "xpub":
        # libzmq does not do it before its program looks.
        same({publisher.recv()[1][0] for _ in range(2)}, {ON + b"W", ON + b"other"}, "topics")
    same(greeted.recv()[1], [b"W-hello"], "the welcome")
    settle(publisher, stranger, b"other")
    same(hear_all(publisher, stranger, b"other"), [], "what the stranger heard")
    same(hear_all(publisher, greeted, b"W"), [], "what came after the welcome")


for _kinds in (("xpub", "sub"), ("xpub", "xsub"), ("pub", "sub"), ("sub", "xpub")):
    case(f"libzmq {_kinds[0]}-{_kinds[1]} a welcome is the first thing that is heard")(
        lambda bench, k=_kinds: welcome(bench, k)
    )


def last_values(bench, kind):
    """Who comes late is told the last of each topic that it asks for, and then what is new."""
    publisher = bench.ours(kind, last_values=100)
    endpoint = publisher.bind(bench.any("tcp"))
    for number in range(5):
        publisher.send([b"a.1", b"%d" % number])
        publisher.send([b"a.2", b"%d" % (10 + number)])
        publisher.send([b"b", b"%d" % (20 + number)])
    for _ in range(2):
        late = bench.theirs("sub")
        late.connect(endpoint)
        subscribe(late, b"a.")
        same([late.recv()[1] for _ in range(2)], [[b"a.1", b"4"], [b"a.2", b"14"]], "last values")
        subscribe(late, b"b")
        same(late.recv()[1], [b"b", b"24"], "the last value of what it asked for later")
        same(hear_all(publisher, late, b"b", b"2"), [], "what else came")
        publisher.send([b"b", b"24"])
    same(publisher.stats()["last_values"], 3, "topics that are kept")


for _kind in ("pub", "xpub"):
    case(f"libzmq {_kind} tells the last values to whoever comes late")(
        lambda bench, k=_kind: last_values(bench, k)
    )


# Both forms of subscription, by hand.


def by_hand(bench, kind, version, form):
    """A raw subscriber says what it wants, in the form of 3.0 or of 3.1."""
    publisher = bench.ours(kind)
    raw = bench.raw(publisher.bind(bench.any("tcp")))
    raw.shake_hands("sub", version=version)

    def tell(begins, topic):
        if form == "a message":
            raw.send((ON if begins else OFF) + topic)
        else:
            raw.command(b"SUBSCRIBE" if begins else b"CANCEL", topic)

    def known():
        return publisher.topics()

    tell(True, b"A")
    tell(True, b"")
    until("both topics are known", lambda: known() == {b"A": 1, b"": 1})
    publisher.send([b"whatever", pattern(300)])
    same(raw.recv(), [b"whatever", pattern(300)], "what was heard")
    tell(False, b"")
    tell(False, b"never")
    until("one topic is left", lambda: known() == {b"A": 1})
    publisher.send([b"whatever"])
    publisher.send([b"ABC", b"body"])
    same(raw.recv(), [b"ABC", b"body"], "what was heard then")
    tell(True, b"A")
    tell(False, b"A")
    tell(True, b"B")
    until("the duplicate has gone, its first has not", lambda: known() == {b"A": 1, b"B": 1})
    raw.close()
    until("they have gone with the peer", lambda: known() == {})
    same(publisher.stats()["closes.peer-closed"], 1, "how the connection ended")


for _kind, (_version, _form) in itertools.product(
    PUBLISHERS,
    (((3, 0), "a message"), ((3, 1), "a message"), ((3, 1), "a command")),
):
    case(f"raw-{_version[0]}.{_version[1]} {_kind} takes a subscription as {_form}")(
        lambda bench, k=_kind, v=_version, f=_form: by_hand(bench, k, v, f)
    )


def tells(bench, kind, version):
    """Ours subscribes at a raw publisher, in the form that its version has."""
    subscriber = bench.ours(kind)
    listener = bench.listener()
    subscribe(subscriber, b"early")
    subscriber.connect(listener.endpoint)
    raw = bench.keep(listener.accept())
    raw.shake_hands("pub", version=version)

    def expect(begins, topic):
        if version == (3, 0):
            same(raw.recv(), [(ON if begins else OFF) + topic], "the subscription")
            same(raw.commands, [], "commands")
            return
        name = "SUBSCRIBE" if begins else "CANCEL"
        # A newcomer's round trip is measured meanwhile.
        while (found := raw.expect_command())[0] == "PING":
            pass
        same(found, (name, topic), "the subscription")

    expect(True, b"early")
    for begins, topic in ((True, b"late"), (True, b""), (False, b"early"), (True, pattern(200))):
        (subscribe if begins else unsubscribe)(subscriber, topic)
        expect(begins, topic)
    subscribe(subscriber, b"late")
    unsubscribe(subscriber, b"late")
    check(raw.quiet(), "a duplicate was told")
    unsubscribe(subscriber, b"")
    expect(False, b"")
    raw.send(b"late news", b"body")
    same(subscriber.recv()[1], [b"late news", b"body"], "what was heard")
    raw.send(b"early news", b"not wanted any more")
    raw.send(b"late", b"wanted")
    if kind == "xsub":
        # It is half of a device: what it is sent, it receives.
        same(subscriber.recv()[1], [b"early news", b"not wanted any more"], "what was passed on")
    same(subscriber.recv()[1], [b"late", b"wanted"], "what was heard then")
    same(subscriber.stats()["dropped.filtered"], int(kind == "sub"), "what was filtered")


for _kind, _version in itertools.product(("sub", "xsub"), ((3, 0), (3, 1))):
    case(f"raw-{_version[0]}.{_version[1]} {_kind} subscribes in the form of that version")(
        lambda bench, k=_kind, v=_version: tells(bench, k, v)
    )

HOSTILE = [
    ("a message to a PUB", "pub", {}, lambda raw: raw.send(b"hello"), "unexpected-message"),
    (
        "a topic over the limit, as a command",
        "pub",
        {"topic_bytes_max": 10},
        lambda raw: raw.command(b"SUBSCRIBE", bytes(11)),
        "topic-too-long",
    ),
    (
        "a topic over the limit, as a message",
        "xpub",
        {"topic_bytes_max": 10},
        lambda raw: raw.send(ON + bytes(11)),
        "topic-too-long",
    ),
    (
        "more topics than it may",
        "pub",
        {"subscriptions_max": 3},
        lambda raw: [raw.command(b"SUBSCRIBE", b"%d" % number) for number in range(4)],
        "too-many-subscriptions",
    ),
    ("a message to a PUSH", "push", {}, lambda raw: raw.send(b"hello"), "unexpected-message"),
]


def hostile(bench, kind, options, act, reason):
    """That peer is closed and counted; a good one beside it does not notice."""
    ours = bench.ours(kind, **options)
    endpoint = ours.bind(bench.any("tcp"))
    good = bench.theirs("pull" if kind == "push" else "sub")
    good.connect(endpoint)
    if kind == "push":
        ours.event("Connected")
    else:
        subscribe(good, b"good")
        settle(ours, good, b"good")
    raw = bench.raw(endpoint)
    raw.shake_hands(good.kind)
    act(raw)
    raw.expect_end()
    until("it is counted", lambda: ours.stats()[f"closes.{reason}"] == 1)
    ours.send([b"good", b"news"])
    same(hear(good), [b"good", b"news"], "what the good one heard")


for _name, _kind, _options, _act, _reason in HOSTILE:
    case(f"raw-3.1 {_name} closes that peer as {_reason}")(
        lambda bench, k=_kind, o=_options, a=_act, r=_reason: hostile(bench, k, o, a, r)
    )


@case("libzmq sub misses nothing that is published after its XPUB was told")
def no_race(bench):
    """Told to the program means known to the socket: a hundred times, no probes."""
    publisher = bench.ours("xpub")
    endpoint = publisher.bind(bench.any("tcp"))
    for number in range(100):
        subscriber = bench.theirs("sub")
        subscribe(subscriber, b"%d." % number)
        subscriber.connect(endpoint)
        told(publisher, ON + b"%d." % number)
        publisher.send([b"%d.news" % number])
        same(subscriber.recv()[1], [b"%d.news" % number], "what was heard")
        subscriber.close()
        told(publisher, OFF + b"%d." % number)


@case("libzmq xsub that disconnects is told to nobody, and told again")
def leaves_and_returns(bench):
    """Our end takes its connection back and makes it anew: libzmq is told all over."""
    publisher = bench.theirs("xpub")
    endpoint = publisher.bind(bench.any("tcp"))
    subscriber = bench.ours("sub")
    subscribe(subscriber, b"A")
    for _ in range(3):
        subscriber.connect(endpoint)
        told(publisher, ON + b"A")
        publisher.send([b"A", b"news"])
        same(subscriber.recv()[1], [b"A", b"news"], "what was heard")
        subscriber.disconnect(endpoint)
        told(publisher, OFF + b"A")


@case("libzmq sub does not subscribe where it was refused")
def refused(bench):
    """A publisher that takes few topics closes our subscriber, which sees why in its monitor."""
    publisher = bench.ours("pub", subscriptions_max=2)
    endpoint = publisher.bind(bench.any("tcp"))
    greedy = bench.theirs("sub", reconnect_ivl=-1)
    greedy.connect(endpoint)
    subscribe(greedy, b"1", b"2")
    settle(publisher, greedy, b"2")
    subscribe(greedy, b"3")
    words = publisher.event("Disconnected")
    if words[2] != "too-many-subscriptions":
        raise Failed(f"closed as {words[2]}")
