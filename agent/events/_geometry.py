"""Points, polygons and lines in shares of the picture, x to the right and y down. Distances are in units of an object's own box, so that neither
the picture's form nor how near the object is matters.
"""

import math
from collections.abc import Sequence

from agent.events.settings import Anchor

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1


def anchor_of(box: Box, anchor: Anchor) -> Point:
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, y1 if anchor == "foot" else y0 if anchor == "head" else (y0 + y1) / 2


def inside(polygon: Sequence[Point], x: float, y: float) -> bool:
    """Even-odd rule; a point on an edge may fall either way."""
    within = False
    previous_x, previous_y = polygon[-1]
    for corner_x, corner_y in polygon:
        if (corner_y > y) != (previous_y > y) and x < (previous_x - corner_x) * (y - corner_y) / (
            previous_y - corner_y
        ) + corner_x:
            within = not within
        previous_x, previous_y = corner_x, corner_y
    return within


def to_edge(polygon: Sequence[Point], point: Point, unit: Point) -> float:
    """From a point to the nearest edge, in units of (width, height)."""
    before = polygon[-1]
    least = math.inf
    for corner in polygon:
        least = min(least, _to_segment(before, corner, point, unit))
        before = corner
    return least


def beside(begin: Point, end: Point, point: Point, unit: Point) -> float:
    """From the straight line through both, in units of (width, height): above 0 on its right-hand side, seen from begin to end."""
    along_x, along_y = (end[0] - begin[0]) / unit[0], (end[1] - begin[1]) / unit[1]
    x, y = (point[0] - begin[0]) / unit[0], (point[1] - begin[1]) / unit[1]
    return (along_x * y - along_y * x) / max(math.hypot(along_x, along_y), 1e-12)


def meets(begin: Point, end: Point, one: Point, other: Point) -> bool:
    """Whether the way from one point to another, on both sides of the straight line, passes it between begin and end."""
    along = (end[0] - begin[0], end[1] - begin[1])
    way = (other[0] - one[0], other[1] - one[1])
    cross = along[0] * way[1] - along[1] * way[0]
    if cross == 0:
        return False
    share = ((one[0] - begin[0]) * way[1] - (one[1] - begin[1]) * way[0]) / cross
    return 0.0 <= share <= 1.0


def _to_segment(begin: Point, end: Point, point: Point, unit: Point) -> float:
    along_x, along_y = (end[0] - begin[0]) / unit[0], (end[1] - begin[1]) / unit[1]
    x, y = (point[0] - begin[0]) / unit[0], (point[1] - begin[1]) / unit[1]
    square = along_x**2 + along_y**2
    share = 0.0 if square == 0 else min(1.0, max(0.0, (along_x * x + along_y * y) / square))
    return math.hypot(x - share * along_x, y - share * along_y)
