"""Every recording of tests/replays gives the same rows twice, byte for byte, and the committed ones within what kernels may differ."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from peers.tolerance import Row, differences

from agent.config.read import read
from agent.inference import metadata
from tools.golden import EXPECTED, REPLAYS, recordings, replayed

NAMES = [folder.name for folder in recordings()]


@cache
def rows(name: str) -> str:
    return replayed(REPLAYS / name)


def parsed(text: str) -> list[Row]:
    return [json.loads(line) for line in text.splitlines()]


def kinds(name: str, kind: str) -> list[Row]:
    return [row for row in parsed(rows(name)) if row["k"] == kind]


def thresholds(folder: Path) -> dict[tuple[str, str], float]:
    """(lane, model): the least score of a result, of the config or of the model itself."""
    found: dict[tuple[str, str], float] = {}
    for name, lane in read(folder / "config.toml", environment={}).file.lane.items():
        for model, config in lane.model.items():
            said = metadata.read(Path(config.path or "").read_bytes()).score
            least = config.score if config.score is not None else said
            if least is not None:
                found[name, model] = least
    return found


def test_there_are_recordings() -> None:
    assert len(NAMES) >= 4
    files = [path for path in REPLAYS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000
    readme = (REPLAYS / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in readme] == []


@pytest.mark.parametrize("name", NAMES)
def test_two_replays_are_equal_byte_for_byte(name: str) -> None:
    assert replayed(REPLAYS / name) == rows(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_rows_are_the_committed_ones(name: str) -> None:
    """Where this fails after a change that was meant: `make golden`, and a commit of its own."""
    expected = (REPLAYS / name / EXPECTED).read_text(encoding="utf-8")
    assert differences(parsed(expected), parsed(rows(name)), thresholds(REPLAYS / name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_in_one_count(name: str) -> None:
    ticks = kinds(name, "tick")
    assert ticks
    for tick in ticks:
        assert tick["seen"] == tick["gated"] + tick["inferred"] + tick["failed"] + tick["dropped"]


# What each recording is there for, so that remaking one cannot lose it.


def events(name: str) -> list[tuple[str, str]]:
    return [(row["rule"], row["phase"]) for row in kinds(name, "event")]


def inputs(name: str, lane: str) -> list[dict[str, Any]]:
    lines = (REPLAYS / name / lane / "input.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def test_day_and_night() -> None:
    labels = [row["label"] for row in kinds("day-and-night", "result")]
    assert labels[0] == labels[-1] == "day"
    assert "night" in labels
    assert events("day-and-night") == [("yard-dark", "start"), ("yard-dark", "end")]
    assert sum(tick["gated"] for tick in kinds("day-and-night", "tick")) > 10


def test_bearing_fault() -> None:
    assert events("bearing-fault") == [("bearing-worn", "start")]
    kept = Counter(line["k"] for line in inputs("bearing-fault", "pump"))
    assert kept["read"] > 100
    assert kept["write"] > 10
    readings = [row["body"]["sens"] for row in kinds("bearing-fault", "sum") if "sens" in row["body"]]
    assert {reading["unit"] for window in readings for reading in window.values()} == {"m/s2"}


def test_clock_set_back() -> None:
    """A window that happens twice makes two summaries, each of what was seen that time; the subscriber adds them."""
    windows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in kinds("clock-set-back", "sum"):
        if row["grain"] == "s30":
            windows.setdefault((row["lane"], row["body"]["w"][0]), []).append(row["body"])
    twice = {key: bodies for key, bodies in windows.items() if len(bodies) == 2}
    assert {lane for lane, _ in twice} == {"yard", "door"}
    for first, second in twice.values():
        assert first["rev"] == second["rev"] == 0
        assert min(first["fr"]["inf"], second["fr"]["inf"]) > 0
        assert 1.0 < first["cover"] + second["cover"] <= 2.0


def test_stall_and_restart() -> None:
    lines = (REPLAYS / "stall-and-restart" / "yard" / "input.jsonl").read_text(encoding="utf-8").splitlines()
    assert not lines[-1].endswith("}")
    taken = inputs("stall-and-restart", "yard")
    gaps = {line["why"] for line in taken if line["k"] == "gap"}
    assert {"stall", "restart", "recorder"} <= gaps
    # The event that had started goes on over the restart; what the broken lane had not counted yet is in no row.
    assert events("stall-and-restart") == [("lens-covered", "start"), ("picture-covered", "start")]
    frames = sum(line["k"] == "frame" for line in taken)
    inferred = sum(tick["inferred"] for tick in kinds("stall-and-restart", "tick"))
    assert 0 < frames - inferred < 8
