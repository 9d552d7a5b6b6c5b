"""The one door: a model in, a session out, wherever it runs."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from peers.tiny_models import one_op, remembering, two_signatures

from agent.inference import Session
from agent.inference._bound import InterpreterSession
from agent.inference.fallback import FallbackSession
from agent.inference.model import Delegate
from agent.inference.session import Wanted, open_session
from agent.problems import Problem

PROJECT = Path(__file__).parents[2]
VIEW = PROJECT / "models" / "view-int8.tflite"


@contextmanager
def opened(model: bytes, **wanted: object) -> Iterator[Session]:
    with open_session(model, hashlib.sha256(model).hexdigest(), Wanted(**wanted), where="m") as session:  # type: ignore[arg-type]
        yield session


def test_on_the_cpu_it_is_the_interpreter_itself() -> None:
    """Nothing stands between that would cost time."""
    for delegates in ("auto", ("xnnpack",), ("cpu",), ("cpu", "xnnpack")):
        with opened(VIEW.read_bytes(), delegates=delegates) as session:
            assert isinstance(session, InterpreterSession)
            assert session.delegate == ("xnnpack" if delegates == "auto" else delegates[0])
            assert session.choice is not None
            assert session.degraded is None


def test_the_keys_of_the_model_reach_every_runtime(stub_library: Path) -> None:
    libraries = {"npu": Delegate(library=str(stub_library))}
    for delegates in (("xnnpack",), ("npu",)):
        with opened(two_signatures(), delegates=delegates, libraries=libraries, signature="rectify") as session:
            assert session.delegate == delegates[0]
            assert [(tensor.name, tensor.shape) for tensor in session.inputs] == [("x", (1, 4))]
            session.input_array(0)[...] = [[-1, 2, -3, 4]]
            assert session.run()[0].tolist() == [[0, 2, 0, 4]]
        with pytest.raises(Problem, match="the model has 2 signatures") as caught, opened(two_signatures()):
            pass
        assert caught.value.where == "m.signature"


def test_a_model_with_a_memory_begins_empty(stub_library: Path) -> None:
    """Neither the trial nor a measurement leaves anything in it."""
    with opened(remembering()) as session:
        session.input_array(0)[...] = [[1, 2]]
        assert session.run()[0].tolist() == [[1, 2]]
        assert session.run()[0].tolist() == [[2, 4]]


def test_a_refused_order_names_its_key_without_the_file() -> None:
    """So that the line of the config is found."""
    model = one_op("RELU", (1, 8))
    digest = hashlib.sha256(model).hexdigest()
    wanted = Wanted(delegates=("npu",))
    with (
        pytest.raises(Problem, match="no delegate runs this model: npu: ") as caught,
        open_session(model, digest, wanted, where="lane.a.model.b (/models/b.tflite)"),
    ):
        pass
    assert caught.value.where == "lane.a.model.b.delegates"


def test_a_model_of_the_edge_tpu_without_one_says_so() -> None:
    model = one_op("RELU", (1, 8), custom="edgetpu-custom-op")
    with pytest.raises(Problem, match="it is compiled for the Edge TPU") as caught, opened(model):
        pass
    assert 'delegates = ["edgetpu"]' in caught.value.remedy
    with (
        pytest.raises(Problem, match=r"libedgetpu|Coral") as caught,
        opened(model, delegates=("edgetpu", "xnnpack")),
    ):
        pass
    assert "xnnpack: the model is refused: it is compiled for the Edge TPU" in caught.value.what


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_dies_is_replaced_by_the_cpu_with_the_same_answer() -> None:
    with opened(VIEW.read_bytes(), delegates=("gpu",)) as session:
        assert isinstance(session, FallbackSession)
        assert session.delegate == "gpu"
        assert session.choice.note.startswith("SwiftShader Device")
        session.input_array(0)[...] = np.random.default_rng(3).integers(0, 256, (1, 96, 96, 3))
        expected = session.run()[0].copy()
        assert session._session is not None
        os.kill(session._session.child.pid, signal.SIGKILL)
        began = time.monotonic()
        found = session.run()[0]
        assert time.monotonic() - began < 1.0
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= 4
        assert (session.delegate, session.degraded) == ("xnnpack", "gpu failed: its process died of SIGKILL")


_ELSEWHERE = """
import hashlib, sys
from agent.inference.model import Delegate
from agent.inference.session import Wanted, open_session
model = open(sys.argv[1], "rb").read()
wanted = Wanted(delegates=("npu",), libraries={"npu": Delegate(library=sys.argv[2])})
with open_session(model, hashlib.sha256(model).hexdigest(), wanted, where="m") as session:
    print(session.delegate, session.run()[0].shape)
"""


def test_children_start_from_any_folder_and_an_installed_copy(stub_library: Path, tmp_path: Path) -> None:
    """A copy of the package as it lies in site-packages; the folder has files that would be imported in place of Python's."""
    (tmp_path / "site" / "agent").parent.mkdir()
    for file in (PROJECT / "agent").rglob("*.py"):
        copy = tmp_path / "site" / file.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "socket.py").write_text("raise SystemExit('imported from the working folder')")
    (tmp_path / "model").write_bytes(one_op("RELU", (1, 4)))
    ran = subprocess.run(
        [sys.executable, "-P", "-c", _ELSEWHERE, tmp_path / "model", stub_library],
        cwd=tmp_path / "here",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == "npu (1, 4)\n", ran.stderr
