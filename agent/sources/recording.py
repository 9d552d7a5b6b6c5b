"""A lane's part of a recording folder: `input.jsonl`, `frames/`, `read.bin`, `write.bin` (docs/recordings.md). Ends at its last tick.

No kind of the config: `replay` opens it in the place of the lane's own source.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.problems import Problem
from agent.records import Frame, Gap, Input, Read, Tick, Write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    at_us: int
    k: str
    file: str = ""
    luma: str = ""
    start: int = msgspec.field(name="from", default=0)
    bytes: int = 0
    why: str = ""
    dropped: int = 0
    alive_us: int = 0


def records(folder: Path) -> Iterator[Input | Tick]:
    """The lane's records in the order in which it took them. Problem: a line or a file that cannot be read, with its place."""
    lines = _lines(folder / "input.jsonl")
    ticks = [index for index, line in enumerate(lines) if line.k == "tick"]
    raw = {kind: _bytes(folder / f"{kind}.bin") for kind in ("read", "write")}
    for number, line in enumerate(lines[: ticks[-1] + 1 if ticks else 0], start=1):
        where = f"{folder / 'input.jsonl'}:{number}"
        if line.k == "tick":
            yield Tick(at_us=line.at_us, alive_us=line.alive_us, dropped=line.dropped)
        elif line.k in ("frame", "planes"):
            yield _frame(folder / "frames", line, where)
        elif line.k == "gap":
            yield Gap(at_us=line.at_us, why=line.why)
        elif line.k in raw:
            data = raw[line.k][line.start : line.start + line.bytes]
            if len(data) != line.bytes:
                raise Problem(
                    where=where,
                    what=f"{line.k}.bin ends before this read",
                    remedy="The recording is damaged: copy it again",
                )
            yield Read(at_us=line.at_us, data=data) if line.k == "read" else Write(at_us=line.at_us, data=data)
        else:
            raise Problem(
                where=where,
                what=f"a record of kind {line.k!r} is not known",
                remedy="Replay it with a newer edge-agent",
            )


def _lines(path: Path) -> list[_Line]:
    decoder = msgspec.json.Decoder(_Line)
    lines: list[_Line] = []
    try:
        texts = path.read_bytes().splitlines()
    except OSError as error:
        raise Problem(
            where=str(path), what=str(error.strerror), remedy="Name the folder that `record` wrote"
        ) from error
    for number, text in enumerate(texts, start=1):
        try:
            lines.append(decoder.decode(text))
        except msgspec.DecodeError as error:
            if number == len(texts):  # the recorder was killed in the middle of this line
                break
            raise Problem(
                where=f"{path}:{number}",
                what=f"not a record: {error}",
                remedy="The recording is damaged: copy it again",
            ) from error
    return lines


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _frame(folder: Path, line: _Line, where: str) -> Frame:
    """As the lane took it: planes as planes."""
    planes = line.k == "planes"
    return Frame(
        at_us=line.at_us,
        bgr=None if planes else _picture(folder / line.file, where, grey=False),
        i420=_picture(folder / line.file, where, grey=True) if planes else None,
        small_luma=_picture(folder / line.luma, where, grey=True) if line.luma else None,
    )


def _picture(path: Path, where: str, *, grey: bool) -> "NDArray[np.uint8]":
    import cv2
    import numpy as np

    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise Problem(
            where=where, what=f"{path.name}: {error.strerror}", remedy="The recording is damaged: copy it again"
        ) from error
    form = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR
    pixels = cv2.imdecode(np.frombuffer(encoded, dtype=np.uint8), form) if encoded else None
    if pixels is None:
        raise Problem(
            where=where, what=f"{path.name} is not a picture", remedy="The recording is damaged: copy it again"
        )
    return np.asarray(pixels, dtype=np.uint8)
