"""`edge-agent explain`: what a person sees of a model."""

import io
import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.graph_models import TensorSpec, graph_model
from peers.tiny_models import one_op, recurrent, remembering

from agent.__main__ import main

PICTURE = (1, 8, 8, 3)


def told(capsys: pytest.CaptureFixture[str], path: Path, *more: str, code: int = 0) -> tuple[dict[str, str], str]:
    """(the first line of each word, stderr)"""
    assert main(["explain", str(path), *more]) == code
    captured = capsys.readouterr()
    lines = [line for line in captured.out.splitlines() if line and not line.startswith(" ")]
    return {line.split()[0]: line[11:] for line in reversed(lines)}, captured.err


def data(capsys: pytest.CaptureFixture[str], path: Path, *more: str, code: int = 0) -> dict[str, Any]:
    assert main(["explain", str(path), "--json", *more]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def written(folder: Path, model: bytes, name: str = "a.tflite") -> Path:
    (folder / name).write_bytes(model)
    return folder / name


def test_a_classifier(capsys: pytest.CaptureFixture[str], testdata: Path) -> None:
    path = testdata / "models" / "mobilenet_v1_0.25_128_quant.tflite"
    lines, error = told(capsys, path)
    assert lines["input"] == (
        "'input' 1×128×128×3 uint8, said to be 'image', scale 0.0078125, zero point 128: -1..0.9922"
    )
    assert lines["output"].startswith("'MobilenetV1/Predictions/Reshape_1' 1×1001 uint8")
    assert lines["labels"].startswith(
        "1001 (imagenet_labels.txt in the model): background | tench, Tinca tinca | goldfish"
    )
    assert lines["decoder"].startswith("classification, gives classes, because: ")
    assert lines["frame"] == "128×128 rgb, stretched, pixels as its quantisation takes them"
    assert lines["operators"].startswith("31: CONV_2D 15, DEPTHWISE_CONV_2D 13")
    assert lines["says"].startswith("ImageClassifier; Identify")
    assert lines["licence"] == "not said"
    assert lines["runtime"].endswith("takes it")
    assert error == ""


def test_the_snippet_is_a_table_of_a_config(capsys: pytest.CaptureFixture[str], testdata: Path) -> None:
    path = testdata / "models" / "yolov8n_int8.tflite"
    labels = testdata / "models" / "coco80_labels.txt"
    found = data(capsys, path, "--labels", str(labels))
    table = tomllib.loads(found["config"])["lane"]["X"]["model"]["Y"]
    assert table == {"path": str(path), "sha256": found["sha256"], "decoder": "yolo", "labels": str(labels)}
    assert found["labels_count"] == 80
    assert found["frame"]["resize"] == "letterbox"
    assert found["gives"] == "detections"
    assert found["problem"] is None


def test_a_wrong_count_of_labels_is_said(capsys: pytest.CaptureFixture[str], testdata: Path) -> None:
    path = testdata / "models" / "yolov8n_int8.tflite"
    found = data(capsys, path, "--labels", str(testdata / "models" / "imagenet_labels.txt"))
    assert found["problem"]["what"] == "1001 labels for 80 classes"
    assert 'decoder = "yolo"  # not as it is: 1001 labels for 80 classes' in found["config"]
    assert tomllib.loads(found["config"])["lane"]["X"]["model"]["Y"]["decoder"] == "yolo"


def test_what_ultralytics_says(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    whole = io.BytesIO()
    whole.write(one_op("RELU", (1, 84, 8400)))
    text = {"task": "detect", "imgsz": [640, 640], "license": "AGPL-3.0", "names": {0: "a", 1: "b"}, "end2end": False}
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("metadata.json", json.dumps(text))
    lines, _ = told(capsys, written(tmp_path, whole.getvalue()))
    assert lines["licence"] == "AGPL-3.0"
    assert lines["labels"] == "2 (Ultralytics): a | b"
    assert lines["task"] == "task detect, input 640×640, doubles are left in"


def test_a_float_model_that_rescales_inside(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = graph_model(
        [TensorSpec("x", PICTURE), TensorSpec("k", (1,), data=np.float32([1 / 255])), TensorSpec("y", PICTURE)],
        [("MUL", [0, 1], [2])],
        inputs=[0],
        outputs=[2],
    )
    found = data(capsys, written(tmp_path, model))
    assert (found["frame"]["mean"], found["frame"]["std"], found["frame"]["said_by"]) == ([0.0], [1.0], "its graph")
    lines, _ = told(capsys, tmp_path / "a.tflite")
    assert "values 0..255 as they are, as its graph says" in lines["frame"]


def test_a_model_that_no_decoder_knows_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = written(tmp_path, one_op("RELU", (2, 3, 4, 5, 6)))
    lines, error = told(capsys, path)
    assert "not recognised" in lines["decoder"]
    assert error == ""
    found = data(capsys, path)
    assert '"raw" stores the numbers' in found["undecided"]["remedy"]
    assert tomllib.loads(found["config"])["lane"]["X"]["model"]["Y"]["decoder"] == "raw"
    assert found["frame"] is None
    assert data(capsys, path, "--decoder", "raw")["decoder"] == "raw"


def test_candidates_have_their_reasons(capsys: pytest.CaptureFixture[str], testdata: Path) -> None:
    found = data(capsys, testdata / "models" / "movenet_single_pose_lightning_ptq.tflite")
    assert found["decoder"] == "movenet"
    assert found["why"] in [candidate["why"] for candidate in found["candidates"]]
    assert {candidate["sure"] for candidate in found["candidates"]} <= {"possible", "shapes", "said"}


def test_an_op_that_is_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = written(tmp_path, one_op("RELU", PICTURE, custom="Nobody"))
    lines, error = told(capsys, path, code=3)
    assert lines["input"].startswith("'given' 1×8×8×3 float32")
    assert "Nobody" in lines["refused"]
    assert len(error.splitlines()) == 1
    assert "Nobody" in error
    found = data(capsys, path, code=3)
    assert found["unsupported"] == {"Nobody": "this runtime lacks it"}
    assert found["runtime"] is None


def test_an_op_that_only_xnnpack_has(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`infer` and `run` take the model, so it is not refused here."""
    tensors = [
        TensorSpec("image", (1, 8, 8, 3)),
        TensorSpec("filter", (1, 2, 2, 3), data=np.ones((1, 2, 2, 3), np.float32)),
        TensorSpec("bias", (1,), data=np.zeros(1, np.float32)),
        TensorSpec("mask", (1, 16, 16, 1)),
    ]
    model = graph_model(tensors, [("Convolution2DTransposeBias", [0, 1, 2], [3])], inputs=[0], outputs=[3])
    found = data(capsys, written(tmp_path, model))
    assert found["runtime"].startswith("litert")
    assert (found["refused"], found["unsupported"]) == (None, {})


def test_ops_of_tensorflow_and_of_the_edge_tpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for op, remedy in (("FlexErf", "SELECT_TF_OPS"), ("edgetpu-custom-op", "edgetpu")):
        found = data(capsys, written(tmp_path, one_op("RELU", PICTURE, custom=op)), code=3)
        assert remedy in found["unsupported"][op]


def test_signatures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tensors = [TensorSpec("x:0", (1, 4)), TensorSpec("y:0", (1, 4)), TensorSpec("z:0", (1, 4))]
    model = graph_model(
        tensors,
        [("ABS", [0], [1]), ("NEG", [0], [2])],
        inputs=[0],
        outputs=[1, 2],
        signatures=[("serve", {"x": 0}, {"y": 1}), ("train", {"x": 0}, {"z": 2})],
    )
    path = written(tmp_path, model)
    found = data(capsys, path)
    assert (found["signature"], list(found["signatures"])) == ("serve", ["serve", "train"])
    assert 'signature = "serve"' in found["config"]
    chosen = data(capsys, path, "--signature", "train")
    assert [output["name"] for output in chosen["outputs"]] == ["z"]
    assert 'signature = "train"' in chosen["config"]


def test_models_with_a_memory(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = data(capsys, written(tmp_path, recurrent()))
    assert {one["name"]: one.get("state", False) for one in (*found["inputs"], *found["outputs"])} == {
        "image": False,
        "c_in": True,
        "h_in": True,
        "answer": False,
        "c_out": True,
        "h_out": True,
    }
    assert (found["frame"]["name"], found["frame"]["width_px"]) == ("image", 4)
    lines, _ = told(capsys, written(tmp_path, remembering()))
    assert lines["memory"].startswith("1 variable")
    assert lines["gpu"] == "not for it: it has a memory of its own"


def test_several_inputs_are_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tensors = [TensorSpec(name, (1, 4)) for name in ("a", "b", "sum")]
    model = graph_model(tensors, [("ADD", [0, 1], [2])], inputs=[0, 1], outputs=[2])
    found = data(capsys, written(tmp_path, model))
    assert len(found["inputs"]) == 2
    assert found["decoder"] is None
    assert found["undecided"]["what"]


def test_a_model_of_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, Path("view"))
    assert found["licence"] == "Apache-2.0"
    assert 'catalogue = "view"' in found["config"]


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 99, b"\x1c\0\0\0TFL3" + b"\xff" * 400])
def test_foreign_and_damaged_files_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    assert main(["explain", str(written(tmp_path, content))]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert str(tmp_path / "a.tflite") in captured.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "blazefaces",
            "MODEL: there is no file blazefaces, and no model of that name in the catalogue. Did you mean blazeface?",
        ),
        (
            "gone.tflite",
            "MODEL: there is no file gone.tflite. Name a .tflite file, or a model of `edge-agent models list`",
        ),
    ],
)
def test_no_such_model(capsys: pytest.CaptureFixture[str], name: str, said: str) -> None:
    assert main(["explain", name]) == 3
    assert capsys.readouterr().err.strip() == said


def test_damaged_copies_are_refused_or_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Truncated and flipped: an exit code, and at most one line on stderr from us."""
    whole = bytearray(one_op("SOFTMAX", (1, 4)))
    rng = np.random.default_rng(5)
    for trial in range(40):
        copy = bytearray(whole)
        for _ in range(4):
            copy[rng.integers(len(copy))] = rng.integers(256)
        content = bytes(copy) if trial % 2 else bytes(whole[: rng.integers(1, len(whole))])
        code = main(["explain", str(written(tmp_path, content))])
        captured = capsys.readouterr()
        assert code in (0, 3)
        assert (code == 0) == (captured.err == "")


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom agent.__main__ import main\ntry: main(['explain', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'cv2', 'ai_edge_litert')))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0
