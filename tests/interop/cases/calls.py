"""Calls of the fabric, from and to peers that know nothing but `docs/WIRE.md`."""

import subprocess

import msgpack
import zmq

from kit import fabric
from kit.cases import case
from kit.fabric import MAYBE, NO, YES, CallFailed, Caller, FabricServer, Replier, pack, plain
from kit.waiting import PATIENCE_S, Failed, check, same, until

LARGE_REQUEST, LARGE_ANSWER = 271_828, 314_159
PART_MAX = 1 << 20


def context(bench):
    """A context of libzmq that ends with the case."""
    if bench.context is None:
        bench.context = zmq.Context()
        bench.stack.callback(bench.context.destroy, linger=0)
    return bench.context


def serve(bench, transport="tcp", *options):
    """The server of our own."""
    program = bench.programs["interop-desk"]
    options = [f"blob_bytes_max={PART_MAX}", *options]
    return bench.keep(FabricServer(program, bench.any(transport), *options))


def callers(bench, server, transport):
    """A caller in a session; over tcp one without, and one behind a queue, too."""
    yield bench.keep(Caller(context(bench), server.endpoint))
    yield bench.keep(Caller(context(bench), server.endpoint, sessionless=True))
    if transport == "tcp":
        queue = bench.device("bl-queue", backend=f">{server.endpoint}")
        yield bench.keep(Caller(context(bench), queue.at("frontend"), sessionless=True))


def fails(attempt, code, ran, *words):
    """Fails unless the attempt ends with this error, whose message has these words."""
    try:
        value = attempt()
    except CallFailed as error:
        same((error.code, error.ran), (code, ran), f"the error {error}")
        for word in words:
            check(word in error.message, f"{word!r} is not in {error.message!r}")
        return error
    raise Failed(f"a value came: {value!r}")


def both(name):
    """Registers a case for tcp and ipc."""

    def register(function):
        for transport in ("tcp", "ipc"):
            case(f"{name}, {transport}")(lambda bench, t=transport: function(bench, t))
        return function

    return register


def each(name, *options):
    """Registers a case for tcp and ipc, which is run by each form of caller."""

    def register(function):
        for transport in ("tcp", "ipc"):

            def run(bench, transport=transport):
                server = serve(bench, transport, *options)
                for caller in callers(bench, server, transport):
                    function(server, caller)
                    same(caller.call("desk.v1.add", 2, 3), 5, "the connection stays")
                    caller.close()

            case(f"pyzmq calls us: {name}, {transport}")(run)
        return function

    return register


@each("empty_call")
def empty_call(_, caller):
    same(caller.call("desk.v1.empty"), None, "the value")


@each("large_call, max_frame, multi_frame_body")
def large_call(_, caller):
    answer = caller.wait(
        caller.begin("desk.v1.large", 0, LARGE_ANSWER, blobs=[bytes(LARGE_REQUEST)])
    )
    same((answer.body, len(answer.blobs[0])), (b"\0", LARGE_ANSWER), "the blob")
    body = bytes(range(256)) * (LARGE_REQUEST // 256)
    same(caller.call("desk.v1.bytes", body), body, "the bytes")
    most = caller.wait(caller.begin("desk.v1.large", 0, PART_MAX, blobs=[bytes(PART_MAX)]))
    same(len(most.blobs[0]), PART_MAX, "as much as fits")
    blobs = [bytes([n]) * n for n in range(50)]
    answer = caller.wait(caller.begin("desk.v1.turn", list(range(50)), blobs=blobs))
    indexes = msgpack.unpackb(answer.body)
    same([answer.blobs[at] for at in indexes], blobs[::-1], "the blobs, turned")
    # A bin is taken in the place of a number.
    answer = caller.wait(caller.begin("desk.v1.turn", [b"x", 0], blobs=[b"y"]))
    indexes = msgpack.unpackb(answer.body)
    same([answer.blobs[at] for at in indexes], [b"y", b"x"], "the blobs, turned")


@each("over_max_frame")
def over_max_frame(_, caller):
    def over():
        return caller.call("desk.v1.large", 0, 1, blobs=[bytes(PART_MAX + 1)])

    fails(over, fabric.RESOURCE_EXHAUSTED, NO, str(PART_MAX), "blob_bytes_max")


@each("metadata, text and binary")
def metadata(_, caller):
    with_both = {"tenant": "bl\u00e4u", "trace": b"\0\xff"}
    got = caller.call("desk.v1.metadata", "tenant", "trace", metadata=with_both)
    same(got, ["bl\u00e4u", b"\0\xff"], "what came")
    text, trace = caller.call("desk.v1.metadata", "tenant", "trace")
    # No bytes within a value may be an empty array.
    same((text, trace or b""), (None, b""), "without")


@each("status_and_message, special_status_message")
def status_and_message(_, caller):
    for code in range(1, 17):
        error = fails(lambda: caller.call("desk.v1.fail", code, "a message"), code, YES)
        same(error.message, "a message", "the message")
        same((error.retry_after_us, error.details), (250_000, b"details"), "the rest")
    for message in ("\t\ntest \u263a \U0001f608\r\n", "\0\x7f\u0080\ufeff", ""):
        error = fails(lambda: caller.call("desk.v1.fail", 2, message), 2, YES)
        same(error.message, message, "the message")
    long = fails(lambda: caller.call("desk.v1.fail", 2, "\u20ac" * 5000), 2, YES).message
    check(3000 < len(long.encode()) <= 4096, f"{len(long.encode())} bytes of a long message")
    error = fails(lambda: caller.call("desk.v1.divide", 1, 0), fabric.UNKNOWN, YES, "zero")
    same(error.typed, {"reason": "zero"}, "the method's own error")


@each("unknown_method, unknown_service, arguments that do not fit")
def unknown(_, caller):
    fails(lambda: caller.call("desk.v1.ad"), fabric.UNIMPLEMENTED, NO, "add")
    fails(lambda: caller.call("dsek.v1.add"), fabric.UNIMPLEMENTED, NO, "desk.v1")
    wrong = fabric.INVALID_ARGUMENT
    fails(lambda: caller.call("desk.v1.add", 1, "two"), wrong, NO, "y", "i64", "str")
    fails(lambda: caller.call("desk.v1.add", 1), wrong, NO, "y")
    same(caller.call("desk.v1.add", 1, 2, "surplus"), 3, "surplus is ignored")
    same(caller.call("desk.v1.grown", 1), 2, "an argument left out")
    same(caller.call("desk.v1.grown", 1, 2), 3, "an argument given")
    deep = b"\x91" * 100 + b"\xc0"

    def nested():
        call = caller.begin("desk.v1.bytes", raw=deep)
        return caller.wait(call)

    fails(nested, wrong, NO)


@each("raw bytes")
def raw_bytes(_, caller):
    answer = caller.wait(caller.begin("desk.v1.raw", raw=b"\xc1\x02\x03"))
    same(answer.body, b"\x03\x02\xc1", "the bytes")
    fails(lambda: caller.call("desk.v1.raw", b"x"), fabric.INVALID_ARGUMENT, NO, "raw")


@each("oneway, unknown kinds and surplus fields")
def oneway(_, caller):
    answer = caller.wait(caller.begin("desk.v1.note", "a line", flags=fabric.ONEWAY))
    check(not answer.body, "a oneway call has a value")
    until("the line", lambda: "a line" in caller.call("desk.v1.noted"))
    caller.send([9, 1, 2, 3])
    caller.ids += 1
    surplus = "new", {"a": [1]}
    known = [1, caller.ids, "desk.v1.add", 10_000_000, 0, 0, {}, 0, None, None]
    caller.send([*known, *surplus], pack([2, 3]))
    same(msgpack.unpackb(caller.wait(caller.ids).body), 5, "with surplus fields")


@each("deadline_met_just_in_time, deadline 0")
def deadlines(_, caller):
    same(caller.call("desk.v1.hold", 50, seconds=1), False, "in time")
    error = fabric.DEADLINE_EXCEEDED
    fails(lambda: caller.call("desk.v1.add", 2, 3, left_us=0), error, NO)


@each("call_soak")
def call_soak(_, caller):
    for number in range(1000):
        same(caller.call("desk.v1.add", number, 1), number + 1, "the sum")


@both("pyzmq calls us: a session and its window")
def session(bench, transport):
    server = serve(bench, transport, "window=4")
    caller = bench.keep(Caller(context(bench), server.endpoint, name="snake"))
    same((caller.version, caller.calls, caller.name), (2, 4, "desk"), "the welcome")
    same(caller.blob_bytes_max, PART_MAX, "the largest blob")
    same(caller.call("desk.v1.caller"), "snake", "the caller's name")
    # Beyond the window.
    for _ in range(5):
        caller.ids += 1
        caller.send([1, caller.ids, "desk.v1.hold", 10_000_000], pack([200]))
    last = caller.ids
    fails(lambda: caller.wait(last), fabric.RESOURCE_EXHAUSTED, NO)
    for call in range(last - 4, last):
        same(msgpack.unpackb(caller.wait(call).body), False, "within the window")


@both("pyzmq calls us: concurrent_large")
def concurrent_large(bench, transport):
    server = serve(bench, transport)
    caller = bench.keep(Caller(context(bench), server.endpoint))
    blob = bytes(LARGE_REQUEST)
    calls = [caller.queue("desk.v1.large", 0, LARGE_ANSWER, blobs=[blob]) for _ in range(1000)]
    check(len(caller.in_flight) > 1, "no more than one at a time")
    for call in calls:
        same(len(caller.wait(call).blobs[0]), LARGE_ANSWER, "the blob")
    same(server.stats()["answered"], 1000, "calls answered")


@both("pyzmq calls us: drain")
def drain(bench, transport):
    server = serve(bench, transport)
    caller = bench.keep(Caller(context(bench), server.endpoint))
    held = caller.begin("desk.v1.hold", 300)
    # What comes after it is begun: so it has been, too.
    same(caller.call("desk.v1.add", 2, 3), 5, "the sum")
    server.stop()
    same(msgpack.unpackb(caller.wait(held).body), False, "what runs is answered")
    check(caller.draining, "no bye came")
    same(server.ended().strip(), "clean=true finished=1", "the report")


@case("pyzmq calls us: versions, and a session that is refused")
def versions(bench):
    server = serve(bench)
    old = bench.keep(Caller(context(bench), server.endpoint, version=1))
    same((old.version, old.bytes, old.blob_bytes_max), (1, None, None), "the welcome")
    same(old.call("desk.v1.add", 2, 3), 5, "the sum")
    newer = bench.keep(Caller(context(bench), server.endpoint, version=7))
    same(newer.version, 2, "the version of both")
    socket = context(bench).socket(zmq.DEALER)
    bench.keep(socket)
    socket.connect(server.endpoint)
    for hello in ([6, 9, 8], [6, 2, 1, "again"]):
        socket.send(pack(hello))
        check(socket.poll(PATIENCE_S * 1000), "an answer to hello")
        fields = msgpack.unpackb(socket.recv_multipart()[0])
        if hello[2] == 8:
            same(fields[:4], [3, 0, fabric.FAILED_PRECONDITION, NO], "the refusal")
            check("8" in fields[4] and "2" in fields[4], f"both ranges in {fields[4]!r}")
        else:
            same(fields[:2], [7, 2], "the welcome on the same connection")
    queue = bench.device("bl-queue", backend=f">{server.endpoint}")
    through = bench.keep(Caller(context(bench), queue.at("frontend"), sessionless=True))
    through.send([6, 2, 1, "python"])
    fields, _ = through.recv()
    same(fields[:2], [3, 0], "a hello through a device")


@case("pyzmq calls us: a plain REQ socket")
def plain_calls(bench):
    server = serve(bench)

    def ask(*call):
        return plain(context(bench), server.endpoint, pack(list(call)))

    same(ask("desk.v1.add", [2, 3]), [0, 5], "the sum")
    same(ask("desk.v1.empty"), [0, None], "without arguments")
    same(ask("desk.v1.bytes", [b"xyz"]), [0, b"xyz"], "bytes")
    same(ask("desk.v1.large", [bytes(10), 3]), [0, b"\7\7\7"], "a blob as bin")
    same(ask("desk.v1.turn", [[b"a", b"bc"]]), [0, [b"bc", b"a"]], "blobs as bins")
    same(ask("desk.v1.fail", [5, "no file"]), [5, "no file", YES], "an error")
    code, message, ran = ask("desk.v1.ad", [])
    same((code, ran), (fabric.UNIMPLEMENTED, NO), message)
    check("add" in message, message)
    code, message, ran = ask("desk.v1.add", [1, "x"])
    same((code, ran), (fabric.INVALID_ARGUMENT, NO), message)
    for junk in (b"\xc1", b"", b"not MessagePack", pack({"a": 1}), pack([])):
        code, message, ran = plain(context(bench), server.endpoint, junk)
        same((code, ran), (fabric.INVALID_ARGUMENT, NO), message)


@both("pyzmq calls us: channel_soak")
def channel_soak(bench, transport):
    server = serve(bench, transport)
    for number in range(1000):
        caller = Caller(context(bench), server.endpoint)
        same(caller.call("desk.v1.add", number, 1), number + 1, "the sum")
        caller.close()
    until("all have gone", lambda: server.stats()["callers"] == 0)
    same(server.stats()["answered"], 1000, "calls answered")


def divide(arguments, _blobs, _metadata):
    """As ours: its own error."""
    if arguments[1] == 0:
        raise CallFailed(fabric.UNKNOWN, YES, "zero", typed={"reason": "zero"})
    return arguments[0] // arguments[1]


def fail(arguments, _blobs, _metadata):
    """As ours."""
    raise CallFailed(arguments[0], YES, arguments[1], 250_000, b"details")


@case("we call pyzmq: every kind of answer from a replier in Python")
def we_call(bench):
    notes = []
    methods = {
        "desk.v1.add": lambda a, blobs, _: a[0] + a[1],
        "desk.v1.divide": divide,
        "desk.v1.fail": fail,
        "desk.v1.large": lambda a, blobs, _: (pack(0), bytes(a[1])),
        "desk.v1.turn": lambda a, blobs, _: (
            pack(list(range(len(blobs)))),
            *(blobs[at] for at in a[0][::-1]),
        ),
        "desk.v1.metadata": lambda a, blobs, m: [m.get(a[0]), m.get(a[1], b"")],
        "desk.v1.raw": lambda a, blobs, _: (a[0][::-1],),
        "desk.v1.note": lambda a, blobs, _: notes.append(a[0]),
    }
    replier = bench.keep(Replier(context(bench), methods))
    command = [bench.programs["interop-desk"], "call", replier.endpoint]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    bench.log.append(done.stdout + done.stderr)
    same(done.returncode, 0, f"the end of our caller: {done.stdout} {done.stderr}")
    same(notes, ["a line"], "what was sent one way")
    same(replier.heard[0], [6, 2, 1, "rust"], "the hello")
    same(replier.heard[-1][0], fabric.BYE, "the last message's kind")
    check(MAYBE == 1, "the names of ran")
