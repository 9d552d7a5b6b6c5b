"""Labels of detectors: which of them is the background, and whether their count fits the model's classes."""

from agent.decoding import Options
from agent.problems import Exit, Problem

_NAMELESS = "???"
_BACKGROUND = ("background", _NAMELESS, "__background__", "_background_")


def has_background(options: Options) -> bool:
    """The first label is no thing: the config says so, or its text does ("???" in label maps of the Object Detection API)."""
    return bool(options.labels) and (options.background or options.labels[0].strip().lower() in _BACKGROUND)


def without_background(options: Options) -> tuple[str, ...]:
    return named(options.labels[1:] if has_background(options) else options.labels)


def named(labels: tuple[str, ...]) -> tuple[str, ...]:
    """A class called "???" (a number that the label map leaves out) has its number as label."""
    return tuple(str(index) if label == _NAMELESS else label for index, label in enumerate(labels))


def things(options: Options, columns: int, *, background: bool, where: str) -> tuple[int, tuple[str, ...]]:
    """The first column of `columns` scores that is a thing's, and the labels of all things (numbers where none are given).

    Labels tell whether column 0 is the background: as many as columns, one fewer, or one of the background before the others'.
    background: what holds without labels. Problem (Exit.MODEL) naming both counts.
    """
    labels = options.labels
    if not labels:
        first = int((background or options.background) and columns > 1)
        return first, tuple(str(index) for index in range(columns - first))
    if len(labels) == columns:
        return (1, named(labels[1:])) if has_background(options) else (0, named(labels))
    if len(labels) == columns - 1 and (options.background or not has_background(options)):
        return 1, named(labels)
    if len(labels) == columns + 1 and has_background(options):
        return 0, named(labels[1:])
    raise Problem(
        where=f"{where}.labels",
        what=f"{len(labels)} labels for {columns} classes",
        remedy="Give the labels of this model, one a line, with or without one of the background as the first",
        code=Exit.MODEL,
    )
