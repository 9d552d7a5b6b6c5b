"""Runs a recording through the lanes' own loops, in the caller's thread: the same rows as when it was recorded.

Lanes are merged by (greatest at_us so far in the lane, lane order, line); what was learned about UTC goes before the lanes.
"""

import contextlib
import heapq
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.clock import Reading
from agent.config.file import File, Lane
from agent.config.read import Loaded, read
from agent.hours import Hours
from agent.pipeline import build
from agent.pipeline.lane import Loop
from agent.pipeline.lives import Lives, from_head
from agent.pipeline.models import file_digest
from agent.pipeline.run import hooks
from agent.pipeline.units import Units
from agent.problems import Exit, Problem, Problems
from agent.records import Gap, Input, LaneSecond, Tick
from agent.sources.recording import records
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.writer import Store, open_store
from agent.values import Bytes, RelativePath

FORMAT = 1
_SUBMIT_S = 60.0
_ALL_S = 600.0


class Turn(NamedTuple):
    """A record and its place in the merge."""

    at_us: int
    lane: int
    line: int
    record: Input | Tick


class RecordedClock:
    """The clock of a replay: the time of the record in hand. It never waits."""

    def __init__(self) -> None:
        self.at_us = 0

    def boot_us(self) -> int:
        return self.at_us

    def boot_ns(self) -> int:
        return self.at_us * 1000

    def boot_id(self) -> str:
        return "replay"

    def reading(self) -> Reading:
        return Reading(at_us=self.at_us, utc_offset_us=0, source="none", error_ms=0)

    def wait(self, event: threading.Event, seconds: float) -> bool:  # noqa: ARG002  the Clock's form
        return event.is_set()


def replay(folder: Path, store_folder: Path) -> Path:
    """Runs the recording into a new store in `store_folder`; returns the SQLite file.

    Problem: not a recording, a newer form, a model that is not to be had. Problems with Exit.MODEL: no model of a lane opened.
    """
    head = _head(folder)
    loaded = with_found_models(read(folder / "config.toml"))
    clock = RecordedClock()
    readings = _readings(folder / "clock.jsonl")
    units = Units()
    lives = from_head(head.live)
    hours = Hours(loaded.file.device.timezone)
    with (
        ExitStack() as stack,
        open_store(
            store_folder,
            clock=clock,
            device=loaded.device,
            # All rows or a Problem: little room must not make other rows of the same recording.
            settings=msgspec.structs.replace(loaded.file.store, keep_free=Bytes(0)),
            names=build.names(loaded.file),
            grains=build.grains(loaded.file),
            hooks=hooks(loaded, units),
            replay=True,
        ) as store,
    ):
        loops = [
            _ReplayLane(stack, name, lane, loaded.file, store, units, head.active.get(name, ()), lives, hours)
            for name, lane in loaded.file.lane.items()
        ]
        lanes = [_turns(number, folder / name) for number, name in enumerate(loaded.file.lane)]
        for turn in heapq.merge(*lanes, key=lambda turn: turn[:3]):
            while readings and readings[0].at_us <= turn.at_us:
                hours.note(readings[0])
                store.submit(clock_job(readings.pop(0)), ends_group=True, timeout_s=_SUBMIT_S)
            clock.at_us = max(clock.at_us, turn.at_us)
            loops[turn.lane].take(turn.record)
        for reading in readings:
            store.submit(clock_job(reading), ends_group=True, timeout_s=_SUBMIT_S)
        store.submit(lambda _: None, ends_group=True, timeout_s=_SUBMIT_S).wait(_ALL_S)
        return store.path


class _ReplayLane:
    """A lane's models and its loop; a restart in the recording begins a new loop, as it did then.

    active: rules whose event had started before the recording.
    """

    def __init__(
        self,
        stack: ExitStack,
        name: str,
        lane: Lane,
        file: File,
        store: Store,
        units: Units,
        active: Collection[str],
        lives: Lives,
        hours: Hours,
    ) -> None:
        opened = stack.enter_context(build.open_models(name, lane, build.replay_machine(file)))
        if opened.problems:
            raise Problems(list(opened.problems.values()))  # with fewer models the rows could not be the same
        self._new: Callable[[], Loop] = lambda: build.new_loop(
            name, lane, file.rule, opened.runners, self._submit, units, frozenset(self._active), lives.lane(name), hours
        )
        self._runners = tuple(opened.runners.values())
        self._store = store
        self._lives = lives
        self._active = set(active)
        self._failed: Exception | None = None
        self._loop: Loop = self._new()

    def take(self, record: Input | Tick) -> None:
        """What a record breaks that broke the lane then too is passed over until the lane began anew."""
        if isinstance(record, Gap) and record.why == "restart":
            for runner in self._runners:
                runner.reset()
            self._loop, self._failed = self._new(), None
        elif self._failed is not None and not isinstance(record, Tick):  # its last tick came after what broke it
            raise self._failed
        else:
            try:
                self._loop.take(record)
            except Exception as error:  # noqa: BLE001  whatever broke the lane then
                self._failed = error

    def _submit(self, second: LaneSecond) -> None:
        for event in second.events:
            (self._active.add if event.phase == "start" else self._active.discard)(event.rule)
        self._store.submit(lane_second_job(second), timeout_s=_SUBMIT_S)
        self._lives.note(second)


def with_found_models(loaded: Loaded) -> Loaded:
    """Models whose file is not where it was, or another by now, are looked for by their digest: in the cache, among those that come with the agent."""
    from agent.catalogue.fetch import by_sha256

    lanes = {}
    for name, lane in loaded.file.lane.items():
        models = dict(lane.model)
        for model, config in models.items():
            if config.sha256 is None or file_digest(config) == config.sha256:
                continue
            found = by_sha256(config.sha256)
            if found is not None:
                models[model] = msgspec.structs.replace(config, path=RelativePath(found), catalogue=None)
        lanes[name] = msgspec.structs.replace(lane, model=models)
    return msgspec.structs.replace(loaded, file=msgspec.structs.replace(loaded.file, lane=lanes))


def _turns(number: int, folder: Path) -> Iterator[Turn]:
    at_us = 0
    if not (folder / "input.jsonl").exists():
        return  # the lane took nothing before the recording ended
    for line, record in enumerate(records(folder)):
        at_us = max(at_us, record.at_us)
        yield Turn(at_us, number, line, record)


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay wants of recording.toml. active: lane → rules whose event had started before. live: lane → its objects then."""

    format: int
    active: dict[str, list[str]] = {}
    live: dict[str, list[str]] = {}


def _head(folder: Path) -> _Head:
    import tomllib

    path = folder / "recording.toml"
    try:
        head = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Head)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Problem(
            where=str(path),
            what=f"this is no recording: {why}",
            remedy="Name the folder that `record` wrote",
            code=Exit.COMMAND_LINE,
        ) from None
    if head.format != FORMAT:
        raise Problem(
            where=str(path),
            what=f"its format is {head.format}, this version reads {FORMAT}",
            remedy="Replay it with the version that wrote it",
            code=Exit.COMMAND_LINE,
        )
    return head


def _readings(path: Path) -> list[Reading]:
    lines = path.read_bytes().splitlines() if path.exists() else []
    found = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):  # a line cut by a kill
            found.append(msgspec.json.decode(line, type=Reading))
    return sorted(found, key=lambda reading: reading.at_us)
