"""A model file and its labels: read whole, its digest compared. One flipped bit in three changes a model's output silently: only the
digest finds it.
"""

import hashlib
import re
from pathlib import Path

from agent.problems import Exit, Problem

_NUMBERED = re.compile(r"\s*(\d+)[\s:,]+(.+?)\s*")
_MOST_BYTES = 1 << 30


def load(path: Path, *, sha256: str | None, where: str) -> tuple[bytes, str]:
    """(bytes, sha256 in hex). Problem (Exit.MODEL): missing, unreadable, empty, larger than 1 GiB, or another digest."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise Problem(
                where=where, what=f"{path} has more than 1 GiB", remedy="Name a TFLite model", code=Exit.MODEL
            )
        model = path.read_bytes()
    except OSError as error:
        raise Problem(
            where=where,
            what=f"the model file {path} cannot be read: {error.strerror}",
            remedy="Give the path of a .tflite file, or `catalogue` and `edge-agent models fetch`",
            code=Exit.MODEL,
        ) from None
    if not model:
        raise Problem(
            where=where, what=f"the model file {path} is empty", remedy="Copy or fetch it again", code=Exit.MODEL
        )
    digest = hashlib.sha256(model).hexdigest()
    if sha256 is not None and digest != sha256:
        raise Problem(
            where=where,
            what=f"the model file {path} has sha256 {digest}, the config wants {sha256}",
            remedy="Fetch the file again, or write the digest of the file you trust",
            code=Exit.MODEL,
        )
    return model, digest


def load_labels(path: Path, *, where: str) -> tuple[str, ...]:
    """Labels, one a line; "12 dog" on every line gives the class its number (classes between have their number as label)."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(
            where=where,
            what=f"the labels file {path} cannot be read: {error}",
            remedy="Give a UTF-8 text file with one label a line",
            code=Exit.MODEL,
        ) from None
    return parse_labels(text)


def parse_labels(text: str) -> tuple[str, ...]:
    """Blank lines at the end are not labels."""
    lines = text.rstrip().splitlines()
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if not lines or any(match is None for match in numbered):
        return tuple(line.strip() for line in lines)
    by_number = {int(match[1]): match[2] for match in numbered if match is not None}
    if max(by_number) > 100_000:
        return tuple(line.strip() for line in lines)
    return tuple(by_number.get(number, str(number)) for number in range(max(by_number) + 1))
