"""Opens a model where it runs best: the order of delegates, or the measured choice, behind one Session."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from agent.inference import Session, interpreter
from agent.inference.model import Delegate


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a model shall run. libraries: the `[delegate]` tables. cache: the folder that remembers trials and choices, None: nothing
    is remembered. input_px: (width, height) for dimensions that the file leaves open.
    """

    delegates: tuple[str, ...] | Literal["auto"] = "auto"
    libraries: Mapping[str, Delegate] = {}
    threads: int = 1
    runtime: str = "auto"
    signature: str | None = None
    input_px: tuple[int, int] | None = None
    cache: Path | None = None


@contextmanager
def open_session(model: bytes, digest: str, wanted: Wanted, *, where: str) -> Iterator[Session]:
    """digest: sha256 of `model` in hex. Problem (Exit.MODEL): damaged, refused by every delegate that may be used."""
    del digest
    delegates = ("xnnpack",) if wanted.delegates == "auto" else wanted.delegates
    with interpreter.open_session(
        model,
        delegates=delegates,
        threads=wanted.threads,
        runtime=wanted.runtime,
        signature=wanted.signature,
        input_px=wanted.input_px,
        where=where,
    ) as session:
        yield session
