"""Subscribers that do not read, and sockets that keep only the last message: who misses what, and
that it is counted."""

import itertools

from kit.cases import case
from kit.exchange import arrived, hear, hear_all, meet, settle, subscribe
from kit.waiting import WATCH_S, check, same, until

from .limits import BODY, KIB, slack

SMALL = {"send_messages_max": 20, "send_buffer_bytes": 8 * KIB}


def slow_subscriber(bench, kind, transport, policy):
    """A SUB of libzmq's that does not read, between two that do: those hear everything."""
    publisher = bench.ours(kind, slow_subscriber=policy, **SMALL)
    endpoint = publisher.bind(bench.any(transport))
    slow = bench.theirs("sub", rcvhwm=10, rcvbuf=8 * KIB, reconnect_ivl=-1)
    others = [bench.theirs("sub", rcvhwm=0) for _ in range(2)]
    for subscriber in (slow, *others):
        subscriber.connect(endpoint)
        subscribe(subscriber, b"")
        settle(publisher, subscriber)
    sent = 30 + slack(len(BODY)) + 300
    for number in range(sent):
        publisher.send([b"%d" % number, BODY])
        for subscriber in others:
            same(hear(subscriber), [b"%d" % number, BODY], "what a reader heard")
    stats = publisher.stats()
    if policy == "disconnect":
        until("it has gone", lambda: publisher.stats()["closes.slow-subscriber"] == 1)
        same(publisher.stats()["peers"], 2, "peers that are left")
        return
    dropped = stats["dropped.slow-subscriber"]
    check(dropped > 0, f"nothing was dropped: {dict(stats)}")
    # Probes are among them, to any of the three; every message that is missing has been counted.
    numbers = []
    while (frames := arrived(slow, WATCH_S)) is not None:
        if len(frames[1]) == len(BODY):
            numbers.append(int(frames[0]))
    same(numbers, sorted(set(numbers)), "what the slow one heard, in its order")
    same(sent - len(numbers), dropped, "what it missed, and what was counted")
    publisher.send([b"again"])
    same(hear(slow), [b"again"], "what it hears once it reads")


for _kind, _transport, _policy in itertools.product(
    ("pub", "xpub"), ("tcp", "ipc"), ("drop", "disconnect")
):
    case(f"libzmq {_transport} {_kind} has a subscriber that does not read: {_policy}")(
        lambda bench, k=_kind, t=_transport, p=_policy: slow_subscriber(bench, k, t, p)
    )


@case("libzmq sub of ours that does not read misses what libzmq drops, and hears the rest in order")
def our_slow_one(bench):
    """The other way: our limit holds libzmq back, which drops for that one subscriber."""
    publisher = bench.theirs("pub", sndhwm=20, sndbuf=8 * KIB)
    endpoint = publisher.bind(bench.any("tcp"))
    slow = bench.ours("sub", recv_messages_max=20, recv_buffer_bytes=8 * KIB)
    reader = bench.ours("sub")
    for subscriber in (slow, reader):
        subscriber.connect(endpoint)
        subscribe(subscriber, b"")
        settle(publisher, subscriber)
    sent = 40 + slack(len(BODY)) + 200
    for number in range(sent):
        publisher.send([b"%d" % number, BODY])
        same(hear(reader), [b"%d" % number, BODY], "what the reader heard")
    waiting = slow.stats()["recv_queue"]
    check(waiting <= 20 + 64 * KIB // len(BODY) + 16, f"{waiting} messages wait in ours")
    numbers = []
    while (frames := arrived(slow, WATCH_S)) is not None:
        if len(frames[1]) == len(BODY):
            numbers.append(int(frames[0]))
    same(numbers, sorted(set(numbers)), "what the slow one heard, in its order")
    check(20 <= len(numbers) < sent, f"{len(numbers)} of {sent} were heard")


def conflated(bench, kinds):
    """Only the last is kept: at the end that ours is."""
    ours, theirs = bench.ours(kinds[0], conflate=True), bench.theirs(kinds[1])
    sender, receiver = (ours, theirs) if kinds[0] in ("pub", "push") else (theirs, ours)
    meet(receiver, sender, bench.any("tcp"))
    if kinds[0] == "sub":
        subscribe(ours, b"")
        settle(sender, ours)
    if kinds[0] == "push":
        ours.event("Connected")
    if sender is theirs:
        for number in range(100):
            sender.send([b"%d" % number, b"body"])
        until("all have come", lambda: ours.stats()["recv_queue"] == 1 and told_last(ours, 100))
        same(hear(ours), [b"99", b"body"], "the last one")
        same(arrived(ours, WATCH_S), None, "what else there was")
        return
    for number in range(100):
        sender.send([b"%d" % number, b"body"])
    numbers = []
    while not numbers or numbers[-1] != 99:
        numbers.append(int(hear(theirs)[0]))
    same(numbers, sorted(set(numbers)), "what arrived, in its order")
    same(ours.stats()["dropped.conflated"], 100 - len(numbers), "what gave place")


def told_last(ours, count):
    """Whether so many messages have come in, probes aside."""
    return ours.stats()["arrived"] >= count


for _kinds in (("sub", "pub"), ("pull", "push"), ("push", "pull")):
    case(f"libzmq {_kinds[0]}-{_kinds[1]} a conflating {_kinds[0]} keeps the last message")(
        lambda bench, k=_kinds: conflated(bench, k)
    )


@case("libzmq hwm: a limit of one message is enough for one at a time")
def least(bench):
    """Queues of one message each: whatever is heard is in order, and the last always is."""
    publisher = bench.ours("pub", send_messages_max=1)
    subscriber = bench.theirs("sub", rcvhwm=1)
    subscriber.connect(publisher.bind(bench.any("tcp")))
    subscribe(subscriber, b"t")
    settle(publisher, subscriber, b"t")
    for number in range(100):
        publisher.send([b"t", b"%d" % number])
        same(hear(subscriber), [b"t", b"%d" % number], "one at a time is always heard")
    same(hear_all(publisher, subscriber, b"t"), [], "what else there was")
