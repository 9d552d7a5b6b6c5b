"""Trial before trust: a file that is new here is loaded and run once in a child with limits, before anything loads it in this process."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.inference import Session, interpreter
from agent.inference._child_messages import Limits, Load
from agent.problems import Problem

if TYPE_CHECKING:
    from agent.inference.child import Child
    from agent.inference.child_session import Sealed
    from agent.inference.remembered import Remembered

_log = logging.getLogger(__name__)

LIMIT_S = 60.0
LIMITS = Limits(address_bytes=4 << 30, cpu_s=120)


class Trials:
    """Which files have passed, by digest and runtime: in this process, and in the cache."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passed: set[str] = set()


@contextmanager
def open_on_cpu(load: Load, model: bytes) -> Iterator[tuple[Session, str]]:
    """In the child: as this process would open it."""
    with interpreter.open_session(
        model,
        delegates=("xnnpack", "cpu"),
        threads=load.threads,
        runtime=load.runtime,
        signature=load.signature,
        input_px=load.input_px,
        where="",
        tried=True,
    ) as session:
        yield session, ""
