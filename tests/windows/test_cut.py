"""Windows of samples: where they end, what is new in them, what a gap does; the same whatever the size of the chunks."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.problems import Problem
from agent.records import Gap, SampleChunk, SampleWindow
from agent.windows.cut import Config, Cut


def chunk(first: int, count: int, *, lost: int = 0, axes: int = 1, stream: str = "force") -> SampleChunk:
    """Samples numbered from `first`, 1 kHz, at_us = 1,000 × number."""
    numbers = np.arange(first, first + count, dtype=np.float32)
    samples = np.stack([numbers + 0.25 * axis for axis in range(axes)], axis=1)
    return SampleChunk(at_us=first * 1000, stream=stream, period_us=1000.0, unit="N", samples=samples, lost=lost)


def take_all(cut: Cut, sizes: list[int]) -> list[SampleWindow]:
    windows, first = [], 0
    for size in sizes:
        windows += cut.take(chunk(first, size))
        first += size
    return windows


def ends(windows: list[SampleWindow]) -> list[tuple[int, float, float]]:
    return [(w.at_us, float(w.samples[0, 0]), float(w.samples[-1, 0])) for w in windows]


def test_length_and_hop() -> None:
    windows = take_all(Cut(Config(length_s=0.1, hop_s=0.04)), [20] * 10)
    assert ends(windows) == [(99_000, 0, 99), (139_000, 40, 139), (179_000, 80, 179)]
    assert windows[0].measured == {"force": (100, 4950.0, 328350.0, 0.0, 99.0)}
    assert windows[1].measured["force"][0] == 40
    assert windows[1].measured["force"][3:] == (100.0, 139.0)
    assert windows[0].units == (("force", "N"),)
    assert windows[0].features is None


def test_a_hop_longer_than_the_window_measures_what_lies_between() -> None:
    windows = take_all(Cut(Config(length_s=0.01, hop_s=0.03)), [7] * 12)
    assert ends(windows) == [(9_000, 0, 9), (39_000, 30, 39), (69_000, 60, 69)]
    assert [w.measured["force"][3:] for w in windows] == [(0.0, 9.0), (10.0, 39.0), (40.0, 69.0)]


@settings(max_examples=50)
@given(sizes=st.lists(st.integers(1, 90), min_size=1, max_size=20), length=st.integers(1, 60), hop=st.integers(1, 80))
def test_chunk_sizes_do_not_matter(sizes: list[int], length: int, hop: int) -> None:
    config = Config(length_s=length / 1000, hop_s=hop / 1000)
    windows = take_all(Cut(config), sizes)
    whole = Cut(config).take(chunk(0, sum(sizes)))
    assert [msgspec.structs.replace(w, samples=w.samples.tobytes()) for w in windows] == [
        msgspec.structs.replace(w, samples=w.samples.tobytes()) for w in whole
    ]
    total = sum(sizes)
    assert ends(whole) == [((end - 1) * 1000, end - length, end - 1) for end in range(length, total + 1, hop)]


def test_a_gap_or_lost_samples_empty_the_window() -> None:
    cut = Cut(Config(length_s=0.1, hop_s=0.1))
    assert cut.take(chunk(0, 90)) == []
    assert cut.take(Gap(at_us=90_000, why="stall")) == []
    assert cut.take(chunk(500, 90)) == []
    assert cut.take(chunk(600, 90, lost=10)) == []
    windows = cut.take(chunk(690, 10))
    assert ends(windows) == [(699_000, 600, 699)]
    assert windows[0].measured["force"][0] == 100
    assert cut.gaps == 2


def test_axes_have_names() -> None:
    config = Config(length_s=0.01, hop_s=0.01)
    assert [list(Cut(config).take(chunk(0, 10, axes=axes))[0].measured) for axes in (1, 2, 3)] == [
        ["force"],
        ["force-0", "force-1"],
        ["x", "y", "z"],
    ]


def test_a_stream_that_changes_begins_anew() -> None:
    cut = Cut(Config(length_s=0.1, hop_s=0.1))
    cut.take(chunk(0, 90))
    assert cut.take(chunk(90, 50, axes=3)) == []
    assert len(cut.take(chunk(140, 50, axes=3))) == 1


def test_features_and_a_window_too_short_for_them() -> None:
    window = Cut(Config(length_s=0.2, hop_s=0.2, features="log-bands")).take(chunk(0, 200, axes=3))[0]
    assert window.features is not None
    assert window.features.shape == (3, 64)
    with pytest.raises(Problem) as caught:
        Cut(Config(length_s=0.1, hop_s=0.1, features="log-bands"), "lane.pump.window").take(chunk(0, 20))
    assert str(caught.value) == (
        "lane.pump.window.length_s: a window of 0.1 s has 100 samples at 1000 Hz, log-bands needs 130. "
        "Set length_s to 0.13 or more"
    )
