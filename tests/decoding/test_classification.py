"""Class scores from synthetic outputs."""

import numpy as np
import pytest

from agent.decoding import Options, Shape
from agent.decoding.classification import claims, open_decoder
from agent.problems import Exit, Problem
from agent.records import Placement

IMAGE = (Shape(name="in", shape=(1, 32, 32, 3), dtype="uint8", scale=0.0, zero_point=0),)


def output(count: int, dtype: str = "float32", scale: float = 0.0, zero_point: int = 0) -> tuple[Shape, ...]:
    return (Shape(name="out", shape=(1, count), dtype=dtype, scale=scale, zero_point=zero_point),)


def classes(values: np.ndarray, outputs: tuple[Shape, ...], **options: object) -> list[tuple[str, float]]:
    decoder = open_decoder(IMAGE, outputs, Options(**options), "m")  # type: ignore[arg-type]
    found = decoder.decode([values], Placement())
    assert found.scores.dtype == np.float32
    return [(label, round(float(score), 4)) for label, score in zip(found.labels, found.scores, strict=True)]


def test_the_top_class_by_label_or_number() -> None:
    values = np.array([[0.1, 0.7, 0.2]], np.float32)
    assert classes(values, output(3)) == [("1", 0.7)]
    assert classes(values, output(3), labels=("a", "b", "c"), top=2) == [("b", 0.7), ("c", 0.2)]
    assert classes(values, output(3), score=0.71) == []


def test_quantised_probabilities_are_read_by_their_scale() -> None:
    assert classes(np.array([[3, 192, 61]], np.uint8), output(3, "uint8", 1 / 256, 0)) == [("1", 0.75)]
    assert classes(np.array([[-128, 64, -64]], np.int8), output(3, "int8", 1 / 256, -128)) == [("1", 0.75)]


def test_logits_become_probabilities() -> None:
    logits = np.array([[1.0, 3.0, -2.0]], np.float32)
    wanted = round(float(np.exp(3) / np.exp(logits).sum()), 4)
    assert classes(logits, output(3)) == [("1", wanted)]
    # Quantised to steps of 0.1 from -12.8: a range that no probability has.
    assert classes(np.array([[10, 30, -20]], np.int8), output(3, "int8", 0.1, 0)) == [("1", wanted)]
    assert classes(logits * 300, output(3)) == [("1", 1.0)]  # no overflow


def test_softmax_can_be_said() -> None:
    values = np.array([[0.1, 0.7, 0.2]], np.float32)
    wanted = round(float(np.exp(0.7) / np.exp(values).sum()), 4)
    assert classes(values, output(3), softmax="true") == [("1", wanted)]
    assert classes(np.array([[2.0, 7.0, 1.0]], np.float32), output(3), softmax="false") == [("1", 7.0)]


def test_where_the_background_wins_nothing_is_found() -> None:
    values = np.array([[0.6, 0.3, 0.1]], np.float32)
    assert classes(values, output(3), background=True) == []
    assert classes(values, output(3), background=True, top=2, labels=("cat", "dog")) == [("cat", 0.3)]


def test_equal_scores_keep_their_order() -> None:
    values = np.full((1, 4), 0.25, np.float32)
    assert [label for label, _ in classes(values, output(4), top=3)] == ["0", "1", "2"]


def test_labels_that_do_not_fit() -> None:
    with pytest.raises(Problem, match="2 labels for 3 classes") as caught:
        open_decoder(IMAGE, output(3), Options(labels=("a", "b")), "lane.a.model.b")
    assert caught.value.code == Exit.MODEL
    assert "background = true" in caught.value.remedy


def test_other_outputs_are_refused_and_not_claimed() -> None:
    boxes = (Shape(name="out", shape=(1, 84, 8400), dtype="float32", scale=0.0, zero_point=0),)
    with pytest.raises(Problem, match="1×84×8400"):
        open_decoder(IMAGE, boxes, Options(), "m")
    assert claims(IMAGE, boxes, Options()) is None
    assert claims(IMAGE, output(10), Options()) is not None
