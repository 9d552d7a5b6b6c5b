"""Sizes that a model file leaves open (-1 in a tensor's shape signature), and what they are set to."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from agent.inference.inputs import image, written
from agent.problems import Exit, Problem

_log = logging.getLogger(__name__)
# Width and height where nobody says them: a multiple of 32, as most networks need.
_GUESSED_PX = (320, 320)


def input_size(detail: Mapping[str, Any], input_px: tuple[int, int] | None, where: str) -> tuple[tuple[int, ...], bool]:
    """(the size that an input shall have, whether it must be set). Problem when it is open and cannot be guessed."""
    size, signature = [int(n) for n in detail["shape"]], _signature(detail)
    picture = image(signature)
    for axis in _open(signature):
        if picture is not None and axis in (picture.rows, picture.columns):
            px = input_px or _GUESSED_PX
            if input_px is None and size[axis] > 1:
                continue
            if input_px is None and axis == picture.rows:
                _log.warning(
                    "where=%s input=%s note=the file leaves the picture's size open (%s), %d×%d is taken; input_px sets it",
                    where,
                    detail["name"],
                    written(signature),
                    *px,
                )
            size[axis] = px[1] if axis == picture.rows else px[0]
        elif axis == 0:
            size[axis] = max(1, size[axis])
        elif size[axis] <= 1:
            raise Problem(
                where=where,
                what=f"the model leaves the size of its input {detail['name']!r} open: {written(signature)}",
                remedy="Convert it with a fixed input shape",
                code=Exit.MODEL,
            )
    return tuple(size), size != [int(n) for n in detail["shape"]]


def open_dimensions(detail: Mapping[str, Any]) -> tuple[int, ...]:
    """By place."""
    return _open(_signature(detail))


def _signature(detail: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape with -1 where it is open; the plain shape where a runtime tells none."""
    shape = tuple(int(size) for size in detail["shape"])
    signature = tuple(int(size) for size in detail.get("shape_signature", shape))
    return signature if len(signature) == len(shape) else shape


def _open(signature: Sequence[int]) -> tuple[int, ...]:
    return tuple(axis for axis, size in enumerate(signature) if size < 0)
