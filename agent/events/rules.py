"""Rules over one lane: a label is seen for a while, an event starts; it is gone for a while, the event ends."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.records import Detections, Event, Inference
from agent.values import NAME_PATTERN, Polygon

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]


class Zone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    polygon: Annotated[Polygon, Meta(description="At least three points, x and y as shares of the picture, 0..1.")]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    lane: Annotated[Name, Meta(description="The lane it watches.")]
    label: Annotated[str, Meta(min_length=1, description="The label that must be seen.")]
    model: Annotated[Name | None, Meta(description="Of this model only; left out: of any model of the lane.")] = None
    zone: Annotated[Name | None, Meta(description="Only with the foot of its box in this zone of the lane.")] = None
    score: Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="Only with at least this score.")] = None
    for_s: Annotated[float, Meta(ge=0, description="It must hold this long before the event starts.")] = 0.0
    flicker_s: Annotated[
        float,
        Meta(
            ge=0, description="Until the event starts: not seen for this long, and what had begun to hold is forgotten."
        ),
    ] = 1.0
    clear_s: Annotated[float, Meta(ge=0, description="Not seen for this long, the event ends.")] = 5.0
    severity: Annotated[Literal["info", "warn", "alarm"], Meta(description="How much it matters.")] = "info"
    snapshot: Annotated[
        bool, Meta(description="Whether the picture in which it starts is kept on the device ([snapshots], [privacy]).")
    ] = False


class Rules:
    """The rules of one lane. `take` every inference in order; the events of it come back.

    A rule holds from the first input that matches. It ceases when none has matched for a while (`flicker_s` until its event has started,
    `clear_s` from then on), which is seen at the next input that does not match. zones: by name. active: rules whose event had started and not ended when the agent last stopped.
    """

    def __init__(
        self, rules: Mapping[str, Config], zones: Mapping[str, Zone], active: frozenset[str] = frozenset()
    ) -> None:
        self._rules = {
            name: _Rule(name, config, zones[config.zone].polygon if config.zone else None, name in active)
            for name, config in rules.items()
        }

    def take(self, inference: Inference) -> list[Event]:
        return [event for rule in self._rules.values() if (event := rule.take(inference)) is not None]


class _Rule:
    def __init__(self, name: str, config: Config, polygon: Polygon | None, started: bool) -> None:
        self._name = name
        self._config = config
        self._polygon = polygon
        self._started = started
        self._since_us: int | None = None
        self._last_us: int | None = None

    def take(self, inference: Inference) -> Event | None:
        config = self._config
        if inference.detections is None or (config.model is not None and inference.model != config.model):
            return None
        row = self._match(inference.detections)
        now_us = inference.at_us
        if row is not None:
            if self._since_us is None:
                self._since_us = now_us
            self._last_us = now_us
            if not self._started and now_us - self._since_us >= config.for_s * 1e6:
                self._started = True
                return self._event("start", inference, row)
            return None
        if self._last_us is None:
            self._last_us = now_us if self._started else None  # started before a restart: its absence counts from here
            return None
        if now_us - self._last_us >= (config.clear_s if self._started else config.flicker_s) * 1e6:
            self._since_us = self._last_us = None
            if self._started:
                self._started = False
                return self._event("end", inference, None)
        return None

    def _match(self, found: Detections) -> int | None:
        """The best row that matches, by score; the first of equals."""
        best: int | None = None
        for row, label in enumerate(found.labels):
            if label != self._config.label:
                continue
            score = _score(found, row)
            if self._config.score is not None and score < self._config.score:
                continue
            if self._polygon is not None and (found.boxes is None or not _inside(self._polygon, *_foot(found, row))):
                continue
            if best is None or score > _score(found, best):
                best = row
        return best

    def _event(self, phase: str, inference: Inference, row: int | None) -> Event:
        found = inference.detections
        box = None
        if row is not None and found is not None and found.boxes is not None:
            x0, y0, x1, y1 = (round(float(side), 4) for side in found.boxes[row])
            box = (x0, y0, x1, y1)
        return Event(
            at_us=inference.at_us,
            rule=self._name,
            severity=self._config.severity,
            phase=phase,
            model=inference.model,
            label=self._config.label,
            score=round(_score(found, row), 4) if row is not None and found is not None else None,
            box=box,
            zone=self._config.zone,
            snapshot=self._config.snapshot and phase == "start",
            track=int(found.tracks[row]) or None
            if row is not None and found is not None and found.tracks is not None
            else None,
        )


def _score(found: Detections, row: int) -> float:
    """A detection's score; an anomaly's own value, which may pass 1."""
    return float(found.values[row]) if found.values is not None else float(found.scores[row])


def _foot(found: Detections, row: int) -> tuple[float, float]:
    assert found.boxes is not None
    x0, _, x1, y1 = found.boxes[row]
    return float(x0 + x1) / 2, float(y1)


def _inside(polygon: Polygon, x: float, y: float) -> bool:
    """Even-odd rule; a point on an edge may fall either way."""
    inside = False
    previous_x, previous_y = polygon[-1]
    for corner_x, corner_y in polygon:
        if (corner_y > y) != (previous_y > y) and x < (previous_x - corner_x) * (y - corner_y) / (
            previous_y - corner_y
        ) + corner_x:
            inside = not inside
        previous_x, previous_y = corner_x, corner_y
    return inside
