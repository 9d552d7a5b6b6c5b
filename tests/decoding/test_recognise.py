"""Which decoder a model gets where the config names none."""

import msgspec
import pytest

from agent.decoding import Options, Shape, Sure
from agent.decoding._recognise import claims, decoders, load, recognise
from agent.problems import Exit, Problem


def shapes(
    *sizes: tuple[int, ...],
    names: tuple[str, ...] = (),
    dtype: str = "float32",
    scale: float = 0.0,
    zero_point: int = 0,
) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=names[i] if names else f"t{i}", shape=size, dtype=dtype, scale=scale, zero_point=zero_point)
        for i, size in enumerate(sizes)
    )


IMAGE = shapes((1, 96, 96, 3))
SMALL = shapes((1, 192, 192, 3))
YOLO = shapes((1, 640, 640, 3))
MAP = shapes((1, 513, 513, 3))
SELFIE = shapes((1, 256, 256, 3))
OP = "TFLite_Detection_PostProcess"
COCO = tuple(f"class {index}" for index in range(80))
VOC = ("background", *(f"class {index}" for index in range(1, 21)))
WINDOW = shapes((1, 64))


@pytest.mark.parametrize(
    ("inputs", "outputs", "options", "decoder"),
    [
        # One row of numbers.
        (IMAGE, shapes((1, 1001)), {}, "classification"),
        (IMAGE, shapes((1, 1001)), {"labels": tuple(map(str, range(1001)))}, "classification"),
        (IMAGE, shapes((1, 1, 1, 5)), {}, "classification"),
        (shapes((1, 3, 224, 224)), shapes((1, 1000)), {}, "classification"),
        (shapes((1, 28, 28)), shapes((1, 10)), {}, "classification"),
        (shapes((1, 40)), shapes((1, 3)), {"labels": ("a", "b", "c")}, "classification"),
        (shapes((1, 490)), shapes((1, 12), names=("Softmax",)), {}, "classification"),
        (shapes((1, 490)), shapes((1, 12), dtype="int8", scale=1 / 256, zero_point=-128), {}, "classification"),
        (IMAGE, shapes((1, 1000), (1, 1024)), {"labels": tuple(map(str, range(1000)))}, "classification"),
        (IMAGE, shapes((1, 1), dtype="uint8", scale=1 / 256), {"labels": ("closed", "open")}, "classification"),
        (YOLO, shapes((1, 1000)), {"task": "classify"}, "classification"),
        (IMAGE, shapes((1, 1024), names=("MobilenetV3/feature_vector",)), {}, "embedding"),
        (IMAGE, shapes((1, 192), names=("embeddings",)), {}, "embedding"),
        (shapes((1, 16000)), shapes((1, 1024), names=("embedding",)), {}, "embedding"),
        (IMAGE, shapes((1, 1)), {}, "regression"),
        (shapes((1, 1)), shapes((1, 1)), {}, "regression"),
        (WINDOW, shapes((1, 1)), {"labels": ("temperature",)}, "regression"),
        # What went in comes out.
        (WINDOW, shapes((1, 64)), {"labels": ("anomaly",)}, "anomaly"),
        (shapes((1, 128, 3)), shapes((1, 128, 3)), {}, "anomaly"),
        (shapes((1, 49, 40, 1)), shapes((1, 49, 40, 1)), {"score": 2.0, "task": None}, None),
        (IMAGE, shapes((1, 96, 96, 3)), {}, None),
        # Maps.
        (MAP, shapes((1, 513, 513), dtype="int64"), {}, "segmentation"),
        (MAP, shapes((1, 513, 513), dtype="int64"), {"labels": VOC}, "segmentation"),
        (shapes((1, 257, 257, 3)), shapes((1, 257, 257, 21)), {}, "segmentation"),
        (shapes((1, 257, 257, 3)), shapes((1, 257, 257, 21)), {"labels": VOC}, "segmentation"),
        (MAP, shapes((1, 65, 65, 21)), {"labels": VOC}, "segmentation"),
        (shapes((1, 3, 256, 256)), shapes((1, 19, 64, 64)), {}, "segmentation"),
        (SELFIE, shapes((1, 256, 256, 1)), {}, "segmentation"),
        (SELFIE, shapes((1, 256, 256, 6)), {}, "segmentation"),
        (SELFIE, shapes((1, 128, 128, 6)), {"labels": tuple("abcde")}, "segmentation"),
        (SELFIE, shapes((1, 64, 64, 6)), {"labels": tuple("abcdef")}, "segmentation"),
        # FOMO's grids.
        (IMAGE, shapes((1, 12, 12, 3), dtype="int8", scale=1 / 256, zero_point=-128), {}, "fomo"),
        (IMAGE, shapes((1, 12, 12, 3)), {"labels": ("nut", "bolt")}, "fomo"),
        (SELFIE, shapes((1, 64, 64, 6)), {}, None),
        (
            shapes((1, 160, 160, 3)),
            shapes((1, 160, 160, 3)),
            {"labels": ("pet", "background", "border")},
            "segmentation",
        ),
        # People.
        (SMALL, shapes((1, 1, 17, 3)), {}, "movenet"),
        (SELFIE, shapes((1, 6, 56)), {}, "movenet"),
        # YOLO, which metadata tells apart where shapes do not.
        (YOLO, shapes((1, 84, 8400)), {"labels": COCO}, "yolo"),
        (YOLO, shapes((1, 84, 8400)), {}, "yolo"),
        (YOLO, shapes((1, 84, 8400)), {"labels": COCO, "task": "detect"}, "yolo"),
        (YOLO, shapes((1, 25200, 85)), {"labels": COCO}, "yolo"),
        (YOLO, shapes((1, 56, 8400)), {"task": "pose", "labels": ("person",), "keypoint_shape": (17, 3)}, "yolo_pose"),
        (YOLO, shapes((1, 56, 8400)), {}, "yolo_pose"),
        (YOLO, shapes((1, 116, 8400), (1, 160, 160, 32)), {"labels": COCO}, "yolo_segment"),
        (YOLO, shapes((1, 116, 8400), (1, 160, 160, 32)), {"labels": COCO, "task": "segment"}, "yolo_segment"),
        (YOLO, shapes((1, 300, 6)), {"labels": COCO}, "yolo_end_to_end"),
        (YOLO, shapes((1, 300, 6)), {"task": "detect", "labels": COCO}, "yolo_end_to_end"),
        (YOLO, shapes((1, 300, 57)), {"task": "pose", "keypoint_shape": (17, 3)}, "yolo_end_to_end"),
        (YOLO, shapes((1, 300, 38), (1, 160, 160, 32)), {"task": "segment", "labels": COCO}, "yolo_end_to_end"),
        # MediaPipe's anchors.
        (IMAGE, shapes((1, 896, 16), (1, 896, 1)), {}, "blazeface"),
        (IMAGE, shapes((1, 896, 1), (1, 896, 16)), {}, "blazeface"),
        (IMAGE, shapes((1, 2254, 12), (1, 2254, 1)), {}, "blazepose"),
        (SMALL, shapes((1, 2016, 18), (1, 2016, 1)), {}, "blazepalm"),
        # SSD and EfficientDet.
        (shapes((1, 300, 300, 3)), shapes((1, 1917, 4), (1, 1917, 91)), {}, "ssd_anchors"),
        (shapes((1, 320, 320, 3)), shapes((1, 100, 7)), {}, "efficientdet"),
        (shapes((1, 320, 320, 3)), shapes((1, 25, 4), (1, 25), (1, 25), (1,)), {"labels": COCO}, "ssd"),
        (IMAGE, shapes((), (), (), (), names=(OP, f"{OP}:1", f"{OP}:2", f"{OP}:3")), {}, "ssd"),
        (IMAGE, shapes((1, 10, 4), (1, 10), (1, 10), (1,)), {}, "ssd"),
        (IMAGE, shapes((1, 10, 4), (1, 10), (1, 10), (1,)), {"labels": tuple("abcdefghij")}, "ssd"),
    ],
)
def test_by_shape(
    inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], options: dict[str, object], decoder: str | None
) -> None:
    told = Options(**options)  # type: ignore[arg-type]
    if decoder is None:  # it may be this and that: a person has to say it
        with pytest.raises(Problem, match="several decoders could read it"):
            recognise(inputs, outputs, told, said=None, where="m")
    else:
        assert recognise(inputs, outputs, told, said=None, where="m").decoder == decoder


def test_the_model_s_own_word_is_taken_when_it_names_one() -> None:
    assert recognise(IMAGE, shapes((1, 5)), Options(), said="ssd", where="m").decoder == "ssd"
    assert recognise(IMAGE, shapes((1, 5)), Options(), said="nonsense", where="m").decoder == "classification"


def test_a_model_that_nobody_knows_names_the_shapes_the_key_and_all_decoders() -> None:
    with pytest.raises(Problem) as caught:
        recognise(IMAGE, shapes((1, 7, 5), (2, 3)), Options(), said=None, where="lane.a.model.b")
    assert (caught.value.code, caught.value.where) == (Exit.MODEL, "lane.a.model.b.decoder")
    assert "1×7×5 and 2×3" in caught.value.what
    assert "1×96×96×3" in caught.value.what
    assert "Set lane.a.model.b.decoder" in caught.value.remedy
    assert '"raw"' in caught.value.remedy
    assert all(name in caught.value.remedy for name in decoders())
    assert "\n" not in str(caught.value)


def test_an_ambiguous_model_names_the_candidates_why_and_the_key() -> None:
    with pytest.raises(Problem) as caught:
        recognise(IMAGE, shapes((1, 96, 96, 3)), Options(), said=None, where="lane.a.model.b")
    assert (caught.value.code, caught.value.where) == (Exit.MODEL, "lane.a.model.b.decoder")
    assert "anomaly (its output has the shape of its input)" in caught.value.what
    assert "segmentation (" in caught.value.what
    assert "Set lane.a.model.b.decoder" in caught.value.remedy
    assert '"anomaly" or "segmentation"' in caught.value.remedy
    assert "ssd" not in caught.value.remedy


def test_where_labels_would_settle_it_the_remedy_says_so() -> None:
    outputs = shapes((1, 1280), names=("Identity",))
    with pytest.raises(Problem, match=r"classification .* embedding") as caught:
        recognise(IMAGE, outputs, Options(), said=None, where="m")
    assert "labels" in caught.value.remedy
    labels = tuple(map(str, range(1280)))
    assert recognise(IMAGE, outputs, Options(labels=labels), said=None, where="m").decoder == "classification"


def test_raw_numbers_are_never_a_guess() -> None:
    for outputs in (shapes((1, 5)), shapes((1, 1)), shapes((1, 8, 8, 2)), ()):
        assert "raw" not in claims(IMAGE, outputs, Options())


@pytest.mark.parametrize("name", decoders())
def test_every_decoder_keeps_the_room_s_contract(name: str) -> None:
    module = load(name, "m")
    assert module.__doc__
    assert module.WANTS.resize in ("stretch", "letterbox", "crop")
    if not name.startswith("yolo"):  # nobody claims what is not his
        assert module.claims(YOLO, shapes((1, 84, 8400)), Options(labels=COCO)) is None
    if name == "raw":  # reads anything
        return
    with pytest.raises(Problem) as caught:
        module.open_decoder(IMAGE, shapes((3, 3, 3)), Options(score=1.0), "lane.a.model.b")
    assert caught.value.code == Exit.MODEL
    assert caught.value.where.startswith("lane.a.model.b")


@pytest.mark.parametrize("name", decoders())
def test_no_decoder_fails_on_odd_shapes(name: str) -> None:
    module = load(name, "m")
    odd = [(), (0,), (1,), (1, 0), (1, 1, 1), (1, 2, 0, 3), (1, 1, 1, 1, 5), (-1, 4), (2, 6)]
    for inputs in ((), IMAGE, shapes(())):
        for outputs in ((), *(shapes(*([size] * count)) for size in odd for count in (1, 2, 4, 6))):
            for options in (Options(), Options(labels=("a", "b")), Options(task="detect"), Options(task="classify")):
                claim = module.claims(inputs, outputs, options)
                assert claim is None or (claim.sure in Sure and claim.why)


def made(size: tuple[int, ...], by: str) -> tuple[Shape, ...]:
    return tuple(msgspec.structs.replace(one, made_by=by) for one in shapes(size))


@pytest.mark.parametrize(
    ("inputs", "outputs", "labels", "found"),
    [
        # Windows of samples whose numbers come out of a softmax; without one nobody knows what they are.
        (shapes((1, 33)), made((1, 3), "SOFTMAX"), (), {"classification"}),
        (shapes((1, 33)), made((1, 3), "LOGISTIC"), (), {"classification"}),
        (shapes((1, 33)), made((1, 3), "FULLY_CONNECTED"), (), set()),
        # As many classes as numbers in: a softmax rebuilds nothing.
        (shapes((1, 10)), made((1, 10), "SOFTMAX"), (), {"classification"}),
        (shapes((1, 10)), made((1, 10), "FULLY_CONNECTED"), (), {"anomaly"}),
        (shapes((1, 4)), made((1, 4), "RELU"), (), {"anomaly"}),
        (shapes((1, 10)), made((1, 10), "LOGISTIC"), (), {"anomaly"}),
        (IMAGE, made((1, 96, 96, 3), "SOFTMAX"), (), {"segmentation"}),
        (IMAGE, made((1, 96, 96, 3), "CONV_2D"), (), {"anomaly", "segmentation"}),
        # A few numbers of a picture: a box, a point, or classes.
        (IMAGE, made((1, 1, 1, 4), "STRIDED_SLICE"), (), {"classification", "regression"}),
        (IMAGE, made((1, 4), "SOFTMAX"), (), {"classification"}),
        (IMAGE, made((1, 2), "FULLY_CONNECTED"), ("cat", "dog"), {"classification"}),
        (IMAGE, made((1, 10), "FULLY_CONNECTED"), (), {"classification"}),
        (IMAGE, made((1, 1024), "SOFTMAX"), (), {"classification"}),
        (IMAGE, made((1, 1024), "MEAN"), (), {"classification", "embedding"}),
    ],
)
def test_the_op_that_computes_an_output_tells_what_it_is(
    inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], labels: tuple[str, ...], found: set[str]
) -> None:
    assert set(claims(inputs, outputs, Options(labels=labels))) == found
