"""A session on the CPU: LiteRT's Interpreter (package ai_edge_litert), or the older tflite-runtime 2.14 with the same API.

The model is loaded from its bytes, never from a path: a mapped file that is overwritten in place kills the process at the next run.
LiteRT's constructor verifies the flatbuffer; tflite-runtime's does not and dies of damaged files, so there a child process tries first.
"""

import functools
import importlib
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from agent.inference import Session
from agent.inference._bound import InterpreterSession, SignatureSession, bind
from agent.inference._refusals import first_line, model_problem
from agent.problems import Exit, Problem

__all__ = [
    "InterpreterSession",
    "SignatureSession",
    "bind",
    "find_runtime",
    "first_line",
    "model_problem",
    "open_session",
]

_log = logging.getLogger(__name__)
_DELEGATES = ("xnnpack", "cpu")
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
    model: bytes,
    *,
    delegates: Sequence[str] = ("xnnpack",),
    threads: int = 1,
    runtime: str = "auto",
    signature: str | None = None,
    input_px: tuple[int, int] | None = None,
    tried: bool = False,
    where: str,
) -> Iterator[Session]:
    """Loads `model` on the first delegate of "xnnpack" and "cpu" that takes it. runtime: "auto", "litert" or "tflite-runtime".

    signature: of several named ones; a chosen one names the tensors, without one they are called as in the graph.
    input_px: (width, height) of an image input where the file leaves them open. tried: a child process has run it, or this is one.
    Problem (Exit.MODEL): no runtime is installed; the bytes are no TFLite model, are damaged, or need an op that is missing; several
    signatures and none chosen, or one that there is not; a size that is open and cannot be guessed.
    """
    name, module = find_runtime(runtime, where)
    if name.startswith("tflite-runtime") and not tried:
        _try_in_child(model, where)
    session = _load(model, delegates, threads, name, module, signature, input_px, where)
    try:
        yield session
    finally:
        session.close()


def find_runtime(runtime: str, where: str) -> tuple[str, Any]:
    """(name and version, the module with Interpreter) of the first that is installed."""
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
            _warn_of_slowness()
        return f"{wanted} {_version(distribution)}", module
    wanted = {"litert": "ai-edge-litert", "tflite-runtime": "tflite-runtime"}.get(runtime, "ai-edge-litert")
    raise Problem(
        where=where,
        what=f"no TFLite runtime is installed ({'neither ai-edge-litert nor tflite-runtime' if runtime == 'auto' else wanted} imports)",
        remedy=f"Install one: pip install {wanted}",
        code=Exit.MODEL,
    )


@functools.cache
def _version(distribution: str) -> str:
    """Reading it takes a millisecond."""
    from importlib.metadata import version

    return version(distribution)


@functools.cache
def _warn_of_slowness() -> None:
    """Once a process."""
    _log.warning(
        "runtime=tflite-runtime note=quantised models run 10 to 30 times slower than on ai-edge-litert (measured on x86-64)"
    )


def _load(
    model: bytes,
    delegates: Sequence[str],
    threads: int,
    runtime: str,
    module: Any,
    signature: str | None,
    input_px: tuple[int, int] | None,
    where: str,
) -> InterpreterSession | SignatureSession:
    usable = [delegate for delegate in delegates if delegate in _DELEGATES]
    if not usable:
        raise Problem(
            where=f"{where}.delegates",
            what=f"{' and '.join(delegates) or 'nothing'} cannot run a model inside this process",
            remedy=f"Name one of {', '.join(_DELEGATES)}",
            code=Exit.MODEL,
        )
    resolvers = module.OpResolverType
    failure: Exception | None = None
    for delegate in usable:
        plain = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        resolver = resolvers.AUTO if delegate == "xnnpack" else plain
        try:
            interpreter = module.Interpreter(
                model_content=model, num_threads=threads, experimental_op_resolver_type=resolver
            )
            return bind(interpreter, runtime, delegate, signature=signature, input_px=input_px, where=where)
        except Problem:
            raise
        except Exception as error:  # noqa: BLE001 - damaged files raise ValueError, RuntimeError, UnicodeDecodeError…
            failure = error
            if len(usable) > 1:
                _log.warning("where=%s delegate=%s refused=%r", where, delegate, first_line(error))
    assert failure is not None
    raise model_problem(where, failure)


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
