"""FOMO's grids, made from known cells."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decoding import Options, Shape, fomo
from agent.decoding._recognise import recognise
from agent.problems import Exit, Problem
from agent.records import Placement

Cell = tuple[int, int, int, float]  # row, column, channel, probability


def image(height: int = 96, width: int = 96, channels: int = 3) -> tuple[Shape, ...]:
    return (Shape(name="in", shape=(1, height, width, channels), dtype="int8", scale=1 / 255, zero_point=-128),)


def output(array: np.ndarray) -> tuple[Shape, ...]:
    quantised = array.dtype == np.int8
    scale, zero_point = (1 / 256, -128) if quantised else (0.0, 0)
    return (Shape(name="out", shape=array.shape, dtype=str(array.dtype), scale=scale, zero_point=zero_point),)


def grid(
    cells: Sequence[Cell], size: tuple[int, int] = (12, 12), channels: int = 3, *, int8: bool = False
) -> np.ndarray:
    """Every cell sums to 1: what a thing does not have is background's."""
    heat = np.zeros((1, *size, channels), np.float64)
    for row, column, channel, share in cells:
        heat[0, row, column, channel] = share
    heat[..., 0] = 1 - heat[..., 1:].sum(axis=-1)
    return np.round(heat * 256 - 128).clip(-128, 127).astype(np.int8) if int8 else heat.astype(np.float32)


def decode(array: np.ndarray, placement: Placement | None = None, **options: object):
    decoder = fomo.open_decoder(image(), output(array), Options(**options), "m")  # type: ignore[arg-type]
    return decoder.decode([array], placement or Placement())


@pytest.mark.parametrize("int8", [False, True])
def test_touching_cells_are_one_thing(int8: bool) -> None:
    cells = [
        (2, 3, 1, 0.75),
        (2, 4, 1, 0.9375),
        (3, 5, 1, 0.625),
        (9, 9, 2, 0.875),
        (2, 5, 2, 0.5625),
        (0, 11, 1, 0.25),
    ]
    found = decode(grid(cells, int8=int8), labels=("cup", "pen"))
    assert found.labels == ("cup", "pen", "pen")
    assert found.indexes == (0, 1, 1)
    np.testing.assert_allclose(found.scores, [0.9375, 0.875, 0.5625])
    wanted = np.array([(3, 2, 6, 4), (9, 9, 10, 10), (5, 2, 6, 3)]) / 12
    np.testing.assert_allclose(found.boxes, wanted, atol=1e-6)
    weights = np.array([0.75, 0.9375, 0.625])
    centre = (weights @ [3.5, 4.5, 5.5], weights @ [2.5, 2.5, 3.5]) / weights.sum() / 12
    np.testing.assert_allclose(found.keypoints[0, 0], (*centre, 0.9375), atol=1e-6)


def test_the_middle_that_was_cut_out_is_put_back() -> None:
    # A frame twice as wide as high: the input shows its middle half.
    crop = Placement(x=-0.5, width=2.0)
    found = decode(grid([(0, 0, 1, 0.9), (11, 11, 1, 0.8)]), crop)
    np.testing.assert_allclose(
        found.boxes, [(0.25, 0, 0.25 + 1 / 24, 1 / 12), (0.75 - 1 / 24, 11 / 12, 0.75, 1)], atol=1e-6
    )
    letterbox = decode(grid([(0, 5, 1, 0.9), (6, 6, 1, 0.8)]), Placement(y=0.25, height=0.5))
    np.testing.assert_allclose(
        letterbox.boxes, [(0.5, 0.5, 7 / 12, 0.5 + 1 / 6)], atol=1e-6
    )  # the other is in the border


def test_thresholds() -> None:
    cells = [(1, 1, 1, 0.4), (5, 5, 1, 0.5), (8, 8, 2, 0.6)]
    assert len(decode(grid(cells))) == 2
    assert len(decode(grid(cells), score=0.35)) == 3
    assert decode(grid(cells), top=1).labels == ("1",)
    assert len(decode(grid(cells), score=0.0)) == 3  # a cell without a trace of a class is none of it


def test_logits_are_taken_too() -> None:
    logits = np.zeros((1, 12, 12, 3), np.float32)
    logits[..., 0] = 9.0
    logits[0, 4, 7] = (0.0, 0.0, 3.0)
    found = decode(logits)
    assert found.indexes == (1,)
    np.testing.assert_allclose(found.scores, [np.exp(3) / (np.exp(3) + 2)], rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_nothing_is_found_in_nothing(value: float) -> None:
    found = decode(np.full((1, 12, 12, 3), value, np.float32))
    assert (len(found), found.boxes.shape, found.keypoints.shape) == (0, (0, 4), (0, 1, 3))


def spread(reached: np.ndarray) -> set[frozenset[tuple[int, int]]]:
    """Groups of touching cells, by flooding from each."""
    left = {(int(row), int(column)) for row, column in np.argwhere(reached)}
    groups = set()
    while left:
        group, edge = set(), {left.pop()}
        while edge:
            row, column = edge.pop()
            group.add((row, column))
            near = {(row + dy, column + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge |= near
        groups.add(frozenset(group))
    return groups


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 14), st.integers(2, 14), st.sampled_from([0.3, 0.5, 0.7]))
def test_noise_against_a_plain_reference(seed: int, rows: int, columns: int, least: float) -> None:
    heat = np.random.default_rng(seed).dirichlet((0.4, 0.3, 0.3), (1, rows, columns)).astype(np.float32)
    found = decode(heat, score=least)
    wanted = set()
    for channel in (1, 2):
        for group in spread(heat[0, ..., channel] >= np.float32(least)):
            ys, xs = zip(*group, strict=True)
            box = (min(xs) / columns, min(ys) / rows, (max(xs) + 1) / columns, (max(ys) + 1) / rows)
            score = max(heat[0, y, x, channel] for y, x in group)
            wanted.add((channel - 1, round(float(score), 5), *(round(value, 5) for value in box)))
    got = {
        (index, round(float(score), 5), *(round(float(value), 5) for value in box))
        for index, score, box in zip(found.indexes, found.scores, found.boxes, strict=True)
    }
    assert {(row[0], *np.round(row[1:], 4)) for row in got} == {(row[0], *np.round(row[1:], 4)) for row in wanted}


@pytest.mark.parametrize(
    ("inputs", "size", "channels", "int8", "labels"),
    [
        (image(), (12, 12), 3, True, ()),
        (image(96, 96, 1), (12, 12), 2, True, ("cup",)),
        (image(160, 160), (20, 20), 4, False, ("a", "b", "c")),
        (image(320, 240), (40, 30), 2, False, ()),
        (image(96, 96), (6, 6), 2, False, ()),
    ],
)
def test_recognised(
    inputs: tuple[Shape, ...], size: tuple[int, int], channels: int, int8: bool, labels: tuple[str, ...]
) -> None:
    given_output = output(grid([], size, channels, int8=int8))
    assert recognise(inputs, given_output, Options(labels=labels), said=None, where="m").decoder == "fomo"


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_a_map_a_quarter_as_large_may_be_a_segmentation(labels: tuple[str, ...]) -> None:
    with pytest.raises(Problem) as caught:
        recognise(image(), output(grid([], (24, 24))), Options(labels=labels), said=None, where="m")
    assert "fomo" in caught.value.what
    assert "segmentation" in caught.value.what


@pytest.mark.parametrize(
    "size", [(1, 12, 12, 1), (1, 12, 12, 65), (1, 96, 96, 3), (1, 12, 24, 3), (1, 144, 3), (1, 1, 1, 5)]
)
def test_others_are_not_claimed(size: tuple[int, ...]) -> None:
    assert fomo.claims(image(), output(np.zeros(size, np.float32)), Options()) is None
    assert fomo.claims(image(), output(np.zeros((1, 12, 12, 3), np.float32)) * 2, Options()) is None


def test_labels_are_counted() -> None:
    given_output = output(grid([]))
    for labels in (("cup", "pen"), ("background", "cup", "pen"), ("nothing", "cup", "pen")):
        assert fomo.open_decoder(image(), given_output, Options(labels=labels), "m").labels == ("cup", "pen")
    with pytest.raises(Problem, match="1 labels for 2 classes beside the background") as caught:
        fomo.open_decoder(image(), given_output, Options(labels=("cup",)), "m")
    assert caught.value.code == Exit.MODEL
    with pytest.raises(Problem, match="1×12×12"):
        fomo.open_decoder(image(), output(np.zeros((1, 12, 12), np.float32)), Options(), "m")
