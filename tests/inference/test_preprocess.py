"""Frames → input tensors, against plain NumPy."""

import itertools
import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.inference import Tensor
from agent.inference.inputs import image
from agent.inference.metadata import Normalisation
from agent.inference.preprocess import Preprocess
from agent.problems import Exit, Problem
from agent.records import Placement

RNG = np.random.default_rng(7)


def tensor(shape: tuple[int, ...], dtype: str = "uint8", scale: float = 0.0, zero_point: int = 0) -> Tensor:
    return Tensor(name="image", shape=shape, dtype=dtype, scale=scale, zero_point=zero_point)


def fill(frame: np.ndarray, into: Tensor, **options: object) -> tuple[np.ndarray, Placement]:
    """The input as height × width × channels, whatever its layout."""
    array = np.zeros(into.shape, into.dtype)
    placement = Preprocess(into, array, where="m", **options).fill(frame)  # type: ignore[arg-type]
    found = image(into.shape, options.get("layout"))
    assert found is not None
    if found.channels is None:
        array, channels = array[..., None], array.ndim
    else:
        channels = found.channels
    return np.moveaxis(array[0] if found.batch else array, channels - found.batch, -1), placement


def picture(height: int, width: int) -> np.ndarray:
    """Smooth, so that methods of scaling agree, and different in each channel."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, (x / width + y / height) * 127], axis=2).astype(np.uint8)


def naive(frame: np.ndarray, into: Tensor, mean: tuple[float, ...], std: tuple[float, ...], color: str) -> np.ndarray:
    """The frame, already of the input's size, by the definition."""
    if color == "grey":
        shown = (frame @ np.array([0.114, 0.587, 0.299]))[..., None]
    else:
        shown = frame[..., ::-1] if color == "rgb" else frame
    real = (shown.astype(np.float64) - np.array(mean)) / np.array(std)
    if into.dtype == "float32":
        return real
    kind = np.iinfo(into.dtype)
    return np.clip(np.rint(real / into.scale + into.zero_point), kind.min, kind.max)


CASES = [
    ("float32", 0.0, 0, (0.0,), (255.0,)),
    ("float32", 0.0, 0, (127.5,), (127.5,)),
    ("float32", 0.0, 0, (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
    ("int8", 1 / 255, -128, (0.0,), (255.0,)),
    ("int8", 1 / 127.5, 0, (127.5,), (127.5,)),
    ("int8", 0.02, 10, (127.5,), (64.0,)),
    ("int8", 0.03, -5, (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)),
    ("uint8", 1 / 128, 128, (127.5,), (127.5,)),
    ("uint8", 0.05, 30, (100.0,), (40.0,)),
]


@pytest.mark.parametrize(("case", "color"), list(itertools.product(CASES, ["rgb", "bgr", "grey"])))
def test_types_and_normalisation(case: tuple, color: str) -> None:
    dtype, scale, zero_point, mean, std = case
    channels = 1 if color == "grey" else 3
    if len(mean) > channels:
        mean, std = mean[:1], std[:1]
    into = tensor((1, 40, 60, channels), dtype, scale, zero_point)
    frame = RNG.integers(0, 256, (40, 60, 3), np.uint8)
    found, _ = fill(frame, into, color=color, normalisation=Normalisation(mean=mean, std=std), exact=True)
    wanted = naive(frame, into, mean, std, color)
    # Raw bytes stand for a table that differs by at most 1 step; grey is rounded to a whole level first.
    tolerance = 1e-5 if dtype == "float32" else 1.01
    if color == "grey":
        tolerance += 0.51 / std[0] / (scale or 1.0)
    assert np.abs(found.astype(np.float64) - wanted).max() <= tolerance


@pytest.mark.parametrize(
    ("into", "wanted"),
    [
        (tensor((1, 4, 4, 3), "uint8", 1 / 255, 0), lambda rgb: rgb),
        (tensor((1, 4, 4, 3), "uint8", 1 / 127.5, 127), lambda rgb: rgb),
        (tensor((1, 4, 4, 3), "uint8", 0.0187, 114), lambda rgb: rgb),
        (tensor((1, 4, 4, 3), "int8", 0.0187, -14), lambda rgb: rgb.astype(int) - 128),
        (tensor((1, 4, 4, 3), "int8"), lambda rgb: rgb.astype(int) - 128),
        # Calibrated on pictures that reached 0.97 only.
        (
            tensor((1, 4, 4, 3), "int8", 0.97 / 255, -128),
            lambda rgb: (rgb / 255 / (0.97 / 255) - 128).round().clip(-128, 127),
        ),
        (tensor((1, 4, 4, 3), "int16", 1 / 32767), lambda rgb: (rgb / 255 * 32767).round()),
        (tensor((1, 4, 4, 3), "int16", 255 / 32767), lambda rgb: (rgb / 255 * 32767).round()),
        (tensor((1, 4, 4, 3), "int16"), lambda rgb: rgb),
        (tensor((1, 4, 4, 3), "int32"), lambda rgb: rgb),
        (tensor((1, 4, 4, 3), "float16"), lambda rgb: (rgb.astype(np.float32) / 255).astype(np.float16)),
        (tensor((1, 4, 4, 3), "uint8", 0.0, 0), lambda rgb: rgb),
        (tensor((1, 4, 4, 3), "int8", 1 / 255, -128), lambda rgb: rgb.astype(int) - 128),
        (tensor((1, 4, 4, 3), "float32"), lambda rgb: rgb.astype(np.float32) / 255),
    ],
)
def test_without_any_word_the_quantisation_decides(into: Tensor, wanted) -> None:
    frame = RNG.integers(0, 256, (4, 4, 3), np.uint8)
    np.testing.assert_allclose(fill(frame, into)[0], wanted(frame[..., ::-1]), atol=1e-6)


def test_metadata_leaves_the_bytes_of_a_uint8_input_alone() -> None:
    """Metadata's mean and std are those of the float model; a uint8 input takes raw pixels."""
    frame = RNG.integers(0, 256, (4, 4, 3), np.uint8)
    for scale, zero_point in ((1 / 255, 0), (0.0187, 114)):
        into = tensor((1, 4, 4, 3), "uint8", scale, zero_point)
        found, _ = fill(frame, into, normalisation=Normalisation(mean=(0.0,), std=(1.0,)))
        np.testing.assert_array_equal(found, frame[..., ::-1])


HALF = Normalisation(mean=(127.5,), std=(127.5,))
IMAGENET = Normalisation(mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4))


@pytest.mark.parametrize(
    ("into", "given", "holds"),
    [
        # The calibration has seen 0..1: a word of -1..1 is not about this input. Nor is one that would leave half of it dark.
        (tensor((1, 4, 4, 3), "int8", 1 / 255, -128), HALF, None),
        (tensor((1, 4, 4, 3), "int8", 1 / 127.5, 0), Normalisation(mean=(0.0,), std=(255.0,)), None),
        (tensor((1, 4, 4, 3), "int8", 1 / 255, -128), Normalisation(mean=(0.0,), std=(1.0,)), None),
        # Another range: what it is told, where the numbers fit.
        (tensor((1, 4, 4, 3), "int8", 0.0187, -14), IMAGENET, IMAGENET),
        (tensor((1, 4, 4, 3), "int8", 2.5 / 127, 0), HALF, HALF),
        (tensor((1, 4, 4, 3), "int8", 0.0187, -14), Normalisation(mean=(0.0,), std=(1.0,)), None),
        (tensor((1, 4, 4, 3), "int16", 1 / 32767), HALF, HALF),
        (tensor((1, 4, 4, 3), "int16", 1 / 32767), Normalisation(mean=(0.0,), std=(1.0,)), Normalisation(mean=(0.0,), std=(255.0,))),
    ],
)  # fmt: skip
def test_a_quantised_range_stands_above_a_word_that_does_not_fit_it(
    into: Tensor, given: Normalisation, holds: Normalisation | None
) -> None:
    frame = RNG.integers(0, 256, (4, 4, 3), np.uint8)
    found, _ = fill(frame, into, normalisation=given)
    rgb = frame[..., ::-1].astype(int)
    wanted = rgb - 128 if holds is None else naive(frame, into, holds.mean, holds.std, "rgb")
    assert np.abs(found.astype(int) - wanted).max() <= 1


LAYOUTS = [
    ((1, 40, 60, 3), None),
    ((1, 3, 40, 60), None),
    ((40, 60, 3), None),
    ((3, 40, 60), None),
    ((1, 3, 40, 3), "nchw"),
    ((1, 40, 60, 1), None),
    ((1, 1, 40, 60), None),
    ((1, 40, 60), None),
    ((40, 60), None),
]


@pytest.mark.parametrize(("shape", "layout"), LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float16", "float32"])
@pytest.mark.parametrize("normalisation", [None, HALF, IMAGENET])
def test_layouts_types_and_normalisations_agree(
    shape: tuple[int, ...], layout: str | None, dtype: str, normalisation: Normalisation | None
) -> None:
    """What each layout holds is what a float32 input of the plain layout holds, within a step of its own; border and picture alike."""
    found_image = image(shape, layout)
    assert found_image is not None
    rows, columns = shape[found_image.rows], shape[found_image.columns]
    channels = 1 if found_image.channels is None else shape[found_image.channels]
    if normalisation is IMAGENET and channels == 1:
        normalisation = HALF
    scale = 0.05 if dtype in ("uint8", "int8") else 3 / 32767 if dtype == "int16" else 0.01 if dtype == "int32" else 0.0
    zero_point = {"uint8": 100, "int8": 20}.get(dtype, 0)
    frame = picture(100, 100)
    options = {"resize": "letterbox", "border": 114, "exact": True}
    found, place = fill(
        frame, tensor(shape, dtype, scale, zero_point), layout=layout, normalisation=normalisation or HALF, **options
    )
    plain, plain_place = fill(
        frame, tensor((1, rows, columns, channels), "float32"), normalisation=normalisation or HALF, **options
    )
    assert place == plain_place
    real = (found.astype(np.float64) - zero_point) * (scale or 1.0)
    assert np.abs(real - plain).max() <= max(0.51 * scale, 2e-3 if dtype == "float16" else 1e-5)


@pytest.mark.parametrize("shape", [(1, 256, 256, 3), (1, 3, 256, 256), (1, 256, 256, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float16", "float32"])
@pytest.mark.parametrize("normalisation", [None, HALF, IMAGENET])
@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
def test_a_frame_allocates_nothing_of_its_size_or_of_the_input_s(
    shape: tuple[int, ...], dtype: str, normalisation: Normalisation | None, resize: str
) -> None:
    if normalisation is IMAGENET and 1 in shape[1:]:
        normalisation = HALF
    into = tensor(shape, dtype, 0.02 if dtype.endswith("int8") else 0.0, 0)
    for color in ("rgb", "bgr"):
        preprocess = Preprocess(
            into,
            np.zeros(shape, dtype),
            resize=resize,
            color=color,
            normalisation=normalisation,
            exact=normalisation is not None,
            where="m",
        )
        frame = np.zeros((540, 960, 3), np.uint8)
        preprocess.fill(frame)
        tracemalloc.start()
        try:
            for _ in range(3):
                preprocess.fill(frame)
            # NumPy converts bytes to floats in pieces of 32 kB; the input has at least 65 kB, the frame 1.5 MB.
            assert tracemalloc.get_traced_memory()[1] < (72_000 if dtype == "float32" else 8_000)
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("interpolation", ["linear", "area", "linear-area"])
@pytest.mark.parametrize("size", [(96, 128), (480, 640), (719, 1279), (30, 40)])
def test_scaling_keeps_a_smooth_picture(size: tuple[int, int], interpolation: str) -> None:
    found, placement = fill(picture(*size), tensor((1, 96, 128, 3)), interpolation=interpolation, color="bgr")
    assert np.abs(found.astype(int) - picture(96, 128)).max() <= 6
    assert placement == Placement()


@pytest.mark.parametrize(
    ("size", "into", "share"),
    [
        ((576, 768), (96, 128), 0.6),
        ((1152, 1536), (384, 512), 0.4),
        ((1151, 1537), (384, 512), 0.4),
        ((480, 640), (192, 192), 0.4),
    ],
)
def test_shrinking_averages_instead_of_sampling(size: tuple[int, int], into: tuple[int, int], share: float) -> None:
    """Fine structure: linear sampling keeps its contrast, the default is near the true mean of the area."""
    frame = cv2.normalize(cv2.GaussianBlur(RNG.normal(size=(*size, 3)), (0, 0), 1.0), None, 0, 255, cv2.NORM_MINMAX)
    frame = frame.astype(np.uint8)
    exact = cv2.resize(frame, into[::-1], interpolation=cv2.INTER_AREA).astype(float)
    errors = {}
    for interpolation in ("linear", "linear-area"):
        found, _ = fill(frame, tensor((1, *into, 3)), interpolation=interpolation, color="bgr")
        errors[interpolation] = np.sqrt(((found - exact) ** 2).mean())
    assert errors["linear-area"] < share * errors["linear"]


@pytest.mark.parametrize(("size", "into"), [((480, 640), (300, 300)), ((720, 1280), (360, 640))])
def test_up_to_two_to_one_nothing_is_averaged(size: tuple[int, int], into: tuple[int, int]) -> None:
    """Two to one in the mean of both directions: linear sampling sees every pixel."""
    frame = RNG.integers(0, 256, (*size, 3), np.uint8)
    found = [fill(frame, tensor((1, *into, 3)), interpolation=how)[0] for how in ("linear", "linear-area")]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (50, 300), (224, 224)])
def test_letterbox_holds_the_whole_frame(size: tuple[int, int]) -> None:
    found, place = fill(np.full((*size, 3), 200, np.uint8), tensor((1, 224, 224, 3)), resize="letterbox", border=9)
    top, left = round(place.y * 224), round(place.x * 224)
    height, width = round(place.height * 224), round(place.width * 224)
    assert abs(height / width - size[0] / size[1]) < 0.02
    assert 224 in (height, width)
    inner = np.zeros((224, 224), bool)
    inner[top : top + height, left : left + width] = True
    assert (found[inner] == 200).all()
    assert (found[~inner] == 9).all()


def test_letterbox_border_is_normalised_and_renewed_when_the_frame_s_shape_changes() -> None:
    into = tensor((1, 64, 64, 3), "float32")
    array = np.zeros(into.shape, np.float32)
    preprocess = Preprocess(
        into, array, resize="letterbox", normalisation=Normalisation(mean=(127.5,), std=(127.5,)), where="m"
    )
    white_wide, white_high = np.full((20, 40, 3), 255, np.uint8), np.full((40, 20, 3), 255, np.uint8)
    preprocess.fill(white_wide)
    assert (array[0, :15] == -1).all()
    assert (array[0, 20:40] == 1).all()
    preprocess.fill(white_high)
    assert (array[0, :, :15] == -1).all()
    assert (array[0, :, 20:40] == 1).all()


def test_crop_takes_the_middle() -> None:
    frame = np.zeros((100, 200, 3), np.uint8)
    frame[:, 50:150] = 255
    found, place = fill(frame, tensor((1, 64, 64, 3)), resize="crop")
    assert (found == 255).all()
    # The frame's left edge as a share of the input, and back again.
    assert (place.x, place.y, place.width, place.height) == (-0.5, 0.0, 2.0, 1.0)


def test_the_same_frame_gives_the_same_bytes() -> None:
    frame = RNG.integers(0, 256, (480, 640, 3), np.uint8)
    into = tensor((1, 128, 128, 3))
    np.testing.assert_array_equal(fill(frame, into)[0], fill(frame, into)[0])


@pytest.mark.parametrize(
    ("into", "said"),
    [
        (tensor((1, 64), "float32"), "1×64 float32"),
        (tensor((1, 128, 3), "float32"), "1×128×3"),
        (tensor((1, 7, 224, 224), "float32"), "1×7×224×224"),
        (tensor((1, 64, 64, 4)), "1×64×64×4"),
        (tensor((8, 8, 8)), "8×8×8"),
        (tensor((1, 8, 8, 3), "int64"), "int64"),
        (tensor((2, 8, 8, 3)), "2×8×8×3"),
        (tensor((), "float32"), "scalar"),
    ],
)
def test_what_is_no_image_input_is_a_problem(into: Tensor, said: str) -> None:
    with pytest.raises(Problem, match=said) as caught:
        Preprocess(into, np.zeros(into.shape, into.dtype), where="m")
    assert caught.value.code == Exit.MODEL


def test_values_that_do_not_fit_the_channels() -> None:
    with pytest.raises(Problem, match="2 values of mean for 3 channels"):
        fill(
            np.zeros((4, 4, 3), np.uint8),
            tensor((1, 4, 4, 3), "float32"),
            normalisation=Normalisation(mean=(1.0, 2.0), std=(1.0,)),
        )
    with pytest.raises(Problem, match="3 channels"):
        fill(np.zeros((4, 4, 3), np.uint8), tensor((1, 4, 4, 3)), color="grey")


@given(
    size=st.tuples(st.integers(40, 400), st.integers(40, 400)),
    into=st.tuples(st.integers(32, 200), st.integers(32, 200)),
    corner=st.tuples(st.floats(0.1, 0.5), st.floats(0.1, 0.5)),
    extent=st.tuples(st.floats(0.2, 0.4), st.floats(0.2, 0.4)),
    resize=st.sampled_from(["stretch", "letterbox", "crop"]),
    planar=st.booleans(),
)
@settings(max_examples=60)
def test_what_lies_in_the_input_lies_there_in_the_frame(
    size: tuple[int, int],
    into: tuple[int, int],
    corner: tuple[float, float],
    extent: tuple[float, float],
    resize: str,
    planar: bool,
) -> None:
    """A white box, found again in the input, is at its place in the frame by the placement: (x - place.x) / place.width."""
    frame = np.zeros((*size, 3), np.uint8)
    first = [round(c * n) for c, n in zip(corner, size, strict=True)]
    last = [round((c + e) * n) for c, e, n in zip(corner, extent, size, strict=True)]
    frame[first[0] : last[0], first[1] : last[1]] = 255
    found, place = fill(frame, tensor((1, 3, *into) if planar else (1, *into, 3)), resize=resize)
    starts, sides = (place.y, place.x), (place.height, place.width)
    for axis in (0, 1):
        bright = np.flatnonzero(found[..., 0].max(axis=1 - axis) >= 128)
        seen = (
            (0.0 - starts[axis]) / sides[axis],
            (1.0 - starts[axis]) / sides[axis],
        )  # what of the frame the input shows
        box = np.clip([first[axis] / size[axis], last[axis] / size[axis]], *seen)
        if len(bright) == 0:  # cut away
            assert box[1] - box[0] < 3 / into[axis] / sides[axis] or resize == "crop"
            continue
        back = (np.array([bright[0], bright[-1] + 1]) / into[axis] - starts[axis]) / sides[axis]
        # A pixel of the input, and one of the frame, which is where edges are rounded to.
        assert np.abs(back - box).max() <= 1.01 / into[axis] / sides[axis] + 1.01 / size[axis]


def test_opencv_works_in_one_thread() -> None:
    cv2.setNumThreads(2)
    fill(picture(48, 64), tensor((1, 16, 16, 3)))
    assert cv2.getNumThreads() == 1
