"""Limits of queues: who has to wait, what is taken, and that nothing of it is lost."""

import zmq

from kit.cases import case
from kit.exchange import expect_refusal, fill_up
from kit.programs import ms
from kit.waiting import Failed, check, same, until
from kit.wire import pattern

KIB, MIB = 1 << 10, 1 << 20
# What two kernels' buffers of the sizes asked for, a read and a batch may hold beside the queues.
SLACK_BYTES = 2 * MIB
BODY = pattern(16 * KIB)


def slack(size):
    """Messages of that size that may be anywhere between two full queues."""
    return SLACK_BYTES // size


def until_held_back(theirs, seconds):
    """Sends numbered messages until libzmq takes none for that time; how many it took."""
    theirs.set(sndtimeo=ms(seconds))
    for number in range(1000):
        try:
            theirs.send([b"%d" % number, BODY])
        except zmq.Again:
            return number
    raise Failed("libzmq was never held back")


@case("libzmq hwm: ours stops at its send limit, in messages")
def send_messages(bench):
    """A libzmq peer that does not read; all that was taken arrives when it does, in order."""
    ours = bench.ours("dealer", send_messages_max=20, send_buffer_bytes=8192)
    theirs = bench.theirs("dealer", rcvhwm=20, rcvbuf=8192)
    ours.connect(theirs.bind(bench.any("tcp")))
    ours.event("Connected")
    sent = fill_up(ours, [BODY])
    check(20 <= sent <= 40 + slack(len(BODY)), f"{sent} messages were taken")
    for _ in range(sent):
        same(theirs.recv()[1], [BODY], "a message that was taken")
    until("there is room again", lambda: ours.fill(1, [b"more"])[0] == 1)
    same(theirs.recv()[1], [b"more"], "the next message")


@case("libzmq hwm: ours stops at its send limit, in bytes")
def send_bytes(bench):
    """As above, by bytes; a message that is larger than the limit fits an empty queue."""
    ours = bench.ours("dealer", send_bytes_max=100 * KIB, send_buffer_bytes=8192)
    theirs = bench.theirs("dealer", rcvhwm=2, rcvbuf=8192)
    ours.connect(theirs.bind(bench.any("tcp")))
    ours.event("Connected")
    ours.send([pattern(MIB)])
    same(theirs.recv()[1], [pattern(MIB)], "a message over the limit")
    sent = fill_up(ours, [BODY])
    check(sent <= 100 * KIB // len(BODY) + 2 + slack(len(BODY)), f"{sent} messages were taken")
    for _ in range(sent):
        same(theirs.recv()[1], [BODY], "a message that was taken")


@case("libzmq hwm: a limit of one message each way loses none")
def least(bench):
    """The smallest queues there are, 200 messages."""
    ours = bench.ours("dealer", send_messages_max=1, recv_messages_max=1)
    theirs = bench.theirs("dealer", sndhwm=1, rcvhwm=1)
    theirs.connect(ours.bind(bench.any("tcp")))
    ours.event("Connected")
    for number in range(200):
        ours.send([b"%d" % number])
        theirs.send([b"%d" % number])
        same(theirs.recv()[1], [b"%d" % number], "from ours")
        same(ours.recv()[1], [b"%d" % number], "from libzmq")


@case("libzmq hwm: ours holds libzmq back while its program does not receive")
def receive(bench):
    """libzmq's sending stops; all that it has taken arrives, in order, and it goes on."""
    ours = bench.ours("dealer", recv_messages_max=20, recv_buffer_bytes=8192)
    theirs = bench.theirs("dealer", sndhwm=20, sndbuf=8192)
    theirs.connect(ours.bind(bench.any("tcp")))
    theirs.connected()
    sent = until_held_back(theirs, 0.3)
    waiting = ours.stats()["recv_queue"]
    check(20 <= waiting <= 20 + 64 * KIB // len(BODY) + 16, f"{waiting} messages wait in ours")
    check(sent <= 40 + 16 + slack(len(BODY)), f"libzmq got rid of {sent} messages")
    for number in range(sent):
        same(ours.recv()[1], [b"%d" % number, BODY], "the messages in their order")
    theirs.send([b"more"])
    same(ours.recv()[1], [b"more"], "the next message")


@case("libzmq hwm: heartbeats do not cut a peer whose messages nobody receives")
def held_back_and_alive(bench):
    """Reading is paused for many times the timeout: that silence is ours, not the peer's."""
    beat = {"heartbeat_interval": 50, "heartbeat_timeout": 300, "heartbeat_ttl": 5000}
    ours = bench.ours("dealer", recv_messages_max=5, recv_buffer_bytes=8192, **beat)
    theirs = bench.theirs("dealer", sndhwm=5, sndbuf=8192)
    theirs.connect(ours.bind(bench.any("tcp")))
    theirs.connected()
    sent = until_held_back(theirs, 0.9)
    ours.no_event("Disconnected")
    for number in range(sent):
        same(ours.recv()[1], [b"%d" % number, BODY], "the messages in their order")
    ours.no_event("Disconnected")


@case("libzmq hwm: a stuck peer holds back neither its neighbours nor their answers")
def neighbours(bench):
    """One peer's messages are not received beyond the limit; the others talk on."""
    ours = bench.ours("router", recv_messages_max=10, recv_buffer_bytes=8192)
    endpoint = ours.bind(bench.any("tcp"))
    loud, calm = bench.theirs("dealer", sndhwm=10), bench.theirs("dealer")
    loud.connect(endpoint)
    loud.connected()
    until("the loud one is held back", lambda: ours.stats()["recv_queue"] >= 10 or
          not loud.try_send([BODY]))
    calm.connect(endpoint)
    calm.send([b"question"])
    while True:
        who, frames = ours.recv()
        if frames == [b"question"]:
            break
    ours.send([b"answer"], who)
    same(calm.recv()[1], [b"answer"], "the answer")


@case("libzmq linger: closing waits for what is queued, and says what was left")
def linger(bench):
    """All arrives although the socket is closed at once; without a peer, all is reported."""
    ours, theirs = bench.ours("dealer"), bench.theirs("dealer")
    ours.connect(theirs.bind(bench.any("tcp")))
    for number in range(500):
        ours.send([b"%d" % number])
    same(ours.close(), 0, "messages left")
    for number in range(500):
        same(theirs.recv()[1], [b"%d" % number], "the messages in their order")
    lonely = bench.ours("dealer", linger=50)
    lonely.connect(bench.place("tcp"))
    for _ in range(7):
        lonely.send([b"nobody"])
    same(lonely.close(), 7, "messages left")


@case("libzmq linger: a queue that is limited refuses while the peer is away")
def away(bench):
    """Messages wait for a peer that is not there, up to the limit; then all of them arrive."""
    ours = bench.ours("dealer", send_messages_max=10, reconnect_interval=20,
                      reconnect_interval_max=50)
    endpoint = bench.place("tcp")
    ours.connect(endpoint)
    same(ours.fill(100, [b"waits"]), (10, "Full"), "messages that wait")
    expect_refusal("Timeout", ours.send, [b"one more"], seconds=0.05)
    theirs = bench.theirs("dealer")
    theirs.bind(endpoint)
    for _ in range(10):
        same(theirs.recv()[1], [b"waits"], "a message that waited")
