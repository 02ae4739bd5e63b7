"""PUSH, PULL and PAIR: turns, limits, peers that go and come or are not there, and the second peer
of a PAIR. The scenarios of libzmq's tests of pipelines and of immediate are among these."""

import itertools

import zmq

from kit.cases import case
from kit.exchange import arrived, expect_refusal, fill_up
from kit.waiting import WATCH_S, Clock, Silence, check, same, until
from kit.wire import pattern

from .limits import BODY, KIB, slack
from .restarts import QUICK
from .slow import SMALL


@case("libzmq push gives its peers work in turn")
def in_turn(bench):
    """Three peers, nine messages: three each, and each in its order."""
    push = bench.ours("push")
    pulls = [bench.theirs("pull") for _ in range(3)]
    for pull in pulls:
        push.connect(pull.bind(bench.any("tcp")))
        push.event("Connected")
    for number in range(9):
        push.send([b"%d" % number])
    for pull in pulls:
        numbers = [int(pull.recv()[1][0]) for _ in range(3)]
        same([b - a for a, b in zip(numbers, numbers[1:])], [3, 3], "the turns of one peer")
        check(pull.silent(0), "more than its share")


@case("libzmq pull takes from its peers fairly")
def fairly(bench):
    """What three peers have sent before the first is received is taken in turn."""
    pull = bench.ours("pull")
    endpoint = pull.bind(bench.any("tcp"))
    pushes = [bench.theirs("push") for _ in range(3)]
    turn = pattern(16 * KIB)
    for number, push in enumerate(pushes):
        push.connect(endpoint)
        for _ in range(20):
            push.send([b"%d" % number, turn])
    until("everything has come in", lambda: pull.stats()["recv_queue"] == 60)
    first = [int(pull.recv()[1][0]) for _ in range(30)]
    shares = [first.count(number) for number in range(3)]
    check(max(shares) - min(shares) <= 2, f"shares of the first half: {shares}")


def blocks(bench, kind, transport):
    """A peer that does not read: ours stops at its limit, and loses nothing of what it took."""
    ours = bench.ours(kind, **SMALL)
    theirs = bench.theirs("pull" if kind == "push" else "pair", rcvhwm=20, rcvbuf=8 * KIB)
    ours.connect(theirs.bind(bench.any(transport)))
    ours.event("Connected")
    sent = fill_up(ours, [BODY])
    check(20 <= sent <= 40 + slack(len(BODY)), f"{sent} messages were taken")
    expect_refusal("Timeout", ours.send, [b"one more"], seconds=0.05)
    ours.program.post(f"send {ours.name} 5000 =01")
    for _ in range(sent):
        same(theirs.recv()[1], [BODY], "a message that was taken")
    ours.program.answer()
    same(theirs.recv()[1], [b"\1"], "the message that waited for room")
    check(theirs.silent(WATCH_S), "a message that was refused has been sent")


def held_back(bench, kind, transport):
    """The other way: ours does not receive, and libzmq is held back and loses nothing."""
    ours = bench.ours(kind, recv_messages_max=20, recv_buffer_bytes=8 * KIB)
    theirs = bench.theirs("push" if kind == "pull" else "pair", sndhwm=20, sndbuf=8 * KIB)
    theirs.connect(ours.bind(bench.any(transport)))
    theirs.connected()
    sent, clock = 0, Clock(WATCH_S)
    while clock.left() > 0:
        if theirs.try_send([b"%d" % sent, BODY]):
            sent, clock = sent + 1, Clock(WATCH_S)
    check(sent <= 40 + 20 + slack(len(BODY)), f"libzmq got rid of {sent} messages")
    for number in range(sent):
        same(ours.recv()[1], [b"%d" % number, BODY], "the messages in their order")
    theirs.send([b"more"])
    same(ours.recv()[1], [b"more"], "the next message")


for _transport in ("tcp", "ipc"):
    for _kind in ("push", "pair"):
        case(f"libzmq hwm: {_transport} our {_kind} waits at its limit")(
            lambda bench, k=_kind, t=_transport: blocks(bench, k, t)
        )
    for _kind in ("pull", "pair"):
        case(f"libzmq hwm: {_transport} our {_kind} holds libzmq back")(
            lambda bench, k=_kind, t=_transport: held_back(bench, k, t)
        )


@case("libzmq hwm: push passes over a pull that is full")
def passes_over(bench):
    """One does not read: the other gets everything from then on, and nothing is lost."""
    push = bench.ours("push", **SMALL)
    stuck = bench.theirs("pull", rcvhwm=10, rcvbuf=8 * KIB)
    push.connect(stuck.bind(bench.any("tcp")))
    push.event("Connected")
    sent = fill_up(push, [BODY])
    reader = bench.theirs("pull")
    push.connect(reader.bind(bench.any("tcp")))
    push.event("Connected")
    for number in range(300):
        push.send([b"%d" % number])
    numbers = []
    while (frames := arrived(reader, WATCH_S)) is not None:
        numbers.append(int(frames[0]))
    check(len(numbers) > 270, f"only {len(numbers)} of 300 went to the one that reads")
    same(numbers, sorted(numbers), "the messages in their order")
    for _ in range(sent):
        same(stuck.recv()[1], [BODY], "a message that waited")
    while (frames := arrived(stuck, WATCH_S)) is not None:
        numbers.append(int(frames[0]))
    same(sorted(numbers), list(range(300)), "all of the messages")


@case("libzmq push without a peer waits, and drops nothing")
def nobody(bench):
    """Bound, nobody there: refused at once and in time, and sent as soon as somebody comes."""
    push, pull = bench.ours("push"), bench.theirs("pull")
    endpoint = push.bind(bench.any("tcp"))
    same(push.fill(1, [b"at once"]), (0, "NoPeer"), "sending at once to nobody")
    expect_refusal("Timeout", push.send, [b"in time"], seconds=0.05)
    push.program.post(f"send {push.name} 5000 =01")
    pull.connect(endpoint)
    push.program.answer()
    same(pull.recv()[1], [b"\1"], "the message that waited")
    check(pull.silent(WATCH_S), "a message that was refused has been sent")


def killed_and_back(bench, transport):
    """A PULL that is killed and comes back: the others go on meanwhile, and so does it then."""
    push = bench.ours("push", send_messages_max=2000)
    endpoint = push.bind(bench.any(transport))
    pulls = [bench.ours("pull", bench.program()) for _ in range(2)]
    reader = bench.theirs("pull")
    victim = pulls.pop()
    for pull in (victim, *pulls, reader):
        pull.connect(endpoint)
        push.event("Connected")
    number = 0

    def send(count):
        nonlocal number
        for _ in range(count):
            push.send([b"%d" % number])
            number += 1
        return [n for n in range(number - count, number)]

    def take(pull):
        numbers = []
        while (frames := arrived(pull, 0.05)) is not None:
            numbers.append(int(frames[0]))
        same(numbers, sorted(set(numbers)), "what one has heard, in its order")
        return numbers

    sent = send(90)
    got = [take(pull) for pull in (victim, *pulls, reader)]
    same([len(each) for each in got], [30, 30, 30], "the shares of three")
    same(sorted(sum(got, [])), sent, "all that was sent")
    victim.program.kill()
    push.event("Disconnected")
    sent = send(60)
    got = [take(pull) for pull in (*pulls, reader)]
    same([len(each) for each in got], [30, 30], "the shares of two")
    same(sorted(sum(got, [])), sent, "all that was sent meanwhile")
    back = bench.ours("pull", bench.program())
    back.connect(endpoint)
    push.event("Connected")
    sent = send(90)
    got = [take(pull) for pull in (back, *pulls, reader)]
    same([len(each) for each in got], [30, 30, 30], "the shares of three again")
    same(sorted(sum(got, [])), sent, "all that was sent at last")
    same(push.stats()["dropped.peer-gone"], 0, "messages that were dropped")


def theirs_gone(bench):
    """libzmq's PULL goes with a full queue: what was queued for it is dropped and counted."""
    push = bench.ours("push", **SMALL)
    endpoint = push.bind(bench.any("tcp"))
    pull = bench.theirs("pull", rcvhwm=10, rcvbuf=8 * KIB)
    pull.connect(endpoint)
    push.event("Connected")
    sent = fill_up(push, [BODY])
    pull.close()
    push.event("Disconnected")
    stats = push.stats()
    check(stats["dropped.peer-gone"] >= 20, f"dropped and counted: {dict(stats)}")
    same(stats["written"] + stats["dropped.peer-gone"], sent, "the books")
    late = bench.theirs("pull")
    late.connect(endpoint)
    push.send([b"new"])
    same(late.recv()[1], [b"new"], "what the next one gets")
    check(late.silent(WATCH_S), "what was another's came to it")


for _transport in ("tcp", "ipc"):
    case(f"libzmq {_transport} push goes on while a pull is killed, and when it is back")(
        lambda bench, t=_transport: killed_and_back(bench, t)
    )
case("libzmq push counts what was queued for a pull that has gone")(theirs_gone)


def sent_and_gone(bench, beat):
    """A PUSH of libzmq's that has sent everything and closed, while ours does not receive: what
    its kernel still holds comes once there is room. Anything that ours writes to it meanwhile
    would be answered by a reset, and that would be the end of it."""
    pull = bench.ours("pull", recv_messages_max=100, **beat)
    count = 100_000
    push = bench.worker("push", pull.bind(bench.any("tcp")), count)
    same(push.line(), "ready", "what it says")
    push.end()
    pull.event("Connected")
    # Many intervals of the heartbeats.
    check(bench.theirs("pull").silent(2 * WATCH_S), "something came from nowhere")
    same(pull.drain(0.5), count, "messages that were received")


for _name, _beat in (
    ("off", {"heartbeat_interval": "off"}),
    ("on", {"heartbeat_interval": 20, "heartbeat_timeout": 5000}),
):
    case(f"libzmq pull receives all from a push that has sent and gone, heartbeats={_name}")(
        lambda bench, b=_beat: sent_and_gone(bench, b)
    )


def restarted(bench, kinds):
    """libzmq is bound, closes and comes back: ours connects again, and nothing is left out."""
    endpoint = bench.place("tcp")
    ours = bench.ours(kinds[0], **QUICK)
    ours.connect(endpoint)
    for life in range(3):
        theirs = bench.theirs(kinds[1])
        theirs.rebind(endpoint)
        ours.event("Connected")
        for sender, receiver in ((ours, theirs), (theirs, ours)):
            if sender.kind != "pull" and receiver.kind != "push":
                sender.send([b"life", b"%d" % life])
                same(receiver.recv()[1], [b"life", b"%d" % life], "what was received")
        theirs.close()
        ours.event("Disconnected")


for _kinds in (("push", "pull"), ("pull", "push"), ("pair", "pair")):
    case(f"libzmq tcp our {_kinds[0]} comes back to a {_kinds[1]} that was restarted")(
        lambda bench, k=_kinds: restarted(bench, k)
    )


# Immediate: whom messages are queued for.


@case("libzmq immediate: without it, half of the work waits for a peer that is not there")
def not_immediate(bench):
    """Two endpoints, nobody at one of them: ten messages, five arrive, five wait."""
    push, pull = bench.ours("push", linger=0), bench.theirs("pull")
    push.connect(pull.bind(bench.any("tcp")))
    push.connect(bench.place("tcp"))
    push.event("Connected")
    for _ in range(10):
        push.send([b"work"])
    for _ in range(5):
        same(pull.recv()[1], [b"work"], "what arrives")
    check(pull.silent(WATCH_S), "more arrived than a half")
    same(push.stats()["send_queue"], 5, "what waits")
    same(push.close(), 5, "what is left when it closes")


@case("libzmq immediate: with it, all of the work goes to the peer that is there")
def immediate(bench):
    """The same two endpoints: ten messages, ten arrive."""
    push, pull = bench.ours("push", immediate=True), bench.theirs("pull")
    push.connect(pull.bind(bench.any("tcp")))
    push.connect(bench.place("tcp"))
    push.event("Connected")
    for _ in range(10):
        push.send([b"work"])
    for _ in range(10):
        same(pull.recv()[1], [b"work"], "what arrives")
    check(pull.silent(0), "more arrived than was sent")
    same(push.close(), 0, "what is left when it closes")


@case("libzmq immediate: refused while the only peer is away, taken when it is back")
def away(bench):
    """The peer goes: ours refuses at once; it comes back: sending works without further ado."""
    endpoint = bench.place("tcp")
    push = bench.ours("push", immediate=True, **QUICK)
    first = bench.theirs("pull")
    first.bind(endpoint)
    push.connect(endpoint)
    push.send([b"to the first"])
    same(first.recv()[1], [b"to the first"], "what the first got")
    first.close()
    push.event("Disconnected")
    same(push.fill(1, [b"to nobody"])[0], 0, "what was taken while nobody was there")
    second = bench.theirs("pull")
    second.rebind(endpoint)
    push.send([b"to the second"])
    same(second.recv()[1], [b"to the second"], "what the second got")
    check(second.silent(WATCH_S), "what was refused has been sent")


@case("libzmq immediate: libzmq's push with it talks to our pull that comes and goes")
def their_immediate(bench):
    """The other way: nothing that libzmq takes while ours is there is lost."""
    endpoint = bench.place("tcp")
    push = bench.theirs("push", immediate=1)
    push.connect(endpoint)
    check(not push.try_send([b"to nobody"]), "libzmq took a message for nobody")
    for _ in range(3):
        pull = bench.ours("pull")
        until("the place is free", lambda p=pull: binds(p, endpoint))
        push.send([b"work"])
        same(pull.recv()[1], [b"work"], "what ours got")
        pull.close()
        push.event(zmq.EVENT_DISCONNECTED)


def binds(ours, endpoint):
    """Whether the endpoint could be bound."""
    try:
        ours.bind(endpoint)
    except Exception as error:  # it says so in words of its own
        if "in use" not in str(error):
            raise
        return False
    return True


# PAIR.


def only_two(bench, transport, binds_ours):
    """The second is refused and waits; when the first has gone, it is the one."""
    ours = bench.ours("pair", **QUICK)
    first, second = bench.theirs("pair"), bench.theirs("pair")
    if binds_ours:
        endpoint = ours.bind(bench.any(transport))
        first.connect(endpoint)
        ours.event("Connected")
        second.connect(endpoint)
    else:
        ours.connect(first.bind(bench.any(transport)))
        ours.event("Connected")
        second.connect(ours.bind(bench.any(transport)))
    until("the second is refused", lambda: ours.stats()["closes.pair-taken"] >= 1)
    for number in range(10):
        ours.send([b"%d" % number])
        same(first.recv()[1], [b"%d" % number], "what the first received")
        first.send([b"back", b"%d" % number])
        same(ours.recv()[1], [b"back", b"%d" % number], "what ours received")
    check(second.silent(0), "the second received something")
    first.close()
    ours.event("Disconnected")
    if binds_ours:
        ours.event("Connected")
        ours.send([b"to the second"])
        same(second.recv()[1], [b"to the second"], "what the second received")
        second.send([b"from the second"])
        same(ours.recv()[1], [b"from the second"], "what ours received")


for _transport, _binds in itertools.product(("tcp", "ipc"), (True, False)):
    _where = "binds" if _binds else "has connected"
    case(f"libzmq {_transport} pair that {_where} refuses a second one")(
        lambda bench, t=_transport, b=_binds: only_two(bench, t, b)
    )


@case("libzmq pair that is one too many for libzmq's comes in by a new connection")
def our_second(bench):
    """libzmq lets its connection stand and hears nothing by it: the first is not disturbed, and
    once it has gone, ours gets in by connecting anew."""
    theirs = bench.theirs("pair")
    endpoint = theirs.bind(bench.any("tcp"))
    first, second = bench.ours("pair"), bench.ours("pair", **QUICK)
    first.connect(endpoint)
    first.send([b"one"])
    same(theirs.recv()[1], [b"one"], "what libzmq received")
    second.connect(endpoint)
    second.event("Connected")
    second.send([b"one too many"])
    check(theirs.silent(WATCH_S), "libzmq received it")
    first.send([b"still"])
    same(theirs.recv()[1], [b"still"], "what libzmq received from the first")
    theirs.send([b"back"])
    same(first.recv()[1], [b"back"], "what the first received")
    first.close()
    theirs.event(zmq.EVENT_DISCONNECTED)
    # libzmq parts from the first in steps, and turns away who comes in between.
    for _ in range(20):
        second.disconnect(endpoint)
        second.connect(endpoint)
        second.send([b"two"])
        try:
            came = theirs.recv(seconds=WATCH_S)[1]
        except Silence:
            continue
        return same(came, [b"two"], "what libzmq received then")
    raise Silence("ours never got in")
