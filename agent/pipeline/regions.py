"""Region crops: a model looks closely at squares around what moves and what is followed, so that a small object in a large frame is seen.

A frame of 1920 pixels that a model of 320 sees whole shows it a person of 40 pixels as 7; a square of 320 shows all 40. From time to time, and where
there is nothing to look at, it sees the whole frame.
"""

from typing import TYPE_CHECKING

import msgspec

from agent.decoding._boxes import suppress
from agent.pipeline.crops import Looks, joined, to_frame
from agent.records import Detections, Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Cut = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the frame

# A region is larger than the box by so much of its size at every side: an object is seen with what is around it.
_AROUND = 0.2
# Two that overlap are one where the square around both is at most so much larger than the larger one: in a large square objects are small again.
_LARGER = 1.25
# A region of more of the frame than this is a look at the whole frame.
_WHOLE = 0.6
# At a region's edge objects are cut: what lies so much within another box of its label is a part of that.
_PART = 0.6
_EDGE_PX = 2


class Regions:
    """least_px: the least side of a square. most: regions an input; where there are more they take turns.

    margin: by how much of a box's size its region grows, beside a fifth. iou: boxes of one label that overlap more are one.
    """

    def __init__(self, *, least_px: int, most: int, margin: float, whole_us: int, iou: float) -> None:
        self._least_px, self._most, self._grow, self._iou = least_px, most, 1 + 2 * (margin + _AROUND), iou
        self._whole_us = whole_us
        self._looked_us: int | None = None  # at the whole frame
        self._turn = 0

    def look(self, runner: Looks, frame: Frame, boxes: "NDArray[np.float32]") -> Detections:
        """boxes: (n, 4) in 0..1, what is to be looked at. What is found is told in 0..1 of the frame."""
        height, width = frame.pixels.shape[:2]
        cuts = self.cuts(boxes, width, height)
        if len(cuts) > self._most:
            first = self._turn % len(cuts)
            self._turn += self._most
            cuts = (cuts[first:] + cuts[:first])[: self._most]
        large = [cut for cut in cuts if (cut[2] - cut[0]) * (cut[3] - cut[1]) > _WHOLE * width * height]
        parts = []
        if large or not cuts or self._looked_us is None or not 0 <= frame.at_us - self._looked_us < self._whole_us:
            self._looked_us = frame.at_us
            parts.append((runner.look(frame), (0, 0, width, height)))
        for cut in cuts:
            if cut not in large:
                x0, y0, x1, y1 = cut
                part = msgspec.structs.replace(frame, bgr=frame.pixels[y0:y1, x0:x1], i420=None, encoded=None)
                parts.append((runner.look(part), cut))
        return self._merged(parts, width, height)

    def cuts(self, boxes: "NDArray[np.float32]", width: int, height: int) -> list[Cut]:
        """The squares to look at, in the order of the boxes that they are for."""
        scaled = [(x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in boxes.tolist()]
        groups = [(box, self._square(box, width, height)) for box in scaled]
        index = 0
        while index < len(groups):
            (box, square), after = groups[index], index + 1
            while after < len(groups):
                around = _around(box, groups[after][0])
                together = self._square(around, width, height)
                larger = max(_side(square), _side(groups[after][1]))
                if _overlap(square, groups[after][1]) and _side(together) <= _LARGER * larger:
                    box, square = around, together
                    groups[index] = (box, square)
                    del groups[after]
                    after = index + 1  # what it grew by may reach others
                else:
                    after += 1
            index += 1
        return list(dict.fromkeys(square for _, square in groups))

    def _square(self, box: tuple[float, float, float, float], width: int, height: int) -> Cut:
        """Around a box, shifted into the frame; where the frame is less than its side, the frame's whole width or height."""
        x0, y0, x1, y1 = box
        side = round(max(self._least_px, self._grow * max(x1 - x0, y1 - y0)))
        wide, high = min(side, width), min(side, height)
        left = min(max(0, round((x0 + x1 - wide) / 2)), width - wide)
        top = min(max(0, round((y0 + y1 - high) / 2)), height - high)
        return left, top, left + wide, top + high

    def _merged(self, parts: list[tuple[Detections, Cut]], width: int, height: int) -> Detections:
        """Each object once: of boxes of one label that overlap the best, and no part of an object that a region's edge cut."""
        import numpy as np

        # A look at the whole frame is told as it is: masks too, while it is the only one.
        if len(parts) == 1 and parts[0][1] == (0, 0, width, height):
            return parts[0][0]
        told = [(to_frame(found, cut, (height, width)), cut) for found, cut in parts]
        found = joined([one for one, _ in told])
        if found.boxes is None or not len(found):
            return found
        cut_off = np.concatenate([_cut_off(one, cut, width, height) for one, cut in told if len(one)])
        kinds = np.array([found.labels.index(label) for label in found.labels], np.intp)
        order = np.argsort(-found.scores - np.where(cut_off, 0.0, 1.0), kind="stable")  # whole ones before parts
        kept = order[suppress(found.boxes[order], self._iou, kinds[order])]
        chosen: list[int] = []
        for row in kept.tolist():
            others = [one for one in chosen if kinds[one] == kinds[row]]
            if not (cut_off[row] and others and _within(found.boxes[row], found.boxes[others]) > _PART):
                chosen.append(row)
        return _rows(found, sorted(chosen))


def _around(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, float, float, float]:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _side(cut: Cut) -> int:
    return max(cut[2] - cut[0], cut[3] - cut[1])


def _overlap(one: Cut, other: Cut) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _cut_off(found: Detections, cut: Cut, width: int, height: int) -> "NDArray[np.bool_]":
    """(n,) which boxes touch an edge of the region that is none of the frame."""
    import numpy as np

    assert found.boxes is not None
    edges = np.array(cut) / (width, height, width, height)
    near = np.abs(found.boxes - edges) < np.array((_EDGE_PX / width, _EDGE_PX / height) * 2)
    inner = np.array((cut[0] > 0, cut[1] > 0, cut[2] < width, cut[3] < height))
    return np.asarray((near & inner).any(axis=1))


def _within(box: "NDArray[np.float32]", others: "NDArray[np.float32]") -> float:
    """The greatest share of the box that lies in one of the others."""
    import numpy as np

    common = np.clip(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0, None).prod(axis=1)
    return float(common.max() / max(float((box[2:] - box[:2]).prod()), 1e-12))


def _rows(found: Detections, rows: list[int]) -> Detections:
    arrays = {
        name: None if (array := getattr(found, name)) is None else array[rows]
        for name in ("scores", "boxes", "values", "keypoints", "vectors")
    }
    return msgspec.structs.replace(
        found,
        labels=tuple(found.labels[row] for row in rows),
        indexes=tuple(found.indexes[row] for row in rows) if found.indexes else (),
        **arrays,
    )
