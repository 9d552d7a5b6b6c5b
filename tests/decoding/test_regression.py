"""Measured numbers, each a result."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, regression
from agent.problems import Exit, Problem
from agent.records import Placement


def output(count: int, dtype: str = "float32", scale: float = 0.0, zero_point: int = 0) -> Shape:
    return Shape(name="out", shape=(1, count), dtype=dtype, scale=scale, zero_point=zero_point)


def test_each_number_with_its_name() -> None:
    decoder = regression.open_decoder((), (output(3),), Options(labels=("x", "y", "z")), "m")
    found = decoder.decode([np.array([[0.5, -2, 1e6]], np.float32)], Placement())
    assert found.labels == ("x", "y", "z")
    assert found.scores.tolist() == [1, 1, 1]
    assert found.values is not None
    assert found.values.dtype == np.float64
    assert found.values.tolist() == [0.5, -2, 1e6]
    assert (found.indexes, decoder.gives) == ((), "values")


def test_quantised_and_several_outputs() -> None:
    outputs = (output(1, "int8", 0.25, -8), output(2, "uint8", 0.5, 2), output(1, "int16", 0.01, 0))
    decoder = regression.open_decoder((), outputs, Options(), "m")
    values = [np.array([[-4]], np.int8), np.array([[0, 255]], np.uint8), np.array([[-300]], np.int16)]
    found = decoder.decode(values, Placement())
    assert found.labels == ("0", "1", "2", "3")
    np.testing.assert_allclose(found.values, [1, -1, 126.5, -3])


@pytest.mark.filterwarnings("error")
def test_what_is_no_number_is_left_out() -> None:
    decoder = regression.open_decoder((), (output(3),), Options(labels=("x", "y", "z")), "m")
    found = decoder.decode([np.array([[np.nan, 2, -np.inf]], np.float32)], Placement())
    assert (found.labels, found.values.tolist()) == (("y",), [2])  # type: ignore[union-attr]
    assert len(decoder.decode([np.full((1, 3), np.nan, np.float32)], Placement())) == 0


def test_what_it_cannot_read() -> None:
    with pytest.raises(Problem, match="2 labels for 3 numbers") as caught:
        regression.open_decoder((), (output(3),), Options(labels=("a", "b")), "m")
    assert (caught.value.code, caught.value.where) == (Exit.MODEL, "m.labels")
    with pytest.raises(Problem, match=r"64 numbers at most.*1×1001") as caught:
        regression.open_decoder((), (output(1001),), Options(), "m")
    assert '"raw"' in caught.value.remedy
    grid = Shape(name="grid", shape=(1, 4, 4), dtype="float32", scale=0.0, zero_point=0)
    with pytest.raises(Problem, match="1×4×4"):
        regression.open_decoder((), (grid,), Options(), "m")


def test_only_a_single_number_is_claimed() -> None:
    assert regression.claims((), (output(1),), Options()) is not None
    assert regression.claims((), (output(1),), Options(labels=("shut", "open"))) is None
    assert regression.claims((), (output(2),), Options()) is None
    assert regression.claims((), (output(1), output(1)), Options()) is None
