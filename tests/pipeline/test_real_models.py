"""Real models on real pictures, from file to result: what their publishers say of them."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.inference.model import Config
from agent.pipeline.models import open_model
from agent.records import Frame
from agent.values import RelativePath

DEEPLAB = "deeplabv3_mnv2_dm05_pascal_quant"
VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def opened(testdata: Path, model: str, *, masks: bool = False, **options: object):
    config = Config(path=RelativePath(testdata / "models" / f"{model}.tflite"), **options)  # type: ignore[arg-type]
    return open_model("view", config, where="lane.yard.model.view", kind="frame", masks=masks)


def frame(testdata: Path, name: str) -> Frame:
    return Frame(at_us=0, bgr=cv2.imread(str(testdata / "images" / name)))


@pytest.mark.parametrize(
    ("model", "picture", "label", "index"),
    [
        ("mobilenet_v2_1.0_224_quant", "cat.bmp", "Egyptian cat", 286),
        ("mobilenet_v2_1.0_224_quant", "bird.bmp", "chickadee", 20),
        ("mobilenet_v2_1.0_224_quant", "parrot.jpg", "macaw", 89),
        ("mobilenet_v2_1.0_224_inat_bird_quant", "bird.bmp", "Poecile atricapillus (Black-capped Chickadee)", 659),
        ("mobilenet_v2_1.0_224_inat_bird_quant", "parrot.jpg", "Ara macao (Scarlet Macaw)", 923),
    ],
)
def test_classifiers_name_the_pictures(testdata: Path, model: str, picture: str, label: str, index: int) -> None:
    with opened(testdata, model, top=3) as runner:
        assert runner.decoder == "classification"
        found = runner.look(frame(testdata, picture))
    assert found.labels[0] == label
    assert found.indexes[0] == index
    assert 1 <= len(found) <= 3  # classes of probability 0 are not given
    assert 0.4 < found.scores[0] <= 1
    assert (np.diff(found.scores) <= 0).all()


def test_movenet_finds_the_points_that_its_publisher_found(testdata: Path) -> None:
    """The publisher's result is that of other kernels on a full-integer model whose places lie on a grid of 1/48 of the input.

    Noise of two grey levels on the picture moves points by up to 0.04; a mean of 0.009 and at most 0.03 away is as near as two kinds of
    kernels are.
    """
    reference_file = testdata / "models" / "movenet_single_pose_lightning_ptq_reference.csv"
    with reference_file.open() as file:
        reference = np.array([(float(row["keypoint_x"]), float(row["keypoint_y"])) for row in csv.DictReader(file)])
    with opened(testdata, "movenet_single_pose_lightning_ptq") as runner:
        assert runner.decoder == "movenet"
        assert runner.reader.keypoint_names[0] == "nose"
        found = runner.look(frame(testdata, "squat.bmp"))
        nobody = runner.look(frame(testdata, "cat.bmp"))
    assert found.labels == ("person",)
    assert found.scores[0] > 0.5
    assert found.keypoints is not None
    away = np.abs(found.keypoints[0, :, :2] - reference)
    assert away.mean() < 0.012
    assert away.max() < 0.035
    assert found.boxes is not None
    hull = (*reference.min(axis=0), *reference.max(axis=0))
    np.testing.assert_allclose(found.boxes[0], hull, atol=0.035)
    assert len(nobody) == 0


@pytest.fixture
def voc_labels(tmp_path: Path) -> RelativePath:
    (tmp_path / "labels.txt").write_text("\n".join(VOC))
    return RelativePath(tmp_path / "labels.txt")


def test_deeplab_sees_the_bird_where_its_publisher_does(testdata: Path, voc_labels: RelativePath) -> None:
    """The publisher's own measure counts equal pixels of all classes, and wants 0.9. Of the bird this model takes a part for a dog."""
    mask = cv2.imread(str(testdata / "images" / "bird_segmentation_mask.bmp"), cv2.IMREAD_GRAYSCALE)
    with opened(testdata, DEEPLAB, masks=True, labels=voc_labels) as runner:
        assert runner.decoder == "segmentation"
        found = runner.look(frame(testdata, "bird_segmentation.bmp"))
    assert found.labels[0] == "bird"
    assert found.indexes[0] == 3
    assert "background" not in found.labels
    assert found.masks is not None
    assert found.values is not None
    classes = np.zeros(mask.shape, np.uint8)
    for index, area in zip(found.indexes, found.masks, strict=True):
        classes[area] = index
    equal = int((classes == mask).sum())
    assert equal / (2 * mask.size - equal) > 0.9
    animal, wanted = found.masks.any(axis=0), mask == 3
    assert (animal & wanted).sum() / (animal | wanted).sum() > 0.85
    np.testing.assert_allclose(found.values, found.masks.mean(axis=(1, 2)), rtol=1e-9)
    assert found.values.sum() == pytest.approx(wanted.mean(), abs=0.02)


def test_deeplab_s_areas_are_shares_of_the_frame_however_it_is_fitted(testdata: Path, voc_labels: RelativePath) -> None:
    """A picture twice as wide, the bird in its middle: half the share when stretched, letterboxed, of the whole frame when cropped, too."""
    square = frame(testdata, "bird_segmentation.bmp").pixels
    wide = Frame(at_us=0, bgr=cv2.copyMakeBorder(square, 0, 0, 256, 257, cv2.BORDER_REPLICATE))
    shares = {}
    for resize in ("stretch", "letterbox", "crop"):
        with opened(testdata, DEEPLAB, labels=voc_labels, resize=resize) as runner:
            found = runner.look(wide)
        assert found.values is not None
        shares[resize] = float(found.values.sum())
    for resize, share in shares.items():
        assert share == pytest.approx(0.187 / 2, abs=0.025), resize
