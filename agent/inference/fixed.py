"""Inputs that get the same numbers at every run: a threshold, a frame rate, the size of the picture. The config says them, `inputs = { name = 0.5 }`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent.inference import Session
from agent.inference.inputs import describe
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# One number fills the whole input; a list has one for each of its elements, the last dimension first to change.
Given = Mapping[str, float | Sequence[float]]


class Fixed:
    """A session whose given inputs are hidden. They are real numbers, quantised here where the input is, and written before each run."""

    def __init__(self, session: Session, given: Given, where: str) -> None:
        """given: by the name in the graph or the signature. Problem (Exit.MODEL): no such input, too many numbers or too few, or out of range."""
        self._session = session
        places = {_place(session, name, where): (name, numbers) for name, numbers in given.items()}
        self._inputs = [place for place in range(len(session.inputs)) if place not in places]
        self.inputs = tuple(session.inputs[place] for place in self._inputs)
        self.outputs = session.outputs
        self.runtime = session.runtime
        self._values = [
            (session.input_array(place), _value(session, place, name, numbers, where))
            for place, (name, numbers) in places.items()
        ]

    @property
    def delegate(self) -> str:
        return self._session.delegate

    @property
    def degraded(self) -> str | None:
        return self._session.degraded

    def input_array(self, index: int) -> "NDArray[np.generic]":
        return self._session.input_array(self._inputs[index])

    def run(self) -> "list[NDArray[np.generic]]":
        import numpy as np

        for array, value in self._values:  # a runtime may use an input's memory for something else once it was read
            np.copyto(array, value)
        return self._session.run()

    def reset(self) -> None:
        forget = getattr(self._session, "reset", None)
        if forget is not None:
            forget()


def _place(session: Session, name: str, where: str) -> int:
    for place, tensor in enumerate(session.inputs):
        if name in (tensor.name, tensor.signed):
            return place
    listed = ", ".join(f"{(tensor.signed or tensor.name)!r} {describe(tensor)}" for tensor in session.inputs)
    raise Problem(
        where=f"{where}.inputs",
        what=f"the model has no input {name!r}; it has {listed}",
        remedy="Take one of these names",
        code=Exit.MODEL,
    )


def _value(session: Session, place: int, name: str, numbers: float | Sequence[float], where: str) -> "NDArray[Any]":
    import numpy as np

    tensor = session.inputs[place]
    array: NDArray[Any] = session.input_array(place)
    real = np.asarray(numbers, np.float64)
    if real.ndim and real.size != array.size:
        raise _unfit(where, f"{name!r} is {describe(tensor)}: {array.size} numbers, not {real.size}")
    if tensor.scale:
        real = np.rint(real / tensor.scale) + tensor.zero_point
    if np.issubdtype(array.dtype, np.integer):
        kind = np.iinfo(array.dtype)
        if (real < kind.min).any() or (real > kind.max).any() or (real != np.rint(real)).any():
            raise _unfit(where, f"{name!r} is {describe(tensor)}, which cannot hold {numbers!r}")
    elif array.dtype.kind not in "fb":
        raise _unfit(where, f"{name!r} is {describe(tensor)}, which holds no numbers")
    return np.broadcast_to(real.reshape(array.shape) if real.ndim else real, array.shape).astype(array.dtype)


def _unfit(where: str, what: str) -> Problem:
    return Problem(
        where=f"{where}.inputs", what=what, remedy="Give one number for all, or one for each", code=Exit.MODEL
    )
