"""Calls that end before their time: cancelled, too late, or cut off on the way."""

import socket
import struct
import subprocess
import time

import msgpack

from kit import fabric
from kit.fabric import MAYBE, NO, CallFailed, Caller, pack
from kit.waiting import check, same, until
from kit.wire import LONG, MORE, frame

from .calls import LARGE_REQUEST, both, context, each, fails, serve

HELD_MS = 20_000
# How long a replier sleeps where the caller waits for a thousandth of a second.
SLEEP_MS = 500


@each("cancel_before_send", "window=1")
def cancel_before_send(server, caller):
    before = server.stats()
    held = caller.begin("desk.v1.hold", HELD_MS)
    until("the handler runs", lambda: server.stats()["begun"] == before["begun"] + 1)
    waits = caller.queue("desk.v1.hold", HELD_MS)
    check(waits in caller.waiting, "the window is larger than 1")
    caller.cancel(waits)
    fails(lambda: caller.wait(waits), fabric.CANCELLED, NO)
    same(server.stats()["cancels"], before["cancels"], "cancels that were sent")
    caller.cancel(held)
    same(msgpack.unpackb(caller.wait(held).body), True, "whether it saw that it is cancelled")
    # One for a call that never came: it is passed over, and is none of the next call's.
    caller.send([fabric.CANCEL, waits])
    same(caller.call("desk.v1.add", 2, 3), 5, "the sum")
    after = server.stats()
    same(after["cancels"] - before["cancels"], 2, "cancels that came")
    same(after["calls"] - before["calls"], 2, "calls that came")


@both("pyzmq calls us: cancel before it is begun")
def cancel_in_the_queue(bench, transport):
    server = serve(bench, transport, "workers=1")
    caller = bench.keep(Caller(context(bench), server.endpoint))
    held = caller.begin("desk.v1.hold", HELD_MS)
    until("the handler runs", lambda: server.stats()["begun"] == 1)
    waits = caller.begin("desk.v1.hold", HELD_MS)
    until("it waits for the worker", lambda: server.stats()["in_flight"] == 2)
    caller.cancel(waits)
    until("the cancel has come", lambda: server.stats()["cancels"] == 1)
    caller.cancel(held)
    fails(lambda: caller.wait(waits), fabric.CANCELLED, NO)
    same(msgpack.unpackb(caller.wait(held).body), True, "whether it saw that it is cancelled")
    same(server.stats()["begun"], 1, "calls that ran")


@each("cancel_after_send")
def cancel_after_send(server, caller):
    before = server.stats()["begun"]
    held = caller.begin("desk.v1.hold", HELD_MS)
    until("the handler runs", lambda: server.stats()["begun"] == before + 1)
    caller.cancel(held)
    same(msgpack.unpackb(caller.wait(held).body), True, "whether it saw that it is cancelled")


@each("deadline_1ms_on_sleeping_replier")
def deadline_of_a_millisecond(server, caller):
    def slept_through():
        begun = server.stats()["begun"]
        start = time.monotonic()
        try:
            caller.within("desk.v1.doze", SLEEP_MS, left_us=1000)
        except CallFailed as error:
            took_ms = (time.monotonic() - start) * 1e3
            same(error.code, fabric.DEADLINE_EXCEEDED, "the code")
            check(took_ms < SLEEP_MS, f"it ended after {took_ms:.0f} ms, by the answer")
            if error.ran == NO:
                # It came too late to be begun.
                same(server.stats()["begun"], begun, "calls that ran")
                return None
            same(error.ran, MAYBE, "whether it ran")
            return caller.ids
        check(False, "an answer came within a millisecond, of a replier that sleeps")

    # On a busy machine it may be late before it is there: then nobody has slept.
    def late():
        call = slept_through()
        if call is None:
            return None
        while call not in caller.late:
            caller.step()
        return caller.late[call].fields[0] == fabric.REPLY

    until("a replier has slept over it", late)


# What is sent of a call before the connection is closed: the envelope's frame is whole or not, the
# body's too.
ENVELOPE = frame(pack([fabric.CALL, 1, "desk.v1.large", 10_000_000]), MORE)
BODY = frame(pack([0, 1]), MORE)
BLOB_HEADER = struct.pack(">BQ", LONG, LARGE_REQUEST)
CUTS = {
    "close_after_header": [
        ENVELOPE[:2],
        ENVELOPE,
        ENVELOPE + BODY[:2],
        ENVELOPE + BODY,
        ENVELOPE + BODY + BLOB_HEADER,
    ],
    "close_mid_body": [
        ENVELOPE[:-3],
        ENVELOPE + BODY[:-1],
        ENVELOPE + BODY + BLOB_HEADER + bytes(LARGE_REQUEST // 2),
        ENVELOPE + BODY + BLOB_HEADER + bytes(LARGE_REQUEST - 1),
    ],
}


def holds_nothing(server, closed):
    """Whether so many connections have ended, and the server holds nothing of any."""
    now = server.stats()
    held = ("callers", "in_flight", "owed", "connections", "queued")
    return now["closed"] == closed and not any(now[name] for name in held)


def breaks_off(bench, transport, cuts):
    """A caller that closes in the middle of its call, in order or by a reset, with a session and
    without: the server keeps nothing of it, and answers the next one."""
    server = serve(bench, transport)
    closed = 0
    for cut in cuts:
        for in_session in (True, False):
            for reset in (False, True):
                raw = bench.raw(server.endpoint)
                raw.shake_hands("dealer")
                if in_session:
                    raw.send(pack([fabric.HELLO, 2, 1, "half"]))
                    same(msgpack.unpackb(raw.recv()[0])[0], fabric.WELCOME, "the kind")
                    same(server.stats()["callers"], 1, "callers")
                    raw.write(cut)
                else:
                    raw.write(frame(b"", MORE) + cut)
                same(server.stats()["connections"], 1, "connections")
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                raw.close()
                closed += 1
                until("nothing is held of it", lambda n=closed: holds_nothing(server, n))
        left = server.stats()
        same(left["calls"], left["answered"], "half calls that were taken for calls")
        caller = Caller(context(bench), server.endpoint)
        same(caller.call("desk.v1.add", 2, 3), 5, "the next caller's sum")
        caller.close()
        closed += 1
        until("it has gone", lambda n=closed: holds_nothing(server, n))


for _name, _cuts in CUTS.items():
    both(f"pyzmq calls us: {_name}")(lambda bench, t, c=_cuts: breaks_off(bench, t, c))


ANSWER = frame(pack([fabric.REPLY, 1]), MORE)
SUM = frame(pack("a sum that is none"))
CUT_ANSWERS = {
    "close_after_header": [ANSWER[:2], ANSWER, ANSWER + SUM[:2]],
    "close_mid_body": [ANSWER[:-1], ANSWER + SUM[:-3]],
}


def answer_breaks_off(bench, transport, cuts):
    """A replier that closes in the middle of its answer: the call may have run."""
    for cut in cuts:
        listener = bench.listener(transport)
        command = [bench.programs["interop-desk"], "lost", listener.endpoint]
        caller = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        bench.stack.callback(caller.kill)
        raw = bench.keep(listener.accept())
        raw.shake_hands("router")
        same(msgpack.unpackb(raw.recv()[0])[0], fabric.HELLO, "the kind")
        raw.send(pack([fabric.WELCOME, 2, 16]))
        same(msgpack.unpackb(raw.recv()[0])[0], fabric.CALL, "the kind")
        raw.write(cut)
        raw.close()
        code, ran, took_ms = map(int, caller.communicate(timeout=20)[0].split())
        same((code, ran), (fabric.UNAVAILABLE, MAYBE), "the error")
        check(took_ms < 15_000, f"it ended after {took_ms} ms, by its deadline")
        listener.close()


for _name, _cuts in CUT_ANSWERS.items():
    both(f"we call a replier in Python: {_name}")(
        lambda bench, t, c=_cuts: answer_breaks_off(bench, t, c)
    )
