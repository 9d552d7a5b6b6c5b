"""docs/look.png: the page of `look` in Chromium, over a clip that a detector watches.

python -m tools.screenshot --model yolov8n_int8.tflite --labels coco80_labels.txt --clip bottle-detection.mp4
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

PROJECT = Path(__file__).parent.parent
_MOST_BYTES = 150_000
_CONFIG = """version = 1
[device]
site = "shop"
name = "shelf-3"
data = "{folder}/data"
[lane.shelf.source]
kind = "camera"
url = "{clip}"
loop = true
[lane.shelf.model.detector]
path = "{model}"
labels = "{labels}"
score = 0.3
[lane.shelf.tracker]
[lane.shelf.zone.left]
polygon = [[0.06, 0.25], [0.24, 0.25], [0.24, 0.92], [0.06, 0.92]]
[lane.shelf.zone.right]
polygon = [[0.75, 0.25], [0.93, 0.25], [0.93, 0.92], [0.75, 0.92]]
[lane.shelf.line.front]
from = [0.3, 0.94]
to = [0.7, 0.94]
[lane.shelf.mask.aisle]
polygon = [[0.0, 0.0], [0.04, 0.0], [0.02, 0.7], [0.0, 0.7]]
[privacy]
blur = "persons"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "labels", "clip"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PROJECT / "docs" / "look.png")
    arguments = parser.parse_args()
    sys.path.insert(0, str(PROJECT / "tests"))
    from peers.browser import browser  # only here: what the tests drive a browser with
    from peers.looks import look

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = folder / "edge-agent.toml"
        places = {name: getattr(arguments, name).resolve() for name in ("model", "labels", "clip")}
        config.write_text(_CONFIG.format(folder=folder, **places))
        with look(config, "--port", "0") as running, browser(folder) as page:
            page.open(running.url)
            page.wait_for("return document.getElementById('found').innerText.includes('#')", 120.0)
            page.wait_for("return document.getElementById('rates').innerText.includes('inferred')", 60.0)
            page.run("document.getElementById('file').textContent = '/etc/edge-agent/edge-agent.toml'")
            picture = page.screenshot()
    arguments.out.write_bytes(_small(picture))
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")
    return 0


def _small(png: bytes) -> bytes:
    """In at most 150 kB: fewer pixels, until it fits."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    width = picture.shape[1]
    while True:
        scale = width / picture.shape[1]
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        done, data = cv2.imencode(".png", (small // 8) * 8 + 3, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        if done and data.size <= _MOST_BYTES:
            return data.tobytes()
        width -= 40


if __name__ == "__main__":
    sys.exit(main())
