"""A model file: read whole, its digest compared. One flipped bit in three changes a model's output silently: only the
digest finds it.
"""

import hashlib
from pathlib import Path

from agent.problems import Exit, Problem

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
