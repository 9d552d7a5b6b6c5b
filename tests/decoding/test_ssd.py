"""The four outputs of TFLite_Detection_PostProcess, in any order."""

import itertools

import numpy as np
import pytest

from agent.decoding import Options, Shape, ssd
from agent.problems import Problem
from agent.records import Placement

OP = "TFLite_Detection_PostProcess"
NAMES = (OP, f"{OP}:1", f"{OP}:2", f"{OP}:3")


def values(count: float = 2.0) -> tuple[np.ndarray, ...]:
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [-0.1, 0.5, 0.4, 1.2], [0, 0, 1, 1]]], np.float32)  # y0 x0 y1 x1
    return (
        boxes,
        np.array([[1, 0, 2]], np.float32),
        np.array([[0.9, 0.6, 0.95]], np.float32),
        np.array([count], np.float32),
    )


def shapes(names: tuple[str, ...]) -> tuple[Shape, ...]:
    return tuple(Shape(name=name, shape=(), dtype="float32", scale=0.0, zero_point=0) for name in names)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_by_name(order: tuple[int, ...]) -> None:
    given = shapes(tuple(NAMES[index] for index in order))
    assert ssd.claims((), given, Options()) is not None
    decoder = ssd.open_decoder((), given, Options(labels=("cat", "dog")), "m")
    found = decoder.decode([values()[index] for index in order], Placement())
    assert found.labels == ("dog", "cat")
    np.testing.assert_allclose(found.scores, [0.9, 0.6])
    np.testing.assert_allclose(found.boxes, [[0.2, 0.1, 0.6, 0.5], [0.5, 0.0, 1.0, 0.4]])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_by_shape_where_names_say_nothing(order: tuple[int, ...]) -> None:
    given = shapes(tuple(f"StatefulPartitionedCall:{index}" for index in range(4)))
    decoder = ssd.open_decoder((), given, Options(labels=("cat", "dog")), "m")
    assert decoder.decode([values()[index] for index in order], Placement()).labels == ("dog", "cat")


def test_score_top_count_and_labels_missing() -> None:
    decoder = ssd.open_decoder((), shapes(NAMES), Options(), "m")
    assert decoder.decode(list(values(3)), Placement()).labels == ("1", "0", "2")
    assert len(decoder.decode(list(values(0)), Placement())) == 0
    assert decoder.decode(list(values(99)), Placement()).labels == ("1", "0", "2")  # a count beyond the arrays
    strict = ssd.open_decoder((), shapes(NAMES), Options(score=0.7, top=1), "m")
    assert len(strict.decode(list(values()), Placement())) == 1


def test_other_models_are_refused() -> None:
    with pytest.raises(Problem, match="gives 2"):
        ssd.open_decoder((), shapes(NAMES[:2]), Options(), "m")
    decoder = ssd.open_decoder((), shapes(("a", "b", "c", "d")), Options(), "m")
    with pytest.raises(Problem, match="1×7"):
        decoder.decode([np.zeros((1, 7), np.float32)] * 4, Placement())
