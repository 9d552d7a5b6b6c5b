"""`replay --mot`: a MOTChallenge folder through the tracker of a config."""

from pathlib import Path

import numpy as np
import pytest
from peers.walkers import walkers

from agent.__main__ import main

CONFIG = """\
version = 1
[device]
site = "s"
name = "n"
data = "data"
[lane.yard.source]
kind = "camera"
url = "clip.avi"
{tracker}
[lane.yard.model.people]
path = "people.tflite"
"""


def config(folder: Path, tracker: str = "[lane.yard.tracker]\nlost_s = 1.5\n") -> Path:
    (folder / "people.tflite").write_bytes(b"\x1c\0\0\0TFL3 people")
    path = folder / "edge-agent.toml"
    path.write_text(CONFIG.format(tracker=tracker))
    return path


def sequence(
    folder: Path, lines: list[str], info: str = "[Sequence]\nname=walk\nframeRate=30\nseqLength=300\n"
) -> Path:
    made = folder / "walk"
    (made / "det").mkdir(parents=True)
    (made / "seqinfo.ini").write_text(info)
    (made / "det" / "det.txt").write_text("\n".join(lines) + "\n")
    return made


def run(folder: Path, made: Path, *more: str) -> int:
    return main(
        ["replay", "--mot", str(made), "--config", str(config(folder)), "--mot-out", str(folder / "out.txt"), *more]
    )


def test_tracks_come_out_in_the_same_form(tmp_path: Path) -> None:
    scene = walkers(np.random.default_rng(1), count=6, seconds=10)
    lines = [
        f"{place},-1,{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f},{score:.3f},-1,-1,-1"
        for place, frame in enumerate(scene, 1)
        for (x0, y0, x1, y1), score in zip(frame.boxes, frame.scores, strict=True)
    ]
    assert run(tmp_path, sequence(tmp_path, lines)) == 0
    rows = [line.split(",") for line in (tmp_path / "out.txt").read_text().splitlines()]
    assert {len(row) for row in rows} == {10}
    frames = [int(row[0]) for row in rows]
    assert frames == sorted(frames)
    people = {person for frame in scene for person in frame.people.tolist()} - {0}
    assert 0.5 * len(people) <= len({row[1] for row in rows}) <= 2 * len(people)
    given = {(line.split(",")[0], *(f"{float(word):g}" for word in line.split(",")[2:6])) for line in lines}
    assert {(row[0], *row[2:6]) for row in rows} <= given, "boxes are those that came in"


@pytest.mark.parametrize(
    ("lines", "info", "words"),
    [
        (["1,-1,10,10,5,5,0.9", "2,-1,nothing,10,5,5,0.9"], None, "line 2 is no detection"),
        (["0,-1,10,10,5,5,0.9"], None, "line 1 is no detection"),
        (["1,-1,10,10,-5,5,0.9"], None, "line 1 is no detection"),
        (["1,-1,10,10,5,5,0.9"], "[Sequence]\nframeRate=0\nseqLength=3\n", "must be above 0"),
        (["1,-1,10,10,5,5,0.9"], "no ini", "seqinfo.ini"),
    ],
)
def test_what_is_no_such_folder_is_one_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str], info: str | None, words: str
) -> None:
    made = sequence(tmp_path, lines) if info is None else sequence(tmp_path, lines, info)
    assert run(tmp_path, made) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_without_a_tracker_or_half_of_the_options_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = sequence(tmp_path, ["1,-1,10,10,5,5,0.9"])
    path = config(tmp_path, tracker="")
    assert main(["replay", "--mot", str(made), "--config", str(path), "--mot-out", str(tmp_path / "out.txt")]) == 4
    assert "[lane.NAME.tracker]" in capsys.readouterr().err
    for words in (["replay"], ["replay", "--mot", str(made)], ["replay", "folder", "--mot", str(made)]):
        assert main(words) == 2
        assert "--mot with --config and --mot-out" in capsys.readouterr().err
