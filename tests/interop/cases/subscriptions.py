"""What subscribers hear and publishers are told: prefixes, both forms of subscription, comings
and goings. The scenarios of libzmq's tests of subscriptions are among these."""

import itertools

from kit.cases import case
from kit.exchange import (
    arrived,
    hear,
    hear_all,
    settle,
    subscribe,
    unsubscribe,
)
from kit.waiting import WATCH_S, Failed, check, same, until
from kit.wire import pattern

from .restarts import QUICK, rebind

ENDS = [
    ("pub", "sub"),
    ("sub", "pub"),
    ("pub", "xsub"),
    ("xsub", "pub"),
    ("xpub", "sub"),
    ("sub", "xpub"),
    ("xpub", "xsub"),
    ("xsub", "xpub"),
]
PUBLISHERS = ("pub", "xpub")
ON, OFF = b"\1", b"\0"


def met(bench, kinds, ours_has=(), theirs_has=()):
    """A publisher and its subscriber: the first of the kinds is ours. The publisher binds."""
    ours, theirs = bench.ours(kinds[0], **dict(ours_has)), bench.theirs(kinds[1], **dict(theirs_has))
    publisher, subscriber = (ours, theirs) if kinds[0] in PUBLISHERS else (theirs, ours)
    endpoint = publisher.bind(bench.any("tcp"))
    subscriber.connect(endpoint)
    return publisher, subscriber, endpoint


def other(bench, like, **options):
    """One more of whoever that one belongs to."""
    return (bench.ours if like.whose == "ours" else bench.theirs)(like.kind, **options)


def heard(publisher, subscriber, topic, texts):
    """Publishes a message of each text: what the subscriber, who has the topic, hears of it."""
    for text in texts:
        publisher.send([text, b"body"])
    return [frames[0] for frames in hear_all(publisher, subscriber, topic)]


def prefixes(bench, kinds):
    """A topic is a prefix of the first frame: nothing more, and nothing of the others."""
    publisher, subscriber, _ = met(bench, kinds)
    subscribe(subscriber, b"ab", b"x")
    settle(publisher, subscriber, b"x")
    texts = [b"", b"a", b"ab", b"abc", b"b", b"ba", b"aab", b"AB", b"x", b"\0x", b"xx", b"\xff"]
    same(heard(publisher, subscriber, b"x", texts), [b"ab", b"abc", b"x", b"xx"], "what was heard")
    publisher.send([b"other", b"ab"])
    same(hear_all(publisher, subscriber, b"x"), [], "what has its topic in the second frame")


def everything(bench, kinds):
    """An empty topic is everything, empty frames too; without it the others still hold."""
    publisher, subscriber, _ = met(bench, kinds)
    subscribe(subscriber, b"", b"keep")
    settle(publisher, subscriber)
    texts = [b"", b"a", b"\0", pattern(300, 5), b"keep"]
    same(heard(publisher, subscriber, b"keep", texts), texts, "what was heard")
    unsubscribe(subscriber, b"")
    gone(publisher, subscriber, b"a", b"keep")
    same(heard(publisher, subscriber, b"keep", texts), [b"keep"], "what was heard then")


def gone(publisher, subscriber, topic, kept):
    """Waits until nothing of a topic comes any more: the subscriber has another one."""
    until(
        f"{topic} is not heard any more",
        lambda: not heard(publisher, subscriber, kept, [topic]),
    )


def taken_back(bench, kinds):
    """What was unsubscribed is heard no more, and can be had again."""
    publisher, subscriber, _ = met(bench, kinds)
    subscribe(subscriber, b"a", b"b", b"c")
    settle(publisher, subscriber, b"c")
    same(heard(publisher, subscriber, b"c", [b"a", b"b"]), [b"a", b"b"], "what was heard")
    unsubscribe(subscriber, b"a")
    gone(publisher, subscriber, b"a", b"c")
    same(heard(publisher, subscriber, b"c", [b"a", b"b"]), [b"b"], "what was heard then")
    subscribe(subscriber, b"a")
    until("it is heard again", lambda: heard(publisher, subscriber, b"c", [b"a"]) == [b"a"])
    unsubscribe(subscriber, b"never subscribed to")
    same(heard(publisher, subscriber, b"c", [b"a", b"b"]), [b"a", b"b"], "what was heard at last")


def twice(bench, kinds):
    """Subscribed to twice, heard once; taken back once, heard still."""
    publisher, subscriber, _ = met(bench, kinds)
    subscribe(subscriber, b"a", b"a", b"ab", b"z")
    settle(publisher, subscriber, b"z")
    same(heard(publisher, subscriber, b"z", [b"abc"]), [b"abc"], "what was heard")
    unsubscribe(subscriber, b"a")
    settle(publisher, subscriber, b"z")
    same(heard(publisher, subscriber, b"z", [b"a", b"abc"]), [b"a", b"abc"], "after the first")
    unsubscribe(subscriber, b"a")
    if publisher.whose == "ours" and subscriber.kind == "xsub":
        # libzmq has told of two and of one end; it does not filter what an XSUB receives.
        return
    gone(publisher, subscriber, b"a", b"z")
    same(heard(publisher, subscriber, b"z", [b"a", b"abc"]), [b"abc"], "after the second")


def told_once(bench, kind):
    """libzmq tells of every subscription, but only of the last end of a duplicate. A publisher
    that counts, as the protocol has it, keeps such a topic until the peer goes: nothing that a
    subscriber wants is ever missed, and a SUB of libzmq's filters what it does not want."""
    publisher, subscriber = bench.ours("xpub"), bench.theirs(kind)
    tap = bench.tap("tcp", publisher.bind(bench.any("tcp")))
    subscriber.connect(tap.endpoint)
    for act in (subscribe, subscribe, unsubscribe, unsubscribe):
        act(subscriber, b"a")
    subscribe(subscriber, b"z")
    until("all that it says has come", lambda: b"z" in publisher.topics())
    # An XSUB of libzmq's says it by messages whatever the version.
    counts = tap.counts["up"]
    said = [counts["SUBSCRIBE"], counts["CANCEL"], counts["messages"]]
    same(said, [3, 1, 0] if kind == "sub" else [0, 0, 4], "what libzmq says")
    same(publisher.topics(), {b"a": 1, b"z": 1}, "the topics")
    subscriber.close()
    until("they have gone with the peer", lambda: publisher.topics() == {})


for _kind in ("sub", "xsub"):
    case(f"libzmq xpub-{_kind} a duplicate that libzmq ends once is kept until the peer goes")(
        lambda bench, k=_kind: told_once(bench, k)
    )


def several(bench, kinds):
    """Six subscribers with topics of their own; one goes, and the others hear what they heard."""
    publisher, first, endpoint = met(bench, kinds)
    subscribers = [first] + [other(bench, first) for _ in range(5)]
    for subscriber in subscribers[1:]:
        subscriber.connect(endpoint)
    for number, subscriber in enumerate(subscribers):
        subscribe(subscriber, b"all", b"own-%d" % number, b"half-%d" % (number % 2))
        settle(publisher, subscriber, b"half-%d" % (number % 2))
    texts = [b"all"] + [b"own-%d" % n for n in range(6)] + [b"half-0", b"half-1", b"none"]
    for there in (6, 3):
        for text in texts:
            publisher.send([text, b"body"])
        for number, subscriber in enumerate(subscribers[:there]):
            expected = [b"all", b"own-%d" % number, b"half-%d" % (number % 2)]
            got = [hear(subscriber)[0] for _ in expected]
            same(got, expected, f"what number {number} heard")
        if there == 6:
            for subscriber in subscribers[3:]:
                subscriber.close()
    for subscriber in subscribers[:3]:
        check(arrived(subscriber, 0.02) is None, "more than it has subscribed to")


def two_publishers(bench, kinds):
    """One subscriber, connected to two publishers: both are told, of what comes later too."""
    publisher, subscriber, _ = met(bench, kinds)
    second = other(bench, publisher)
    subscribe(subscriber, b"early")
    subscriber.connect(second.bind(bench.any("ipc")))
    subscribe(subscriber, b"late")
    for one in (publisher, second):
        for topic in (b"early", b"late"):
            settle(one, subscriber, topic)
            one.send([topic, b"news", topic])
            same(hear(subscriber), [topic, b"news", topic], "what was heard")


def before(bench, kinds):
    """Subscribed before there is any publisher, and by the side that binds."""
    ours, theirs = bench.ours(kinds[0], **(QUICK if kinds[0] not in PUBLISHERS else {})), None
    theirs = bench.theirs(kinds[1])
    publisher, subscriber = (ours, theirs) if kinds[0] in PUBLISHERS else (theirs, ours)
    subscribe(subscriber, b"a", b"dropped", b"b")
    unsubscribe(subscriber, b"dropped")
    publisher.connect(subscriber.bind(bench.any("tcp")))
    settle(publisher, subscriber, b"b")
    same(heard(publisher, subscriber, b"b", [b"a", b"dropped", b"b"]), [b"a", b"b"], "what was heard")


def thousands(bench, kinds, count=2000):
    """So many topics, and the half of them taken back. libzmq drops what its queue of
    subscriptions has no room for: it gets enough of it."""
    publisher, subscriber, _ = met(bench, kinds, theirs_has={"sndhwm": 0})
    topics = [b"topic-%d." % number for number in range(count)]
    subscribe(subscriber, *topics)
    settle(publisher, subscriber, topics[-1])
    wanted = topics[::50]
    same(heard(publisher, subscriber, topics[-1], wanted), wanted, "what was heard")
    unsubscribe(subscriber, *topics[: count // 2])
    gone(publisher, subscriber, topics[count // 2 - 1], topics[-1])
    same(heard(publisher, subscriber, topics[-1], wanted), wanted[len(wanted) // 2 :], "then")


for (_name, _function), _kinds in itertools.product(
    (
        ("hears what begins with its topics", prefixes),
        ("hears everything by an empty topic", everything),
        ("hears no more of what it took back", taken_back),
        ("hears once what it has twice", twice),
        ("is not alone: six with topics of their own", several),
        ("has two publishers", two_publishers),
        ("is bound and has subscribed before anybody came", before),
        ("has 2000 topics and takes the half back", thousands),
    ),
    ENDS,
):
    case(f"libzmq {_kinds[0]}-{_kinds[1]} the subscriber {_name}")(
        lambda bench, k=_kinds, f=_function: f(bench, k)
    )


def comes_back(bench, kinds, how):
    """The publisher dies and another one takes its place: what was subscribed to is told again,
    and what was taken back meanwhile is not."""
    endpoint = bench.place("tcp")
    ours_publishes = kinds[0] in PUBLISHERS
    subscriber = bench.theirs(kinds[1]) if ours_publishes else bench.ours(kinds[0], **QUICK)
    subscriber.connect(endpoint)
    subscribe(subscriber, b"a", b"old", b"z")
    for life in range(3):
        if ours_publishes:
            program = bench.program()
            publisher = bench.ours(kinds[0], program)
            rebind(publisher, endpoint)
        else:
            publisher = bench.theirs(kinds[1])
            publisher.rebind(endpoint)
        settle(publisher, subscriber, b"z")
        expected = [b"a", b"old"] if life == 0 else [b"a", b"new"]
        got = heard(publisher, subscriber, b"z", [b"a", b"old", b"new", b"none"])
        same(got, expected, f"what was heard in life {life}")
        if how == "killed" and ours_publishes:
            program.kill()
        else:
            publisher.close()
        if life == 0:
            if not ours_publishes:
                subscriber.event("Disconnected")
            unsubscribe(subscriber, b"old")
            subscribe(subscriber, b"new")


for _kinds in ENDS:
    for _how in ("killed", "closed") if _kinds[0] in PUBLISHERS else ("closed",):
        case(f"libzmq {_kinds[0]}-{_kinds[1]} subscriptions survive a publisher that was {_how}")(
            lambda bench, k=_kinds, h=_how: comes_back(bench, k, h)
        )


def subscriber_restarts(bench, kinds):
    """The subscriber dies; the next one has topics of its own, and nothing of the first."""
    endpoint = None
    ours_publishes = kinds[0] in PUBLISHERS
    publisher = bench.ours(kinds[0]) if ours_publishes else bench.theirs(kinds[1])
    endpoint = publisher.bind(bench.any("tcp"))
    for life in range(3):
        program = None if ours_publishes else bench.program()
        subscriber = bench.theirs(kinds[1]) if ours_publishes else bench.ours(kinds[0], program)
        subscriber.connect(endpoint)
        subscribe(subscriber, b"life-%d" % life, b"z")
        settle(publisher, subscriber, b"z")
        got = heard(publisher, subscriber, b"z", [b"life-%d" % n for n in range(3)])
        same(got, [b"life-%d" % life], "what was heard")
        if ours_publishes:
            subscriber.close()
            publisher.event("Disconnected")
            until("its topics have gone", lambda: not publisher.topics())
        else:
            program.kill()


for _kinds in ENDS:
    case(f"libzmq {_kinds[0]}-{_kinds[1]} topics go with a subscriber that was restarted")(
        lambda bench, k=_kinds: subscriber_restarts(bench, k)
    )


# What XPUB is told.


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
    """Who comes late is told the last of each topic that it asks for, once, and then what is new."""
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
        found = raw.expect_command()
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
