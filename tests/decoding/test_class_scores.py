"""Class scores of many anchors: the threshold in an output's own numbers against the same on real ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decoding import Shape
from agent.decoding._class_scores import ClassScores


def plain(real: np.ndarray, first: int, least: float, *, logits: bool) -> dict[int, tuple[int, float]]:
    """row → (thing, score), by a loop."""
    found = {}
    for row, values in enumerate(real):
        best = max(range(first, len(values)), key=lambda column: (values[column], -column))
        score = 1 / (1 + np.exp(-np.float32(values[best]))) if logits else values[best]
        reaches = values[best] >= np.float32(np.log(least / (1 - least))) if logits else score >= np.float32(least)
        if reaches:
            found[row] = (best - first, float(score))
    return found


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["uint8", "int8", "float32"]),
    st.booleans(),
    st.integers(0, 1),
    st.floats(0.05, 0.95),
    st.integers(1, 3),
)
def test_the_output_s_own_numbers_against_real_ones(
    seed: int, dtype: str, logits: bool, first: int, least: float, levels: int
) -> None:
    generator = np.random.default_rng(seed)
    columns = first + int(generator.integers(1, 5))
    zero_point = {"uint8": 0, "int8": -128, "float32": 0}[dtype] + (128 if logits and dtype != "float32" else 0)
    scale = (0.07 if logits else 1 / 256) if dtype != "float32" else 0.0
    outputs = []
    for _ in range(levels):
        size = (1, int(generator.integers(1, 40)), columns)
        if dtype == "float32":
            outputs.append(
                generator.normal(-1, 3, size).astype(np.float32) if logits else generator.random(size, np.float32)
            )
        else:
            info = np.iinfo(dtype)
            outputs.append(generator.integers(info.min, info.max + 1, size).astype(dtype))
    if logits and dtype == "float32":
        outputs[0][0, 0, 0] = -9.0  # what tells them from probabilities
    shapes = [Shape(name="s", shape=o.shape, dtype=dtype, scale=scale, zero_point=zero_point) for o in outputs]
    real = np.concatenate([one[0] for one in outputs]).astype(np.float32)
    if scale:
        real = (real - np.float32(zero_point)) * np.float32(scale)
    scores = ClassScores(shapes, columns=columns, first=first, softmax=False, least=least)
    for _ in range(2):
        rows, things, found = scores.find(outputs)
        wanted = plain(real, first, least, logits=logits)
        assert list(found) == sorted(found, reverse=True)
        assert dict(zip(rows, things, strict=True)) == {row: one[0] for row, one in wanted.items()}
        np.testing.assert_allclose(found, [wanted[row][1] for row in rows], rtol=1e-5)


def test_softmax_over_a_row() -> None:
    shape = Shape(name="s", shape=(1, 2, 3), dtype="float32", scale=0.0, zero_point=0)
    scores = ClassScores([shape], columns=3, first=1, softmax=True, least=0.5)
    rows, things, found = scores.find([np.log(np.array([[[1, 2, 7], [8, 1, 1]]], np.float32))])
    assert (list(rows), list(things)) == ([0], [1])
    assert found[0] == pytest.approx(0.7)


def test_a_first_run_of_nothing_does_not_settle_what_the_numbers_are() -> None:
    shape = Shape(name="s", shape=(1, 2, 2), dtype="float32", scale=0.0, zero_point=0)
    scores = ClassScores([shape], columns=2, first=0, softmax=False, least=0.5)
    assert len(scores.find([np.full((1, 2, 2), np.nan, np.float32)])[0]) == 0
    logits = np.array([[[-3.0, -2.0], [0.25, -4.0]]], np.float32)
    assert scores.find([logits])[2][0] == pytest.approx(1 / (1 + np.exp(-0.25)))


@pytest.mark.parametrize(("least", "count"), [(0.0, 3), (1.0, 0)])
def test_thresholds_at_the_ends(least: float, count: int) -> None:
    for dtype, scale, values in (("float32", 0.0, (-5, 1, 30)), ("int8", 0.1, (-128, 0, 127))):
        shape = Shape(name="s", shape=(1, 3, 1), dtype=dtype, scale=scale, zero_point=0)
        scores = ClassScores([shape], columns=1, first=0, softmax=False, least=least)
        assert len(scores.find([np.array(values, dtype).reshape(1, 3, 1)])[0]) == count
