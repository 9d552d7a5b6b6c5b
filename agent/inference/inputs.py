"""Which of a model's inputs the lane fills, and how an image lies in one: rows, columns, channels."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from agent.inference import Tensor
from agent.problems import Exit, Problem

Kind = Literal["frame", "window"]
_CHANNELS = (1, 3, 4)
# Without a channel axis, numbers in two dimensions may be samples × axes: fewer rows or columns than this are no picture.
_LEAST_PX = 8


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """Which dimension is which. channels None: grey without a dimension for it. batch: whether dimension 0 is a batch of one."""

    rows: int
    columns: int
    channels: int | None
    batch: bool


def image(shape: Sequence[int], layout: str | None = None) -> Image | None:
    """How an image lies in an input of this shape; None: it is none. Sizes of -1 are open. layout: "nhwc", "nchw", None: as the shape tells.

    Known: 1×h×w×c, 1×c×h×w, h×w×c, c×h×w, 1×h×w and h×w (grey); c is 1, 3 or 4.
    """
    found = _four(shape, layout) if len(shape) == 4 else _fewer(shape, layout)
    if found is None or any(shape[axis] in (0, 1) for axis in (found.rows, found.columns)):
        return None
    return found


def _four(shape: Sequence[int], layout: str | None) -> Image | None:
    if shape[3] in _CHANNELS and layout != "nchw":
        return Image(rows=1, columns=2, channels=3, batch=True)
    if shape[1] in _CHANNELS and layout != "nhwc":
        return Image(rows=2, columns=3, channels=1, batch=True)
    return None


def _fewer(shape: Sequence[int], layout: str | None) -> Image | None:
    if len(shape) == 3:
        if shape[2] in _CHANNELS and shape[0] != 1 and layout != "nchw":
            return Image(rows=0, columns=1, channels=2, batch=False)
        if min(shape[1:]) < _LEAST_PX:
            return None
        if shape[0] in (1, -1):
            return Image(rows=1, columns=2, channels=None, batch=True)
        if shape[0] in _CHANNELS and layout != "nhwc":
            return Image(rows=1, columns=2, channels=0, batch=False)
    elif len(shape) == 2 and min(shape) >= _LEAST_PX:
        return Image(rows=0, columns=1, channels=None, batch=False)
    return None


def primary(inputs: Sequence[Tensor], kind: Kind, where: str) -> int:
    """The place of the input that the lane fills. inputs: without recurrent states and those that the config fills.

    Problem (Exit.MODEL): more than one is left, or there is none.
    """
    if len(inputs) == 1:
        return 0
    listed = ", ".join(f"{tensor.name!r} {describe(tensor)}" for tensor in inputs)
    raise Problem(
        where=where,
        what=f"the model has {len(inputs)} inputs and a lane fills one: {listed or 'none'}"
        + ("" if kind == "window" or any(image(tensor.shape) for tensor in inputs) else "; none of them is an image"),
        remedy=f'Where an output is fed back at the next input, name both: {where}.state = {{ "output" = "input" }}; '
        f'where an input always gets the same numbers, say them: {where}.inputs = {{ "input" = 0.5 }}',
        code=Exit.MODEL,
    )


def describe(tensor: Tensor) -> str:
    """`1×224×224×3 uint8`"""
    return f"{written(tensor.shape) or 'scalar'} {tensor.dtype}"


def written(shape: Sequence[int]) -> str:
    """`1×?×?×3`: ? where the file leaves it open."""
    return "×".join("?" if size < 0 else str(size) for size in shape)
