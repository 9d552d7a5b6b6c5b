"""A lane that runs: opens its models and its source, pushes records through its loop until it is told to stop or its source ends."""

import logging
import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from agent.clock import Clock
from agent.config.file import File
from agent.events.rules import Config as Rule
from agent.hours import Hours
from agent.log import fact
from agent.pipeline import build
from agent.pipeline import live as mailbox
from agent.pipeline.lane import Loop
from agent.pipeline.models import Machine
from agent.pipeline.mute_rules import mute_rules
from agent.pipeline.recorder import Recorder
from agent.pipeline.runner import Runner
from agent.pipeline.showing import Showing
from agent.pipeline.units import Units
from agent.problems import Exit, Problem, Problems
from agent.records import Gap, Input, LaneSecond, Live, Tick
from agent.sources.masking import Masking
from agent.sources.reopening import Reopening

State = Literal["starting", "running", "ended", "refused", "failed", "stopped"]
_CAPTURE_END_S = 2.0


class LiveLane:
    """One run of one lane, on a thread of its own. `state`, `problem` and `live` are read by the supervisor."""

    def __init__(
        self,
        name: str,
        file: File,
        *,
        machine: Machine,
        clock: Clock,
        submit: Callable[[LaneSecond], None],
        recorder: Recorder | None,
        units: Units,
        active: frozenset[str],
        live: Live | None = None,
        hours: Hours | None = None,
        restarted: bool,
        place: Callable[[Problem], Problem],
        showing: Showing | None = None,
    ) -> None:
        self.name = name
        self.state: State = "starting"
        self.problem: str | None = None
        self.model_problems: dict[str, str] = {}  # of models that did not open
        self.refused: Problems | None = None
        self.runners: dict[str, Runner] = {}
        self.source: Reopening | None = None
        self.loop: Loop | None = None
        self._lane = file.lane[name]
        self._rules: dict[str, Rule] = dict(file.rule)
        self._machine = machine
        self._clock = clock
        self.stop = (
            threading.Event()
        )  # this lane's own: also set when it ends by itself, so that its capture thread ends
        self._submit = submit
        self._recorder = recorder
        self._units = units
        self._active = active
        self._objects = live
        self._hours = hours
        self._restarted = restarted
        self._place = place
        self._showing = showing
        kind = build.source_kind(self._lane)
        config = self._lane.source.config
        self.live = mailbox.Live(
            clock,
            self.stop,
            stall_s=config.stall_s,
            every_record=kind.every_record(config),
            places=mailbox.FRAMES if self._lane.window is None else mailbox.READS,
        )
        self.thread = threading.Thread(target=self._run, name=f"lane-{name}", daemon=True)

    def _run(self) -> None:
        try:
            self._open_and_loop()
        except Problems as problems:  # no model of the lane opened
            self.refused = Problems([self._place(problem) for problem in problems.problems])
            self.model_problems = dict(zip(self._lane.model, map(str, self.refused.problems), strict=True))
            self.state, self.problem = "refused", str(self.refused.problems[0])
        except Problem as problem:
            self.state, self.problem = "failed", str(self._place(problem))
        except Exception as error:
            logging.getLogger(__name__).debug("lane failed", exc_info=True)
            self.state, self.problem = "failed", f"lane.{self.name}: {type(error).__name__}: {error}. Please report it"
        finally:
            self.stop.set()

    def _open_and_loop(self) -> None:
        self._pin()
        kind = build.source_kind(self._lane)
        config = self._lane.source.config
        with build.open_models(self.name, self._lane, self._machine) as opened:
            self.runners = opened.runners
            self.model_problems = {model: str(self._place(problem)) for model, problem in opened.problems.items()}
            if not self._restarted:
                labels = {model: getattr(opened.runners.get(model), "labels", None) for model in self._lane.model}
                for problem in mute_rules(self.name, self._rules, labels):
                    logging.getLogger(__name__).warning("%s", self._place(problem))
            shown = None
            if self._showing is not None:
                shown = self._showing.lane(self.name, {model: one.labels for model, one in opened.runners.items()})
            loop = self.loop = build.new_loop(
                self.name,
                self._lane,
                self._rules,
                opened.runners,
                self._submit,
                self._units,
                self._active,
                self._objects,
                self._hours,
                shown,
            )
            note = self._recorder.lane(self.name).note if self._recorder is not None else None
            if note is not None and self._restarted:
                note(Gap(at_us=self._clock.boot_us(), why="restart"))
            self.source = Reopening(
                lambda: kind.open_source(config, self._clock, self.stop, f"lane.{self.name}.source"),
                clock=self._clock,
                stop=self.stop,
                rng=random.Random(self.name),
                place=self._place,
            )
            with self.source as source:
                masks = [mask.polygon for mask in self._lane.mask.values()]
                given = Masking(source, masks) if masks else source
                capture = threading.Thread(
                    target=self.live.capture, args=(given,), name=f"capture-{self.name}", daemon=True
                )
                capture.start()
                self.state, self.problem = "running", None
                quiet = False
                try:
                    for record in self.live.records(lambda: loop.wants_tick):
                        if note is not None:
                            note(record)
                        self._take(loop, record, note)
                        if loop.quiet != quiet:
                            quiet = not quiet
                            source.quiet(quiet)
                    ended = self.live.ended and not self.stop.is_set()
                finally:
                    self.stop.set()
                    capture.join(_CAPTURE_END_S)
        self.state = "ended" if ended else "stopped"
        logging.getLogger(__name__).info(fact("lane is over", lane=self.name, state=self.state))

    def _pin(self) -> None:
        """Keeps this thread, and those that its models make, on the lane's cores."""
        if not self._lane.cores:
            return
        try:
            os.sched_setaffinity(0, self._lane.cores)
        except OSError:
            raise Problem(
                where=f"lane.{self.name}.cores",
                what=f"this machine lets the agent run on none of the cores {', '.join(map(str, self._lane.cores))}",
                remedy="Name cores that it has (`nproc`, counted from 0), or take the key out",
                code=Exit.CONFIG,
            ) from None

    def _take(self, loop: Loop, record: Input | Tick, note: Callable[[Input | Tick], None] | None) -> None:
        """A record that breaks the loop ends the lane, after a tick of what was taken until then."""
        try:
            loop.take(record)
        except Exception:
            if not isinstance(record, Tick):  # else it is the store that refuses
                tick = self.live.last_tick()
                if note is not None:
                    note(tick)
                with suppress(Problem, TimeoutError):
                    loop.take(tick)
            raise
