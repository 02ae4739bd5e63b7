"""The Rust programs, driven line by line, and their sockets."""

import collections
import os
import queue
import signal
import subprocess
import threading

from .waiting import PATIENCE_S, Clock, Failed, cut
from .wire import read, written


class Refused(Exception):
    """The socket refused: `reason` is its first word."""

    def __init__(self, line):
        super().__init__(line)
        self.reason = line.split()[0] if line.split() else ""


class Program:
    """A process that answers each line with a line."""

    def __init__(self, path, log):
        self.log = log
        self.process = subprocess.Popen(
            [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.lines = queue.Queue()
        self.names = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def post(self, line):
        """Gives a command without waiting for the answer."""
        self.log.append(f"> {cut(line)}")
        self.process.stdin.write(line + "\n")

    def answer(self, seconds=PATIENCE_S):
        """The answer to the first command that has none yet, in words."""
        try:
            # The command's own deadline comes first; this one is for a program that hangs.
            line = self.lines.get(timeout=seconds + PATIENCE_S)
        except queue.Empty:
            raise Failed("the program does not answer") from None
        self.log.append(f"< {cut(line)}")
        if line is None:
            raise Failed(f"the program has ended with {self.process.wait(PATIENCE_S)}")
        verdict, _, rest = line.partition(" ")
        if verdict == "ok":
            return rest.split()
        if verdict == "no":
            raise Refused(rest)
        raise Failed(rest)

    def ask(self, line, seconds=PATIENCE_S):
        """Gives a command; its answer, in words."""
        self.post(line)
        return self.answer(seconds)

    def name(self):
        """A name for a new socket."""
        self.names += 1
        return f"s{self.names}"

    def kill(self):
        """Ends it at once, as a crash does."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self):
        """Halts it: it hangs with its connections open."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self):
        """Lets it run again."""
        os.kill(self.process.pid, signal.SIGCONT)

    def close(self):
        """Ends it; it has to end well unless it was killed."""
        if self.process.poll() is None:
            self.go_on()
            self.process.stdin.close()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Failed("the program does not end with its input") from None
        if self.process.returncode not in (0, -signal.SIGKILL):
            raise Failed(f"the program has ended with {self.process.returncode}")


def settings(options):
    """Options as a line has them."""
    words = []
    for name, value in options.items():
        if isinstance(value, bool):
            value = "on" if value else "off"
        elif isinstance(value, bytes):
            value = written([value])
        words.append(f" {name}={value}")
    return "".join(words)


def ms(seconds):
    """Seconds as whole milliseconds."""
    return max(0, round(seconds * 1000))


class OurSocket:
    """A socket of this library."""

    whose = "ours"

    def __init__(self, program, kind, **options):
        self.program, self.kind, self.name = program, kind, program.name()
        self.events = collections.deque()
        program.ask(f"open {self.name} {kind}{settings(options)}")

    def bind(self, endpoint):
        """Listens; the endpoint as bound."""
        return self.program.ask(f"bind {self.name} {endpoint}")[0]

    def connect(self, endpoint):
        """Connects."""
        self.program.ask(f"connect {self.name} {endpoint}")

    def disconnect(self, endpoint):
        """Connects no longer."""
        self.program.ask(f"disconnect {self.name} {endpoint}")

    def subscribe(self, topic):
        """Subscribes."""
        self.program.ask(f"subscribe {self.name} {written([topic])}")

    def unsubscribe(self, topic):
        """Takes one subscription back; whether there was one."""
        return self.program.ask(f"unsubscribe {self.name} {written([topic])}") == ["true"]

    def topics(self):
        """What is subscribed to, and how often."""
        words = self.program.ask(f"topics {self.name}")
        return dict(zip(read(words[::2]), map(int, words[1::2])))

    def send(self, frames, to=None, seconds=PATIENCE_S):
        """Sends a message; a ROUTER to a number or an identity."""
        if self.kind in ("router", "rep"):
            self.program.ask(f"answer {self.name} {whom(to)} {written(frames)}")
        else:
            self.program.ask(f"send {self.name} {ms(seconds)} {written(frames)}", seconds)

    def fill(self, count, frames, to=None):
        """Sends it until it is refused, so often at most: how often it was sent, and the reason."""
        line = f"fill {self.name} {count} {whom(to)} {written(frames)}"
        sent, reason = self.program.ask(line)
        return int(sent), reason

    def recv(self, seconds=PATIENCE_S):
        """The next message, as (from whom, frames)."""
        words = self.program.ask(f"recv {self.name} {ms(seconds)}", seconds)
        if self.kind == "router":
            self.identity_of_last = read(words[1:2])[0]
            return words[0], read(words[2:])
        return None, read(words)

    def echo(self, count, seconds=PATIENCE_S):
        """Begins to send back as many messages; `echoed` waits for its end."""
        self.program.post(f"echo {self.name} {count} {ms(seconds)}")

    def echoed(self):
        """Waits for the end of `echo`."""
        self.program.answer(PATIENCE_S)

    def drain(self, seconds):
        """Receives until nothing came for that time: how many."""
        return int(self.program.ask(f"drain {self.name} {ms(seconds)}")[0])

    def event(self, *wanted, seconds=PATIENCE_S):
        """The next event that begins with these words, in words. What comes before it is kept in
        `events`."""
        clock = Clock(seconds)
        while True:
            try:
                words = self.program.ask(f"event {self.name} {ms(clock.left())}", seconds)
            except Refused:
                text = " ".join(wanted)
                raise Failed(f"no event {text} within {seconds} s") from None
            if tuple(words[: len(wanted)]) == wanted:
                return words
            self.events.append(words)

    def no_event(self, *unwanted):
        """Fails if one that begins with these words has come."""
        while True:
            try:
                self.events.append(self.program.ask(f"event {self.name} 0"))
            except Refused:
                break
        for words in self.events:
            if tuple(words[: len(unwanted)]) == unwanted:
                raise Failed(f"the event {' '.join(words)} has come")

    def forget(self):
        """Makes a REQ give up its request."""
        self.program.ask(f"forget {self.name}")

    def knows(self, identity):
        """Whether a ROUTER has a peer of that identity."""
        return self.program.ask(f"peer {self.name} {written([identity])}") == ["true"]

    def stats(self):
        """Counts by name, those that are zero included."""
        counts = collections.Counter()
        for word in self.program.ask(f"stats {self.name}"):
            name, value = word.split("=")
            counts[name] = int(value)
        return counts

    def close(self):
        """Closes it: messages left unsent."""
        return int(self.program.ask(f"close {self.name}")[0])


def whom(to):
    """A peer as a line has it."""
    if to is None:
        return "-"
    return to if isinstance(to, str) else written([to])


class CrateSocket:
    """A socket of the `zeromq` crate."""

    whose = "theirs"

    def __init__(self, program, kind, **options):
        self.program, self.kind, self.name = program, kind, program.name()
        program.ask(f"open {self.name} {kind}{settings(options)}")

    def bind(self, endpoint):
        """Listens; the endpoint as bound."""
        return self.program.ask(f"bind {self.name} {endpoint}")[0]

    def connect(self, endpoint, seconds=PATIENCE_S):
        """Connects, and waits for the connection."""
        self.program.ask(f"connect {self.name} {ms(seconds)} {endpoint}", seconds)

    def send(self, frames, to=None, seconds=PATIENCE_S):
        """Sends a message; refused without a peer, so it is tried until there is one."""
        if self.kind == "router":
            frames = [to, *frames]
        line = f"send {self.name} {ms(seconds)} {written(frames)}"
        clock = Clock(seconds)
        while True:
            try:
                return self.program.ask(line, seconds)
            except Refused as refused:
                text = str(refused)
                if not ("Not connected" in text or "not found" in text) or clock.left() == 0:
                    raise

    def recv(self, seconds=PATIENCE_S):
        """The next message, as (from whom, frames)."""
        frames = read(self.program.ask(f"recv {self.name} {ms(seconds)}", seconds))
        if self.kind == "router":
            return frames[0], frames[1:]
        return None, frames
