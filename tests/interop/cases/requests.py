"""What a REQ and a REP owe their peers, with libzmq's sockets on the other side."""

from kit.cases import case
from kit.exchange import ask, expect_refusal, talk
from kit.waiting import WATCH_S, Failed, check, same
from kit.programs import Refused

from kit.wire import pattern


def nothing_comes(socket):
    """Fails if one of our sockets receives something within a while."""
    try:
        got = socket.recv(WATCH_S)
    except Refused as refused:
        same(refused.reason, "Timeout", "why nothing was received")
        return
    raise Failed(f"received {got}")


@case("libzmq req takes its peers in turn")
def req_in_turn(bench):
    """Three REPs, six requests: two each, the same order twice."""
    req = bench.ours("req")
    reps = [bench.theirs("rep") for _ in range(3)]
    for rep in reps:
        req.connect(rep.bind(bench.any("tcp")))
        req.event("Connected")
    order = []
    for number in range(6):
        req.send([b"%d" % number])
        turn = [rep for rep in reps if rep.socket.poll(0)]
        while not turn:
            turn = [rep for rep in reps if rep.socket.poll(1)]
        same(len(turn), 1, "REPs that one request went to")
        same(turn[0].recv()[1], [b"%d" % number], "the request")
        turn[0].send([b"done"])
        same(req.recv()[1], [b"done"], "the answer")
        order.append(reps.index(turn[0]))
    same(sorted(order[:3]), [0, 1, 2], "the REPs of three requests")
    same(order[3:], order[:3], "the order of the next three")


@case("libzmq req puts an envelope before the request that ends with an empty frame")
def req_envelope(bench):
    """A ROUTER sees it; what it gives back with the same envelope is the answer."""
    req, router = bench.ours("req"), bench.theirs("router")
    req.connect(router.bind(bench.any("tcp")))
    req.send([b"question", b"", b"more"])
    who, frames = router.recv()
    same(frames[-3:], [b"question", b"", b"more"], "the request")
    same(frames[:-3].index(b""), len(frames) - 4, "the place of the delimiter")
    router.send(frames[:-3] + [b"answer", b"", b"end"], who)
    same(req.recv()[1], [b"answer", b"", b"end"], "the answer")


@case("libzmq req has one request at a time")
def req_one_at_a_time(bench):
    """Receiving before sending and sending twice are refused, and nothing is lost by it."""
    req, rep = bench.ours("req"), bench.theirs("rep")
    req.connect(rep.bind(bench.any("tcp")))
    expect_refusal("OutOfTurn", req.recv)
    req.send([b"first"])
    expect_refusal("OutOfTurn", req.send, [b"second"])
    same(rep.recv()[1], [b"first"], "the request")
    rep.send([b"answer"])
    same(req.recv()[1], [b"answer"], "the answer")
    expect_refusal("OutOfTurn", req.recv)
    check(rep.silent(WATCH_S), "the refused request went out")


@case("libzmq req waits where there is no peer")
def req_without_peer(bench):
    """Bound, nobody there: the request waits until its time is over, or until somebody comes."""
    req, rep = bench.ours("req"), bench.theirs("rep")
    endpoint = req.bind(bench.any("tcp"))
    expect_refusal("Timeout", req.send, [b"nobody"], seconds=0.05)
    req.program.post(f"send {req.name} 5000 =01")
    rep.connect(endpoint)
    req.program.answer()
    same(rep.recv()[1], [b"\x01"], "the request")


@case("libzmq req takes a late answer for nothing")
def req_late_answer(bench):
    """The answer to a request that was given up comes after the next request was sent."""
    req, router = bench.ours("req"), bench.theirs("router")
    req.connect(router.bind(bench.any("tcp")))
    req.send([b"first"])
    who, first = router.recv()
    req.forget()
    req.send([b"second"])
    who, second = router.recv()
    router.send(first[:-1] + [b"to the first"], who)
    router.send(second[:-1] + [b"to the second"], who)
    same(req.recv()[1], [b"to the second"], "the answer")
    same(req.stats()["dropped.misfit"], 1, "answers dropped")


@case("libzmq req takes an answer only from the peer that it has asked")
def req_wrong_peer(bench):
    """Another peer that gives back the right envelope is not heard."""
    req = bench.ours("req", identity=b"asker")
    asked, other = bench.theirs("router"), bench.theirs("router")
    req.connect(asked.bind(bench.any("tcp")))
    req.event("Connected")
    req.connect(other.bind(bench.any("tcp")))
    req.event("Connected")
    # In turn: the first request goes to one of them, the second to the other.
    req.send([b"first"])
    if asked.silent(WATCH_S):
        asked, other = other, asked
    asked.recv()
    req.forget()
    req.send([b"second"])
    other.recv()
    req.forget()
    req.send([b"third"])
    who, frames = asked.recv()
    other.send(frames[:-1] + [b"from the wrong one"], who)
    nothing_comes(req)
    asked.send(frames[:-1] + [b"from the right one"], who)
    same(req.recv()[1], [b"from the right one"], "the answer")


@case("libzmq req drops answers without its envelope")
def req_malformed(bench):
    """No delimiter, no number, nothing at all: none is an answer, none does harm."""
    req, router = bench.ours("req"), bench.theirs("router")
    req.connect(router.bind(bench.any("tcp")))
    req.send([b"question"])
    who, frames = router.recv()
    bad = [[b""], [b"answer"], [b"", b"answer"], frames[:1] + [b"answer"], frames[:2], [b"x"] * 5]
    for message in bad:
        router.send(message, who)
    nothing_comes(req)
    router.send(frames[:-1] + [b"answer"], who)
    same(req.recv()[1], [b"answer"], "the answer")
    same(req.stats()["dropped.misfit"], len(bad), "messages dropped")


@case("libzmq req survives a REP that dies with its request")
def req_dead_rep(bench):
    """The request is lost with it. Given up, the next one goes to the REP that comes instead."""
    req = bench.ours("req", reconnect_interval=20, reconnect_interval_max=50)
    rep, endpoint = bench.theirs("rep"), bench.place("tcp")
    rep.bind(endpoint)
    req.connect(endpoint)
    req.send([b"lost"])
    rep.recv()
    rep.close()
    req.event("Disconnected")
    nothing_comes(req)
    req.forget()
    again = bench.theirs("rep")
    again.rebind(endpoint)
    ask(req, again, [b"asked again"])


@case("libzmq rep serves its askers fairly")
def rep_fair(bench):
    """Each of three REQs has asked: each is answered, by its own answer."""
    rep = bench.ours("rep")
    endpoint = rep.bind(bench.any("tcp"))
    reqs = [bench.theirs("req") for _ in range(3)]
    for turn in range(3):
        for number, req in enumerate(reqs):
            if turn == 0:
                req.connect(endpoint)
            req.send([b"%d" % number])
        for _ in reqs:
            rep.send(rep.recv()[1] + [b"answered"])
        for number, req in enumerate(reqs):
            same(req.recv()[1], [b"%d" % number, b"answered"], "the answer")


@case("libzmq rep gives the whole way back")
def rep_long_envelope(bench):
    """Addresses before the delimiter, as devices put them there, come back before the answer."""
    rep, dealer = bench.ours("rep"), bench.theirs("dealer")
    dealer.connect(rep.bind(bench.any("tcp")))
    for way in ([], [b"one"], [b"one", b"two", b"three"], [pattern(300, n) for n in range(9)]):
        dealer.send(way + [b"", b"question", b"", b"more"])
        same(rep.recv()[1], [b"question", b"", b"more"], "the request")
        rep.send([b"answer"])
        same(dealer.recv()[1], way + [b"", b"answer"], "the answer with its way back")


@case("libzmq rep drops what is no request, and serves the next")
def rep_malformed(bench):
    """Without a delimiter, and without anything behind it."""
    rep, dealer = bench.ours("rep"), bench.theirs("dealer")
    dealer.connect(rep.bind(bench.any("tcp")))
    dealer.send([b"no delimiter", b"at all"])
    dealer.send([b"nothing behind it", b""])
    dealer.send([b"", b"question"])
    same(rep.recv()[1], [b"question"], "the request")
    rep.send([b"answer"])
    same(dealer.recv()[1], [b"", b"answer"], "the answer")
    same(rep.stats()["dropped.misfit"], 2, "messages dropped")


@case("libzmq rep answers once, and only what it was asked")
def rep_in_turn(bench):
    """Sending before receiving, and twice, is refused."""
    rep, req = bench.ours("rep"), bench.theirs("req")
    req.connect(rep.bind(bench.any("tcp")))
    expect_refusal("OutOfTurn", rep.send, [b"unasked"])
    req.send([b"question"])
    rep.recv()
    rep.send([b"answer"])
    expect_refusal("OutOfTurn", rep.send, [b"once more"])
    same(req.recv()[1], [b"answer"], "the answer")


@case("libzmq rep says that its asker has gone, and serves the next")
def rep_gone_asker(bench):
    """The answer to a REQ that was closed comes back to the program."""
    rep = bench.ours("rep")
    endpoint = rep.bind(bench.any("tcp"))
    gone, next_one = bench.theirs("req"), bench.theirs("req")
    gone.connect(endpoint)
    gone.send([b"question"])
    rep.recv()
    gone.close()
    rep.event("Disconnected")
    expect_refusal("Gone", rep.send, [b"too late"])
    next_one.connect(endpoint)
    talk(rep, next_one)


@case("libzmq rep works with a REQ that is relaxed and correlated")
def rep_relaxed(bench):
    """libzmq's own numbers in the envelope, and requests sent before the last was answered."""
    rep = bench.ours("rep")
    req = bench.theirs("req", req_relaxed=1, req_correlate=1)
    req.connect(rep.bind(bench.any("tcp")))
    req.send([b"first"])
    same(rep.recv()[1], [b"first"], "the first request")
    req.send([b"second"])
    rep.send([b"to the first"])
    same(rep.recv()[1], [b"second"], "the second request")
    rep.send([b"to the second"])
    same(req.recv()[1], [b"to the second"], "the answer")
