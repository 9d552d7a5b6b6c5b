"""One delegate measured against the CPU: the same inputs, outputs compared within a tolerance, runs timed."""

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agent.inference import Session, Tensor
from agent.inference.remembered import Timing

if TYPE_CHECKING:
    from numpy.typing import NDArray

# GPUs compute in 16-bit floats and round elsewhere than the CPU: of each output so much may differ.
#   float and quantised: the share of elements that lie further from the CPU's than `_NEAR` of its range, or `_LEVELS` steps
#   whole numbers (class maps, counts): the share that is not equal
_NEAR, _LEVELS = 0.05, 4
_FAR_SHARE = 0.02
_UNEQUAL_SHARE = 0.05
_SEED = 20_261_124
_CONTENTS = ("smooth", "noise")
_LEAST_RUNS, _MOST_RUNS, _LONGEST_MS = 5, 30, 2000.0


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The CPU's outputs for each content, and how fast it was."""

    outputs: tuple[tuple[Any, ...], ...]
    timing: Timing


def reference(session: Session) -> Reference:
    outputs = tuple(tuple(array.copy() for array in _run(session, content)) for content in _CONTENTS)
    return Reference(outputs=outputs, timing=timed(session))


def compared(session: Session, expected: Reference | None) -> str | None:
    """Why its answers are not the CPU's, None: they are. expected: None where the CPU cannot run the model: then only numbers are wanted."""
    for place, content in enumerate(_CONTENTS):
        found = _run(session, content)
        if expected is None:
            continue
        for tensor, mine, theirs in zip(session.outputs, expected.outputs[place], found, strict=True):
            why = difference(tensor, mine, theirs)
            if why is not None:
                return why
    return None


def timed(session: Session, milliseconds: Callable[[], float] = lambda: time.perf_counter_ns() / 1e6) -> Timing:
    """Runs with the inputs as they are."""
    took: list[float] = []
    began = milliseconds()
    while len(took) < _LEAST_RUNS or (len(took) < _MOST_RUNS and milliseconds() - began < _LONGEST_MS):
        if len(took) >= 2 and milliseconds() - began > 2 * _LONGEST_MS:
            break
        took.append(one_ms(session, milliseconds))
    took.sort()
    p50, p95 = (took[math.ceil(share * len(took)) - 1] for share in (0.5, 0.95))
    return Timing(p50_ms=round(p50, 3), p95_ms=round(p95, 3))


def one_ms(session: Session, milliseconds: Callable[[], float] = lambda: time.perf_counter_ns() / 1e6) -> float:
    """One run with the inputs as they are."""
    start = milliseconds()
    session.run()
    return milliseconds() - start


def difference(tensor: Tensor, expected: "NDArray[Any]", found: "NDArray[Any]") -> str | None:
    """Why one output is not the CPU's, in words; None: it is, within the tolerance."""
    import numpy as np

    if expected.shape != found.shape:
        return f"{tensor.name} has the shape {_said(found.shape)}, on the CPU {_said(expected.shape)}"
    if not expected.size:
        return None
    if expected.dtype.kind == "b" or (expected.dtype.kind in "iu" and not tensor.scale):
        share = float(np.mean(expected != found))
        return f"{share:.0%} of {tensor.name} differ from the CPU's" if share > _UNEQUAL_SHARE else None
    mine, theirs = expected.astype(np.float32), found.astype(np.float32)
    whole = np.isfinite(mine)
    if not np.isfinite(theirs[whole]).all():
        return f"{tensor.name} has values that are no numbers"
    if not whole.any():
        return None
    mine, theirs = mine[whole], theirs[whole]
    near = _NEAR * float(mine.max() - mine.min())
    near = max(near, _LEVELS) if tensor.scale else max(near, 1e-3 * float(np.abs(mine).max()), 1e-6)
    apart = np.abs(mine - theirs)
    share = float(np.mean(apart > near))
    if share > _FAR_SHARE:
        return f"{share:.0%} of {tensor.name} are further from the CPU's than {near:.3g}, by up to {float(apart.max()):.3g}"
    return None


def _run(session: Session, content: str) -> "Sequence[NDArray[Any]]":
    """A model with a memory begins anew."""
    forget = getattr(session, "reset", None)
    if forget is not None:
        forget()
    for index, tensor in enumerate(session.inputs):
        array: NDArray[Any] = session.input_array(index)
        array[...] = made(content, array.shape, tensor)
    return session.run()


def made(content: str, shape: tuple[int, ...], tensor: Tensor) -> "NDArray[Any]":
    """What a model is tried with: a smooth slope with a bright disc, or noise; in the whole range of the input's type, floats in 0..1.

    Whole numbers that are not quantised are 0 and 1: they may be places in a table.
    """
    import numpy as np

    count = math.prod(shape)
    if content == "noise":
        unit = np.random.default_rng(_SEED).random(count)
    else:
        places = np.linspace(0, 1, count)
        unit = 0.6 * places + 0.4 * (np.abs(places - 0.5) < 0.15)
    unit = unit.reshape(shape)
    kind = np.dtype(tensor.dtype)
    if kind.kind == "f":
        return unit.astype(kind)
    if kind.kind == "b" or not (tensor.scale or kind.itemsize == 1):
        return np.asarray(unit > 0.5).astype(kind)
    limits = np.iinfo(kind)
    return (limits.min + unit * (float(limits.max) - limits.min)).astype(kind)


def _said(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "()"
