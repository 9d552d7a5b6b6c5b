"""Bytes of a small picture → the numbers that a model's input takes, in the input's own memory, without a buffer of its own.

Pictures and inputs are (height, width) for grey, (height, width, channels), or (channels, height, width) when planar.
Bytes go in as they are, or with the sign flipped, where the quantisation says the same as `(byte - mean) / std`; else through a table of
256 numbers a channel.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agent.inference import Tensor
from agent.inference.metadata import Normalisation
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Writer = Callable[["NDArray[np.uint8]", "NDArray[Any]"], None]

TYPES = ("uint8", "int8", "int16", "int32", "float16", "float32")
_UNIT = Normalisation(mean=(0.0,), std=(255.0,))
_SIGNED = Normalisation(mean=(127.5,), std=(127.5,))
_BYTES = Normalisation(mean=(0.0,), std=(1.0,))
# Ranges that a calibration shows; pictures seldom reach both ends exactly.
_KNOWN = ((0.0, 1.0, _UNIT), (-1.0, 1.0, _SIGNED), (0.0, 255.0, _BYTES))
_TOLERANCE = 0.05
# What normalised bytes must share with the input's range for a normalisation to be meant for it.
_LEAST_INSIDE, _LEAST_COVERED = 0.8, 0.25


def pixel_writer(
    tensor: Tensor, normalisation: Normalisation | None, *, exact: bool, channels: int, planar: bool, where: str
) -> Writer:
    """What writes a picture into the input. exact: `normalisation` holds whatever the quantisation says.

    Else a quantised input takes what its own quantisation tells: 0..1, -1..1 or 0..255; of another range the normalisation, where its numbers
    fit into it, and a uint8 input raw bytes (so TFLite metadata means it). A float input without a word takes 0..1.
    Problem (Exit.MODEL): a count of mean or std that is neither 1 nor the channels'.
    """
    if normalisation is not None:
        _check_counts(normalisation, channels, where)
    if tensor.dtype == "float32":
        return _float_writer(normalisation or _UNIT, channels, planar)
    if tensor.dtype == "float16":
        return _table_writer(_real(normalisation or _UNIT, channels), tensor.dtype, planar)
    import numpy as np

    meant = normalisation if exact else _meant(tensor, normalisation)
    if meant is None:
        return flip_sign if tensor.dtype == "int8" else copy_bytes
    kind = np.iinfo(tensor.dtype)
    table = np.rint(_real(meant, channels) / (tensor.scale or 1.0) + tensor.zero_point).clip(kind.min, kind.max)
    if tensor.dtype in ("uint8", "int8") and np.abs(table - (np.arange(256)[:, None] + kind.min)).max() <= 1:
        return flip_sign if tensor.dtype == "int8" else copy_bytes
    return _table_writer(table, tensor.dtype, planar)


def copy_bytes(picture: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
    """uint8 = byte"""
    if picture is not region:
        region[...] = picture


def flip_sign(picture: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
    """int8 = byte - 128"""
    import numpy as np

    np.bitwise_xor(picture, np.uint8(0x80), out=region.view(np.uint8))


def _check_counts(normalisation: Normalisation, channels: int, where: str) -> None:
    for key in ("mean", "std"):
        count = len(getattr(normalisation, key))
        if count not in (1, channels):
            raise Problem(
                where=f"{where}.{key}",
                what=f"{count} values of {key} for {channels} channels",
                remedy="Give one number, or one a channel",
                code=Exit.MODEL,
            )


def _meant(tensor: Tensor, normalisation: Normalisation | None) -> Normalisation | None:
    """What an integer input takes; None: bytes, in 8 bits of either sign."""
    import numpy as np

    wide = tensor.dtype in ("int16", "int32")
    if not tensor.scale:
        return _BYTES if wide else None
    kind = np.iinfo(tensor.dtype)
    low, high = ((end - tensor.zero_point) * tensor.scale for end in (kind.min, kind.max))
    if wide:  # symmetric: only the highest is known
        fits = normalisation is not None and _fits(normalisation, low, high)
        return normalisation if fits else Normalisation(mean=(0.0,), std=(255.0 / high,))
    for known_low, known_high, known in _KNOWN:
        near = _TOLERANCE * (known_high - known_low)
        if abs(low - known_low) <= near and abs(high - known_high) <= near:
            return known
    if tensor.dtype == "uint8" or normalisation is None or not _fits(normalisation, low, high):
        return None
    return normalisation


def _fits(normalisation: Normalisation, low: float, high: float) -> bool:
    """Whether normalised bytes lie in low..high and make use of it."""
    ends = _real(normalisation, max(len(normalisation.mean), len(normalisation.std)))[[0, -1]]
    first, last = float(ends.min()), float(ends.max())
    shared = min(last, high) - max(first, low)
    return shared >= _LEAST_INSIDE * (last - first) and shared >= _LEAST_COVERED * (high - low)


def _real(normalisation: Normalisation, channels: int) -> "NDArray[np.float64]":
    """(256, channels), or (256, 1) where all are the same: (byte - mean) / std."""
    import numpy as np

    mean, std = (np.asarray(values, np.float64) for values in (normalisation.mean, normalisation.std))
    table: NDArray[np.float64] = (np.arange(256.0)[:, None] - mean) / std
    if (table == table[:, :1]).all():
        return table[:, :1]
    return np.broadcast_to(table, (256, channels))


def _table_writer(values: "NDArray[np.float64]", dtype: str, planar: bool) -> Writer:
    """One 256-entry table for all channels, or one a channel."""
    import cv2
    import numpy as np

    numbers = values.astype(dtype)
    # OpenCV looks up whole elements: float16 and signed types pass as unsigned ones of their size.
    carrier: np.dtype[Any] = np.dtype({1: "uint8", 2: "uint16", 4: "int32"}[numbers.itemsize])
    tables = [np.ascontiguousarray(numbers[:, place]).view(carrier).reshape(1, 256) for place in range(values.shape[1])]
    if len(tables) == 1 or not planar:
        table = tables[0] if len(tables) == 1 else np.ascontiguousarray(np.stack(tables, axis=-1))

        def write(picture: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
            into = region.view(carrier)
            if planar:
                for plane, place in zip(picture, into, strict=True):
                    cv2.LUT(plane, table, dst=place)
            else:
                cv2.LUT(picture, table, dst=into)

        return write

    def write_planes(picture: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
        for plane, place, table in zip(picture, region.view(carrier), tables, strict=True):
            cv2.LUT(plane, table, dst=place)

    return write_planes


def _float_writer(normalisation: Normalisation, channels: int, planar: bool) -> Writer:
    """float32 = byte · factor + offset, row by row as one run of numbers.

    Converted first and then scaled in place: an eighth faster than a product of two types, which goes through a buffer.
    """
    import numpy as np

    means, stds = (
        np.broadcast_to(np.asarray(values, np.float64), channels) for values in (normalisation.mean, normalisation.std)
    )
    factors, offsets = (1 / stds).astype(np.float32), (-means / stds).astype(np.float32)
    if len(set(factors)) == 1 and len(set(offsets)) == 1:

        def write(picture: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
            np.copyto(region, picture)
            np.multiply(region, factors[0], out=region)
            if offsets[0]:
                np.add(region, offsets[0], out=region)

        return write

    if planar:

        def write_planes(picture: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
            for plane, place, factor, offset in zip(picture, region, factors, offsets, strict=True):
                np.copyto(place, plane)
                np.multiply(place, factor, out=place)
                np.add(place, offset, out=place)

        return write_planes

    @functools.lru_cache(maxsize=2)
    def row(width: int) -> "tuple[NDArray[np.float32], NDArray[np.float32]]":
        return np.tile(factors, width), np.tile(offsets, width)

    def write_rows(picture: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
        height, width = region.shape[:2]
        row_factors, row_offsets = row(width)
        rows = region.reshape(height, -1)  # a view: rows of a region lie in one piece
        np.copyto(rows, picture.reshape(height, -1))
        np.multiply(rows, row_factors, out=rows)
        np.add(rows, row_offsets, out=rows)

    return write_rows
