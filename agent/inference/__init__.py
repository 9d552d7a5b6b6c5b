"""Inference: a TFLite model behind one interface.

Takes   the bytes of a model, delegates in order, threads; then tensors.
Gives   a Session: what its inputs and outputs are, `run` with the tensors in the model's own types; what it runs on.
Threads one owner thread a session (LiteRT refuses a second).
Fails   Problem with Exit.MODEL: not TFLite, damaged, an op that is missing, a tensor that does not fit.
Add one (a runtime) a file with `open_session(model, delegates, threads, where)`.
"""

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output. scale 0: not quantised. shape: as the file says; outputs of some ops are () until the first run."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


class Session(Protocol):
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    runtime: str
    delegate: str

    def input_array(self, index: int) -> "NDArray[np.generic]":
        """The model's own memory of an input: write into it, then `run`."""

    def run(self) -> "list[NDArray[np.generic]]":
        """Invokes; the outputs in the model's own types, valid until the next run."""
