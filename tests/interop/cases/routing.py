"""What a ROUTER does: who is who, where an answer goes, and what is said when it cannot."""

from kit.cases import case
from kit.exchange import expect_refusal, fill_up, talk
from kit.waiting import WATCH_S, check, same, until

from .spreading import TURN


@case("libzmq router receives from its peers fairly and answers each its own")
def fairly(bench):
    """Three peers, their messages taken in turn, every answer with its asker."""
    router = bench.ours("router")
    endpoint = router.bind(bench.any("tcp"))
    peers = [bench.theirs("dealer") for _ in range(3)]
    for number, peer in enumerate(peers):
        peer.connect(endpoint)
        for _ in range(20):
            peer.send([b"%d" % number, TURN])
    until("everything has come in", lambda: router.stats()["recv_queue"] == 60)
    taken = []
    for _ in range(60):
        who, frames = router.recv()
        taken.append(int(frames[0]))
        router.send(frames[:1], who)
    shares = [taken[:30].count(number) for number in range(3)]
    check(max(shares) - min(shares) <= 2, f"shares of the first half: {shares}")
    for number, peer in enumerate(peers):
        for _ in range(20):
            same(peer.recv()[1], [b"%d" % number], "the answer")


@case("libzmq router tells apart peers that have no identity")
def nameless(bench):
    """Each is a connection of its own; none has a name."""
    router = bench.ours("router")
    endpoint = router.bind(bench.any("tcp"))
    peers = [bench.theirs("dealer") for _ in range(5)]
    for number, peer in enumerate(peers):
        peer.connect(endpoint)
        peer.send([b"%d" % number])
    seen = {}
    for _ in peers:
        who, frames = router.recv()
        same(router.identity_of_last, b"", "the identity of one without")
        seen[int(frames[0])] = who
    same(len(set(seen.values())), 5, "peers told apart")
    for number, who in seen.items():
        router.send([b"to %d" % number], who)
    for number, peer in enumerate(peers):
        same(peer.recv()[1], [b"to %d" % number], "the answer")


@case("libzmq router says that nobody has the identity")
def unroutable(bench):
    """Refused and counted, before and after the peer was there."""
    router, peer = bench.ours("router"), bench.theirs("dealer", identity=b"x")
    endpoint = router.bind(bench.any("tcp"))
    expect_refusal("Gone", router.send, [b"hello"], to=b"x")
    peer.connect(endpoint)
    talk(router, peer, identities={peer: b"x"})
    peer.close()
    router.event("Disconnected")
    before = router.stats()["refused.peer-gone"]
    expect_refusal("Gone", router.send, [b"hello"], to=b"x")
    same(router.stats()["refused.peer-gone"], before + 1, "refusals counted")


@case("libzmq router says that a peer is full, and serves the others")
def full(bench):
    """A peer that does not read is refused, whoever reads is served; once it reads, it gets all
    that was taken, and more is taken."""
    router = bench.ours("router", send_messages_max=10, send_buffer_bytes=8192)
    endpoint = router.bind(bench.any("tcp"))
    other = bench.theirs("dealer", identity=b"reads")
    other.connect(endpoint)
    stuck = bench.raw(endpoint, recv_buffer_bytes=4096)
    stuck.shake_hands("dealer", version=(3, 0), identity=b"stuck")
    until("the peer is known", lambda: router.knows(b"stuck"))
    message = [bytes(60)] * 64
    sent = fill_up(router, message, b"stuck")
    check(sent >= 10, f"only {sent} messages were taken")
    talk(router, other, identities={other: b"reads"})
    for _ in range(sent):
        same(stuck.recv(), message, "a message that was taken")
    until("more is taken", lambda: router.fill(1, [b"more"], b"stuck")[0] == 1)
    same(stuck.recv(), [b"more"], "the next message")
    check(router.stats()["refused.full"] >= 1, "refusals counted")


@case("libzmq router fills up to what libzmq takes, and goes on when it reads")
def full_libzmq(bench):
    """As above, with a libzmq peer whose receive limit is small."""
    router = bench.ours("router", send_messages_max=10, send_buffer_bytes=8192)
    peer = bench.theirs("dealer", identity=b"slow", rcvhwm=5, rcvbuf=4096)
    peer.connect(router.bind(bench.any("tcp")))
    until("the peer is known", lambda: router.knows(b"slow"))
    sent = fill_up(router, [bytes(60)] * 64, b"slow")
    for _ in range(sent):
        same(len(peer.recv()[1]), 64, "frames of a message that was taken")
    until("more is taken", lambda: router.fill(1, [b"more"], b"slow")[0] == 1)
    same(peer.recv()[1], [b"more"], "the next message")


@case("libzmq router gives nothing of a lost peer to the next of its name")
def fresh_queue(bench):
    """What was queued for the first is dropped; the second gets only what is sent to it."""
    router = bench.ours("router", send_messages_max=50, send_buffer_bytes=8192)
    endpoint = router.bind(bench.any("tcp"))
    first = bench.raw(endpoint, recv_buffer_bytes=4096)
    first.shake_hands("dealer", version=(3, 0), identity=b"name")
    until("the peer is known", lambda: router.knows(b"name"))
    first.send(b"hello")
    old, _ = router.recv()
    fill_up(router, [bytes(60)] * 64, old)
    first.close()
    router.event("Disconnected")
    second = bench.theirs("dealer", identity=b"name")
    second.connect(endpoint)
    until("the next one is known", lambda: router.knows(b"name"))
    expect_refusal("Gone", router.send, [b"to the old one"], to=old)
    router.send([b"to the new one"], to=b"name")
    same(second.recv()[1], [b"to the new one"], "what the second received")
    check(second.silent(WATCH_S), "something more has come")


@case("libzmq router takes the empty message of a PROBE_ROUTER")
def probe(bench):
    """libzmq sends one to make itself known; it is a message of one empty frame."""
    router = bench.ours("router")
    peer = bench.theirs("dealer", probe_router=1, identity=b"probing")
    peer.connect(router.bind(bench.any("tcp")))
    who, frames = router.recv()
    same((router.identity_of_last, frames), (b"probing", [b""]), "the probe")
    router.send([b"seen"], who)
    same(peer.recv()[1], [b"seen"], "the answer")
