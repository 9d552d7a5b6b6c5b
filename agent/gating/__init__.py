"""Gating: is this input worth a model's time?

Takes   a Frame or SampleWindow, in the lane's order; the config of its kind (a file here with `Config`). Between them the loop says what became of
        those that passed: `warm` (an object is being followed: the gate shall let inputs pass), `tracked` (where objects are);
        `minute`: of the local day, of a boot time.
Gives   True (look) or False (gated). `quiet`: nothing moves and nothing is followed, so that a source may decode less. `boxes`: what moved in the
        newest frame, for crops and for a page that draws it. A pure function of what it was handed: it asks no clock.
Threads the lane thread.
Fails   never: a gate that cannot decide lets the input pass.
Add one a file with `Config`, `open_gate(config) -> Gate`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from agent.records import Frame, SampleWindow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Gate(Protocol):
    """boxes: (n, 4) float32 x0, y0, x1, y1 in 0..1, n may be 0. quiet: as of the newest input."""

    warm: bool
    minute: Callable[[int], int | None]

    def take(self, record: Frame | SampleWindow) -> bool: ...

    def tracked(self, boxes: "NDArray[np.float32]") -> None:
        """boxes: (n, 4) in 0..1, where objects are now, in place of what was told before; they are no part of the background, however still."""

    @property
    def quiet(self) -> bool: ...

    @property
    def boxes(self) -> "NDArray[np.float32]": ...
