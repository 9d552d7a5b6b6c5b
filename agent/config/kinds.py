"""Kinds: the files of a room that the config can name. Found by looking into the folder, so that only what is named is imported."""

import importlib
import re
from pathlib import Path
from types import ModuleType

_AGENT = Path(__file__).parent.parent

# What makes a file of the room a kind: a line of its text. Files that are not (a source's wrapper, a recogniser) lack it.
_MARKS = {"sources": r"^class Config\b", "gating": r"^class Config\b", "decoding": r"^def claims\b"}


def kinds(room: str, folder: Path = _AGENT) -> tuple[str, ...]:
    """The names that `kind` (or `decoder`) can have, sorted. Imports nothing."""
    mark = re.compile(_MARKS[room], re.MULTILINE)
    files = sorted((folder / room).glob("[!_]*.py"))
    return tuple(file.stem for file in files if mark.search(file.read_text(encoding="utf-8")))


def load(room: str, kind: str) -> ModuleType:
    """The module of one kind; imported now, if it was not yet."""
    return importlib.import_module(f"agent.{room}.{kind}")


def is_sensor(kind: str) -> bool:
    """Whether this kind of source gives samples and not pictures: its module then unpacks what it read into chunks."""
    return (
        re.search(r"^def open_unpack\b", (_AGENT / "sources" / f"{kind}.py").read_text(encoding="utf-8"), re.MULTILINE)
        is not None
    )
