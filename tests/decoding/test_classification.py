"""Class scores from synthetic outputs."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, Sure, Wants
from agent.decoding.classification import claims, open_decoder, wants
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
    # Scores are 0..1, whatever comes; the order is that of the numbers.
    beyond = np.array([[2.0, 7.0, 1.0]], np.float32)
    assert classes(beyond, output(3), softmax="false", top=2) == [("1", 1.0), ("0", 1.0)]


def test_the_index_is_the_number_of_the_class_in_the_output() -> None:
    values = np.zeros((1, 1001), np.float32)
    values[0, [286, 0, 5]] = (0.6, 0.3, 0.1)
    names = ("background", *(f"class {index}" for index in range(1, 1001)))
    decoder = open_decoder(IMAGE, output(1001), Options(labels=names[1:], background=True, top=3), "m")
    found = decoder.decode([values], Placement())
    assert found.labels == ("class 286", "class 5")
    assert found.indexes == (286, 5)
    assert decoder.labels == names


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [("uint8", 1 / 256, 0), ("int8", 1 / 256, -128), ("int16", 1 / 32768, 0), ("float16", 0.0, 0), ("float32", 0.0, 0)],
)
@pytest.mark.parametrize("top", [1, 3])
def test_every_type_of_probabilities(dtype: str, scale: float, zero_point: int, top: int) -> None:
    wanted = np.array([0.125, 0.5, 0.25, 0.125])
    values = (np.rint(wanted / scale + zero_point) if scale else wanted).astype(dtype)[None]
    found = classes(values, output(4, dtype, scale, zero_point), top=top)
    assert found == [("1", 0.5), ("2", 0.25), ("0", 0.125)][:top]


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"), [("uint8", 0.1, 128), ("int16", 0.001, 0), ("float16", 0.0, 0)]
)
def test_every_type_of_logits(dtype: str, scale: float, zero_point: int) -> None:
    logits = np.array([1.0, 3.0, -2.0])
    values = (np.rint(logits / scale + zero_point) if scale else logits).astype(dtype)[None]
    wanted = float(np.exp(3) / np.exp(logits).sum())
    assert classes(values, output(3, dtype, scale, zero_point)) == [("1", round(wanted, 4))]


def test_sigmoids_are_several_labels_at_once() -> None:
    values = np.array([[0.9, 0.2, 0.8, 0.95]], np.float32)
    assert classes(values, output(4)) == [("3", 0.95)]
    assert classes(values, output(4), top=4, score=0.5) == [("3", 0.95), ("0", 0.9), ("2", 0.8)]


def test_one_number_between_two_labels() -> None:
    names = ("closed", "open")
    assert classes(np.array([[0.75]], np.float32), output(1), labels=names) == [("open", 0.75)]
    assert classes(np.array([[0.25]], np.float32), output(1), labels=names) == [("closed", 0.75)]
    assert classes(np.array([[64]], np.uint8), output(1, "uint8", 1 / 256), labels=names, top=2) == [
        ("closed", 0.75),
        ("open", 0.25),
    ]
    logit = float(np.log(3))
    assert classes(np.array([[logit]], np.float32), output(1), labels=names, softmax="true") == [("open", 0.75)]


def test_of_several_outputs_the_one_that_the_labels_fit() -> None:
    outputs = (*output(128), *output(3), *output(2))
    values = [np.full((1, 128), 9.0, np.float32), np.array([[0.1, 0.7, 0.2]], np.float32), np.ones((1, 2), np.float32)]
    decoder = open_decoder(IMAGE, outputs, Options(labels=("a", "b", "c")), "m")
    assert decoder.decode(values, Placement()).labels == ("b",)
    claim = claims(IMAGE, outputs, Options(labels=("a", "b", "c")))
    assert claim is not None
    assert claim.sure == Sure.SHAPES


def test_of_logits_and_probabilities_the_probabilities() -> None:
    outputs = tuple(
        Shape(name=name, shape=(1, 3), dtype="float32", scale=0.0, zero_point=0) for name in ("logits", "softmax")
    )
    values = [np.array([[5.0, 0, 0]], np.float32), np.array([[0.1, 0.7, 0.2]], np.float32)]
    decoder = open_decoder(IMAGE, outputs, Options(), "m")
    assert decoder.decode(values, Placement()).labels == ("1",)


def test_several_outputs_that_nothing_tells_apart() -> None:
    outputs = (*output(5), *output(3))
    assert claims(IMAGE, outputs, Options()) is None
    with pytest.raises(Problem, match="5 and 3 numbers") as caught:
        open_decoder(IMAGE, outputs, Options(), "m")
    assert (caught.value.code, caught.value.where) == (Exit.MODEL, "m.labels")
    with pytest.raises(Problem, match="7 labels fit none"):
        open_decoder(IMAGE, outputs, Options(labels=tuple("abcdefg")), "m")


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_none_give_nothing_and_infinities_are_extremes() -> None:
    for softmax in ("auto", "true", "false"):
        for top in (1, 3):
            options = {"softmax": softmax, "top": top}
            assert classes(np.full((1, 3), np.nan, np.float32), output(3), **options) == []
            assert classes(np.array([[0.2, np.nan, 0.7]], np.float32), output(3), **options) == []
            assert classes(np.zeros((1, 3), np.float32), output(3), **{**options, "softmax": "false"}) == []
    assert classes(np.array([[-np.inf, np.inf, 0]], np.float32), output(3)) == [("1", 1.0)]


def test_ultralytics_sees_the_middle_of_the_frame_others_the_whole() -> None:
    assert wants(IMAGE, output(10), Options(task="classify")).resize == "crop"
    assert wants(IMAGE, output(10), Options()) == Wants()
    slim = (Shape(name="MobilenetV2/Predictions/Softmax", shape=(1, 10), dtype="float32", scale=0.0, zero_point=0),)
    assert wants(IMAGE, slim, Options()).mean == (127.5,)
    claim = claims(IMAGE, output(10), Options(task="classify"))
    assert claim is not None
    assert claim.sure == Sure.SAID
    assert claims(IMAGE, output(10), Options(task="detect")) is None


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
