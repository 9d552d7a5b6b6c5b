"""How many people `blur = "persons"` hides: those that the detector finds. A figure of one detector and these pictures, not of yours.

real:      16 people in four photographs, boxes drawn by hand; hidden is a person of whose box nine tenths are made of cells.
scenes:    a person cut out of a photograph (by a segmentation model, so a little ragged), set into other pictures at 640 × 480: turned, darker, noisy, partly
           behind something. Which pixels are his is known; hidden is one of whom 95 % are.
walks:     the same person walks through a scene at 5 pictures a second; each picture counts, with what was known a moment before.

cost:      what the picture of an event takes of its lane: hiding two people, JPEG, SHA-256; and what a mask takes of each frame.

The model is YOLOv8n, weights int8, at 640 × 640. `score` is the least score of a detection: the model's own key in the config.
"""

import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.events.privacy import CELLS, Hiding, hide
from agent.events.privacy import Config as Privacy
from agent.inference.model import Config as ModelConfig
from agent.pipeline.models import Machine, open_model
from agent.pipeline.runner import Runner
from agent.pipeline.showing import encoded
from agent.records import Detections, Frame, Inference
from agent.sources.masking import Cover
from agent.values import RelativePath
from benchmarks.figures import known, parser, say, skipped

PROJECT = Path(__file__).parent.parent
TESTDATA = Path(os.environ.get("EDGE_AGENT_TESTDATA", PROJECT.parent / "shared" / "testdata"))
SCORES = (0.1, 0.25, 0.5)
HEIGHTS_PX = (40, 80, 160, 320)
WIDTH, HEIGHT = 640, 480
STEP_US = 200_000
LOWEST = 0.05
# By hand, x0, y0, x1, y1 in 0..1. Of the people in the far background of the beach those that can be told as such.
PEOPLE = {
    "face.jpg": ((0.43, 0.05, 0.99, 1.0), (0.03, 0.17, 0.49, 1.0), (0.0, 0.25, 0.23, 0.98), (0.82, 0.27, 1.0, 0.88)),
    "grace_hopper.bmp": ((0.02, 0.03, 1.0, 1.0),),
    "squat.bmp": ((0.21, 0.22, 0.73, 0.97),),
    "kite_and_cold.jpg": (
        (0.085, 0.681, 0.121, 0.846), (0.160, 0.777, 0.199, 0.948), (0.030, 0.568, 0.039, 0.623), (0.016, 0.591, 0.029, 0.619),
        (0.061, 0.565, 0.074, 0.629), (0.071, 0.597, 0.081, 0.629), (0.131, 0.601, 0.142, 0.638), (0.255, 0.541, 0.263, 0.559),
        (0.385, 0.561, 0.3935, 0.590), (0.395, 0.571, 0.410, 0.593),
    ),
}  # fmt: skip
Picture = NDArray[np.uint8]


def main() -> None:
    arguments = parser(__doc__).parse_args()
    for name, value, unit in costs(5 if arguments.quick else 50):
        say(known(name, value, unit), as_json=arguments.json)
    model = TESTDATA / "models" / "yolov8n_int8.tflite"
    if not model.is_file():
        skipped(f"people hidden: no {model}")
        return
    rng = np.random.default_rng(11)
    with opened(model, TESTDATA / "models" / "coco80_labels.txt") as runner:
        for name, value, unit in itertools.chain(
            real(runner),
            scenes(runner, rng, 8 if arguments.quick else 60),
            walks(runner, rng, 2 if arguments.quick else 12),
        ):
            say(known(name, value, unit), as_json=arguments.json)


@contextmanager
def opened(model: Path, labels: Path, *, masks: bool = False) -> Iterator[Runner]:
    config = ModelConfig(path=RelativePath(model), labels=RelativePath(labels), score=None if masks else LOWEST)
    with open_model("detector", config, machine=Machine(), masks=masks, where="", kind="frame") as runner:
        yield runner


def costs(rounds: int) -> Iterator[tuple[str, float, str]]:
    people = np.array([[0.1, 0.2, 0.25, 0.7], [0.6, 0.3, 0.75, 0.8]], np.float32)
    mask = (((0.0, 0.0), (0.4, 0.0), (0.4, 0.5), (0.0, 0.5)),)
    for width, height in ((1280, 720), (1920, 1080)):
        size = f"{width} × {height}"
        photograph = np.asarray(cv2.resize(smooth(), (width, height)), np.uint8)
        planes = np.asarray(cv2.cvtColor(photograph, cv2.COLOR_BGR2YUV_I420), np.uint8)

        def snapshot(pixels: Picture = photograph) -> None:
            jpeg = encoded(hide(pixels, people, CELLS["persons"]), 85)
            assert jpeg is not None
            hashlib.sha256(jpeg)

        yield f"cost: snapshot of {size}", median_ms(snapshot, rounds), "ms"
        for form, frame in (("BGR", Frame(at_us=0, bgr=photograph)), ("I420", Frame(at_us=0, i420=planes))):
            yield f"cost: mask on {size} {form}", median_ms(partial(Cover(mask, frame).burnt, frame), rounds), "ms"


def smooth() -> Picture:
    coarse = np.random.default_rng(1).integers(0, 256, (45, 80, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC), np.uint8)


def median_ms(act: Callable[[], object], rounds: int) -> float:
    took = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        act()
        took.append((time.perf_counter_ns() - began) / 1e6)
    return float(np.median(took))


def real(runner: Runner) -> Iterator[tuple[str, float, str]]:
    found = {name: runner.look(Frame(at_us=0, bgr=load(name))) for name in PEOPLE}
    for score in SCORES:
        hidden = []
        for name, people in PEOPLE.items():
            height, width = load(name).shape[:2]
            cells = covered(hiding(), 0, found[name], score, height, width)
            for person in people:
                x0, y0, x1, y1 = (np.array(person) * (width, height, width, height)).round().astype(int)
                hidden.append(cells[y0:y1, x0:x1].mean() >= 0.9)
        yield f"real: of {len(hidden)} people hidden, score {score:g}", 100 * float(np.mean(hidden)), "%"


def scenes(runner: Runner, rng: np.random.Generator, count: int) -> Iterator[tuple[str, float, str]]:
    person = cut_out()
    backs = backgrounds()
    for height_px in HEIGHTS_PX:
        made = [scene(person, backs[place % len(backs)], height_px, rng) for place in range(count)]
        found = [runner.look(Frame(at_us=0, bgr=picture)) for picture, _ in made]
        for score in SCORES:
            hidden = [
                covered(hiding(), 0, one, score, HEIGHT, WIDTH)[his].mean() >= 0.95
                for one, (_, his) in zip(found, made, strict=True)
            ]
            yield f"scenes: hidden at {height_px} px height, score {score:g}", 100 * float(np.mean(hidden)), "%"


def walks(runner: Runner, rng: np.random.Generator, count: int) -> Iterator[tuple[str, float, str]]:
    person, backs = cut_out(), backgrounds()
    for height_px in HEIGHTS_PX:
        hidden: dict[tuple[float, bool], list[bool]] = {}
        for place in range(count):
            made = list(walk(person, backs[place % len(backs)], height_px, rng))
            found = [runner.look(Frame(at_us=0, bgr=picture)) for picture, _ in made]
            for score in SCORES:
                for remembers in (False, True):
                    one = hiding()
                    for number, (detections, (_, his)) in enumerate(zip(found, made, strict=True)):
                        one = one if remembers else hiding()
                        cells = covered(one, number * STEP_US, detections, score, HEIGHT, WIDTH)
                        hidden.setdefault((score, remembers), []).append(bool(cells[his].mean() >= 0.95))
        for (score, remembers), each in hidden.items():
            how = "with what was known" if remembers else "each picture alone"
            yield f"walks: hidden at {height_px} px height, score {score:g}, {how}", 100 * float(np.mean(each)), "%"


def hiding() -> Hiding:
    return Hiding(Privacy(blur="persons"), {"detector": ("person",)})


def covered(one: Hiding, at_us: int, found: Detections, score: float, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width): what would be made of cells."""
    assert found.boxes is not None
    sure = np.flatnonzero(found.scores >= score)
    only = Detections(
        labels=tuple(found.labels[place] for place in sure), scores=found.scores[sure], boxes=found.boxes[sure]
    )
    hidden = one.take(at_us, {"detector": Inference(model="detector", at_us=at_us, detections=only, took_ms=0.0)})
    assert hidden.boxes is not None
    cells = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in hidden.boxes.tolist():
        cells[int(y0 * height) : -int(-y1 * height // 1), int(x0 * width) : -int(-x1 * width // 1)] = True
    return cells


def cut_out() -> tuple[Picture, NDArray[np.float32]]:
    """(height, width, 3) and (height, width) 0..1: somebody, upright, with how much of each pixel is his."""
    picture = load("squat.bmp")
    model = TESTDATA / "models" / "deeplabv3_mnv2_dm05_pascal_quant.tflite"
    with opened(model, TESTDATA / "models" / "pascal_voc_segmentation_labels.txt", masks=True) as runner:
        found = runner.look(Frame(at_us=0, bgr=picture))
    assert found.masks is not None
    mask = found.masks[found.labels.index("person")].astype(np.uint8)
    mask = cv2.resize(mask * 255, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    mask = cv2.GaussianBlur(mask, (5, 5), 0)
    rows, columns = np.nonzero(mask > 127)
    area = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return picture[area], (mask[area] / 255.0).astype(np.float32)


def backgrounds() -> list[Picture]:
    names = ("bird.bmp", "cat.bmp", "parrot.jpg", "bird_segmentation.bmp")
    pictures = [load(name) for name in names] + [load("kite_and_cold.jpg")[: 900 * 2 // 5]]
    capture = cv2.VideoCapture(str(TESTDATA / "clips" / "bottle-detection.mp4"))
    read, frame = capture.read()
    capture.release()
    pictures += [np.asarray(frame, np.uint8)] if read else []
    return [np.asarray(cv2.resize(picture, (WIDTH, HEIGHT)), np.uint8) for picture in pictures]


def scene(
    person: tuple[Picture, NDArray[np.float32]], back: Picture, height_px: int, rng: np.random.Generator
) -> tuple[Picture, NDArray[np.bool_]]:
    """Somebody anywhere in the picture; in every third one something stands before his lower part."""
    width_px = round(person[0].shape[1] * height_px / person[0].shape[0])
    left, top = rng.integers(0, WIDTH - width_px), rng.integers(0, HEIGHT - height_px)
    picture, his = put(person, back, height_px, int(left), int(top), mirrored=bool(rng.random() < 0.5))
    if rng.random() < 1 / 3:
        cut = int(top) + round(height_px * rng.uniform(0.55, 0.9))
        picture[cut:, :] = back[: HEIGHT - cut, :][::-1]
        his[cut:] = False
    return worsened(picture, rng), his


def walk(
    person: tuple[Picture, NDArray[np.float32]], back: Picture, height_px: int, rng: np.random.Generator
) -> Iterator[tuple[Picture, NDArray[np.bool_]]]:
    """Across the picture at about 1.4 m/s, 20 pictures at most."""
    width_px = round(person[0].shape[1] * height_px / person[0].shape[0])
    step_px = 1.4 * height_px / 1.3 * STEP_US / 1e6
    top = int(rng.integers(0, HEIGHT - height_px))
    darker = float(rng.uniform(0.3, 1.0))
    for number in range(20):
        left = round(number * step_px)
        if left + width_px > WIDTH:
            return
        picture, his = put(person, back, height_px, left, top, mirrored=False)
        yield worsened(picture, rng, darker), his


def put(
    person: tuple[Picture, NDArray[np.float32]], back: Picture, height_px: int, left: int, top: int, *, mirrored: bool
) -> tuple[Picture, NDArray[np.bool_]]:
    width_px = round(person[0].shape[1] * height_px / person[0].shape[0])
    body = cv2.resize(person[0], (width_px, height_px), interpolation=cv2.INTER_AREA)
    share = cv2.resize(person[1], (width_px, height_px), interpolation=cv2.INTER_AREA)
    if mirrored:
        body, share = body[:, ::-1], share[:, ::-1]
    picture, his = back.copy(), np.zeros((HEIGHT, WIDTH), bool)
    area = np.s_[top : top + height_px, left : left + width_px]
    picture[area] = (picture[area] * (1 - share[..., None]) + body * share[..., None]).astype(np.uint8)
    his[area] = share > 0.5
    return picture, his


def worsened(picture: Picture, rng: np.random.Generator, darker: float | None = None) -> Picture:
    """Darker, noisy, and through a camera's JPEG."""
    by = float(rng.uniform(0.3, 1.0)) if darker is None else darker
    noisy = picture.astype(np.float32) * by + rng.normal(0, 6, picture.shape)
    _, data = cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def load(name: str) -> Picture:
    return np.asarray(cv2.imread(str(TESTDATA / "images" / name), cv2.IMREAD_COLOR), np.uint8)


if __name__ == "__main__":
    main()
