"""How much boxes overlap, and which of two sets belong together."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def centred(boxes: "NDArray[Any]") -> "NDArray[np.float64]":
    """(n, 4) x0, y0, x1, y1 → centre x, y, width, height."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    size = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([boxes[:, :2] + size / 2, size], axis=1)


def cornered(place: "NDArray[np.float64]") -> "NDArray[np.float64]":
    half = place[:, 2:] / 2
    return np.concatenate([place[:, :2] - half, place[:, :2] + half], axis=1)


def overlaps(one: "NDArray[Any]", other: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """(n, m) intersection over union of (n, 4) with (m, 4) boxes."""
    one = np.asarray(one, np.float64).reshape(-1, 4)
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=2)
    areas = (one[:, 2:] - one[:, :2]).prod(axis=1)[:, None] + (other[:, 2:] - other[:, :2]).prod(axis=1)
    return np.asarray(inside / np.maximum(areas - inside, 1e-12))


def match(
    found: "NDArray[np.float64]",
    rows: "NDArray[np.int64]",
    columns: "NDArray[np.int64]",
    least: float,
    column_of: "NDArray[np.int64]",
) -> None:
    """The greatest overlap first; enters into column_of, (n,) with -1 for what has none. rows, columns: which may be matched."""
    part = found[np.ix_(rows, columns)]
    places = np.nonzero(part >= least)
    taken: set[int] = set()
    for place in np.argsort(-part[places], kind="stable").tolist():
        row, column = int(rows[places[0][place]]), int(columns[places[1][place]])
        if column_of[row] < 0 and column not in taken:
            column_of[row] = column
            taken.add(column)
