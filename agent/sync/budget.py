"""The data budget: may this go now? Asked before a message is handed over, so that the month's cap holds for any clock and any crash.

Time     two of them (store/trusted.py): the greatest UTC ever known, and one that believes a leap forward only after a day of running. Bytes
         are charged to the months of both, and neither ever runs backwards here: no jump brings a spent month back. Without a good reading in
         this boot they count for the month that is known later, too. Without any time nothing is ever refilled.
Ahead    what may be spent before the next write is on the medium beforehand (`lease`): a crash costs at most the lease, and never hides bytes.
         Where the interface is counted and the boot is the same, the interface itself says what passed meanwhile.
Closing  the month's last bytes are kept for a ledger and the status `held`; then the link is closed until the next month.
"""

import logging
from typing import Protocol

import msgspec

from agent.clock import Clock
from agent.log import fact
from agent.messages.times import text_s
from agent.problems import Problem
from agent.store import kept, spending
from agent.store.spending import Spent
from agent.store.transaction import Transaction
from agent.store.writer import Store
from agent.sync import kinds, periods, states
from agent.sync import settings as sync_settings
from agent.sync.accounts import Accounts
from agent.sync.metering import Meter, Passed
from agent.sync.unmetered import Unmetered

STEP_US = 1_000_000
_TIME_US = 10_000_000
_WRITE_US = 60_000_000
# The last words: a ledger and a status. The ledger's own size is learnt (`ledger_bytes`).
_LAST_WORDS_BYTES = 2_000
_MOVES = 8

log = logging.getLogger(__name__)


class Allowance(Protocol):
    """What the sender asks. wire_bytes: as wire.message_bytes says."""

    state: states.State

    def room(self, kind: str) -> int:
        """Bytes that may go of this kind now."""

    def allows(self, kind: str, wire_bytes: int) -> bool: ...

    def hand(self, kind: str, wire_bytes: int) -> None:
        """It is handed over."""

    def arrived(self, wire_bytes: int) -> None:
        """It is acknowledged, or its connection has ended."""


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


class _Kept(msgspec.Struct, kw_only=True):
    """What outlives the process. lease: bytes that may have been spent beyond the rows. boot, at_us, utc_us: the slow clock's last time.
    told: the month whose last words were said.
    """

    state: states.State | None = None
    lease: int = 0
    boot: int = 0
    at_us: int = 0
    utc_us: int | None = None
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
        self.ledger_bytes = 2_000
        self._unwritten = 0
        self._lease = 0
        self._wanted = 0  # a message larger than the lease waits
        self._stepped_us = self._timed_us = self._written_us = self._since_us = 0
        self._dated = False
        self._greatest_us: int | None = None
        with store.read() as connection:
            text = kept.read(connection, kept.BUDGET)
        self._kept = _Kept() if text is None else msgspec.json.decode(text, type=_Kept)
        self._begin()
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
        utc_us = self._slow_us()
        sure = self._dated and utc_us is not None and self._greatest_us is not None
        # In hours that nobody counts only by a time that both clocks agree on.
        agreed = utc_us if sure and abs((self._greatest_us or 0) - (utc_us or 0)) <= 900_000_000 else None
        return self._unmetered.now(agreed, self.meter.leads_over)

    @property
    def until(self) -> str | None:
        """When the month ends; null while no time is known."""
        utc_us = self._slow_us()
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
        if self.room(kind) < wire_bytes:
            return False
        if self._unwritten + self.accounts.pending + wire_bytes > self._lease:
            self._wanted = wire_bytes
            self._write()
        return self._unwritten + self.accounts.pending + wire_bytes <= self._lease

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
        self.accounts.pending = max(0, self.accounts.pending - wire_bytes)

    def forget_pending(self) -> None:
        """The connection has ended, and the meter knows what it carried."""
        self.step(at_once=True)
        self.accounts.pending = 0

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
            self._look_at_time()
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

    def _begin(self) -> None:
        now_us = self._since_us = self._clock.boot_us()
        kept_then = self._kept
        self._look_at_time()
        self._turn()
        if kept_then.lease:
            counted = kept_then.boot == self._store.boot and kept_then.interface is not None
            if counted and kept_then.interface is not None:
                self.meter.begin_at(kept_then.interface, Passed(*kept_then.counters))
            else:
                self._charge(Passed(kept_then.lease, 0))
        self._decide(now_us)
        self._write()

    def _count(self) -> None:
        passed = self.meter.take()
        named = self._settings.interface
        if (passed.sent or passed.received) and not (self.unmetered and named in (None, self.meter.leads_over)):
            self._charge(passed)

    def _charge(self, passed: Passed) -> None:
        self.accounts.charge(passed.sent, passed.received)
        self._unwritten += passed.sent + passed.received

    def _look_at_time(self) -> None:
        with self._store.read() as connection:
            time = spending.time(connection, self._store.boot, self._clock.boot_us())
        self._greatest_us = time.greatest_us
        settled_us = time.settled_us
        slow_us = self._slow_us()
        if settled_us is not None:
            # It never runs backwards: a month that was begun is not taken back.
            self._kept.utc_us = settled_us if slow_us is None else max(slow_us, settled_us)
        else:
            self._kept.utc_us = slow_us
        self._kept.boot, self._kept.at_us = self._store.boot, self._clock.boot_us()
        if time.dated and not self._dated:
            self._dated = True
            self._turn()
            self._settle_undated()

    def _slow_us(self) -> int | None:
        """The period's clock now. In another boot it goes on from where it stood: at least so much time has passed."""
        if self._kept.utc_us is None:
            return None
        passed_us = self._clock.boot_us() - self._kept.at_us if self._kept.boot == self._store.boot else 0
        return self._kept.utc_us + max(0, passed_us)

    def _turn(self) -> None:
        now = periods.periods(self._slow_us())
        months = [now.month]
        if self._greatest_us is not None:
            months.append(periods.month_of(self._greatest_us + self._clock.boot_us() - self._kept.at_us))
        if not self._dated:
            months.append(periods.UNDATED + now.month)
        accounts = self.accounts
        if (now.hour, now.day) == (accounts.now.hour, accounts.now.day) and tuple(dict.fromkeys(months)) == accounts.months:
            accounts.now = now
            return
        unknown = accounts.unknown(now, months)
        with self._store.read() as connection:
            rows = spending.read(connection, unknown)
        accounts.turn(now, months, rows)

    def _settle_undated(self) -> None:
        with self._store.read() as connection:
            found = spending.named(connection, periods.UNDATED)
        # What this run has not written yet is newer.
        found.update({name: row for name, row in self.accounts.rows.items() if name.startswith(periods.UNDATED)})
        self.accounts.settle_undated(found)
        for name in found:
            self.accounts.rows.pop(name, None)
            self.accounts.changed.discard(name)
        self._write(forget=list(found))

    def _decide(self, now_us: int) -> None:
        accounts = self.accounts
        # What the agent does not steer (what comes in, other programs, sendings repeated by TCP) must fit, too.
        accounts.reserve = 2 * self.ledger_bytes + _LAST_WORDS_BYTES + max(accounts.cap // 200, min(16_000, accounts.cap // 10))
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
            utc_us = self._slow_us()
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
        counters = self.meter.counters()
        self._kept.lease = ahead
        self._kept.interface = self.meter.interface if counters is not None else None
        self._kept.counters = (0, 0) if counters is None else (counters.sent, counters.received)
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
        row: Spent = accounts.rows[accounts.now.month]
        return Report(
            state=self.state,
            month=accounts.cap,
            used=row.total,
            left=max(0, accounts.month_left),
            today=accounts.day.total,
            how=self.meter.how,
            until=self.until if self.state == "closed" else None,
            why=self._why,
            parts=dict(row.parts),
            moves=list(self._kept.moves),
        )
