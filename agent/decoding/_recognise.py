"""Which decoder reads a model: what the config says, what the model says of itself, else what its tensors look like."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import msgspec

from agent.decoding import Claim, Options, Shape
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


class Recognised(msgspec.Struct, frozen=True, kw_only=True):
    """decoder: its name. why: "the config says so", or what was seen in the model."""

    decoder: str
    why: str


def recognise(
    inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, *, said: str | None, where: str
) -> Recognised:
    """The decoder whose claim is the surest. said: the name in the model's metadata or the catalogue, taken when it is one.

    Problem (Exit.MODEL) with the candidates when none claims it or several do as surely.
    """
    if said in decoders():
        return Recognised(decoder=str(said), why="the file or the catalogue names it")
    found = claims(inputs, outputs, options)
    surest = max((claim.sure for claim in found.values()), default=None)
    best = {name: claim.why for name, claim in found.items() if claim.sure == surest}
    if len(best) == 1:
        return Recognised(decoder=next(iter(best)), why=next(iter(best.values())))
    if best:
        raise _ambiguous(best, where)
    given, gotten = (written([one.shape for one in tensors]) for tensors in (inputs, outputs))
    raise Problem(
        where=_key(where),
        what=f"no decoder knows a model with inputs of {given or 'nothing'} and outputs of {gotten or 'nothing'}",
        remedy=f"Set {_key(where)} if the model is of a kind that is known ({', '.join(decoders())}); "
        '"raw" stores the numbers as they are',
        code=Exit.MODEL,
    )


def _ambiguous(best: dict[str, str], where: str) -> Problem:
    labels = " (labels, one a class, would say it, too)" if "classification" in best else ""
    names = " or ".join(f'"{name}"' for name in best)
    return Problem(
        where=_key(where),
        what="several decoders could read it: " + "; ".join(f"{name} ({why})" for name, why in best.items()),
        remedy=f"Set {_key(where)} to {names}{labels}",
        code=Exit.MODEL,
    )


def _key(where: str) -> str:
    return f"{where}.decoder" if where else "decoder"


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> dict[str, Claim]:
    """Every decoder that could read the model."""
    found = {name: load(name, "").claims(inputs, outputs, options) for name in decoders()}
    return {name: claim for name, claim in found.items() if claim is not None}
