"""A config → lanes. The only file that names every stage."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.config.file import File, Lane
from agent.config.kinds import load
from agent.config.read import Loaded
from agent.events.following import Following
from agent.events.rules import Config as Rule
from agent.events.rules import Rules, in_lane, parts_of
from agent.health.pictures import Pictures
from agent.health.settings import RULE_PREFIX
from agent.hours import Hours
from agent.inference.model import Config as ModelConfig
from agent.messages.envelope import grain_seconds, summary_stream
from agent.pipeline.lane import Loop, Model
from agent.pipeline.models import Machine, file_digest, open_model, trials_folder
from agent.pipeline.regions import Regions
from agent.pipeline.runner import Runner
from agent.pipeline.units import Units
from agent.problems import Problem, Problems
from agent.records import LaneSecond, Live
from agent.summaries import merged, several

if TYPE_CHECKING:
    from agent.inference.turns import Turns
    from agent.pipeline.showing import LaneShowing

# Of models that look at what moves, where their config leaves it open.
_REGIONS, _WHOLE_S, _IOU = 4, 10.0, 0.5
# The least side of a square is the model's input, of a larger input this: a person of 40 pixels is found by a model of 640 in a square of 320, enlarged,
# and in one of 640 not (tests/pipeline/test_regions.py).
_REGION_PX = 320


class Opened(msgspec.Struct, kw_only=True):
    """A lane's models, open. problems: by model, of those that did not open; the lane runs with the others."""

    runners: dict[str, Runner]
    problems: dict[str, Problem]


@contextmanager
def open_models(name: str, lane: Lane, machine: Machine) -> Iterator[Opened]:
    """Opens what opens. Problems with Exit.MODEL, one a model in order, when no model of the lane does."""
    kind: Literal["frame", "window"] = "window" if lane.window is not None else "frame"
    with ExitStack() as stack:
        opened = Opened(runners={}, problems={})
        for model_name, config in lane.model.items():
            where = f"lane.{name}.model.{model_name}"
            try:
                opened.runners[model_name] = stack.enter_context(
                    open_model(model_name, config, machine=machine, where=where, kind=kind)
                )
            except Problem as problem:
                opened.problems[model_name] = problem
        if not opened.runners:
            raise Problems(list(opened.problems.values()))
        yield opened


def new_loop(
    name: str,
    lane: Lane,
    rules: Mapping[str, Rule],
    runners: Mapping[str, Runner],
    submit: Callable[[LaneSecond], None],
    units: Units,
    active: frozenset[str] = frozenset(),
    live: Live | None = None,
    hours: Hours | None = None,
    showing: "LaneShowing | None" = None,
) -> Loop:
    """A lane's loop in its first state. active: rules whose event had started when the agent last stopped. live: the lane's objects then."""
    source = source_kind(lane)
    models = [
        Model(
            name=model,
            runner=runner,
            every_us=round((lane.model[model].every_s or 0.0) * 1e6),
            on=None if lane.model[model].on in ("input", "motion") else lane.model[model].on,
            margin=lane.model[model].margin,
            regions=_regions(lane.model[model], runner),
        )
        for model, runner in runners.items()
    ]
    gate = unpack = windows = None
    if lane.gate is not None:
        gate = load("gating", lane.gate.kind).open_gate(lane.gate.config)
        if hours is not None:
            gate.minute = hours.minute
    if showing is not None:
        showing.moved = lambda: gate.boxes if gate is not None else None
    if hasattr(source, "open_unpack"):
        unpack = source.open_unpack(lane.source.config)
    if lane.window is not None:
        from agent.windows.cut import Cut

        windows = Cut(lane.window)
    follows = lane.follows
    following = Following(follows, lane.model, lane.zone, lane.line, live) if follows is not None else None
    own_rules = in_lane(rules, name)
    return Loop(
        name,
        models,
        submit,
        milliseconds=lambda: time.perf_counter_ns() / 1e6,
        gate=gate,
        unpack=unpack,
        windows=windows,
        rules=_rules(own_rules, lane, active, following, hours) if own_rules else None,
        learn=units.learn,
        following=following,
        showing=showing,
        health=Pictures(lane.picture, active) if lane.window is None else None,
    )


def _rules(
    rules: Mapping[str, Rule], lane: Lane, active: frozenset[str], following: Following | None, hours: Hours | None
) -> Rules:
    since = following.counting.since_us if following is not None else lambda _track, _zone: None
    return Rules(rules, lane.zone, active, since, hours.minute if hours is not None else lambda _: None)


def _regions(config: ModelConfig, runner: Runner) -> Regions | None:
    if config.on != "motion":
        return None
    return Regions(
        least_px=min(max(runner.image_px), _REGION_PX),
        most=config.regions or _REGIONS,
        margin=config.margin,
        whole_us=round((config.whole_s or _WHOLE_S) * 1e6),
        iou=_IOU if config.iou is None else config.iou,
    )


def machine(file: File, turns: "Turns") -> Machine:
    """Of a running agent: trials and measured choices are remembered in its data folder."""
    cache = Path(file.device.data) / "cache"
    return Machine(runtime=file.device.runtime, libraries=file.delegate, cache=cache, turns=turns)


def replay_machine(file: File) -> Machine:
    """Of a replay: "auto" is the CPU, for a measured choice could differ from run to run; nothing is written beside the recording."""
    return Machine(runtime=file.device.runtime, libraries=file.delegate, cache=trials_folder(), auto=("xnnpack",))


def source_kind(lane: Lane) -> Any:
    """The module of the lane's source."""
    return load("sources", lane.source.kind)


def names(file: File) -> list[tuple[str, str]]:
    """What the config names: entered in the store at start, so that jobs only look names up."""
    found = [("lane", lane) for lane in file.lane]
    for name, lane in file.lane.items():
        found += [("model", model) for model in lane.model]
        found += [("zone", zone) for zone in lane.zone]
        found += [("line", line) for line in lane.line]
        found += [("stream", summary_stream(name, grain_s)) for grain_s in grains(file)[name]]
    found += [("rule", one) for rule, config in file.rule.items() for one in (rule, *parts_of(rule, config))]
    watched = {
        name: lane.picture.watch for name, lane in file.lane.items() if lane.window is None and lane.picture.watch
    }
    found += [("rule", RULE_PREFIX + state) for states in watched.values() for state in states]
    found += [("stream", f"event/{lane}") for lane in [*(rule.lane for rule in file.rule.values()), *watched]]
    return list(dict.fromkeys(found))


def grains(file: File) -> dict[str, tuple[int, ...]]:
    """Per lane the lengths of its summary windows in seconds, with those that others are merged from."""
    return {
        name: tuple(sorted({part for grain in lane.summaries for part in _with_finer(grain_seconds(grain))}))
        for name, lane in file.lane.items()
    }


def _with_finer(grain_s: int) -> tuple[int, ...]:
    return (grain_s, merged.FROM[grain_s]) if grain_s in merged.FROM else (grain_s,)


def model_digests(loaded: Loaded) -> dict[str, dict[str, str]]:
    """lane → model → sha256 of the file, of models whose file can be read."""
    found: dict[str, dict[str, str]] = {}
    for name, lane in loaded.file.lane.items():
        for model, config in lane.model.items():
            digest = file_digest(config)
            if digest is not None:
                found.setdefault(name, {})[model] = digest
    return found


def combined_rules(file: File) -> dict[str, several.Combined]:
    """Rules over several lanes."""
    return {
        name: several.Combined(
            lane=rule.lane, severity=rule.severity, label=rule.label, parts=tuple(parts_of(name, rule))
        )
        for name, rule in file.rule.items()
        if rule.with_
    }


def video_lanes(file: File) -> frozenset[str]:
    """Lanes whose input is video: what they would have cost to send is told in their summaries."""
    return frozenset(name for name, lane in file.lane.items() if lane.window is None)
