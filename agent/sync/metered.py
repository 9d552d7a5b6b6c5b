"""The data budget as the sync thread meets it: whether there is room for a connection, its last words, and nothing of both without `[budget]`."""

from collections.abc import Callable

from agent.clock import Clock
from agent.sync import kinds, wire
from agent.sync.allowance import Allowance, Report, Unlimited
from agent.sync.budget import Budget
from agent.sync.paho_socket import UNCOUNTED, Counter
from agent.sync.serve import Identity, Service, utc_us

# The budget's last words get this long to be acknowledged.
_CLOSING_S = 10.0


class SpentError(Exception):
    """The data budget is spent, and the last words are said."""


class Metered:
    """budget: None without one."""

    def __init__(self, budget: Budget | None, clock: Clock, *, tls: bool) -> None:
        self._budget, self._clock, self._tls = budget, clock, tls

    @property
    def allowance(self) -> Allowance:
        return Unlimited() if self._budget is None else self._budget

    @property
    def counter(self) -> Counter:
        """Who counts the connection."""
        return UNCOUNTED if self._budget is None else self._budget.meter

    @property
    def report(self) -> Report | None:
        return None if self._budget is None else self._budget.report

    @property
    def resend_room(self) -> Callable[[], int]:
        """Bytes of bodies that one request may ask for: they travel compressed."""
        budget = self._budget
        if budget is None:
            return lambda: 1 << 30
        return lambda: max(0, budget.room(kinds.RESEND) * 2)

    def without_room(self) -> str | None:
        """Why there is no room for a connection; None when there is."""
        budget = self._budget
        if budget is None:
            return None
        budget.step(at_once=True)
        if budget.may_connect(wire.connect_bytes(tls=self._tls)):
            return None
        until = f" until {budget.until}" if budget.closed and budget.until else ""
        return f"the data budget has no room for a connection{until} ({budget.report.why})"

    def connected(self) -> None:
        if self._budget is not None:
            self._budget.meter.connected()

    def look(self, service: Service, identity: Identity) -> None:
        """While connected. SpentError: the budget is, and the last words are said."""
        budget = self._budget
        if budget is None:
            return
        budget.step()
        if budget.closed:
            status = identity.status("held", utc_us(self._clock), why="budget", until=budget.until)
            service.last_words(status, self._clock.boot_us() + round(_CLOSING_S * 1e6))
            budget.said_last_words()
            raise SpentError

    def disconnected(self) -> None:
        """The socket is closed, or there was none."""
        if self._budget is not None:
            self._budget.forget_pending()

    def close(self) -> None:
        if self._budget is not None:
            self._budget.close()
