"""The text that Ultralytics appends to its exports, in each of its forms."""

import io
import json
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.tiny_models import one_op

from agent.inference import metadata, ultralytics

POSE: dict[str, Any] = {
    "description": "Ultralytics YOLO11n-pose model trained on coco-pose.yaml",
    "author": "Ultralytics",
    "date": "2025-01-01T00:00:00",
    "version": "8.3.0",
    "license": "AGPL-3.0 License (https://ultralytics.com/license)",
    "stride": 32,
    "task": "pose",
    "batch": 1,
    "imgsz": [320, 640],
    "names": {0: "person", 1: "dog's"},
    "kpt_shape": [17, 3],
    "kpt_names": {0: ["nose", "left_eye"]},
    "end2end": False,
    "args": {"nms": True, "half": False},
}
SAID = ultralytics.Said(
    description="Ultralytics YOLO11n-pose model trained on coco-pose.yaml",
    author="Ultralytics",
    licence="AGPL-3.0 License (https://ultralytics.com/license)",
    labels=("person", "dog's"),
    task="pose",
    keypoint_shape=(17, 3),
    keypoint_names=("nose", "left_eye"),
    suppressed=True,
    input_px=(640, 320),
)
YAML = """description: Ultralytics YOLO11n-pose model trained on coco-pose.yaml
author: Ultralytics
license: AGPL-3.0 License (https://ultralytics.com/license)
stride: 32
task: pose
imgsz:
- 320
- 640
names:
  0: person
  1: dog's
end2end: false
nms: true
kpt_shape:
- 17
- 3
"""


def zipped(model: bytes, name: str, text: str, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    whole = io.BytesIO()
    whole.write(model)
    with zipfile.ZipFile(whole, "a", method) as archive:
        archive.writestr(name, text)
    return whole.getvalue()


@pytest.fixture(scope="module")
def model() -> bytes:
    return one_op("RELU", (1, 3))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("temp_meta.txt", str(POSE)),
        ("metadata.json", json.dumps(POSE, indent=2)),
        ("metadata.json", str(POSE)),
    ],
)
def test_in_the_zip(model: bytes, name: str, text: str) -> None:
    found = metadata.read(zipped(model, name, text))
    for field in ultralytics.Said.__struct_fields__:
        assert getattr(found, field) == getattr(SAID, field), field
    assert (found.source, found.labels_source) == ("Ultralytics", "Ultralytics")


def test_json_alone_behind_the_model(model: bytes) -> None:
    assert ultralytics.read({}, model + json.dumps(POSE).encode()) == SAID
    assert ultralytics.read({}, model + b'{"\x00{"a": 1}' + json.dumps(POSE, indent=1).encode() + b"\n\0") == SAID
    assert ultralytics.read({}, model + b'{"other": 1}') is None


def test_yaml_beside_the_export() -> None:
    said = ultralytics.parse(YAML)
    assert said is not None
    assert said == ultralytics.Said(
        **{name: getattr(SAID, name) for name in SAID.__struct_fields__ if name != "keypoint_names"}
    )


def test_yolov5_says_names_alone() -> None:
    assert ultralytics.parse("{'stride': 32, 'names': {0: 'person', 2: 'car'}}") == ultralytics.Said(
        labels=("person", "1", "car")
    )
    assert ultralytics.parse("{'stride': 32, 'names': ['person', 'car']}") == ultralytics.Said(labels=("person", "car"))


@pytest.mark.parametrize(
    ("values", "suppressed"),
    [
        ({}, None),
        ({"end2end": True}, True),
        ({"end2end": False}, False),
        ({"args": {"nms": True}}, True),
        ({"end2end": False, "args": {"nms": False}}, False),
        ({"args": "nms", "end2end": "yes"}, None),
    ],
)
def test_suppressed(values: dict[str, Any], suppressed: bool | None) -> None:
    said = ultralytics.parse(json.dumps({"task": "detect", **values}))
    assert said is not None
    assert said.suppressed == suppressed


@pytest.mark.parametrize(
    ("damaged", "left"),
    [
        ({"imgsz": [640]}, {"input_px": None}),
        ({"imgsz": 416}, {"input_px": (416, 416)}),
        ({"imgsz": [-1, 640]}, {"input_px": None}),
        ({"imgsz": [True, 640]}, {"input_px": None}),
        ({"kpt_shape": [17, 5]}, {"keypoint_shape": None}),
        ({"kpt_shape": "17x3"}, {"keypoint_shape": None}),
        ({"kpt_names": {"0": 3}}, {"keypoint_names": ()}),
        ({"kpt_names": ["nose"]}, {"keypoint_names": ("nose",)}),
        ({"names": {"a": "b"}}, {"labels": ()}),
        ({"names": {"0": "a", "-1": "b"}}, {"labels": ()}),
        ({"task": 7}, {"task": None}),
        ({"author": None}, {"author": ""}),
    ],
)
def test_a_damaged_part_is_left_out_alone(damaged: dict[str, Any], left: dict[str, Any]) -> None:
    said = ultralytics.parse(json.dumps({**POSE, **damaged}))
    assert said is not None
    for field in SAID.__struct_fields__:
        assert getattr(said, field) == left.get(field, getattr(SAID, field)), field


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", "{'a': 1}", "{" * 9000, "hello", "{'names': open('x')}"])
def test_other_texts_say_nothing(text: str) -> None:
    said = ultralytics.parse(text)
    assert said is None or said == ultralytics.Said()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(POSE)), VALUES))
@settings(max_examples=200)
def test_any_values_of_its_keys(values: dict[str, Any]) -> None:
    for text in (json.dumps(values), str(values)):
        said = ultralytics.parse(text)
        assert said is None or isinstance(said.labels, tuple)


WHOLE = str(POSE).encode()


@given(st.integers(0, len(WHOLE)), st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4))
@settings(max_examples=200)
def test_damage_never_raises(end: int, flips: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for place, value in flips:
        data[place] = value
    ultralytics.read({"temp_meta.txt": bytes(data[:end])}, b"")
    ultralytics.read({}, bytes(data[-end:]))
