"""libzmq's sockets, by pyzmq."""

import itertools

import zmq
import zmq.utils.monitor

from .waiting import PATIENCE_S, Clock, Failed, Silence
from .programs import ms


class LibSocket:
    """A socket of libzmq."""

    whose = "theirs"
    numbers = itertools.count()

    def __init__(self, context, kind, **options):
        self.kind = kind
        self.socket = context.socket(getattr(zmq, kind.upper()))
        self.set(linger=0, rcvtimeo=ms(PATIENCE_S), sndtimeo=ms(PATIENCE_S), reconnect_ivl=20)
        if kind == "router":
            self.set(router_mandatory=1)
        identity = options.pop("identity", None)
        if identity is not None:
            self.set(routing_id=identity)
        # A name of our own: pyzmq takes the descriptor's number, which may come a second time.
        name = f"inproc://monitor-{next(LibSocket.numbers)}"
        self.monitor = self.socket.get_monitor_socket(addr=name)
        self.set(**options)

    def set(self, **options):
        """Sets options, by libzmq's names in lower case."""
        for name, value in options.items():
            self.socket.setsockopt(getattr(zmq, name.upper()), value)

    def bind(self, endpoint):
        """Listens; the endpoint as bound."""
        self.socket.bind(endpoint)
        return self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def rebind(self, endpoint):
        """Listens where somebody has just ceased to: tried until the place is free."""
        clock = Clock()
        while True:
            try:
                return self.bind(endpoint)
            except zmq.ZMQError:
                if clock.left() == 0:
                    raise

    def connect(self, endpoint):
        """Connects."""
        self.socket.connect(endpoint)

    def disconnect(self, endpoint):
        """Connects no longer."""
        self.socket.disconnect(endpoint)

    def subscribe(self, topic):
        """Subscribes."""
        self.socket.setsockopt(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, topic):
        """Takes one subscription back."""
        self.socket.setsockopt(zmq.UNSUBSCRIBE, topic)

    def send(self, frames, to=None, seconds=PATIENCE_S):
        """Sends a message; a ROUTER to an identity, tried until it knows it."""
        if self.kind != "router":
            return self.socket.send_multipart(frames, copy=False)
        clock = Clock(seconds)
        while True:
            try:
                return self.socket.send_multipart([to, *frames], copy=False)
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH or clock.left() == 0:
                    raise

    def try_send(self, frames):
        """Sends a message if it is taken at once; whether it was."""
        try:
            self.socket.send_multipart(frames, flags=zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def fill(self, count, frames):
        """Sends it until it is not taken at once, so often at most: how often it was sent."""
        for sent in range(count):
            if not self.try_send(frames):
                return sent
        return count

    def recv(self, seconds=PATIENCE_S):
        """The next message, as (from whom, frames)."""
        if not self.socket.poll(ms(seconds)):
            raise Silence(f"libzmq received nothing within {seconds} s")
        frames = [bytes(frame) for frame in self.socket.recv_multipart()]
        if self.kind == "router":
            return frames[0], frames[1:]
        return None, frames

    def silent(self, seconds):
        """Whether nothing comes for that time."""
        return not self.socket.poll(ms(seconds))

    def event(self, *kinds, seconds=PATIENCE_S):
        """Waits for an event of one of these kinds; which, and its value."""
        clock = Clock(seconds)
        while self.monitor.poll(ms(clock.left())):
            event = zmq.utils.monitor.recv_monitor_message(self.monitor)
            if event["event"] in kinds:
                return event["event"], event["value"]
        raise Failed(f"libzmq reports none of {kinds} within {seconds} s")

    def connected(self):
        """Waits for a peer that has done its handshake."""
        self.event(zmq.EVENT_HANDSHAKE_SUCCEEDED)

    def close(self):
        """Closes it at once."""
        if not self.socket.closed:
            # In this order: libzmq's own thread waits for room in a monitor that nobody holds.
            self.socket.disable_monitor()
            self.monitor.close(linger=0)
            self.socket.close(linger=0)
