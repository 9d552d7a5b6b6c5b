"""A picture with what a model found drawn on it: boxes with their labels, points with limbs, areas tinted, everything else as text.

Sizes follow the picture, so that a label can be read at 320 pixels as at 3840; smaller pictures are enlarged first. Text never lies outside.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.oneshot import palette
from agent.oneshot.lines import SEEN
from agent.oneshot.writing import Pen
from agent.records import Detections

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

# The longer side of a picture has at least so many pixels.
_LEAST_PX = 320
_TINT = 0.45
_MOST_LINES = 8
# COCO's 17 points of a person, as MoveNet and YOLO give them: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
BODY = 17
LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)


def draw(pixels: "Picture", found: Detections, line: dict[str, Any]) -> "Picture":
    """pixels: (height, width, 3) BGR, left as they are. line: the result as `infer` prints it. A new picture, perhaps larger."""
    picture = _enlarged(pixels)
    if "areas" in line:
        _tint(picture, found)
        pen = Pen(picture)
        _name_areas(pen, found)
    elif "detections" in line or "keypoints" in line:
        _tint(picture, found)
        pen = Pen(picture)
        if "detections" in line and found.boxes is not None:
            _boxes(pen, found)
        if found.keypoints is not None:
            for place in range(len(found)):
                _points(pen, found.keypoints[place], _colour(found, place))
        if "detections" in line and found.boxes is not None:
            _name_boxes(pen, found)
    else:
        pen = Pen(picture)
        _text(pen, line)
    return picture


def _enlarged(pixels: "Picture") -> "Picture":
    import cv2
    import numpy as np

    height, width = pixels.shape[:2]
    times = -(-_LEAST_PX // max(height, width))
    if times <= 1:
        return pixels.copy()
    size = (width * times, height * times)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _colour(found: Detections, place: int) -> palette.Colour:
    return palette.colour(found.indexes[place] if found.indexes else found.labels[place])


def _tint(picture: "Picture", found: Detections) -> None:
    """Masks in their colours, the largest below, with an edge."""
    import cv2
    import numpy as np

    if found.masks is None or not len(found.masks):
        return
    height, width = picture.shape[:2]
    for place in np.argsort(-found.masks.sum(axis=(1, 2)), kind="stable"):
        mask = cv2.resize(found.masks[place].astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
        inside = mask > 0
        tint = np.array(_colour(found, place), np.float32)
        picture[inside] = (picture[inside] * (1 - _TINT) + tint * _TINT).astype(np.uint8)
        edges, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, edges, -1, _colour(found, place), max(1, min(height, width) // 400), cv2.LINE_AA)


def _name_areas(pen: Pen, found: Detections) -> None:
    """Each where its area is widest; without masks as a list."""
    import cv2
    import numpy as np

    values = found.values if found.values is not None else np.zeros(len(found))
    texts = [f"{label} {value:.1%}" for label, value in zip(found.labels, values, strict=True)]
    if found.masks is None:
        pen.block(texts[:_MOST_LINES] or ["nothing"])
        return
    for place, mask in enumerate(found.masks):
        inner = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(int(inner.argmax()), inner.shape)
        centre = ((x + 0.5) / mask.shape[1] * pen.width, (y + 0.5) / mask.shape[0] * pen.height)
        pen.label(texts[place], _colour(found, place), [(centre[0] - pen.text_width(texts[place]) / 2, centre[1])])
    if not len(found):
        pen.block(["nothing"])


def _boxes(pen: Pen, found: Detections) -> None:
    assert found.boxes is not None
    for place in reversed(range(len(found))):  # the strongest on top
        pen.rectangle(_corners(pen, found.boxes[place]), _colour(found, place))


def _name_boxes(pen: Pen, found: Detections) -> None:
    """The strongest first, each where nothing else is written: above its box, inside, below, to its right."""
    assert found.boxes is not None
    for place in range(len(found)):
        x0, y0, x1, y1 = _corners(pen, found.boxes[place])
        above, inside, below, beside = (x0, y0 - pen.label_height), (x0, y0), (x0, y1), (x1, y0)
        text = f"{found.labels[place]} {found.scores[place]:.2f}"
        pen.label(text, _colour(found, place), [above, inside, below, beside])
    if not len(found):
        pen.block(["nothing"])


def _corners(pen: Pen, box: "NDArray[np.float32]") -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return round(x0 * pen.width), round(y0 * pen.height), round(x1 * pen.width), round(y1 * pen.height)


def _points(pen: Pen, points: "NDArray[np.float32]", colour: palette.Colour) -> None:
    """points: (k, 3). Those that are seen; a body's with its limbs: left green, right orange, the middle in the person's colour."""
    seen = points[:, 2] >= SEEN
    places = [(round(float(x) * pen.width), round(float(y) * pen.height)) for x, y, _ in points]
    if len(points) == BODY:
        for one, other in LIMBS:
            if seen[one] and seen[other]:
                pen.limb(places[one], places[other], _side(one, other, colour))
    for index, place in enumerate(places):
        if seen[index]:
            pen.dot(place, _side(index, index, colour) if len(points) == BODY else colour)


def _side(one: int, other: int, colour: palette.Colour) -> palette.Colour:
    """Odd numbers are left, even ones right; the nose is neither."""
    if one == 0 or other == 0 or one % 2 != other % 2:
        return colour
    return palette.LEFT if one % 2 else palette.RIGHT


def _text(pen: Pen, line: dict[str, Any]) -> None:
    texts: Sequence[str]
    if "classes" in line:
        texts = [f"{one['label']} {one['score']:.2f}" for one in line["classes"][:_MOST_LINES]]
    elif "anomaly" in line:
        texts = [f"anomaly {line['anomaly']['score']:.4g}"]
    elif "values" in line:
        names = line.get("labels") or [""] * len(line["values"])
        pairs = zip(names, line["values"], strict=True)
        texts = [f"{name} {value:.6g}".strip() for name, value in pairs][:_MOST_LINES]
    else:
        texts = [f"{len(line['vector'])} numbers"]
    pen.block(texts or ["nothing"])
