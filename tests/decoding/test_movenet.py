"""MoveNet's outputs written from known people."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, Sure, movenet
from agent.problems import Exit, Problem
from agent.records import Detections, Placement


def shape(size: tuple[int, ...], dtype: str = "float32", scale: float = 0.0, zero_point: int = 0) -> tuple[Shape, ...]:
    return (Shape(name="out", shape=size, dtype=dtype, scale=scale, zero_point=zero_point),)


ONE, SIX = shape((1, 1, 17, 3)), shape((1, 6, 56))


def person(x0: float, y0: float, x1: float, y1: float, score: float = 0.8) -> np.ndarray:
    """(17, 3) y, x, score: points on the diagonal of a box."""
    steps = np.linspace(0, 1, 17)
    return np.stack([y0 + steps * (y1 - y0), x0 + steps * (x1 - x0), np.full(17, score)], axis=1).astype(np.float32)


def six(*people: tuple[np.ndarray, tuple[float, ...]]) -> np.ndarray:
    """(points, (x0, y0, x1, y1, score)) each."""
    output = np.zeros((1, 6, 56), np.float32)
    for row, (points, (x0, y0, x1, y1, score)) in enumerate(people):
        output[0, row, :51] = points.reshape(-1)
        output[0, row, 51:] = (y0, x0, y1, x1, score)
    return output


def decode(
    outputs: tuple[Shape, ...], values: np.ndarray, placement: Placement | None = None, **options: object
) -> Detections:
    reader = movenet.open_decoder((), outputs, Options(**options), "m")  # type: ignore[arg-type]
    return reader.decode([values], placement or Placement())


def test_one_person_has_a_box_a_score_and_points() -> None:
    points = person(0.2, 0.1, 0.6, 0.9)
    points[0] = (0.0, 0.0, 0.1)  # a guess: no part of the box
    found = decode(ONE, points[None, None])
    assert found.labels == ("person",)
    assert found.indexes == ()
    assert found.scores[0] == pytest.approx((16 * 0.8 + 0.1) / 17)
    assert found.boxes is not None
    assert found.keypoints is not None
    np.testing.assert_allclose(found.boxes, [[0.2 + 0.4 / 16, 0.1 + 0.8 / 16, 0.6, 0.9]], rtol=1e-6)
    np.testing.assert_allclose(found.keypoints[0, 1:, 0], points[1:, 1], rtol=1e-6)
    np.testing.assert_allclose(found.keypoints[0, 1:, 1], points[1:, 0], rtol=1e-6)
    np.testing.assert_allclose(found.keypoints[0, 0], (0, 0, 0.1), rtol=1e-6)
    assert found.boxes.dtype == found.keypoints.dtype == found.scores.dtype == np.float32


def test_a_letterbox_is_undone_and_the_box_is_clipped() -> None:
    placement = Placement(x=0.0, y=0.25, width=1.0, height=0.5)
    found = decode(ONE, person(0.1, 0.2, 0.5, 0.5)[None, None], placement)
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[0, (0, 16), :2], [[0.1, -0.1], [0.5, 0.5]], atol=1e-6)
    np.testing.assert_allclose(found.boxes, [[0.1, 0, 0.5, 0.5]], atol=1e-6)


def test_nobody_below_the_score() -> None:
    found = decode(ONE, person(0, 0, 1, 1, 0.19)[None, None])
    assert (len(found), found.boxes.shape, found.keypoints.shape) == (0, (0, 4), (0, 17, 3))  # type: ignore[union-attr]
    assert len(decode(ONE, person(0, 0, 1, 1, 0.19)[None, None], score=0.1)) == 1
    assert len(decode(ONE, person(0, 0, 1, 1, 0.5)[None, None], score=0.6)) == 0


def test_quantised_points() -> None:
    points = person(0.25, 0.25, 0.75, 0.75, 0.5)
    values = np.rint(points / 0.004 - 100).astype(np.int8)
    found = decode(shape((1, 1, 17, 3), "int8", 0.004, -100), values[None, None])
    np.testing.assert_allclose(found.boxes, [[0.25, 0.25, 0.75, 0.75]], atol=0.003)
    assert found.scores[0] == pytest.approx(0.5, abs=0.003)


def test_six_people_the_best_first() -> None:
    values = six(
        (person(0.1, 0.1, 0.2, 0.3), (0.1, 0.1, 0.2, 0.3, 0.4)),
        (person(0.5, 0.1, 0.7, 0.9), (0.45, 0.05, 0.75, 1.1, 0.9)),
        (person(0, 0, 1, 1), (0, 0, 1, 1, 0.1)),
    )
    found = decode(SIX, values)
    assert found.labels == ("person", "person")
    np.testing.assert_allclose(found.scores, [0.9, 0.4])
    np.testing.assert_allclose(found.boxes, [[0.45, 0.05, 0.75, 1.0], [0.1, 0.1, 0.2, 0.3]], rtol=1e-6)
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[0, 16], [0.7, 0.9, 0.8], rtol=1e-6)
    assert len(decode(SIX, values, top=1)) == 1
    placed = decode(SIX, values, Placement(x=0.0, y=0.0, width=1.0, height=0.5), top=1)
    np.testing.assert_allclose(placed.boxes, [[0.45, 0.1, 0.75, 1.0]], rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_none_are_nobody() -> None:
    assert len(decode(ONE, np.full((1, 1, 17, 3), np.nan, np.float32))) == 0
    assert len(decode(SIX, np.full((1, 6, 56), np.inf, np.float32))) == 0
    some = person(0.2, 0.2, 0.6, 0.6)
    some[3] = np.nan
    found = decode(ONE, some[None, None])
    assert np.isfinite(found.boxes).all()  # type: ignore[arg-type]
    assert np.isfinite(found.keypoints).all()  # type: ignore[arg-type]


def test_labels_may_name_the_person_or_the_points() -> None:
    names = tuple(f"point {index}" for index in range(17))
    assert movenet.open_decoder((), ONE, Options(), "m").keypoint_names[:2] == ("nose", "left_eye")
    assert movenet.open_decoder((), ONE, Options(labels=names), "m").keypoint_names == names
    assert movenet.open_decoder((), ONE, Options(labels=("worker",)), "m").labels == ("worker",)
    with pytest.raises(Problem, match="80 labels for one class") as caught:
        movenet.open_decoder((), ONE, Options(labels=("x",) * 80), "lane.a.model.b")
    assert (caught.value.where, caught.value.code) == ("lane.a.model.b.labels", Exit.MODEL)


def test_what_it_claims_and_wants() -> None:
    for outputs, gives, resize in ((ONE, "keypoints", "stretch"), (SIX, "detections", "letterbox")):
        claim = movenet.claims((), outputs, Options())
        assert claim is not None
        assert claim.sure == Sure.SHAPES
        assert movenet.claims((), outputs, Options(task="pose")) is None
        assert movenet.open_decoder((), outputs, Options(), "m").gives == gives
        wanted = movenet.wants((), outputs, Options())
        assert (wanted.resize, wanted.mean, wanted.std) == (resize, (0.0,), (1.0,))
    assert movenet.claims((), shape((1, 300, 57)), Options()) is None
    with pytest.raises(Problem, match="1×300×57"):
        movenet.open_decoder((), shape((1, 300, 57)), Options(), "m")
