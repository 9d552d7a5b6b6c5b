"""A model in a child process behind the Session interface: inputs and outputs lie in shared memory, a run costs two small packets."""

import fcntl
import math
import mmap
import os
from typing import TYPE_CHECKING, Any

from agent.inference import Tensor
from agent.inference._child_messages import Done, Load, Loaded, Reset, Run, places
from agent.inference.child import Child

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


# memfd_create(2), from Linux 6.3: no program is ever made of it. Some systems want it of all, older ones do not know it.
_MFD_NOEXEC_SEAL = 8


def _memory(name: str) -> int:
    """A descriptor of memory that can be sealed."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_NOEXEC_SEAL)
    except OSError:
        return os.memfd_create(name, flags)


class Sealed:
    """A model's bytes in memory that nobody can change any more, for children to read."""

    def __init__(self, model: bytes) -> None:
        self.descriptor = _memory("model")
        with os.fdopen(os.dup(self.descriptor), "wb") as file:
            file.write(model)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)

    def close(self) -> None:
        os.close(self.descriptor)


class Arena:
    """Shared memory of one model: inputs, then outputs. The inputs' arrays stay valid while children come and go."""

    def __init__(self) -> None:
        self.descriptor = _memory("tensors")
        # A child that made it smaller would take this process down at its next look.
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.inputs: list[NDArray[Any]] = []
        self._memory: mmap.mmap | None = None
        self._inputs_end = 0

    def lay_out(self, inputs: tuple[Tensor, ...]) -> None:
        """After a child has loaded the model. The second child finds the arrays as they are."""
        import numpy as np

        sizes = [(tensor.shape, np.dtype(tensor.dtype).itemsize) for tensor in inputs]
        starts, self._inputs_end = places(sizes)
        self._memory = mmap.mmap(self.descriptor, 0)
        if not self.inputs:
            self.inputs = [
                _array(self._memory, start, tensor.dtype, tensor.shape)
                for start, tensor in zip(starts, inputs, strict=True)
            ]

    def outputs(self, tensors: tuple[Tensor, ...], shapes: tuple[tuple[int, ...], ...]) -> "list[NDArray[Any]]":
        """As the child has left them; valid until its next run."""
        import numpy as np

        assert self._memory is not None
        sizes = [(shape, np.dtype(tensor.dtype).itemsize) for tensor, shape in zip(tensors, shapes, strict=True)]
        starts, end = places(sizes, self._inputs_end)
        if end > len(self._memory):  # the child has made it larger
            self._memory = mmap.mmap(self.descriptor, 0)
        return [
            _array(self._memory, start, tensor.dtype, shape)
            for start, tensor, shape in zip(starts, tensors, shapes, strict=True)
        ]

    def close(self) -> None:
        """Arrays that are still held keep the memory itself."""
        os.close(self.descriptor)


def _array(memory: mmap.mmap, start: int, dtype: str, shape: tuple[int, ...]) -> "NDArray[Any]":
    import numpy as np

    count = math.prod(shape)
    if not count:
        return np.zeros(shape, dtype)
    return np.frombuffer(memory, dtype, count, start).reshape(shape)


class ChildSession:
    """One thread owns it. limit_s: how long a run may take."""

    degraded: str | None = None

    def __init__(
        self,
        child: Child,
        model: Sealed,
        load: Load,
        *,
        arena: Arena | None = None,
        load_limit_s: float,
        limit_s: float,
    ) -> None:
        """arena: of an earlier session of this model, to go on with its inputs. The session ends the child, and an arena of its own.

        Problem (Exit.MODEL): the model is refused there, or the child died of it.
        """
        self.child, self.delegate, self.limit_s = child, load.delegate, limit_s
        self._own = arena is None
        self.arena = arena or Arena()
        try:
            loaded = child.ask(load, limit_s=load_limit_s, descriptors=(model.descriptor, self.arena.descriptor))
            assert isinstance(loaded, Loaded)
            self.arena.lay_out(loaded.inputs)
        except BaseException:
            self.close()
            raise
        self.inputs, self.outputs, self.runtime = loaded.inputs, loaded.outputs, loaded.runtime
        self.note = loaded.note

    def input_array(self, index: int) -> "NDArray[np.generic]":
        return self.arena.inputs[index]

    def run(self) -> "list[NDArray[np.generic]]":
        """Problem (Exit.MODEL): the run failed; whether the child still lives is not said."""
        done = self.child.ask(Run(), limit_s=self.limit_s)
        assert isinstance(done, Done)
        try:
            return self.arena.outputs(self.outputs, done.output_shapes)
        except ValueError:  # shapes that are not those of the arena
            raise self.child.mad() from None

    def reset(self) -> None:
        self.child.ask(Reset(), limit_s=self.limit_s)

    def close_child(self) -> None:
        """The arena stays."""
        self.child.close()

    def close(self) -> None:
        self.child.close()
        if self._own:
            self._own = False
            self.arena.close()
