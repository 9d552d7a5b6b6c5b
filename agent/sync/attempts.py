"""Attempts to connect: how long to wait before the next one, and what connections that end at once, one after another, mean."""

import random

from agent.problems import Problem
from agent.sync import refusals
from agent.sync.address import Address

# A connection that lived this long, and on which the broker took something, was a good one: the waits begin anew.
GOOD_S = 20.0
# So many that ended within this time after their CONNACK look like a second client with our id.
SHORT_S, SHORT_TIMES = 5.0, 3
_MOST_DOUBLINGS = 20


class Attempts:
    """longest_s: between two attempts."""

    def __init__(self, address: Address, rng: random.Random, longest_s: float) -> None:
        self._address, self._rng, self._longest_s = address, rng, longest_s
        self._tries = 0
        self._short = 0

    def begin_anew(self) -> None:
        """The connection was ended by us: the next one comes at once."""
        self._tries = 0

    def settled(self) -> None:
        """A connection lives longer than SHORT_S."""
        self._short = 0

    def judge(self, problem: Problem, *, connected: bool, lived_s: float, acknowledged: bool) -> Problem:
        """What ended an attempt, or the connection that it became. acknowledged: the broker took something on it.

        A second client with this client id shows only by connections that end at once, one after another.
        """
        if connected and lived_s >= GOOD_S and acknowledged:
            self._tries = 0
        self._short = self._short + 1 if connected and lived_s < SHORT_S else 0
        if self._short >= SHORT_TIMES and "another client" not in problem.what:
            return refusals.taken_over_silently(self._address, "mqtt", SHORT_TIMES)
        return problem

    def wait_s(self) -> float:
        """Before the next attempt: full jitter, up to twice as long each time."""
        wait_s = self._rng.uniform(0.0, min(self._longest_s, 2.0 ** min(self._tries, _MOST_DOUBLINGS)))
        self._tries += 1
        return wait_s
