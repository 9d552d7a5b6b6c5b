"""What a model says of itself; damaged or absent, it says nothing."""

import importlib.util
import random
from pathlib import Path
from types import ModuleType

import pytest
from peers.tiny_models import one_op

from agent.inference import metadata

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """The script that writes metadata into our own models."""
    spec = importlib.util.spec_from_file_location("training_metadata", PROJECT / "models" / "training" / "metadata.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(writer: ModuleType) -> bytes:
    result: bytes = writer.with_metadata(
        one_op("RELU", (1, 3)),
        name="three bands",
        description="a test",
        input_name="given",
        output_name="result",
        mean=[1.5, 2.5, -3.0],
        std=[0.5, 2.0, 4.0],
        labels=["anomaly"],
        extra={"decoder": "anomaly", "features": "log-bands", "score": 1.25, "unknown": [1]},
    )
    return result


def test_reads_what_our_own_models_hold(writer: ModuleType) -> None:
    found = metadata.read(written(writer))
    assert found.name == "three bands"
    assert found.labels == ("anomaly",)
    assert found.normalisation == (metadata.Normalisation(mean=(1.5, 2.5, -3.0), std=(0.5, 2.0, 4.0)),)
    assert (found.decoder, found.score, found.features) == ("anomaly", 1.25, "log-bands")
    assert (found.source, found.licence, found.labels_source) == ("edge-agent", "Apache-2.0", "labels.txt")
    assert (found.input_names, found.output_names) == (("given",), ("result",))


def test_reads_a_publisher_s_model(testdata: Path) -> None:
    found = metadata.read((testdata / "models" / "mobilenet_v2_1.0_224_quant.tflite").read_bytes())
    assert len(found.labels) == 1001
    assert found.labels[1] == "tench, Tinca tinca"
    assert found.normalisation == (metadata.Normalisation(mean=(127.5,), std=(127.5,)),)
    assert found.source == "TFLite metadata"
    assert found.name == "ImageClassifier"
    assert len(found.input_names) == len(found.output_names) == 1


def test_ultralytics_text_that_calls_itself_labels(writer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of 2023 and 2024 hold it as the labels of the output."""
    monkeypatch.setattr(writer, "LABELS_FILE", "temp_meta.txt")
    model: bytes = writer.with_metadata(
        one_op("RELU", (1, 3)),
        name="",
        description="",
        input_name="image",
        output_name="output",
        mean=[0.0],
        std=[255.0],
        labels=["{'task': 'detect', 'stride': 32, 'imgsz': [64, 32], 'names': {0: 'cat', 1: 'dog'}}"],
        extra={},
    )
    found = metadata.read(model)
    assert (found.labels, found.labels_source) == (("cat", "dog"), "Ultralytics")
    assert (found.task, found.input_px, found.input_names) == ("detect", (32, 64), ("image",))
    assert metadata.read(model.replace(b"'names'", b"'gnames")).labels == ()


def test_a_model_without_metadata_says_nothing(testdata: Path) -> None:
    found = metadata.read((testdata / "models" / "yolov8n_int8.tflite").read_bytes())
    assert found == metadata.Metadata()
    assert metadata.read(b"") == metadata.Metadata()


def test_damage_never_raises(writer: ModuleType) -> None:
    whole = written(writer)
    rng = random.Random(3)
    for end in range(0, len(whole), 7):
        metadata.read(whole[:end])
    for _ in range(1500):
        copy = bytearray(whole)
        for _ in range(rng.choice((1, 4, 16))):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
        metadata.read(bytes(copy))
    for _ in range(200):
        metadata.read(rng.randbytes(rng.randrange(200)))
