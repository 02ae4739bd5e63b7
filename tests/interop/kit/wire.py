"""ZMTP by hand: the pattern of test bytes, frames, a raw peer, and a tap between two peers."""

import collections
import contextlib
import selectors
import socket
import struct
import threading

from .waiting import PATIENCE_S, WATCH_S, Clock, Failed, cut

MORE, LONG, COMMAND = 1, 2, 4
GREETING_BYTES = 64
PERIOD = bytes(range(251))
PLAIN_MAX = 255


def pattern(size, shift=0):
    """`size` bytes that count from 0 to 250 again and again, beginning with `shift`."""
    shift %= len(PERIOD)
    period = PERIOD[shift:] + PERIOD[:shift]
    return (period * (size // len(period) + 1))[:size]


def written(frames):
    """A message as the programs write it: see the Rust package's first page."""
    words = []
    for frame in frames:
        if len(frame) <= PLAIN_MAX:
            words.append("=" + frame.hex())
        elif frame == pattern(len(frame), frame[0]):
            words.append(f"~{len(frame)}+{frame[0]}")
        else:
            raise ValueError("a long frame has to be a piece of the pattern")
    return " ".join(words)


def read(words):
    """The frames that the programs have written."""
    frames = []
    for word in words:
        if word.startswith("="):
            frames.append(bytes.fromhex(word[1:]))
        elif word.startswith("~"):
            size, shift = word[1:].split("+")
            frames.append(pattern(int(size), int(shift)))
        else:
            raise Failed(f"a frame that was spoiled on the way, as {word}")
    return frames


def greeting(version=(3, 1), mechanism=b"NULL", as_server=0):
    """The first 64 bytes of a connection."""
    head = b"\xff" + bytes(8) + b"\x7f" + bytes(version)
    return head + mechanism.ljust(20, b"\0") + bytes([as_server]) + bytes(31)


def frame(body, flags=0):
    """A frame with its header."""
    if len(body) > 255:
        return struct.pack(">BQ", flags | LONG, len(body)) + body
    return struct.pack(">BB", flags, len(body)) + body


def command(name, body=b""):
    """A command's frame."""
    return frame(bytes([len(name)]) + name + body, COMMAND)


def metadata(**properties):
    """The properties of a READY; an underscore in a name stands for a hyphen."""
    parts = []
    for name, value in properties.items():
        name = name.replace("_", "-").encode()
        parts.append(bytes([len(name)]) + name + struct.pack(">I", len(value)) + value)
    return b"".join(parts)


class Splitter:
    """Cuts a byte stream into the greeting and frames."""

    def __init__(self):
        self.buffer = bytearray()
        self.greeting = None

    def feed(self, data):
        """Takes bytes, gives the frames that are whole: (flags, body)."""
        self.buffer += data
        frames = []
        if self.greeting is None:
            if len(self.buffer) < GREETING_BYTES:
                return frames
            self.greeting = bytes(self.buffer[:GREETING_BYTES])
            del self.buffer[:GREETING_BYTES]
        while len(self.buffer) >= 2:
            flags, size, header = self.buffer[0], self.buffer[1], 2
            if flags & LONG:
                if len(self.buffer) < 9:
                    break
                (size,), header = struct.unpack(">Q", self.buffer[1:9]), 9
            if len(self.buffer) < header + size:
                break
            frames.append((flags, bytes(self.buffer[header : header + size])))
            del self.buffer[: header + size]
        return frames


def command_of(flags, body):
    """The name and the rest of a command; (None, None) of a message's frame."""
    if not flags & COMMAND:
        return None, None
    # One without a name is none that anybody knows.
    end = 1 + (body[0] if body else 0)
    return body[1:end].decode("latin-1"), body[end:]


def address(endpoint):
    """What an endpoint is to the system."""
    transport, place = endpoint.split("://", 1)
    if transport == "ipc":
        return socket.AF_UNIX, place
    host, port = place.rsplit(":", 1)
    return socket.AF_INET, (host, int(port))


class Listener:
    """Takes connections for raw peers."""

    def __init__(self, endpoint, recv_buffer_bytes=None):
        family, place = address(endpoint)
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if recv_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, recv_buffer_bytes)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(place)
        self.socket.listen()
        self.endpoint = endpoint
        if family == socket.AF_INET:
            self.endpoint = "tcp://%s:%d" % self.socket.getsockname()

    def accept(self, seconds=PATIENCE_S):
        """The next connection."""
        self.socket.settimeout(seconds)
        try:
            return Raw(self.socket.accept()[0])
        except TimeoutError:
            raise Failed(f"nobody connected within {seconds} s") from None

    def close(self):
        """Listens no longer."""
        self.socket.close()


class Raw:
    """A peer that is a socket and what a case writes to it."""

    def __init__(self, connection):
        self.socket = connection
        self.splitter = Splitter()
        self.frames = collections.deque()
        self.ended = False
        self.properties = {}
        # Commands after the handshake: (name, body).
        self.commands = []

    @classmethod
    def connect(cls, endpoint, recv_buffer_bytes=None):
        """A connection to an endpoint."""
        family, place = address(endpoint)
        connection = socket.socket(family, socket.SOCK_STREAM)
        if recv_buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, recv_buffer_bytes)
        connection.settimeout(PATIENCE_S)
        connection.connect(place)
        return cls(connection)

    def write(self, data):
        """Sends bytes as they are."""
        self.socket.settimeout(PATIENCE_S)
        self.socket.sendall(data)

    def read(self, seconds):
        """Takes in what comes; false when nothing came in time. Notes the end."""
        self.socket.settimeout(max(seconds, 0.0001))
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return False
        except ConnectionError:
            data = b""
        self.ended = not data
        self.frames.extend(self.splitter.feed(data))
        return True

    def frame(self, seconds=PATIENCE_S):
        """The next frame (flags, body), or nothing when none came in time or the end did."""
        clock = Clock(seconds)
        while not self.frames and not self.ended:
            if not self.read(clock.left()) and clock.left() == 0:
                return None
        return self.frames.popleft() if self.frames else None

    def shake_hands(self, kind, version=(3, 1), identity=None, write=None):
        """Greets, says what it is, and waits for the other side to do the same."""
        write = write or self.write
        write(greeting(version))
        properties = {"Socket_Type": kind.upper().encode()}
        if identity is not None:
            properties["Identity"] = identity
        write(command(b"READY", metadata(**properties)))
        name, body = self.expect_command()
        if name != "READY":
            raise Failed(f"answered with {name} {cut(body)} to READY")
        self.properties = parse_metadata(body)
        return self

    def expect_command(self, seconds=PATIENCE_S):
        """The next frame, which is a command: (name, body)."""
        found = self.frame(seconds)
        if found is None:
            raise Failed("the connection ended" if self.ended else "nothing came in time")
        name, body = command_of(*found)
        if name is None:
            raise Failed(f"a message's frame {cut(found[1])} in place of a command")
        return name, body

    def send(self, *frames):
        """Sends a message."""
        last = len(frames) - 1
        self.write(b"".join(frame(f, MORE if i < last else 0) for i, f in enumerate(frames)))

    def command(self, name, body=b""):
        """Sends a command."""
        self.write(command(name, body))

    def recv(self, seconds=PATIENCE_S):
        """The next message; commands on the way are kept in `commands`."""
        clock = Clock(seconds)
        message = []
        while True:
            found = self.frame(clock.left())
            if found is None:
                raise Failed("the connection ended" if self.ended else "no message came in time")
            name, body = command_of(*found)
            if name is not None:
                self.commands.append((name, body))
                continue
            message.append(found[1])
            if not found[0] & MORE:
                return message

    def quiet(self, seconds=WATCH_S):
        """Whether nothing comes for that time, not even the end; but for a PING, which measures."""
        clock = Clock(seconds)
        while (found := self.frame(clock.left())) is not None:
            if command_of(*found)[0] != "PING":
                return False
        return not self.ended

    def expect_end(self, seconds=PATIENCE_S, answer_pings=False):
        """Waits for the other side to close, whatever it sends before; the time it took."""
        clock = Clock(seconds)
        while not self.ended:
            found = self.frame(clock.left())
            if found is None and not self.ended:
                raise Failed(f"not closed by the other side within {seconds} s")
            if found is not None:
                name, body = command_of(*found)
                self.commands.append((name, body))
                if answer_pings and name == "PING":
                    self.command(b"PONG", body[2:])
        return clock.spent()

    def answer_pings(self, count, seconds=PATIENCE_S):
        """Answers so many PINGs; their bodies."""
        clock = Clock(seconds)
        bodies = []
        while len(bodies) < count:
            name, body = self.expect_command(clock.left())
            if name == "PING":
                self.command(b"PONG", body[2:])
                bodies.append(body)
        return bodies

    def close(self):
        """Closes the connection."""
        self.socket.close()


def parse_metadata(data):
    """The properties of a READY."""
    properties, at = {}, 0
    while at < len(data):
        end = at + 1 + data[at]
        (size,) = struct.unpack(">I", data[end : end + 4])
        properties[data[at + 1 : end].decode("latin-1")] = data[end + 4 : end + 4 + size]
        at = end + 4 + size
    return properties


class Tap:
    """Stands between two peers, passes everything on, and counts what goes by.

    `counts` has a counter for each way, of the names of commands and of "messages": `up` is from
    the one that connects, `down` from the one that is bound.
    """

    def __init__(self, listen, forward):
        self.listener = Listener(listen)
        self.endpoint = self.listener.endpoint
        self.forward = forward
        self.counts = {"up": collections.Counter(), "down": collections.Counter()}
        self.changed = threading.Condition()
        self.wake, self.stop = socket.socketpair()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def wait(self, way, name, count, seconds=PATIENCE_S):
        """Waits for so many of a name to have gone by; whether they did."""
        with self.changed:
            return self.changed.wait_for(lambda: self.counts[way][name] >= count, seconds)

    def _run(self):
        chooser = selectors.DefaultSelector()
        chooser.register(self.wake, selectors.EVENT_READ)
        chooser.register(self.listener.socket, selectors.EVENT_READ)
        while True:
            for key, _ in chooser.select():
                if key.fileobj is self.wake:
                    for other in list(chooser.get_map().values()):
                        other.fileobj.close()
                    return
                if key.fileobj is self.listener.socket:
                    self._pair(chooser)
                else:
                    self._pass(chooser, key)

    def _pair(self, chooser):
        near, _ = self.listener.socket.accept()
        family, place = address(self.forward)
        far = socket.socket(family, socket.SOCK_STREAM)
        try:
            far.connect(place)
        except OSError:
            near.close()
            return
        for end in (near, far):
            if end.family != socket.AF_UNIX:
                # What is passed on has not to wait for more.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chooser.register(near, selectors.EVENT_READ, (far, "up", Splitter()))
        chooser.register(far, selectors.EVENT_READ, (near, "down", Splitter()))

    def _pass(self, chooser, key):
        other, way, splitter = key.data
        try:
            data = key.fileobj.recv(65536)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (key.fileobj, other):
                with contextlib.suppress(KeyError, ValueError):
                    chooser.unregister(end)
                end.close()
            return
        with self.changed:
            for flags, body in splitter.feed(data):
                name, _ = command_of(flags, body)
                if name is not None:
                    self.counts[way][name] += 1
                elif not flags & MORE:
                    self.counts[way]["messages"] += 1
            self.changed.notify_all()

    def close(self):
        """Ends every connection."""
        self.stop.close()
        self.thread.join(PATIENCE_S)
