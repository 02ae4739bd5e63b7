"""Talks to foreign ZeroMQ peers: libzmq by pyzmq, the `zeromq` crate, and raw sockets.

One line a case, a total, exit code 1 if any failed. `make interop` runs it with the Python that
has pyzmq.
"""

import argparse
import faulthandler
import json
import os
import pathlib
import subprocess
import sys

import zmq

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import kit.cases  # noqa: E402
import cases  # noqa: E402, F401: registers them

DEVICES = ["bl-queue", "bl-forwarder", "bl-streamer"]


def build():
    """Builds the programs and the devices; where each is."""
    programs = {}
    for wanted in (
        ["--package", "brokerless-interop", "--features", "zeromq"],
        ["--package", "brokerless", "--features", "bin", *(f"--bin={name}" for name in DEVICES)],
    ):
        programs.update(build_one(wanted))
    return programs


def build_one(wanted):
    """Builds some of them; where each is."""
    command = [os.environ.get("CARGO", "cargo"), "build", "--quiet", *wanted]
    command += ["--message-format", "json-render-diagnostics"]
    if os.environ.get("CI"):
        command.append("--locked")
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {built.returncode}")
    programs = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            programs[message["target"]["name"]] = message["executable"]
    return programs


def main():
    """Reads the command line and runs the cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("words", nargs="*", help="only cases whose name has one of these")
    parser.add_argument("--list", action="store_true", help="only list the cases")
    parser.add_argument("--verbose", action="store_true", help="show what the programs were told")
    parser.add_argument("--budget", type=float, default=240, help="seconds for everything")
    arguments = parser.parse_args()
    if arguments.list:
        for name, _ in kit.cases.registered:
            print(name)
        return
    programs = build()
    # A case that hangs in spite of its deadlines shows where.
    faulthandler.dump_traceback_later(arguments.budget + 60, exit=True)
    print(f"libzmq {zmq.zmq_version()}, pyzmq {zmq.__version__}", flush=True)
    failed = kit.cases.run(programs, arguments.words, arguments.budget, arguments.verbose)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
