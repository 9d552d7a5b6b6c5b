"""The data budget: may this go now? Asked before a message is handed over, so that the month's cap holds for any clock and any crash.

Time     period_clock.py: no jump of a clock brings a spent month back. Without any time nothing is ever refilled.
Ahead    what may be spent before the next write is on the medium beforehand (`lease`): a crash costs at most the lease, and never hides bytes.
         Where the interface is counted and the boot is the same, the interface itself says what passed meanwhile.
Closing  the month's last bytes are kept for a ledger and the status `held`; then the link is closed until the next month.
"""

import logging

import msgspec

from agent.clock import Clock
from agent.log import fact
from agent.messages.times import text_s
from agent.problems import Problem
from agent.store import kept, spending
from agent.store.transaction import Transaction
from agent.store.writer import Store
from agent.sync import kinds, periods, states
from agent.sync import settings as sync_settings
from agent.sync.accounts import Accounts
from agent.sync.allowance import Report
from agent.sync.metering import Meter, Passed
from agent.sync.period_clock import PeriodClock, Slow
from agent.sync.unmetered import Unmetered

STEP_US = 1_000_000
_TIME_US = 10_000_000
_WRITE_US = 60_000_000
# The last words: a ledger and a status. The ledger's own size is learnt (`ledger_bytes`).
_LAST_WORDS_BYTES = 2_000
_MOVES = 8

log = logging.getLogger(__name__)


class _Kept(msgspec.Struct, kw_only=True):
    """What outlives the process. lease: bytes that may have been spent beyond the rows. told: the month whose last words were said.

    interface, counters: where the counted interface stood when the rows were written.
    """

    state: states.State | None = None
    lease: int = 0
    slow: Slow = Slow()
    interface: str | None = None
    counters: tuple[int, int] = (0, 0)
    told: str | None = None
    moves: list[tuple[str | None, str, str, str]] = []


class Budget:
    """Of one running agent, over its connections; on the sync thread alone, but `report` by any. It is closed by `close`."""

    def __init__(
        self, store: Store, settings: sync_settings.Budget, meter: Meter, clock: Clock, *, needs: states.Needs | None = None,
        store_limit_s: float = 5.0,
    ) -> None:  # fmt: skip
        self._store = store
        self._settings = settings
        self._clock = clock
        self._limit_s = store_limit_s
        self._needs = needs
        self._unmetered = Unmetered(settings.unmetered)
        self.meter = meter
        self.accounts = Accounts(int(settings.month))
        cap = self.accounts.cap
        self._lease_bytes = max(min(16_000, cap // 20), cap // 1_000)
        self._ledger_bytes = 2_000
        self._unwritten = 0
        self._lease = 0
        self._wanted = 0  # a message larger than the lease waits
        self._landed = 0  # of `pending`: acknowledged, and not counted by the meter yet
        self._why = ""
        self._stepped_us = self._timed_us = self._written_us = self._since_us = 0
        with store.read() as connection:
            text = kept.read(connection, kept.BUDGET)
        self._kept = _Kept() if text is None else msgspec.json.decode(text, type=_Kept)
        boot_then = self._kept.slow.boot
        self._time = PeriodClock(store, clock, self._kept.slow)
        self._begin(boot_then)
        self.report = self._report()

    @property
    def state(self) -> states.State:
        return self._kept.state or "full"

    @property
    def closed(self) -> bool:
        return self.state == "closed" and not self.unmetered

    @property
    def last_words_due(self) -> bool:
        """Nothing more may go but a last ledger and the status `held`."""
        return self.closed and self._kept.told != self.accounts.now.month

    @property
    def unmetered(self) -> bool:
        """Nobody counts now. Hours of the day only by a time that is sure."""
        return self._unmetered.now(self._time.agreed_us(), self.meter.leads_over)

    @property
    def until(self) -> str | None:
        """When the month ends; null while no time is known."""
        utc_us = self._time.utc_us()
        return None if utc_us is None else text_s(periods.next_month_us(utc_us))

    def room(self, kind: str) -> int:
        if self.unmetered:
            return 1 << 30
        if kind not in states.GOES[self.state]:
            return 0
        room = self.accounts.room(kind)
        if self.state == "coarse" and kind in (kinds.BACK_MINUTES, kinds.RESULTS):
            room = min(room, self.accounts.room_on_the_line())
        return room

    def allows(self, kind: str, wire_bytes: int) -> bool:
        if self.unmetered:
            return True
        if self._landed and self._short(kind, wire_bytes):
            self._count()
        if self.room(kind) < wire_bytes:
            return False
        if self._unwritten + self.accounts.pending + wire_bytes > self._lease:
            self._wanted = wire_bytes
            self._write()
        return self._unwritten + self.accounts.pending + wire_bytes <= self._lease

    def _short(self, kind: str, wire_bytes: int) -> bool:
        return self.room(kind) < wire_bytes or self._unwritten + self.accounts.pending + wire_bytes > self._lease

    def may_connect(self, wire_bytes: int) -> bool:
        """A connection costs what an hour may not have; one an hour goes all the same while the day lasts, and one for the last words."""
        self.meter.look_for_route()
        if self.unmetered:
            return True
        if self.state == "closed":
            return self.last_words_due and self.accounts.month_left >= wire_bytes
        accounts = self.accounts
        if accounts.month_left - accounts.reserve < wire_bytes:
            return False
        rested = accounts.hour.total * 4 < accounts.hour_bytes or accounts.hour.total * 4 < wire_bytes
        day = accounts.day_bytes - accounts.day.total >= wire_bytes or accounts.day.total * 4 < wire_bytes
        return accounts.room(kinds.LINK) >= wire_bytes or (rested and day)

    def hand(self, kind: str, wire_bytes: int) -> None:
        if self.unmetered:
            return
        self.accounts.pending += wire_bytes
        self.accounts.charge(0, 0, {kind: wire_bytes})

    def arrived(self, wire_bytes: int) -> None:
        self._landed = min(self.accounts.pending, self._landed + wire_bytes)

    def said_ledger(self, payload_bytes: int) -> None:
        self._ledger_bytes = payload_bytes + 200

    def forget_pending(self) -> None:
        """The connection has ended, and the meter knows what it carried."""
        self._landed = self.accounts.pending
        self.step(at_once=True)

    def said_last_words(self) -> None:
        self._kept.told = self.accounts.now.month
        self._write()

    def step(self, *, at_once: bool = False) -> None:
        """Counts, turns periods, decides the state; to be called all the time, it looks once a second."""
        now_us = self._clock.boot_us()
        if not at_once and now_us - self._stepped_us < STEP_US:
            return
        self._stepped_us = now_us
        self._count()
        if at_once or now_us - self._timed_us >= _TIME_US:
            self._timed_us = now_us
            if self._time.look():
                self._settle_undated()
        self._turn()
        self._decide(now_us)
        busy = self._unwritten * 2 >= self._lease or self._wanted
        if (busy or now_us - self._written_us >= _WRITE_US) and self.accounts.changed:
            self._write()
        self.report = self._report()

    def close(self) -> None:
        """What was counted is on the medium, and no lease is left open."""
        self._count()
        self._write(lease=0)

    def _begin(self, boot_then: int) -> None:
        """boot_then: in which the last run counted."""
        self._since_us = self._clock.boot_us()
        before = self._kept
        self._turn()
        if self._time.dated:
            self._settle_undated()
        passed = None
        if boot_then == self._store.boot and before.interface is not None:
            passed = self.meter.since(before.interface, Passed(*before.counters))
        self._charge(Passed(before.lease, 0) if passed is None else passed)
        self._decide(self._since_us)
        self._write()

    def _count(self) -> None:
        passed = self.meter.take()
        self.accounts.pending -= self._landed
        self._landed = 0
        named = self._settings.interface
        if (passed.sent or passed.received) and not (self.unmetered and named in (None, self.meter.leads_over)):
            self._charge(passed)

    def _charge(self, passed: Passed) -> None:
        self.accounts.charge(passed.sent, passed.received)
        self._unwritten += passed.sent + passed.received

    def _turn(self) -> None:
        now, accounts = self._time.now(), self.accounts
        months = self._time.months(now)
        if (now.hour, now.day) == (accounts.now.hour, accounts.now.day) and tuple(months) == accounts.months:
            accounts.now = now
            return
        with self._store.read() as connection:
            rows = spending.read(connection, accounts.unknown(now, months))
        accounts.turn(now, months, rows)

    def _settle_undated(self) -> None:
        """The time became known in this boot."""
        with self._store.read() as connection:
            found = spending.named(connection, periods.UNDATED)
        # What this run has not written yet is newer.
        found.update({name: row for name, row in self.accounts.rows.items() if name.startswith(periods.UNDATED)})
        self._turn()
        self.accounts.settle_undated(found)
        for name in found:
            self.accounts.rows.pop(name, None)
            self.accounts.changed.discard(name)
        if found:
            self._write(forget=list(found))

    def _decide(self, now_us: int) -> None:
        accounts = self.accounts
        # What the agent does not steer (what comes in, other programs, sendings repeated by TCP) must fit, too.
        accounts.reserve = (
            2 * self._ledger_bytes + _LAST_WORDS_BYTES + max(accounts.cap // 200, min(16_000, accounts.cap // 10))
        )
        look = states.Look(
            ratio=accounts.ratio,
            spent=accounts.month_left <= accounts.reserve,
            ceiling=states.ceiling(self._needs, accounts.cap, accounts.now.days),
        )
        before = self._kept.state
        after = states.decide(before, (now_us - self._since_us) / 1e6, look)
        self._why = states.why(look)
        if after == before:
            return
        self._kept.state, self._since_us = after, now_us
        if before is not None:
            utc_us = self._time.utc_us()
            at = None if utc_us is None else text_s(utc_us)
            self._kept.moves = [*self._kept.moves, (at, before, after, self._why)][-_MOVES:]
            log.warning(fact("data budget", before=before, now=after, why=self._why))
            self._write()

    def _write(self, *, lease: int | None = None, forget: list[str] | None = None) -> None:
        """On the medium when it returns. A store that does not answer leaves the lease as it was: nothing more goes then."""
        accounts = self.accounts
        left = max(0, accounts.month_left)
        wanted = self._wanted + accounts.pending
        ahead = min(max(self._lease_bytes, wanted + self._lease_bytes // 4), left) if lease is None else lease
        self._kept.lease, self._kept.slow = ahead, self._time.slow
        self._kept.interface, self._kept.counters = self.meter.taken
        rows = {name: accounts.rows[name] for name in accounts.changed if name in accounts.rows}
        text = msgspec.json.encode(self._kept).decode()

        def write(transaction: Transaction) -> None:
            spending.write(transaction, rows)
            for name in forget or ():
                spending.forget(transaction, name)
            kept.write(transaction, kept.BUDGET, text)

        self._written_us = self._clock.boot_us()
        try:
            self._store.submit(write, ends_group=True, timeout_s=self._limit_s).wait(self._limit_s)
        except (Problem, TimeoutError) as error:
            log.warning(fact("data budget not written, nothing more goes out", error=error))
            return
        accounts.changed.clear()
        self._lease, self._unwritten, self._wanted = ahead, 0, 0

    def _report(self) -> Report:
        accounts = self.accounts
        row = accounts.rows[accounts.now.month]
        return Report(
            state=self.state, month=accounts.cap, used=row.total, left=max(0, accounts.month_left), today=accounts.day.total,
            how=self.meter.how, until=self.until if self.state == "closed" else None, why=self._why, parts=dict(row.parts),
            moves=list(self._kept.moves),
        )  # fmt: skip
