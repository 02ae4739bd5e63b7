"""Peers of libzmq's that run in processes of their own: they can be killed, and do not share one
interpreter's time.

| arguments | what it does |
|---|---|
| `push ENDPOINT COUNT` | sends so many messages, each its number; ends once all have gone out |
| `pull ENDPOINT FILE` | counts each number that comes in the file, a byte a number, until told |
| `read TYPE ENDPOINT` | receives until told, and prints how many messages came |

Told is: the standard input has ended. A file that is mapped is whole even if the process is
killed. Each prints `ready` first.
"""

import mmap
import sys
import threading

import zmq


def told():
    """A socket that has something to read once the standard input has ended."""
    context = zmq.Context.instance()
    end, stop = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    end.bind("inproc://told")
    stop.connect("inproc://told")

    def wait():
        sys.stdin.read()
        stop.send(b"")

    threading.Thread(target=wait, daemon=True).start()
    return end


def push(endpoint, count):
    """Sends the numbers."""
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.connect(endpoint)
    print("ready", flush=True)
    send = socket.send
    for number in range(int(count)):
        send(number.to_bytes(8, "big"))
    socket.close(linger=-1)
    zmq.Context.instance().term()


def receive(socket, each):
    """Gives each message to `each` until the standard input has ended."""
    end = told()
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(end, zmq.POLLIN)
    print("ready", flush=True)
    recv = socket.recv
    while True:
        try:
            while True:
                each(recv(zmq.DONTWAIT))
        except zmq.Again:
            pass
        if any(ready is end for ready, _ in poller.poll()):
            return


def pull(endpoint, path):
    """Counts the numbers."""
    socket = zmq.Context.instance().socket(zmq.PULL)
    socket.setsockopt(zmq.RECONNECT_IVL, 20)
    socket.connect(endpoint)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as counts:

        def count(body):
            counts[int.from_bytes(body, "big")] += 1

        receive(socket, count)


def read(kind, endpoint):
    """Counts the messages."""
    socket = zmq.Context.instance().socket(getattr(zmq, kind.upper()))
    if kind == "sub":
        socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.connect(endpoint)
    count = 0

    def one(_):
        nonlocal count
        count += 1

    receive(socket, one)
    print(count, flush=True)


if __name__ == "__main__":
    {"push": push, "pull": pull, "read": read}[sys.argv[1]](*sys.argv[2:])
    sys.stdout.flush()
    zmq.Context.instance().destroy(linger=0)
