"""THE loop: one record in, and at every tick one job for the store. Live and replay push records into the same `take`."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import msgspec

from agent.events.following import Following
from agent.events.rules import Rules
from agent.gating import Gate
from agent.health.pictures import Pictures as PictureHealth
from agent.pipeline.crops import look_at_crops
from agent.pipeline.regions import Regions
from agent.pipeline.whereabouts import Whereabouts
from agent.problems import Problem
from agent.records import (
    Crossing,
    Detections,
    Event,
    Frame,
    Gap,
    Inference,
    Input,
    LaneSecond,
    SampleChunk,
    SampleWindow,
    Tick,
)  # fmt: skip
from agent.sources import Unpack
from agent.statistics import add


class Runner(Protocol):
    """A model ready to look at inputs."""

    def look(self, record: Frame | SampleWindow) -> Detections: ...


class Windows(Protocol):
    def take(self, record: SampleChunk | Gap) -> Sequence[SampleWindow]: ...


class Showing(Protocol):
    """Where a lane's pictures go that somebody may see."""

    def take(self, frame: Frame, results: Mapping[str, Inference], events: Sequence[Event]) -> list[Event]: ...

    def held_back(self, frame: Frame) -> None: ...


class Model(msgspec.Struct, kw_only=True):
    """on: the earlier model whose detections it looks at, None: the input. margin: by how much of its size a crop grows at every side.

    regions: it looks at what the gate saw move and at what is followed.
    """

    name: str
    runner: Runner
    every_us: int = 0
    on: str | None = None
    margin: float = 0.0
    regions: Regions | None = None
    looked_us: int | None = None
    problem: str | None = None  # why the newest input failed


class Loop:
    """One lane's state between records. Owned by one thread.

    submit: takes the LaneSecond of each tick; may hold the caller. learn: takes the lane's readings with their units. following: of its objects. showing: where its pictures go. health: whether they can be believed. milliseconds: a stop watch for latencies, which replay does not compare.
    """

    def __init__(
        self,
        name: str,
        models: Sequence[Model],
        submit: Callable[[LaneSecond], None],
        *,
        milliseconds: Callable[[], float],
        gate: Gate | None = None,
        unpack: Unpack | None = None,
        windows: Windows | None = None,
        rules: Rules | None = None,
        learn: Callable[[str, Sequence[tuple[str, str]]], None] | None = None,
        following: Following | None = None,
        showing: Showing | None = None,
        health: PictureHealth | None = None,
    ) -> None:
        self.name = name
        self.models = tuple(models)
        self._submit = submit
        self._milliseconds = milliseconds
        self._gate = gate
        self._unpack = unpack
        self._windows = windows
        self._rules = rules
        self._learn = learn
        self._following = following
        self._whereabouts = Whereabouts(following.trackers if following is not None else {})
        self._showing = showing
        self._health = health
        self._begin()

    def take(self, record: Input | Tick) -> None:
        if self._following is not None:
            self._crossings += self._following.begin(record.at_us)
        if isinstance(record, Tick):
            self._close(record)
        elif isinstance(record, Frame):
            self._look(record)
        elif self._unpack is not None and self._windows is not None:
            pieces = (record,) if isinstance(record, Gap) else self._unpack.take(record)
            for piece in pieces:
                for window in self._windows.take(piece):
                    self._look(window)

    @property
    def wants_tick(self) -> bool:
        """An event has happened: the tick closes at once, so that the event is on the medium."""
        return bool(self._events)

    @property
    def quiet(self) -> bool:
        """Nothing moves, and no object is followed: as the gate says it of the newest input."""
        return self._gate is not None and self._gate.quiet

    @property
    def picture(self) -> tuple[str, ...]:
        """What is wrong with the camera's picture now."""
        return () if self._health is None else self._health.states

    def _look(self, record: Frame | SampleWindow) -> None:
        self._seen += 1
        try:
            self._judge(record)
        except Exception:
            self._failed += 1  # the lane breaks, and its last tick still counts what it saw
            raise

    def _judge(self, record: Frame | SampleWindow) -> None:
        if isinstance(record, SampleWindow):
            _add_measured(self._measured, record.measured)
            if self._learn is not None:
                self._learn(self.name, record.units)
        elif self._health is not None:
            self._events += self._health.take(record)
        due = [model for model in self.models if _is_due(model, record.at_us)]
        if (self._gate is not None and not self._whereabouts.passes(self._gate, record)) or not due:
            self._gated += 1
            if self._showing is not None and isinstance(record, Frame):
                self._showing.held_back(record)
            return
        earlier = len(self._events)
        results: dict[str, Inference] = {}
        for model in due:
            if model.regions is not None and isinstance(record, Frame):
                look = partial(
                    model.regions.look, model.runner, record, self._whereabouts.places(self._gate, record.at_us)
                )
                results[model.name] = self._infer(model, record, look)
            elif model.on is None:
                results[model.name] = self._infer(model, record, partial(model.runner.look, record))
            else:
                self._look_at_crops(model, model.on, record, results)
        if self._showing is not None and isinstance(record, Frame):
            self._events[earlier:] = self._showing.take(record, results, self._events[earlier:])
        if not results:
            self._gated += 1
        elif any(result.detections is not None for result in results.values()):
            self._inferred += 1
        else:
            self._failed += 1

    def _look_at_crops(
        self, model: Model, on: str, record: Frame | SampleWindow, results: dict[str, Inference]
    ) -> None:
        """Where the earlier model found nothing, or did not look, there is nothing to look at."""
        earlier = results.get(on)
        of = earlier.detections if earlier is not None else None
        if of is not None and len(of) and isinstance(record, Frame):
            look = partial(look_at_crops, model.runner, record, of, model.margin)
            results[model.name] = self._infer(model, record, look)

    def _infer(self, model: Model, record: Frame | SampleWindow, look: Callable[[], Detections]) -> Inference:
        before_ms = self._milliseconds()
        model.looked_us = record.at_us
        try:
            detections, model.problem = self._tracked(model.name, record.at_us, look()), None
        except Problem as problem:
            detections, model.problem = None, str(problem)
        except Exception as error:  # one picture that a model or its decoder chokes on is no reason to end the lane
            logging.getLogger(__name__).debug("model failed", exc_info=True)
            where = f"lane.{self.name}.model.{model.name}"
            detections, model.problem = None, f"{where}: {type(error).__name__}: {error}. Please report it"
        took_ms = self._milliseconds() - before_ms
        inference = Inference(model=model.name, at_us=record.at_us, detections=detections, took_ms=took_ms)
        inferred, failed = self._model_counts.get(model.name, (0, 0))
        if detections is None:
            self._model_counts[model.name] = (inferred, failed + 1)
            return inference
        self._model_counts[model.name] = (inferred + 1, failed)
        add(self._latencies.setdefault(model.name, {}), took_ms)
        self._inferences.append(inference)
        crossings = self._following.count(inference) if self._following is not None else []
        self._crossings += crossings
        self._whereabouts.take(inference)
        if self._rules is not None:
            self._events += self._rules.take(inference, crossings)
        return inference

    def _tracked(self, model: str, at_us: int, found: Detections) -> Detections:
        return found if self._following is None else self._following.track(model, at_us, found)

    def _close(self, tick: Tick) -> None:
        following = self._following
        if following is not None:
            self._crossings += following.tick(tick.at_us)
        second = LaneSecond(
            lane=self.name,
            tick=tick,
            seen=self._seen + tick.dropped,
            gated=self._gated,
            inferred=self._inferred,
            failed=self._failed,
            inferences=tuple(self._inferences),
            events=tuple(self._events),
            models=self._model_counts,
            measured=self._measured,
            latencies=self._latencies,
            crossings=tuple(self._crossings),
            occupied=following.counting.occupied() if following is not None else {},
            live=following.save() if following is not None else None,
        )
        self._begin()
        self._submit(second)

    def _begin(self) -> None:
        self._seen = self._gated = self._inferred = self._failed = 0
        self._inferences: list[Inference] = []
        self._events: list[Event] = []
        self._crossings: list[Crossing] = []
        self._model_counts: dict[str, tuple[int, int]] = {}
        self._measured: dict[str, tuple[int, float, float, float, float]] = {}
        self._latencies: dict[str, dict[int, int]] = {}


def _is_due(model: Model, now_us: int) -> bool:
    return model.every_us == 0 or model.looked_us is None or now_us - model.looked_us >= model.every_us


def _add_measured(
    into: dict[str, tuple[int, float, float, float, float]], new: Mapping[str, tuple[int, float, float, float, float]]
) -> None:
    for name, (count, total, squares, least, greatest) in new.items():
        if name in into:
            old = into[name]
            into[name] = (
                old[0] + count, old[1] + total, old[2] + squares, min(old[3], least), max(old[4], greatest),
            )  # fmt: skip
        else:
            into[name] = (count, total, squares, least, greatest)
