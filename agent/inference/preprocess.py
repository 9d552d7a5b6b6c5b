"""A frame → the memory of a model's image input: fitted, scaled, channels in order, normalised, in the input's own type and layout.

The small picture is made first and coloured last, straight into the tensor where it takes bytes; every buffer is kept.
Shrinking by more than 2 goes linearly to twice the size and then by an exact half: close to a true area mean (rms 1 level of 255) at
a tenth of its cost; plain linear sampling at 6:1 changes what small models say. For large inputs at no more than 4:1 the half comes first: that
costs a third of it, and is a little softer (rms 1.5 to 3 where linear sampling has 3 to 9).
"""

from typing import TYPE_CHECKING, Any

from agent.inference import Tensor
from agent.inference._pixel_writers import TYPES, copy_bytes, flip_sign, pixel_writer
from agent.inference.inputs import Image, describe, image
from agent.inference.metadata import Normalisation
from agent.problems import Exit, Problem
from agent.records import Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHANNELS = {"rgb": 3, "bgr": 3, "grey": 1}
_LARGE_PX = 90_000


class Preprocess:
    """Fills `array` (the tensor's own memory: one image of 1 or 3 channels, NHWC or NCHW, with or without a batch or a channel dimension).

    resize: "stretch", "letterbox" (the rest is `border`) or "crop" (the middle). layout: "nhwc", "nchw", None: as the shape tells.
    OpenCV works in one thread once there is one of these: lanes, not pieces of a picture, share the cores.
    normalisation: on 0..255 per pixel. exact: it holds whatever the input's quantisation says; else see `pixel_writer`.
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
        layout: str | None = None,
        normalisation: Normalisation | None = None,
        exact: bool = False,
        border: int = 0,
        where: str,
    ) -> None:
        import cv2
        import numpy as np

        # For the whole process: a second thread waits actively, and its core is another lane's. CPU of two against one: 0.82 and 0.60 ms
        # from 1080p to 224 × 224, 0.11 and 0.06 from 640 × 480 to 640 × 640.
        cv2.setNumThreads(1)
        found = check_image_input(tensor, where, layout)
        channels = 1 if found.channels is None else tensor.shape[found.channels]
        self._color = "grey" if channels == 1 else color
        if _CHANNELS[self._color] != channels:
            raise Problem(
                where=f"{where}.color",
                what=f"the model's input has {channels} channels, grey has 1",
                remedy='Set color to "rgb" or "bgr"',
                code=Exit.MODEL,
            )
        # (height, width) for grey, else (height, width, 3), or (3, height, width) when planar.
        self._array = array[0] if found.batch else array
        if found.channels is not None and channels == 1:
            self._array = self._array[..., 0] if found.channels > found.rows else self._array[0]
        self._planar = channels > 1 and found.channels is not None and found.channels < found.rows
        self._height, self._width = tensor.shape[found.rows], tensor.shape[found.columns]
        self._resize, self._interpolation, self._border = resize, interpolation, border
        self._write = pixel_writer(
            tensor, normalisation, exact=exact, channels=channels, planar=self._planar, where=where
        )
        self._frame_shape: tuple[int, ...] = ()
        self._placement = Placement()
        self._np = np

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the input."""
        return self._width, self._height

    def fill(self, pixels: "NDArray[np.uint8]") -> Placement:
        """pixels: (height, width, 3) uint8, BGR, of any size. Returns where they lie in the input."""
        if pixels.shape != self._frame_shape:
            self._arrange(pixels.shape)
        top, bottom, left, right = self._source
        self._write(self._coloured(self._scaled(pixels[top:bottom, left:right])), self._region)
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
        shrink = (source[0] / inner[0], source[1] / inner[1])
        self._method = cv2.INTER_AREA if self._interpolation == "area" and max(shrink) > 1 else cv2.INTER_LINEAR
        self._half = self._twice = None
        if self._interpolation == "linear-area" and shrink[0] * shrink[1] > 4:
            if inner[0] * inner[1] >= _LARGE_PX and max(shrink) <= 4 and source[0] % 2 == source[1] % 2 == 0:
                self._half = np.empty((source[0] // 2, source[1] // 2, 3), np.uint8)
            else:
                self._twice = np.empty((inner[0] * 2, inner[1] * 2, 3), np.uint8)
        self._small: NDArray[Any] | None = None if source == inner else np.empty((*inner, 3), np.uint8)
        self._region = self._part(offset, inner)
        # Where bytes are wanted, the colour step writes into the tensor itself.
        if self._write is copy_bytes:
            self._picture = self._region
        elif self._write is flip_sign:
            self._picture = self._region.view(np.uint8)
        else:
            self._picture = np.empty(self._region.shape, np.uint8)
        if self._planar:
            planes = list(self._picture)
            self._planes = planes[::-1] if self._color == "rgb" else planes
        if inner != (self._height, self._width):
            self._write(np.full(self._array.shape, self._border, np.uint8), self._array)

    def _part(self, offset: tuple[int, int], size: tuple[int, int]) -> "NDArray[Any]":
        rows, columns = (slice(start, start + length) for start, length in zip(offset, size, strict=True))
        return self._array[:, rows, columns] if self._planar else self._array[rows, columns]

    def _scaled(self, source: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        import cv2

        if self._small is None:
            return source
        height, width = self._small.shape[:2]
        if self._twice is not None:
            cv2.resize(source, (width * 2, height * 2), dst=self._twice, interpolation=cv2.INTER_LINEAR)
            cv2.resize(self._twice, (width, height), dst=self._small, interpolation=cv2.INTER_AREA)
        elif self._half is not None:
            half = (self._half.shape[1], self._half.shape[0])
            cv2.resize(source, half, dst=self._half, interpolation=cv2.INTER_AREA)
            cv2.resize(self._half, (width, height), dst=self._small, interpolation=cv2.INTER_LINEAR)
        else:
            cv2.resize(source, (width, height), dst=self._small, interpolation=self._method)
        return self._small

    def _coloured(self, small: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        """In the input's channel order and layout."""
        import cv2

        if self._planar:
            cv2.split(small, self._planes)
            return self._picture
        if self._color == "bgr":
            return small
        code = cv2.COLOR_BGR2RGB if self._color == "rgb" else cv2.COLOR_BGR2GRAY
        cv2.cvtColor(small, code, dst=self._picture)
        return self._picture


def check_image_input(tensor: Tensor, where: str, layout: str | None = None) -> Image:
    """How the image lies in `tensor`. Problem (Exit.MODEL) unless it is one image of 1 or 3 channels, of a type that can be filled."""
    found = image(tensor.shape, layout)
    channels = 1 if found is None or found.channels is None else tensor.shape[found.channels]
    if found is None or channels == 4 or (found.batch and tensor.shape[0] != 1):
        what = f"the model's input is {describe(tensor)}, no image of 1×height×width×3"
        what += f" in the layout {layout}" if layout else ""
        what += ", and this lane gives frames"
    elif tensor.dtype not in TYPES:
        what = f"the model's image input is {tensor.dtype}; {', '.join(TYPES)} can be filled"
    else:
        return found
    raise Problem(where=where, what=what, remedy="Take a model for images, or give this lane a sensor", code=Exit.MODEL)
