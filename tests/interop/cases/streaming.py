"""Work through `bl-streamer`, between libzmq's PUSH and PULL."""

import random

from kit.cases import case
from kit.exchange import SHAPES, arrived, flow
from kit.waiting import WATCH_S, Clock, check, same, until
from kit.wire import pattern

from .limits import BODY, KIB, slack

CONTROL = {"control": "tcp://127.0.0.1:*"}


def streamer(bench, transport="tcp", pull=(), **flags):
    """A streamer between two of libzmq's."""
    sides = {end: bench.any(transport) for end in ("frontend", "backend")}
    device = bench.device("bl-streamer", **(sides | flags))
    push, pull = bench.theirs("push"), bench.theirs("pull", **dict(pull))
    push.connect(device.at("frontend"))
    pull.connect(device.at("backend"))
    return device, push, pull


def in_between(bench, transport):
    """Messages of every shape, of many frames, and large ones."""
    device, push, pull = streamer(bench, transport)
    shapes = [*SHAPES, [b"%d" % n for n in range(1000)], [pattern(1 << 20), b"", b"end"]]
    flow(push, pull, shapes)
    moved, left = device.drains()
    same(moved["from_frontend"], len(shapes), "what was moved")
    same((moved["dropped"], left["unread"], left["unsent"]), (0, 0, 0), "the rest")


for _transport in ("tcp", "ipc"):
    case(f"libzmq {_transport} push - bl-streamer - pull")(
        lambda bench, t=_transport: in_between(bench, t)
    )


@case("libzmq bl-streamer connects to two PUSHes and to two PULLs")
def all_connect(bench):
    """They bind; the work of both senders is shared by both workers."""
    pushes = [bench.theirs("push") for _ in range(2)]
    pulls = [bench.theirs("pull") for _ in range(2)]
    sides = [
        ",".join(f">{each.bind(bench.any(t))}" for each in group)
        for group, t in ((pushes, "tcp"), (pulls, "ipc"))
    ]
    device = bench.device("bl-streamer", frontend=sides[0], backend=sides[1], **CONTROL)
    until("both are there", lambda: device.statistics()["backend"]["peers"] == 2)
    for number in range(20):
        pushes[number % 2].send([b"%d" % number])
    got = [[int(pull.recv()[1][0]) for _ in range(10)] for pull in pulls]
    same(sorted(sum(got, [])), list(range(20)), "all of the work")


@case("libzmq bl-streamer holds a PUSH back while nobody takes its work, and loses none")
def held_back(bench):
    """From end to end: a PULL that does not read stops libzmq's PUSH; then all of it arrives."""
    device, push, pull = streamer(
        bench, pull={"rcvhwm": 10, "rcvbuf": 8 * KIB}, queue_messages=10, **CONTROL
    )
    push.set(sndhwm=10)
    fresh = bench.theirs("push", sndhwm=10, sndbuf=8 * KIB)
    fresh.connect(device.at("frontend"))
    sent, clock = 0, Clock(2 * WATCH_S)
    while clock.left() > 0:
        if fresh.try_send([b"%d" % sent, BODY]):
            sent, clock = sent + 1, Clock(2 * WATCH_S)
    check(sent <= 100 + 3 * slack(len(BODY)), f"libzmq got rid of {sent} messages")
    for number in range(sent):
        same(pull.recv()[1], [b"%d" % number, BODY], "the work in its order")
    same(device.statistics()["from_frontend"]["messages"], sent, "what was moved")


@case("libzmq bl-streamer keeps work for workers that are not there yet")
def nobody_yet(bench):
    """Sent before any worker: taken when one comes, all of it, in order."""
    device = bench.device("bl-streamer")
    push = bench.theirs("push")
    push.connect(device.at("frontend"))
    for number in range(500):
        push.send([b"%d" % number])
    pull = bench.theirs("pull")
    pull.connect(device.at("backend"))
    for number in range(500):
        same(pull.recv()[1], [b"%d" % number], "the work in its order")


@case("libzmq control: bl-streamer holds work while it is paused")
def pause(bench):
    """PAUSE, RESUME, and the rest by TERMINATE."""
    device, push, pull = streamer(bench, **CONTROL)
    flow(push, pull, [[b"before"]])
    same(device.tell("PAUSE"), "OK", "the answer")
    for number in range(50):
        push.send([b"%d" % number])
    check(pull.silent(WATCH_S), "it passed while the device was paused")
    same(device.tell("RESUME"), "OK", "the answer")
    same([int(pull.recv()[1][0]) for _ in range(50)], list(range(50)), "what was held")
    same(device.tell("TERMINATE"), "OK", "the answer")
    same(device.ends()[0]["from_frontend"], 51, "what was moved")


@case("libzmq SIGTERM: bl-streamer hands on the work that was sent, and ends")
def drains(bench):
    """A flood, then the signal: everything that libzmq sent is there, or counted as left."""
    device, push, pull = streamer(bench)
    flow(push, pull, [[b"before"]])
    for number in range(900):
        push.send([b"%d" % number])
    moved, left = device.drains()
    got = []
    while (frames := arrived(pull, WATCH_S)) is not None:
        got.append(int(frames[0]))
    same(got, list(range(len(got))), "the work in its order")
    same(len(got), moved["from_frontend"] - 1, "what was moved")
    same((left["unsent"], left["unread"], moved["dropped"]), (0, 0, 0), "what is left")
    same(len(got), 900, "what was sent")


@case("libzmq SIGTERM: bl-streamer counts the work that nobody took")
def left_over(bench):
    """No worker: the device ends within its linger, and says what it had."""
    device = bench.device("bl-streamer", linger="300ms", **CONTROL)
    push = bench.theirs("push")
    push.connect(device.at("frontend"))
    for number in range(30):
        push.send([b"%d" % number])
    until("it has come", lambda: device.statistics()["frontend"]["arrived_messages"] == 30)
    moved, left = device.drains()
    same((moved["from_frontend"], left["unread"]), (0, 30), "what was moved, and what is left")


MESSAGES = 1_000_000
# When the worker is killed, and when it is back: the share of the messages that have passed.
KILLED, BACK = 0.3, 0.5
# What a worker may hold when it dies: the queue of its socket and of libzmq's pipe, of messages
# of 8 bytes, and two kernels' buffers.
IN_ITS_HANDS = 1000 + 2 * (4 << 20) // 10


def million(bench, transport):
    """A million numbers over three workers, of which one is killed and comes back.

    Every number that was handed to a living worker arrives once; the rest is counted: what was
    queued for the one that died as dropped, what had gone out to it as written.
    """
    device = bench.device(
        "bl-streamer", frontend=bench.any(transport), backend=bench.any(transport), **CONTROL
    )
    tallies = [f"{bench.folder}/tally-{number}" for number in range(4)]
    for path in tallies:
        with open(path, "wb") as file:
            file.truncate(MESSAGES)

    def worker(number):
        program = bench.worker("pull", device.at("backend"), tallies[number])
        same(program.line(), "ready", "what it says")
        return program

    def peers():
        return device.statistics()["backend"]["peers"]

    def passed(share):
        return device.statistics()["from_frontend"]["messages"] >= share * MESSAGES

    workers = [worker(number) for number in range(3)]
    until("three are there", lambda: peers() == 3)
    push = bench.worker("push", device.at("frontend"), MESSAGES)
    until("it is time to kill one", lambda: passed(KILLED), 60)
    workers[0].kill()
    until("two are left", lambda: peers() == 2)
    until("it is time to come back", lambda: passed(BACK), 60)
    workers[0] = worker(3)
    until("three are there again", lambda: peers() == 3)
    push.end(60)
    # All of it has left libzmq: if no more comes, no more will.
    standstill = settled(lambda: device.statistics()["from_frontend"]["messages"], 3)
    until("everything has passed", lambda: passed(1) or standstill(), 60)
    came = device.statistics()["frontend"]
    same(came["arrived_messages"], MESSAGES, f"messages that came in, closes {came['closes']}")
    counts = until(
        "everything has gone out",
        lambda: (b := device.statistics()["backend"])["send_queue_messages"] == 0 and b,
        60,
    )
    dropped = counts["dropped"].get("peer-gone", 0)
    same(counts["sent_messages"], MESSAGES, "messages that were handed to workers")
    same(counts["written_messages"] + dropped, MESSAGES, "those that went out, or were dropped")

    # What the living ones have got, once they have got it; what the dead one had.
    def living():
        return [counted(tallies[number]) for number in (1, 2, 3)]

    until("the living have got theirs", settled(living), 60)
    for program in workers:
        program.end()
    each = [read(path) for path in tallies]
    got = [MESSAGES - one.count(0) for one in each]
    sums = sum(int.from_bytes(one, "big") for one in each).to_bytes(MESSAGES, "big")
    times = {value: sums.count(value) for value in range(256) if sums.count(value)}
    bench.log.append(f"received {got}, times {times}, dropped {dropped}")
    check(set(times) <= {0, 1}, f"numbers that arrived so often: {times}")
    check(min(got) > MESSAGES * 0.05, f"somebody had next to nothing: {got}")
    missing = times.get(0, 0)
    # Out to the dead one, and not seen by it: the only other place where a message may be.
    in_its_hands = counts["written_messages"] - sum(got)
    same(missing, dropped + in_its_hands, "numbers that are missing, and those accounted for")
    check(0 <= in_its_hands <= IN_ITS_HANDS, f"{in_its_hands} went out and arrived nowhere")
    whole_turns(sums, each)
    device.signal()
    moved, left = device.ends()
    same(moved["from_frontend"], MESSAGES, "what was moved")
    same((moved["dropped"], left["unread"], left["unsent"]), (dropped, 0, 0), "the end")


def whole_turns(sums, each):
    """Nothing is missing but what was sent while the dead one lived: before its first number and
    after its last, but for what it still held, all of the numbers are there."""
    dead = each[0]
    first, last = dead.find(1), dead.rfind(1)
    gone = [at for at in (sums.find(0), sums.rfind(0)) if at >= 0]
    for at in gone:
        check(first <= at, f"number {at} is missing, before the dead one had its first, {first}")
        check(at <= last + 3 * IN_ITS_HANDS, f"number {at} is missing, long after its last, {last}")


def read(path):
    """A tally."""
    with open(path, "rb") as file:
        return file.read()


def counted(path):
    """How many numbers a tally has."""
    return MESSAGES - read(path).count(0)


def settled(ask, seconds=1):
    """An attempt that is true once the answer has been the same for that time."""
    state = {"answer": None, "clock": Clock(seconds)}

    def attempt():
        answer = ask()
        if answer != state["answer"]:
            state.update(answer=answer, clock=Clock(seconds))
        return state["clock"].left() == 0

    return attempt


case("libzmq tcp bl-streamer 1000000 messages over 3 workers, one killed and back")(
    lambda bench: million(bench, "tcp")
)


def leaves(bench, transport):
    """Workers come and go at random, well: nothing that was handed to one that stays is lost."""
    device, push, steady = streamer(bench, transport, **CONTROL)
    flow(push, steady, [[b"first"]])
    random.seed(7)
    seen, sent = [], 0
    for _ in range(10):
        guest = bench.theirs("pull")
        guest.connect(device.at("backend"))
        until("it is there", lambda: device.statistics()["backend"]["peers"] == 2)
        count = random.randrange(1, 40)
        for _ in range(count):
            push.send([b"%d" % sent])
            sent += 1
        while len(seen) < sent:
            for pull in (guest, steady):
                while (frames := arrived(pull, 0.005)) is not None:
                    seen.append(int(frames[0]))
        guest.close()
        until("it has gone", lambda: device.statistics()["backend"]["peers"] == 1)
    same(sorted(seen), list(range(sent)), "all of the work")


for _transport in ("tcp", "ipc"):
    case(f"libzmq {_transport} bl-streamer workers that come and go get their turns")(
        lambda bench, t=_transport: leaves(bench, t)
    )
