"""What a model file says of itself: TFLite metadata (the TFLITE_METADATA buffer, a flatbuffer "M001" of
tensorflow/lite/support/metadata/metadata_schema.fbs) and the files in the zip at its end. Read with the standard library alone.

A damaged or absent part is left out, never an error: the config can say the same.
"""

import io
import json
import struct
import zipfile
from typing import Any

import msgspec

from agent.inference.model_file import parse_labels

_LABELS_AXIS, _LABELS_VALUE = 2, 3  # AssociatedFileType
_NORMALISATION = 1  # ProcessUnitOptions
_MOST_BYTES = 4 << 20
_DAMAGED = (struct.error, IndexError, ValueError, UnicodeDecodeError, OverflowError)


class Normalisation(msgspec.Struct, frozen=True, kw_only=True):
    """(value - mean) / std: one number, or one a channel (a band, for features)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """normalisation: one an input, None where the file says nothing. decoder, score, features: from `edge-agent.json` in the zip.

    input_names, output_names: what TFLite metadata calls the tensors, in the graph's order, "" where it does not. source: who wrote it:
    "TFLite metadata", "Ultralytics", "edge-agent" or "" (nothing there). From Ultralytics' text: task, keypoint_shape (points, 2 or 3),
    keypoint_names, suppressed (doubles are removed inside the model, or its head gives none), input_px (width, height).
    """

    name: str = ""
    author: str = ""
    licence: str = ""
    source: str = ""
    labels: tuple[str, ...] = ()
    normalisation: tuple[Normalisation | None, ...] = ()
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    decoder: str | None = None
    score: float | None = None
    features: str | None = None
    task: str | None = None
    keypoint_shape: tuple[int, int] | None = None
    keypoint_names: tuple[str, ...] = ()
    suppressed: bool | None = None
    input_px: tuple[int, int] | None = None


class _Agent(msgspec.Struct, frozen=True, kw_only=True):
    decoder: str | None = None
    score: float | None = None
    features: str | None = None


def read(model: bytes) -> Metadata:
    """Never raises: what cannot be read is left out."""
    files = _files(model)
    tensors = _tensors(model)
    agent = _agent(files)
    named = [name for name, kind in tensors["files"] if kind in (_LABELS_AXIS, _LABELS_VALUE)]
    texts = [name for name in files if name.endswith(".txt") and "label" in name.lower()]
    chosen = next((name for name in [*named, *texts] if name in files), None)
    return Metadata(
        name=tensors["name"],
        author=tensors["author"],
        licence=tensors["licence"],
        labels=parse_labels(files[chosen].decode(errors="replace")) if chosen else (),
        normalisation=tuple(tensors["normalisation"]),
        decoder=agent.decoder,
        score=agent.score,
        features=agent.features,
    )


def _agent(files: dict[str, bytes]) -> _Agent:
    try:
        return msgspec.convert(json.loads(files.get("edge-agent.json", b"{}")), _Agent)
    except (ValueError, msgspec.ValidationError):
        return _Agent()


def _files(model: bytes) -> dict[str, bytes]:
    """The members of the zip at the file's end; large ones are left out (a zip can promise any size)."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            small = [member for member in archive.infolist()[:100] if member.file_size <= _MOST_BYTES]
            return {member.filename: archive.read(member) for member in small}
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, *_DAMAGED):
        return {}
    except Exception as error:
        if type(error).__module__ in ("zlib", "lzma", "bz2"):
            return {}
        raise


def _tensors(model: bytes) -> dict[str, Any]:
    """name, author, licence, normalisation of each input, (file name, type) of every output's files."""
    found: dict[str, Any] = {"name": "", "author": "", "licence": "", "normalisation": [], "files": []}
    try:
        root = _Table.root(model)
        buffers = root.tables(4)
        for entry in root.tables(6):
            if entry.text(0) == "TFLITE_METADATA":
                _walk(_Table.root(buffers[entry.number(1, "<I")].raw(0)), found)
    except _DAMAGED:
        pass
    return found


def _walk(metadata: "_Table", found: dict[str, Any]) -> None:
    found["name"], found["author"], found["licence"] = metadata.text(0), metadata.text(4), metadata.text(5)
    for subgraph in metadata.tables(3)[:1]:
        for tensor in subgraph.tables(2):
            found["normalisation"].append(_normalisation(tensor))
        for tensor in subgraph.tables(3):
            found["files"] += [(file.text(0), file.number(2, "<b")) for file in tensor.tables(6)]


def _normalisation(tensor: "_Table") -> Normalisation | None:
    for unit in tensor.tables(4):
        options = unit.table(1)
        if unit.number(0, "<B") == _NORMALISATION and options is not None:
            mean, std = options.floats(0), options.floats(1)
            if mean and std and 0.0 not in std:
                return Normalisation(mean=mean, std=std)
    return None


class _Table:
    """A flatbuffer table, read by slot number. Every offset is checked by `struct` or by hand; a bad one raises one of _DAMAGED."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._position = data, position
        self._vtable = position - self._at("<i", position)

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        return cls(data, int(struct.unpack_from("<I", data, 0)[0]))

    def _at(self, form: str, position: int) -> int:
        if position < 0:
            raise IndexError(position)
        return int(struct.unpack_from(form, self._data, position)[0])

    def _slot(self, slot: int) -> int:
        """Position of a field, 0 when it is absent."""
        entry = 4 + 2 * slot
        if entry + 2 > self._at("<H", self._vtable):
            return 0
        offset = self._at("<H", self._vtable + entry)
        return self._position + offset if offset else 0

    def _follow(self, position: int) -> int:
        return position + self._at("<I", position)

    def number(self, slot: int, form: str) -> int:
        position = self._slot(slot)
        return self._at(form, position) if position else 0

    def table(self, slot: int) -> "_Table | None":
        position = self._slot(slot)
        return _Table(self._data, self._follow(position)) if position else None

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        """(position of the first, count)"""
        position = self._slot(slot)
        if not position:
            return 0, 0
        start = self._follow(position)
        count = self._at("<I", start)
        if start + 4 + count * size > len(self._data):
            raise IndexError(count)
        return start + 4, count

    def raw(self, slot: int) -> bytes:
        start, count = self._vector(slot, 1)
        return self._data[start : start + count]

    def text(self, slot: int) -> str:
        return self.raw(slot).decode()

    def floats(self, slot: int) -> tuple[float, ...]:
        start, count = self._vector(slot, 4)
        return struct.unpack_from(f"<{count}f", self._data, start) if count else ()

    def tables(self, slot: int) -> "list[_Table]":
        start, count = self._vector(slot, 4)
        return [_Table(self._data, self._follow(start + 4 * index)) for index in range(count)]
