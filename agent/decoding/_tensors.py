"""What a tensor is by its shape: a picture, one row of numbers; and by its name. Shared by the decoders of plain outputs."""

import math
from collections.abc import Sequence

from agent.decoding import Shape

# Smaller sides are windows of samples or scores, not pictures.
_LEAST_SIDE_PX = 8
_PROBABILITY_WORDS = ("softmax", "sigmoid", "prob", "prediction", "score", "confidence")
_EMBEDDING_WORDS = ("embed", "feature", "descriptor", "bottleneck", "l2_norm", "l2norm", "normalize")


def picture_px(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """(height, width) of a picture input, channels last or first or without that axis; None: it is none."""
    if len(shape) == 4 and shape[3] in (1, 3):
        sides = shape[1:3]
    elif len(shape) == 4 and shape[1] in (1, 3):
        sides = shape[2:4]
    elif len(shape) == 3:
        sides = shape[1:3]
    else:
        return None
    return (sides[0], sides[1]) if min(sides) >= _LEAST_SIDE_PX else None


def flat_count(shape: tuple[int, ...]) -> int:
    """How many numbers 1×n, n, 1×1×1×n hold; 0 when more than one axis counts, or the shape is not known yet."""
    count = math.prod(shape or (0,))
    return count if count > 0 and count == max(shape) else 0


def flat(outputs: Sequence[Shape]) -> tuple[int, ...]:
    """Indexes of the outputs that are one row of numbers."""
    return tuple(index for index, output in enumerate(outputs) if flat_count(output.shape))


def called_embedding(output: Shape) -> bool:
    """Whether its name, in the graph or in metadata, is that of features rather than of scores."""
    return _called(output, _EMBEDDING_WORDS) and not _called(output, _PROBABILITY_WORDS)


def called_probability(output: Shape) -> bool:
    return _called(output, _PROBABILITY_WORDS)


def ends_in_softmax(output: Shape) -> bool:
    """Whether the graph itself makes probabilities of it: by a softmax, or a sigmoid a number."""
    return output.made_by in ("SOFTMAX", "LOGISTIC")


def _called(output: Shape, words: tuple[str, ...]) -> bool:
    text = f"{output.name} {output.said}".lower()
    return any(word in text for word in words)


def quantised_range(output: Shape) -> tuple[float, float] | None:
    """The least and the greatest number that a quantised output can hold; None: it is not quantised."""
    kinds = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-32768, 32767), "uint16": (0, 65535)}
    if not output.scale or output.dtype not in kinds:
        return None
    least, greatest = kinds[output.dtype]
    return (least - output.zero_point) * output.scale, (greatest - output.zero_point) * output.scale


def holds_probabilities(output: Shape) -> bool | None:
    """A quantised output says its range: 0..1 is a softmax's or a sigmoid's. int16 is symmetric: -1..1. None: it is not quantised."""
    held = quantised_range(output)
    if held is None:
        return None
    least = -1.01 if output.dtype == "int16" and output.zero_point == 0 else -0.01
    return held[0] >= least and held[1] <= 1.01
