"""Output tensors of YOLO models made from known things, as an exporter would: written from the heads' definitions, in loops, without the decoders.

picture = Picture(frame_px=(640, 360), input_px=(640, 640))             # (width, height); letterboxed
tensor, shape = raw_head(picture, [Thing((0.1, 0.2, 0.3, 0.4), 2, 0.9)], classes=80, anchors=8400)
decoder.decode([tensor], picture.placement)
"""

from dataclasses import dataclass, field

import numpy as np

from agent.decoding import Shape
from agent.records import Placement

OBJECTNESS = 0.96  # of things in heads that have one


@dataclass
class Thing:
    """box: x0, y0, x1, y1 as shares of the frame. extra: numbers behind the classes. points: (x, y, score) of the frame."""

    box: tuple[float, float, float, float]
    number: int
    score: float
    extra: tuple[float, ...] = ()
    points: tuple[tuple[float, ...], ...] = ()


@dataclass
class Picture:
    """A frame in a model's input, sizes as (width, height). fit: letterbox, stretch, crop."""

    frame_px: tuple[int, int] = (640, 640)
    input_px: tuple[int, int] = (640, 640)
    fit: str = "letterbox"
    scale: tuple[float, float] = field(init=False)
    shift_px: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        across, down = self.input_px[0] / self.frame_px[0], self.input_px[1] / self.frame_px[1]
        if self.fit == "letterbox":
            across = down = min(across, down)
        elif self.fit == "crop":
            across = down = max(across, down)
        self.scale = (across, down)
        self.shift_px = (
            (self.input_px[0] - self.frame_px[0] * across) / 2,
            (self.input_px[1] - self.frame_px[1] * down) / 2,
        )

    @property
    def placement(self) -> Placement:
        return Placement(
            x=self.shift_px[0] / self.input_px[0],
            y=self.shift_px[1] / self.input_px[1],
            width=self.frame_px[0] * self.scale[0] / self.input_px[0],
            height=self.frame_px[1] * self.scale[1] / self.input_px[1],
        )

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """A point of the frame (shares) → pixels of the input."""
        return (
            x * self.frame_px[0] * self.scale[0] + self.shift_px[0],
            y * self.frame_px[1] * self.scale[1] + self.shift_px[1],
        )

    def corners(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        return (*self.pixel(box[0], box[1]), *self.pixel(box[2], box[3]))

    def in_unit(self, pixels: tuple[float, ...], unit: str) -> list[float]:
        """Pairs of pixels → as they are, or as shares."""
        if unit == "pixels":
            return list(pixels)
        return [value / self.input_px[index % 2] for index, value in enumerate(pixels)]

    def points(self, thing: Thing, numbers: int, unit: str) -> list[float]:
        flat: list[float] = []
        for point in thing.points:
            flat += self.in_unit(self.pixel(point[0], point[1]), unit)
            flat += point[2:numbers]
        return flat


def raw_head(
    picture: Picture,
    things: list[Thing],
    *,
    classes: int,
    anchors: int,
    unit: str = "shares",
    objectness: bool = False,
    rows: bool = False,
    dtype: str = "float32",
    scale: float = 0.0,
    zero_point: int = 0,
    point_numbers: int = 0,
    extra: int = 0,
    points_unit: str | None = None,
) -> tuple[np.ndarray, Shape]:
    """Things lie 97 anchors apart; every other anchor is a box somewhere with scores of nothing."""
    size = 4 + objectness + classes + extra
    table = np.zeros((anchors, size))
    table[:, :4] = 0.5 if unit == "shares" else 320.0
    for order, thing in enumerate(things):
        row = table[(order * 97 + 13) % anchors]
        x0, y0, x1, y1 = picture.corners(thing.box)
        row[:4] = picture.in_unit(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), unit)
        if objectness:
            row[4], row[5 + thing.number] = OBJECTNESS, thing.score / OBJECTNESS
        else:
            row[4 + thing.number] = thing.score
        row[4 + objectness + classes :] = (
            picture.points(thing, point_numbers, points_unit or unit) if thing.points else thing.extra
        )
    return pack((table if rows else table.T)[None], dtype, scale, zero_point)


def end_to_end(
    picture: Picture,
    things: list[Thing],
    *,
    count: int = 300,
    unit: str = "shares",
    class_first: bool = False,
    size: int = 6,
) -> tuple[np.ndarray, Shape]:
    """(1, count, size); rows behind the things are zeros."""
    table = np.zeros((1, count, size))
    for row, thing in zip(table[0], things, strict=False):
        last = (thing.number, thing.score) if class_first else (thing.score, thing.number)
        behind = picture.points(thing, 3, unit) if thing.points else thing.extra
        row[:] = [*picture.in_unit(picture.corners(thing.box), unit), *last, *behind]
    return pack(table, "float32", 0.0, 0)


def pack(
    values: np.ndarray, dtype: str, scale: float, zero_point: int, name: str = "Identity"
) -> tuple[np.ndarray, Shape]:
    """Real numbers → the tensor, quantised where there is a scale, and what it is."""
    if scale:
        info = np.iinfo(dtype)
        packed = np.ascontiguousarray(np.clip(np.round(values / scale) + zero_point, info.min, info.max)).astype(dtype)
    else:
        packed = np.ascontiguousarray(values).astype(dtype)
    shape = Shape(name=name, shape=packed.shape, dtype=dtype, scale=scale, zero_point=zero_point)
    return packed, shape


def image_input(width: int = 640, height: int = 640) -> tuple[Shape, ...]:
    return (Shape(name="images", shape=(1, height, width, 3), dtype="float32", scale=0.0, zero_point=0),)
