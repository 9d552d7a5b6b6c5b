"""What the sender asks the data budget, what is said of it, and the answer where there is none."""

from typing import Protocol

import msgspec

from agent.sync import states


class Allowance(Protocol):
    """What the sender asks. wire_bytes: as wire.message_bytes says."""

    @property
    def state(self) -> states.State: ...

    def room(self, kind: str) -> int:
        """Bytes that may go of this kind now."""

    def allows(self, kind: str, wire_bytes: int) -> bool: ...

    def hand(self, kind: str, wire_bytes: int) -> None:
        """It is handed over."""

    def arrived(self, wire_bytes: int) -> None:
        """It is acknowledged, or its connection has ended."""

    def said_ledger(self, payload_bytes: int) -> None:
        """So large is a ledger now."""


class Unlimited:
    """Without `[budget]`: everything goes."""

    state: states.State = "full"

    def room(self, kind: str) -> int:  # noqa: ARG002
        return 1 << 30

    def allows(self, kind: str, wire_bytes: int) -> bool:  # noqa: ARG002
        return True

    def hand(self, kind: str, wire_bytes: int) -> None:  # noqa: ARG002
        return

    def arrived(self, wire_bytes: int) -> None:  # noqa: ARG002
        return

    def said_ledger(self, payload_bytes: int) -> None:  # noqa: ARG002
        return


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """For status and health. used, left: bytes of the month. moves: [UTC, from, to, why] of late, oldest first."""

    state: states.State
    month: int
    used: int
    left: int
    today: int
    how: str
    until: str | None
    why: str
    parts: dict[str, int]
    moves: list[tuple[str | None, str, str, str]] = []
