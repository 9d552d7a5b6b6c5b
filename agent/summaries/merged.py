"""Windows that are merged from finer ones, as a day from its hours: the exact sum of their items, so a day of rows is never read.

A merged window is a run of consecutive finer windows in one UTC window (of boot time where they are undated), of one boot and one epoch of rows.
It is over when a finer window of another run is there or has begun; when its rows are older than the running epoch; when all of it was there at
the start and its end has passed.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from agent.messages.envelope import decode
from agent.messages.summary import Summary
from agent.statistics import Bins, merge
from agent.summaries import crossings
from agent.summaries.content import Content, Sums, merge_sums
from agent.summaries.windows import SECOND_US, EpochSpan, Run, epoch_of

# Grain → the finer one it is made of.
FROM = {86_400: 3_600}

_FINER = "SELECT first_tick, last_tick, boot, start_us, dated, epoch, stream, seq FROM summary WHERE lane = ? AND grain = ? AND first_tick > ? ORDER BY first_tick"
_BODY = "SELECT body FROM item WHERE epoch = ? AND stream = ? AND seq = ?"


class _Window(NamedTuple):
    """A finer window. epoch, stream, seq: of the newest sending of its item."""

    first_tick: int
    last_tick: int
    boot: int
    start_us: int
    dated: int
    epoch: int
    stream: int
    seq: int


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Finer windows of one merged window."""

    start_us: int
    boot: int
    epoch: EpochSpan
    dated: bool
    windows: tuple[_Window, ...]

    @property
    def last_tick(self) -> int:
        return self.windows[-1].last_tick

    def is_of(self, run: Run, grain_s: int) -> bool:
        """Whether an open run of finer windows will belong to it."""
        key = (_start(run.start_us, grain_s), run.boot, run.epoch.id, run.dated)
        return key == (self.start_us, self.boot, self.epoch.id, self.dated)

    def run(self, connection: sqlite3.Connection) -> Run:
        row = connection.execute("SELECT at_us FROM tick WHERE id = ?", (self.last_tick,)).fetchone()
        return Run(
            start_us=self.start_us, boot=self.boot, epoch=self.epoch, after_id=self.windows[0].first_tick - 1,
            first_tick=self.windows[0].first_tick, last_tick=self.last_tick, last_at_us=0 if row is None else row[0],
            dated=self.dated,
        )  # fmt: skip


def groups(
    connection: sqlite3.Connection, lane: int, grain_s: int, finer_s: int, after_tick: int, epochs: Sequence[EpochSpan]
) -> list[Group]:
    """The merged windows of what was closed since, in order; finer windows can still be added to the last one."""
    found: list[Group] = []
    for window in map(_Window._make, connection.execute(_FINER, (lane, finer_s, after_tick))):
        start_us, epoch = _start(window.start_us, grain_s), epoch_of(epochs, window.first_tick)
        last, dated = found[-1] if found else None, bool(window.dated)
        if last is not None and (last.start_us, last.boot, last.epoch.id, last.dated) == (
            start_us,
            window.boot,
            epoch.id,
            dated,
        ):
            found[-1] = msgspec.structs.replace(last, windows=(*last.windows, window))
        else:
            found.append(Group(start_us=start_us, boot=window.boot, epoch=epoch, dated=dated, windows=(window,)))
    return found


def content(connection: sqlite3.Connection, group: Group, finer_s: int) -> Content:
    """The sum of the group's items, of windows of `finer_s`. One that is gone is missing from `cover` too."""
    sums = [0] * 6
    models: dict[str, int] = {}
    labels: dict[str, dict[str, int]] = {}
    latencies: dict[str, Bins] = {}
    sensors: dict[str, Sums] = {}
    moved: list[crossings.Moved] = []
    for body in _bodies(connection, group):
        moved.append(crossings.from_body(body))
        parts = (
            round(body.cover * finer_s * SECOND_US),
            body.fr.seen,
            body.fr.gated,
            body.fr.inf,
            body.fr.drop,
            body.fr.fail,
        )
        sums = [one + other for one, other in zip(sums, parts, strict=True)]
        for name, model in body.models.items():
            models[name] = models.get(name, 0) + model.inf
            if model.n or name in labels:
                counted = labels.setdefault(name, {})
                for label, count in model.n.items():
                    counted[label] = counted.get(label, 0) + count
            if model.lat.sk.b:
                merge(latencies.setdefault(name, {}), model.lat.sk.b)
        if isinstance(body.sens, dict):
            for name, reading in body.sens.items():
                sensors[name] = merge_sums(
                    sensors.get(name), (reading.n, reading.sum, reading.sq, reading.min, reading.max)
                )
    alive_us, seen, gated, inferred, dropped, failed = sums
    total = crossings.merged(iter(moved))
    return Content(
        alive_us=alive_us, seen=seen, gated=gated, inferred=inferred, dropped=dropped, failed=failed,
        models=dict(sorted(models.items())), labels=labels, latencies=latencies, sensors=dict(sorted(sensors.items())),
        unique=total.unique, cut=total.cut, zones=total.zones, lines=total.lines,
    )  # fmt: skip


def _bodies(connection: sqlite3.Connection, group: Group) -> Iterator[Summary]:
    for window in group.windows:
        row = connection.execute(_BODY, (window.epoch, window.stream, window.seq)).fetchone()
        if row is not None:
            yield decode(row[0], Summary)


def _start(start_us: int, grain_s: int) -> int:
    return start_us - start_us % (grain_s * SECOND_US)
