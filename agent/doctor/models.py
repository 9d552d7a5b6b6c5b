"""Every model of a config as a lane would open it: file, digest, decoder, what it runs on, how fast; and why not elsewhere."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent.doctor import Check

if TYPE_CHECKING:
    from agent.pipeline.models import Machine
    from agent.pipeline.runner import Runner

_RUNS = 30
_LONGEST_S = 2.0


def models(lanes: Mapping[str, Any], machine: "Machine", skipped: Callable[[str], bool]) -> Iterator[Check]:
    """lanes: of the config; what is wrong in them is left out. skipped: whether a model, `lane.yard.model.faces`, is left out."""
    from agent.config.file import Lane
    from agent.inference.model import Config

    for lane_name, lane in lanes.items():
        if not isinstance(lane, Lane) or not isinstance(lane.model, dict):
            continue
        kind: Literal["frame", "window"] = "window" if lane.window is not None else "frame"
        for name, config in lane.model.items():
            where = f"lane.{lane_name}.model.{name}"
            if isinstance(config, Config) and not skipped(where):
                yield _model(f"model {lane_name}.{name}", where, config, kind, machine)


def _model(title: str, where: str, config: Any, kind: Literal["frame", "window"], machine: "Machine") -> Check:
    from agent.pipeline.models import open_model
    from agent.problems import Problem

    place = f"{config.catalogue} of the catalogue" if config.catalogue else str(Path(config.path or "").name)
    try:
        with open_model(title, config, machine=machine, where=where, kind=kind) as runner:
            return _opened(title, place, runner, pinned=config.sha256 is not None)
    except Problem as problem:
        return Check(name=title, state="fail", found=f"{problem.where}: {problem.what}", remedy=problem.remedy)


def _opened(title: str, place: str, runner: "Runner", *, pinned: bool) -> Check:
    took_ms = _took(runner)
    p50, p95 = (took_ms[max(0, math.ceil(share * len(took_ms)) - 1)] for share in (0.5, 0.95))
    refused = _refused(runner)
    found = (
        f"{place}, sha256 {runner.digest[:12]}… ({'as pinned' if pinned else 'not pinned'}), "
        f"decoder {runner.decoder} ({runner.why}), {runner.runtime} on {runner.delegate}: p50 {_digits(p50)} ms, p95 {_digits(p95)} ms"
    )
    if refused:
        found += "; not on " + "; ".join(f"{name}: {why}" for name, why in refused.items())
    facts = {
        "sha256": runner.digest, "pinned": pinned, "decoder": runner.decoder, "why": runner.why, "runtime": runner.runtime,
        "delegate": runner.delegate, "p50_ms": round(p50, 3), "p95_ms": round(p95, 3), "refused": refused,
    }  # fmt: skip
    if runner.degraded:
        return Check(
            name=title,
            state="warn",
            found=f"{found}; degraded: {runner.degraded}",
            remedy="See the delegate's own line",
            facts=facts,
        )
    return Check(name=title, state="ok", found=found, facts=facts)


def _took(runner: "Runner") -> list[float]:
    """Milliseconds of bare runs, least first."""
    runner.session.run()
    took: list[float] = []
    began = time.perf_counter()
    while len(took) < _RUNS and time.perf_counter() - began < _LONGEST_S:
        start_ns = time.perf_counter_ns()
        runner.session.run()
        took.append((time.perf_counter_ns() - start_ns) / 1e6)
    return sorted(took)


def _digits(took_ms: float) -> str:
    """Three that count."""
    return f"{took_ms:#.3g}".rstrip(".")


def _refused(runner: "Runner") -> dict[str, str]:
    """Delegates that were tried and not taken, and why."""
    return dict(runner.choice.refused) if runner.choice is not None else {}
