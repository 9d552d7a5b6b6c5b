"""A delegate that fails in service: the CPU takes over with the same input, it is visible, and the delegate comes back."""

import hashlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from peers.manual_clock import ManualClock
from peers.tiny_models import one_op

from agent.inference.fallback import FallbackSession
from agent.inference.model import Delegate
from agent.inference.session import Wanted, open_session
from agent.problems import Problem

MODEL = one_op("RELU", (1, 8, 8, 4))
FOR_EDGE_TPU = one_op("RELU", (1, 8), custom="edgetpu-custom-op")
# Loading and measuring take fewer.
RUNS = 40


@contextmanager
def session(library: Path, clock: ManualClock, model: bytes = MODEL, **options: str | int) -> Iterator[FallbackSession]:
    wanted = Wanted(delegates=("npu", "xnnpack"), libraries={"npu": Delegate(library=str(library), options=options)})
    with open_session(model, hashlib.sha256(model).hexdigest(), wanted, where="m", clock=clock) as opened:
        assert isinstance(opened, FallbackSession)
        yield opened


def right(opened: FallbackSession) -> bool:
    """A run with a new input."""
    array = opened.input_array(0)
    array[...] = np.random.default_rng(time.monotonic_ns()).normal(size=array.shape)
    return np.array_equal(opened.run()[0], np.maximum(array, 0))


def run_until_failed(opened: FallbackSession) -> float:
    """Every answer is right; gives how long the longest took, in seconds."""
    took_s = []
    for _ in range(RUNS):
        began = time.monotonic()
        assert right(opened)
        took_s.append(time.monotonic() - began)
        if opened.degraded:
            break
    return max(took_s)


def run_until_well(opened: FallbackSession) -> None:
    end_s = time.monotonic() + 20
    while opened.degraded:
        assert time.monotonic() < end_s
        assert right(opened)
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"how": "crash"}, "npu failed: its process died of SIGABRT (stub: crashing at invoke)"),
        ({"how": "hang"}, "npu failed: it did not answer within 0.5 s"),
        (
            {"how": "fail"},
            "npu failed: a run of the model failed: stub: the device was unplugged (op StubDelegate)",
        ),
    ],
)
def test_the_cpu_takes_over_within_a_second(stub_library: Path, options: dict[str, str], why: str) -> None:
    with session(stub_library, ManualClock(), after=RUNS, **options) as opened:
        assert (opened.delegate, opened.degraded) == ("npu", None)
        array = opened.input_array(0)
        assert run_until_failed(opened) < 1.0
        assert (opened.delegate, opened.degraded) == ("xnnpack", why)
        assert opened.input_array(0) is array
        assert right(opened)


def test_a_killed_process_is_replaced(stub_library: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    with session(stub_library, clock) as opened:
        assert opened._session is not None
        os.kill(opened._session.child.pid, signal.SIGKILL)
        assert right(opened)
        assert opened.degraded == "npu failed: its process died of SIGKILL"
        clock.advance(59)
        assert right(opened)
        assert opened._thread is None
        clock.advance(2)
        run_until_well(opened)
        assert (opened.delegate, opened.degraded) == ("npu", None)
        assert right(opened)
    assert [line for line in caplog.messages if "failed=" in line or "works again" in line] == [
        "where=m delegate=npu failed='npu: its process died of SIGKILL' now=xnnpack",
        "where=m delegate=npu note=works again",
    ]


def test_the_waits_between_attempts_grow_to_an_hour(stub_library: Path, tmp_path: Path) -> None:
    clock, flag = ManualClock(), tmp_path / "unplugged"
    with session(stub_library, clock, how="fail", at="create", flag=str(flag)) as opened:
        assert opened._session is not None
        os.kill(opened._session.child.pid, signal.SIGKILL)
        flag.touch()
        waits_s = []
        for _ in range(9):
            assert right(opened)
            waits_s.append(round((opened._again_us - clock.boot_us()) / 1e6))
            clock.advance(waits_s[-1] + 1)
            assert right(opened)  # starts the attempt
            assert opened._thread is not None
            opened._thread.join(20)
        assert waits_s == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
        assert right(opened)
        assert "stub: no device found" in str(opened.degraded)
        flag.unlink()
        clock.advance(3601)
        run_until_well(opened)


def test_the_agent_can_end_while_a_delegate_is_tried_again(stub_library: Path, tmp_path: Path) -> None:
    clock, flag = ManualClock(), tmp_path / "hangs"
    with session(stub_library, clock, how="hang", at="create", flag=str(flag)) as opened:
        assert opened._session is not None
        os.kill(opened._session.child.pid, signal.SIGKILL)
        flag.touch()
        assert right(opened)
        clock.advance(61)
        assert right(opened)
        thread = opened._thread
        assert thread is not None
        began = time.monotonic()
    assert not thread.is_alive()
    assert time.monotonic() - began < 2


def test_a_model_for_its_hardware_only_is_a_problem_until_that_is_back(stub_library: Path) -> None:
    clock = ManualClock()
    with session(stub_library, clock, FOR_EDGE_TPU) as opened:
        assert right(opened)
        assert opened.choice.refused == {
            "xnnpack": "the model is refused: it is compiled for the Edge TPU (edgetpu-custom-op)"
        }
        assert opened._session is not None
        os.kill(opened._session.child.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(Problem) as caught:
                opened.run()
            assert str(caught.value) == (
                "m: npu failed: its process died of SIGKILL, and the CPU cannot run this model. "
                "It is tried again in 60 s; look at the device and its driver"
            )
        assert opened.delegate == "npu"
        clock.advance(61)
        with pytest.raises(Problem):
            opened.run()
        assert opened._thread is not None
        opened._thread.join(20)
        assert right(opened)
        assert opened.degraded is None


def test_forgets_what_a_model_remembers_wherever_it_runs(stub_library: Path) -> None:
    with session(stub_library, ManualClock()) as opened:
        opened.reset()
        assert opened._session is not None
        os.kill(opened._session.child.pid, signal.SIGKILL)
        opened.reset()
        assert opened.degraded is not None
        assert right(opened)
        opened.reset()
