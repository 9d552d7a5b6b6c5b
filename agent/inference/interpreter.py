"""A session on the CPU: LiteRT's Interpreter (package ai_edge_litert), or the older tflite-runtime 2.14 with the same API.

The model is loaded from its bytes, never from a path: a mapped file that is overwritten in place kills the process at the next run.
LiteRT's constructor verifies the flatbuffer; tflite-runtime's does not and dies of damaged files, so there a child process tries first.
Inputs and outputs are the interpreter's own memory, wrapped once: `Interpreter.tensor()` would forbid running while its view lives.
"""

import ctypes
import importlib
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.inference import Session, Tensor
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)
_TRY_S = 60.0
_TRY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from tflite_runtime.interpreter import Interpreter
interpreter = Interpreter(model_content=sys.stdin.buffer.read())
interpreter.allocate_tensors()
interpreter.invoke()
"""


@contextmanager
def open_session(
    model: bytes, *, delegates: Sequence[str] = ("xnnpack",), threads: int = 1, runtime: str = "auto", where: str
) -> Iterator[Session]:
    """Loads `model` on the first delegate of "xnnpack" and "cpu" that takes it. runtime: "auto", "litert" or "tflite-runtime".

    Problem (Exit.MODEL): no runtime is installed; the bytes are no TFLite model, are damaged, or need an op that is missing.
    """
    name, module = _runtime(runtime, where)
    if name.startswith("tflite-runtime"):
        _try_in_child(model, where)
    session = _load(model, delegates, threads, name, module, where)
    try:
        yield session
    finally:
        session.close()


def _runtime(runtime: str, where: str) -> tuple[str, Any]:
    """(name and version, the module with Interpreter) of the first that is installed."""
    from importlib.metadata import version

    for wanted, package, distribution in (
        ("litert", "ai_edge_litert", "ai-edge-litert"),
        ("tflite-runtime", "tflite_runtime", "tflite-runtime"),
    ):
        if runtime not in ("auto", wanted):
            continue
        try:
            module = importlib.import_module(f"{package}.interpreter")
        except ImportError:
            continue
        if wanted == "tflite-runtime":
            _log.warning(
                "runtime=tflite-runtime note=quantised models run 10 to 30 times slower than on ai-edge-litert (measured on x86-64)"
            )
        return f"{wanted} {version(distribution)}", module
    wanted = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}.get(runtime, "ai-edge-litert")
    raise Problem(
        where=where,
        what=f"no TFLite runtime is installed ({'neither ai-edge-litert nor tflite-runtime' if runtime == 'auto' else wanted} imports)",
        remedy=f"Install one: pip install {wanted}",
        code=Exit.MODEL,
    )


def _load(
    model: bytes, delegates: Sequence[str], threads: int, runtime: str, module: Any, where: str
) -> "InterpreterSession":
    resolvers = module.OpResolverType
    failure: Exception | None = None
    for delegate in delegates:
        plain = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        resolver = resolvers.AUTO if delegate == "xnnpack" else plain
        try:
            interpreter = module.Interpreter(
                model_content=model, num_threads=threads, experimental_op_resolver_type=resolver
            )
            return InterpreterSession(interpreter, runtime, delegate, where)
        except Exception as error:  # noqa: BLE001 - damaged files raise ValueError, RuntimeError, UnicodeDecodeError…
            failure = error
            if len(delegates) > 1:
                _log.warning("where=%s delegate=%s refused=%r", where, delegate, first_line(error))
    assert failure is not None
    raise model_problem(where, failure)


def model_problem(where: str, error: Exception) -> Problem:
    """What a runtime says of a model, in one line."""
    line = first_line(error)
    if "unresolved custom op" in line.lower() or "Didn't find op" in line:
        remedy = "This runtime lacks the op: convert the model without it, or use a runtime that has it"
    else:
        remedy = "The file is damaged or no TFLite model: fetch it again and compare its sha256"
    return Problem(where=where, what=f"the model is refused: {line}", remedy=remedy, code=Exit.MODEL)


def first_line(error: Exception) -> str:
    """A bad quantisation repeats one line a tensor: the first says it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0].rstrip(".") if lines else type(error).__name__)[:200]


def _try_in_child(model: bytes, where: str) -> None:
    """Runs the model once in a process that may die; Problem when it does."""
    try:
        child = subprocess.run(
            [sys.executable, "-c", _TRY], input=model, capture_output=True, timeout=_TRY_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise model_problem(where, RuntimeError(f"one run did not end within {_TRY_S:.0f} s")) from None
    if child.returncode == 0:
        return
    lines = child.stderr.decode(errors="replace").strip().splitlines()
    said = lines[-1] if lines and child.returncode > 0 else f"the runtime died of signal {-child.returncode}"
    raise model_problem(where, RuntimeError(said))


class InterpreterSession:
    """One loaded model. One thread owns it. Arrays it gave stay readable after `close` (they keep its memory) but are dead."""

    def __init__(self, interpreter: Any, runtime: str, delegate: str, where: str) -> None:
        self._interpreter = interpreter
        self._where = where
        self.runtime = runtime
        self.delegate = delegate
        self.degraded: str | None = None
        self._allocate()

    def _allocate(self) -> None:
        self._interpreter.allocate_tensors()
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        self.inputs: tuple[Tensor, ...] = tuple(_tensor(detail) for detail in inputs)
        self.outputs: tuple[Tensor, ...] = tuple(_tensor(detail) for detail in outputs)
        self._input_indexes = [int(detail["index"]) for detail in inputs]
        self._output_indexes = [int(detail["index"]) for detail in outputs]
        self._input_arrays = [self._wrap(index) for index in self._input_indexes]
        # The outputs of some ops (SSD post-processing) have no size before a run: those are copied out each time.
        self._output_arrays = [
            self._wrap(index) if tensor.shape and all(tensor.shape) else None
            for index, tensor in zip(self._output_indexes, self.outputs, strict=True)
        ]

    def _wrap(self, index: int) -> "NDArray[np.generic]":
        """The tensor's memory as an array of which LiteRT knows nothing. It stays in place until the next allocation."""
        import numpy as np

        view = self._interpreter.tensor(index)()
        memory = (ctypes.c_uint8 * view.nbytes).from_address(view.ctypes.data)
        memory.owner = self._interpreter
        array: NDArray[np.generic] = np.frombuffer(memory, view.dtype).reshape(view.shape)
        return array

    def resize_input(self, index: int, shape: tuple[int, ...]) -> None:
        """Gives input `index` another shape (models with an open batch); arrays given before are dead."""
        try:
            self._interpreter.resize_tensor_input(self._input_indexes[index], shape, strict=True)
            self._allocate()
        except Exception as error:  # noqa: BLE001
            raise model_problem(self._where, error) from None

    def input_array(self, index: int) -> "NDArray[np.generic]":
        return self._input_arrays[index]

    def run(self) -> "list[NDArray[np.generic]]":
        try:
            self._interpreter.invoke()
            return [
                self._interpreter.get_tensor(index) if array is None else array
                for index, array in zip(self._output_indexes, self._output_arrays, strict=True)
            ]
        except Exception as error:  # noqa: BLE001
            raise model_problem(self._where, error) from None

    def close(self) -> None:
        self._interpreter = None
        self._input_arrays = []
        self._output_arrays = []


def _tensor(detail: dict[str, Any]) -> Tensor:
    import numpy as np

    scale, zero_point = detail["quantization"]
    return Tensor(
        name=str(detail["name"]),
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )
