"""What the device says of itself and answers: status, birth, ledger and answers on their way to the broker, beside the items.

A newer one takes the place of one that waits. What the broker refuses of the retained ones is to be said again later (again.py).
"""

import logging
from collections import deque
from collections.abc import Callable

import msgspec

from agent.clock import Clock
from agent.log import fact
from agent.sync import kinds, refusals, wire
from agent.sync.again import Again
from agent.sync.allowance import Allowance
from agent.sync.connection import Connection
from agent.sync.session import Acknowledgement

log = logging.getLogger(__name__)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A message that waits for a place among the broker's. sure: the data budget is not asked, it was asked for the whole connection."""

    topic: str
    payload: bytes
    retain: bool = True
    expiry_s: int | None = None
    correlation: bytes | None = None
    sure: bool = False
    kind: str = kinds.CONTROL


class Says:
    """Of one connection."""

    def __init__(self, connection: Connection, budget: Allowance, clock: Clock, *, tls: bool) -> None:
        self._connection, self._budget, self._tls = connection, budget, tls
        self._waiting: deque[Said] = deque()
        self._sent: dict[int, int] = {}  # packet id → bytes on the link
        self._newest: dict[str, int] = {}  # topic → packet id
        self._again = Again(clock)

    def say(self, one: Said) -> None:
        for waiting in [other for other in self._waiting if other.topic == one.topic and other.retain and one.retain]:
            self._waiting.remove(waiting)
        self._waiting.append(one)

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    @property
    def busy(self) -> bool:
        """Something waits, or is not acknowledged."""
        return bool(self._waiting or self._sent)

    @property
    def ails(self) -> str | None:
        return self._again.ails

    def clear(self) -> None:
        """What waits is not said, and what is on its way not waited for."""
        self._waiting.clear()
        self._sent.clear()

    def due_again(self) -> list[str]:
        """Topics whose message was refused and is to be said again now."""
        return self._again.due()

    def flush(self) -> None:
        for one in list(self._waiting):
            if self._connection.room() <= 0:
                return
            size = wire.message_bytes(len(one.payload), len(one.topic), tls=self._tls)
            if not one.sure and not self._budget.allows(one.kind, size):
                continue
            self._waiting.remove(one)
            if len(one.payload) > self._connection.payload_limit(one.topic):
                log.warning(
                    fact("larger than the broker's maximum packet size", topic=one.topic, bytes=len(one.payload))
                )
                continue
            mid = self._connection.publish(
                one.topic, one.payload, retain=one.retain, expiry_s=one.expiry_s, correlation=one.correlation
            )
            self._sent[mid] = size
            self._newest[one.topic] = mid
            self._budget.hand(one.kind, size)
            if one.retain:
                self._again.sent(mid, one.topic)

    def take(self, mark: Acknowledgement, accepted: Callable[[str], None]) -> bool:
        """Whether the PUBACK is of one of these. accepted: is told the topic when the broker has the newest of it."""
        self._again.answered(mark.mid, mark.code)
        if mark.mid not in self._sent:
            return False
        self._budget.arrived(self._sent.pop(mark.mid))
        if mark.code < refusals.FAILURE:
            for topic, mid in self._newest.items():
                if mid == mark.mid:
                    accepted(topic)
        return True
