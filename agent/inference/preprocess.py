"""A frame → the memory of a model's image input: fitted, scaled, channels in order, normalised, in the input's own type.

The small picture is made first and coloured last, straight into the tensor; every buffer is kept. Pixels go in as raw bytes where the
quantisation says the same as `(pixel - mean) / std`, through one 256-entry table where it does not.
Shrinking by more than 2 goes linearly to twice the size and then by an exact half: close to a true area mean (rms 1 level of 255) at
a tenth of its cost; plain linear sampling at 6:1 changes what small models say.
"""

from typing import TYPE_CHECKING, Any

from agent.inference import Tensor
from agent.inference.metadata import Normalisation
from agent.problems import Exit, Problem
from agent.records import Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHANNELS = {"rgb": 3, "bgr": 3, "grey": 1}


class Preprocess:
    """Fills `array` ((1, height, width, 3 or 1), uint8, int8 or float32: the tensor's own memory).

    resize: "stretch", "letterbox" (the rest is `border`) or "crop" (the middle). normalisation: on 0..255 per pixel; None takes raw
    bytes for quantised inputs, 0..1 for float ones. exact: a uint8 input obeys `normalisation` (else raw bytes, as TFLite metadata means it).
    Problem (Exit.MODEL): no image input.
    """

    def __init__(
        self,
        tensor: Tensor,
        array: "NDArray[Any]",
        *,
        resize: str = "stretch",
        interpolation: str = "linear-area",
        color: str = "rgb",
        normalisation: Normalisation | None = None,
        exact: bool = False,
        border: int = 0,
        where: str,
    ) -> None:
        import numpy as np

        check_image_input(tensor, where)
        self._array = array[0]
        self._height, self._width, channels = self._array.shape
        self._color = "grey" if channels == 1 else color
        if _CHANNELS[self._color] != channels:
            raise Problem(
                where=f"{where}.color",
                what=f"the model's input has {channels} channels, grey has 1",
                remedy='Set color to "rgb" or "bgr"',
                code=Exit.MODEL,
            )
        self._resize, self._interpolation, self._border = resize, interpolation, border
        self._write = _writer(tensor, normalisation, exact, channels, where)
        self._frame_shape: tuple[int, ...] = ()
        self._placement = Placement()
        self._np = np

    def fill(self, pixels: "NDArray[np.uint8]") -> Placement:
        """pixels: (height, width, 3) uint8, BGR, of any size. Returns where they lie in the input."""
        if pixels.shape != self._frame_shape:
            self._arrange(pixels.shape)
        top, bottom, left, right = self._source
        self._write(self._scaled(pixels[top:bottom, left:right]), self._region)
        return self._placement

    def _arrange(self, frame_shape: tuple[int, ...]) -> None:
        """All that depends on the frame's size alone."""
        import cv2

        np = self._np
        height, width = frame_shape[:2]
        self._frame_shape = frame_shape
        self._source = (0, height, 0, width)
        inner = (self._height, self._width)
        offset = (0, 0)
        if self._resize == "letterbox":
            scale = min(self._width / width, self._height / height)
            inner = (max(1, round(height * scale)), max(1, round(width * scale)))
            offset = ((self._height - inner[0]) // 2, (self._width - inner[1]) // 2)
            self._placement = Placement(
                x=offset[1] / self._width,
                y=offset[0] / self._height,
                width=inner[1] / self._width,
                height=inner[0] / self._height,
            )
        elif self._resize == "crop":
            scale = max(self._width / width, self._height / height)
            part = (min(height, max(1, round(self._height / scale))), min(width, max(1, round(self._width / scale))))
            top, left = (height - part[0]) // 2, (width - part[1]) // 2
            self._source = (top, top + part[0], left, left + part[1])
            self._placement = Placement(
                x=-left / part[1], y=-top / part[0], width=width / part[1], height=height / part[0]
            )
        source = (self._source[1] - self._source[0], self._source[3] - self._source[2])
        shrink = max(source[0] / inner[0], source[1] / inner[1])
        halved = self._interpolation == "linear-area" and shrink > 2
        self._method = cv2.INTER_AREA if self._interpolation == "area" and shrink > 1 else cv2.INTER_LINEAR
        self._twice = np.empty((inner[0] * 2, inner[1] * 2, 3), np.uint8) if halved else None
        self._small = None if source == inner else np.empty((*inner, 3), np.uint8)
        channels = self._array.shape[2]
        self._coloured = np.empty((*inner, channels), np.uint8)
        self._region = self._array[offset[0] : offset[0] + inner[0], offset[1] : offset[1] + inner[1]]
        if inner != (self._height, self._width):
            self._write(np.full((self._height, self._width, channels), self._border, np.uint8), self._array)

    def _scaled(self, source: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        """Scaled and in the input's channel order."""
        import cv2

        small: NDArray[Any] = source
        if self._small is not None:
            height, width = self._small.shape[:2]
            if self._twice is not None:
                cv2.resize(source, (width * 2, height * 2), dst=self._twice, interpolation=cv2.INTER_LINEAR)
                cv2.resize(self._twice, (width, height), dst=self._small, interpolation=cv2.INTER_AREA)
            else:
                cv2.resize(source, (width, height), dst=self._small, interpolation=self._method)
            small = self._small
        if self._color == "bgr":
            return small
        code = cv2.COLOR_BGR2RGB if self._color == "rgb" else cv2.COLOR_BGR2GRAY
        # Where raw bytes are wanted, the colour step writes into the tensor itself; `_write` then has nothing left to do.
        target: NDArray[Any] = self._region if self._write is copy_bytes else self._coloured
        cv2.cvtColor(small, code, dst=target[..., 0] if self._color == "grey" else target)
        return target


def check_image_input(tensor: Tensor, where: str) -> None:
    """Problem (Exit.MODEL) unless `tensor` is (1, height, width, 3 or 1) uint8, int8 or float32."""
    shape = tensor.shape
    if len(shape) == 4 and shape[0] == 1 and shape[3] in (1, 3) and min(shape) > 0:
        if tensor.dtype in ("uint8", "int8", "float32"):
            return
        what = f"the model's image input is {tensor.dtype}; uint8, int8 and float32 can be filled"
    else:
        what = f"the model's input is {describe(tensor)}, no image of 1×height×width×3, and this lane gives frames"
    raise Problem(where=where, what=what, remedy="Take a model for images, or give this lane a sensor", code=Exit.MODEL)


def describe(tensor: Tensor) -> str:
    """`1×224×224×3 uint8`"""
    return f"{'×'.join(str(size) for size in tensor.shape) or 'scalar'} {tensor.dtype}"


def copy_bytes(coloured: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
    if coloured is not region:
        region[...] = coloured


def _writer(tensor: Tensor, normalisation: Normalisation | None, exact: bool, channels: int, where: str) -> Any:
    """(uint8 picture, region of the tensor) → None"""
    if normalisation is not None:
        for key in ("mean", "std"):
            count = len(getattr(normalisation, key))
            if count not in (1, channels):
                raise Problem(
                    where=f"{where}.{key}",
                    what=f"{count} values of {key} for {channels} channels",
                    remedy="Give one number, or one a channel",
                    code=Exit.MODEL,
                )
    if tensor.dtype == "float32":
        return _float_writer(normalisation, channels)
    if tensor.dtype == "uint8" and (normalisation is None or not exact or not tensor.scale):
        return copy_bytes
    if normalisation is None or not tensor.scale:
        return _flip_sign
    return _table_writer(tensor, normalisation, channels)


def _flip_sign(coloured: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
    """int8 = byte - 128"""
    import numpy as np

    np.bitwise_xor(coloured, np.uint8(0x80), out=region.view(np.uint8))


def _table_writer(tensor: Tensor, normalisation: Normalisation, channels: int) -> Any:
    """One 256-entry table a channel: byte → the quantised value of (byte - mean) / std."""
    import cv2
    import numpy as np

    levels = np.arange(256, dtype=np.float64)[:, None]
    mean, std = (
        np.broadcast_to(np.asarray(values, np.float64), channels) for values in (normalisation.mean, normalisation.std)
    )
    kind = np.iinfo(tensor.dtype)
    table = np.clip(np.rint((levels - mean) / std / tensor.scale + tensor.zero_point), kind.min, kind.max)
    raw = levels + kind.min
    if np.abs(table - raw).max() <= 1:
        return copy_bytes if tensor.dtype == "uint8" else _flip_sign
    bytes_table = np.ascontiguousarray(table.astype(tensor.dtype).view(np.uint8).reshape(1, 256, channels))

    def write(coloured: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
        region.view(np.uint8)[...] = cv2.LUT(coloured, bytes_table).reshape(region.shape)

    return write


def _float_writer(normalisation: Normalisation | None, channels: int) -> Any:
    """float32 = byte · factor + offset, row by row as one run of numbers."""
    import numpy as np

    mean, std = ((0.0,), (255.0,)) if normalisation is None else (normalisation.mean, normalisation.std)
    means, stds = (np.broadcast_to(np.asarray(values, np.float64), channels) for values in (mean, std))
    factors, offsets = (1 / stds).astype(np.float32), (-means / stds).astype(np.float32)
    if len(set(factors)) == 1 and len(set(offsets)) == 1:
        factor, offset = factors[0], offsets[0]

        def write(coloured: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
            np.multiply(coloured, factor, out=region)
            if offset:
                np.add(region, offset, out=region)

        return write

    def write_channels(coloured: "NDArray[np.uint8]", region: "NDArray[Any]") -> None:
        np.multiply(coloured, factors, out=region)
        np.add(region, offsets, out=region)

    return write_channels
