"""What the agent and its child processes say to each other: JSON in packets of a SOCK_SEQPACKET pair; tensors go through shared memory.

One request, one answer. Open carries two file descriptors: the model (sealed) and the arena, where inputs lie, then outputs.
"""

import msgspec

from agent.inference import Tensor
from agent.problems import Problem

# A packet larger than the socket's buffer cannot be sent at all.
PACKET_BYTES = 100_000
_ALIGNED = 64


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Of the child itself. address_bytes: of all it maps; None for drivers, which reserve far more than they use. cpu_s: of one answer."""

    address_bytes: int | None = None
    cpu_s: int | None = None


class Load(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """delegate: what it is called. library: of an external delegate; None: "gpu", or the CPU. on_cpu: of xnnpack and cpu, the first that
    takes the model.
    """

    delegate: str
    library: str | None = None
    on_cpu: tuple[str, ...] = ("xnnpack",)
    options: dict[str, str] = {}
    threads: int = 1
    runtime: str = "auto"
    signature: str | None = None
    input_px: tuple[int, int] | None = None
    limits: Limits = Limits()


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag="loaded"):
    """After one run. output_shapes: of that run. note: what else there is to know: the adapter, what it does not run."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    runtime: str
    note: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True, tag="run"):
    """The inputs lie in the arena."""


class Reset(msgspec.Struct, frozen=True, kw_only=True, tag="reset"):
    """The model forgets earlier runs."""


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The outputs lie in the arena, packed behind the inputs in these shapes."""

    output_shapes: tuple[tuple[int, ...], ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """key: of the config, where one is wrong: `signature`. lasting: it will be the same at every attempt."""

    what: str
    remedy: str = ""
    key: str = ""
    lasting: bool = False


class Unfit(Problem):
    """The delegate will never run the model."""


Request = Load | Run | Reset
Answer = Loaded | Done | Failed


def places(shapes: "list[tuple[tuple[int, ...], int]]", start: int = 0) -> tuple[list[int], int]:
    """(shape, bytes of an element) of arrays → where each begins, and where the last ends."""
    at, found = start, []
    for shape, size in shapes:
        at = -(-at // _ALIGNED) * _ALIGNED
        found.append(at)
        for length in shape:
            size *= length
        at += size
    return found, at
