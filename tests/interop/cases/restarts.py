"""One side dies and another one takes its place: the other side comes back by itself."""

import itertools

from kit.cases import case
from kit.exchange import ask, talk
from kit.programs import Refused
from kit.waiting import Clock, Failed, same, until

QUICK = {"reconnect_interval": 20, "reconnect_interval_max": 50}
OURS_RESTARTED = [("router", "dealer"), ("rep", "req"), ("router", "req"), ("dealer", "dealer")]
THEIRS_RESTARTED = [("dealer", "router"), ("req", "rep"), ("req", "router"), ("router", "dealer")]


def ours_restarts(bench, kinds, transport, how):
    """Ours is bound, in a process of its own, and dies; libzmq comes back to the next one."""
    endpoint = bench.place(transport)
    theirs = bench.theirs(kinds[1])
    theirs.connect(endpoint)
    for _ in range(3):
        program = bench.program()
        ours = bench.ours(kinds[0], program)
        rebind(ours, endpoint)
        talk(ours, theirs)
        if how == "killed":
            program.kill()
        else:
            ours.close()


def rebind(ours, endpoint):
    """Binds where somebody has just died: tried until the place is free."""
    clock = Clock()
    while True:
        try:
            return ours.bind(endpoint)
        except Refused as refused:
            if clock.left() == 0:
                raise Failed(f"the endpoint stays in use: {refused}") from None


for _kinds, _transport, _how in itertools.product(
    OURS_RESTARTED, ("tcp", "ipc"), ("killed", "closed")
):
    case(f"libzmq {_transport} {_kinds[1]} comes back to our {_kinds[0]} that was {_how}")(
        lambda bench, k=_kinds, t=_transport, h=_how: ours_restarts(bench, k, t, h)
    )


def theirs_restarts(bench, kinds, transport):
    """libzmq is bound and closes; ours comes back to the next one."""
    endpoint = bench.place(transport)
    ours = bench.ours(kinds[0], **QUICK)
    ours.connect(endpoint)
    for _ in range(3):
        theirs = bench.theirs(kinds[1])
        theirs.rebind(endpoint)
        ours.event("Connected")
        talk(ours, theirs)
        theirs.close()
        ours.event("Disconnected")


for _kinds, _transport in itertools.product(THEIRS_RESTARTED, ("tcp", "ipc")):
    case(f"libzmq {_transport} our {_kinds[0]} comes back to a {_kinds[1]} that was restarted")(
        lambda bench, k=_kinds, t=_transport: theirs_restarts(bench, k, t)
    )


@case("libzmq tcp messages sent while the ROUTER is away go to the next one")
def kept_meanwhile(bench):
    """What ours queued between two lives of libzmq's ROUTER arrives, once and in order."""
    endpoint = bench.place("tcp")
    ours = bench.ours("dealer", identity=b"name", **QUICK)
    first = bench.theirs("router")
    first.bind(endpoint)
    ours.connect(endpoint)
    talk(ours, first, identities={ours: b"name"})
    first.close()
    ours.event("Disconnected")
    for number in range(100):
        ours.send([b"%d" % number])
    second = bench.theirs("router")
    second.rebind(endpoint)
    for number in range(100):
        same(second.recv()[1], [b"%d" % number], "the messages in their order")
    talk(ours, second, identities={ours: b"name"})


@case("libzmq tcp a named DEALER finds its ROUTER again, and is found by its name")
def name_again(bench):
    """Our ROUTER's process is killed; the next one knows the peer by the same name."""
    endpoint = bench.place("tcp")
    theirs = bench.theirs("dealer", identity=b"name")
    theirs.connect(endpoint)
    for _ in range(3):
        program = bench.program()
        ours = bench.ours("router", program)
        rebind(ours, endpoint)
        until("the peer is back", lambda o=ours: o.knows(b"name"))
        talk(ours, theirs, identities={theirs: b"name"})
        program.kill()


@case("libzmq tcp 50 peers come back to a restarted ROUTER of ours")
def all_come_back(bench):
    """Every one of them is answered by the second life."""
    endpoint = bench.place("tcp")
    peers = [bench.theirs("dealer") for _ in range(50)]
    for peer in peers:
        peer.connect(endpoint)
    for _ in range(2):
        program = bench.program()
        ours = bench.ours("router", program)
        rebind(ours, endpoint)
        for peer in peers:
            ask(peer, ours, [b"hello"])
        program.kill()


@case("libzmq tcp 50 DEALERs of ours come back to a restarted ROUTER")
def all_ours_come_back(bench):
    """The same the other way."""
    endpoint = bench.place("tcp")
    ours = [bench.ours("dealer", **QUICK) for _ in range(50)]
    for each in ours:
        each.connect(endpoint)
    for _ in range(2):
        router = bench.theirs("router")
        router.rebind(endpoint)
        for each in ours:
            each.event("Connected")
            ask(each, router, [b"hello"])
        router.close()
        for each in ours:
            each.event("Disconnected")


@case("libzmq ipc a file that a killed process left behind is taken over")
def stale_file(bench):
    """Nobody listens on it: ours binds there; while somebody does, it must not."""
    endpoint = bench.place("ipc")
    program = bench.program()
    bench.ours("router", program).bind(endpoint)
    ours = bench.ours("router")
    try:
        ours.bind(endpoint)
    except Refused:
        pass
    else:
        raise Failed("bound where another one is listening")
    program.kill()
    ours.bind(endpoint)
    theirs = bench.theirs("dealer")
    theirs.connect(endpoint)
    talk(ours, theirs)
