"""What Ultralytics writes into its TFLite exports: `temp_meta.txt` (a Python dict) or `metadata.json` in the zip at the file's end, or JSON
alone behind the model. Source: ultralytics/engine/exporter.py (description, author, license, stride, task, imgsz [height, width], names
{0: "person"}, kpt_shape, kpt_names, end2end, args {nms}); YOLOv5 writes stride and names alone.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from agent.inference.labels import from_names, literal

MEMBERS = ("temp_meta.txt", "metadata.json", "metadata.txt", "metadata.yaml")
_KEYS = ("names", "task", "stride", "imgsz")
_TAIL_BYTES = 1 << 18
_MOST_BEGINNINGS = 64
_MOST_PX = 1 << 16
_MOST_POINTS = 1000
_BEGINNING = re.compile(rb"\{\s*[\"']")


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """None, "" and () where the text is silent or damaged. The fields are those of `metadata.Metadata`."""

    description: str = ""
    author: str = ""
    licence: str = ""
    labels: tuple[str, ...] = ()
    task: str | None = None
    keypoint_shape: tuple[int, int] | None = None
    keypoint_names: tuple[str, ...] = ()
    suppressed: bool | None = None
    input_px: tuple[int, int] | None = None


def read(files: Mapping[str, bytes], model: bytes) -> Said | None:
    """files: members of the zip at the model's end. None when nothing of Ultralytics is there. Never raises."""
    named = [files[name] for name in MEMBERS if name in files]
    for data in named:
        said = parse(data.decode(errors="replace"))
        if said is not None:
            return said
    tail = _tail(model)
    return _said(tail) if tail is not None else None


def parse(text: str) -> Said | None:
    """None unless it is a dict that holds a key of Ultralytics."""
    values = literal(text) if text.lstrip().startswith("{") else _flat_yaml(text)
    return _said(values)


def _tail(model: bytes) -> Any:
    """The JSON object with which the file ends, None when it ends otherwise."""
    tail = model[-_TAIL_BYTES:].rstrip(b"\0 \t\r\n")
    if not tail.endswith(b"}"):
        return None
    beginnings = [match.start() for match in _BEGINNING.finditer(tail)]
    # The object holds others, and weights before it may look like a beginning: the first from which all to the end is JSON is it.
    for start in beginnings[-_MOST_BEGINNINGS:]:
        try:
            return json.loads(tail[start:])
        except (ValueError, RecursionError):
            continue
    return None


def _flat_yaml(text: str) -> dict[str, Any]:
    """`key: value` lines of the metadata.yaml beside an export, and its `names`: no other nesting."""
    from agent.inference.labels import parse_labels

    values: dict[str, Any] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.isidentifier() and value.strip():
            found = literal(value.strip()) if value.strip()[0] in "[{0123456789" else None
            values[key] = {"true": True, "false": False}.get(value.strip().lower(), found or value.strip().strip("'\""))
    if re.search(r"^names\s*:", text, re.MULTILINE):
        values["names"] = list(parse_labels(text))
    for key in ("imgsz", "kpt_shape"):
        block = re.search(rf"^{key}\s*:\s*\n((?:\s*- *\d+\s*\n?)+)", text, re.MULTILINE)
        if block:
            values[key] = [int(number[:9]) for number in re.findall(r"\d+", block[1])]
    return values


def _said(values: object) -> Said | None:
    if not isinstance(values, Mapping) or not any(key in values for key in _KEYS):
        return None
    labels = from_names(values.get("names")) or ()
    task = values.get("task")
    return Said(
        description=_text(values.get("description")),
        author=_text(values.get("author")),
        licence=_text(values.get("license")),
        labels=labels,
        task=task if isinstance(task, str) and task else None,
        keypoint_shape=_keypoint_shape(values.get("kpt_shape")),
        keypoint_names=_keypoint_names(values.get("kpt_names")),
        suppressed=_suppressed(values),
        input_px=_input_px(values.get("imgsz")),
    )


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _whole(value: object, least: int, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def _pair(value: object, least: int, most: int) -> tuple[int, int] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    first, second = (_whole(number, least, most) for number in value)
    return None if first is None or second is None else (first, second)


def _input_px(value: object) -> tuple[int, int] | None:
    """[height, width], or one number for both → (width, height)."""
    pair = _pair([value, value] if isinstance(value, int) else value, 1, _MOST_PX)
    return None if pair is None else (pair[1], pair[0])


def _keypoint_shape(value: object) -> tuple[int, int] | None:
    pair = _pair(value, 1, _MOST_POINTS)
    return pair if pair is not None and pair[1] in (2, 3) else None


def _keypoint_names(value: object) -> tuple[str, ...]:
    """A list, or {class: list}: the first class's."""
    if isinstance(value, Mapping) and value:
        value = next(iter(value.values()))
    return from_names(value) or () if isinstance(value, list | tuple) else ()


def _suppressed(values: Mapping[Any, Any]) -> bool | None:
    """Whether doubles are removed inside: an end-to-end head, or an export with `nms=True`. None where neither is said."""
    arguments = values.get("args")
    arguments = arguments if isinstance(arguments, Mapping) else {}
    said = [values.get("end2end"), arguments.get("nms"), values.get("nms")]
    known = [value for value in said if isinstance(value, bool)]
    return any(known) if known else None
