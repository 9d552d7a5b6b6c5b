"""Value types of the config, each with how it is written. `convert` is msgspec's hook that reads them from plain TOML values."""

import re
from typing import Annotated, Any

from msgspec import Meta

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)\s*")
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_UNITS = {"B": 1, "kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000}
TIME_OF_DAY_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"

TimeOfDay = Annotated[str, Meta(pattern=TIME_OF_DAY_PATTERN)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Point = tuple[Ratio, Ratio]
Polygon = Annotated[tuple[Point, ...], Meta(min_length=3)]


class Secret:
    """A text that is never shown: repr, str and format give dots. `reveal()` is called where it is handed to a library, nowhere else."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Bytes(int):
    """A size, written with its unit: "200 MB" (decimal units: B, kB, MB, GB, TB)."""

    @classmethod
    def parse(cls, text: object) -> "Bytes":
        match = _SIZE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'{text!r} is not a size: write a number and B, kB, MB, GB or TB, as in "200 MB"')
        return cls(round(float(match[1]) * _UNITS[match[2]]))


class Duration(float):
    """Seconds, written with their unit: "7 d" (s, min, h, d)."""

    @classmethod
    def parse(cls, text: object) -> "Duration":
        match = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f'{text!r} is not a duration: write a number and s, min, h or d, as in "7 d"')
        return cls(float(match[1]) * _SECONDS[match[2]])


class RelativePath(str):
    """A path; a relative one starts at the folder of the config file that names it. `config/read` makes it absolute."""

    __slots__ = ()


def convert(kind: type, value: Any) -> Any:
    """msgspec dec_hook: ValueError says what is wrong with the value."""
    if kind is Bytes:
        return Bytes.parse(value)
    if kind is Duration:
        return Duration.parse(value)
    if kind is RelativePath:
        if not isinstance(value, str) or not value:
            raise ValueError(f"{value!r} is not a path")
        return RelativePath(value)
    if kind is Secret:
        raise ValueError("a secret does not stand in the config file: name a file or an environment variable")
    raise NotImplementedError(kind)
