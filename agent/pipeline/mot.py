"""A sequence of the MOTChallenge through a lane's tracker: detections in, tracks out, no pixels. It judges the tracker by public truth.

Format (MOTChallenge, https://motchallenge.net/instructions/): SEQUENCE/seqinfo.ini with frameRate and seqLength; SEQUENCE/det/det.txt, a line a
detection: frame from 1, -1, left, top, width, height in pixels, score, and more that is not read. What comes out has the track's number second.
"""

import configparser
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agent.config.file import File
from agent.events.tracker import Tracker
from agent.problems import Exit, Problem


class Line(NamedTuple):
    """x0, y0: left, top. In pixels."""

    x0: float
    y0: float
    width: float
    height: float
    score: float


class Sequence(NamedTuple):
    frame_rate_hz: float
    frames: int
    found: dict[int, list[Line]]


def read_sequence(folder: Path) -> Sequence:
    """Problem: not such a folder, or a line that is none."""
    info, detections = folder / "seqinfo.ini", folder / "det" / "det.txt"
    parser = configparser.ConfigParser()
    try:
        parser.read_string(info.read_text())
        frame_rate_hz, frames = parser.getfloat("Sequence", "frameRate"), parser.getint("Sequence", "seqLength")
        if not frame_rate_hz > 0 or frames < 1:
            raise ValueError("frameRate and seqLength must be above 0")
    except (OSError, UnicodeDecodeError, configparser.Error, ValueError) as error:
        raise _problem(info, str(error), "Name a MOTChallenge folder with seqinfo.ini and det/det.txt") from None
    found: dict[int, list[Line]] = defaultdict(list)
    try:
        lines = detections.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _problem(detections, str(error), "Name a MOTChallenge folder with det/det.txt") from None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            frame, line = _line(text)
        except ValueError:
            where = f"line {number} is no detection"
            raise _problem(detections, where, "A line is: frame, -1, left, top, width, height, score") from None
        found[frame].append(line)
    return Sequence(frame_rate_hz, max(frames, max(found, default=0)), dict(found))


def track(sequence: Sequence, file: File) -> list[str]:
    """Lines of tracks, by frame. Problem: no lane of the config has a tracker."""
    config = next((lane.follows for lane in file.lane.values() if lane.follows is not None), None)
    if config is None:
        raise Problem(
            where="lane",
            what="no lane of this config has a tracker",
            remedy="Add a table `[lane.NAME.tracker]`, it may be empty",
            code=Exit.CONFIG,
        )
    tracker, lines = Tracker(config), []
    for frame in range(1, sequence.frames + 1):
        found = sequence.found.get(frame, [])
        boxes = np.array([(one.x0, one.y0, one.x0 + one.width, one.y0 + one.height) for one in found], np.float32)
        scores = np.array([one.score for one in found], np.float32)
        at_us = round((frame - 1) / sequence.frame_rate_hz * 1e6)
        numbers = tracker.update(at_us, boxes.reshape(-1, 4), scores, np.zeros(len(found), np.int64))
        lines += [
            f"{frame},{number},{one.x0:g},{one.y0:g},{one.width:g},{one.height:g},{one.score:g},-1,-1,-1"
            for number, one in zip(numbers.tolist(), found, strict=True)
            if number
        ]
    return lines


def _line(text: str) -> tuple[int, Line]:
    """ValueError: it is none."""
    words = text.replace(",", " ").split()
    frame, _, *numbers = (float(word) for word in words[:7])
    if len(numbers) != 5 or not np.isfinite(numbers).all() or frame < 1 or min(numbers[2:4]) < 0:
        raise ValueError
    return int(frame), Line(*numbers)


def _problem(path: Path, what: str, remedy: str) -> Problem:
    return Problem(where=str(path), what=what, remedy=remedy, code=Exit.COMMAND_LINE)
