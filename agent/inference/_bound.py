"""A loaded Interpreter → a Session: the signature that is run, sizes that the file leaves open, inputs and outputs as arrays.

Arrays are the interpreter's own memory, wrapped once: `Interpreter.tensor()` would forbid running while its view lives.
"""

import ctypes
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent.inference import Tensor
from agent.inference._refusals import first_line, run_problem
from agent.inference._sizes import input_size, open_dimensions
from agent.inference.inputs import written
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.inference.remembered import Choice


def bind(
    interpreter: Any,
    runtime: str,
    delegate: str,
    *,
    signature: str | None = None,
    input_px: tuple[int, int] | None = None,
    where: str,
) -> "InterpreterSession | SignatureSession":
    """interpreter: loaded, of LiteRT or tflite-runtime. A chosen signature names the tensors. Problem as `interpreter.open_session`;
    whatever the runtime raises passes through.
    """
    names = None
    chosen = _chosen(list(interpreter.get_signature_list()), signature, where)
    interpreter.allocate_tensors()
    if chosen is not None:
        runner = interpreter.get_signature_runner(chosen)
        # Of a runner that does not tell its graph nothing is assumed: it runs whichever it is.
        if getattr(runner, "_subgraph_index", None) != 0:
            return SignatureSession(interpreter, runner, runtime, delegate, input_px, where)
        names = (_places(runner.get_input_details()), _places(runner.get_output_details()))
        del runner  # it holds the interpreter's core, which then takes no other size
    return InterpreterSession(
        interpreter, runtime, delegate, where, names=names, chosen=signature is not None, input_px=input_px
    )


def _chosen(signatures: Sequence[str], wanted: str | None, where: str) -> str | None:
    """None: the file has none."""
    listed = ", ".join(map(repr, signatures))
    if wanted is not None and wanted not in signatures:
        what = f"the model has no signature {wanted!r}"
        what += f", it has {listed}" if signatures else ": it has none"
        raise Problem(
            where=f"{where}.signature",
            what=what,
            remedy="Name one of those" if signatures else "Leave it out",
            code=Exit.MODEL,
        )
    if wanted is None and len(signatures) > 1:
        raise Problem(
            where=f"{where}.signature",
            what=f"the model has {len(signatures)} signatures: {listed}",
            remedy=f"Set signature to the one to run, say signature = {signatures[0]!r}",
            code=Exit.MODEL,
        )
    return wanted or (signatures[0] if signatures else None)


def _places(details: Mapping[str, Mapping[str, Any]]) -> dict[int, str]:
    return {int(detail["index"]): name for name, detail in details.items()}


class InterpreterSession:
    """The graph that a file runs by itself. One thread owns it. Arrays it gave stay readable after `close` but are dead."""

    choice: "Choice | None" = None  # why it runs here, where that was a question

    def __init__(
        self,
        interpreter: Any,
        runtime: str,
        delegate: str,
        where: str,
        *,
        names: tuple[Mapping[int, str], Mapping[int, str]] | None = None,
        chosen: bool = False,
        input_px: tuple[int, int] | None = None,
    ) -> None:
        """interpreter: allocated. names: of inputs and outputs in the signature, by tensor index. chosen: only those, and so called."""
        self._interpreter = interpreter
        self._where = where
        self.runtime = runtime
        self.delegate = delegate
        self.degraded: str | None = None
        input_names, output_names = names or ({}, {})
        self._set_sizes(interpreter.get_input_details(), input_px)
        inputs, self.inputs = _wanted(interpreter.get_input_details(), input_names, chosen)
        self._outputs, self.outputs = _wanted(interpreter.get_output_details(), output_names, chosen)
        self._input_arrays = [self._wrap(index) for index in inputs]
        # Outputs of unknown size (SSD post-processing) have no memory before a run: they are copied out each time.
        self._output_arrays = [
            self._wrap_output(index, tensor) for index, tensor in zip(self._outputs, self.outputs, strict=True)
        ]
        self._checked = False

    def _set_sizes(self, details: Sequence[Mapping[str, Any]], input_px: tuple[int, int] | None) -> None:
        sizes = {int(detail["index"]): input_size(detail, input_px, self._where) for detail in details}
        changed = {index: size for index, (size, new) in sizes.items() if new}
        if not changed:
            return
        try:
            for index, size in changed.items():
                self._interpreter.resize_tensor_input(index, size, strict=True)
            self._interpreter.allocate_tensors()
        except Exception as error:  # noqa: BLE001 - RuntimeError, ValueError
            raise Problem(
                where=self._where,
                what=f"the model does not take an input of {written(next(iter(changed.values())))}: {first_line(error)}",
                remedy="Set input_px to the width and height that it was made for",
                code=Exit.MODEL,
            ) from None

    def _wrap(self, index: int) -> "NDArray[np.generic]":
        """The tensor's memory as an array of which LiteRT knows nothing. It stays in place until the next allocation."""
        import numpy as np

        view = self._interpreter.tensor(index)()
        memory = (ctypes.c_uint8 * view.nbytes).from_address(view.ctypes.data)
        memory.owner = self._interpreter
        array: NDArray[np.generic] = np.frombuffer(memory, view.dtype).reshape(view.shape)
        return array

    def _wrap_output(self, index: int, tensor: Tensor) -> "NDArray[np.generic] | None":
        if not tensor.shape or not all(tensor.shape):
            return None
        try:
            return self._wrap(index)
        except ValueError:  # no memory yet
            return None

    def input_array(self, index: int) -> "NDArray[np.generic]":
        return self._input_arrays[index]

    def run(self) -> "list[NDArray[np.generic]]":
        try:
            self._interpreter.invoke()
            if not self._checked:
                self._check_outputs()
            return [
                self._copied(index) if array is None else array
                for index, array in zip(self._outputs, self._output_arrays, strict=True)
            ]
        except Exception as error:  # noqa: BLE001
            raise run_problem(self._where, error) from None

    def _check_outputs(self) -> None:
        """After the first run: an output that moved or changed its size is of the kind that is copied."""
        for place, (index, array) in enumerate(zip(self._outputs, self._output_arrays, strict=True)):
            if array is None:
                continue
            view = self._interpreter.tensor(index)()
            if view.shape != array.shape or view.ctypes.data != array.ctypes.data:
                self._output_arrays[place] = None
        self._checked = True

    def _copied(self, index: int) -> "NDArray[np.generic]":
        import numpy as np

        try:
            array: NDArray[np.generic] = self._interpreter.get_tensor(index)
        except ValueError:  # so it says of an output without elements: nothing was found
            detail = next(one for one in self._interpreter.get_output_details() if one["index"] == index)
            if all(detail["shape"]):
                raise
            return np.zeros(detail["shape"], detail["dtype"])
        return array

    def reset(self) -> None:
        """Forgets what the model remembers of earlier runs (its variable tensors)."""
        self._interpreter.reset_all_variables()

    def close(self) -> None:
        self._interpreter = None
        self._input_arrays = []
        self._output_arrays = []


class SignatureSession:
    """A signature that is another graph of the file, through LiteRT's signature runner (0.07 ms a run); the inputs are memory of our own."""

    choice: "Choice | None" = None

    def __init__(
        self,
        interpreter: Any,
        runner: Any,
        runtime: str,
        delegate: str,
        input_px: tuple[int, int] | None,
        where: str,
    ) -> None:
        import numpy as np

        self._interpreter, self._runner, self._where = interpreter, runner, where
        self.runtime, self.delegate = runtime, delegate
        self.degraded: str | None = None
        details = runner.get_input_details()
        self._given: dict[str, NDArray[Any]] = {
            name: np.zeros(input_size(detail, input_px, where)[0], detail["dtype"]) for name, detail in details.items()
        }
        self.inputs = tuple(
            _tensor(detail, name, name, self._given[name].shape) for name, detail in runner.get_input_details().items()
        )
        # The first run says what the outputs' sizes are, and which ops are missing.
        runner(**self._given)
        self.outputs = tuple(_tensor(detail, name, name) for name, detail in runner.get_output_details().items())
        interpreter.reset_all_variables()

    def input_array(self, index: int) -> "NDArray[np.generic]":
        return self._given[self.inputs[index].name]

    def run(self) -> "list[NDArray[np.generic]]":
        try:
            found = self._runner(**self._given)
            return [found[tensor.name] for tensor in self.outputs]
        except Exception as error:  # noqa: BLE001
            raise run_problem(self._where, error) from None

    def reset(self) -> None:
        """Forgets what the model remembers of earlier runs (its variable tensors)."""
        self._interpreter.reset_all_variables()

    def close(self) -> None:
        self._interpreter = self._runner = None


def _wanted(
    details: Sequence[Mapping[str, Any]], names: Mapping[int, str], chosen: bool
) -> tuple[list[int], tuple[Tensor, ...]]:
    """Tensor indexes and tensors, in the graph's order. chosen: those of `names` only."""
    indexes, tensors = [], []
    for detail in details:
        index = int(detail["index"])
        if chosen and index not in names:
            continue
        signed = names.get(index, "")
        indexes.append(index)
        tensors.append(_tensor(detail, signed if chosen else str(detail["name"]), signed))
    return indexes, tuple(tensors)


def _tensor(detail: Mapping[str, Any], name: str, signed: str, shape: tuple[int, ...] | None = None) -> Tensor:
    import numpy as np

    scale, zero_point = detail["quantization"]
    return Tensor(
        name=name,
        shape=tuple(int(size) for size in detail["shape"]) if shape is None else shape,
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
        open=open_dimensions(detail),
        signed=signed,
    )
