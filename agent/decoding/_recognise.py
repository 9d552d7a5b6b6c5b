"""Which decoder reads a model: what the config says, what the model says of itself, else what its tensors look like."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from agent.decoding import Options, Shape
from agent.decoding._boxes import written
from agent.problems import Exit, Problem


def decoders() -> tuple[str, ...]:
    """The names that `decoder` can have."""
    return tuple(sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py")))


def load(name: str, where: str) -> ModuleType:
    """The decoder of that name. Problem (Exit.MODEL) when there is none."""
    if name not in decoders():
        raise Problem(
            where=f"{where}.decoder",
            what=f"there is no decoder {name!r}",
            remedy=f"Decoders are {', '.join(decoders())}",
            code=Exit.MODEL,
        )
    return importlib.import_module(f"agent.decoding.{name}")


def recognise(
    inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, *, said: str | None, where: str
) -> str:
    """The one decoder that claims the model. said: the name in the model's metadata, taken when it is one.

    Problem (Exit.MODEL) with the candidates when none claims it or several do.
    """
    if said in decoders():
        return str(said)
    found = {name: reason for name in decoders() if (reason := load(name, where).claims(inputs, outputs, options))}
    if len(found) == 1:
        return next(iter(found))
    if found:
        what = "several decoders could read it: " + "; ".join(f"{name} ({why})" for name, why in found.items())
    else:
        what = f"no decoder knows a model with outputs of {written([output.shape for output in outputs])}"
    raise Problem(
        where=where,
        what=what,
        remedy=f"Set {where}.decoder to one of {', '.join(found or decoders())}"
        + ("" if found else " if the model is of that kind; this version reads no other"),
        code=Exit.MODEL,
    )
