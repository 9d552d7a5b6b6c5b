"""Opens a model where it runs best: the order of delegates, or the measured choice, behind one Session.

The CPU's session runs in this process, everything else in a child. Before anything of a new file is loaded here, a child has tried it.
"""

import hashlib
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import msgspec

from agent.clock import Clock, SystemClock
from agent.inference import Session, delegates, interpreter, measure, probe, trial
from agent.inference._child_messages import Load
from agent.inference.child_session import ChildSession
from agent.inference.delegates import ON_CPU, Candidate, Opener
from agent.inference.fallback import FallbackSession
from agent.inference.model_graph import graph_of
from agent.inference.remembered import Choice, Remembered
from agent.inference.wanted import Wanted
from agent.problems import Exit, Problem

__all__ = ["Wanted", "open_session"]

# Two that measure at once measure each other; but a driver that hangs at its trial holds up no other model for long.
_measuring = threading.Lock()
_COURTESY_S = 5.0
_log = logging.getLogger(__name__)


@contextmanager
def open_session(
    model: bytes, digest: str, wanted: Wanted, *, where: str, clock: Clock | None = None
) -> Iterator[Session]:
    """digest: sha256 of `model` in hex. The session has `choice`: what was found, measured, refused and why.

    Problem (Exit.MODEL): damaged, refused by every delegate that may be used.
    """
    opening = _Opening(model, digest, wanted, where, clock or SystemClock())
    with ExitStack() as held:
        yield opening.open(held)


class _Opening:
    def __init__(self, model: bytes, digest: str, wanted: Wanted, where: str, clock: Clock) -> None:
        self._model, self._digest, self._wanted, self._where, self._clock = model, digest, wanted, where, clock
        self._remembered = Remembered(wanted.cache)
        named = () if wanted.delegates == "auto" else wanted.delegates
        self._load = Load(
            delegate="xnnpack",
            on_cpu=tuple(name for name in named if name in ON_CPU) or ("xnnpack",),
            threads=wanted.threads,
            runtime=wanted.runtime,
            signature=wanted.signature,
            input_px=wanted.input_px,
        )
        self._cpu_problem: Problem | None = None

    def open(self, held: ExitStack) -> Session:
        candidates, absent = delegates.candidates(self._wanted, self._load)
        hardware = [candidate for candidate in candidates if candidate.name not in ON_CPU]
        cpu_problem = self._cpu_problem = self._try_on_cpu(may_fail=bool(hardware or absent))
        if cpu_problem is not None:
            absent = {**absent, "xnnpack": cpu_problem.what}
            candidates = hardware
        if not hardware:
            names = tuple(candidate.name for candidate in candidates)
            if not names:
                raise self._refused(absent)
            return self._plain(held, Choice(delegate=names[0], found=names, refused=absent))
        return self._chosen(held, candidates, absent)

    def _try_on_cpu(self, *, may_fail: bool) -> Problem | None:
        """may_fail: models with a vendor's own ops run on its hardware only; there the CPU's refusal is not the last word."""
        try:
            trial.check(self._model, self._digest, self._load, self._remembered, where=self._where)
        except Problem as problem:
            if not may_fail or not graph_of(self._model).custom:
                raise
            return problem
        return None

    def _chosen(self, held: ExitStack, candidates: Sequence[Candidate], absent: dict[str, str]) -> Session:
        opener = Opener(self._model, self._where)
        key, boot = self._key(candidates), self._clock.boot_id()
        by_name = {candidate.name: candidate for candidate in candidates}
        choice, session = self._remembered.choice(key, boot), None
        if choice is not None and choice.delegate not in ON_CPU:
            try:
                session = opener.open(by_name[choice.delegate])
                session.limit_s = delegates.limit_s(choice.measured.get(choice.delegate))
            except (Problem, KeyError):
                choice = None  # it worked once: what is wrong now is measured, and told
        if choice is None:
            alone = _measuring.acquire(timeout=_COURTESY_S)
            try:
                choice, session = self._measured(candidates, opener, boot)
            finally:
                if alone:
                    _measuring.release()
            if choice.delegate:
                self._remembered.add_choice(key, choice)
        choice = _with(choice, absent)
        if session is None:
            if not choice.delegate:
                raise self._refused(choice.refused)
            return self._plain(held, choice)
        self._tell(choice)
        chosen = by_name[choice.delegate]
        fallback = FallbackSession(
            session,
            reopen=lambda arena, stop: opener.open(chosen, arena=arena, stop=stop),
            on_cpu=self._on_cpu if self._cpu_problem is None else None,
            choice=choice,
            clock=self._clock,
            where=self._where,
        )
        held.callback(fallback.close)
        return fallback

    def _measured(
        self, candidates: Sequence[Candidate], opener: Opener, boot: str
    ) -> tuple[Choice, ChildSession | None]:
        expected = None
        if self._cpu_problem is None:
            with self._on_cpu() as cpu:
                expected = measure.reference(cpu)
        return delegates.pick(candidates, opener, expected, fastest=self._wanted.delegates == "auto", boot=boot)

    def _plain(self, held: ExitStack, choice: Choice) -> Session:
        self._tell(choice)
        session = held.enter_context(self._on_cpu())
        session.choice = msgspec.structs.replace(choice, delegate=session.delegate)  # type: ignore[attr-defined]
        return session

    def _tell(self, choice: Choice) -> None:
        """What an order names and does not get is a warning; of "auto" nobody promised anything."""
        level = logging.INFO if self._wanted.delegates == "auto" else logging.WARNING
        for name, why in choice.refused.items():
            _log.log(level, "where=%s delegate=%s refused=%r", self._where, name, why)

    def _on_cpu(self) -> AbstractContextManager[Session]:
        return interpreter.open_session(
            self._model,
            delegates=self._load.on_cpu,
            threads=self._wanted.threads,
            runtime=self._wanted.runtime,
            signature=self._wanted.signature,
            input_px=self._wanted.input_px,
            tried=True,
            where=self._where,
        )

    def _key(self, candidates: Sequence[Candidate]) -> str:
        """Whatever may change which is best."""
        runtime, _ = interpreter.find_runtime(self._wanted.runtime, self._where)
        parts = [self._digest, runtime, str(self._wanted.threads), str(self._wanted.delegates), probe.machine()]
        parts += [str(self._wanted.signature), str(self._wanted.input_px)]
        parts += [f"{candidate.name} {candidate.finding.identity}" for candidate in candidates]
        return f"{self._digest[:12]} {hashlib.sha256('|'.join(parts).encode()).hexdigest()[:24]}"

    def _refused(self, why: dict[str, str]) -> Problem:
        if self._cpu_problem is not None and self._wanted.delegates == "auto":
            return self._cpu_problem  # nobody asked for more
        listed = "; ".join(f"{name}: {reason}" for name, reason in why.items())
        return Problem(
            where=f"{self._where.partition(' (')[0]}.delegates",  # the key's own line, without the file
            what=f"no delegate runs this model: {listed or 'none is named'}",
            remedy='Add "xnnpack" to delegates, the CPU'
            if self._cpu_problem is None
            else "Install what is missing, or take another model",
            code=Exit.MODEL,
        )


def _with(choice: Choice, absent: dict[str, str]) -> Choice:
    return msgspec.structs.replace(choice, refused={**absent, **choice.refused})
