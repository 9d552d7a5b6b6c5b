"""The source that CONTRIBUTING.md adds is a whole one: it type-checks, and does what the room asks of a source."""

import importlib.util
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from peers.manual_clock import ManualClock

from agent.problems import Problem
from agent.values import RelativePath

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    found = re.search(r"```python\n(.*?)```", (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "still.py").write_text(found[1], encoding="utf-8")
    return tmp_path / "still.py"


@pytest.fixture
def still(example: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("still", example)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_gives_the_picture_at_its_pace(still: ModuleType, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "now.png"), np.full((4, 6, 3), 7, np.uint8))
    clock = ManualClock()
    config = still.Config(path=RelativePath(tmp_path / "now.png"), every_s=2.0)
    assert not still.every_record(config)
    with still.open_source(config, clock, threading.Event(), "lane.x.source") as source:
        first = source.read(0.1)
        assert first.pixels.shape == (4, 6, 3)
        assert source.read(0.0) is None
        clock.advance(2.0)
        assert source.read(0.1).at_us - first.at_us >= 2_000_000
        (tmp_path / "now.png").write_bytes(b"cut off")
        clock.advance(2.0)
        with pytest.raises(Problem, match="is no picture"):
            source.read(0.1)


def test_what_is_not_there_is_a_problem_that_names_the_key(still: ModuleType, tmp_path: Path) -> None:
    config = still.Config(path=RelativePath(tmp_path / "not-there"))
    with (
        pytest.raises(Problem, match=r"lane\.x\.source\.path: there is no picture"),
        still.open_source(config, ManualClock(), threading.Event(), "lane.x.source"),
    ):
        pass


def test_it_type_checks(example: Path) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(example)],
        cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
