"""Which delegate runs a model: the first of an order that works, or, for "auto", the fastest of those that this machine has.

Works means: loads and runs in a child process under a time and memory limit, and gives the CPU's answers within a tolerance. What was found,
refused and why is a Choice, remembered by model, runtime, threads, drivers and machine.
"""

import re
import threading
from collections.abc import Mapping, Sequence

import msgspec

from agent.inference import measure, probe
from agent.inference._child_messages import Load, Unfit
from agent.inference.child import Child, Gone
from agent.inference.child_session import Arena, ChildSession, Sealed
from agent.inference.measure import Reference
from agent.inference.model import Delegate
from agent.inference.probe import Finding
from agent.inference.remembered import Choice, Timing
from agent.inference.trial import memory_limit_bytes
from agent.inference.wanted import Wanted
from agent.problems import Exit, Problem

ON_CPU = ("xnnpack", "cpu")
LOAD_LIMIT_S = 60.0
_RUN_LIMIT_S = 10.0
# One such run ends a measurement.
_FAR_SLOWER, _FAR_SLOWER_MS = 5, 50.0
# Of one run in service: so many times what 95 of 100 took when it was measured, but no less than the least.
_TIMES_P95, _LEAST_LIMIT_S = 10, 0.5


_ADAPTER = re.compile(r"Selected adapter: ([^,\n]+)")


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A delegate by name, and how a child loads the model on it."""

    finding: Finding
    load: Load

    @property
    def name(self) -> str:
        return self.finding.name


class Opener:
    """Opens one model on a delegate, in a child. Any thread."""

    def __init__(self, model: bytes, where: str) -> None:
        self._model, self._where = model, where

    def open(
        self, candidate: Candidate, *, arena: Arena | None = None, stop: threading.Event | None = None
    ) -> ChildSession:
        """Problem (Exit.MODEL): why not, with the remedy that fits this machine."""
        child = Child(candidate.name, where=self._where, memory_bytes=memory_limit_bytes(), stop=stop)
        sealed = Sealed(self._model)
        try:
            session = ChildSession(
                child, sealed, candidate.load, arena=arena, load_limit_s=LOAD_LIMIT_S, limit_s=_RUN_LIMIT_S
            )
            adapter = _ADAPTER.search(child.said)
            session.note = "; ".join(filter(None, (adapter[1] if adapter else "", session.note)))
            return session
        except Problem as problem:
            raise _explained(candidate, problem, child.said) from None
        finally:
            sealed.close()


def candidates(wanted: Wanted, model_load: Load) -> tuple[list[Candidate], dict[str, str]]:
    """(what is worth a trial, in order; for "auto" the CPU first; what is not to be had → why). model_load: as on the CPU."""
    automatic = wanted.delegates == "auto"
    names = ("xnnpack", "gpu", "edgetpu", *wanted.libraries) if wanted.delegates == "auto" else wanted.delegates
    found: list[Candidate] = []
    refused: dict[str, str] = {}
    for name in dict.fromkeys(names):
        finding = find(name, wanted.libraries)
        if finding.why is not None and (automatic or not finding.found):
            if not automatic or finding.found:
                refused[name] = finding.why + (f" ({finding.remedy})" if finding.remedy else "")
            continue
        options = wanted.libraries[name].options if name in wanted.libraries else {}
        load = msgspec.structs.replace(
            model_load,
            delegate=name,
            library=finding.library,
            options={key: _written(value) for key, value in options.items()},
        )
        found.append(Candidate(finding=finding, load=load))
        if name in ON_CPU and not automatic:
            break  # it takes every model that anything here takes
    return found, refused


def find(name: str, libraries: Mapping[str, Delegate]) -> Finding:
    """A `[delegate]` table may be called as a delegate that is known: then it is meant."""
    if name in libraries:
        return probe.external(name, libraries[name])
    if name == "gpu":
        return probe.gpu()
    if name == "edgetpu":
        return probe.edgetpu()
    if name in ON_CPU:
        return Finding(name=name, found="this processor")
    return Finding(
        name=name, why="there is no such delegate", remedy=f"Write a [delegate.{name}] table, or name another"
    )


def _written(value: str | float | bool) -> str:
    """Libraries get texts; true and false as C writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def limit_s(timing: Timing | None) -> float:
    """How long a run in service may take before it counts as hanging."""
    return max(_LEAST_LIMIT_S, _TIMES_P95 * timing.p95_ms / 1e3) if timing is not None else _RUN_LIMIT_S


def pick(
    candidates: Sequence[Candidate],
    opener: Opener,
    expected: Reference | None,
    *,
    fastest: bool,
    boot: str,
) -> tuple[Choice, ChildSession | None]:
    """candidates: in order; one of ON_CPU ends it. expected: of the CPU, None: it cannot run the model. fastest: of all, not the first.

    The session is open, None: the CPU is chosen, or nothing, where the choice's delegate is "".
    """
    refused: dict[str, str] = {}
    measured: dict[str, Timing] = {}
    name, session = "", None
    fleeting = False
    for candidate in candidates:
        if candidate.name in ON_CPU:
            if expected is not None and not name:
                measured[candidate.name], name = expected.timing, candidate.name
        else:
            try:
                tried, timing = _tried(candidate, opener, expected, measured[name].p50_ms if name else None)
            except _Useless as useless:
                refused[candidate.name] = str(useless)
                continue
            except Problem as problem:
                refused[candidate.name] = _reason(candidate, problem)
                fleeting = fleeting or not isinstance(problem, Unfit)
                continue
            measured[candidate.name] = timing
            if name and timing.p50_ms >= measured[name].p50_ms:
                refused[candidate.name] = _slow(timing, name, measured[name])
                tried.close()
                continue
            if name:
                refused[name] = _slow(measured[name], candidate.name, timing)
            if session is not None:
                session.close()
            name, session = candidate.name, tried
        if name and not fastest:
            break
    choice = Choice(
        delegate=name,
        found=tuple(candidate.name for candidate in candidates),
        refused=refused,
        measured=measured,
        note=session.note if session is not None else "",
        boot=boot if fleeting else None,
    )
    return choice, session


class _Useless(Exception):
    """It works, and is of no use: its answers are not the CPU's, or it is slow."""


def _tried(
    candidate: Candidate, opener: Opener, expected: Reference | None, best_ms: float | None
) -> tuple[ChildSession, Timing]:
    session = opener.open(candidate)
    try:
        if best_ms is not None:
            took_ms = measure.one_ms(session)  # loading has run it already
            if took_ms > _FAR_SLOWER * best_ms + _FAR_SLOWER_MS:
                raise _Useless(f"slower: a run took {took_ms:.0f} ms, p50 of the best is {best_ms:.3g} ms")
        why = measure.compared(session, expected)
        if why is not None:
            raise _Useless(why)
        timing = measure.timed(session)
    except BaseException:
        session.close()
        raise
    session.limit_s = limit_s(timing)
    return session, timing


def _slow(timing: Timing, best: str, its: Timing) -> str:
    return f"slower: p50 {timing.p50_ms:.3g} ms, {its.p50_ms:.3g} on {best}"


def _reason(candidate: Candidate, problem: Problem) -> str:
    """Without the name, which stands before it; with what to do where something is missing."""
    what = problem.how if isinstance(problem, Gone) else problem.what
    if isinstance(problem, Gone) or not candidate.finding.remedy:
        return what
    return f"{what} ({candidate.finding.remedy})"


def _explained(candidate: Candidate, problem: Problem, said: str) -> Problem:
    """What the driver wrote, and what is known to be missing, says more than LiteRT's error."""
    what, remedy = problem.what, problem.remedy
    if candidate.name == "gpu" and "No adapters found" in said:
        what = "no Vulkan driver answered: install mesa-vulkan-drivers, or the vendor's driver"
    remedy = candidate.finding.remedy or remedy
    if isinstance(problem, Gone | Unfit):
        return problem
    return Problem(where=problem.where, what=what, remedy=remedy, code=Exit.MODEL)
