"""Raw SSD heads made from known boxes."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, Sure, ssd_anchors
from agent.decoding._anchors import multiscale, single_shot
from agent.decoding._recognise import recognise
from agent.problems import Exit, Problem
from agent.records import Placement
from tests.peers.anchor_heads import Thing, heads, pyramid_anchors, single_shot_anchors

SCALES = (10.0, 10.0, 5.0, 5.0)
THINGS = [
    Thing(3, 0.9, (0.1, 0.2, 0.4, 0.6)),
    Thing(3, 0.8, (0.55, 0.5, 0.95, 0.95)),
    Thing(1, 0.7, (0.12, 0.22, 0.41, 0.6)),  # over the first, of another class
    Thing(2, 0.3, (0.3, 0.3, 0.5, 0.5)),
]
FPN = [(2 ** (octave / 2), ratio) for ratio in (1.0, 2.0, 0.5) for octave in range(2)]
LABELS = ("background", "a", "b", "c", "d")


def image(side: int, width: int = 0) -> tuple[Shape, ...]:
    return (Shape(name="in", shape=(1, side, width or side, 3), dtype="float32", scale=0.0, zero_point=0),)


def described(*arrays: np.ndarray, scale: float = 0.0, zero_point: int = 0) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=f"t{i}", shape=array.shape, dtype=str(array.dtype), scale=scale, zero_point=zero_point)
        for i, array in enumerate(arrays)
    )


def assert_things(found, tolerance: float = 1e-5) -> None:
    assert found.labels == ("c", "c", "a")
    assert found.indexes == (2, 2, 0)
    np.testing.assert_allclose(found.scores, [0.9, 0.8, 0.7], atol=max(tolerance, 1e-5))
    np.testing.assert_allclose(found.boxes, [thing.box for thing in THINGS[:3]], atol=tolerance)


@pytest.mark.parametrize(("side", "count"), [(300, 1917), (320, 2034)])
def test_anchors_are_those_of_ssd_mobilenet(side: int, count: int) -> None:
    anchors = single_shot(side, side)
    assert len(anchors) == count
    np.testing.assert_allclose(anchors, single_shot_anchors(side), atol=1e-6)


def test_the_first_anchors_are_those_of_the_published_box_priors() -> None:
    # box_priors.txt of TensorFlow's Android demo: rows y, x, height, width.
    wanted = [
        (0.0263158, 0.0263158, 0.1, 0.1),
        (0.0263158, 0.0263158, 0.141421, 0.282843),
        (0.0263158, 0.0263158, 0.282843, 0.141421),
        (0.0263158, 0.0789474, 0.1, 0.1),
    ]
    np.testing.assert_allclose(single_shot(300, 300)[:4], wanted, atol=1e-6)
    np.testing.assert_allclose(single_shot(300, 300)[1083 + 5], (0.05, 0.05, 0.41833, 0.41833), atol=1e-6)


@pytest.mark.parametrize(("side", "count"), [(320, 12804), (640, 51150)])
def test_anchors_are_those_of_ssd_fpn(side: int, count: int) -> None:
    anchors = multiscale(side, side)
    assert len(anchors) == count
    np.testing.assert_allclose(anchors, pyramid_anchors(side, FPN, 4.0, corner=True), atol=1e-6)


@pytest.mark.parametrize("side", [300, 320])
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("four", [False, True])
def test_boxes_come_back(side: int, probabilities: bool, four: bool) -> None:
    numbers, scores = heads(single_shot_anchors(side), 5, THINGS, SCALES)
    if probabilities:
        scores = (1 / (1 + np.exp(-scores))).astype(np.float32)
    if four:
        numbers = numbers[:, :, None]
    for arrays in ([numbers, scores], [scores, numbers]):
        given = described(*arrays)
        options = Options(labels=LABELS)
        assert recognise(image(side), given, options, said=None, where="m").decoder == "ssd_anchors"
        assert_things(ssd_anchors.open_decoder(image(side), given, options, "m").decode(arrays, Placement()))


def test_boxes_come_back_from_a_pyramid() -> None:
    numbers, scores = heads(pyramid_anchors(320, FPN, 4.0, corner=True), 5, THINGS, SCALES)
    decoder = ssd_anchors.open_decoder(image(320), described(numbers, scores), Options(labels=LABELS[1:]), "m")
    assert_things(decoder.decode([numbers, scores], Placement()))


def test_quantised_heads() -> None:
    numbers, scores = heads(single_shot_anchors(300), 5, THINGS, SCALES)
    arrays = [np.round(array / 0.08 + 128).clip(0, 255).astype(np.uint8) for array in (numbers, scores)]
    given = described(*arrays, scale=0.08, zero_point=128)
    found = ssd_anchors.open_decoder(image(300), given, Options(labels=LABELS), "m").decode(arrays, Placement())
    assert_things(found, tolerance=0.01)
    shares = np.round(1 / (1 + np.exp(-scores)) * 256 - 128).clip(-128, 127).astype(np.int8)
    given = (given[0], *described(shares, scale=1 / 256, zero_point=-128))
    found = ssd_anchors.open_decoder(image(300), given, Options(labels=LABELS), "m").decode(
        [arrays[0], shares], Placement()
    )
    assert_things(found, tolerance=0.01)


def test_softmax_where_the_config_says_so() -> None:
    numbers, scores = heads(single_shot_anchors(300), 5, THINGS[:1], SCALES)
    scores[..., 0] = 0.0  # the background
    options = Options(labels=LABELS, softmax="true", score=0.6)
    found = ssd_anchors.open_decoder(image(300), described(numbers, scores), options, "m").decode(
        [numbers, scores], Placement()
    )
    odds = 0.9 / 0.1
    np.testing.assert_allclose(found.scores, [odds / (odds + 1 + 3 * np.exp(-6.0))], rtol=1e-5)


def test_letterbox_and_thresholds() -> None:
    numbers, scores = heads(single_shot_anchors(300), 5, THINGS, SCALES)
    given = described(numbers, scores)

    def found(**options: object):
        decoder = ssd_anchors.open_decoder(image(300), given, Options(labels=LABELS, **options), "m")  # type: ignore[arg-type]
        return decoder.decode([numbers, scores], Placement(x=0.1, y=0.2, width=0.8, height=0.6))

    np.testing.assert_allclose(found().boxes[0], (0.0, 0.0, 0.375, 0.4 / 0.6), atol=1e-5)
    assert len(found(score=0.25)) == 4
    assert len(found(top=1)) == 1
    assert len(found(iou=1.0)) > 3  # then doubles stay


def test_noise_numbers_that_are_none_and_nothing() -> None:
    generator = np.random.default_rng(1)
    numbers = generator.normal(0, 30, (1, 1917, 4)).astype(np.float32)
    scores = generator.normal(0, 30, (1, 1917, 5)).astype(np.float32)
    decoder = ssd_anchors.open_decoder(image(300), described(numbers, scores), Options(labels=LABELS), "m")
    found = decoder.decode([numbers, scores], Placement())
    assert 0 < len(found) <= 300
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 1
    for value in (np.nan, np.inf, -np.inf):
        assert len(decoder.decode([np.full_like(numbers, value), scores], Placement())) == 0
    assert len(decoder.decode([numbers, np.full_like(scores, np.nan)], Placement())) == 0
    assert len(decoder.decode([numbers, scores * 0 - 9], Placement())) == 0


def test_a_count_that_no_rule_gives_is_named() -> None:
    given = described(np.zeros((1, 2000, 4), np.float32), np.zeros((1, 2000, 5), np.float32))
    assert ssd_anchors.claims(image(300), given, Options()) is None
    with pytest.raises(
        Problem, match=r"300×300 pixels has 1917 anchors, or .* with FPN; this model has 2000"
    ) as caught:
        ssd_anchors.open_decoder(image(300), given, Options(), "m")
    assert caught.value.code == Exit.MODEL


def test_labels_are_counted() -> None:
    given = described(np.zeros((1, 1917, 4), np.float32), np.zeros((1, 1917, 5), np.float32))
    with pytest.raises(Problem, match="3 labels for 5 classes"):
        ssd_anchors.open_decoder(image(300), given, Options(labels=("a", "b", "c")), "m")
    for labels in (LABELS, LABELS[1:], ("???", *LABELS[1:])):
        assert ssd_anchors.open_decoder(image(300), given, Options(labels=labels), "m").labels == LABELS[1:]
    assert ssd_anchors.open_decoder(image(300), given, Options(), "m").labels == ("0", "1", "2", "3")
    gap = ssd_anchors.open_decoder(image(300), given, Options(labels=("a", "???", "c", "d")), "m")
    assert gap.labels == ("a", "1", "c", "d")  # a number that the label map leaves out
    assert len(ssd_anchors.open_decoder(image(300), given, Options(labels=("e", *LABELS[1:])), "m").labels) == 5


def test_names_say_it() -> None:
    arrays = (
        np.zeros((1, 1917, 4), np.float32),
        np.zeros((1, 1917, 4), np.float32),
    )  # three classes and the background
    classes, boxes = described(*arrays)
    given = (
        Shape(name="raw_outputs/class_predictions", shape=classes.shape, dtype="float32", scale=0.0, zero_point=0),
        Shape(name="raw_outputs/box_encodings", shape=boxes.shape, dtype="float32", scale=0.0, zero_point=0),
    )
    claim = ssd_anchors.claims(image(300), given, Options())
    assert claim is not None
    assert claim.sure == Sure.SAID
    heads_found = ssd_anchors.find_heads(given)
    assert heads_found is not None
    assert (heads_found.classes, heads_found.boxes) == (0, 1)
