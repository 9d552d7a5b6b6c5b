"""A model on a delegate that may fail in service: the CPU takes over with the same input at once, and the delegate is tried again later."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from agent.clock import Clock
from agent.inference import Session
from agent.inference.child_session import Arena, ChildSession
from agent.inference.remembered import Choice
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S = 60.0, 3600.0
_END_S = 5.0

Reopen = Callable[[Arena, threading.Event], ChildSession]
OnCpu = Callable[[], AbstractContextManager[Session]]


class FallbackSession:
    """One thread owns it. Inputs lie in memory that is shared with whichever child runs the model, and stay where they are.

    What a model remembers of earlier runs (variable tensors) is lost at a change.
    """

    def __init__(
        self,
        session: ChildSession,
        *,
        reopen: Reopen,
        on_cpu: OnCpu | None,
        choice: Choice,
        clock: Clock,
        where: str,
    ) -> None:
        """session: open; this one closes it. on_cpu: None: the CPU cannot run the model, so that a failed delegate is a Problem of each run."""
        self.inputs, self.outputs, self.runtime = session.inputs, session.outputs, session.runtime
        self.choice = choice
        self._name, self._arena, self._limit_s = session.delegate, session.arena, session.limit_s
        self._session: ChildSession | None = session
        self._first = session
        self._reopen, self._on_cpu, self._clock, self._where = reopen, on_cpu, clock, where
        self._held = ExitStack()
        self._cpu: Session | None = None
        self._why: Problem | None = None
        self._wait_s, self._again_us, self._since_us = _FIRST_S, 0, clock.boot_us()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._opened: ChildSession | Problem | None = None

    @property
    def delegate(self) -> str:
        if self._session is not None or self._on_cpu is None:
            return self._name
        return "xnnpack" if self._cpu is None else self._cpu.delegate

    @property
    def degraded(self) -> str | None:
        """One line."""
        return None if self._why is None else f"{self._name} failed: {self._why.what.removeprefix(f'{self._name}: ')}"

    def input_array(self, index: int) -> "NDArray[np.generic]":
        return self._arena.inputs[index]

    def run(self) -> "list[NDArray[np.generic]]":
        """Problem (Exit.MODEL): the CPU fails, too, or cannot run this model."""
        if self._session is None:
            self._look_again()
        if self._session is not None:
            try:
                return self._session.run()
            except Problem as problem:
                self._fail(problem)
        return self._run_on_cpu()

    def reset(self) -> None:
        """Forgets earlier runs. A delegate that fails at it is found failing at the next run."""
        if self._session is not None:
            try:
                self._session.reset()
            except Problem as problem:
                self._fail(problem)
        forget = getattr(self._cpu, "reset", None)
        if forget is not None:
            forget()

    def _fail(self, problem: Problem) -> None:
        assert self._session is not None
        self._session.close_child()
        self._session, self._why = None, problem
        now_us = self._clock.boot_us()
        if now_us - self._since_us > _LONGEST_S * 1e6:
            self._wait_s = _FIRST_S
        self._put_off(now_us)
        _log.warning(
            "where=%s delegate=%s failed=%r now=%s",
            self._where,
            self._name,
            problem.what,
            "xnnpack" if self._on_cpu else "nothing",
        )

    def _put_off(self, now_us: int) -> None:
        """Each wait is twice as long as the one before, until the delegate has worked for an hour."""
        self._again_us = now_us + int(self._wait_s * 1e6)
        self._wait_s = min(2 * self._wait_s, _LONGEST_S)

    def _look_again(self) -> None:
        """Loading takes seconds: a thread of its own does it, while the CPU goes on."""
        if self._thread is None:
            if self._clock.boot_us() >= self._again_us:
                self._thread = threading.Thread(target=self._open, name=f"{self._name} again", daemon=True)
                self._thread.start()
            return
        if self._thread.is_alive():
            return
        self._thread.join()
        self._thread = None
        opened, self._opened = self._opened, None
        if isinstance(opened, ChildSession):
            opened.limit_s = self._limit_s
            self._session, self._why, self._since_us = opened, None, self._clock.boot_us()
            self._held.close()
            self._cpu = None
            _log.info("where=%s delegate=%s note=works again", self._where, self._name)
        elif opened is not None:
            self._why = opened
            self._put_off(self._clock.boot_us())

    def _open(self) -> None:
        try:
            self._opened = self._reopen(self._arena, self._stop)
        except Problem as problem:
            self._opened = problem

    def _run_on_cpu(self) -> "list[NDArray[np.generic]]":
        if self._on_cpu is None:
            assert self._why is not None
            wait_s = max(0.0, (self._again_us - self._clock.boot_us()) / 1e6)
            raise Problem(
                where=self._where,
                what=f"{self.degraded}, and the CPU cannot run this model",
                remedy=f"It is tried again in {wait_s:.0f} s; look at the device and its driver",
                code=Exit.MODEL,
            )
        if self._cpu is None:
            self._cpu = self._held.enter_context(self._on_cpu())
        for index, array in enumerate(self._arena.inputs):
            self._cpu.input_array(index)[...] = array
        return self._cpu.run()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END_S)
        for session in (self._session, self._opened, self._first):
            if isinstance(session, ChildSession):
                session.close()
        self._session = None
        self._held.close()
