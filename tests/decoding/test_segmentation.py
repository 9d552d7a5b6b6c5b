"""Maps made from known areas, in every form that models give them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.decoding import Options, Shape, Sure, segmentation
from agent.decoding._class_maps import Strongest, counts, covered
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

VOC = ("background", "aeroplane", "bicycle", "bird")


def shape(size: tuple[int, ...], dtype: str = "float32", scale: float = 0.0, zero_point: int = 0) -> Shape:
    return Shape(name="out", shape=size, dtype=dtype, scale=scale, zero_point=zero_point)


def picture(height: int, width: int, *, first: bool = False) -> tuple[Shape, ...]:
    return (shape((1, 3, height, width) if first else (1, height, width, 3), "uint8"),)


# 40×60: class 3 on 10×30, class 1 on 20×10, the rest 0.
AREAS = np.zeros((40, 60), np.int64)
AREAS[5:15, 10:40] = 3
AREAS[15:35, 50:60] = 1
SHARES = {3: 300 / 2400, 1: 200 / 2400}


def decode(output: Shape, values: np.ndarray, placement: Placement | None = None, **options: object) -> Detections:
    first = output.shape[-2:] == (40, 60) and len(output.shape) == 4
    reader = segmentation.open_decoder(picture(40, 60, first=first), (output,), Options(**options), "m")  # type: ignore[arg-type]
    return reader.decode([values], placement or Placement())


def areas(found: Detections) -> dict[int, float]:
    assert found.values is not None
    assert found.values.dtype == np.float64
    return dict(zip(found.indexes, found.values.tolist(), strict=True))


def logits(classes: int = 4, lead: float = 4.0) -> np.ndarray:
    """(40, 60, classes): the class of AREAS is ahead by `lead`."""
    values = np.zeros((40, 60, classes), np.float32)
    np.put_along_axis(values, AREAS[..., None], lead, axis=2)
    return values


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32"])
@pytest.mark.parametrize("axis", [(), (1,)])
def test_class_numbers_of_every_type(dtype: str, axis: tuple[int, ...]) -> None:
    size = (1, 40, 60, *axis)
    found = decode(shape(size, dtype), AREAS.astype(dtype).reshape(size), labels=VOC)
    assert found.labels == ("bird", "aeroplane")  # the largest first, the background not at all
    assert areas(found) == pytest.approx(SHARES)
    assert found.scores.tolist() == [1, 1]
    assert found.masks is None


def test_class_numbers_without_labels_or_beyond_them() -> None:
    output = shape((1, 40, 60), "int64")
    assert decode(output, AREAS[None]).labels == ("0", "3", "1")
    assert decode(output, AREAS[None], background=True).labels == ("3", "1")
    assert decode(output, AREAS[None], labels=VOC[:3]).labels == ("3", "aeroplane")
    void = AREAS.copy()
    void[:5] = 255  # Pascal's mark of no class
    assert decode(output, void[None], labels=VOC).labels == ("bird", "aeroplane")


def test_background_left_out_of_the_labels() -> None:
    found = decode(shape((1, 40, 60), "int64"), AREAS[None], labels=VOC[1:], background=True)
    assert found.labels == ("bird", "aeroplane")
    assert found.indexes == (3, 1)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [("float32", 0, 0), ("float16", 0, 0), ("int8", 0.1, -20), ("uint8", 0.05, 30), ("int16", 0.001, 0)],
)
@pytest.mark.parametrize("first", [False, True])
def test_scores_of_every_type_and_order(dtype: str, scale: float, zero_point: int, first: bool) -> None:
    values = logits()
    if scale:
        values = np.rint(values / scale + zero_point)
    values = values.astype(dtype)
    values = values.transpose(2, 0, 1) if first else values
    found = decode(shape((1, *values.shape), dtype, scale, zero_point), np.ascontiguousarray(values)[None], labels=VOC)
    assert found.labels == ("bird", "aeroplane")
    assert areas(found) == pytest.approx(SHARES)
    np.testing.assert_allclose(found.scores, np.exp(4) / (np.exp(4) + 3), rtol=1e-3)  # a softmax


def test_probabilities_are_taken_as_they_are() -> None:
    values = np.full((40, 60, 4), 0.1, np.float32)
    np.put_along_axis(values, AREAS[..., None], 0.7, axis=2)
    found = decode(shape((1, 40, 60, 4)), values[None], labels=VOC)
    np.testing.assert_allclose(found.scores, 0.7, rtol=1e-6)
    raw = np.rint(values * 256).astype(np.uint8)
    quantised = decode(shape((1, 40, 60, 4), "uint8", 1 / 256), raw[None], labels=VOC)
    np.testing.assert_allclose(quantised.scores, 0.7, atol=0.003)
    assert decode(shape((1, 40, 60, 4)), values[None], labels=VOC, score=0.75).labels == ()
    assert decode(shape((1, 40, 60, 4)), values[None], labels=VOC, top=1).labels == ("bird",)


def test_scores_are_those_of_the_frame_and_of_small_areas_too() -> None:
    chance = np.full((40, 60), 0.9, np.float32)
    chance[20:] = 0.6
    values = np.stack([1 - chance, chance], axis=2)
    lower = Placement(y=0.5, height=0.5)
    for output, numbers in (((1, 40, 60, 2), values), ((1, 40, 60, 1), chance[..., None])):
        found = decode(shape(output), numbers[None], lower, labels=("background", "road"))
        assert (found.labels, areas(found)) == (("road",), {1: 1.0})
        assert found.scores[0] == pytest.approx(0.6, rel=1e-5)
    thin = np.full((200, 200, 2), (0.8, 0.2), np.float32)
    thin[1, :50] = (0.3, 0.7)  # between the points of any coarse grid
    reader = segmentation.open_decoder(picture(200, 200), (shape((1, 200, 200, 2)),), Options(background=True), "m")
    found = reader.decode([thin[None]], Placement())
    assert areas(found) == pytest.approx({1: 50 / 40000})
    assert found.scores[0] == pytest.approx(0.7, rel=1e-5)


def test_two_channels() -> None:
    values = np.stack([AREAS == 0, AREAS != 0], axis=2).astype(np.float32) * 6 - 3
    found = decode(shape((1, 40, 60, 2)), values[None], labels=("background", "hair"))
    assert found.labels == ("hair",)
    assert areas(found) == pytest.approx({1: 500 / 2400})


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "logit"),
    [
        ("float32", 0, 0, False),
        ("float32", 0, 0, True),
        ("float16", 0, 0, True),
        ("uint8", 1 / 256, 0, False),
        ("int8", 1 / 256, -128, False),
        ("int8", 0.05, 10, True),
    ],
)
def test_one_mask(dtype: str, scale: float, zero_point: int, logit: bool) -> None:
    chance = np.where(AREAS == 3, 0.875, np.where(AREAS == 1, 0.625, 0.125))
    values = np.log(chance / (1 - chance)) if logit else chance
    values = (np.rint(values / scale + zero_point) if scale else values).astype(dtype).reshape(1, 40, 60, 1)
    output = shape((1, 40, 60, 1), dtype, scale, zero_point)
    found = decode(output, values, labels=("person",))
    assert found.labels == ("person",)
    assert areas(found) == pytest.approx({1: 500 / 2400})
    assert found.scores[0] == pytest.approx((300 * 0.875 + 200 * 0.625) / 500, abs=0.02)
    strict = decode(output, values, score=0.75)
    assert (strict.labels, areas(strict)) == (("foreground",), pytest.approx({1: 300 / 2400}))
    assert len(decode(output, values, score=0.9)) == 0


def test_specks_are_not_given() -> None:
    speck = np.zeros((1, 40, 60), np.int64)
    speck[0, 0, :2] = 1  # 2 of 2400: below a thousandth
    speck[0, 1, :3] = 2
    assert decode(shape((1, 40, 60), "int64"), speck, labels=VOC).labels == ("bicycle",)


def test_a_letterbox_is_cut_away_and_a_crop_is_a_part() -> None:
    output = shape((1, 40, 60), "int64")
    # The frame is the middle half of the input's width: columns 15 to 45, where class 3 covers 10×25.
    boxed = decode(output, AREAS[None], Placement(x=0.25, width=0.5), labels=VOC, masks=True)
    assert boxed.labels == ("bird",)
    assert areas(boxed) == pytest.approx({3: 250 / 1200})
    assert boxed.masks is not None
    assert boxed.masks.shape == (1, 40, 30)
    assert boxed.masks.sum() == 250
    # The frame is twice as wide as the input shows: the same pixels are half the share.
    cropped = decode(output, AREAS[None], Placement(x=-0.5, width=2.0), labels=VOC, masks=True)
    assert areas(cropped) == pytest.approx({3: 300 / 4800, 1: 200 / 4800})
    assert cropped.masks is not None
    assert cropped.masks.shape == (2, 40, 120)
    assert cropped.masks[0, 5:15, 40:70].all()
    assert cropped.masks[0].sum() == 300


def test_masks_are_the_areas() -> None:
    found = decode(shape((1, 40, 60), "int64"), AREAS[None], labels=VOC, masks=True)
    assert found.masks is not None
    assert found.masks.dtype == np.bool_
    np.testing.assert_array_equal(found.masks, [AREAS == 3, AREAS == 1])
    empty = decode(shape((1, 40, 60), "int64"), np.zeros((1, 40, 60), np.int64), labels=VOC, masks=True)
    assert (len(empty), empty.masks.shape) == (0, (0, 40, 60))  # type: ignore[union-attr]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(1, 40, 60), (1, 40, 60, 1), (1, 40, 60, 4)])
def test_numbers_that_are_none_raise_nothing(size: tuple[int, ...]) -> None:
    for value in (np.nan, np.inf, -np.inf):
        for labels in ((), ("person",), VOC):
            if len(labels) not in (0, 4) and size[-1] == 4:
                continue
            found = decode(shape(size), np.full(size, value, np.float32), labels=labels, masks=True)
            assert np.isfinite(found.scores).all()
            assert np.isfinite(found.values).all()  # type: ignore[arg-type]


@given(st.integers(2, 8), st.integers(3, 20), st.integers(3, 20), st.booleans(), st.integers(0, 1 << 30))
@settings(max_examples=30)
def test_the_strongest_class_is_argmax_s(classes: int, height: int, width: int, first: bool, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-4, 4, (height, width, classes))  # many ties
    strongest = Strongest()
    for dtype in (np.int8, np.float32, np.float16):
        wanted = values.argmax(axis=2)
        scores = values.astype(dtype)
        scores = np.ascontiguousarray(scores.transpose(2, 0, 1)) if first else scores
        np.testing.assert_array_equal(strongest.of(scores, channels_first=first), wanted)
    assert counts(wanted.astype(np.uint8)).tolist() == np.bincount(wanted.reshape(-1), minlength=256).tolist()


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(2, 600), st.integers(2, 600))
@settings(max_examples=50)
def test_what_a_letterbox_covers_is_inside_the_map(width: float, height: float, rows: int, columns: int) -> None:
    placement = Placement(x=(1 - width) / 2, y=(1 - height) / 2, width=width, height=height)
    down, across, whole = covered((rows, columns), placement)
    assert 0 <= down.start < down.stop <= rows
    assert 0 <= across.start < across.stop <= columns
    assert whole == (down.stop - down.start) * (across.stop - across.start)
    assert abs((down.stop - down.start) - height * rows) <= 1.01


def test_labels_that_do_not_fit() -> None:
    with pytest.raises(Problem, match="3 labels for 4 classes") as caught:
        segmentation.open_decoder(picture(40, 60), (shape((1, 40, 60, 4)),), Options(labels=VOC[1:]), "m")
    assert (caught.value.code, caught.value.where) == (Exit.MODEL, "m.labels")
    assert "background = true" in caught.value.remedy


def test_what_float_inputs_want() -> None:
    for size, dtype, mean in (
        ((1, 40, 60, 21), "float32", (127.5,)),
        ((1, 40, 60), "int64", (127.5,)),
        ((1, 40, 60, 1), "float32", None),
    ):
        assert segmentation.wants(picture(40, 60), (shape(size, dtype),), Options()).mean == mean


def test_sureness() -> None:
    full = picture(40, 60)
    for output, labels, sure in (
        (shape((1, 40, 60), "int64"), (), Sure.SHAPES),
        (shape((1, 40, 60, 4)), VOC, Sure.SHAPES),
        (shape((1, 40, 60, 4)), (), Sure.POSSIBLE),
        (shape((1, 10, 15, 4)), (), Sure.POSSIBLE),
        (shape((1, 40, 60, 1)), (), Sure.POSSIBLE),
    ):
        claim = segmentation.claims(full, (output,), Options(labels=labels))
        assert claim is not None
        assert claim.sure == sure
        assert segmentation.claims(full, (output,), Options(labels=labels, task="segment")) is None
    for other in ((1, 5, 5, 4), (1, 60, 40, 4), (1, 80, 120, 3), (1, 1001), (1, 100, 6), ()):
        assert segmentation.claims(full, (shape(other),), Options()) is None
    window = (shape((1, 128, 64)),)  # rebuilt samples are no map
    assert segmentation.claims(window, window, Options()) is None
    assert segmentation.claims(full, (shape((1, 40, 60, 4)), shape((1, 4))), Options()) is None


def test_ultralytics_semantic_maps_say_so() -> None:
    given = (shape((1, 3, 320, 320)),)
    output = (shape((1, 19, 320, 320)),)
    options = Options(task="semantic", labels=tuple(f"class {number}" for number in range(19)))
    claim = segmentation.claims(given, output, options)
    assert claim is not None
    assert claim.sure == Sure.SAID
    wants = segmentation.wants(given, output, options)
    assert (wants.resize, wants.mean) == ("letterbox", None)
    scores = np.zeros((1, 19, 320, 320), np.float32)
    scores[0, 7, :160] = 1.0
    scores[0, 3, 160:] = 1.0
    found = segmentation.open_decoder(given, output, options, "m").decode([scores], Placement())
    assert dict(zip(found.labels, found.values.tolist(), strict=True)) == {"class 3": 0.5, "class 7": 0.5}
