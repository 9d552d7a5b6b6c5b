"""Trial before trust: what loads nowhere else before a child has run it, and what the trial says of files that are none or damaged."""

import hashlib
import os
import signal
import threading
from pathlib import Path

import pytest
from peers.damaged import damaged, tried
from peers.tiny_models import one_op, two_signatures

from agent.inference import trial
from agent.inference._child_messages import Load
from agent.inference.remembered import Remembered
from agent.inference.session import Wanted, open_session
from agent.problems import Exit, Problem

ON_CPU = Load(delegate="xnnpack")
VIEW = Path(__file__).parents[2] / "models" / "view-int8.tflite"


def digest(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()


def unique(seed: int) -> bytes:
    """A model that no other test has tried in this process."""
    return one_op("RELU", (1, 1000 + seed))


def test_what_passed_is_remembered_by_its_digest(tmp_path: Path) -> None:
    model = unique(1)
    trial.check(model, digest(model), ON_CPU, Remembered(tmp_path), where="m")
    text = (tmp_path / "delegates.json").read_text()
    assert text.count(digest(model)) == 1
    # No trial: the bytes that are given are not even looked at.
    trial.check(b"", digest(model), ON_CPU, Remembered(tmp_path), where="m")
    with pytest.raises(Problem):
        trial.check(b"x", digest(b"x"), ON_CPU, Remembered(tmp_path), where="m")
    assert (tmp_path / "delegates.json").read_text() == text


@pytest.mark.parametrize(("kills", "passes"), [(1, True), (2, False)])
def test_a_file_is_to_blame_when_its_trial_dies_twice(tmp_path: Path, kills: int, passes: bool) -> None:
    """Killed from outside, as the kernel does where memory is short."""
    killed: set[int] = set()
    over = threading.Event()

    def kill() -> None:
        while len(killed) < kills and not over.wait(0.001):
            for child in _children() - killed - before:
                killed.add(child)
                os.kill(child, signal.SIGKILL)

    before, model = _children(), unique(50 + kills)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        if passes:
            trial.check(model, digest(model), ON_CPU, Remembered(tmp_path), where="m")
        else:
            with pytest.raises(Problem, match="SIGKILL"):
                trial.check(model, digest(model), ON_CPU, Remembered(tmp_path), where="m")
    finally:
        over.set()
        killer.join()
    assert len(killed) == kills


def _children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


@pytest.mark.parametrize(
    ("model", "what", "remedy"),
    [
        (b"<html>404 Not Found</html>", "the model is refused", "The file is damaged or no TFLite model"),
        (VIEW.read_bytes()[:20_000], "the model is refused", "The file is damaged or no TFLite model"),
        (one_op("RELU", (1, 4), custom="FancyOp"), "it has the custom op FancyOp", "This runtime lacks the op"),
        (one_op("RELU", (1, 4), version=99), "the op RELU in version 99", "This runtime lacks the op in that version"),
        (
            one_op("RELU", (1, 4), custom="edgetpu-custom-op"),
            "it is compiled for the Edge TPU (edgetpu-custom-op)",
            'It needs delegates = ["edgetpu"]',
        ),
    ],
)
def test_a_refusal_is_one_line_that_names_the_op(model: bytes, what: str, remedy: str) -> None:
    with (
        pytest.raises(Problem) as caught,
        open_session(model, digest(model), Wanted(delegates=("xnnpack",)), where="lane.yard.model.view"),
    ):
        pass
    assert caught.value.code is Exit.MODEL
    assert str(caught.value).startswith("lane.yard.model.view: ")
    assert what in str(caught.value)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_that_is_wrong_is_named() -> None:
    model = two_signatures()
    with pytest.raises(Problem) as caught:
        trial.check(model, digest(model), ON_CPU, Remembered(None), where="m")
    assert caught.value.where == "m.signature"
    assert "the model has 2 signatures: " in caught.value.what
    trial.check(model, digest(model), Load(delegate="cpu", signature="double"), Remembered(None), where="m")


def test_a_model_that_wants_all_memory_gets_none() -> None:
    model = one_op("RELU", (1, 2_000_000_000))  # 16 GB of tensors
    with pytest.raises(Problem, match="m: the model is refused: ") as caught:
        trial.check(model, digest(model), ON_CPU, Remembered(None), where="m")
    assert "\n" not in str(caught.value)


def test_a_model_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LIMIT_S", 0.01)
    with pytest.raises(Problem, match=r"the model is refused: at its trial it did not answer within 0\.01 s"):
        trial.check(unique(2), digest(unique(2)), ON_CPU, Remembered(None), where="m")


def test_damaged_files_are_refused_or_run() -> None:
    """Thirty here; a thousand in tests/faults/test_bad_model.py."""
    told = [problem for problem in tried(damaged(VIEW.read_bytes(), 30, seed=1)) if problem]
    assert 5 < len(told) < 30
    assert [text for text in told if "\n" in text or not text.startswith("m: the model is refused: ")] == []
