"""Inference: a TFLite model behind one interface.

Takes   the bytes of a model, where it shall run, threads; then tensors.
Gives   a Session: what its inputs and outputs are, `run` with the tensors in the model's own types; what it runs on.
Threads one owner thread a session (LiteRT refuses a second). Whatever is no plain CPU session runs in a process of its own.
Fails   Problem with Exit.MODEL: not TFLite, damaged, an op that is missing, a tensor that does not fit, a delegate that is not to be had.
Add one (a runtime) a file with a context manager `open_…` that gives a Session.
"""

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output. scale 0: not quantised. shape: as allocated; outputs of some ops are () until the first run.

    open: which dimensions the file leaves open (-1 in its shape_signature), by place. signed: what the signature calls it, "" without one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    open: tuple[int, ...] = ()
    signed: str = ""


class Session(Protocol):
    """runtime: `litert 2.3.0`. delegate: what runs it now: cpu, xnnpack, gpu, edgetpu or the name of a `[delegate]` table.

    degraded: why it does not run where it was opened (a delegate failed, the CPU took over), else None; it may change between runs.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    runtime: str

    @property
    def delegate(self) -> str: ...

    @property
    def degraded(self) -> str | None: ...

    def input_array(self, index: int) -> "NDArray[np.generic]":
        """Memory of an input that stays valid for the session's life: write into it, then `run`."""

    def run(self) -> "list[NDArray[np.generic]]":
        """Invokes; the outputs in the model's own types, valid until the next run."""
