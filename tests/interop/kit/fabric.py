"""A caller and a replier of the fabric, made of pyzmq and msgpack by `docs/WIRE.md` alone."""

import collections
import subprocess
import threading

import msgpack
import zmq

from .devices import numbers
from .programs import ms
from .waiting import PATIENCE_S, Clock, Failed, Silence

CALL, REPLY, ERROR, CANCEL, CREDIT, HELLO, WELCOME, BYE, ITEMS, WINDOW, STOP = range(1, 12)
ONEWAY, MORE, IDEMPOTENT, ITEMS_IN, ITEMS_OUT = 1, 2, 4, 8, 16
OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND = range(6)
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 9, 12, 13, 14
NO, MAYBE, YES = range(3)

# `fields`: the envelope; `body`: None if there was no such frame.
Answer = collections.namedtuple("Answer", "fields body blobs")


def pack(value):
    """A value in MessagePack."""
    return msgpack.packb(value)


class CallFailed(Exception):
    """A call was answered by an error."""

    def __init__(self, code, ran, message, retry_after_us=None, details=None, typed=None):
        super().__init__(f"{code}, ran {ran}: {message}")
        self.code, self.ran, self.message = code, ran, message
        self.retry_after_us, self.details, self.typed = retry_after_us, details, typed


def at(fields, index, default=None):
    """An optional field."""
    if index >= len(fields) or fields[index] is None:
        return default
    return fields[index]


class FabricServer:
    """The server of our own, a process: see `interop-desk.rs`."""

    def __init__(self, program, endpoint, *arguments, connects=False):
        how = ["connect" if connects else "bind", endpoint, *arguments]
        self.process = subprocess.Popen(
            [program, "serve", *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.endpoint = self.process.stdout.readline().strip()
        if not self.endpoint:
            raise Failed("the server did not begin")

    def stats(self):
        """What it holds, and has counted."""
        self.process.stdin.write("stats\n")
        self.process.stdin.flush()
        return numbers(self.process.stdout.readline())

    def stop(self):
        """Lets it drain; does not wait."""
        self.process.stdin.close()

    def ended(self):
        """Waits for its end: what it reports."""
        report = self.process.stdout.read()
        if self.process.wait(PATIENCE_S) != 0:
            raise Failed(f"the server ended with {self.process.returncode}")
        return report

    def close(self):
        """Ends it at once."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()


class Caller:
    """A caller: in a session, or without one."""

    def __init__(self, context, endpoint, name="python", version=2, sessionless=False):
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.sessionless = sessionless
        self.ids = 0
        self.calls, self.bytes, self.blob_bytes_max = 1, None, None
        # Calls whose answers have not come, with their bytes; given up or not.
        self.in_flight = {}
        # Calls that the window has not let go, in their order.
        self.waiting = {}
        self.answers = {}
        # Calls given up, and what was answered to them all the same.
        self.forgotten, self.late = set(), {}
        self.streams = {}
        self.draining = False
        if not sessionless:
            self.send([HELLO, version, 1, name])
            while True:
                fields, _ = self.recv()
                if fields[0] == WELCOME:
                    break
                if fields[0] == ERROR and fields[1] == 0:
                    raise CallFailed(fields[2], fields[3], fields[4])
            self.version, self.calls = fields[1], fields[2]
            self.bytes, self.blob_bytes_max = at(fields, 3), at(fields, 4)
            self.name = at(fields, 5, "")

    def send(self, fields, *frames):
        """Sends an envelope and what follows it."""
        path = [b""] if self.sessionless else []
        self.socket.send_multipart([*path, pack(fields), *frames])

    def recv(self, seconds=PATIENCE_S):
        """The next message: its envelope and the frames after it."""
        if not self.socket.poll(ms(seconds)):
            raise Silence(f"no message within {seconds} s")
        frames = self.socket.recv_multipart()
        if self.sessionless:
            if frames[0] != b"":
                raise Failed("an answer without the empty frame")
            frames = frames[1:]
        return msgpack.unpackb(frames[0]), frames[1:]

    def begin(self, method, *arguments, seconds=PATIENCE_S, blobs=(), raw=None, **options):
        """Sends a call once the window allows; its number."""
        call = self.queue(
            method, *arguments, seconds=seconds, blobs=blobs, raw=raw, **options
        )
        clock = Clock()
        while call in self.waiting:
            self.step(clock.left())
        return call

    def queue(self, method, *arguments, seconds=PATIENCE_S, blobs=(), raw=None, **options):
        """Sends a call, or lets it wait here for the window; its number."""
        self.ids += 1
        flags = options.get("flags", 0)
        encoding = 0 if raw is None else 1
        left_us = options.get("left_us", int(seconds * 1e6))
        fields = [CALL, self.ids, method, left_us, flags, encoding]
        if options.get("metadata"):
            fields.append(options["metadata"])
        if flags & ITEMS_OUT:
            fields += [None, 0][len(fields) - 6 :]
            fields.append(options["window"])
        while fields[-1] == 0 and len(fields) > 4:
            fields.pop()
        if flags & (ITEMS_IN | ITEMS_OUT):
            self.streams[self.ids] = Stream(options.get("window"))
        frames = [pack(list(arguments)) if raw is None else raw, *blobs]
        size = sum(len(frame) for frame in frames)
        if self.waiting or not self._admits(size):
            self.waiting[self.ids] = (fields, frames, size, Clock())
        else:
            self.in_flight[self.ids] = size
            self.send(fields, *frames)
        return self.ids

    def _admits(self, size):
        """Whether a call of this size fits into the window."""
        used = sum(self.in_flight.values())
        fits = self.bytes is None or used == 0 or used + size <= self.bytes
        return len(self.in_flight) < self.calls and fits

    def _send_waiting(self):
        """Sends what the window allows."""
        while self.waiting:
            call, (fields, frames, size, clock) = next(iter(self.waiting.items()))
            if not self._admits(size):
                return
            del self.waiting[call]
            fields[3] = max(0, fields[3] - int(clock.spent() * 1e6))
            self.in_flight[call] = size
            self.send(fields, *frames)

    def step(self, seconds=PATIENCE_S):
        """Takes one message."""
        fields, frames = self.recv(seconds)
        kind = fields[0]
        if kind in (REPLY, ERROR):
            credit = at(fields, 3 if kind == REPLY else 9)
            if credit is not None and not self.sessionless:
                self.calls, self.bytes = credit[0], at(credit, 1)
            self.in_flight.pop(fields[1], None)
            body = frames[0] if frames else None
            answers = self.late if fields[1] in self.forgotten else self.answers
            answers[fields[1]] = Answer(fields, body, frames[1:])
        elif kind == ITEMS:
            self.streams[fields[1]].came(fields, frames)
        elif kind == WINDOW:
            self.streams[fields[1]].room = (fields[2], at(fields, 3))
        elif kind == STOP:
            self.streams[fields[1]].stopped = True
        elif kind == CREDIT:
            self.calls, self.bytes = fields[1], at(fields, 2)
        elif kind == BYE:
            self.draining = True
            self.send([BYE, 0])
        self._send_waiting()

    def wait(self, call, seconds=PATIENCE_S):
        """The answer to a call."""
        clock = Clock(seconds)
        while call not in self.answers:
            self.step(clock.left())
        answer = self.answers.pop(call)
        if answer.fields[0] == ERROR:
            fields = answer.fields
            typed = msgpack.unpackb(answer.body) if at(fields, 7) else None
            raise CallFailed(*fields[2:5], at(fields, 5), at(fields, 6), typed)
        return answer

    def call(self, method, *arguments, **options):
        """Calls, and waits for the value."""
        answer = self.wait(self.begin(method, *arguments, **options))
        return msgpack.unpackb(answer.body)

    def items(self, call):
        """The items of a stream, each with its message's blobs, until its answer; a window is told
        where half of it has been taken, and before it waits."""
        stream = self.streams[call]
        while True:
            while stream.items:
                yield stream.take()
                if stream.owes(half=True):
                    self.send([WINDOW, call, *stream.window()])
            if call in self.answers:
                return
            if stream.owes(half=False):
                self.send([WINDOW, call, *stream.window()])
            self.step()

    def give(self, call, value, *blobs, last=False):
        """Sends one item, once there is room for it."""
        stream = self.streams[call]
        body = pack(value)
        size = len(body) + sum(len(blob) for blob in blobs)
        clock = Clock()
        while not stream.has_room(size):
            self.step(clock.left())
        self.send([ITEMS, call, stream.sent, 1, last], body, *blobs)
        stream.sent += 1
        stream.sent_bytes += size

    def end(self, call):
        """Says that no items follow."""
        self.send([ITEMS, call, self.streams[call].sent, 0, True])

    def cancel(self, call):
        """Gives a call up: one that was not sent ends here."""
        if self.waiting.pop(call, None):
            fields = [ERROR, call, CANCELLED, NO, "cancelled before it was sent"]
            self.answers[call] = Answer(fields, None, [])
        else:
            self.send([CANCEL, call])

    def within(self, method, *arguments, left_us):
        """Calls, and keeps the deadline by itself: what has not come by then is given up."""
        clock = Clock(left_us / 1e6)
        call = self.begin(method, *arguments, left_us=left_us)
        try:
            return msgpack.unpackb(self.wait(call, clock.left()).body)
        except Silence:
            self.forgotten.add(call)
            self.cancel(call)
            raise CallFailed(DEADLINE_EXCEEDED, MAYBE, f"{left_us} us are over") from None

    def close(self):
        """Leaves."""
        if not self.socket.closed:
            self.socket.close(linger=0)


class Stream:
    """The items of one call, both ways."""

    def __init__(self, window):
        self.items = collections.deque()
        self.size = window or (0, 0)
        self.next = 0
        self.taken, self.taken_bytes, self.told = 0, 0, self.size[0]
        self.room, self.stopped = None, False
        self.sent, self.sent_bytes = 0, 0

    def came(self, fields, frames):
        """Takes in a message of items."""
        if fields[2] != self.next:
            raise Failed(f"items from {fields[2]} on where {self.next} is due")
        self.next += fields[3]
        unpacker = msgpack.Unpacker(raw=False)
        unpacker.feed(frames[0])
        values = list(unpacker)
        if len(values) != fields[3]:
            raise Failed(f"{len(values)} values in a message of {fields[3]} items")
        size = sum(len(frame) for frame in frames)
        for at_end, value in enumerate(values, 1):
            self.items.append((value, frames[1:], size if at_end == len(values) else 0))
        if self.next > self.told:
            raise Failed(f"{self.next} items came, with room for {self.told}")
        if at(fields, 5) is not None:
            self.room = tuple(fields[5])

    def take(self):
        """The next item, and the blobs of its message."""
        value, blobs, size = self.items.popleft()
        self.taken += 1
        self.taken_bytes += size
        return value, blobs

    def owes(self, half):
        """Whether a window is to be told."""
        told = self.told - self.size[0]
        return self.taken > told and (not half or self.taken - told >= self.size[0] // 2)

    def window(self):
        """What the other side may send, in all."""
        self.told = self.taken + self.size[0]
        return self.told, self.taken_bytes + self.size[1]

    def has_room(self, size):
        """Whether an item of this size may be sent."""
        if self.room is None or self.sent >= self.room[0]:
            return False
        return self.room[1] is None or self.sent_bytes + size <= self.room[1]


class Replier:
    """A replier with a table of methods, on a thread of its own, in session form."""

    def __init__(self, context, methods, calls=4):
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.endpoint = "tcp://127.0.0.1:" + str(self.socket.bind_to_random_port("tcp://127.0.0.1"))
        self.methods, self.calls = methods, calls
        self.heard = []
        self.running = True
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while self.running:
            if self.socket.poll(10):
                peer, envelope, *frames = self.socket.recv_multipart()
                fields = msgpack.unpackb(envelope)
                self.heard.append(fields)
                for answer in self._answers(fields, frames):
                    self.socket.send_multipart([peer, *answer])

    def _answers(self, fields, frames):
        if fields[0] == HELLO:
            version = min(fields[1], 2)
            yield [pack([WELCOME, version, self.calls, 1 << 20, None, "python"])]
        if fields[0] != CALL:
            return
        call, path = fields[1], fields[2]
        method = self.methods.get(path)
        if method is None:
            yield [pack([ERROR, call, UNIMPLEMENTED, NO, f"there is no {path}"])]
            return
        try:
            metadata = at(fields, 6, {})
            raw = at(fields, 5, 0) == 1
            arguments = [frames[0]] if raw else msgpack.unpackb(frames[0])
            value = method(arguments, frames[1:], metadata)
        except CallFailed as error:
            failed = [ERROR, call, error.code, error.ran, error.message]
            if error.typed is not None:
                yield [pack([*failed, None, None, True]), pack(error.typed)]
            else:
                yield [pack([*failed, error.retry_after_us, error.details])]
            return
        if isinstance(value, tuple):
            body, *blobs = value
        else:
            body, blobs = pack(value), []
        window = [1, 50, 0], [self.calls, 1 << 20]
        yield [pack([REPLY, call, *window]), body, *blobs]

    def close(self):
        """Ends it."""
        self.running = False
        self.thread.join(PATIENCE_S)
        self.socket.close(linger=0)


def plain(context, endpoint, *frames, seconds=PATIENCE_S):
    """What a REQ socket that sends this is answered."""
    socket = context.socket(zmq.REQ)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(endpoint)
        socket.send_multipart(frames)
        if not socket.poll(ms(seconds)):
            raise Failed(f"no answer within {seconds} s")
        (answer,) = socket.recv_multipart()
        return msgpack.unpackb(answer)
    finally:
        socket.close(linger=0)
