"""The device programs, and peers of libzmq's that are processes of their own."""

import json
import pathlib
import queue
import signal
import subprocess
import sys
import threading

from .waiting import PATIENCE_S, Clock, Failed, same

WORKERS = pathlib.Path(__file__).with_name("workers.py")


class Device:
    """A device program, running and ready."""

    def __init__(self, path, bench, *arguments, **flags):
        self.bench = bench
        words = {"frontend": "tcp://127.0.0.1:*", "backend": "tcp://127.0.0.1:*"} | flags
        command = [path, *arguments]
        for flag, value in words.items():
            if value is not None:
                command += [f"--{flag.replace('_', '-')}", str(value)]
        bench.log.append(f"$ {' '.join(command[1:])}")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.endpoints = {}
        while (line := self.line()) != "ready":
            side, endpoint = line.split(" ", 1)
            self.endpoints.setdefault(side, []).append(endpoint)
        self.controller = None

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, start="", seconds=PATIENCE_S):
        """The next line that it prints and that begins so."""
        clock = Clock(seconds)
        while True:
            try:
                line = self.lines.get(timeout=clock.left())
            except queue.Empty:
                raise Failed(f"the device does not print {start!r} within {seconds} s") from None
            self.bench.log.append(f"< {line}")
            if line is None:
                raise Failed(f"the device has ended with {self.process.wait(PATIENCE_S)}")
            if line.startswith(start):
                return line

    def at(self, side, which=0):
        """An endpoint of a side."""
        return self.endpoints[side][which]

    def tell(self, command):
        """Gives a command to its control; the answer."""
        if self.controller is None:
            self.controller = self.bench.theirs("req")
            self.controller.connect(self.at("control"))
        self.controller.send([command.encode()])
        (answer,) = self.controller.recv()[1]
        self.bench.log.append(f"{command}: {answer[:2000]!r}")
        return answer.decode()

    def statistics(self):
        """What it has counted."""
        return json.loads(self.tell("STATISTICS"))

    def signal(self, number=signal.SIGTERM):
        """Sends it a signal."""
        self.process.send_signal(number)

    def ends(self, code=0, seconds=PATIENCE_S):
        """Waits for its end, with that code: the numbers of its lines `moved` and `left`."""
        moved, left = numbers(self.line("moved ", seconds)), numbers(self.line("left ", seconds))
        same(self.process.wait(PATIENCE_S), code, "the exit code")
        return moved, left

    def drains(self, seconds=PATIENCE_S):
        """Ends it by SIGTERM: the numbers of its lines `moved` and `left`."""
        self.signal()
        return self.ends(seconds=seconds)

    def close(self):
        """Ends it at once, if it has not ended."""
        self.process.kill()
        self.process.wait(PATIENCE_S)


def numbers(line):
    """The numbers of a line of `name=number`."""
    pairs = (word.split("=") for word in line.split()[1:])
    return {name: int(value) for name, value in pairs}


class Worker:
    """A process of libzmq's: see `workers.py` for what it may be told to do."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, WORKERS, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self):
        """The next line that it prints."""
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the worker has ended with {self.process.wait(PATIENCE_S)}")
        return line.strip()

    def stop(self):
        """Halts it: it hangs with its connections open."""
        self.process.send_signal(signal.SIGSTOP)

    def kill(self):
        """Ends it at once, as a crash does."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self, seconds=PATIENCE_S):
        """Waits until it has ended, and well."""
        self.process.stdin.close()
        same(self.process.wait(seconds), 0, "the worker's exit code")

    def close(self):
        """Ends it at once, if it has not ended."""
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()
