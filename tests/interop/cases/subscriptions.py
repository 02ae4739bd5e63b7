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
from kit.waiting import check, same, until
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
    ours = bench.ours(kinds[0], **dict(ours_has))
    theirs = bench.theirs(kinds[1], **dict(theirs_has))
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
    ours = bench.ours(kinds[0], **(QUICK if kinds[0] not in PUBLISHERS else {}))
    theirs = bench.theirs(kinds[1])
    publisher, subscriber = (ours, theirs) if kinds[0] in PUBLISHERS else (theirs, ours)
    subscribe(subscriber, b"a", b"dropped", b"b")
    unsubscribe(subscriber, b"dropped")
    publisher.connect(subscriber.bind(bench.any("tcp")))
    settle(publisher, subscriber, b"b")
    got = heard(publisher, subscriber, b"b", [b"a", b"dropped", b"b"])
    same(got, [b"a", b"b"], "what was heard")


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
