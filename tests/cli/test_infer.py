"""`edge-agent infer`: what a person types and sees, on real models."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from peers import tiny_models

from agent.__main__ import main
from agent.inference import model_graph
from agent.problems import Problem

Run = Any


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trials are remembered there, not at home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def infer(capsys: pytest.CaptureFixture[str]) -> Run:
    """infer(words…) → (exit code, its lines as objects, stderr)"""

    def run(*words: object) -> tuple[int, list[dict[str, Any]], str]:
        code = main(["infer", *map(str, words), "--json"])
        captured = capsys.readouterr()
        return code, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return run


def test_a_classifier_names_the_cat(infer: Run, testdata: Path) -> None:
    models = testdata / "models"
    code, (line,), _ = infer(
        models / "mobilenet_v2_1.0_224_quant.tflite",
        testdata / "images" / "cat.bmp",
        "--labels", models / "imagenet_labels.txt",
    )  # fmt: skip
    assert code == 0
    assert set(line) == {"input", "model", "sha256", "runtime", "delegate", "decoder", "frame_px", "ms", "classes"}
    assert line["input"] == str(testdata / "images" / "cat.bmp")
    assert line["model"] == "mobilenet_v2_1.0_224_quant.tflite"
    assert len(line["sha256"]) == 64
    assert line["runtime"].startswith("litert ")
    assert line["decoder"] == "classification"
    assert line["frame_px"] == [512, 341]
    assert set(line["ms"]) == {"preprocess", "invoke", "decode"}
    assert line["classes"][0]["label"] == "Egyptian cat"
    assert line["classes"][0]["index"] == 286
    assert line["classes"][0]["score"] > 0.7


def test_top_gives_more_classes(infer: Run, testdata: Path) -> None:
    code, (line,), _ = infer(
        testdata / "models" / "mobilenet_v2_1.0_224_quant.tflite",
        testdata / "images" / "cat.bmp",
        "--set", "top=3", "--score", "0",
        "--labels", testdata / "models" / "imagenet_labels.txt",
    )  # fmt: skip
    assert code == 0
    scores = [one["score"] for one in line["classes"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_a_pose_is_named_points_of_the_frame(infer: Run, testdata: Path, tmp_path: Path) -> None:
    code, (line,), _ = infer(
        testdata / "models" / "movenet_single_pose_lightning_ptq.tflite",
        testdata / "images" / "squat.bmp",
        "--annotate", tmp_path,
    )  # fmt: skip
    assert code == 0
    assert [point["name"] for point in line["keypoints"]][:2] == ["nose", "left_eye"]
    assert len(line["keypoints"]) == 17
    knee = next(point for point in line["keypoints"] if point["name"] == "left_knee")
    assert 0.4 < knee["x"] < 0.7
    assert 0.55 < knee["y"] < 0.8
    drawn = cv2.imread(str(tmp_path / "squat.png"))
    assert drawn.shape == (610, 500, 3)
    at = round(knee["y"] * 610), round(knee["x"] * 500)
    assert tuple(drawn[at]) == (96, 220, 60), "a left knee is a green dot"


def test_areas_are_shares_and_tinted(infer: Run, testdata: Path, tmp_path: Path) -> None:
    picture = testdata / "images" / "bird_segmentation.bmp"
    code, (line,), _ = infer(
        testdata / "models" / "deeplabv3_mnv2_dm05_pascal_quant.tflite",
        picture,
        "--labels", testdata / "models" / "pascal_voc_segmentation_labels.txt",
        "--annotate", tmp_path,
    )  # fmt: skip
    assert code == 0
    assert line["areas"][0]["label"] == "bird"
    assert line["areas"][0]["index"] == 3
    assert 0.1 < line["areas"][0]["ratio"] < 0.25
    before, after = (
        cv2.imread(str(picture)).astype(int),
        cv2.imread(str(tmp_path / "bird_segmentation.png")).astype(int),
    )
    changed = (np.abs(before - after).sum(axis=2) > 10).mean()
    assert 0.1 < changed < 0.3, "the bird is tinted, the rest is not"


def test_a_video_is_a_line_a_frame(testdata: Path, tmp_path: Path) -> None:
    """As a process of its own, whose reader has enough after three lines."""
    command = [
        sys.executable, "-m", "agent", "infer", str(testdata / "models" / "yolov8n_int8.tflite"),
        str(testdata / "clips" / "bottle-detection.mp4"), "--json",
        "--labels", str(testdata / "models" / "coco80_labels.txt"), "--annotate", str(tmp_path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        lines = [json.loads(child.stdout.readline()) for _ in range(3)]
        child.terminate()
    assert [line["frame"] for line in lines] == [1, 2, 3]
    assert lines[0]["time_s"] == 0
    assert 0 < lines[1]["time_s"] < lines[2]["time_s"] < 0.2
    for line in lines:
        assert [one["label"] for one in line["detections"]] == ["bottle"] * 3
        assert {one["index"] for one in line["detections"]} == {39}
        for one in line["detections"]:
            shares = [edge / size for edge, size in zip(one["box_px"], line["frame_px"] * 2, strict=True)]
            assert one["box"] == pytest.approx(shares, abs=1 / 360)
    assert sorted(path.name for path in tmp_path.iterdir())[:2] == [
        "bottle-detection_000001.png",
        "bottle-detection_000002.png",
    ]


def test_without_json_a_short_line(capsys: pytest.CaptureFixture[str], testdata: Path) -> None:
    model = testdata / "models" / "mobilenet_v2_1.0_224_quant.tflite"
    assert main(["infer", str(model), str(testdata / "images" / "cat.bmp"), "--decoder", "classification"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{testdata / 'images' / 'cat.bmp'}: Egyptian cat 0.")
    assert "decoder classification, because the config says so" in captured.err


def test_windows_of_a_sensor_by_catalogue_name(infer: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    np.save(tmp_path / "one.npy", rng.normal(size=(3, 64)).astype(np.float32))
    np.save(tmp_path / "two.npy", rng.normal(size=(2, 3, 64)).astype(np.float32))
    np.save(tmp_path / "calm.npy", np.full((3, 64), np.float32(-3.5)))
    code, lines, _ = infer(
        "vibration", tmp_path / "one.npy", tmp_path / "two.npy", tmp_path / "calm.npy", "--score", "1e9"
    )
    assert code == 0
    assert [line.get("item") for line in lines] == [None, 1, 2, None]
    assert all(line["anomaly"]["threshold"] == 1e9 for line in lines)
    assert all(line["anomaly"]["score"] > 0 for line in lines), "the score is told below the threshold, too"
    assert "frame_px" not in lines[0]
    assert lines[0]["model"] == "vibration"


def test_an_anomaly_score_without_a_threshold(infer: Run, tmp_path: Path) -> None:
    """What is normal is found out by looking at normal windows: no score is known before."""
    (tmp_path / "same.tflite").write_bytes(tiny_models.one_op("RELU", (1, 4)))
    np.save(tmp_path / "window.npy", np.float32([-2, 0, 1, 1]))
    code, (line,), _ = infer(tmp_path / "same.tflite", tmp_path / "window.npy")
    assert code == 0
    assert (line["decoder"], line["anomaly"]) == ("anomaly", {"score": 1.0, "threshold": None})


def test_grey_and_coloured_arrays_are_pictures(infer: Run, tmp_path: Path) -> None:
    """RGB as most programs save it: a model that gives its input back shows the order."""
    (tmp_path / "same.tflite").write_bytes(tiny_models.copying("uint8", (1, 8, 8, 3)))
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 200
    np.save(tmp_path / "red.npy", red)
    np.save(tmp_path / "grey.npy", np.full((8, 8), 7, np.uint8))
    np.save(tmp_path / "batch.npy", np.stack([red, red]))
    words = [tmp_path / f"{name}.npy" for name in ("red", "grey", "batch")]
    code, lines, _ = infer(tmp_path / "same.tflite", *words, "--decoder", "raw")
    assert code == 0
    assert lines[0]["vector"][:3] == [200, 0, 0]
    assert lines[1]["vector"][:3] == [7, 7, 7]
    assert [line["item"] for line in lines[2:]] == [1, 2]


def test_a_folder_in_order_and_what_cannot_be_read(infer: Run, tmp_path: Path) -> None:
    (tmp_path / "same.tflite").write_bytes(tiny_models.copying("uint8", (1, 8, 8, 3)))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("b.png", "a.jpg"):
        cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG no more")
    (folder / "notes.txt").write_text("no picture")
    code, lines, error = infer(tmp_path / "same.tflite", folder, "--decoder", "raw")
    assert code == 1
    assert [line["input"] for line in lines] == [f"{folder}/a.jpg", f"{folder}/b.png"]
    assert f"{folder}/broken.png: no picture that OpenCV can read" in error


@pytest.mark.parametrize(
    ("make", "code", "said"),
    [
        (lambda path: None, 2, "there is no such file"),
        (lambda path: path.mkdir(), 1, "the folder holds no picture"),
        (lambda path: path.write_bytes(b""), 1, "it is empty"),
        (lambda path: path.write_bytes(b"text" * 99), 1, "neither a picture nor a video"),
    ],
)
def test_what_is_no_input(infer: Run, tmp_path: Path, make: Any, code: int, said: str) -> None:
    (tmp_path / "same.tflite").write_bytes(tiny_models.copying("uint8", (1, 8, 8, 3)))
    make(tmp_path / "input")
    got, lines, error = infer(tmp_path / "same.tflite", tmp_path / "input", "--decoder", "raw")
    assert (got, lines) == (code, [])
    assert f"{tmp_path / 'input'}: {said}" in error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no model at all", "no TFLite model"),
        (b"PK\x03\x04 an archive", "a zip archive"),
        (b"", "empty"),
    ],
)
def test_a_refused_model(infer: Run, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "bad.tflite").write_bytes(content)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    code, lines, error = infer(tmp_path / "bad.tflite", tmp_path / "a.png")
    assert (code, lines) == (3, [])
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_a_model_whose_inputs_cannot_be_read_is_damaged(infer: Run, tmp_path: Path) -> None:
    """What it takes is not known then: it is not taken for one of windows."""
    sound = tiny_models.one_op("RELU", (1, 8, 8, 3))
    for place in range(len(sound)):
        damaged = sound[:place] + bytes([sound[place] ^ 0x40]) + sound[place + 1 :]
        try:
            graph = model_graph.read_graph(damaged, where="m")
        except Problem:
            continue
        if graph.damaged and not graph.inputs:
            break
    else:
        pytest.fail("no flipped bit hides the inputs alone")
    (tmp_path / "damaged.tflite").write_bytes(damaged)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    code, lines, error = infer(tmp_path / "damaged.tflite", tmp_path / "a.png")
    assert (code, lines) == (3, [])
    assert "the model file is damaged: " in error


def test_a_layout_that_the_input_cannot_have(infer: Run, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    code, lines, error = infer("view", tmp_path / "a.png", "--set", "layout=nchw")
    assert (code, lines) == (3, [])
    assert "--set layout: the model's input ?×96×96×3 is no image in the layout nchw. Leave layout out" in error


def test_no_such_model(infer: Run) -> None:
    assert infer("nothing.tflite", "a.png")[0] == 3
    code, _, error = infer("blazefaces", "a.png")
    assert code == 3
    assert "Did you mean blazeface?" in error


def test_a_window_of_another_size_is_named(infer: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "five.npy", np.zeros(5, np.float32))
    np.save(tmp_path / "right.npy", np.zeros((1, 64), np.float32))
    code, lines, error = infer("vibration", tmp_path / "five.npy", tmp_path / "right.npy")
    assert (code, len(lines)) == (1, 1)
    assert f"{tmp_path / 'five.npy'}: 5 numbers, the model takes 64 (1×64 int8)" in error


def test_floats_are_no_picture(infer: Run, tmp_path: Path) -> None:
    (tmp_path / "same.tflite").write_bytes(tiny_models.copying("uint8", (1, 8, 8, 3)))
    np.save(tmp_path / "f.npy", np.zeros((8, 8, 3), np.float32))
    code, _, error = infer(tmp_path / "same.tflite", tmp_path / "f.npy", "--decoder", "raw")
    assert code == 1
    assert "8×8×3 float32, and the model takes pictures" in error


def test_a_recurrent_model_remembers_within_a_folder_and_begins_anew_at_the_next_input(
    infer: Run, tmp_path: Path
) -> None:
    (tmp_path / "recurrent.tflite").write_bytes(tiny_models.recurrent())
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("1", "2", "3"):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((4, 4, 3), 255, np.uint8))
    code, lines, error = infer(
        tmp_path / "recurrent.tflite", folder, folder / "1.png", "--decoder", "raw",
        "--set", 'state={ "c_out" = "c_in", "h_out" = "h_in" }',
    )  # fmt: skip
    assert (code, error) == (0, "")
    answers = [line["vector"][0] for line in lines]
    # mean 1 each; c counts 1, 2, …; h doubles and adds one: 1, 3, …
    assert answers == pytest.approx([1, 3, 6, 1], abs=0.02)


def test_a_video_at_every_so_many_seconds(infer: Run, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(25):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    (tmp_path / "same.tflite").write_bytes(tiny_models.copying("uint8", (1, 8, 8, 3)))
    words = (tmp_path / "same.tflite", tmp_path / "clip.avi", "--decoder", "raw")
    assert [line["frame"] for line in infer(*words)[1]] == list(range(1, 26))
    assert [line["frame"] for line in infer(*words, "--set", "every_s=1")[1]] == [1, 11, 21]


def test_a_name_that_is_no_text_and_arrays_that_are_none(infer: Run, tmp_path: Path) -> None:
    (tmp_path / "same.tflite").write_bytes(tiny_models.copying("uint8", (1, 8, 8, 3)))
    strange = tmp_path / b"\xff.png".decode(errors="surrogateescape")
    strange.write_bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.save(tmp_path / "empty.npy", np.zeros((0, 3), np.float32))
    names = [
        strange,
        *(tmp_path / f"{name}.npy" for name in ("several", "objects", "empty")),
    ]
    code, lines, error = infer(tmp_path / "same.tflite", *names, "--decoder", "raw", "--annotate", tmp_path / "out")
    assert code == 1
    assert [line["input"] for line in lines] == [f"{tmp_path}/\N{REPLACEMENT CHARACTER}.png"]
    assert [line.partition(": ")[2][:12] for line in error.splitlines()] == [
        "an archive o",
        "no array: Ob",
        "an array of ",
    ]


def test_a_spectrogram_is_no_picture_although_its_input_looks_like_one(infer: Run, tmp_path: Path) -> None:
    (tmp_path / "same.tflite").write_bytes(tiny_models.copying("float32", (1, 12, 10, 1)))
    given = np.arange(120, dtype=np.float32).reshape(12, 10) - 60
    np.save(tmp_path / "one.npy", given)
    np.save(tmp_path / "two.npy", np.stack([given, given]))
    code, lines, _ = infer(tmp_path / "same.tflite", tmp_path / "one.npy", tmp_path / "two.npy", "--decoder", "raw")
    assert code == 0
    assert len(lines) == 3
    assert lines[0]["vector"] == given.reshape(-1).tolist()
