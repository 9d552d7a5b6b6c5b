"""Jobs that make rows: a lane's second (results, events, then the tick that counts them) and a fix of the clock.

All ids of a second come from the one counter in that order, so the results of a tick are its lane's rows between the lane's previous tick
and it. Below `keep_free` results are not stored: an input whose results are left out counts as dropped, not as inferred, so every stored
count stays true of the stored rows; `counts.u` says how many there were. Events and ticks are stored as long as the disk takes them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.clock import Reading
from agent.records import Crossing, Event, Inference, LaneSecond
from agent.store import live, trusted
from agent.store.result_rows import insert_results
from agent.store.schema import CROSSING_KINDS
from agent.store.transaction import Job, Transaction

PHASES = {"start": 0, "end": 1}
_CROSSINGS = {kind: number for number, kind in enumerate(CROSSING_KINDS)}
# Better sources first.
SOURCES = ("gnss", "ptp", "ntp", "rtc", "manual", "none")
_TICK = "INSERT INTO tick VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_EVENT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)"
_CROSSING = "INSERT INTO crossing VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class LaneSecondJob:
    """The job of one LaneSecond. `lane` and `inputs` let the writer count what could not be stored."""

    __slots__ = ("_second", "inputs", "lane")

    def __init__(self, second: LaneSecond) -> None:
        self.lane = second.lane
        self.inputs = second.seen
        self._second = second

    def __call__(self, transaction: Transaction) -> None:
        second, lane = self._second, transaction.name("lane", self._second.lane)
        left_out: tuple[Inference, ...] = ()
        stored = second.inferences
        if transaction.low_space:
            left_out = tuple(one for one in stored if one.detections is not None and len(one.detections))
            stored = ()
        results = insert_results(transaction, lane, stored)
        _enter_events(transaction, lane, second.events)
        _enter_crossings(transaction, lane, second.crossings)
        if second.live is not None:
            live.write(transaction, second.lane, second.live)
        if not (results or second.events or second.crossings or left_out) and self._merged(transaction, lane):
            return
        self._tick(transaction, lane, left_out)

    def remainder(self) -> "Job | None":
        """What is stored later when a full or failing disk took the second: its events and crossings, which are few and will not come again."""
        second = self._second
        return EventsJob(self.lane, second.events, second.crossings) if second.events or second.crossings else None

    def _tick(self, transaction: Transaction, lane: int, left_out: Sequence[Inference]) -> None:
        second = self._second
        owed = transaction.settle(second.lane)
        # One input that two models looked at is one input.
        unstored = min(second.inferred, len({one.at_us for one in left_out}))
        if unstored:
            transaction.unstored[second.lane] = transaction.unstored.get(second.lane, 0) + unstored
        number = transaction.next_id()
        transaction.connection.execute(
            _TICK,
            (
                number, transaction.boot, second.tick.at_us, lane, second.tick.alive_us, second.seen + owed, second.gated,
                second.inferred - unstored, second.failed, second.tick.dropped + owed + unstored,
                _counts(second, left_out, owed + unstored), _measured(second.latencies),
            ),
        )  # fmt: skip
        if _idle(second) and not owed:
            transaction.idle[lane] = (number, second.tick.at_us, second.tick.alive_us)
        else:
            transaction.idle.pop(lane, None)

    def _merged(self, transaction: Transaction, lane: int) -> bool:
        """Adds an idle second to the lane's previous tick, when that is idle, of this group, and in the same windows."""
        before = transaction.idle.get(lane)
        second = self._second
        if before is None or not _idle(second) or transaction.owed.get(second.lane):
            return False
        offset_us = transaction.utc_offset_us
        if offset_us is None:  # window ends are not known yet
            return False
        number, at_us, alive_us = before
        for grain in transaction.grains.get(second.lane, ()):
            size_us = grain * 1_000_000
            if (at_us - 1 + offset_us) // size_us != (second.tick.at_us - 1 + offset_us) // size_us:
                return False
        alive_us += second.tick.alive_us
        transaction.connection.execute(
            "UPDATE tick SET at_us = ?, alive_us = ? WHERE id = ?", (second.tick.at_us, alive_us, number)
        )
        transaction.idle[lane] = (number, second.tick.at_us, alive_us)
        return True


class EventsJob:
    """The job of events and crossings whose second could not be stored; they count in the window of the lane's next tick."""

    __slots__ = ("_crossings", "_events", "_lane")

    def __init__(self, lane: str, events: Sequence[Event], crossings: Sequence[Crossing] = ()) -> None:
        self._lane, self._events, self._crossings = lane, events, crossings

    def __call__(self, transaction: Transaction) -> None:
        lane = transaction.name("lane", self._lane)
        _enter_events(transaction, lane, self._events)
        _enter_crossings(transaction, lane, self._crossings)

    def remainder(self) -> Job:
        return self


def _enter_events(transaction: Transaction, lane: int, events: Sequence[Event]) -> None:
    for event in events:
        transaction.connection.execute(
            _EVENT,
            (
                transaction.next_id(), transaction.boot, event.at_us, lane, transaction.name("rule", event.rule),
                PHASES[event.phase], msgspec.json.encode(event).decode(),
            ),
        )  # fmt: skip


def _enter_crossings(transaction: Transaction, lane: int, crossings: Sequence[Crossing]) -> None:
    """place: of who is born or interrupted, the model that sees it; else the zone or line."""
    for one in crossings:
        place = one.model if one.place is None else one.place
        kind = "model" if one.place is None else "line" if one.kind in ("in", "out") else "zone"
        transaction.connection.execute(
            _CROSSING,
            (
                transaction.next_id(), transaction.boot, one.at_us, lane, one.track, transaction.name("label", one.label),
                transaction.name(kind, place), _CROSSINGS[one.kind], one.dwell_us,
            ),
        )  # fmt: skip


def lane_second_job(second: LaneSecond) -> Job:
    """Stores all that a lane did since its previous tick, whole or not at all."""
    return LaneSecondJob(second)


def is_news(reading: Reading, before: Reading | None) -> bool:
    """Whether a reading says more of UTC than the one before: its offset differs by more than both errors, or its source is better."""
    if before is None:
        return True
    moved = abs(reading.utc_offset_us - before.utc_offset_us) > (reading.error_ms + before.error_ms) * 1000
    return moved or SOURCES.index(reading.source) < SOURCES.index(before.source)


def clock_job(reading: Reading) -> Job:
    """Enters what is known about UTC, when it says something new: the offset differs by more than both errors, or the source is better.

    It is submitted with `ends_group`: which windows have passed at a start is judged by the time at the commit, so two fixes in one group would
    make other summaries than two groups.
    """

    def job(transaction: Transaction) -> None:
        if not reading.known:
            return
        trusted.note(transaction, reading)
        row = transaction.connection.execute(
            "SELECT from_us, utc_offset_us, source, error_ms FROM clock WHERE boot = ? ORDER BY from_us DESC LIMIT 1",
            (transaction.boot,),
        ).fetchone()
        from_us = reading.at_us
        if row is not None:
            before_us, offset_us, source, error_ms = row
            before = Reading(at_us=before_us, utc_offset_us=offset_us, source=source, error_ms=error_ms)
            if not is_news(reading, before):
                return
            from_us = max(from_us, before_us + 1)
            transaction.idle.clear()  # window ends moved
        transaction.connection.execute(
            "INSERT INTO clock (boot, from_us, utc_offset_us, source, error_ms, after_id) VALUES (?, ?, ?, ?, ?, ?)",
            (transaction.boot, from_us, reading.utc_offset_us, reading.source, reading.error_ms, transaction.last_id),
        )
        transaction.look_anew()

    return job


def _idle(second: LaneSecond) -> bool:
    return not (
        second.seen
        or second.failed
        or second.tick.dropped
        or second.events
        or second.inferences
        or second.measured
        or second.crossings
        or second.occupied
    )


def _counts(second: LaneSecond, left_out: Sequence[Inference], unstored: int) -> str | None:
    """{"m":{model:[inferred,failed]},"s":{reading:[n,sum,sum of squares,min,max]},"u":inputs unstored,"z":{zone:{label:objects in it}}}, NULL when there is nothing."""
    models = {model: list(pair) for model, pair in second.models.items()}
    for one in left_out:
        if one.model in models:
            models[one.model][0] -= 1
    counts: dict[str, Any] = {"m": {model: pair for model, pair in models.items() if any(pair)}, "s": second.measured}
    if unstored:
        counts["u"] = unstored
    if second.occupied:
        counts["z"] = second.occupied
    return msgspec.json.encode(counts).decode() if any(counts.values()) else None


def _measured(latencies: Mapping[str, Mapping[int, int]]) -> str | None:
    """{model:[[bin,count],…]} of milliseconds, NULL when nothing was measured."""
    filled = {model: sorted(bins.items()) for model, bins in latencies.items() if bins}
    return msgspec.json.encode(filled).decode() if filled else None
