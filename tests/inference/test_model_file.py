"""Files that are missing, empty, or another than the config trusts."""

import hashlib
from pathlib import Path

import pytest

from agent.inference.model_file import load
from agent.problems import Exit, Problem


def test_gives_bytes_and_digest(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    assert load(tmp_path / "m.tflite", sha256=digest, where="m") == (b"abc", digest)
    assert load(tmp_path / "m.tflite", sha256=None, where="m") == (b"abc", digest)


def test_another_digest_names_both(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"abd")
    wanted = hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(Problem) as caught:
        load(tmp_path / "m.tflite", sha256=wanted, where="lane.a.model.b")
    assert wanted in caught.value.what
    assert hashlib.sha256(b"abd").hexdigest() in caught.value.what
    assert str(tmp_path / "m.tflite") in caught.value.what
    assert caught.value.code == Exit.MODEL


def test_missing_empty_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.tflite").touch()
    for name, said in (("none.tflite", "No such file"), ("empty.tflite", "is empty"), (".", "directory")):
        with pytest.raises(Problem, match=said) as caught:
            load(tmp_path / name, sha256=None, where="m")
        assert caught.value.code == Exit.MODEL
