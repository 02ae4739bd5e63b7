"""Waiting for what happens, never for time to pass: everything here has a deadline."""

import threading
import time

# What takes longer than this has failed. Most things take a thousandth of it.
PATIENCE_S = 10.0
# For how long something that must not happen is watched for.
WATCH_S = 0.15

_never = threading.Event()


class Failed(Exception):
    """What a case expected did not come about."""


class Silence(Failed):
    """No message came in time."""


class Clock:
    """Time that is left until a deadline."""

    def __init__(self, seconds=PATIENCE_S):
        self.start = time.monotonic()
        self.end = self.start + seconds

    def left(self):
        """Seconds that are left, not below zero."""
        return max(0.0, self.end - time.monotonic())

    def spent(self):
        """Seconds since the start."""
        return time.monotonic() - self.start


def until(what, attempt, seconds=PATIENCE_S):
    """The first true value that `attempt` gives; asks again and again until the deadline."""
    clock = Clock(seconds)
    while True:
        value = attempt()
        if value:
            return value
        if clock.left() == 0:
            raise Failed(f"not within {seconds} s: {what}")
        _never.wait(0.002)


def check(truth, what):
    """Fails with `what` unless it is true."""
    if not truth:
        raise Failed(what)


def same(got, expected, what):
    """Fails unless the two are equal; shows both, cut short."""
    if got != expected:
        raise Failed(f"{what}: got {cut(got)}, expected {cut(expected)}")


def cut(value):
    """The value as text of a bearable length."""
    text = repr(value)
    return text if len(text) < 300 else f"{text[:300]}.. ({len(text)} characters)"
