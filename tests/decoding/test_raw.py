"""Outputs stored as they are."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, raw
from agent.records import Placement


def test_all_outputs_dequantised_in_order() -> None:
    outputs = (
        Shape(name="a", shape=(1, 2, 2), dtype="float32", scale=0.0, zero_point=0),
        Shape(name="b", shape=(1, 3), dtype="int8", scale=0.5, zero_point=-1),
        Shape(name="c", shape=(), dtype="int64", scale=0.0, zero_point=0),
    )
    decoder = raw.open_decoder((), outputs, Options(), "m")
    values = [np.arange(4, dtype=np.float32).reshape(1, 2, 2), np.array([[-1, 1, 127]], np.int8), np.array(7)]
    found = decoder.decode(values, Placement())
    assert (found.labels, found.scores.tolist(), decoder.gives) == (("raw",), [1.0], "vector")
    assert found.vectors is not None
    assert found.vectors.dtype == np.float32
    assert found.vectors.tolist() == [[0, 1, 2, 3, 0, 1, 64, 7]]


@pytest.mark.filterwarnings("error")
def test_it_keeps_a_copy_and_changes_nothing() -> None:
    outputs = (Shape(name="a", shape=(1, 2), dtype="float32", scale=0.0, zero_point=0),)
    values = np.array([[np.nan, np.inf]], np.float32)
    found = raw.open_decoder((), outputs, Options(labels=("levels",)), "m").decode([values], Placement())
    values[:] = 0
    assert found.labels == ("levels",)
    assert found.vectors is not None
    np.testing.assert_array_equal(found.vectors, [[np.nan, np.inf]])
    assert raw.open_decoder((), (), Options(), "m").decode([], Placement()).vectors.shape == (1, 0)  # type: ignore[union-attr]
