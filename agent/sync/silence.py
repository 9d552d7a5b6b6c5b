"""When a connection counts as dead though nobody closed it. paho notices only after twice the keepalive, and not while PUBLISH packets still
go out; and it waits for ever for the PUBACKs of a broker that answers pings: within a connection nothing is sent again.
"""

from agent.clock import Clock
from agent.problems import Problem
from agent.sync.address import Address

# So long may a broker acknowledge nothing while messages are on their way.
PUBACK_S = 120.0


class Silence:
    """One connection's. has_acknowledged: whether the broker ever took a message on it."""

    def __init__(self, address: Address, clock: Clock, where: str) -> None:
        self._address = address
        self._clock = clock
        self._where = where
        self._received_bytes = 0
        self._received_us = self._moved_us = clock.boot_us()
        self.has_acknowledged = False

    def published(self, outstanding: int) -> None:
        """outstanding: those on their way before this one."""
        if not outstanding:
            self._moved_us = self._clock.boot_us()

    def acknowledged(self) -> None:
        self._moved_us, self.has_acknowledged = self._clock.boot_us(), True

    def judge(self, received_bytes: int, keepalive_s: int, *, outstanding: int, writing: bool) -> Problem | None:
        """received_bytes: since the connection began. writing: the socket has not taken everything yet, so nothing can be acknowledged."""
        now_us = self._clock.boot_us()
        if received_bytes != self._received_bytes:
            self._received_bytes, self._received_us = received_bytes, now_us
        if writing:
            self._moved_us = now_us
        silent_s, waited_s = (now_us - self._received_us) / 1e6, (now_us - self._moved_us) / 1e6
        if silent_s > 1.5 * keepalive_s > 0:
            return Problem(
                where=f"{self._where}.url",
                what=f"nothing came from {self._address} for {silent_s:.0f} s: the link is dead, though nobody closed it",
                remedy="A new connection is tried; if this repeats, look at the modem, or at a firewall that forgets idle links.",
            )
        if outstanding and waited_s > PUBACK_S:
            return Problem(
                where=f"{self._where}.url",
                what=f"{self._address} has acknowledged nothing for {waited_s:.0f} s, though it is there",
                remedy="A new connection is tried, and what is not acknowledged is sent again; look into the broker's log.",
            )
        return None
