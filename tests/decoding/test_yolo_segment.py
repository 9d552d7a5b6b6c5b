"""YOLO segmentation heads without suppression, from prototypes that are shapes drawn on purpose."""

import numpy as np
import pytest
from peers.yolo_tensors import Picture, Thing, image_input, pack, raw_head

from agent.decoding import Options, Shape, yolo_segment
from agent.decoding._recognise import recognise
from agent.problems import Problem

COUNT = 32
SIDE = 160


def prototypes(picture: Picture) -> np.ndarray:
    """(1, 160, 160, 32): 0 everywhere says yes, 1 the left half of the frame, 2 a disc at the frame's middle, 3 says no; the others nothing."""
    place = picture.placement
    centres = (np.arange(SIDE) + 0.5) / SIDE
    x = ((centres - place.x) / place.width)[None, :].repeat(SIDE, 0)
    y = ((centres - place.y) / place.height)[:, None].repeat(SIDE, 1)
    table = np.zeros((1, SIDE, SIDE, COUNT))
    table[0, :, :, 0] = 1
    table[0, :, :, 1] = np.where(x < 0.5, 1, -1)
    table[0, :, :, 2] = np.where((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.3**2, 1, -1)
    table[0, :, :, 3] = -1
    return table


def mixing(which: int) -> tuple[float, ...]:
    return tuple(0.9 if index == which else 0.0 for index in range(COUNT))


THINGS = [
    Thing((0.10, 0.10, 0.40, 0.50), 0, 0.9, mixing(0)),  # all of its box
    Thing((0.30, 0.60, 0.90, 0.90), 1, 0.8, mixing(1)),  # its part left of the middle: 0.2 x 0.3
    Thing((0.10, 0.10, 0.95, 0.95), 2, 0.7, mixing(2)),  # the disc
    Thing((0.60, 0.10, 0.80, 0.40), 0, 0.6, mixing(3)),  # none of it
]
AREAS = (0.12, 0.06, np.pi * 0.09, 0.0)


@pytest.mark.parametrize(
    ("head", "mask"),
    [
        ({}, {}),
        ({"rows": True, "unit": "pixels"}, {}),
        ({"dtype": "int8", "scale": 1 / 120, "zero_point": -10}, {"dtype": "int8", "scale": 0.02, "zero_point": 17}),
        ({"dtype": "uint8", "scale": 1 / 200, "zero_point": 5}, {"dtype": "uint8", "scale": 0.01, "zero_point": 120}),
        ({"dtype": "int16", "scale": 1 / 20000}, {"dtype": "float16"}),
        ({"objectness": True, "rows": True, "anchors": 25200}, {}),
    ],
)
@pytest.mark.parametrize("frame_px", [(640, 360), (480, 640)])
@pytest.mark.parametrize("first", [False, True])
def test_areas_and_masks(
    head: dict[str, object], mask: dict[str, object], frame_px: tuple[int, int], first: bool
) -> None:
    picture = Picture(frame_px)
    given = {"anchors": 8400, **head}
    tensor, shape = raw_head(picture, THINGS, classes=3, extra=COUNT, **given)  # type: ignore[arg-type]
    table = prototypes(picture)
    quantisation = {"dtype": "float32", "scale": 0.0, "zero_point": 0, **mask}
    proto, proto_shape = pack(np.moveaxis(table, 3, 1) if first else table, **quantisation, name="Identity_1")  # type: ignore[arg-type]
    outputs, shapes = ([proto, tensor], (proto_shape, shape)) if first else ([tensor, proto], (shape, proto_shape))
    options = Options(labels=("a", "b", "c"), masks=True)
    assert recognise(image_input(), shapes, options, said=None, where="m").decoder == "yolo_segment"
    decoder = yolo_segment.open_decoder(image_input(), shapes, options, "m")
    found = decoder.decode(outputs, picture.placement)
    assert found.labels == ("a", "b", "c", "a")
    assert found.indexes == (0, 1, 2, 0)
    np.testing.assert_allclose(found.boxes, [one.box for one in THINGS], atol=0.03 if "scale" in head else 1e-5)
    assert found.values is not None
    assert found.values.dtype == np.float64
    tolerance = 0.02 if "scale" in head else 0.008
    np.testing.assert_allclose(found.values, AREAS, atol=tolerance)
    assert found.masks is not None
    height, width = found.masks.shape[1:]
    assert found.masks.dtype == np.bool_
    assert width / height == pytest.approx(frame_px[0] / frame_px[1], rel=0.02)  # the letterbox is cut away
    np.testing.assert_allclose(found.masks.mean(axis=(1, 2)), AREAS, atol=tolerance)
    across, down = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    disc = (across - 0.5) ** 2 + (down - 0.5) ** 2 < 0.3**2
    assert (found.masks[2] & disc).sum() / (found.masks[2] | disc).sum() > 0.95
    assert across[found.masks[2]].mean() == pytest.approx(0.5, abs=0.001)  # half a cell would be 0.003
    assert down[found.masks[2]].mean() == pytest.approx(0.5, abs=0.0015)
    assert (
        yolo_segment.open_decoder(image_input(), shapes, Options(), "m").decode(outputs, picture.placement).masks
        is None
    )


def test_nothing_found_and_noise() -> None:
    tensor, shape = raw_head(Picture(), [], classes=3, extra=COUNT, anchors=8400)
    proto, proto_shape = pack(prototypes(Picture()), "float32", 0.0, 0)
    decoder = yolo_segment.open_decoder(image_input(), (shape, proto_shape), Options(), "m")
    found = decoder.decode([tensor, proto], Picture().placement)
    assert found.values is not None
    assert len(found) == len(found.values) == 0
    noise = np.random.default_rng(1).random(tensor.shape).astype(np.float32)
    found = decoder.decode([noise, proto], Picture().placement)
    assert found.values is not None
    assert 0 < len(found) == len(found.values)
    assert (found.values >= 0).all()
    assert (found.values <= 1).all()


def test_things_beside_the_frame_alone_are_nothing() -> None:
    picture = Picture((640, 360))
    tensor, shape = raw_head(
        picture, [Thing((0.1, -0.3, 0.4, -0.1), 0, 0.9, mixing(0))], classes=3, extra=COUNT, anchors=8400
    )
    proto, proto_shape = pack(prototypes(picture), "float32", 0.0, 0)
    decoder = yolo_segment.open_decoder(image_input(), (shape, proto_shape), Options(masks=True), "m")
    found = decoder.decode([tensor, proto], picture.placement)
    assert found.values is not None
    assert found.masks is not None
    assert len(found) == len(found.values) == len(found.masks) == 0


def test_many_large_boxes_are_sampled_and_still_right() -> None:
    things = [Thing((0.0, 0.0, 1 - 0.001 * index, 1.0), index, 0.9, mixing(2)) for index in range(40)]
    tensor, shape = raw_head(Picture(), things, classes=40, extra=COUNT, anchors=8400)
    proto, proto_shape = pack(prototypes(Picture()), "float32", 0.0, 0)
    found = yolo_segment.open_decoder(image_input(), (shape, proto_shape), Options(), "m").decode(
        [tensor, proto], Picture().placement
    )
    assert len(found) == 40
    np.testing.assert_allclose(found.values, np.pi * 0.09, atol=0.01)


def shaped(*sizes: tuple[int, ...]) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=f"y{i}", shape=size, dtype="float32", scale=0.0, zero_point=0) for i, size in enumerate(sizes)
    )


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        (((1, 116, 8400), (1, 160, 160, 32)), {}),
        (((1, 160, 160, 32), (1, 116, 8400)), {"labels": ("x",) * 80}),
        (((1, 116, 8400), (1, 32, 160, 160)), {"task": "segment", "labels": ("x",) * 80}),
        (((1, 25200, 117), (1, 160, 160, 32)), {"labels": ("x",) * 80}),
        (((1, 116, 6300), (1, 120, 160, 32)), {}),
    ],
)
def test_recognised(sizes: tuple[tuple[int, ...], ...], options: dict[str, object]) -> None:
    inputs = image_input(640, 480) if 6300 in sizes[0] else image_input()
    assert recognise(inputs, shaped(*sizes), Options(**options), said=None, where="m").decoder == "yolo_segment"  # type: ignore[arg-type]


def test_as_many_prototypes_as_cells_a_side_are_channels_last() -> None:
    head, proto = (
        raw_head(Picture((128, 128), (128, 128)), [THINGS[1]], classes=3, extra=COUNT, anchors=336),
        np.full((1, 32, 32, 32), -1.0),
    )
    proto[0, :, :16, 1] = 1.0  # the left half
    tensor, shape = pack(proto, "float32", 0.0, 0)
    decoder = yolo_segment.open_decoder(image_input(128, 128), (head[1], shape), Options(), "m")
    found = decoder.decode([head[0], tensor], Picture().placement)
    np.testing.assert_allclose(found.values, [0.06], atol=0.01)


def test_labels_that_do_not_fit_and_other_models() -> None:
    sizes = shaped((1, 116, 8400), (1, 160, 160, 32))
    with pytest.raises(Problem, match="79 labels for 80 classes"):
        yolo_segment.open_decoder(image_input(), sizes, Options(labels=("x",) * 79), "m")
    with pytest.raises(Problem, match="1×116×8400"):
        yolo_segment.open_decoder(image_input(), sizes[:1], Options(), "m")
