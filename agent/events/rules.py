"""Rules over one lane: a label is seen for a while, an event starts; it is gone for a while, the event ends."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.events._geometry import anchor_of, inside
from agent.events.settings import Zone
from agent.hours import within
from agent.records import Crossing, Detections, Event, Inference
from agent.values import NAME_PATTERN, TimeOfDay

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]


class Also(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold at the same time, mostly of another lane."""

    lane: Annotated[Name, Meta(description="The lane it watches.")]
    label: Annotated[str, Meta(min_length=1, description="The label that must be seen.")]
    model: Annotated[Name | None, Meta(description="As of the rule.")] = None
    zone: Annotated[Name | None, Meta(description="As of the rule, a zone of this lane.")] = None
    score: Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="As of the rule.")] = None
    count: Annotated[int, Meta(ge=1, description="As of the rule.")] = 1
    for_s: Annotated[float, Meta(ge=0, description="As of the rule.")] = 0.0
    flicker_s: Annotated[float, Meta(ge=0, description="As of the rule.")] = 1.0
    clear_s: Annotated[float, Meta(ge=0, description="As of the rule.")] = 5.0


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"with_": "with"}):
    lane: Annotated[Name, Meta(description="The lane it watches.")]
    label: Annotated[str, Meta(min_length=1, description="The label that must be seen.")]
    model: Annotated[Name | None, Meta(description="Of this model only; left out: of any model of the lane.")] = None
    zone: Annotated[
        Name | None, Meta(description="Only with the anchor of its box (the foot) in this zone of the lane.")
    ] = None
    line: Annotated[Name | None, Meta(description="Only when it goes over this line of the lane.")] = None
    direction: Annotated[Literal["in", "out", "any"], Meta(description="Which way over the line.")] = "any"
    score: Annotated[Annotated[float, Meta(ge=0)] | None, Meta(description="Only with at least this score.")] = None
    count: Annotated[int, Meta(ge=1, description="At least so many of them on one input.")] = 1
    dwell_s: Annotated[
        float, Meta(ge=0, description="Only such as have been in the zone (without one: there at all) for so long.")
    ] = 0.0
    for_s: Annotated[float, Meta(ge=0, description="It must hold this long before the event starts.")] = 0.0
    flicker_s: Annotated[
        float,
        Meta(
            ge=0, description="Until the event starts: not seen for this long, and what had begun to hold is forgotten."
        ),
    ] = 1.0
    clear_s: Annotated[float, Meta(ge=0, description="Not seen for this long, the event ends.")] = 5.0
    with_: Annotated[
        tuple[Also, ...],
        Meta(
            description="What must hold at the same time, each a table, mostly of other lanes: a door is open, and a person is there."
        ),
    ] = ()
    between: Annotated[
        tuple[TimeOfDay, TimeOfDay] | None,
        Meta(
            description='Only from the first time of the day to the second, as ["22:00", "06:00"], by `device.timezone`. While the time is not known it holds at any.'
        ),
    ] = None
    cooldown_s: Annotated[float, Meta(ge=0, description="After an event has ended, none starts for this long.")] = 0.0
    severity: Annotated[Literal["info", "warn", "alarm"], Meta(description="How much it matters.")] = "info"
    snapshot: Annotated[
        bool, Meta(description="Whether the picture in which it starts is kept on the device ([snapshots], [privacy]).")
    ] = False


def in_lane(rules: Mapping[str, Config], lane: str) -> dict[str, Config]:
    """What a lane watches: rules that are about it alone, and its parts of rules with `with`."""
    parts = {part: config for name, rule in rules.items() for part, config in parts_of(name, rule).items()}
    own = {name: rule for name, rule in rules.items() if not rule.with_}
    return {name: rule for name, rule in (own | parts).items() if rule.lane == lane}


def parts_of(name: str, rule: Config) -> dict[str, Config]:
    """The parts of a rule with `with` as rules of their lanes, named RULE#NUMBER: no rule of a config can have such a name."""
    if not rule.with_:
        return {}
    first = msgspec.structs.replace(rule, with_=())
    others = [
        Config(
            lane=one.lane, label=one.label, model=one.model, zone=one.zone, score=one.score, count=one.count, for_s=one.for_s,
            flicker_s=one.flicker_s, clear_s=one.clear_s, severity=rule.severity,
        )
        for one in rule.with_
    ]  # fmt: skip
    return {f"{name}#{number}": part for number, part in enumerate([first, *others])}


# (track, zone or None) → since when it is there, None: it is not.
Since = Callable[[int, str | None], int | None]


class Rules:
    """The rules of one lane. `take` every inference in order; the events of it come back.

    A rule holds from the first input that matches. It ceases when none has matched for a while (`flicker_s` until its event has started,
    `clear_s` from then on), which is seen at the next input that does not match. zones: by name. active: rules whose event had started and not ended when the agent last stopped.
    since: of the lane's objects, for `dwell_s`. minute: of the local day, of a boot time, for `between`; None: not known.
    """

    def __init__(
        self,
        rules: Mapping[str, Config],
        zones: Mapping[str, Zone],
        active: frozenset[str] = frozenset(),
        since: Since = lambda _track, _zone: None,
        minute: Callable[[int], int | None] = lambda _: None,
    ) -> None:
        self._rules = {
            name: _Rule(name, config, zones[config.zone] if config.zone else None, name in active, since, minute)
            for name, config in rules.items()
        }

    def take(self, inference: Inference, crossings: Sequence[Crossing] = ()) -> list[Event]:
        """crossings: those of this input."""
        taken = (rule.take(inference, crossings) for rule in self._rules.values())
        return [event for event in taken if event is not None]


class _Rule:
    def __init__(
        self,
        name: str,
        config: Config,
        zone: Zone | None,
        started: bool,
        since: Since,
        minute: Callable[[int], int | None],
    ) -> None:
        self._name = name
        self._config = config
        self._zone = zone
        self._started = started
        self._since = since
        self._minute = minute
        self._since_us: int | None = None
        self._last_us: int | None = None
        self._ended_us: int | None = None

    def take(self, inference: Inference, crossings: Sequence[Crossing]) -> Event | None:
        config = self._config
        if inference.detections is None or (config.model is not None and inference.model != config.model):
            return None
        row = self._match(inference, inference.detections, crossings)
        now_us = inference.at_us
        if row is not None:
            if self._since_us is None:
                self._since_us = now_us
            self._last_us = now_us
            if not self._started and now_us - self._since_us >= config.for_s * 1e6 and not self._cools(now_us):
                self._started = True
                return self._event("start", inference, row)
            return None
        if self._last_us is None:
            self._last_us = now_us if self._started else None  # started before a restart: its absence counts from here
            return None
        if now_us - self._last_us >= (config.clear_s if self._started else config.flicker_s) * 1e6:
            self._since_us = self._last_us = None
            if self._started:
                self._started, self._ended_us = False, now_us
                return self._event("end", inference, None)
        return None

    def _cools(self, now_us: int) -> bool:
        return self._ended_us is not None and now_us - self._ended_us < self._config.cooldown_s * 1e6

    def _match(self, inference: Inference, found: Detections, crossings: Sequence[Crossing]) -> int | None:
        """The best row that matches, by score; the first of equals. None: fewer than `count` do, or it is not the hour."""
        minute = None if self._config.between is None else self._minute(inference.at_us)
        if self._config.between is not None and minute is not None and not within(self._config.between, minute):
            return None
        rows = [row for row, label in enumerate(found.labels) if self._matches(inference, found, row, label, crossings)]
        if len(rows) < self._config.count:
            return None
        return max(rows, key=lambda row: (_score(found, row), -row))

    def _matches(
        self, inference: Inference, found: Detections, row: int, label: str, crossings: Sequence[Crossing]
    ) -> bool:
        config = self._config
        if label != config.label or (config.score is not None and _score(found, row) < config.score):
            return False
        if self._zone is not None and (found.boxes is None or not _in_zone(found, row, self._zone)):
            return False
        track = int(found.tracks[row]) if found.tracks is not None else 0
        if config.line is not None:
            ways = ("in", "out") if config.direction == "any" else (config.direction,)
            if not any(one.track == track and one.place == config.line and one.kind in ways for one in crossings):
                return False
        if config.dwell_s:
            since_us = self._since(track, config.zone) if track else None
            return since_us is not None and inference.at_us - since_us >= config.dwell_s * 1e6
        return True

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
            line=self._config.line or msgspec.UNSET,
            snapshot=self._config.snapshot and phase == "start",
            track=int(found.tracks[row]) or None
            if row is not None and found is not None and found.tracks is not None
            else None,
        )


def _score(found: Detections, row: int) -> float:
    """A detection's score; an anomaly's own value, which may pass 1."""
    return float(found.values[row]) if found.values is not None else float(found.scores[row])


def _in_zone(found: Detections, row: int, zone: Zone) -> bool:
    assert found.boxes is not None
    x0, y0, x1, y1 = (float(side) for side in found.boxes[row])
    return inside(zone.polygon, *anchor_of((x0, y0, x1, y1), zone.anchor))
