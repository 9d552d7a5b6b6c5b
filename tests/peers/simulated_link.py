"""A link without a network, that counts what it carries: a connection for the real Sender and a meter for the real Budget, and a device that makes
minutes, hours and events on a clock that tests move. A month takes seconds.

with simulated_device(month="20 MB") as device:
    device.run(minutes=60); device.link.total; device.budget.state
"""

import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from peers.manual_clock import ManualClock
from peers.numbered_items import DEVICE, event_body, summary_body

from agent.messages import envelope
from agent.store import items
from agent.store.lane_rows import clock_job
from agent.store.settings import Config as StoreConfig
from agent.store.transaction import Transaction
from agent.store.writer import Store, open_store
from agent.sync import wire
from agent.sync.budget import Budget
from agent.sync.held import Held
from agent.sync.metering import Meter, Passed
from agent.sync.periods import month_of
from agent.sync.sender import Sender
from agent.sync.session import Acknowledgement, Limits
from agent.sync.settings import Budget as Settings
from agent.sync.states import Needs
from agent.values import Bytes

LIMIT_S = 20.0
MINUTE_US = 60_000_000


class CountingLink(Meter):
    """What passed, by message; `more`: how much dearer each message is than the agent reckons."""

    def __init__(self, more: float) -> None:
        super().__init__(None, shared=True)
        self.more = more
        self.total = 0
        self._new = 0
        self.messages: list[tuple[str, int]] = []
        self.limits = Limits(messages=20, packet_bytes=None, topic_aliases=10, keepalive_s=60, session_expiry_s=0)
        self.acknowledged: deque[Acknowledgement] = deque()
        self.up = True

    def carry(self, count: int) -> None:
        self.total += count
        self._new += count

    def take(self) -> Passed:
        count, self._new = self._new, 0
        return Passed(count // 2, count - count // 2)

    def room(self) -> int:
        return 20

    def payload_limit(self, topic: str) -> int:
        return 1 << 28

    def publish(self, topic: str, payload: bytes, *, expiry_s: int | None, alias: bool) -> int:
        size = wire.message_bytes(len(payload), len(topic), tls=False)
        self.carry(round(size * self.more))
        self.messages.append((topic.split("/", 4)[4], size))
        self.acknowledged.append(Acknowledgement(mid=len(self.messages), code=0))
        return len(self.messages)


class Device:
    """lanes: each makes minutes and hours. events: of each hour."""

    def __init__(
        self, store: Store, clock: ManualClock, link: CountingLink, month: str, needs: Needs | None, lanes: int, events: int
    ) -> None:  # fmt: skip
        self.store, self.clock, self.link = store, clock, link
        self.lanes, self.events = lanes, events
        self.true_us = clock.reading().at_us + clock.reading().utc_offset_us
        self.by_month: dict[str, int] = {}
        self.last_words: list[str] = []
        self._counted = 0
        self._minute = self.true_us // MINUTE_US
        self._pinged_us = clock.boot_us()
        self.store.submit(clock_job(self.clock.reading()), ends_group=True).wait(LIMIT_S)
        self._settings, self._needs = Settings(month=Bytes.parse(month)), needs
        self.budget = Budget(store, self._settings, link, clock, needs=needs)
        self.connect()

    def connect(self) -> None:
        self.sender = Sender(
            self.store, self.link, device=DEVICE, window=20, inflight_bytes=65_536, clock=self.clock, pace_s=0.0,  # type: ignore[arg-type]
            budget=self.budget,
        )  # fmt: skip
        self.held = Held(self.store, self.clock, self.sender.streams, self.budget.room)
        self.held.step(self.budget.state)

    def crash(self) -> None:
        """The agent dies: what it had not written is forgotten, what the link carried is not."""
        self.link.take()
        self.link.acknowledged.clear()
        self.budget = Budget(self.store, self._settings, self.link, self.clock, needs=self._needs)
        self.connect()

    def run(self, minutes: int, step_min: int = 10, *, other: int = 0) -> None:
        """other: bytes a step that somebody else's program sends over the same SIM, as long as the agent is not closed."""
        for _ in range(minutes // step_min):
            passed_us = step_min * MINUTE_US - self.true_us % MINUTE_US
            self.clock.advance(passed_us / 1e6)
            self.true_us += passed_us
            self._make(step_min)
            self.link.carry(0 if self.budget.closed else other)
            self._serve()
            month = month_of(self.true_us)
            self.by_month[month] = self.by_month.get(month, 0) + self.link.total - self._counted
            self._counted = self.link.total

    def _make(self, minutes: int) -> None:
        first, self._minute = self._minute, self._minute + minutes
        reading = self.clock.reading()

        def make(transaction: Transaction) -> None:
            clock_job(reading)(transaction)
            offset_us = reading.at_us + reading.utc_offset_us - self.true_us
            for lane in range(self.lanes):
                for minute in range(first, self._minute):
                    _append(transaction, f"lane{lane}", 60, minute * MINUTE_US + offset_us)
                    if minute % 60 == 59:
                        _append(transaction, f"lane{lane}", 3_600, (minute - 59) * MINUTE_US + offset_us)
            stream = envelope.event_stream("lane0")
            for _ in range(sum(self.events for minute in range(first, self._minute) if minute % 60 == 30)):
                items.append(
                    transaction, stream, event_body(transaction, stream, reading.at_us + reading.utc_offset_us)
                )

        self.store.submit(make, ends_group=True).wait(LIMIT_S)

    def _serve(self) -> None:
        budget, link = self.budget, self.link
        budget.step(at_once=True)
        if budget.closed:
            if budget.last_words_due:
                link.carry(wire.message_bytes(3_000, 40, tls=False) + wire.message_bytes(300, 40, tls=False))
                self.last_words.append(month_of(self.true_us))
                budget.said_last_words()
            return
        if not link.up:
            return
        if self.clock.boot_us() - self._pinged_us >= 600_000_000:
            self._pinged_us = self.clock.boot_us()
            link.carry(wire.ping_bytes(tls=False))
        self.sender.refresh()
        # What is kept back or let go is looked at once a second.
        for _ in range(4):
            self.held.step(budget.state)
            self._send()
            self.clock.advance(1.1)
            self.true_us += 1_100_000
        ticket = self.sender.write_acknowledged(all_of_them=True)
        if ticket is not None:
            ticket.wait(LIMIT_S)
        budget.step(at_once=True)

    def _send(self) -> None:
        while True:
            self.sender.pump()
            if not self.link.acknowledged:
                return
            while self.link.acknowledged:
                self.sender.acknowledge(self.link.acknowledged.popleft())

    def states(self) -> Mapping[str, Mapping[int, int]]:
        """stream → state → how many items."""
        found: dict[str, dict[int, int]] = {}
        with self.store.read() as connection:
            for stream, state, count in connection.execute(
                "SELECT text, state, count(*) FROM item JOIN name ON name.id = stream GROUP BY text, state"
            ):
                found.setdefault(stream, {})[state] = count
        return found


def _append(transaction: Transaction, lane: str, grain_s: int, start_us: int) -> None:
    stream = envelope.summary_stream(lane, grain_s)
    items.append(transaction, stream, summary_body(transaction, stream, start_us // 1_000_000 * 1_000_000, grain_s))


@contextmanager
def simulated_device(
    *, month: str = "20 MB", utc: str = "2026-11-01T00:00:00Z", needs: Needs | None = None, lanes: int = 1, events: int = 0,
    more: float = 1.0, folder: Path | None = None,
) -> Iterator[Device]:  # fmt: skip
    """folder: of a store that outlives the device; else one in memory."""
    clock = ManualClock(boot_us=1_000_000_000, utc=utc)
    memory, settings = Path("/dev/shm"), StoreConfig(max_loss_s=0.2, keep_free=Bytes(0))
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made,
        open_store(folder or Path(made), clock=clock, device=DEVICE, settings=settings) as store,
    ):
        device = Device(store, clock, CountingLink(more), month, needs, lanes, events)
        try:
            yield device
        finally:
            device.budget.close()
