"""Where and how a model shall run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from agent.inference.model import Delegate


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """libraries: the `[delegate]` tables. cache: the folder that remembers trials and choices, None: nothing is remembered.

    input_px: (width, height) for dimensions that the file leaves open.
    """

    delegates: tuple[str, ...] | Literal["auto"] = "auto"
    libraries: Mapping[str, Delegate] = {}
    threads: int = 1
    runtime: str = "auto"
    signature: str | None = None
    input_px: tuple[int, int] | None = None
    cache: Path | None = None
