"""What of a picture must not be seen, and hiding it: the boxes of persons or faces are made of a few flat cells before anything is encoded.

It fails closed: a picture of which the needed model did not say where people are is not shown and not kept.
Cells and not a blur: a blur leaves what it was made of, averages of large cells do not.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from agent.records import Inference
from agent.values import NAME_PATTERN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Boxes = NDArray[np.float32]

# Columns and rows of cells that are left of a region. A face of 8 × 16 cells could still be known.
CELLS = {"persons": (8, 16), "faces": (4, 4)}
# Of its size, at every side: boxes end where the model is sure, a hand or the hair reaches beyond.
_MARGIN = 0.1
# A box that this picture lacks grows by so much of its size at every side in a second: who is in it may have moved.
_DRIFT = 0.5
# It is the same person where boxes overlap so much (intersection over union).
_SAME = 0.3
LOST_S = 2.0


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    blur: Annotated[
        Literal["persons", "faces", "none"],
        Meta(
            description='What is made unrecognisable in snapshots and on the page of `look`: "persons" whole, "faces", or "none". '
            "A picture for which the model that finds them did not run, or failed, is neither kept nor shown."
        ),
    ] = "none"
    labels: Annotated[
        tuple[str, ...], Meta(min_length=1, description='With "persons": the labels of boxes that are hidden.')
    ] = ("person",)
    model: Annotated[
        Annotated[str, Meta(pattern=NAME_PATTERN)] | None,
        Meta(
            description='The model of the lane that finds them. Needed with "faces", all of its boxes are hidden; with "persons" left out: every '
            "model of the lane that looks at the whole picture and has one of the labels."
        ),
    ] = None
    allow_recording: Annotated[
        bool,
        Meta(description="With blur: `record` may keep pictures as the models saw them. A recording is never blurred."),
    ] = False


class Hidden(NamedTuple):
    """boxes: (n, 4) float32 in 0..1, margins included, None when the picture may not be shown: `why` then says so."""

    boxes: "Boxes | None"
    why: str | None


class _Known(NamedTuple):
    box: "Boxes"
    seen_us: int


class Hiding:
    """Of one lane. labels: per model that looks at the whole picture, the labels that it can give; None of one that did not open: whom it would find
    is not known. lost_s: how long a person is expected to be still there whom a picture lacks.
    """

    def __init__(self, config: Config, labels: Mapping[str, tuple[str, ...] | None], lost_s: float = LOST_S) -> None:
        self.config = config
        self._lost_us = round(lost_s * 1e6)
        self._known: list[_Known] = []
        wanted = set(config.labels)
        self._needed = (
            [config.model]
            if config.model is not None
            else [model for model, its in labels.items() if its is None or wanted.intersection(its)]
        )

    @property
    def on(self) -> bool:
        return self.config.blur != "none"

    def take(self, at_us: int, results: Mapping[str, Inference]) -> Hidden:
        """results: of this very picture, by model. To be called for every picture that a model looked at."""
        import numpy as np

        if not self.on:
            return Hidden(np.zeros((0, 4), np.float32), None)
        if not self._needed:
            return Hidden(None, f"no model of this lane finds {' or '.join(self.config.labels)}")
        found = []
        for model in self._needed:
            result = results.get(model)
            if result is None:
                return Hidden(None, f"the model {model} did not look at this picture")
            if result.detections is None or result.detections.boxes is None:
                return Hidden(None, f"the model {model} {'failed' if result.detections is None else 'gives no boxes'}")
            labels = result.detections.labels
            wanted = [self.config.blur == "faces" or label in self.config.labels for label in labels]
            found.append(result.detections.boxes[np.array(wanted, bool)])
        boxes = np.concatenate(found).reshape(-1, 4)
        return Hidden(self._with_missed(at_us, boxes), None)

    def _with_missed(self, at_us: int, boxes: "Boxes") -> "Boxes":
        """The boxes, grown, and those of a moment ago that none of them continues."""
        import numpy as np

        missed = [
            one
            for one in self._known
            if 0 <= at_us - one.seen_us <= self._lost_us and not (_overlaps(one.box, boxes) >= _SAME).any()
        ]
        self._known = [*missed, *(_Known(box, at_us) for box in boxes)]
        grown = [_grown(box, _MARGIN) for box in boxes]
        grown += [_grown(one.box, _MARGIN + _DRIFT * (at_us - one.seen_us) / 1e6) for one in missed]
        return np.clip(np.array(grown, np.float32).reshape(-1, 4), 0.0, 1.0)


def hide(pixels: "NDArray[np.uint8]", boxes: "Boxes", cells: tuple[int, int]) -> "NDArray[np.uint8]":
    """A new picture (height, width, 3) in which every box is at most `cells` flat cells."""
    import cv2

    picture = pixels.copy()
    height, width = picture.shape[:2]
    for x0, y0, x1, y1 in boxes.tolist():
        left, top = max(0, int(x0 * width)), max(0, int(y0 * height))
        right, bottom = min(width, -int(-x1 * width // 1)), min(height, -int(-y1 * height // 1))
        if right <= left or bottom <= top:
            continue
        region = picture[top:bottom, left:right]
        few = (min(cells[0], max(1, (right - left) // 2)), min(cells[1], max(1, (bottom - top) // 2)))
        small = cv2.resize(region, few, interpolation=cv2.INTER_AREA)
        picture[top:bottom, left:right] = cv2.resize(
            small, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST
        )
    return picture


def _grown(box: "Boxes", by: float) -> "tuple[float, float, float, float]":
    x0, y0, x1, y1 = (float(edge) for edge in box)
    wider, higher = (x1 - x0) * by, (y1 - y0) * by
    return x0 - wider, y0 - higher, x1 + wider, y1 + higher


def _overlaps(box: "Boxes", others: "Boxes") -> "NDArray[np.float32]":
    """(n,) intersection over union of one box with n others."""
    import numpy as np

    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    inner = np.prod(np.clip(high - low, 0.0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    shares: NDArray[np.float32] = inner / np.maximum(areas - inner, 1e-12)
    return shares
