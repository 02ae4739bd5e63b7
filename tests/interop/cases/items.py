"""Calls with items, to a server of ours from a caller that knows nothing but `docs/WIRE.md`."""

import msgpack

from kit import fabric
from kit.cases import case
from kit.fabric import ITEMS_IN, ITEMS_OUT, YES, Caller
from kit.waiting import check, same, until

from .calls import context, fails, serve

OUT = [31_415, 9, 2_653, 58_979]
IN = [27_182, 8, 1_828, 45_904]
WINDOW = [16, 1 << 17]


def each(name):
    """Registers a case for tcp and ipc, in a session."""

    def register(function):
        for transport in ("tcp", "ipc"):

            def run(bench, transport=transport):
                server = serve(bench, transport)
                caller = bench.keep(Caller(context(bench), server.endpoint))
                function(server, caller)
                same(caller.call("desk.v1.add", 2, 3), 5, "the connection stays")
                caller.close()

            case(f"pyzmq streams with us: {name}, {transport}")(run)
        return function

    return register


@each("server_stream")
def server_stream(_, caller):
    call = caller.begin("desk.v1.blobs", OUT, flags=ITEMS_OUT, window=WINDOW)
    sizes = [len(blobs[index]) for index, blobs in caller.items(call)]
    same(sizes, OUT, "the items")
    same(msgpack.unpackb(caller.wait(call).body), None, "the value")


@each("server_stream of many, within the window")
def many(_, caller):
    call = caller.begin("desk.v1.count", 10_000, flags=ITEMS_OUT, window=[100, 4096])
    numbers = [number for number, _ in caller.items(call)]
    same(numbers, list(range(10_000)), "the items")
    caller.wait(call)


@each("client_stream")
def client_stream(_, caller):
    call = caller.begin("desk.v1.bytes_of", flags=ITEMS_IN)
    for size in IN:
        caller.give(call, 0, bytes(size))
    caller.end(call)
    answer = msgpack.unpackb(caller.wait(call).body)
    same(answer, [sum(IN), len(IN)], "the value")


@each("client_stream without an item")
def empty_stream(_, caller):
    call = caller.begin("desk.v1.bytes_of", flags=ITEMS_IN)
    caller.end(call)
    same(msgpack.unpackb(caller.wait(call).body), [0, 0], "the value")


@each("ping_pong")
def ping_pong(_, caller):
    call = caller.begin("desk.v1.back", flags=ITEMS_IN | ITEMS_OUT, window=WINDOW)
    items = caller.items(call)
    for size in [size for pair in zip(IN, OUT) for size in pair] + list(range(200)):
        word = "x" * size
        caller.give(call, word)
        same(next(items)[0], word, "what came back")
    caller.end(call)
    same(list(items), [], "what is left")
    caller.wait(call)


@each("cancel_after_begin")
def cancel_after_begin(_, caller):
    for method, arguments, options in (
        ("desk.v1.count", [1 << 40], {"flags": ITEMS_OUT, "window": WINDOW}),
        ("desk.v1.bytes_of", [], {"flags": ITEMS_IN}),
        ("desk.v1.back", [], {"flags": ITEMS_IN | ITEMS_OUT, "window": WINDOW}),
    ):
        call = caller.begin(method, *arguments, **options)
        caller.cancel(call)
        try:
            caller.wait(call)
        except fabric.CallFailed as error:
            # It may have begun by then, or not.
            same(error.code, fabric.CANCELLED, f"the end of {method}")
            check(error.ran in (fabric.NO, YES), f"{method}: ran {error.ran}")
        else:
            check(False, f"{method} was not cancelled")


@each("cancel_after_first_item")
def cancel_after_first_item(_, caller):
    call = caller.begin("desk.v1.count", 1 << 40, flags=ITEMS_OUT, window=WINDOW)
    same(next(caller.items(call))[0], 0, "the first item")
    caller.cancel(call)
    fails(lambda: caller.wait(call), fabric.CANCELLED, YES)
    until("its iterator is gone", lambda: any("left" in line for line in noted(caller)))


def noted(caller):
    """What the server has noted."""
    return caller.call("desk.v1.noted")


@each("a deadline in the middle")
def deadline(_, caller):
    call = caller.begin("desk.v1.back", seconds=0.2, flags=ITEMS_IN | ITEMS_OUT, window=WINDOW)
    caller.give(call, "one")
    same(next(caller.items(call))[0], "one", "the item")
    fails(lambda: caller.wait(call), fabric.DEADLINE_EXCEEDED, YES)


@each("a reader that stops is sent what its window allows, and holds up no other call")
def stopped_reader(_, caller):
    window = [100, 1 << 17]
    call = caller.begin("desk.v1.count", 10_000, flags=ITEMS_OUT, window=window)
    stream = caller.streams[call]

    def is_full():
        caller.call("desk.v1.empty")
        return stream.next == window[0]

    until("its window is full", is_full)
    for number in range(500):
        same(caller.call("desk.v1.add", number, 1), number + 1, "another call")
    other = caller.begin("desk.v1.count", 2_000, flags=ITEMS_OUT, window=WINDOW)
    same(len(list(caller.items(other))), 2_000, "the items of another stream")
    caller.wait(other)
    same(stream.next, window[0], "the items that came meanwhile")
    same([number for number, _ in caller.items(call)], list(range(10_000)), "all of them")
    caller.wait(call)


@each("an item that does not decode is named by its index")
def other_type(_, caller):
    call = caller.begin("desk.v1.back", flags=ITEMS_IN | ITEMS_OUT, window=WINDOW)
    caller.give(call, "one")
    caller.give(call, 2)
    caller.give(call, "three")
    items = caller.items(call)
    same(next(items)[0], "one", "what came before it")
    fails(lambda: caller.wait(call), fabric.INVALID_ARGUMENT, YES, "item 1 ")
    # It is the method that ends there: one that goes on has the others.
    call = caller.begin("desk.v1.texts_of", flags=ITEMS_IN)
    for value in ("one", 2, "three", None):
        caller.give(call, value)
    caller.end(call)
    texts, faults = msgpack.unpackb(caller.wait(call).body)
    same(texts, ["one", "three"], "the rest")
    for fault, index in zip(faults, (1, 3), strict=True):
        check(f"item {index} " in fault, fault)


@each("items over the window end their stream alone")
def over_the_window(_, caller):
    call = caller.begin("desk.v1.bytes_of", flags=ITEMS_IN)
    caller.give(call, 0, b"one")
    caller.send([fabric.ITEMS, call, 1, 60_000], b"\0" * 60_000)
    fails(lambda: caller.wait(call), fabric.INVALID_ARGUMENT, YES)


@each("another form of call is refused")
def other_form(_, caller):
    plain = caller.begin("desk.v1.count", 3)
    fails(lambda: caller.wait(plain), fabric.UNIMPLEMENTED, fabric.NO)
    stream = caller.begin("desk.v1.add", 2, 3, flags=ITEMS_OUT, window=WINDOW)
    fails(lambda: caller.wait(stream), fabric.UNIMPLEMENTED, fabric.NO)


@case("pyzmq streams with us: without a session it is refused")
def sessionless(bench):
    server = serve(bench)
    caller = bench.keep(Caller(context(bench), server.endpoint, sessionless=True))
    call = caller.begin("desk.v1.count", 3, flags=ITEMS_OUT, window=WINDOW)
    error = fails(lambda: caller.wait(call), fabric.FAILED_PRECONDITION, fabric.NO)
    check("session" in error.message, error.message)
