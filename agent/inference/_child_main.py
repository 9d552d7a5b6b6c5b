"""The child process: loads a model where the agent itself must not, and runs it until the agent is gone.

Started by `child.py` as `python -I -c …`. It may crash, hang or be killed at any time; all that it holds is the arena. It ends when the
agent does, however that ends: the kernel sends it a signal when the other end of the lifeline closes, also while a driver holds it.
"""

import fcntl
import mmap
import os
import resource
import signal
import socket
from contextlib import ExitStack, suppress
from typing import Any

import msgspec

from agent.inference import Session
from agent.inference._child_messages import (
    PACKET_BYTES,
    Answer,
    Done,
    Failed,
    Limits,
    Load,
    Loaded,
    Request,
    Reset,
    Unfit,
    places,
)
from agent.inference._refusals import first_line
from agent.problems import Problem

_F_SETSIG = 10
# The kernel's out-of-memory killer takes this process before the agent.
_OOM_SCORE = 700
_LONGEST_TEXT = 2000


def main(control: int, lifeline: int) -> None:
    """Both are file descriptors."""
    _bind_to_parent(lifeline)
    with socket.socket(fileno=control) as connection:
        serve(connection)
    os._exit(0)  # drivers' own clean-up may hang or crash: nothing is left to save


def _bind_to_parent(lifeline: int) -> None:
    # The agent says when to end: a signal to the whole group is for the agent.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:  # noqa: PTH123
        score.write(str(_OOM_SCORE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        if os.read(lifeline, 1) == b"":  # it is gone already
            os._exit(1)


def serve(connection: socket.socket) -> None:
    """Answers requests until the other end closes."""
    requests = msgspec.json.Decoder(Request)
    with ExitStack() as first:
        held, model = first, _Model(None, None)
        while True:
            packet, descriptors, _, _ = socket.recv_fds(connection, PACKET_BYTES, 2)
            if not packet:
                return
            request = requests.decode(packet)
            answer: Answer
            try:
                if isinstance(request, Load):
                    model.forget()
                    held.close()
                    held = ExitStack()
                    model_fd, arena_fd = descriptors
                    answer, model = _load(request, model_fd, arena_fd, held)
                elif isinstance(request, Reset):
                    model.reset()
                    answer = Done()
                else:
                    answer = model.run()
            except Problem as problem:
                key = problem.where.rpartition(".")[2] if "." in problem.where else ""
                answer = Failed(
                    what=problem.what[:_LONGEST_TEXT],
                    remedy=problem.remedy,
                    key=key,
                    lasting=isinstance(problem, Unfit),
                )
            except Exception as error:  # noqa: BLE001 - whatever a driver raises is an answer
                answer = Failed(what=first_line(error))
            connection.send(msgspec.json.encode(answer))


def _load(request: Load, model_fd: int, arena_fd: int, held: ExitStack) -> "tuple[Loaded, _Model]":
    held.callback(os.close, model_fd)
    held.callback(os.close, arena_fd)
    _limit(request.limits)
    session, note = held.enter_context(_opened(request, model_fd))
    model = _Model(session, arena_fd)
    shapes = model.run().output_shapes
    model.reset()
    loaded = Loaded(
        inputs=session.inputs, outputs=session.outputs, output_shapes=shapes, runtime=session.runtime, note=note
    )
    return loaded, model


def _opened(request: Load, model_fd: int) -> Any:
    """A context manager of (session, note)."""
    if request.library is not None:
        from agent.inference import external

        return external.open_session(request, _content(model_fd))
    if request.delegate == "gpu":
        from agent.inference import compiled

        return compiled.open_session(request, _content(model_fd), f"/proc/self/fd/{model_fd}")
    from agent.inference import trial

    return trial.open_on_cpu(request, _content(model_fd))


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _limit(limits: Limits) -> None:
    if limits.address_bytes is not None:
        with suppress(ValueError, OverflowError):  # 32-bit machines have no more anyway
            resource.setrlimit(resource.RLIMIT_AS, (limits.address_bytes, limits.address_bytes))
    if limits.cpu_s is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        most = int(used.ru_utime + used.ru_stime) + 1 + limits.cpu_s
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


class _Model:
    """A session and its tensors in the arena."""

    def __init__(self, session: Session | None, arena_fd: int | None) -> None:
        self._session = session
        self._arena = arena_fd
        self._inputs: list[tuple[Any, Any]] = []
        if session is None or arena_fd is None:
            return
        arrays = [session.input_array(index) for index in range(len(session.inputs))]
        for tensor in (*session.inputs, *session.outputs):
            if tensor.dtype == "object":
                raise _strings(tensor.name)
        starts, self._inputs_end = places([(array.shape, array.itemsize) for array in arrays])
        self._memory = self._mapped(self._inputs_end)
        self._inputs = [
            (array, self._window(start, array.dtype, array.shape)) for array, start in zip(arrays, starts, strict=True)
        ]

    def _mapped(self, size: int) -> mmap.mmap:
        assert self._arena is not None
        if os.fstat(self._arena).st_size < max(size, 1):
            os.ftruncate(self._arena, max(size, 1))
        return mmap.mmap(self._arena, 0)

    def _window(self, start: int, dtype: Any, shape: tuple[int, ...]) -> Any:
        import numpy as np

        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._memory, dtype, count, start).reshape(shape)

    def run(self) -> Done:
        if self._session is None:
            return Done()
        for array, window in self._inputs:
            array[...] = window
        found = self._session.run()
        starts, end = places([(array.shape, array.itemsize) for array in found], self._inputs_end)
        if end > len(self._memory):
            self._memory = self._mapped(end)
        for array, start in zip(found, starts, strict=True):
            if array.size:
                self._window(start, array.dtype, array.shape)[...] = array
        return Done(output_shapes=tuple(array.shape for array in found))

    def reset(self) -> None:
        forget = getattr(self._session, "reset", None)
        if forget is not None:
            forget()

    def forget(self) -> None:
        self._session = None
        self._inputs = []


def _strings(name: str) -> Unfit:
    return Unfit(where="", what=f"the tensor {name} holds texts", remedy="Such a model runs on the CPU only")
