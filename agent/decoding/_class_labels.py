"""Labels of detectors: which of them is the background, and whether their count fits the model's classes."""

from agent.decoding import Options
from agent.problems import Exit, Problem

_BACKGROUND = ("background", "???", "__background__", "_background_")


def has_background(options: Options) -> bool:
    """The first label is no thing: the config says so, or its text does ("???" in label maps of the Object Detection API)."""
    return bool(options.labels) and (options.background or options.labels[0].strip().lower() in _BACKGROUND)


def without_background(options: Options) -> tuple[str, ...]:
    return options.labels[1:] if has_background(options) else options.labels


def check_count(options: Options, things: int, where: str) -> tuple[str, ...]:
    """Labels of the model's `things` (classes without the background), as many; their numbers where none are given.

    Problem (Exit.MODEL) naming both counts.
    """
    if not options.labels:
        return tuple(str(index) for index in range(things))
    for labels in (options.labels, without_background(options)):
        if len(labels) == things and (labels is not options.labels or not options.background):
            return labels
    raise Problem(
        where=f"{where}.labels",
        what=f"{len(options.labels)} labels for {things} classes",
        remedy="Give the labels of this model, one a line, with or without one of the background as the first",
        code=Exit.MODEL,
    )
