"""Identities: how they travel, and what happens when two peers announce the same one."""

import zmq

from kit.cases import case
from kit.exchange import ask, talk
from kit.waiting import WATCH_S, check, same, until
from kit.wire import command, command_of, greeting, metadata

NAMES = [b"x", b"with blank", bytes(range(1, 256)), b"\xff" * 255, b"\x80\x00\x01"]


@case("libzmq identity: theirs is known to ours, byte by byte")
def theirs_to_ours(bench):
    """From one byte to 255, whatever they are; an answer by name finds its way."""
    ours = bench.ours("router")
    endpoint = ours.bind(bench.any("tcp"))
    for name in NAMES:
        theirs = bench.theirs("dealer", identity=name)
        theirs.connect(endpoint)
        theirs.send([b"hello"])
        ours.recv()
        same(ours.identity_of_last, name, "the identity")
        ours.send([b"answer"], to=name)
        same(theirs.recv()[1], [b"answer"], "the answer")


@case("libzmq identity: ours is known to theirs, byte by byte")
def ours_to_theirs(bench):
    """The same the other way."""
    theirs = bench.theirs("router")
    endpoint = theirs.bind(bench.any("tcp"))
    for name in NAMES:
        ours = bench.ours("dealer", identity=name)
        ours.connect(endpoint)
        ours.send([b"hello"])
        same(theirs.recv()[0], name, "the identity")
        theirs.send([b"answer"], to=name)
        same(ours.recv()[1], [b"answer"], "the answer")


@case("libzmq identity: one that begins with zero closes the connection")
def reserved(bench):
    """Names of that kind are a ROUTER's own."""
    ours = bench.ours("router")
    raw = bench.raw(ours.bind(bench.any("tcp")))
    raw.write(greeting())
    raw.write(command(b"READY", metadata(Socket_Type=b"DEALER", Identity=b"\0name")))
    raw.expect_end()
    ours.event("HandshakeFailed", "identity-reserved")


def contend(bench, holder, **options):
    """A ROUTER of ours and a holder of the name that it knows."""
    ours = bench.ours("router", **options)
    endpoint = ours.bind(bench.any("tcp"))
    if holder == "raw":
        raw = bench.raw(endpoint)
        raw.shake_hands("dealer", identity=b"name")
        until("the holder is known", lambda: ours.knows(b"name"))
        return ours, endpoint, raw
    theirs = bench.theirs("dealer", identity=b"name")
    theirs.connect(endpoint)
    talk(ours, theirs, identities={theirs: b"name"})
    return ours, endpoint, theirs


@case("libzmq identity clash: a newcomer is refused while libzmq holds the name, and told so")
def refused(bench):
    """The holder answers a PING. It keeps its name and its messages; the newcomer gets ERROR."""
    ours, endpoint, holder = contend(bench, "libzmq")
    newcomer = bench.raw(endpoint)
    name, reason = refused_handshake(newcomer)
    same((name, reason), ("ERROR", b"identity-in-use"), "what the newcomer is told")
    newcomer.expect_end()
    ours.event("HandshakeFailed", "identity-in-use")
    same(ours.stats()["closes.identity-in-use"], 1, "refusals counted")
    ours.send([b"to the holder"], to=b"name")
    same(holder.recv()[1], [b"to the holder"], "what the holder receives")
    talk(ours, holder, identities={holder: b"name"})


def refused_handshake(raw):
    """Shakes hands up to what is not READY: the command's name and its text."""
    raw.write(greeting())
    raw.write(command(b"READY", metadata(Socket_Type=b"DEALER", Identity=b"name")))
    name, body = command_of(*raw.frame())
    return name, body[1:]


@case("libzmq identity clash: a libzmq newcomer is refused, and its messages go nowhere")
def libzmq_refused(bench):
    """Visible to libzmq as a failed handshake; nothing of it reaches our program."""
    ours, endpoint, holder = contend(bench, "libzmq")
    newcomer = bench.theirs("dealer", identity=b"name", immediate=1)
    newcomer.connect(endpoint)
    ours.event("HandshakeFailed", "identity-in-use")
    newcomer.event(
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
        zmq.EVENT_DISCONNECTED,
    )
    talk(ours, holder, identities={holder: b"name"})
    # Once the holder has gone, there is room for the next of its name.
    newcomer.close()
    holder.close()
    ours.event("Disconnected")
    heir = bench.theirs("dealer", identity=b"name")
    heir.connect(endpoint)
    talk(ours, heir, identities={heir: b"name"})


@case("libzmq identity clash: a newcomer of ours gives up for good")
def ours_gives_up(bench):
    """The refusal is final: it does not come back to ask again."""
    ours, endpoint, holder = contend(bench, "libzmq")
    newcomer = bench.ours("dealer", identity=b"name", reconnect_interval=20)
    newcomer.connect(endpoint)
    newcomer.event("HandshakeFailed", "peer-error")
    newcomer.event("GivenUp")
    talk(ours, holder, identities={holder: b"name"})
    newcomer.no_event("Retried")


@case("raw-3.1 identity clash: a holder that answers nothing gives its place to a libzmq newcomer")
def superseded(bench):
    """Its connection is open, but nobody is there: it does not answer the PING that tests it."""
    ours, endpoint, dead = contend(bench, "raw", heartbeat_interval="off")
    newcomer = bench.theirs("dealer", identity=b"name")
    newcomer.connect(endpoint)
    words = ours.event("Disconnected")
    same(words[2], "superseded", "why the holder was closed")
    took = dead.expect_end()
    check(took < 2, f"the holder was closed after {took:.2f} s")
    same([name for name, _ in dead.commands], ["PING"], "what the holder was asked")
    talk(ours, newcomer, identities={newcomer: b"name"})


@case("raw-3.1 identity clash: a message is a sign of life, too")
def message_is_life(bench):
    """The holder answers the test with a message, not a PONG: it stays."""
    ours, endpoint, holder = contend(bench, "raw", heartbeat_interval="off")
    newcomer = bench.theirs("dealer", identity=b"name", reconnect_ivl=-1)
    newcomer.connect(endpoint)
    same(holder.expect_command()[0], "PING", "the test")
    holder.send(b"alive")
    ours.event("HandshakeFailed", "identity-in-use")
    same(ours.recv()[1], [b"alive"], "the holder's message")
    ours.send([b"to the holder"], to=b"name")
    same(holder.recv(), [b"to the holder"], "what the holder receives")


@case("raw-3.0 identity clash: a holder that cannot be asked counts as alive")
def old_holder(bench):
    """Without heartbeats in its version there is no test; the newcomer is refused at once."""
    ours = bench.ours("router")
    endpoint = ours.bind(bench.any("tcp"))
    holder = bench.raw(endpoint)
    holder.shake_hands("dealer", version=(3, 0), identity=b"name")
    until("the holder is known", lambda: ours.knows(b"name"))
    newcomer = bench.raw(endpoint)
    same(refused_handshake(newcomer)[0], "ERROR", "what the newcomer is told")
    newcomer.expect_end()
    check(holder.quiet(), "the holder was bothered")
    ours.send([b"to the holder"], to=b"name")
    same(holder.recv(), [b"to the holder"], "what the holder receives")


@case("libzmq identity clash: a holder whose process has died gives its place at once")
def dead_process(bench):
    """Killed, its connection is gone: the next of its name is let in without a test."""
    ours = bench.ours("router")
    endpoint = ours.bind(bench.any("tcp"))
    program = bench.program()
    holder = bench.ours("dealer", program, identity=b"name")
    holder.connect(endpoint)
    talk(ours, holder, identities={holder: b"name"})
    program.kill()
    newcomer = bench.theirs("dealer", identity=b"name")
    newcomer.connect(endpoint)
    # It speaks first: until the death is known, the name is the old one's.
    ask(newcomer, ours, [b"hello"])
    talk(ours, newcomer, identities={newcomer: b"name"})
    ours.event("Disconnected")
    ours.no_event("Disconnected", "2")


@case("libzmq identity clash: a hung holder gives its place within a second")
def hung_process(bench):
    """Stopped, its connection stays open: the test finds that nobody is there."""
    ours = bench.ours("router", heartbeat_interval="off")
    endpoint = ours.bind(bench.any("tcp"))
    program = bench.program()
    holder = bench.ours("dealer", program, identity=b"name", reconnect_interval=20)
    holder.connect(endpoint)
    talk(ours, holder, identities={holder: b"name"})
    program.stop()
    newcomer = bench.theirs("dealer", identity=b"name")
    newcomer.connect(endpoint)
    same(ours.event("Disconnected")[2], "superseded", "why the holder was closed")
    talk(ours, newcomer, identities={newcomer: b"name"})
    # Awake again, it is the newcomer itself, and refused.
    program.go_on()
    holder.event("GivenUp")
    check(newcomer.silent(WATCH_S), "a message of nobody")
    talk(ours, newcomer, identities={newcomer: b"name"})
