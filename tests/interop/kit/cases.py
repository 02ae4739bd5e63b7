"""Cases: how they are named, what they are given, how they are run."""

import contextlib
import os
import random
import shutil
import socket
import tempfile
import time
import traceback

import zmq

from .devices import Device, Worker
from .libzmq import LibSocket
from .programs import CrateSocket, OurSocket, Program
from .wire import Listener, Raw, Tap

# Ports below those that the system gives to whoever asks for any: a place that is left for a
# moment is still free then.
PORTS = range(20_000, 32_000)

registered = []


def case(name):
    """Registers a function as a case of this name. The name's first word is who the peer is."""

    def register(function):
        registered.append((name, function))
        return function

    return register


class Bench:
    """What a case works with. Everything made with it ends with the case."""

    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.stack = contextlib.ExitStack()
        self.log = []
        self.shared_program = None
        self.context = None

    def program(self):
        """A process of this library's."""
        program = Program(self.programs["interop-ours"], self.log)
        self.stack.callback(program.close)
        return program

    def ours(self, kind, program=None, **options):
        """A socket of this library's, in the case's process or that one."""
        if program is None:
            self.shared_program = self.shared_program or self.program()
            program = self.shared_program
        return OurSocket(program, kind, **options)

    def device(self, name, *arguments, **flags):
        """A device that is ready, both of its sides at any port unless told otherwise."""
        return self.keep(Device(self.programs[name], self, *arguments, **flags))

    def worker(self, *arguments):
        """A process of libzmq's, which can be killed."""
        return self.keep(Worker(*arguments))

    def crate_program(self):
        """A process of the crate's."""
        program = Program(self.programs["interop-zeromq"], self.log)
        self.stack.callback(program.close)
        return program

    def crate(self, kind, program=None, **options):
        """A socket of the crate's, in a process of its own."""
        return CrateSocket(program or self.crate_program(), kind, **options)

    def theirs(self, kind, **options):
        """A socket of libzmq's."""
        if self.context is None:
            self.context = zmq.Context()
            self.stack.callback(self.context.destroy, linger=0)
        # Kept: one that nobody refers to would be closed by Python, its monitor first.
        return self.keep(LibSocket(self.context, kind, **options))

    def keep(self, thing):
        """Closes it with the case."""
        self.stack.callback(thing.close)
        return thing

    def raw(self, endpoint, **options):
        """A raw connection to an endpoint."""
        return self.keep(Raw.connect(endpoint, **options))

    def listener(self, transport="tcp", **options):
        """A listener for raw peers."""
        return self.keep(Listener(self.any(transport).replace("*", "0"), **options))

    def tap(self, transport, forward):
        """A tap in front of an endpoint."""
        return self.keep(Tap(self.any(transport).replace("*", "0"), forward))

    def any(self, transport):
        """An endpoint to bind; for tcp with any port."""
        return "tcp://127.0.0.1:*" if transport == "tcp" else self.place(transport)

    def place(self, transport):
        """An endpoint that is known before anybody is bound to it."""
        if transport == "ipc":
            number = len(os.listdir(self.folder)), random.randrange(1 << 30)
            return f"ipc://{self.folder}/%d-%x" % number
        while True:
            port = random.choice(PORTS)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    return f"tcp://127.0.0.1:{port}"


def run(programs, wanted, budget_s, verbose):
    """Runs the cases whose name has one of the wanted words; how many failed."""
    chosen = [c for c in registered if not wanted or any(word in c[0] for word in wanted)]
    passed = failed = 0
    start = time.monotonic()
    for name, function in chosen:
        spent = time.monotonic() - start
        if spent > budget_s:
            print(f"FAILED {name}: not begun, {budget_s} s are over")
            failed += 1
            continue
        if one(programs, name, function, verbose):
            passed += 1
        else:
            failed += 1
    took = time.monotonic() - start
    print(f"{passed} passed, {failed} failed in {took:.0f} s", flush=True)
    return failed if chosen else 1


def one(programs, name, function, verbose):
    """Runs a case; whether it passed."""
    folder = tempfile.mkdtemp(prefix="bl-interop-")
    bench = Bench(programs, folder)
    before = time.monotonic()
    error = None
    try:
        with bench.stack:
            function(bench)
    except Exception as caught:  # whatever it is, the other cases run
        error = caught
    shutil.rmtree(folder, ignore_errors=True)
    took = time.monotonic() - before
    if error is None:
        print(f"ok {name} ({took:.2f} s)", flush=True)
    else:
        print(f"FAILED {name} ({took:.2f} s): {type(error).__name__}: {error}", flush=True)
    if verbose or error is not None:
        for line in bench.log[-40:]:
            print(f"    {line}")
    if error is not None:
        for entry in traceback.extract_tb(error.__traceback__)[1:]:
            print(f"    {os.path.basename(entry.filename)}:{entry.lineno} {entry.line}")
    return error is None
