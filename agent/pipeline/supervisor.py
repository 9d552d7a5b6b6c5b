"""Starts the lanes, watches them, restarts those that fail with backoff, and tells how they do. Runs on the caller's thread.

What heals by itself (a camera, a port) is the source's own matter; what comes here is a lane that ended or broke.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping

import msgspec

from agent.clock import Clock
from agent.config.file import File
from agent.hours import Hours
from agent.log import Repeated, fact
from agent.pipeline.live_lane import LiveLane
from agent.pipeline.lives import Lives
from agent.pipeline.models import Machine
from agent.pipeline.recorder import Recorder
from agent.pipeline.showing import Showing
from agent.pipeline.units import Units
from agent.problems import Exit, Problem, Problems
from agent.records import LaneSecond

_LOOK_S = 0.1
_STATE_S = 60.0
_JOIN_S = 1.5
_FIRST_BACKOFF_S = 1.0
_GREATEST_BACKOFF_S = 60.0
# Without a tick for so long, a lane is held: a model does not come back, or the store takes nothing.
_HELD_US = 30_000_000
# Between two looks passes a tenth of a second: after so long the machine slept.
_SLEPT_US = 10_000_000
# Well for so long, a lane or model is said to be well again.
_WELL_US = 5_000_000


class ModelState(msgspec.Struct, frozen=True, kw_only=True):
    runtime: str
    delegate: str
    sha256: str
    problem: str | None
    degraded: str | None = None  # why it does not run where it was opened


class LaneState(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    problem: str | None
    input_at_us: int | None
    restarts: int
    models: dict[str, ModelState]
    refused_models: tuple[str, ...]
    picture: tuple[str, ...] = ()  # what is wrong with what the camera shows


class _Watched:
    """ill_us: when each part of the lane was last seen with a problem that was said."""

    def __init__(self, lane: LiveLane) -> None:
        self.lane = lane
        self.restarts = 0
        self.again_us: int | None = None
        self.ill_us: dict[str, int] = {}
        self.said_restarts = 0


class Supervisor:
    """submit: takes a lane's second; its Problem fails the lane. active: the rules of a lane whose event has started and not ended."""

    def __init__(
        self,
        file: File,
        *,
        machine: Machine,
        clock: Clock,
        stop: threading.Event,
        rng: random.Random,
        submit: Callable[[LaneSecond], None],
        units: Units,
        active: Callable[[str], frozenset[str]],
        lives: Lives,
        hours: Hours | None = None,
        recorder: Recorder | None = None,
        place: Callable[[Problem], Problem] = lambda problem: problem,
        showing: Showing | None = None,
    ) -> None:
        self._file = file
        self._machine = machine
        self._clock = clock
        self._stop = stop
        self._rng = rng
        self._submit = submit
        self._units = units
        self._active = active
        self._lives = lives
        self._hours = hours
        self._recorder = recorder
        self._place = place
        self._showing = showing
        self._logger = logging.getLogger(__name__)
        self._faults = Repeated(self._logger)
        self._looked_us = self._awake_us = clock.boot_us()
        self._watched = {name: _Watched(self._make(name, restarted=False)) for name in file.lane}

    def _make(self, name: str, *, restarted: bool) -> LiveLane:
        return LiveLane(
            name,
            self._file,
            machine=self._machine,
            clock=self._clock,
            submit=self._submit,
            units=self._units,
            recorder=self._recorder,
            active=self._active(name),
            live=self._lives.lane(name),
            hours=self._hours,
            restarted=restarted,
            place=self._place,
            showing=self._showing,
        )

    def run(self, look: Callable[[], None], tell: Callable[[Mapping[str, LaneState]], None]) -> Exit:
        """Until the stop event, or until no lane is left. look: called often; its Problem ends the run. tell: called with every change.

        Problems with Exit.MODEL: at the first start no model of any lane opened.
        """
        for watched in self._watched.values():
            watched.lane.thread.start()
        told: dict[str, LaneState] = {}
        tell_us = 0
        try:
            while not self._stop.is_set():
                look()
                now_us = self._clock.boot_us()
                if now_us - self._looked_us > _SLEPT_US:
                    self._awake_us = now_us
                self._looked_us = now_us
                self._restart()
                states = self.states()
                if _differ(states, told) or now_us >= tell_us:
                    tell(states)
                    told, tell_us = states, now_us + round(_STATE_S * 1e6)
                self._refuse()
                self._say(now_us)
                if all(state.state in ("ended", "refused") for state in states.values()):
                    ended = all(state.state == "ended" for state in states.values())
                    return Exit.DONE if ended else Exit.NOTHING_LEFT
                self._clock.wait(self._stop, _LOOK_S)
            return Exit.DONE
        finally:
            self._end()
            tell(self.states())

    def states(self) -> dict[str, LaneState]:
        held = self._held(self._clock.boot_us())
        return {name: _state(watched, held.get(name)) for name, watched in self._watched.items()}

    def _held(self, now_us: int) -> dict[str, str]:
        """Lanes that do not move, and what is said of them. A machine that slept gives them time to wake."""
        return {
            name: f"lane.{name} does not move: no tick for {_HELD_US // 1_000_000} s. A model does not come back, or the store takes nothing"
            for name, watched in self._watched.items()
            if watched.lane.state == "running" and now_us - max(watched.lane.live.ticked_us, self._awake_us) >= _HELD_US
        }

    def lane(self, name: str) -> LiveLane:
        return self._watched[name].lane

    def _restart(self) -> None:
        now_us = self._clock.boot_us()
        if any(watched.lane.state == "starting" and watched.restarts == 0 for watched in self._watched.values()):
            return  # whether anything can run at all is known when every lane has tried
        for name, watched in self._watched.items():
            lane = watched.lane
            if lane.thread.is_alive() or lane.state not in ("failed", "refused"):
                continue
            if watched.again_us is None:
                most_s = min(_GREATEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(watched.restarts, 10))
                watched.again_us = now_us + round(self._rng.uniform(most_s / 2, most_s) * 1e6)
            elif now_us >= watched.again_us:
                watched.again_us = None
                watched.restarts += 1
                watched.lane = self._make(name, restarted=True)
                watched.lane.problem, watched.lane.model_problems = lane.problem, lane.model_problems  # until it runs
                watched.lane.thread.start()

    def _refuse(self) -> None:
        """At the first start: when nothing could open its models, waiting does not help."""
        lanes = [watched.lane for watched in self._watched.values()]
        if all(watched.restarts == 0 for watched in self._watched.values()) and all(lane.refused for lane in lanes):
            raise Problems([problem for lane in lanes if lane.refused for problem in lane.refused.problems])

    def _say(self, now_us: int) -> None:
        """What is wrong with lanes and models. A source's problem is said where it is opened again and again, in `sources.reopening`."""
        if self._none_has_started():
            return  # should none be able to, the command itself says why
        held = self._held(now_us)
        for name, watched in self._watched.items():
            lane = watched.lane
            if lane.state == "starting":
                continue  # whether it has healed is not known yet
            for part, text in _problems(name, lane, held.get(name)).items():
                self._faults.fault(part, text, now_us, again=watched.restarts != watched.said_restarts)
                watched.ill_us[part] = now_us
            watched.said_restarts = watched.restarts
            if lane.state in ("running", "ended"):
                for part in [part for part, ill_us in watched.ill_us.items() if now_us - ill_us >= _WELL_US]:
                    del watched.ill_us[part]
                    self._faults.gone(part, f"{part}: well again")

    def _none_has_started(self) -> bool:
        return all(
            watched.restarts == 0 and watched.lane.state in ("starting", "refused")
            for watched in self._watched.values()
        )

    def _end(self) -> None:
        for watched in self._watched.values():
            watched.lane.stop.set()
        end_us = self._clock.boot_us() + round(_JOIN_S * 1e6)  # of all together: each may wait for a camera of its own
        for name, watched in self._watched.items():
            if watched.lane.thread.ident is not None:
                watched.lane.thread.join(max(0.0, (end_us - self._clock.boot_us()) / 1e6))
                if watched.lane.thread.is_alive():
                    self._logger.warning(fact("lane did not end in time", lane=name))


def _state(watched: _Watched, held: str | None) -> LaneState:
    lane = watched.lane
    problems = {model.name: model.problem for model in lane.loop.models} if lane.loop is not None else {}
    source_problem = lane.source.problem if lane.source is not None else None
    return LaneState(
        state=lane.state,
        problem=lane.problem or held or (str(source_problem) if source_problem else None) or _first(problems.values()),
        input_at_us=lane.live.input_at_us,
        restarts=watched.restarts,
        models={
            name: ModelState(
                runtime=runner.runtime,
                delegate=runner.delegate,
                sha256=runner.digest,
                problem=problems.get(name),
                degraded=runner.degraded,
            )
            for name, runner in lane.runners.items()
        },
        refused_models=tuple(lane.model_problems.values()),
        picture=lane.loop.picture if lane.loop is not None else (),
    )


def _problems(name: str, lane: LiveLane, held: str | None) -> dict[str, str]:
    """What is wrong, by part of the lane."""
    failing = {model.name: model.problem for model in lane.loop.models} if lane.loop is not None else {}
    texts = {f"lane.{name}.model.{model}": text for model, text in {**failing, **lane.model_problems}.items() if text}
    if lane.state == "failed":
        texts[f"lane.{name}"] = fact("lane failed, it is started again", lane=name, problem=lane.problem)
    elif held:
        texts[f"lane.{name}"] = held
    return texts


def _first(texts: Iterable[str | None]) -> str | None:
    return next((text for text in texts if text), None)


def _differ(new: Mapping[str, LaneState], old: Mapping[str, LaneState]) -> bool:
    """Whether anything but the ages changed; a lane's first input is news."""
    return _without_ages(new) != _without_ages(old)


def _without_ages(states: Mapping[str, LaneState]) -> dict[str, LaneState]:
    return {
        name: msgspec.structs.replace(state, input_at_us=None if state.input_at_us is None else 0)
        for name, state in states.items()
    }
