"""The devices between libzmq's peers: requests through `bl-queue`, and what all three are told.
The scenarios of libzmq's tests of proxies are among these."""

import itertools
import json
import signal

from kit.cases import case
from kit.exchange import SHAPES, arrived, ask, settle, subscribe
from kit.waiting import WATCH_S, Failed, check, same, until
from kit.wire import pattern

CONTROL = {"control": "tcp://127.0.0.1:*"}


def queue(bench, asker="req", answerer="rep", transport="tcp", **flags):
    """A queue between two of libzmq's."""
    flags = {"frontend": side(bench, transport), "backend": side(bench, transport)} | flags
    device = bench.device("bl-queue", **flags)
    client, worker = bench.theirs(asker), bench.theirs(answerer)
    client.connect(device.at("frontend"))
    worker.connect(device.at("backend"))
    return device, client, worker


def side(bench, transport):
    """What one side of a device binds."""
    return bench.any(transport)


def through(client, worker, frames):
    """A request, and its answer, of these frames; clients of every type, workers of every type."""
    if client.kind == "dealer":
        frames = [b"", *frames]
    client.send(frames)
    if worker.kind == "router":
        # It names the device first; all that the device needs is what comes after.
        who, got = worker.recv()
        worker.send(got, who)
    else:
        got = worker.recv()[1]
        worker.send(got)
    body = frames[1:] if client.kind == "dealer" else frames
    same(got[len(got) - len(body) :], body, "what the worker received")
    same(client.recv()[1], frames, "what came back")


def in_between(bench, asker, answerer, transport):
    """Messages of every shape, of many frames, and large ones, each there and back."""
    device, client, worker = queue(bench, asker, answerer, transport)
    shapes = [*SHAPES, [b"%d" % n for n in range(1000)], [pattern(1 << 20, 3), b"", pattern(70_000)]]
    for frames in shapes:
        through(client, worker, frames)
    moved, left = device.drains()
    same(moved["from_frontend"], len(shapes), "requests that were moved")
    same(moved["from_backend"], len(shapes), "replies that were moved")
    same((moved["dropped"], left["unread"], left["unsent"], left["unanswered"]), (0,) * 4, "the rest")


for _asker, _answerer, _transport in itertools.product(
    ("req", "dealer"), ("rep", "dealer", "router"), ("tcp", "ipc")
):
    case(f"libzmq {_transport} {_asker} - bl-queue - {_answerer}")(
        lambda bench, a=_asker, b=_answerer, t=_transport: in_between(bench, a, b, t)
    )


def both_connect(bench, transport):
    """The device connects to both sides, to two workers of which each gets its turn."""
    client, workers = bench.theirs("req"), [bench.theirs("rep") for _ in range(2)]
    front = client.bind(bench.any(transport))
    backs = [worker.bind(bench.any(transport)) for worker in workers]
    bench.device("bl-queue", frontend=f">{front}", backend=",".join(f">{back}" for back in backs))
    for turn in range(6):
        client.send([b"%d" % turn])
        got = until("a worker has it", lambda: answered(workers))
        same(got, [b"%d" % turn], "the request")
        same(client.recv()[1], got, "the reply")


def answered(workers):
    """What one of the workers has just answered."""
    for worker in workers:
        if not worker.silent(0):
            frames = worker.recv()[1]
            worker.send(frames)
            return frames
    return None


for _transport in ("tcp", "ipc"):
    case(f"libzmq {_transport} bl-queue connects to a REQ and to two REPs")(
        lambda bench, t=_transport: both_connect(bench, t)
    )


@case("libzmq bl-queue several clients and workers: each reply goes to whoever asked")
def crowd(bench):
    """Ten DEALERs ask five times each before anybody answers; three workers of two types answer
    in their own order, and every client has its own back, none twice."""
    device, first, worker = queue(bench, "dealer", "dealer")
    clients = [first] + [bench.theirs("dealer") for _ in range(9)]
    workers = [worker, bench.theirs("dealer"), bench.theirs("router")]
    for client in clients[1:]:
        client.connect(device.at("frontend"))
    for other in workers[1:]:
        other.connect(device.at("backend"))
    questions = 5
    for number, client in enumerate(clients):
        for turn in range(questions):
            client.send([b"", b"client %d" % number, b"%d" % turn, b""])
    held = []
    while len(held) < len(clients) * questions:
        for each in workers:
            while not each.silent(0):
                held.append((each, *each.recv()))
    same(len(held), len(clients) * questions, "requests that the workers have")
    for each, who, frames in reversed(held):
        each.send(frames[:-1] + [b"reply"], who)
    for number, client in enumerate(clients):
        got = [client.recv()[1] for _ in range(questions)]
        same({frames[1] for frames in got}, {b"client %d" % number}, "whose replies they are")
        same(sorted(int(f[2]) for f in got), list(range(questions)), "which replies they are")
        same({frames[-1] for frames in got}, {b"reply"}, "their ends")
    check(all(client.silent(0) for client in clients), "more than was asked for")


@case("libzmq bl-queue a client that leaves before its reply costs nobody anything")
def client_leaves(bench):
    """The reply to nobody is dropped and counted; a client that comes next is not given it."""
    device, client, worker = queue(bench, **CONTROL)
    client.send([b"and away"])
    got = worker.recv()[1]
    client.close()
    until("the device has seen it go", lambda: device.statistics()["frontend"]["peers"] == 0)
    after = bench.theirs("req")
    after.connect(device.at("frontend"))
    after.send([b"mine"])
    worker.send(got)
    same(worker.recv()[1], [b"mine"], "the next request")
    worker.send([b"yours"])
    same(after.recv()[1], [b"yours"], "its reply")
    moved, _ = device.drains()
    same((moved["from_frontend"], moved["from_backend"]), (2, 1), "what was moved")
    same(moved["dropped"], 1, "what was dropped and counted")


@case("libzmq bl-queue a worker that leaves takes its request along, and the next one works")
def worker_leaves(bench):
    """The others are asked from then on; what it left unanswered is not asked anybody else."""
    device, client, worker = queue(bench, **CONTROL)
    client.send([b"lost"])
    same(worker.recv()[1], [b"lost"], "the request")
    worker.close()
    until("the device has seen it go", lambda: device.statistics()["backend"]["peers"] == 0)
    impatient, second = bench.theirs("req"), bench.theirs("rep")
    impatient.connect(device.at("frontend"))
    impatient.send([b"waits for a worker"])
    second.connect(device.at("backend"))
    same(second.recv()[1], [b"waits for a worker"], "what the next worker is asked")
    second.send([b"done"])
    same(impatient.recv()[1], [b"done"], "the reply")
    check(client.silent(WATCH_S), "a reply to what was lost")


@case("libzmq bl-queue a worker that is killed and comes back works on")
def worker_killed(bench):
    """The REP is a process of its own: SIGKILL, three lives, no restart of the device."""
    device, client, first = queue(bench, asker="req", answerer="rep", **CONTROL)
    first.close()
    for life in range(3):
        program = bench.program()
        worker = bench.ours("rep", program)
        worker.connect(device.at("backend"))
        for turn in range(5):
            client.send([b"%d" % life, b"%d" % turn])
            same(worker.recv()[1], [b"%d" % life, b"%d" % turn], "the request")
            worker.send([b"done"])
            same(client.recv()[1], [b"done"], "the reply")
        program.kill()
        until("it has gone", lambda: device.statistics()["backend"]["peers"] == 0)


@case("libzmq bl-queue two of them in a row pass requests on and replies back")
def in_a_row(bench):
    """A chain: REQ - bl-queue - bl-queue - REP."""
    near = bench.device("bl-queue")
    bench.device("bl-queue", frontend=f">{near.at('backend')}", backend="tcp://127.0.0.1:*")
    far = bench.device("bl-queue", frontend=f">{near.at('backend')}")
    client, worker = bench.theirs("req"), bench.theirs("rep")
    client.connect(near.at("frontend"))
    worker.connect(far.at("backend"))
    # The device without a worker takes its turns, too: those wait there.
    answers = 0
    for turn in range(4):
        asker = bench.theirs("req")
        asker.connect(near.at("frontend"))
        asker.send([b"%d" % turn, b"", pattern(300)])
        if (frames := arrived(worker, 2 * WATCH_S)) is not None:
            worker.send(frames)
            same(asker.recv()[1], [b"%d" % turn, b"", pattern(300)], "the reply")
            answers += 1
    same(answers, 2, "requests that came by the device that has a worker")


@case("libzmq bl-queue passes on what our sockets and libzmq's ask each other")
def mixed(bench):
    """Ours on either side, libzmq's on the other."""
    for asker, answerer in (("ours", "theirs"), ("theirs", "ours")):
        device = bench.device("bl-queue")
        client, worker = getattr(bench, asker)("req"), getattr(bench, answerer)("rep")
        client.connect(device.at("frontend"))
        worker.connect(device.at("backend"))
        for frames in SHAPES:
            ask(client, worker, frames)


# Capture.


def capture(bench, kind):
    """Everything that passes, with the side that it came from before it, both ways."""
    receiver = {"pub": "sub", "push": "pull"}[kind]
    device, client, worker = queue(
        bench, capture="tcp://127.0.0.1:*", capture_type=kind, **CONTROL
    )
    onlooker = bench.theirs(receiver)
    if receiver == "sub":
        subscribe(onlooker, b"")
    onlooker.connect(device.at("capture"))
    until("it is there", lambda: device.statistics()["capture"]["peers"] == 1)
    # A PUB has to have heard of the subscription as well.
    seen, sent = [], 0
    while not seen:
        through(client, worker, [b"probe", b"%d" % sent])
        sent += 1
        check(sent < 1000, "nothing is captured")
        if (frames := arrived(onlooker, 0.02)) is not None:
            seen.append(frames)
    for number in range(20):
        through(client, worker, [b"task", b"%d" % number, b""])
    while seen[-1][0] != b"backend" or seen[-1][-2:] != [b"19", b""]:
        seen.append(onlooker.recv()[1])
    tasks = [frames for frames in seen if b"task" in frames]
    for way in (b"frontend", b"backend"):
        ours = [frames for frames in tasks if frames[0] == way]
        expected = [[b"task", b"%d" % number, b""] for number in range(20)]
        same([frames[-3:] for frames in ours], expected, f"what came from the {way}")


for _kind in ("pub", "push"):
    case(f"libzmq bl-queue capture by {_kind} shows what passes, both ways")(
        lambda bench, k=_kind: capture(bench, k)
    )


@case("libzmq bl-queue capture to somebody who does not read slows nobody, and loss is counted")
def lossy_capture(bench):
    """A PULL that takes nothing: every request is answered; copies are sent, or lost and counted."""
    device, client, worker = queue(
        bench,
        capture="tcp://127.0.0.1:*",
        capture_type="push",
        queue_messages=10,
        **CONTROL,
    )
    stuck = bench.theirs("pull", rcvhwm=1, rcvbuf=8192)
    stuck.connect(device.at("capture"))
    until("it is there", lambda: device.statistics()["capture"]["peers"] == 1)
    count = 150
    for _ in range(count):
        through(client, worker, [pattern(64 * 1024)])
    statistics = until(
        "all copies are accounted for",
        lambda: (s := device.statistics())["copies_sent"] + s["copies_lost"] == 2 * count and s,
    )
    check(statistics["copies_lost"] > 0, "no copy was lost")
    same(statistics["from_backend"]["messages"], count, "replies that passed")


# Control.


@case("libzmq control: PAUSE holds requests, RESUME passes them on, none is lost")
def pause(bench):
    """Twice, with a request that waits in between."""
    device, client, worker = queue(bench, **CONTROL)
    through(client, worker, [b"before"])
    for turn in range(2):
        same(device.tell("PAUSE"), "OK", "the answer")
        same(device.statistics()["state"], "paused", "the state")
        client.send([b"held", b"%d" % turn])
        check(worker.silent(WATCH_S), "it passed while the device was paused")
        same(device.tell("RESUME"), "OK", "the answer")
        same(worker.recv()[1], [b"held", b"%d" % turn], "what was held")
        worker.send([b"done"])
        same(client.recv()[1], [b"done"], "the reply")
    same(device.statistics()["state"], "running", "the state at last")
    same(device.tell("TERMINATE"), "OK", "the answer")
    moved, left = device.ends()
    same((moved["from_frontend"], moved["dropped"], left["unread"]), (3, 0, 0), "the end")


@case("libzmq control: STATISTICS counts what passes, and a command that is none is refused")
def statistics(bench):
    """JSON, with the counts of both ways and sides."""
    device, client, worker = queue(bench, **CONTROL)
    for number in range(7):
        through(client, worker, [b"12345", b"%d" % number])
    counts = device.statistics()
    same((counts["device"], counts["state"]), ("queue", "running"), "what it is")
    for way in ("from_frontend", "from_backend"):
        same(counts[way]["messages"], 7, f"messages {way}")
        same(counts[way]["bytes"], 7 * 6, f"bytes {way}")
    for end in ("frontend", "backend"):
        same(counts[end]["endpoints"], [device.at(end)], f"where the {end} is")
        same(counts[end]["peers"], 1, f"peers of the {end}")
    for strange in ("", "HALT", "STATISTICS now", "\0" * 300):
        answer = device.tell(strange)
        check(answer.startswith("ERROR "), f"the answer to {strange!r} was {answer!r}")
    check(device.tell("RELOAD").startswith("ERROR "), "reloaded without a file")
    through(client, worker, [b"and it goes on"])


@case("libzmq control: RELOAD adds an endpoint of the file while requests pass")
def reload(bench):
    """The clients of the first endpoint stay, those of the second come."""
    path = f"{bench.folder}/queue.toml"
    first, second = bench.place("tcp"), bench.place("tcp")
    for content in (f'frontend = "{first}"', f'frontend = ["{first}", "{second}"]'):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'{content}\nbackend = "tcp://127.0.0.1:*"\n')
        if content.endswith('"'):
            device = bench.device("bl-queue", f"--config={path}", frontend=None, backend=None, **CONTROL)
            client, worker = bench.theirs("req"), bench.theirs("rep")
            worker.connect(device.at("backend"))
            client.connect(first)
            through(client, worker, [b"before"])
    check(device.tell("RELOAD").startswith("OK"), "not reloaded")
    other = bench.theirs("req")
    other.connect(second)
    through(other, worker, [b"by the second"])
    through(client, worker, [b"by the first"])


def told_to_end(bench, name, how):
    """Each device ends, well, with a line of what it moved and a line of what is left."""
    device = bench.device(name, **CONTROL)
    if how == "TERMINATE":
        same(device.tell("TERMINATE"), "OK", "the answer")
    else:
        device.signal(getattr(signal, how))
    moved, left = device.ends()
    same((moved["from_frontend"], moved["dropped"]), (0, 0), "what was moved")
    same((left["unread"], left["unsent"], left["unanswered"]), (0, 0, 0), "what is left")


for _name, _how in itertools.product(
    ("bl-queue", "bl-forwarder", "bl-streamer"), ("TERMINATE", "SIGTERM", "SIGINT")
):
    case(f"libzmq {_name} ends by {_how} with exit code 0")(
        lambda bench, n=_name, h=_how: told_to_end(bench, n, h)
    )


@case("libzmq SIGTERM: bl-queue waits for the replies to what was asked, and takes no more")
def drains(bench):
    """The request is under way when the signal comes; its reply passes; then the end."""
    device, client, worker = queue(bench)
    client.send([b"asked before"])
    same(worker.recv()[1], [b"asked before"], "the request")
    device.signal()
    late = bench.theirs("req")
    until("nobody is let in", lambda: not listens(bench, device.at("frontend")))
    late.connect(device.at("frontend"))
    late.send([b"asked after"])
    worker.send([b"answered after"])
    same(client.recv()[1], [b"answered after"], "the reply")
    moved, left = device.ends()
    same((moved["from_frontend"], moved["from_backend"]), (1, 1), "what was moved")
    same(left["unanswered"], 0, "what is unanswered")


def listens(bench, endpoint):
    """Whether anybody listens there."""
    try:
        bench.raw(endpoint)
    except OSError:
        return False
    return True


@case("libzmq SIGTERM: bl-queue counts what was never answered, within its linger")
def unanswered(bench):
    """A worker that keeps its request: the device ends all the same, and says so."""
    device, client, worker = queue(bench, linger="300ms")
    client.send([b"never answered"])
    same(worker.recv()[1], [b"never answered"], "the request")
    _, left = device.drains()
    same(left["unanswered"], 1, "what is unanswered")
    check(250 <= left["took_ms"] < 3000, f"it took {left['took_ms']} ms")


@case("libzmq SIGTERM twice: the second ends the device at once")
def at_once(bench):
    """A long linger, and a reply that never comes."""
    device, client, worker = queue(bench, linger="1h")
    client.send([b"never answered"])
    same(worker.recv()[1], [b"never answered"], "the request")
    device.signal()
    until("it drains", lambda: not listens(bench, device.at("frontend")))
    device.signal()
    same(device.process.wait(10), 130, "the exit code")


@case("libzmq --stats prints a line of what has passed")
def stats_lines(bench):
    """Lines come while the device runs, and count what has passed."""
    device, client, worker = queue(bench, stats="100ms")
    through(client, worker, [b"one"])
    until(
        "a line counts it",
        lambda: " from_frontend=1 " in (line := device.line("stats ")) and "from_backend=1 " in line,
    )


@case("libzmq hostile peers beside good ones: a queue closes the ones and serves the others")
def hostile(bench):
    """Bytes that are no ZMTP, frames that are none, and a peer that says nothing, on each side."""
    device, client, worker = queue(bench, **CONTROL)
    mute = [bench.raw(device.at(end)) for end in ("frontend", "backend", "control")]
    for end in ("frontend", "backend", "control"):
        noise = bench.raw(device.at(end))
        noise.write(b"GET / HTTP/1.1\r\n\r\n" * 5)
        noise.expect_end()
        raw = bench.raw(device.at(end))
        raw.shake_hands({"frontend": "dealer", "backend": "router", "control": "req"}[end])
        raw.write(b"\x08\x01x")
        raw.expect_end()
        through(client, worker, [b"served", end.encode()])
    same(json.loads(device.tell("STATISTICS"))["state"], "running", "the state")
    for raw in mute:
        raw.close()
    through(client, worker, [b"served at last"])


@case("libzmq a device that cannot bind says so and ends with an error")
def taken(bench):
    """The endpoint belongs to somebody else."""
    there = bench.theirs("router").bind(bench.any("tcp"))
    try:
        device = bench.device("bl-queue", frontend=there)
    except Failed as failed:
        check("ended with 1" in str(failed), f"it ended otherwise: {failed}")
        return
    raise Failed(f"it runs, at {device.endpoints}")


@case("libzmq XPUB and XSUB peers through bl-forwarder talk as SUB and PUB do")
def raw_types(bench):
    """Messages down, subscriptions up, and nothing of what was taken back."""
    device = bench.device("bl-forwarder")
    publisher, subscriber = bench.theirs("xpub"), bench.theirs("xsub")
    publisher.connect(device.at("frontend"))
    subscriber.connect(device.at("backend"))
    subscribe(subscriber, b"A")
    same(publisher.recv()[1], [b"\1A"], "the subscription")
    settle(publisher, subscriber, b"A")
    publisher.send([b"A", b"", pattern(70_000)])
    while (frames := subscriber.recv()[1])[1:] == [b"\0probe"]:
        pass
    same(frames, [b"A", b"", pattern(70_000)], "what came down")
    subscriber.send([b"\0A"])
    same(publisher.recv()[1], [b"\0A"], "the end of the subscription")
