"""Reconstruction error → an anomaly, or nothing."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, anomaly
from agent.problems import Problem


def shape(count: int) -> tuple[Shape, ...]:
    return (Shape(name="x", shape=(1, count), dtype="int8", scale=0.1, zero_point=0),)


def test_the_greatest_axis_decides() -> None:
    decoder = anomaly.open_decoder(shape(4), shape(4), Options(score=1.0), "m")
    given = np.zeros((3, 4), np.float32)
    rebuilt = np.array([[0, 0, 0, 0], [2, 0, 0, 1], [1, 0, 0, 0]], np.float32)  # mean squares 0, 1.25, 0.25
    found = decoder.decode_rows(given, rebuilt)
    assert found.labels == ("anomaly",)
    assert found.values.tolist() == [1.25]
    assert found.scores.tolist() == [pytest.approx(1.25 / 2.25)]


def test_below_the_threshold_nothing_is_found() -> None:
    decoder = anomaly.open_decoder(shape(4), shape(4), Options(score=1.0), "m")
    given = np.zeros((1, 4), np.float32)
    assert len(decoder.decode_rows(given, np.full((1, 4), 0.99, np.float32))) == 0
    at = decoder.decode_rows(given, np.ones((1, 4), np.float32))
    assert at.scores.tolist() == [0.5]


def test_what_it_cannot_read() -> None:
    with pytest.raises(Problem, match="4 numbers in and 3 out"):
        anomaly.open_decoder(shape(4), shape(3), Options(score=1.0), "m")
    with pytest.raises(Problem, match="from which score"):
        anomaly.open_decoder(shape(4), shape(4), Options(), "m")
    assert anomaly.claims(shape(4), shape(4), Options()) is not None
    assert anomaly.claims(shape(4), shape(3), Options()) is None
