"""All numbers of all outputs, as they are: for models that no decoder knows. Never taken unless `decoder = "raw"` says so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Wants
from agent.decoding._boxes import real
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = Wants()


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Every model could be read so: none is claimed."""
    del inputs, outputs, options
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Reads anything."""
    del inputs, where
    return Raw(tuple(outputs), options.labels[:1])


class Raw:
    """One result: label "raw", score 1, vectors (1, n): the outputs dequantised, each row by row, one after the other in the model's order.

    NaN and infinity stay. Numbers beyond 2²⁴ of integer outputs are rounded, for vectors are float32.
    """

    def __init__(self, outputs: tuple[Shape, ...], labels: tuple[str, ...]) -> None:
        self.labels = labels or ("raw",)
        self.gives: Gives = "vector"
        self.keypoint_names: tuple[str, ...] = ()
        self._outputs = outputs

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        del placement
        parts = [real(values.reshape(-1), shape) for values, shape in zip(outputs, self._outputs, strict=True)]
        return Detections(
            labels=self.labels,
            scores=np.ones(1, np.float32),
            vectors=np.concatenate(parts)[None] if parts else np.zeros((1, 0), np.float32),
        )
