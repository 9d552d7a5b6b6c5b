"""Which outputs of a detector that ends in suppression are the boxes, the classes, the scores and the count.

TFLite metadata tells it, or names: those of the op TFLite_Detection_PostProcess, those of the Object Detection API. Else shapes do: boxes are
1×n×4, classes and scores 1×n, the count one number; and then the order in which the graph numbers its outputs tells classes from scores.
"""

import math
import re
from collections.abc import Sequence

import msgspec

from agent.decoding import Shape

OP = "TFLite_Detection_PostProcess"
_OP_ORDER = {OP: "boxes", f"{OP}:1": "classes", f"{OP}:2": "scores", f"{OP}:3": "count"}
# Raw heads and other extras that the Object Detection API exports beside the four.
_EXTRA = re.compile(r"raw|multiclass|anchor")
_WORDS = (
    ("count", re.compile(r"number|count|num_|valid")),
    ("scores", re.compile(r"score|confidence|probabilit")),
    ("classes", re.compile(r"categor|class|label")),
    ("boxes", re.compile(r"location|box")),
)
_NUMBER = re.compile(r"[:_](\d+)$")


class Roles(msgspec.Struct, frozen=True, kw_only=True):
    """Indexes of the outputs. first_class: 1 where the model counts the background as class 0. said: the file tells, by metadata or names."""

    boxes: int
    classes: int
    scores: int
    count: int
    first_class: int = 0
    said: bool = False


def find_roles(outputs: Sequence[Shape]) -> Roles | None:
    """None: these are not such outputs, or their shapes are not known yet."""
    by_words = (
        _named([_OP_ORDER.get(output.name, "") for output in outputs])
        or _named([_role(output.said) for output in outputs])
        or _named([_role(output.name) for output in outputs])
    )
    if by_words is None:
        return _by_shape(outputs)
    boxes = outputs[by_words.boxes].shape
    if boxes and boxes[-1] != 4:
        return None
    extras = any(_EXTRA.search(output.name.lower()) for output in outputs) and not _has_op(outputs)
    return msgspec.structs.replace(by_words, first_class=int(extras))


def _has_op(outputs: Sequence[Shape]) -> bool:
    return any(output.name.startswith(OP) for output in outputs)


def _role(text: str) -> str:
    """What an output's name calls it, "" where it does not say."""
    lower = text.lower()
    if _EXTRA.search(lower):
        return ""
    return next((role for role, words in _WORDS if words.search(lower)), "")


def _named(roles: list[str]) -> Roles | None:
    """The roles when each of the four is there once."""
    if any(roles.count(role) != 1 for role in ("boxes", "classes", "scores", "count")):
        return None
    return Roles(**{role: roles.index(role) for role in ("boxes", "classes", "scores", "count")}, said=True)


def _by_shape(outputs: Sequence[Shape]) -> Roles | None:
    order = sorted(range(len(outputs)), key=lambda index: (_number(outputs[index].name), index))
    counts = [i for i in order if len(outputs[i].shape) <= 1 and math.prod(outputs[i].shape or (0,)) == 1]
    if not counts:  # a scalar has the shape (), as outputs have that are not known yet: then all others must be known
        unknown = [i for i in order if not outputs[i].shape]
        counts = unknown if len(unknown) == 1 and len(outputs) > 3 else []
    for boxes in order:
        shape = outputs[boxes].shape
        if not (len(shape) in (2, 3) and shape[-1] == 4 and math.prod(shape[:-2]) == 1 and counts):
            continue
        rows = [i for i in order if outputs[i].shape == shape[:-1] and i not in counts]
        if len(rows) == 2:
            classes, scores = rows if order.index(boxes) < order.index(rows[1]) else rows[::-1]
        elif len(rows) == 3 and len(outputs) >= 7:
            # The Object Detection API's saved model, in the order of the alphabet: anchor indexes come before the boxes.
            classes, scores = rows[1:]
        else:
            continue
        saved_model = len(outputs) >= 7 and not _has_op(outputs)
        return Roles(boxes=boxes, classes=classes, scores=scores, count=counts[0], first_class=int(saved_model))
    return None


def _number(name: str) -> int:
    """The graph's number of an output: `StatefulPartitionedCall:2`, `Identity_2`."""
    found = _NUMBER.search(name)
    return int(found[1]) if found else 0
