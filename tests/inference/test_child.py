"""Child processes: what they cost the agent when they die, hang, eat memory or chatter; and that none outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from peers.tiny_models import copying, one_op, where_true

from agent.inference._child_messages import Load, Reset
from agent.inference.child import Child, Gone
from agent.inference.child_session import ChildSession, Sealed
from agent.problems import Exit, Problem

MODEL = one_op("RELU", (1, 8, 8, 4))
ON_CPU = Load(delegate="trial")


def stub(library: Path, **options: object) -> Load:
    return Load(delegate="npu", library=str(library), options={key: str(value) for key, value in options.items()})


@contextmanager
def session(
    load: Load, model: bytes = MODEL, *, memory_bytes: int | None = None, limit_s: float = 10.0
) -> Iterator[ChildSession]:
    sealed = Sealed(model)
    child = Child(load.delegate, where="m", memory_bytes=memory_bytes)
    opened = ChildSession(child, sealed, load, load_limit_s=30, limit_s=limit_s)
    sealed.close()
    yield opened
    opened.close()


def wait_for(reached: Callable[[], bool], limit_s: float = 10.0) -> None:
    end_s = time.monotonic() + limit_s
    while not reached():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_runs_a_model_through_shared_memory() -> None:
    with session(ON_CPU) as opened:
        array = opened.input_array(0)
        for seed in (1, 2):
            array[...] = np.random.default_rng(seed).normal(size=array.shape)
            assert np.array_equal(opened.run()[0], np.maximum(array, 0))
        assert [tensor.name for tensor in (*opened.inputs, *opened.outputs)] == ["given", "result"]
    array[...] = 1  # what still fills it when the session is over does no harm


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "bool", "float32"])
def test_every_type_goes_there_and_back(dtype: str) -> None:
    with session(ON_CPU, copying(dtype, (2, 3))) as opened:
        opened.input_array(0)[...] = np.arange(6).reshape(2, 3) % 2
        assert opened.run()[0].dtype == dtype
        assert opened.run()[0].tolist() == opened.input_array(0).tolist()


def test_outputs_whose_size_follows_from_the_input_may_grow() -> None:
    with session(ON_CPU, where_true(4096)) as opened:
        given = opened.input_array(0)
        assert opened.run()[0].shape == (0, 1)
        given[7] = True
        assert opened.run()[0].tolist() == [[7]]
        given[...] = True
        assert opened.run()[0][:, 0].tolist() == list(range(4096))


def test_a_crash_is_a_problem_with_the_signal_and_the_last_words(stub_library: Path) -> None:
    with session(stub(stub_library, how="crash", after=2)) as opened:
        opened.run()
        with pytest.raises(Gone) as caught:
            opened.run()
    assert str(caught.value) == (
        "m: npu: its process died of SIGABRT (stub: crashing at invoke). Take it out of delegates, or update its driver"
    )
    assert caught.value.code is Exit.MODEL


def test_who_does_not_answer_is_ended(stub_library: Path) -> None:
    with session(stub(stub_library, how="hang", after=1), limit_s=0.3) as opened:
        began = time.monotonic()
        with pytest.raises(Gone, match=r"npu: it did not answer within 0\.3 s"):
            opened.run()
        assert time.monotonic() - began < 0.3 + 1.0
        wait_for(lambda: not alive(opened.child.pid))
        with pytest.raises(Gone):
            opened.run()


def test_who_takes_too_much_memory_is_ended(stub_library: Path) -> None:
    child = Child("npu", where="m", memory_bytes=20 << 20)  # Python and LiteRT take more
    with pytest.raises(Gone, match="npu: it took more than 21 MB of memory"):
        ChildSession(child, Sealed(MODEL), stub(stub_library, how="hang", at="create"), load_limit_s=30, limit_s=10)


def test_an_error_is_told_and_the_child_lives(stub_library: Path) -> None:
    with session(stub(stub_library, how="fail", after=1)) as opened:
        with pytest.raises(Problem, match=r"stub: the device was unplugged \(op StubDelegate\)") as caught:
            opened.run()
        assert not isinstance(caught.value, Gone)
        assert alive(opened.child.pid)


def test_chatter_holds_nobody_up_and_is_not_ours(stub_library: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with session(stub(stub_library, chat=300_000)) as opened:
        for _ in range(5):
            opened.run()
        assert opened.child.last_line.startswith("stub: 0000")
        assert len(opened.child.said) <= 16_384
    assert capfd.readouterr() == ("", "")


def test_the_signals_that_end_an_agent_are_not_for_its_children() -> None:
    with session(ON_CPU) as opened:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(opened.child.pid, number)
        opened.run()


def test_a_model_in_a_child_cannot_be_changed() -> None:
    sealed = Sealed(MODEL)
    with pytest.raises(PermissionError):
        os.pwrite(sealed.descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(sealed.descriptor, 1)
    sealed.close()


def test_a_child_takes_one_model_after_the_other() -> None:
    child = Child("trial", where="m")
    for size in (4, 8, 2):
        sealed = Sealed(one_op("RELU", (1, size)))
        opened = ChildSession(child, sealed, ON_CPU, load_limit_s=30, limit_s=10)
        opened.input_array(0)[...] = -1
        assert opened.run()[0].tolist() == [[0.0] * size]
        child.ask(Reset(), limit_s=10)
        opened.arena.close()
        sealed.close()
    child.close()


_PARENT = """
import sys
from pathlib import Path
from agent.inference._child_messages import Load
from agent.inference.child import Child
from agent.inference.child_session import ChildSession, Sealed
child = Child("npu", where="m")
print(child.pid, flush=True)
load = Load(delegate="npu", library=sys.argv[1], options={"how": "hang", "at": sys.argv[2]})
ChildSession(child, Sealed(Path(sys.argv[3]).read_bytes()), load, load_limit_s=60, limit_s=60)
"""


@pytest.mark.parametrize("at", ["create", "invoke"])
def test_none_outlives_an_agent_that_is_killed_even_inside_a_driver(
    stub_library: Path, tmp_path: Path, at: str
) -> None:
    """At create the library holds Python's lock: no thread of the child could end it."""
    (tmp_path / "model").write_bytes(MODEL)
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, stub_library, at, tmp_path / "model"], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_for(lambda: stub_library.name in Path(f"/proc/{pid}/maps").read_text())
        time.sleep(0.1)
        assert alive(pid)
        parent.kill()
        parent.wait()
        wait_for(lambda: not alive(pid), 5.0)
