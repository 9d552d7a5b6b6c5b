"""Where annotated pictures go."""

from pathlib import Path

import numpy as np
import pytest

from agent.oneshot.inputs import Given
from agent.oneshot.pictures import Pictures
from agent.problems import Exit, Problem
from agent.records import Frame

PIXELS = np.zeros((8, 8, 3), np.uint8)


def given(name: Path | str, number: int | None = None) -> Given:
    return Given(name=str(name), record=Frame(at_us=0, bgr=PIXELS), number=number)


def test_names(tmp_path: Path) -> None:
    pictures = Pictures(tmp_path / "out" / "deep")
    names = [
        pictures.write(one, PIXELS).name
        for one in (given("a/x.jpg"), given("b/x.jpg"), given("a/x.bmp"), given("clip.mp4", 1), given("clip.mp4", 2))
    ]
    assert names == ["x.png", "x_2.png", "x_3.png", "clip_000001.png", "clip_000002.png"]
    assert pictures.write(given("a/x.jpg"), PIXELS).name == "x.png"


def test_the_input_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"mine")
    assert Pictures(tmp_path).write(given(tmp_path / "x.png"), PIXELS).name == "x_annotated.png"
    assert (tmp_path / "x.png").read_bytes() == b"mine"


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Problem, match="cannot be written") as raised:
        Pictures(tmp_path / "file" / "under")
    assert raised.value.code == Exit.COMMAND_LINE
