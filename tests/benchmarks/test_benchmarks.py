"""Benchmarks can be started, and their figures are written and read in one form. What they measure is no matter of a test."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.__main__ import areas
from benchmarks.figures import Figure, at_least, at_most, from_line, known, table, to_line

PROJECT = Path(__file__).parent.parent.parent
LIMIT_S = 60


@pytest.mark.parametrize("area", ["", *(f".{area}" for area in areas())])
def test_every_benchmark_says_what_it_measures(area: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks{area}", "--help"], cwd=PROJECT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout
    assert "--json" in done.stdout


def test_areas_are_the_files() -> None:
    assert {"lane", "process", "store", "sync"} <= set(areas())
    assert not {"figures", "__main__", "__init__"} & set(areas())


def test_an_unknown_area_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"], cwd=PROJECT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )  # fmt: skip
    assert done.returncode == 2
    assert "nothing" in done.stderr


@pytest.mark.parametrize(
    "figure",
    [
        known("frames a second", 212.5, "frames/s", baseline=230.0),
        at_least("share of a plain loop", 0.93, "ratio", baseline=1.0, target=0.9),
        at_most("memory", 131.0, "MB", target=110.0),
    ],
)
def test_a_figure_is_read_as_it_was_written(figure: Figure) -> None:
    assert from_line(to_line(figure)) == figure


def test_the_line_has_the_six_keys() -> None:
    line = msgspec.json.decode(to_line(known("rate", 2, "/s")))
    assert line == {"name": "rate", "value": 2, "unit": "/s", "baseline": None, "target": None, "holds": None}


@pytest.mark.parametrize("line", ["", "1", '{"name": "rate"}', "Traceback (most recent call last):"])
def test_other_lines_are_no_figures(line: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        from_line(line)


@pytest.mark.parametrize(("value", "holds"), [(0.89, False), (0.9, True), (0.91, True)])
def test_a_target_that_is_met_holds(value: float, holds: bool) -> None:
    assert at_least("share", value, "ratio", target=0.9).holds is holds
    assert at_most("share", -value, "ratio", target=-0.9).holds is holds


def test_the_table_names_what_does_not_hold() -> None:
    text = table(
        [("lane", [at_least("share", 0.5, "ratio", baseline=1.0, target=0.9)]), ("store", [known("rate", 52341, "/s")])]
    )
    lines = [line.split() for line in text.splitlines()[1:] if line]
    assert lines == [
        ["lane"],
        ["share", "0.5", "ratio", "1", "0.9", "DOES", "NOT", "HOLD"],
        ["store"],
        ["rate", "52341", "/s"],
    ]
