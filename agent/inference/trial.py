"""Trial before trust: a file that is new here is loaded and run once in a child with limits, before anything loads it in this process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from agent.inference import Session, interpreter
from agent.inference._child_messages import Limits, Load
from agent.inference._refusals import model_problem
from agent.inference.child import Child, Gone
from agent.inference.child_session import Arena, Sealed
from agent.inference.remembered import Remembered
from agent.problems import Problem

LIMIT_S = 60.0
_LIMITS = Limits(address_bytes=4 << 30, cpu_s=120)


def check(model: bytes, digest: str, load: Load, remembered: Remembered, *, where: str) -> None:
    """load: how it will be opened on the CPU. Once for a file, runtime and the keys that say how it is opened.

    Problem (Exit.MODEL): as this process would give it; or the file kills the runtime, hangs it, or takes too much memory.
    """
    runtime, _ = interpreter.find_runtime(load.runtime, where)
    key = " ".join(
        [digest, runtime, *load.on_cpu, load.signature or "", "×".join(map(str, load.input_px or ()))]
    ).strip()
    if remembered.passed(key):
        return
    try:
        _try_in_new_child(model, load, where=where)
    except _Died:
        # A machine at its limits ends processes too: a file is to blame when it does so twice.
        _try_in_new_child(model, load, where=where)
    remembered.add_passed(key)


class _Died(Problem):
    """The child ended by itself, and said nothing of the model."""


def _try_in_new_child(model: bytes, load: Load, *, where: str) -> None:
    child = Child("trial", where=where)
    try:
        try_model(model, load, child, where=where)
    finally:
        child.close()


def try_model(model: bytes, load: Load, child: Child, *, where: str) -> None:
    """child: it may be dead after. Problem as `check`."""
    load = msgspec.structs.replace(load, delegate="trial", limits=_LIMITS)
    sealed, arena = Sealed(model), Arena()
    try:
        child.ask(load, limit_s=LIMIT_S, descriptors=(sealed.descriptor, arena.descriptor))
    except Gone as gone:
        said = model_problem(where, RuntimeError(f"at its trial {gone.how}"))
        if gone.by_itself:
            raise _Died(where=said.where, what=said.what, remedy=said.remedy, code=said.code) from None
        raise said from None
    finally:
        sealed.close()
        arena.close()


@contextmanager
def open_on_cpu(load: Load, model: bytes) -> Iterator[tuple[Session, str]]:
    """In the child: as the agent itself would open it."""
    with interpreter.open_session(
        model,
        delegates=load.on_cpu,
        threads=load.threads,
        runtime=load.runtime,
        signature=load.signature,
        input_px=load.input_px,
        tried=True,
        where="",
    ) as session:
        yield session, ""


def memory_limit_bytes() -> int:
    """Resident memory of a child with a driver: half of the machine's, but at least 512 MiB."""
    return max(512 << 20, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
