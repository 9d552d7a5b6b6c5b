"""Numbers → the memory of a model's vector input: normalised, quantised. What a sensor lane's window gives to a model.

A model whose input has the size of one axis is run once an axis; one whose input has the size of the whole window is run once.
"""

from typing import TYPE_CHECKING, Any

from agent.inference import Tensor
from agent.inference.inputs import describe, image
from agent.inference.metadata import Normalisation
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TYPES = ("float32", "float16", "int8", "uint8", "int16", "int32")


class FeaturesInput:
    """Fills `array` (the tensor's own memory, of a type of TYPES). normalisation: one number, or one an element (a band).

    Problem (Exit.MODEL): a colour image input, another type, a count of mean or std that fits neither.
    """

    def __init__(
        self, tensor: Tensor, array: "NDArray[Any]", *, normalisation: Normalisation | None = None, where: str
    ) -> None:
        import numpy as np

        check_numbers_input(tensor, where)
        self._tensor, self._where = tensor, where
        self._flat = array.reshape(-1)
        self.size = int(self._flat.size)
        self._mean: NDArray[np.float32] = np.zeros(1, np.float32)
        self._std: NDArray[np.float32] = np.ones(1, np.float32)
        if normalisation is not None:
            for key in ("mean", "std"):
                count = len(getattr(normalisation, key))
                if count not in (1, self.size):
                    raise Problem(
                        where=f"{where}.{key}",
                        what=f"{count} values of {key} for an input of {self.size}",
                        remedy="Give one number, or one an element",
                        code=Exit.MODEL,
                    )
            self._mean, self._std = (np.array(v, np.float32) for v in (normalisation.mean, normalisation.std))

    def rows(self, window: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """window: (axes, bands) of features or (n, axes) of samples → (runs, size), normalised: what `fill` takes one after another.

        Problem (Exit.MODEL): the window has another size than the input, both named.
        """
        if window.shape[-1] == self.size or window.size == self.size:
            rows: NDArray[np.float32] = (window.reshape(-1, self.size) - self._mean) / self._std
            return rows
        raise self.misfit(window)

    def misfit(self, window: "NDArray[np.float32]") -> Problem:
        """Both sizes, and what to set."""
        return Problem(
            where=self._where,
            what=f"the model's input is {describe(self._tensor)} ({self.size} numbers), a window of this lane is "
            f"{'×'.join(str(size) for size in window.shape)} ({window.size} numbers)",
            remedy="Set window.length_s and window.features as the model's card says",
            code=Exit.MODEL,
        )

    def fill(self, row: "NDArray[np.float32]") -> None:
        """row: (size,) float32, normalised. Quantised inputs are rounded and clipped."""
        import numpy as np

        if self._tensor.dtype.startswith("float"):
            self._flat[:] = row
            return
        kind = np.iinfo(self._tensor.dtype)
        scale = self._tensor.scale or 1.0
        self._flat[:] = np.clip(np.rint(row / np.float32(scale) + self._tensor.zero_point), kind.min, kind.max)


def check_numbers_input(tensor: Tensor, where: str) -> None:
    """Problem (Exit.MODEL) where a lane's windows cannot fill it: a colour image, another type than TYPES."""
    picture = image(tensor.shape)
    # One channel may be a spectrogram; so may three columns without one be samples of three axes.
    if picture is not None and picture.channels is not None and tensor.shape[picture.channels] == 3:
        raise Problem(
            where=where,
            what=f"the model's input is {describe(tensor)}, an image, and this lane gives windows of samples",
            remedy="Take a model for sensor windows, or give this lane a camera",
            code=Exit.MODEL,
        )
    if tensor.dtype not in TYPES:
        raise Problem(
            where=where,
            what=f"the model's input is {tensor.dtype}; {', '.join(TYPES)} can be filled",
            remedy="Convert the model with one of these input types",
            code=Exit.MODEL,
        )


def dequantise(array: "NDArray[Any]", tensor: Tensor) -> "NDArray[np.float32]":
    """An output's real values: (q - zero point) · scale; a copy."""
    import numpy as np

    values: NDArray[np.float32] = array.astype(np.float32)
    return (values - np.float32(tensor.zero_point)) * np.float32(tensor.scale) if tensor.scale else values
