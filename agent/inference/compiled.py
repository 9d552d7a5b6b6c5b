"""LiteRT's CompiledModel on the GPU (its WebGPU accelerator, over Vulkan). For child processes only: `run` holds the GIL for the whole
inference, and a driver may crash.

What it is known to die of is refused before (LiteRT 2.3.0): TFLite_Detection_PostProcess, variable tensors, outputs of unknown size. The
Interpreter loads the model first: it verifies the file, which CompiledModel does not, and knows the quantisation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.inference import Session, interpreter
from agent.inference._child_messages import Load, Unfit
from agent.inference._refusals import first_line
from agent.inference.model_graph import graph_of
from agent.problems import Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Those that LiteRT's tensor buffers know.
_TYPES = ("float32", "float16", "int32", "int8", "uint8", "bool")
_ELSEWHERE = "Such a model runs on the CPU"


@contextmanager
def open_session(load: Load, model: bytes, path: str) -> Iterator[tuple[Session, str]]:
    """path: of the same bytes, where nothing can change them. Gives the session, and what else there is to know.

    Problem: the model is of a kind that the GPU does not run, or there is no GPU.
    """
    _refuse(model)
    with interpreter.open_session(
        model,
        delegates=("cpu",),
        runtime="litert",
        signature=load.signature,
        input_px=load.input_px,
        where="",
    ) as verified:
        verified.run()
        session = _CompiledSession(verified, path)
    yield session, "" if session.whole else "some of its ops run on the CPU"


def _refuse(model: bytes) -> None:
    graph = graph_of(model)
    if graph.custom:
        raise _not_here(f"it has the custom op {graph.custom[0]}")
    if graph.variables:
        raise _not_here("it remembers earlier runs (variable tensors)")


def _not_here(why: str) -> Unfit:
    return Unfit(where="", what=f"the GPU does not run this model: {why}", remedy=_ELSEWHERE)


class _CompiledSession:
    delegate = "gpu"
    degraded: str | None = None

    def __init__(self, verified: Session, path: str) -> None:
        """verified: the same model, allocated and run on the CPU."""
        import numpy as np
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.hardware_accelerator import HardwareAccelerator

        self.inputs, self.outputs, self.runtime = verified.inputs, verified.outputs, verified.runtime
        for tensor in (*self.inputs, *self.outputs):
            if tensor.dtype not in _TYPES:
                raise _not_here(f"the tensor {tensor.name} is {tensor.dtype}")
            if not tensor.shape or not all(tensor.shape):
                raise _not_here(f"the size of the tensor {tensor.name} is known only after a run")
        try:
            self._model: Any = CompiledModel.from_file(
                path, hardware_accel=HardwareAccelerator.GPU | HardwareAccelerator.CPU
            )
            self.whole = self._model.is_fully_accelerated()
        except Exception as error:  # noqa: BLE001 - without an adapter a RuntimeError that names only LiteRT's source
            raise Problem(
                where="", what=f"LiteRT does not open it on the GPU: {first_line(error)}", remedy=_ELSEWHERE
            ) from None
        self._signature, inputs, outputs = self._places()
        self._resize(inputs)
        self._given = [np.zeros(tensor.shape, tensor.dtype) for tensor in self.inputs]
        given, gotten = (
            self._model.create_input_buffers(self._signature),
            self._model.create_output_buffers(self._signature),
        )
        self._all = (given, gotten)
        self._input_buffers = [given[place] for place in inputs]
        self._output_buffers = [gotten[place] for place in outputs]

    def _places(self) -> tuple[int, list[int], list[int]]:
        """(the signature that has these tensors, place of each input in it, of each output)"""
        for index in range(self._model.get_num_signatures()):
            signature = self._model.get_signature_by_index(index)
            found = [
                _among(signature[side], mine) for side, mine in (("inputs", self.inputs), ("outputs", self.outputs))
            ]
            inputs, outputs = found
            if inputs is not None and outputs is not None:
                return index, inputs, outputs
        raise _not_here("LiteRT's CompiledModel names its tensors otherwise than the Interpreter")

    def _resize(self, places: list[int]) -> None:
        """Sizes that the file leaves open become those of the Interpreter."""
        key = self._model.get_signature_by_index(self._signature)["key"]
        details = list(self._model.get_input_tensor_details(key).values())
        for tensor, place in zip(self.inputs, places, strict=True):
            found = next((one["shape"] for one in details if one["name"] == tensor.name), None)
            if tensor.open and found is not None and tuple(found) != tensor.shape:
                try:
                    self._model.resize_input_tensor(place, tensor.shape, self._signature, strict=False)
                except Exception as error:  # noqa: BLE001
                    raise _not_here(f"its open sizes cannot be set: {first_line(error)}") from None

    def input_array(self, index: int) -> "NDArray[np.generic]":
        return self._given[index]

    def run(self) -> "list[NDArray[np.generic]]":
        """The GPU works until the outputs are read: only then the run is over."""
        import math

        for buffer, array in zip(self._input_buffers, self._given, strict=True):
            buffer.write(array)
        self._model.run_by_index(self._signature, *self._all)
        return [
            buffer.read(math.prod(tensor.shape), tensor.dtype).reshape(tensor.shape)
            for buffer, tensor in zip(self._output_buffers, self.outputs, strict=True)
        ]


def _among(names: list[str], tensors: Any) -> list[int] | None:
    """Place of each tensor among the names; the signature's names and the graph's differ."""
    if len(names) != len(tensors):
        return None
    places = []
    for tensor in tensors:
        name = tensor.signed if tensor.signed in names else tensor.name
        if name not in names:
            return None
        places.append(names.index(name))
    return places
