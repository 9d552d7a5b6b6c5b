"""The two models of our own: file, card and catalogue agree; what each says of itself can be read."""

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agent.catalogue.entries import entries
from agent.catalogue.fetch import cached
from agent.inference import metadata as reader
from models.training import metadata as writer

MODELS = Path(__file__).parents[2] / "models"
EXPECTED: dict[str, dict[str, Any]] = {
    "view": {
        "most_bytes": 60_000,
        "labels": ("day", "night", "covered", "blurred"),
        "bands": 1,
        "decoder": "classification",
    },
    "vibration": {"most_bytes": 14_000, "labels": (), "bands": 64, "decoder": "anomaly"},
}


@pytest.fixture(params=sorted(EXPECTED))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def content_of(name: str) -> bytes:
    return (MODELS / f"{name}-int8.tflite").read_bytes()


def test_file_card_and_catalogue_agree(name: str) -> None:
    digest = hashlib.sha256(content_of(name)).hexdigest()
    card = (MODELS / f"{name}.md").read_text()
    assert digest in card
    assert f"{len(content_of(name)):,} bytes" in card
    entry = entries()[name]
    assert entry.digests == (f"sha256:{digest}",)
    assert entry.size_bytes == len(content_of(name)) <= EXPECTED[name]["most_bytes"]
    assert entry.licence in card
    path = cached(entry)
    assert path is not None
    assert path.read_bytes() == content_of(name)


def test_metadata_as_the_agent_reads_it(name: str) -> None:
    read, expected = reader.read(content_of(name)), EXPECTED[name]
    assert (read.name, read.licence) == (name, "Apache-2.0")
    assert read.labels == expected["labels"]
    (normalisation,) = read.normalisation
    assert normalisation is not None
    assert len(normalisation.mean) == len(normalisation.std) == expected["bands"]
    assert read.decoder == expected["decoder"] == entries()[name].decoder
    if name == "vibration":
        assert read.features == "log-bands"
        assert re.search(rf"Default score \| \*\*{read.score}\*\*", (MODELS / "vibration.md").read_text())


def test_the_packed_files_have_no_date_of_their_own(name: str) -> None:
    with zipfile.ZipFile(io.BytesIO(content_of(name))) as files:
        assert {info.date_time for info in files.infolist()} == {(2020, 1, 1, 0, 0, 0)}
        assert json.loads(files.read("edge-agent.json"))["decoder"] == EXPECTED[name]["decoder"]
        assert ("labels.txt" in files.namelist()) == bool(EXPECTED[name]["labels"])


def test_buffers_are_aligned_as_the_schema_asks(name: str) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content_of(name))
    assert model.Metadata(model.MetadataLength() - 1).Name() == b"TFLITE_METADATA"
    described = model.Buffers(model.Metadata(model.MetadataLength() - 1).Buffer()).DataAsNumpy().tobytes()
    assert described[4:8] == b"M001"
    filled = [model.Buffers(index) for index in range(model.BuffersLength()) if model.Buffers(index).DataLength()]
    assert len(filled) > 5
    assert {buffer._tab.Vector(buffer._tab.Offset(4)) % 16 for buffer in filled} == {0}


def test_metadata_changes_no_output() -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    plain = content_of("vibration")
    again = writer.with_metadata(
        plain[: plain.index(b"PK\x03\x04")], name="other", description="", input_name="a", output_name="b", mean=(1.0, 2.0), std=(3.0, 4.0),
        labels=("one", "two"), extra={"decoder": "x", "score": 2},
    )  # fmt: skip
    outputs = []
    for content in (plain, again):
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.arange(64, dtype=np.int8)[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tobytes())
    assert outputs[0] == outputs[1]
    with zipfile.ZipFile(io.BytesIO(again)) as files:
        assert files.read("labels.txt") == b"one\ntwo\n"
        assert json.loads(files.read("edge-agent.json")) == {"decoder": "x", "score": 2}
