"""Health items: how the device does, as an item on the stream `health`, at the pace that the data budget leaves."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import UNSET

from agent.clock import Clock
from agent.health import readings
from agent.log import fact
from agent.messages import health as message
from agent.messages.envelope import Quality, encode
from agent.messages.times import text_ms
from agent.pipeline.supervisor import LaneState
from agent.store import holding, items, vitals
from agent.store.transaction import Transaction
from agent.store.writer import Store
from agent.sync import states
from agent.sync.allowance import Report

# The first one: by then the lanes have opened, or not.
FIRST_US = 60_000_000

log = logging.getLogger(__name__)


class Health:
    """`look` is called once a second or so. budget: None without one."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        lanes: Callable[[], Mapping[str, LaneState]],
        budget: Callable[[], Report | None],
    ) -> None:
        self._store, self._clock, self._lanes, self._budget = store, clock, lanes, budget
        self._due_us = clock.boot_us() + FIRST_US
        self._moves: object = None
        self._begun = False

    def look(self) -> None:
        """Makes an item when one is due, or the data budget has moved."""
        now_us, budget = self._clock.boot_us(), self._budget()
        moves = None if budget is None else tuple(budget.moves)
        moved = self._begun and moves != self._moves
        self._begun, self._moves = True, moves
        if now_us < self._due_us and not moved:
            return
        every_s = states.HEALTH_S[budget.state if budget is not None else "full"]
        self._due_us = now_us + round((every_s or 86_400.0) * 1e6)
        if every_s is None and not moved:
            return
        with suppress(TimeoutError):  # a store that is behind has more urgent things to do
            self._store.submit(self.job(), timeout_s=0.0)

    def job(self) -> Callable[[Transaction], None]:
        """The item as of now; nothing while no time is known."""
        reading = self._clock.reading()
        try:
            body = self._body()
        except Exception as error:  # noqa: BLE001  # what the agent says of itself must not hold up what it measures
            log.warning(fact("no health", error=f"{type(error).__name__}: {error}"))
            return lambda _: None
        at = text_ms(max(0, reading.at_us + reading.utc_offset_us))

        def make(transaction: Transaction) -> None:
            if transaction.utc_offset_us is None:
                return
            items.append(
                transaction,
                message.STREAM,
                lambda number: encode(
                    message.Health(
                        d=transaction.device, epoch=transaction.epoch_text, st=message.STREAM, seq=number, of=number, at=at,
                        tq=Quality(s=reading.source, e=reading.error_ms), boot=transaction.boot, **body,  # type: ignore[arg-type]
                    )
                ),
            )  # fmt: skip

        return make

    def _body(self) -> dict[str, object]:
        folder, budget = self._store.folder, self._budget()
        found = readings.read(folder)
        states_now, now_us = self._lanes(), self._clock.boot_us()
        with self._store.read() as connection:
            device = vitals.device(connection)
            held = holding.held(connection)
            removed = vitals.removed(connection)
        return {
            "machine": message.Machine(
                temp=found.temperature_c,
                throttled=found.throttled,
                memory=found.memory_free_bytes,
                disk=found.disk_free_bytes,
            ),
            "store": _size(self._store.path),
            "queues": device.backlog,
            "held": held,
            "lanes": {
                name: message.LaneHealth(
                    state=state.state, age=_age_s(state.input_at_us, now_us), restarts=state.restarts, picture=state.picture or UNSET
                )
                for name, state in states_now.items()
            },
            "removed": removed,
            "faults": len(self._store.faults) + sum(state.problem is not None for state in states_now.values()),
            "budget": None if budget is None else message.Budget(
                state=budget.state, month=budget.month, used=budget.used, left=budget.left, how=budget.how,
                moves=[message.Move(*move) for move in budget.moves],
            ),
        }  # fmt: skip


def _age_s(at_us: int | None, now_us: int) -> float | None:
    return None if at_us is None else round(max(0, now_us - at_us) / 1e6, 1)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
