"""What an output that is a map of the picture holds, seen from its shape, its type and the labels."""

from typing import Literal

import msgspec

from agent.decoding import Options, Shape

_MOST_CLASSES = 255


class Layout(msgspec.Struct, frozen=True):
    """What an output of a shape holds. classes: of `scores` and `mask`, 0 where numbers do not tell how many there are."""

    holds: Literal["numbers", "scores", "mask"]
    classes: int
    channels_first: bool = False


def read_layout(output: Shape, given: tuple[int, int] | None, options: Options) -> Layout | None:
    """What the output holds; None: it is no map. given: (height, width) of the picture that goes in."""
    shape = output.shape
    if len(shape) not in (3, 4) or shape[0] != 1 or min(shape) < 1 or max(shape) < 2:
        return None
    first = len(shape) == 4 and _channels_first(shape, given)
    channels = 1 if len(shape) == 3 else shape[1] if first else shape[3]
    sides = shape[2:4] if first else shape[1:3]
    if min(sides) < 2 or channels > _MOST_CLASSES:
        return None
    if channels > 1:
        return Layout("scores", channels, first)
    whole = output.dtype in ("int64", "int32", "uint8", "int8", "int16", "bool") and output.scale in (0, 1)
    # argmax drops the axis of the classes; a mask of one class keeps it, or has the label of its class.
    numbers = len(options.labels) > 2 or (len(shape) == 3 and not options.labels)
    return Layout("numbers", 0, first) if whole or numbers else Layout("mask", 1, first)


def _channels_first(shape: tuple[int, ...], given: tuple[int, int] | None) -> bool:
    """The sides are the input's, or of its form: 1×21×65×65 of 513×513."""
    if given is not None and (shape[1:3] == given) != (shape[2:4] == given):
        return shape[2:4] == given
    ratio = 1.0 if given is None else given[0] / given[1]
    last, first = abs(shape[1] / shape[2] - ratio), abs(shape[2] / shape[3] - ratio)
    return first < last and shape[1] < min(shape[2:4])


def map_px(shape: tuple[int, ...], layout: Layout) -> tuple[int, int]:
    return (shape[2], shape[3]) if layout.channels_first else (shape[1], shape[2])
