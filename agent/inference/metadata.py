"""What a model file says of itself: TFLite metadata (the TFLITE_METADATA buffer, a flatbuffer "M001" of
tensorflow/lite/support/metadata/metadata_schema.fbs), the files in the zip at its end, Ultralytics' text. The standard library reads them.

A damaged or absent part is left out, never an error: the config can say the same.
"""

import io
import json
import math
import re
import zipfile
import zlib

import msgspec

from agent.inference import ultralytics
from agent.inference._flatbuffer import DAMAGED, Table
from agent.inference.labels import parse_labels

_LABELS_AXIS, _LABELS_VALUE = 2, 3  # AssociatedFileType
_NORMALISATION = 1  # ProcessUnitOptions
_MOST_BYTES = 4 << 20
_MOST_FILES = 100
_LABELS_NAME = re.compile(r"(^|[^a-z])(labels?|labelmap|classes|dict)([^a-z].*)?\.(txt|json|csv|pbtxt)$", re.IGNORECASE)


class Normalisation(msgspec.Struct, frozen=True, kw_only=True):
    """(value - mean) / std: one number, or one a channel (a band, for features)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """normalisation: one an input, None where the file says nothing. decoder, score, features: from `edge-agent.json` in the zip.

    input_names, output_names: what TFLite metadata calls the tensors, in the graph's order, "" where it does not. source: who wrote it:
    "TFLite metadata", "Ultralytics", "edge-agent" or "" (nothing there). From Ultralytics' text: task, keypoint_shape (points, 2 or 3),
    keypoint_names, suppressed (doubles are removed inside the model, or its head gives none), input_px (width, height).
    labels_source: the file inside the model that the labels are from, or "Ultralytics".
    """

    name: str = ""
    description: str = ""
    author: str = ""
    licence: str = ""
    source: str = ""
    labels: tuple[str, ...] = ()
    labels_source: str = ""
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


class _Tensors(msgspec.Struct):
    """What is filled while the flatbuffer is walked: what came before the damage stays. files: (name, type, locale) of the outputs'."""

    name: str = ""
    description: str = ""
    author: str = ""
    licence: str = ""
    normalisation: list[Normalisation | None] = []
    input_names: list[str] = []
    output_names: list[str] = []
    files: list[tuple[str, int, str]] = []
    found: bool = False


def read(model: bytes) -> Metadata:
    """Never raises: what cannot be read is left out."""
    files = _files(model)
    tensors = _tensors(model)
    agent = _agent(files)
    said = ultralytics.read(files, model) or ultralytics.Said()
    labels, labels_source = _labels(files, tensors)
    if not labels and said.labels:
        labels, labels_source = said.labels, "Ultralytics"
    known = said != ultralytics.Said()
    source = "edge-agent" if "edge-agent.json" in files else "Ultralytics" if known else ""
    return Metadata(
        name=tensors.name,
        description=tensors.description or said.description,
        author=tensors.author or said.author,
        licence=tensors.licence or said.licence,
        source=source or ("TFLite metadata" if tensors.found else ""),
        labels=labels,
        labels_source=labels_source,
        normalisation=tuple(tensors.normalisation),
        input_names=tuple(tensors.input_names),
        output_names=tuple(tensors.output_names),
        decoder=agent.decoder,
        score=agent.score,
        features=agent.features,
        task=said.task,
        keypoint_shape=said.keypoint_shape,
        keypoint_names=said.keypoint_names,
        suppressed=said.suppressed,
        input_px=said.input_px,
    )


def _labels(files: dict[str, bytes], tensors: _Tensors) -> tuple[tuple[str, ...], str]:
    """The labels and the file's name. What the outputs name comes first, of several languages the one without a locale, then English."""
    named = sorted(
        (
            file
            for file in tensors.files
            if file[1] in (_LABELS_AXIS, _LABELS_VALUE) and file[0] not in ultralytics.MEMBERS
        ),
        key=lambda file: (file[2] != "", not file[2].startswith("en")),
    )
    for name in [*(file[0] for file in named), *filter(_LABELS_NAME.search, files)]:
        labels = parse_labels(files.get(name, b"").decode(errors="replace"))
        if labels:
            return labels, name
    return (), ""


def _agent(files: dict[str, bytes]) -> _Agent:
    try:
        return msgspec.convert(json.loads(files.get("edge-agent.json", b"{}")), _Agent)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return _Agent()


def _files(model: bytes) -> dict[str, bytes]:
    """The members of the zip at the file's end; large ones are left out (a zip can promise any size), and those that cannot be read."""
    unreadable = (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        KeyError,
        *DAMAGED,
    )
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            for member in archive.infolist()[:_MOST_FILES]:
                if member.file_size > _MOST_BYTES or member.compress_type not in (
                    zipfile.ZIP_STORED,
                    zipfile.ZIP_DEFLATED,
                ):
                    continue
                try:
                    files[member.filename] = archive.read(member)
                except unreadable:
                    continue
    except unreadable:
        pass
    return files


def _tensors(model: bytes) -> _Tensors:
    found = _Tensors()
    try:
        root = Table.root(model)
        for entry in root.tables(6):
            if entry.text(0) == "TFLITE_METADATA":
                buffers = root.tables(4)
                _walk(Table.root(buffers[entry.number(1, "<I")].raw(0)), found)
    except DAMAGED:
        pass
    return found


def _walk(metadata: Table, found: _Tensors) -> None:
    found.name, found.description = metadata.text(0), metadata.text(1)
    found.author, found.licence = metadata.text(4), metadata.text(5)
    found.found = True
    for subgraph in metadata.tables(3)[:1]:
        for tensor in subgraph.tables(2):
            found.input_names.append(tensor.text(0))
            found.normalisation.append(_normalisation(tensor))
        for tensor in subgraph.tables(3):
            found.output_names.append(tensor.text(0))
            found.files += [(file.text(0), file.number(2, "<b"), file.text(3)) for file in tensor.tables(6)]


def _normalisation(tensor: Table) -> Normalisation | None:
    for unit in tensor.tables(4):
        options = unit.table(1)
        if unit.number(0, "<B") == _NORMALISATION and options is not None:
            mean, std = options.floats(0), options.floats(1)
            if mean and std and all(map(math.isfinite, (*mean, *std))) and 0.0 not in std:
                return Normalisation(mean=mean, std=std)
    return None
