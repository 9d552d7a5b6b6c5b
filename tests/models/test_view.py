"""The frame classifier on pictures that it was never trained on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.training import frames

MODEL = Path(__file__).parents[2] / "models" / "view-int8.tflite"
HELD_OUT = ("bird.bmp", "cat.bmp", "parrot.jpg", "face.jpg", "kite_and_cold.jpg", "squat.bmp", "grace_hopper.bmp")
Classify = Callable[[np.ndarray], str]


@pytest.fixture(scope="module")
def classify() -> Classify:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=MODEL.read_bytes())
    interpreter.allocate_tensors()
    into, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert (into["dtype"], tuple(into["shape"])) == (np.uint8, (1, 96, 96, 3))
    assert into["quantization"] == (pytest.approx(1 / 255), 0), "raw pixels go in as they are"

    def run(frame: np.ndarray) -> str:
        interpreter.set_tensor(into["index"], frame[None])
        interpreter.invoke()
        return frames.LABELS[int(interpreter.get_tensor(out["index"])[0].argmax())]

    return run


@pytest.fixture(scope="module")
def pictures(testdata: Path) -> list[frames.Picture]:
    return [frames.read(testdata / "images" / name) for name in HELD_OUT]


def test_held_out_accuracy(classify: Classify, pictures: list[frames.Picture]) -> None:
    rng = np.random.default_rng(77)
    right = dict.fromkeys(frames.LABELS, 0)
    each = 75
    for label in frames.LABELS:
        for _ in range(each):
            scene = frames.crop(pictures[int(rng.integers(len(pictures)))], rng)
            right[label] += classify(frames.frame(scene, label, rng)) == label
    assert sum(right.values()) / (each * len(right)) >= 0.93, right
    assert min(right.values()) / each >= 0.85, right


def test_the_pictures_themselves_are_by_day(classify: Classify, pictures: list[frames.Picture]) -> None:
    import cv2

    seen = {
        name: classify(cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA))
        for name, picture in zip(HELD_OUT, pictures, strict=True)
    }
    assert set(seen.values()) == {"day"}, seen


def test_without_any_picture(classify: Classify) -> None:
    """Needs no test data: drawn scenes, a lens cap at day, a dark room."""
    rng = np.random.default_rng(78)
    right = [classify(frames.frame(frames.drawn(rng), label, rng)) == label for label in frames.LABELS * 20]
    assert sum(right) / len(right) >= 0.9
    assert classify(np.full((96, 96, 3), 128, np.uint8)) == "covered"
