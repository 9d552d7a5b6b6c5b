"""From a frame to its result in the steady state: nothing of the frame's or the input's size is allocated."""

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.inference.model import Config
from agent.pipeline.models import open_model
from agent.records import Frame
from agent.values import RelativePath

# The frame has 6.2 MB, the inputs 49 kB to 1.2 MB.
MOST_BYTES = 64_000


@pytest.mark.parametrize(
    "model",
    [
        "mobilenet_v1_0.25_128_quant",
        "mobilenet_v2_1.0_224_quant",
        "movenet_single_pose_lightning_ptq",
        "deeplabv3_mnv2_dm05_pascal_quant",
        "yolov8n_int8",
    ],
)
def test_a_look_allocates_little(testdata: Path, model: str) -> None:
    pixels: np.ndarray = cv2.imread(str(testdata / "images" / "grace_hopper.bmp"))
    frame = Frame(at_us=0, bgr=cv2.resize(pixels, (1920, 1080)))
    config = Config(path=RelativePath(testdata / "models" / f"{model}.tflite"))
    with open_model("m", config, where="m", kind="frame") as runner:
        for _ in range(2):
            runner.look(frame)
        tracemalloc.start()
        try:
            for _ in range(2):
                assert len(runner.look(frame)) > 0
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
        finally:
            tracemalloc.stop()
