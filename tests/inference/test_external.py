"""External delegates through the real runtime: a library of our own in C that works, refuses, takes nothing, crashes."""

from pathlib import Path

import numpy as np
import pytest
from peers.tiny_models import graph, model, one_op, operator, tensor

from agent.inference._child_messages import Load
from agent.inference.child import Child, Gone
from agent.inference.child_session import ChildSession, Sealed
from agent.problems import Problem

MODEL = one_op("RELU", (1, 8, 8, 4))


def opened(library: Path | str, content: bytes = MODEL, **options: str) -> ChildSession:
    load = Load(delegate="npu", library=str(library), options=options)
    return ChildSession(Child("npu", where="m"), Sealed(content), load, load_limit_s=30, limit_s=10)


def refused(library: Path | str, content: bytes = MODEL, **options: str) -> str:
    with pytest.raises(Problem) as caught:
        opened(library, content, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_library_runs_the_ops_that_it_takes(stub_library: Path) -> None:
    session = opened(stub_library, how="wrong")  # so that it is seen who ran
    session.input_array(0)[...] = np.random.default_rng(1).normal(size=(1, 8, 8, 4))
    assert np.allclose(session.run()[0], np.maximum(session.input_array(0), 0) + 1)
    assert (session.delegate, session.note) == ("npu", "")
    session.close()


def test_what_it_leaves_to_the_cpu_is_said(stub_library: Path) -> None:
    tensors = [tensor(name, (1, 8)) for name in ("given", "between", "result")]
    both = graph(tensors, [operator("RELU", [0], [1]), operator("SOFTMAX", [1], [2])], inputs=[0], outputs=[2])
    session = opened(stub_library, model([both]))
    assert session.note == "some of its ops run on the CPU"
    assert np.isclose(session.run()[0].sum(), 1)
    session.close()


def test_a_library_that_takes_no_op_of_the_model_is_refused(stub_library: Path) -> None:
    assert f"{stub_library} takes no op of this model" in refused(stub_library, how="none")
    assert "takes no op of this model" in refused(stub_library, one_op("SOFTMAX", (1, 4)))


def test_what_a_library_says_against_it_is_told(stub_library: Path) -> None:
    assert f"{stub_library} made no delegate: stub: no device found. Install" in refused(
        stub_library, how="fail", at="create"
    )
    assert "stub: there is no such option" in refused(stub_library, colour="blue")
    assert "stub: no memory left on the device (op StubDelegate)" in refused(stub_library, how="fail", at="prepare")


@pytest.mark.parametrize("at", ["create", "prepare", "invoke"])
def test_a_crash_stays_in_the_child(stub_library: Path, at: str) -> None:
    load = Load(delegate="npu", library=str(stub_library), options={"how": "crash", "at": at})
    with pytest.raises(Gone, match=f"npu: its process died of SIGABRT .stub: crashing at {at}."):
        ChildSession(Child("npu", where="m"), Sealed(MODEL), load, load_limit_s=30, limit_s=10)


def test_what_is_no_delegate_is_refused(tmp_path: Path) -> None:
    assert "libm.so.6 is no TFLite delegate: it has no tflite_plugin_create_delegate" in refused("libm.so.6")
    (tmp_path / "libx.so").write_bytes(b"\x7fELF, but no more")
    assert "libx.so cannot be loaded: " in refused(tmp_path / "libx.so")
    assert "cannot be loaded: " in refused(tmp_path / "none.so")
