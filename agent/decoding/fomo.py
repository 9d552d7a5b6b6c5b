"""Things as cells of a grid: Edge Impulse's FOMO. It tells where things are, not how large: a box covers the cells of a thing.

Output (1, rows, columns, classes + 1): probabilities of each cell, class 0 is the background; a cell is 8 input pixels a side (4, 16 and 32 exist).
Cells of a class that reach the threshold and touch, corners included, are one thing. Source: `ei_handle_cube` and
`fill_result_struct_from_cubes` of Edge Impulse's inferencing SDK (ei_fill_result_struct.h).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._anchors import image_px
from agent.decoding._boxes import clip_boxes, nothing, real, seen, strongest, to_frame, written
from agent.decoding._class_labels import has_background
from agent.decoding._tensors import holds_probabilities
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Edge Impulse trains on pictures cut to the input's form ("fit shortest axis", its default). Things beside the cut are not seen:
# `resize` "stretch" or "letterbox" shows them, in forms and sizes that the model was not taught.
WANTS = Wants(resize="crop")
_CELLS_PX = (4, 8, 16, 32)
_USUAL_CELL_PX = 8
_MOST_CLASSES = 64
_SCORE = 0.5


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like FOMO."""
    cell = _cell_px(outputs, image_px(inputs, options))
    if not cell or options.task is not None:
        return None
    _, rows, columns, channels = outputs[0].shape
    why = f"a grid of {rows}×{columns} cells of {cell} pixels with {channels} classes"
    if len(options.labels) == channels - 1 and not has_background(options):
        return Claim(Sure.SHAPES, f"{why}, and a label for each but the background")
    if cell == _USUAL_CELL_PX and holds_probabilities(outputs[0]):
        return Claim(Sure.SHAPES, f"{why}, as probabilities")
    return Claim(Sure.POSSIBLE, why)


def _cell_px(outputs: Sequence[Shape], size_px: tuple[int, int] | None) -> int:
    """The side of a cell in input pixels, 0 when the output is no such grid."""
    shape = outputs[0].shape if len(outputs) == 1 else ()
    if len(shape) != 4 or shape[0] != 1 or size_px is None or min(shape[1:3]) < 2 or not 2 <= shape[3] <= _MOST_CLASSES:
        return 0
    return next((cell for cell in _CELLS_PX if (shape[1] * cell, shape[2] * cell) == size_px), 0)


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): not one grid of 2 classes or more; a wrong count of labels."""
    del inputs
    if len(outputs) != 1 or len(outputs[0].shape) != 4 or outputs[0].shape[0] != 1 or outputs[0].shape[3] < 2:
        raise Problem(
            where=f"{where}.decoder",
            what="fomo reads one output of 1×rows×columns×classes, the background among them; this model gives "
            + written([output.shape for output in outputs]),
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    things = outputs[0].shape[3] - 1
    labels = options.labels or tuple(str(index) for index in range(things))
    if len(labels) == things + 1:
        labels = labels[1:]
    if len(labels) != things:
        raise Problem(
            where=f"{where}.labels",
            what=f"{len(options.labels)} labels for {things} classes beside the background",
            remedy="Give the labels of this model, one a line, with or without one of the background as the first",
            code=Exit.MODEL,
        )
    return Fomo(outputs[0], labels, options)


class Fomo:
    """score ≥ 0.5, that of a thing's strongest cell. keypoints (n, 1, 3): its centre, the mean of its cells by their scores."""

    def __init__(self, output: Shape, labels: tuple[str, ...], options: Options) -> None:
        self.labels = labels
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = ("centre",)
        self._output = output
        self._softmax = options.softmax
        self._least = _SCORE if options.score is None else options.score
        self._top = options.top

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        grid = self._probabilities(real(outputs[0], self._output)[0])
        reached = (grid[..., 1:] >= np.float32(self._least)) & (grid[..., 1:] > 0)
        parts = [
            _things(grid[..., 1 + index], reached[..., index]) for index in np.flatnonzero(reached.any(axis=(0, 1)))
        ]
        if not parts:
            return nothing(keypoints=1)
        found = np.concatenate(parts)
        counts = [len(part) for part in parts]
        classes = np.repeat(np.flatnonzero(reached.any(axis=(0, 1))), counts)
        order = strongest(found[:, 0], 0.0)
        boxes = clip_boxes(to_frame(found[order, 1:5], placement))
        order, boxes = order[seen(boxes)][: self._top], boxes[seen(boxes)][: self._top]
        if not len(order):
            return nothing(keypoints=1)
        indexes = tuple(int(index) for index in classes[order])
        centres = np.concatenate((to_frame(found[order, 5:7], placement), found[order, :1]), axis=1)
        return Detections(
            labels=tuple(self.labels[index] for index in indexes),
            indexes=indexes,
            scores=found[order, 0].copy(),
            boxes=boxes,
            keypoints=centres[:, None].astype(np.float32),
        )

    def _probabilities(self, grid: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """FOMO ends in a softmax; where it was cut off, numbers lie outside 0..1."""
        import numpy as np

        if self._softmax == "false":
            return grid
        if self._softmax == "auto" and not ((grid < -0.001) | (grid > 1.001)).any():
            return grid
        powers = np.exp(np.clip(grid, -80, 80))
        shares: NDArray[np.float32] = powers / powers.sum(axis=2, keepdims=True)
        return shares


def _things(heat: "NDArray[np.float32]", reached: "NDArray[np.bool_]") -> "NDArray[np.float32]":
    """(n, 7) of one class: score, box x0, y0, x1, y1 and centre x, y as shares of the grid."""
    import cv2
    import numpy as np

    count, marks, extents, _ = cv2.connectedComponentsWithStats(reached.astype(np.uint8), connectivity=8)
    rows, columns = np.nonzero(reached)
    mine, weights = marks[rows, columns].astype(np.intp) - 1, heat[rows, columns]
    found = np.zeros((count - 1, 7), np.float32)
    np.maximum.at(found[:, 0], mine, weights)
    height, width = heat.shape
    left, top, across, down = extents[1:, :4].T
    found[:, 1:5] = np.stack((left / width, top / height, (left + across) / width, (top + down) / height), axis=1)
    total = np.bincount(mine, weights, count - 1)
    found[:, 5] = np.bincount(mine, weights * (columns + 0.5), count - 1) / total / width
    found[:, 6] = np.bincount(mine, weights * (rows + 0.5), count - 1) / total / height
    return found
