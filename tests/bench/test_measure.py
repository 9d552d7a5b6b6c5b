"""What the figures are made of, and what becomes of a child that dies."""

import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bench import children, table
from agent.bench.measure import FRAME_PX, Job, Measured, latency, picture
from agent.inference.model import Config


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=300))
def test_percentiles_are_nearest_ranks(took: list[float]) -> None:
    found = latency(took)
    assert found.queries == len(took)
    assert found.mean_ms == pytest.approx(statistics.fmean(took))
    for share, value in ((0.5, found.p50_ms), (0.9, found.p90_ms), (0.99, found.p99_ms)):
        assert value in took
        assert sum(one <= value for one in took) >= share * len(took) - 1e-9
        assert sum(one < value for one in took) < share * len(took) + 1e-9


def test_the_frame() -> None:
    assert picture().shape == (FRAME_PX[1], FRAME_PX[0], 3)
    assert picture().dtype == "uint8"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import os; os.abort()", "crashed: SIGABRT"),
        ("import sys; print('no idea', file=sys.stderr); sys.exit(7)", "ended with 7: no idea"),
        ("pass", "ended with 0: it said nothing"),
    ],
)
def test_a_child_that_dies_is_a_line(monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    monkeypatch.setattr(children, "SCRIPT", script)
    job = Job(config=Config(catalogue="view", delegates=("cpu",)), kind="frame", seconds=0.1)
    assert children.measured_in_child(job).problem == said


def test_a_child_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "SCRIPT", "import time; time.sleep(60)")
    monkeypatch.setattr(children, "MORE_S", 0.3)
    job = Job(config=Config(catalogue="view", delegates=("cpu",)), kind="frame", seconds=0.05)
    assert "hung" in str(children.measured_in_child(job).problem)


def row(asked: str, p90_ms: float, **more: object) -> table.Row:
    one = latency([p90_ms])
    measured = Measured(
        runtime="litert 2", delegate=asked, decoder="raw", invoke=one, whole=one, load_ms=12.0, rss_bytes=50_000_000
    )
    return table.Row(delegate=asked, threads=1, measured=msgspec.structs.replace(measured, **more))


def test_the_table() -> None:
    dead = table.Row(delegate="gpu", threads=1, measured=Measured(problem="crashed: SIGSEGV"))
    lines = list(
        table.lines(
            [row("xnnpack", 2.0), dead, row("cpu", 8.0), row("edgetpu", 1.0, delegate="xnnpack", degraded="unplugged")]
        )
    )
    assert lines[1].split()[:4] == ["xnnpack", "1", "2.00", "2.00"]
    assert lines[1].endswith(" ██████")
    assert lines[2].split(maxsplit=2) == ["gpu", "1", "crashed: SIGSEGV"]
    assert lines[3].endswith("█" * 24)
    assert lines[4].startswith("edgetpu → xnnpack")
    assert lines[5] == "  degraded: unplugged"


@pytest.mark.parametrize(
    ("share", "drawn"), [(0.0, "▏"), (1.0, "█" * 24), (0.5, "█" * 12), (2.0, "█" * 24), (1 / 48, "▌")]
)
def test_bars(share: float, drawn: str) -> None:
    assert table.bar(share) == drawn


@pytest.mark.parametrize(("took", "said"), [(0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123")])
def test_three_digits(took: float, said: str) -> None:
    assert table.milliseconds(took) == said
