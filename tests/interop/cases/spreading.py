"""What a DEALER does with several peers, libzmq's sockets among them."""

from kit.cases import case
from kit.exchange import expect_refusal, fill_up
from kit.waiting import WATCH_S, check, same, until
from kit.wire import pattern

# The turns of a fair queue are counted in bytes: one of these is a turn.
TURN = pattern(16 * 1024)


@case("libzmq dealer sends to its peers in turn")
def in_turn(bench):
    """Three peers, nine messages: three each, and each in its order."""
    dealer = bench.ours("dealer")
    peers = [bench.theirs(kind) for kind in ("router", "dealer", "router")]
    for peer in peers:
        dealer.connect(peer.bind(bench.any("tcp")))
        dealer.event("Connected")
    for number in range(9):
        dealer.send([b"%d" % number])
    for peer in peers:
        numbers = [int(peer.recv()[1][0]) for _ in range(3)]
        same([b - a for a, b in zip(numbers, numbers[1:])], [3, 3], "the turns of one peer")
        check(peer.silent(0), "more than its share")


@case("libzmq dealer receives from its peers fairly")
def fairly(bench):
    """What three peers have sent before the first is received is taken in turn."""
    dealer = bench.ours("dealer")
    endpoint = dealer.bind(bench.any("tcp"))
    peers = [bench.theirs("dealer") for _ in range(3)]
    for number, peer in enumerate(peers):
        peer.connect(endpoint)
        for _ in range(20):
            peer.send([b"%d" % number, TURN])
    until("everything has come in", lambda: dealer.stats()["recv_queue"] == 60)
    first = [int(dealer.recv()[1][0]) for _ in range(30)]
    shares = [first.count(number) for number in range(3)]
    check(max(shares) - min(shares) <= 2, f"shares of the first half: {shares}")


@case("libzmq dealer waits where there is no peer")
def waits(bench):
    """Bound, nobody there: refused at once, in time, or sent as soon as somebody comes."""
    dealer, peer = bench.ours("dealer"), bench.theirs("dealer")
    endpoint = dealer.bind(bench.any("tcp"))
    same(dealer.fill(1, [b"at once"]), (0, "NoPeer"), "sending at once to nobody")
    expect_refusal("Timeout", dealer.send, [b"in time"], seconds=0.05)
    dealer.program.post(f"send {dealer.name} 5000 =01")
    peer.connect(endpoint)
    dealer.program.answer()
    same(peer.recv()[1], [b"\x01"], "the message that waited")
    check(peer.silent(WATCH_S), "a message that was refused has been sent")


@case("libzmq dealer passes over a peer that is full")
def passes_over(bench):
    """One peer does not read: the others get everything, in their order, and nothing is lost."""
    dealer = bench.ours("dealer", send_messages_max=5, send_buffer_bytes=8192)
    full = bench.listener(recv_buffer_bytes=4096)
    dealer.connect(full.endpoint)
    stuck = bench.keep(full.accept())
    stuck.shake_hands("dealer", version=(3, 0))
    dealer.event("Connected")
    filling = [bytes(60)] * 64
    sent = fill_up(dealer, filling)
    reader = bench.theirs("dealer")
    dealer.connect(reader.bind(bench.any("tcp")))
    dealer.event("Connected")
    for number in range(500):
        dealer.send([b"%d" % number] + filling)
    for _ in range(sent):
        same(stuck.recv(), filling, "a message that waited")
    # The kernel may make room for a few more meanwhile: those may go there, too.
    numbers = []
    while not reader.silent(WATCH_S):
        numbers.append(int(reader.recv()[1][0]))
    passed_over = len(numbers)
    check(passed_over > 450, f"only {passed_over} of 500 went to the one that reads")
    same(numbers, sorted(numbers), "the messages in their order")
    numbers += [int(stuck.recv()[0]) for _ in range(500 - passed_over)]
    same(sorted(numbers), list(range(500)), "all of the messages")


@case("libzmq dealer gives the messages of a lost peer to nobody else")
def lost_peer(bench):
    """What was queued for a peer that came in and has gone is dropped and counted."""
    dealer = bench.ours("dealer", send_messages_max=10, send_buffer_bytes=8192)
    raw = bench.raw(dealer.bind(bench.any("tcp")), recv_buffer_bytes=4096)
    raw.shake_hands("dealer", version=(3, 0))
    sent = fill_up(dealer, [bytes(60)] * 64)
    raw.close()
    dealer.event("Disconnected")
    stats = dealer.stats()
    check(stats["dropped.peer-gone"] >= 10, f"dropped and counted: {stats}")
    same(stats["written"] + stats["dropped.peer-gone"], sent, "the books")
    same(stats["send_queue"], 0, "messages still queued")
